//! Whose a face of a pair looks more, and whether a rule may decide it.
//!
//! From our own embeddings: the nearest faces of both people. Without them, from
//! Immich's order of people by their feature faces, which says less and is used only
//! where favourites, hidden people and feature faces can't fool it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use faceset_core::{ContentHash, CosineDistance};
use immich_client::{
    AssetId, Client, ErrorKind, FaceId, FaceSource, PeopleQuery, Person, PersonId, UserId,
};
use serde::Serialize;

use crate::Error;
use crate::decision::Pair;
use crate::memory::{Memory, Said};
use crate::own::{NoVector, OwnFaces};
use crate::photos::{PersonPhotos, Photo, PhotoFace};

/// One of the two people of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The one who has the faces.
    Wrong,
    /// The one whose they may be.
    Correct,
}

/// The nearest face of a person, not counting the face itself and the photo it is on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Nearest {
    /// Cosine distance, 0 to 2.
    pub distance: CosineDistance,
    /// Which face.
    pub face: FaceId,
    /// On which photo.
    pub asset: AssetId,
}

/// What is known about a face of a pair.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum Suggestion {
    /// Our own embeddings.
    Own {
        /// The nearest face of the wrong person; `None` when they have no other.
        to_wrong: Option<Nearest>,
        /// The nearest face of the correct person; `None` when they have none.
        to_correct: Option<Nearest>,
    },
    /// Immich's order of people. It has no distances, so no margin applies.
    Immich {
        /// Whose feature face is nearer.
        first: Side,
    },
    /// Nothing can be said.
    Nothing {
        /// Why, for people.
        why: String,
    },
}

/// When a rule may decide a face.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AutoRule {
    /// How much nearer the one person must be than the other, in cosine distance; equal
    /// is enough. Default 0.10, a cautious start: the coach shows what it would have
    /// done on the faces decided so far.
    pub margin: f64,
    /// How near the nearer person must be at most; equal is enough. Default 0.55, where
    /// face-sets' grouping draws the line between people.
    pub max_distance: CosineDistance,
    /// Whether Immich's order may move faces. Default false: it compares with one face
    /// of each person only.
    pub trust_immich_order: bool,
}

impl Default for AutoRule {
    fn default() -> Self {
        Self {
            margin: 0.10,
            max_distance: CosineDistance::constant(0.55),
            trust_immich_order: false,
        }
    }
}

/// What a rule says about a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is the correct person's: move it.
    Correct,
    /// It is the wrong person's after all: leave it.
    Wrong,
    /// A person must look.
    Unsure,
}

impl AutoRule {
    /// What the rule says. Both people must be known by a face for it to say anything.
    pub fn judge(&self, suggestion: &Suggestion) -> Verdict {
        match suggestion {
            Suggestion::Own {
                to_wrong: Some(wrong),
                to_correct: Some(correct),
            } => self.judge_distances(wrong.distance, correct.distance),
            // "Wrong first" is what a face that is the wrong person's own feature face
            // always gets: it says nothing.
            Suggestion::Immich {
                first: Side::Correct,
            } if self.trust_immich_order => Verdict::Correct,
            _ => Verdict::Unsure,
        }
    }

    /// What the rule says of a face that something was said of before: never against it.
    /// A face that somebody refused for one of the two, or kept with the one, is not
    /// given or left to the other by a rule.
    pub fn judge_said(&self, suggestion: &Suggestion, said: Option<&Said>, pair: &Pair) -> Verdict {
        let verdict = self.judge(suggestion);
        let whose = match verdict {
            Verdict::Correct => &pair.correct,
            Verdict::Wrong => &pair.wrong,
            Verdict::Unsure => return verdict,
        };
        match said {
            Some(said) if said.refuses(whose) => Verdict::Unsure,
            _ => verdict,
        }
    }

