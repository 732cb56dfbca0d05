//! Taking back: which decision, and what became of it in words. The photo comes back with it.

use face_fix::{
    FeatureRestored, Pair, PastTransaction, PersonRemoved, Restored, Side, Standing, Transaction,
    TransactionId, UndoReport,
};
use immich_client::AssetId;
use serde::{Deserialize, Serialize};

use super::asset_of;
use crate::advice::RuleChoice;
use crate::app::{Inner, lock};
use crate::error::{Kind, Refusal};
use crate::photo::PhotoView;
use crate::state::Stats;

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct UndoRequest {
    #[serde(flatten)]
    pub(crate) pair: Pair,
    #[serde(flatten)]
    pub(crate) rule: RuleChoice,
    /// What to go on taking back, from the refusal before; the last decision without.
    pub(crate) transaction: Option<TransactionId>,
}

#[derive(Debug, Serialize)]
pub(crate) struct UndoAnswer {
    /// The photo it was about; `None` when there was nothing to undo.
    asset: Option<AssetId>,
    /// That photo as it is now; `None` when it cannot be read any more: `text` says so.
    photo: Option<PhotoView>,
    stats: Stats,
    text: String,
}

impl Inner {
    /// Takes the last decision of this pair back, whichever tab or run made it, or goes
    /// on with the one that the request names.
    pub(crate) async fn undo(&self, request: &UndoRequest) -> Result<UndoAnswer, Refusal> {
        let pair = &request.pair;
        let (transaction, mut text) = if self.is_dry() {
            let Some(last) = lock(&self.pretended).undo(pair) else {
                return Ok(self.nothing_to_undo(pair));
            };
            (last, "Taken back (dry run).".to_owned())
        } else {
            let last = self.engine.look(|past| {
                let found = match request.transaction {
                    Some(id) => past
                        .transaction(id)
                        .filter(|named| named.transaction.pair.as_ref() == Some(pair)),
                    None => past.last_decision(Some(pair)),
                }?;
                Some((found.id, found.transaction.clone()))
            });
            let Some((id, transaction)) = last else {
                return Ok(self.nothing_to_undo(pair));
            };
            let text = self.take_back(pair, id, &transaction).await?;
            (transaction, text)
        };
        let asset = asset_of(&transaction);
        let photo = match &asset {
            Some(asset) => {
                let (photo, note) = self.photo_after(pair, asset, request.rule).await;
                if let Some(note) = note {
                    text = format!("{text} {note}");
                }
                photo
            }
            None => None,
        };
        Ok(UndoAnswer {
            asset,
            photo,
            stats: self.stats(pair),
            text,
        })
    }

    /// Takes one transaction of the journal back. Answers what became of it in words.
    async fn take_back(
        &self,
        pair: &Pair,
        id: TransactionId,
        transaction: &Transaction,
    ) -> Result<String, Refusal> {
        let standing = || {
            self.engine
                .look(|past| past.transaction(id).map(PastTransaction::standing))
        };
        if standing() == Some(Standing::Undone) {
            // Whatever is decided in another tab goes on with it first.
            return Ok("Taken back meanwhile.".to_owned());
        }
        let report = self.engine.undo(id, self.now(), &*self.options.who).await?;
        for (at, _) in report.faces.iter().filter(|(_, how)| how.is_back()) {
            self.moved(pair, &transaction.decisions[*at].face, Some(Side::Wrong));
        }
        if report.done {
            return Ok(undo_text(transaction, &report));
        }
        let text = if standing() == Some(Standing::Undoing) {
            "Immich is away. The undo is in the journal and goes on when you try again."
        } else {
            "Immich is away, and it cannot be told what arrived there: nothing is taken back yet. \
             Try again for that, or the decision goes out with the next one."
        };
        Err(Refusal::new(Kind::Waiting, text)
            .because(report.why.unwrap_or_default())
            .about(id))
    }

    fn nothing_to_undo(&self, pair: &Pair) -> UndoAnswer {
        UndoAnswer {
            asset: None,
            photo: None,
            stats: self.stats(pair),
            text: "There is nothing to undo for this pair.".to_owned(),
        }
    }
}

/// How an undoing that is through ended.
fn undo_text(transaction: &Transaction, report: &UndoReport) -> String {
    let n_back = report.faces.iter().filter(|(_, how)| how.is_back()).count();
    let head = match (transaction.decisions.len(), report.faces.len()) {
        (0, _) => "Taken back: the photo is not skipped any more.".to_owned(),
        (_, 0) => "Taken back: the judgement is forgotten.".to_owned(),
        (_, _) if n_back == 0 => {
            "The judgement is forgotten, but no face was given back.".to_owned()
        }
        (_, 1) => "Taken back: the face has its former person again.".to_owned(),
        (_, n) if n == n_back => format!("Taken back: {n} faces have their former person again."),
        (_, n) => format!("Taken back for {n_back} of {n} faces."),
    };
    head + &remains(report)
}

/// A sentence, with a space before it, for everything that is not as it was; empty when
/// all is.
pub(crate) fn remains(report: &UndoReport) -> String {
    let faces = report.faces.iter().map(|(_, how)| face(how));
    let features = report.features.iter().map(|(_, _, how)| feature(how));
    let people = report.people.iter().map(|(_, how)| person(how));
    let all = faces.chain(features).chain(people).flatten();
    all.fold(String::new(), |text, sentence| text + " " + &sentence)
}

