//! The review's work behind the routes: which photos come next, what a key decides.
//! Taking back is `undo`.

mod undo;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use face_fix::{
    Action, By, Decision, Outcome, Pair, PersonRef, Photo, PhotoFace, Review, ReviewHow, Side,
    Status, Transaction,
};
use futures::{StreamExt, stream};
use immich_client::{AssetId, ErrorKind, FaceId};
use serde::{Deserialize, Serialize};

use crate::advice::RuleChoice;
use crate::app::{Inner, lock};
use crate::error::{Kind, Refusal};
use crate::photo::{Facts, PhotoView, State, Was, decided, view};
use crate::queue::Row;
use crate::state::Stats;

pub(crate) use undo::UndoRequest;

/// Photos whose faces are asked for at once.
const AT_ONCE: usize = 4;

/// Most photos given with their faces in one answer.
const MAX_PHOTOS: usize = 24;

/// Which photos to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Filter {
    Both,
    Duplicates,
    Solos,
}

/// What the page asks for when it needs photos.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct NextRequest {
    #[serde(flatten)]
    pub(crate) pair: Pair,
    pub(crate) filter: Filter,
    /// Skip photos where both people appear already.
    pub(crate) skip_both: bool,
    #[serde(flatten)]
    pub(crate) rule: RuleChoice,
    /// The list, from the answer before.
    pub(crate) queue: Option<u64>,
    /// The last position looked at, from the answer before; 0 to begin.
    pub(crate) after: usize,
    pub(crate) n: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct NextAnswer {
    queue: u64,
    photos: Vec<PhotoView>,
    after: usize,
    /// No photo comes after `after`.
    ended: bool,
    /// Photos of the wrong person listed so far.
    total: usize,
    /// `total` is all of them.
    complete: bool,
    stats: Stats,
}