    /// What the rule says about these distances.
    pub fn judge_distances(&self, to_wrong: CosineDistance, to_correct: CosineDistance) -> Verdict {
        let (wrong, correct) = (to_wrong.get(), to_correct.get());
        let near = |distance: f64| distance <= self.max_distance.get();
        // A margin below 0 would decide both ways.
        let margin = self.margin.max(0.0);
        if wrong - correct >= margin && wrong > correct && near(correct) {
            Verdict::Correct
        } else if correct - wrong >= margin && correct > wrong && near(wrong) {
            Verdict::Wrong
        } else {
            Verdict::Unsure
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Member {
    side: Side,
    asset: AssetId,
    content: ContentHash,
    row: usize,
}

/// The faces of a pair with their embeddings, kept up as decisions move them.
#[derive(Debug, Clone)]
pub struct PairIndex {
    own: Arc<OwnFaces>,
    members: BTreeMap<FaceId, Member>,
    without_vector: BTreeMap<NoVector, usize>,
    n_refused: usize,
}

impl PairIndex {
    /// An index of these photos' faces; photos may be given twice. A face that somebody
    /// said is not of the person who has it is no example of them, and left out.
    pub fn new<'a>(
        own: Arc<OwnFaces>,
        pair: &Pair,
        photos: impl IntoIterator<Item = &'a Photo>,
        memory: &Memory,
    ) -> Self {
        let mut index = Self {
            own,
            members: BTreeMap::new(),
            without_vector: BTreeMap::new(),
            n_refused: 0,
        };
        let mut seen = BTreeSet::new();
        for photo in photos {
            for (side, person) in [(Side::Wrong, &pair.wrong), (Side::Correct, &pair.correct)] {
                for face in photo.faces_of(person) {
                    if !seen.insert(&face.face) {
                        continue;
                    }
                    if memory.refuses(photo, face, person) {
                        index.n_refused += 1;
                    } else {
                        index.add(photo, face, side);
                    }
                }
            }
        }
        index
    }

    /// An index of everything that the server lists of both people.
    pub async fn load(
        client: &Client,
        own: Arc<OwnFaces>,
        pair: &Pair,
        owner: Option<&UserId>,
        memory: &Memory,
    ) -> Result<Self, Error> {
        let mut photos = PersonPhotos::new(client, &pair.wrong, owner)
            .await?
            .collect()
            .await?;
        photos.extend(
            PersonPhotos::new(client, &pair.correct, owner)
                .await?
                .collect()
                .await?,
        );
        Ok(Self::new(own, pair, &photos, memory))
    }

    fn add(&mut self, photo: &Photo, face: &PhotoFace, side: Side) {
        match self.own.find(photo, face) {
            Ok((content, row)) => {
                let member = Member {
                    side,
                    asset: photo.asset.clone(),
                    content,
                    row,
                };
                self.members.insert(face.face.clone(), member);
            }
            Err(why) => *self.without_vector.entry(why).or_default() += 1,
        }
    }

    /// Takes a decision in: the face belongs to this side now, or to neither.
    pub fn moved(&mut self, face: &FaceId, to: Option<Side>) {
        match (to, self.members.get_mut(face)) {
            (Some(side), Some(member)) => member.side = side,
            (None, _) => {
                self.members.remove(face);
            }
            (Some(_), None) => {}
        }
    }

    /// Faces with embeddings of a side.
    pub fn n_faces(&self, side: Side) -> usize {
        self.members
            .values()
            .filter(|member| member.side == side)
            .count()
    }

    /// Faces left out, and why.
    pub fn without_vector(&self) -> &BTreeMap<NoVector, usize> {
        &self.without_vector
    }

    /// Faces left out since somebody said that they are not of the person who has them.
    pub fn n_refused(&self) -> usize {
        self.n_refused
    }

    /// The embeddings.
    pub fn own(&self) -> &Arc<OwnFaces> {
        &self.own
    }

    /// The row of a face of the pair.
    pub fn row_of(&self, face: &FaceId) -> Option<usize> {
        self.members.get(face).map(|member| member.row)
    }

    /// The nearest faces of both people to a face.
    pub fn suggest(&self, photo: &Photo, face: &PhotoFace) -> Suggestion {
        match self.own.find(photo, face) {
            Ok((content, row)) => self.suggest_row(row, &content),
            Err(why) => Suggestion::Nothing {
                why: why.to_string(),
            },
        }
    }

    /// As [`PairIndex::suggest`], for a face of the pair; `None` for others.
    pub fn suggest_member(&self, face: &FaceId) -> Option<Suggestion> {
        let member = self.members.get(face)?;
        Some(self.suggest_row(member.row, &member.content))
    }

    fn suggest_row(&self, row: usize, content: &ContentHash) -> Suggestion {
        let nearest = |side: Side| {
            self.members
                .iter()
                // Faces of the same photo: itself, and people who are not it.
                .filter(|(_, member)| member.side == side && member.content != *content)
                .map(|(face, member)| (self.own.distance(row, member.row), face, member))
                .min_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1)))
                .map(|(distance, face, member)| Nearest {
                    distance,
                    face: face.clone(),
                    asset: member.asset.clone(),
                })
        };
        Suggestion::Own {
            to_wrong: nearest(Side::Wrong),
            to_correct: nearest(Side::Correct),
        }
    }
}

/// What Immich's own order says about a face of a pair.
///
/// Its list puts favourites first and hidden people last whatever their distance, leaves
/// small unnamed people out, and gives an arbitrary order for faces that it did not find
/// itself. So only the order between the two people counts, and only when both are
/// listed with equal flags and the face was found by the machine.
pub async fn suggest_by_immich(
    client: &Client,
    pair: &Pair,
    face: &FaceId,
    source: Option<FaceSource>,
) -> Result<Suggestion, Error> {
    let nothing = |why: &str| {
        Ok(Suggestion::Nothing {
            why: why.to_owned(),
        })
    };
    if source != Some(FaceSource::MachineLearning) {
        return nothing("the face was drawn by hand: Immich can't compare it");
    }
    let query = PeopleQuery {
        page: 1,
        size: 1000,
        with_hidden: true,
    };
    let listed = match client.closest_people(face, &query).await {
        Ok(page) => page.people,
        Err(error) if error.kind() == ErrorKind::Missing => {
            return nothing("the face is gone");
        }
        Err(error) => return Err(error.into()),
    };
    let place = |id: &PersonId| listed.iter().position(|person: &Person| person.id == *id);
    let (Some(wrong), Some(correct)) = (place(&pair.wrong), place(&pair.correct)) else {
        return nothing("Immich does not list both people");
    };
    let flags = |at: usize| (listed[at].is_hidden, listed[at].is_favorite);
    if flags(wrong) != flags(correct) {
        return nothing("one of the two is a favourite or hidden: Immich's order tells nothing");
    }
    let first = if correct < wrong {
        Side::Correct
    } else {
        Side::Wrong
    };
    Ok(Suggestion::Immich { first })
}