fn face(how: &Restored) -> Option<String> {
    Some(match how {
        Restored::Back | Restored::NothingToDo => return None,
        Restored::MovedSince { now: Some(_) } => {
            "A face was given to somebody else since and stays there.".to_owned()
        }
        Restored::MovedSince { now: None } => {
            "A face was taken from everybody since and stays so.".to_owned()
        }
        Restored::Gone => "A face is gone from its photo.".to_owned(),
        Restored::GiverGone => {
            "A face stays where it is: the person it came from is gone.".to_owned()
        }
        Restored::Refused { why } => {
            format!("A face stays where it is: Immich did not move it back ({why}).")
        }
    })
}

fn feature(how: &FeatureRestored) -> Option<String> {
    Some(match how {
        FeatureRestored::Set => return None,
        FeatureRestored::NotAllowed { permission } => format!(
            "A person's main picture could not be set back, as the key lacks {permission}; \
             choose it in Immich."
        ),
        FeatureRestored::Unknown => {
            "Whether a person lost the main picture cannot be told; look at it in Immich."
                .to_owned()
        }
        FeatureRestored::Refused { why } => {
            format!("A person's main picture could not be set back ({why}); choose it in Immich.")
        }
    })
}

fn person(how: &PersonRemoved) -> Option<String> {
    Some(match how {
        PersonRemoved::Deleted | PersonRemoved::GoneAlready => return None,
        PersonRemoved::InUse { why } => format!("The person made for it was kept: it {why}."),
        PersonRemoved::NotAllowed { permission } => {
            format!("The person made for it was kept, as the key lacks {permission}.")
        }
        PersonRemoved::Refused { why } => {
            format!("The person made for it was kept: Immich did not delete it ({why}).")
        }
    })
}

#[cfg(test)]
mod tests {
    use face_fix::Decision;
    use jiff::Timestamp;

    use super::*;

    fn transaction(n_decisions: usize) -> Transaction {
        let decision = serde_json::json!({
            "asset": "photo", "face": "face", "from": { "id": "mia", "name": "Mia" },
            "action": { "do": "unassign" },
        });
        let decision: Decision = serde_json::from_value(decision).unwrap();
        let mut transaction = Transaction::new(Timestamp::UNIX_EPOCH, "a test");
        transaction.decisions = vec![decision; n_decisions];
        transaction
    }

    /// An undoing that is through and ended like this for the faces that had been moved.
    fn report(faces: &[Restored]) -> UndoReport {
        UndoReport {
            id: TransactionId(1),
            done: true,
            why: None,
            faces: faces.iter().cloned().enumerate().collect(),
            features: Vec::new(),
            people: Vec::new(),
        }
    }

    /// The words on it, where every decision had moved its face.
    fn words(faces: &[Restored]) -> String {
        undo_text(&transaction(faces.len()), &report(faces))
    }

    #[test]
    fn faces_are_counted_that_are_back() {
        use Restored::{Back, Gone, NothingToDo};
        let one = "Taken back: the face has its former person again.";
        assert_eq!(words(&[Back]), one);
        assert_eq!(words(&[NothingToDo]), one);
        assert_eq!(
            words(&[Back, NothingToDo, Back]),
            "Taken back: 3 faces have their former person again."
        );
        assert_eq!(
            words(&[Back, Gone, Back]),
            "Taken back for 2 of 3 faces. A face is gone from its photo."
        );
        assert_eq!(words(&[]), "Taken back: the photo is not skipped any more.");
    }

    #[test]
    fn a_judgement_that_moved_no_face_is_forgotten() {
        let text = undo_text(&transaction(1), &report(&[]));
        assert_eq!(text, "Taken back: the judgement is forgotten.");
    }

    #[test]
    fn each_way_of_not_being_back_has_its_sentence() {
        let tom = Some("tom".parse().unwrap());
        for (how, sentence) in [
            (Restored::Gone, "A face is gone from its photo."),
            (
                Restored::GiverGone,
                "A face stays where it is: the person it came from is gone.",
            ),
            (
                Restored::MovedSince { now: tom },
                "A face was given to somebody else since and stays there.",
            ),
            (
                Restored::MovedSince { now: None },
                "A face was taken from everybody since and stays so.",
            ),
            (
                Restored::Refused {
                    why: "403".to_owned(),
                },
                "A face stays where it is: Immich did not move it back (403).",
            ),
        ] {
            let head = "The judgement is forgotten, but no face was given back.";
            assert_eq!(words(&[how]), format!("{head} {sentence}"));
        }
    }

    #[test]
    fn main_pictures_and_people_that_are_not_as_they_were_are_named() {
        let lacks = |permission: &str| FeatureRestored::NotAllowed {
            permission: permission.to_owned(),
        };
        let mia = || "mia".parse().unwrap();
        let report = UndoReport {
            features: vec![
                (0, mia(), FeatureRestored::Set),
                (0, mia(), lacks("person.update")),
                (0, mia(), FeatureRestored::Unknown),
            ],
            people: vec![
                (mia(), PersonRemoved::Deleted),
                (
                    mia(),
                    PersonRemoved::InUse {
                        why: "has other faces".to_owned(),
                    },
                ),
            ],
            ..report(&[Restored::Back])
        };
        assert_eq!(
            undo_text(&transaction(1), &report),
            "Taken back: the face has its former person again. A person's main picture could not \
             be set back, as the key lacks person.update; choose it in Immich. Whether a person \
             lost the main picture cannot be told; look at it in Immich. The person made for it \
             was kept: it has other faces."
        );
    }
}
