//! One photo as the page shows it: whose faces are on it, which are to be decided.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use face_fix::{Action, Pair, Past, PersonRef, Photo, Settled};
use immich_client::{AssetId, FaceId};
use serde::Serialize;

use crate::advice::Advice;
use crate::app::lock;
use crate::queue::Row;

/// Photos whose faces are remembered, so that a decision knows what was on the screen.
const MAX_REMEMBERED: usize = 512;

/// What the server said about a photo when it was last asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts {
    pub(crate) row: Row,
    pub(crate) photo: Photo,
}

/// The facts of the last photos that were shown.
#[derive(Debug, Default)]
pub(crate) struct Photos(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    facts: BTreeMap<AssetId, Arc<Facts>>,
    /// Oldest first.
    order: VecDeque<AssetId>,
}

impl Photos {
    pub(crate) fn of(&self, asset: &AssetId) -> Option<Arc<Facts>> {
        lock(&self.0).facts.get(asset).cloned()
    }

    pub(crate) fn keep(&self, facts: Facts) -> Arc<Facts> {
        let mut store = lock(&self.0);
        let asset = facts.photo.asset.clone();
        let facts = Arc::new(facts);
        if store.facts.insert(asset.clone(), facts.clone()).is_none() {
            store.order.push_back(asset);
        }
        if store.order.len() > MAX_REMEMBERED
            && let Some(oldest) = store.order.pop_front()
        {
            store.facts.remove(&oldest);
        }
        facts
    }
}

/// What was decided about a face for a pair, the last word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Was {
    Fixed,
    Kept,
    Unassigned,
    NoFace,
}

impl Was {
    /// What an action makes of a face.
    pub(crate) fn by(action: &Action) -> Self {
        match action {
            Action::Keep => Self::Kept,
            Action::Unassign => Self::Unassigned,
            Action::NotAFace => Self::NoFace,
            Action::Reassign { .. } | Action::CreatePerson { .. } => Self::Fixed,
        }
    }
}

/// The last word of the journal on each face of a photo, for a pair.
pub(crate) fn decided(past: &Past, pair: &Pair, asset: &AssetId) -> BTreeMap<FaceId, Was> {
    let mut words = BTreeMap::new();
    for past in past.since_reset(pair).rev() {
        if past.undo.is_some() {
            continue;
        }
        for (decision, settled) in past.transaction.decisions.iter().zip(&past.settled) {
            let through = settled.as_ref().is_some_and(|how| *how != Settled::Gone);
            if decision.asset == *asset && through {
                let word = Was::by(&decision.action);
                words.entry(decision.face.clone()).or_insert(word);
            }
        }
    }
    words
}

/// Where a face stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// The wrong person's: to be decided.
    Open,
    /// Given to the correct person in this review.
    Fixed,
    /// The wrong person's, and judged right.
    Kept,
    /// Taken from everybody in this review.
    Unassigned,
    /// Judged to be no face in this review, and taken from everybody.
    NoFace,
    /// Somebody else's, or nobody's.
    Other,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct FaceView {
    pub(crate) id: FaceId,
    /// From 1, left to right, for faces under review; `None` for others.
    pub(crate) number: Option<usize>,
    /// Left, top, right, bottom, as shares of the upright picture.
    pub(crate) area: Option<[f64; 4]>,
    pub(crate) person: Option<PersonRef>,
    pub(crate) state: State,
    #[serde(rename = "suggestion")]
    pub(crate) advice: Option<Advice>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PhotoView {
    pub(crate) asset: AssetId,
    pub(crate) file_name: Option<String>,
    /// The camera's clock, RFC 3339.
    pub(crate) taken: Option<String>,
    /// The photo's page in Immich.
    pub(crate) link: String,
    /// From 1, in the session's list; 0 when it is not shown from there.
    pub(crate) position: usize,
    /// The correct person is on it by no decision of this review.
    pub(crate) correct_present: bool,
    pub(crate) faces: Vec<FaceView>,
}

impl PhotoView {
    pub(crate) fn n_open(&self) -> usize {
        self.faces.iter().filter(|f| f.state == State::Open).count()
    }

    /// Two faces of the wrong person, or one beside the correct person.
    pub(crate) fn is_duplicate(&self) -> bool {
        self.n_open() >= 2 || (self.n_open() == 1 && self.correct_present)
    }
}

/// Puts together what the page shows. `words` are the last decisions for the pair.
pub(crate) fn view(
    photo: &Photo,
    pair: &Pair,
    words: &BTreeMap<FaceId, Was>,
    position: usize,
    link: String,
) -> PhotoView {
    let mut n_ours = 0;
    let mut correct_present = false;
    let faces = photo
        .faces
        .iter()
        .map(|face| {
            let person = face.person.as_ref().map(|p| &p.id);
            let is_wrong = person == Some(&pair.wrong);
            let is_correct = person == Some(&pair.correct);
            let state = match words.get(&face.face) {
                // Whoever moved it back since wants it looked at again.
                Some(Was::Kept) if is_wrong => State::Kept,
                Some(Was::Fixed) if is_correct => State::Fixed,
                Some(Was::Unassigned) if !is_wrong && !is_correct => State::Unassigned,
                Some(Was::NoFace) if !is_wrong && !is_correct => State::NoFace,
                _ if is_wrong => State::Open,
                _ => State::Other,
            };
            correct_present |= is_correct && state == State::Other;
            let number = (state != State::Other).then(|| {
                n_ours += 1;
                n_ours
            });
            FaceView {
                id: face.face.clone(),
                number,
                area: face.area.map(|a| [a.x1, a.y1, a.x2, a.y2]),
                person: face.person.clone(),
                state,
                advice: None,
            }
        })
        .collect();
    PhotoView {
        asset: photo.asset.clone(),
        file_name: photo.file_name.clone(),
        taken: photo.taken.map(|at| at.to_string()),
        link,
        position,
        correct_present,
        faces,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(n: usize) -> Facts {
        let asset: immich_client::Asset =
            serde_json::from_value(serde_json::json!({"id": format!("a{n}")})).unwrap();
        let photo = Photo::new(&asset, Vec::new());
        Facts {
            row: asset.into(),
            photo,
        }
    }

    #[test]
    fn only_the_last_photos_are_remembered() {
        let photos = Photos::default();
        for n in 0..=MAX_REMEMBERED {
            photos.keep(facts(n));
        }
        let knows = |n: usize| photos.of(&format!("a{n}").parse().unwrap()).is_some();
        assert!(!knows(0) && knows(1) && knows(MAX_REMEMBERED));
        // Seen again is not one more.
        photos.keep(facts(1));
        assert!(knows(1) && knows(2));
        assert_eq!(lock(&photos.0).facts.len(), MAX_REMEMBERED);
        assert_eq!(lock(&photos.0).order.len(), MAX_REMEMBERED);
    }
}