/// What is to become of one face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Choice {
    Fix,
    Keep,
    Unassign,
    NoFace,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct FaceChoice {
    face: FaceId,
    action: Choice,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct DecideRequest {
    #[serde(flatten)]
    pub(crate) pair: Pair,
    pub(crate) asset: AssetId,
    #[serde(flatten)]
    pub(crate) rule: RuleChoice,
    /// Decided by the auto-fix rule.
    pub(crate) auto: bool,
    pub(crate) decisions: Vec<FaceChoice>,
}

#[derive(Debug, Serialize)]
pub(crate) struct DecideAnswer {
    /// `None` when it cannot be read any more: see `note`.
    photo: Option<PhotoView>,
    stats: Stats,
    /// Something the user should know about a success.
    note: Option<String>,
}

impl Inner {
    /// The next photos to show from the session's list.
    pub(crate) async fn next(&self, request: NextRequest) -> Result<NextAnswer, Refusal> {
        let pair = &request.pair;
        let client = self.engine.client();
        let (queue, rows, fresh) =
            self.queues
                .open(client, self.engine.user(), &pair.wrong, request.queue);
        // A list that went (an outage, a restart) starts again; what was reviewed is skipped.
        let mut after = if fresh { 0 } else { request.after };
        let n = request.n.clamp(1, MAX_PHOTOS);
        // Once a request: it goes through all that was ever decided.
        let reviewed = self.reviewed(pair);
        let mut photos = Vec::new();
        let mut ended = false;
        while photos.len() < n {
            let chunk = match rows.rows(after, AT_ONCE).await {
                Ok(chunk) => chunk,
                // What was found is shown; the failure comes back when it is needed.
                Err(_) if !photos.is_empty() => break,
                Err(refused) => return Err(refused.into()),
            };
            if chunk.is_empty() {
                ended = true;
                break;
            }
            let shown = stream::iter(chunk.into_iter().enumerate())
                .map(|(at, row)| {
                    let known = reviewed.contains(row.id());
                    async move {
                        let position = after + at + 1;
                        let photo = if known {
                            Ok(None)
                        } else {
                            self.look_at(pair, row, position, request.rule).await
                        };
                        (position, photo)
                    }
                })
                .buffered(AT_ONCE)
                .collect::<Vec<_>>()
                .await;
            for (position, photo) in shown {
                match photo {
                    Ok(Some(photo)) => {
                        if self.is_shown(&request, &photo).await? {
                            photos.push(photo);
                        }
                    }
                    Ok(None) => {}
                    Err(refusal) if photos.is_empty() => return Err(refusal),
                    Err(_) => {
                        return Ok(self.next_answer(
                            &request,
                            queue,
                            photos,
                            after,
                            false,
                            rows.length(),
                        ));
                    }
                }
                after = position;
                if photos.len() == n {
                    break;
                }
            }
        }
        Ok(self.next_answer(&request, queue, photos, after, ended, rows.length()))
    }

    fn next_answer(
        &self,
        request: &NextRequest,
        queue: u64,
        photos: Vec<PhotoView>,
        after: usize,
        ended: bool,
        (total, complete): (usize, bool),
    ) -> NextAnswer {
        NextAnswer {
            queue,
            photos,
            after,
            ended,
            total,
            complete,
            stats: self.stats(&request.pair),
        }
    }

    /// The photo as it is now; `None` when it is gone from the server.
    async fn look_at(
        &self,
        pair: &Pair,
        row: Row,
        position: usize,
        rule: RuleChoice,
    ) -> Result<Option<PhotoView>, Refusal> {
        match self.facts(row).await {
            Ok(facts) => Ok(Some(self.see(pair, &facts, position, rule).await)),
            Err(error) if error.kind() == ErrorKind::Missing => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a photo is to be shown. One that needs nobody is noted as reviewed; one
    /// that the filter leaves out is not.
    async fn is_shown(&self, request: &NextRequest, photo: &PhotoView) -> Result<bool, Refusal> {
        let both = request.skip_both && photo.correct_present;
        if photo.n_open() == 0 || both {
            self.note_review(&request.pair, &photo.asset, ReviewHow::SkippedByRule)
                .await?;
            return Ok(false);
        }
        Ok(match request.filter {
            Filter::Both => true,
            Filter::Duplicates => photo.is_duplicate(),
            Filter::Solos => !photo.is_duplicate(),
        })
    }

    /// One photo as it is now.
    pub(crate) async fn photo(
        &self,
        pair: &Pair,
        asset: &AssetId,
        rule: RuleChoice,
    ) -> Result<PhotoView, Refusal> {
        let row = self.row(asset).await?;
        let facts = self.facts(row).await?;
        Ok(self.see(pair, &facts, 0, rule).await)
    }

    async fn row(&self, asset: &AssetId) -> Result<Row, Refusal> {
        match self.photos.of(asset) {
            Some(facts) => Ok(facts.row.clone()),
            // Met outside of any list: boxes in the original stay unknown if it is edited.
            None => Ok(self.engine.client().asset(asset).await?.into()),
        }
    }

    async fn facts(&self, row: Row) -> Result<Arc<Facts>, immich_client::Error> {
        let faces = self.engine.client().faces(row.id()).await?;
        for person in faces.iter().filter_map(|face| face.person.as_ref()) {
            self.people.note(person);
        }
        let photo = Photo::new(&row.asset, faces);
        Ok(self.photos.keep(Facts { row, photo }))
    }

    async fn see(
        &self,
        pair: &Pair,
        facts: &Facts,
        position: usize,
        rule: RuleChoice,
    ) -> PhotoView {
        let mut photo = self.standing(pair, facts, position);
        self.advise(pair, &facts.photo, &mut photo, rule).await;
        photo
    }

    /// Where the faces stand, without suggestions.
    fn standing(&self, pair: &Pair, facts: &Facts, position: usize) -> PhotoView {
        let asset = &facts.photo.asset;
        let mut words = self.engine.look(|past| decided(past, pair, asset));
        let dry = lock(&self.pretended).decided(pair, asset);
        words.extend(dry.clone());
        let link = self.engine.client().base_url().photo_page(asset);
        let mut photo = view(&facts.photo, pair, &words, position, link);
        pretend(&mut photo, &dry);
        photo
    }

    fn reviewed(&self, pair: &Pair) -> BTreeSet<AssetId> {
        let mut reviewed = lock(&self.pretended).reviewed(pair);
        reviewed.extend(self.engine.look(|past| past.reviewed(pair)).into_keys());
        reviewed
    }

    /// Carries out what the page decided about faces of one photo.
    pub(crate) async fn decide(&self, request: DecideRequest) -> Result<DecideAnswer, Refusal> {
        let pair = &request.pair;
        let facts = match self.photos.of(&request.asset) {
            Some(facts) => facts,
            None => self.facts(self.row(&request.asset).await?).await?,
        };
        let mut transaction = self.transaction(pair);
        if request.auto {
            transaction.by = By::AutoFix;
        }
        let correct = self.people.of(self.engine.client(), &pair.correct).await?;
        for choice in &request.decisions {
            transaction
                .decisions
                .push(decision(pair, &facts, choice, &correct)?);
        }
        let before = self.standing(pair, &facts, 0);
        let is_decided = |face: &FaceId| request.decisions.iter().any(|c| c.face == *face);
        let left = before
            .faces
            .iter()
            .any(|face| face.state == State::Open && !is_decided(&face.id));
        if !left {
            transaction.review = Some(Review {
                asset: request.asset.clone(),
                how: ReviewHow::Decided,
            });
        }
        self.carry_out(transaction).await?;
        for choice in &request.decisions {
            let to = match choice.action {
                Choice::Fix => Some(Side::Correct),
                Choice::Keep => Some(Side::Wrong),
                Choice::Unassign | Choice::NoFace => None,
            };
            self.moved(pair, &choice.face, to);
        }
        let (photo, note) = self.photo_after(pair, &request.asset, request.rule).await;
        Ok(DecideAnswer {
            photo,
            stats: self.stats(pair),
            note,
        })
    }

    /// The photo after something was done about it, or what to say when it cannot be
    /// read. No refusal: the page would do once more what is done already.
    async fn photo_after(
        &self,
        pair: &Pair,
        asset: &AssetId,
        rule: RuleChoice,
    ) -> (Option<PhotoView>, Option<String>) {
        match self.photo(pair, asset, rule).await {
            Ok(photo) => (Some(photo), None),
            Err(refusal) => {
                let note = format!("The photo cannot be shown. {}", refusal.message);
                (None, Some(note))
            }
        }
    }

    fn transaction(&self, pair: &Pair) -> Transaction {
        let mut transaction = Transaction::new(self.now(), &*self.options.who);
        transaction.pair = Some(pair.clone());
        transaction
    }

    /// Hands a transaction to the engine and makes its end plain: through, or a refusal.
    pub(crate) async fn carry_out(&self, transaction: Transaction) -> Result<Outcome, Refusal> {
        let outcome = self.engine.decide(transaction.clone()).await?;
        match &outcome.status {
            Status::Applied => Ok(outcome),
            Status::DryRun => {
                lock(&self.pretended).push(transaction);
                Ok(outcome)
            }
            Status::Stopped { why, .. } => Err(Refusal::new(
                Kind::Conflict,
                format!("It was not changed: {why}. This is how the photo is now."),
            )),
            Status::Waiting { why } => Err(Refusal::new(
                Kind::Waiting,
                "Immich is away. The decision is in the journal and goes out when you try again.",
            )
            .because(why.as_str())),
        }
    }

    /// Goes on with what waits for the server.
    pub(crate) async fn resume(&self) -> Result<(), Refusal> {
        let (outcomes, undone) = self.engine.resume().await?;
        let waits = outcomes.iter().find_map(|outcome| match &outcome.status {
            Status::Waiting { why } => Some(why.clone()),
            _ => None,
        });
        let waits = waits.or_else(|| undone.into_iter().find(|u| !u.done).and_then(|u| u.why));
        match waits {
            None => Ok(()),
            Some(why) => Err(Refusal::new(Kind::Waiting, "Immich is still away.").because(why)),
        }
    }

    /// Leaves a photo as it is, done with for this pair.
    pub(crate) async fn skip(&self, pair: &Pair, asset: &AssetId) -> Result<Stats, Refusal> {
        self.note_review(pair, asset, ReviewHow::Skipped).await?;
        Ok(self.stats(pair))
    }

    async fn note_review(
        &self,
        pair: &Pair,
        asset: &AssetId,
        how: ReviewHow,
    ) -> Result<(), Refusal> {
        let mode = self.engine.mode();
        let by_rule = how == ReviewHow::SkippedByRule;
        if by_rule && (mode.read_only || mode.dry_run) {
            return Ok(());
        }
        let mut transaction = self.transaction(pair);
        transaction.review = Some(Review {
            asset: asset.clone(),
            how,
        });
        match self.carry_out(transaction).await {
            // Nothing depends on the note: the photo is met again, and skipped again.
            Err(refusal) if by_rule && refusal.kind == Kind::Waiting => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Shows the reviewed photos of a pair again.
    pub(crate) async fn reset(&self, pair: Pair) -> Result<(), Refusal> {
        Ok(self
            .engine
            .reset_review(pair, self.now(), &*self.options.who)
            .await?)
    }
}

/// Shows faces as a dry run would have left them.
fn pretend(photo: &mut PhotoView, words: &BTreeMap<FaceId, Was>) {
    for face in &mut photo.faces {
        match words.get(&face.id) {
            Some(Was::Fixed) => face.state = State::Fixed,
            Some(Was::Unassigned) => face.state = State::Unassigned,
            Some(Was::NoFace) => face.state = State::NoFace,
            Some(Was::Kept) | None => {}
        }
    }
}

fn decision(
    pair: &Pair,
    facts: &Facts,
    choice: &FaceChoice,
    correct: &PersonRef,
) -> Result<Decision, Refusal> {
    let gone = || {
        Refusal::new(
            Kind::Conflict,
            "This face is not the wrong person's any more. This is how the photo is now.",
        )
    };
    let of_wrong = |face: &&PhotoFace| face.person.as_ref().is_some_and(|p| p.id == pair.wrong);
    let face = facts
        .photo
        .faces
        .iter()
        .find(|face| face.face == choice.face);
    let face = face.filter(of_wrong).ok_or_else(gone)?;
    let action = match choice.action {
        Choice::Fix => Action::Reassign {
            to: correct.clone(),
        },
        Choice::Keep => Action::Keep,
        Choice::Unassign => Action::Unassign,
        Choice::NoFace => Action::NotAFace,
    };
    Ok(facts.photo.decide(face, action))
}

/// The photo that a transaction was about.
fn asset_of(transaction: &Transaction) -> Option<AssetId> {
    let reviewed = transaction.review.as_ref().map(|review| &review.asset);
    reviewed
        .or_else(|| transaction.decisions.first().map(|d| &d.asset))
        .cloned()
}
