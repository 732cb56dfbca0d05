//! Negative memory: whose a face is not, and what is no face, by what people decided.
//!
//! Binds the suggestions here, and through a file the registry of face-sets. What a
//! rule decided says nothing: it must not confirm itself.

use std::collections::{BTreeMap, BTreeSet};

use faceset_cache::Cache;
use faceset_core::said::{FaceDecision, FaceDecisions, OutsidePerson};
use faceset_core::{ContentHash, FaceKey};
use immich_client::{FaceId, PersonId, sha1_of_checksum};
use jiff::Timestamp;
use serde::Serialize;

use crate::decision::{Action, Area, By, Decision, PersonRef};
use crate::journal::{Past, PastTransaction, Settled};
use crate::own::{NoVector, OwnFaces, SAME_FACE_IOU};
use crate::photos::{Photo, PhotoFace};

/// The last word on a face. Decisions that were undone, or did not arrive, don't count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Said {
    /// Whose it is; `None` when it was only said whose it is not.
    pub is: Option<PersonRef>,
    /// Whose it is not, with their names at that time.
    pub not: BTreeMap<PersonId, String>,
    /// It is no face at all.
    pub no_face: bool,
    /// When the last of this was said.
    pub at: Timestamp,
    /// Who said it.
    pub who: String,
    /// The decision that said it last.
    #[serde(skip)]
    decision: Decision,
}

impl Said {
    /// True when it was said that the face is not this person's.
    pub fn refuses(&self, person: &PersonId) -> bool {
        self.no_face || self.not.contains_key(person)
    }
}

/// What a journal says of faces.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    said: Vec<Said>,
    by_face: BTreeMap<FaceId, usize>,
    /// Ids change when recognition starts anew: then by checksum and place.
    by_photo: BTreeMap<String, Vec<usize>>,
}

impl Memory {
    /// Everything that people decided.
    pub fn of(past: &Past) -> Self {
        Self::from(past, |_| true)
    }

    /// What they decided about one photo.
    pub fn of_photo(past: &Past, photo: &Photo) -> Self {
        Self::from(past, |decision| {
            decision.asset == photo.asset
                || (decision.checksum.is_some() && decision.checksum == photo.checksum)
        })
    }

    fn from(past: &Past, wanted: impl Fn(&Decision) -> bool) -> Self {
        let mut memory = Self::default();
        for past in past.transactions() {
            if past.undo.is_some() || past.transaction.by == By::AutoFix {
                continue;
            }
            for (decision, settled) in past.transaction.decisions.iter().zip(&past.settled) {
                if let (Some(settled), true) = (settled, wanted(decision)) {
                    memory.take(past, decision, settled);
                }
            }
        }
        memory
    }

    fn take(&mut self, past: &PastTransaction, decision: &Decision, settled: &Settled) {
        let pair = past.transaction.pair.as_ref();
        let giver = decision.from.clone();
        // Whoever says that a face under review is nobody's says it of both people.
        let correct = pair.map(|pair| PersonRef {
            id: pair.correct.clone(),
            name: String::new(),
        });
        let (is, not) = match (&decision.action, settled) {
            (Action::Keep, Settled::Kept) => (giver, vec![correct]),
            (
                Action::Reassign { .. } | Action::CreatePerson { .. },
                Settled::Moved { to, .. } | Settled::AlreadyThere { to },
            ) => {
                let name = match &decision.action {
                    Action::Reassign { to } => &to.name,
                    Action::CreatePerson { name, .. } => name,
                    _ => "",
                };
                let to = PersonRef {
                    id: to.clone(),
                    name: name.to_owned(),
                };
                (Some(to), vec![giver])
            }
            (
                Action::Unassign | Action::NotAFace,
                Settled::Moved { .. } | Settled::AlreadyThere { .. },
            ) => (None, vec![giver, correct]),
            // Gone: nothing is known of it any more.
            _ => return,
        };
        let said = self.entry(decision, past);
        said.at = past.transaction.at;
        said.who.clone_from(&past.transaction.who);
        said.no_face = decision.action == Action::NotAFace;
        said.decision = decision.clone();
        for person in not.into_iter().flatten() {
            let name = said.not.entry(person.id).or_default();
            if name.is_empty() {
                *name = person.name;
            }
        }
        if let Some(is) = &is {
            said.not.remove(&is.id);
        }
        said.is = is;
    }

    fn entry(&mut self, decision: &Decision, past: &PastTransaction) -> &mut Said {
        let area = decision.in_original();
        let known = self.find(&decision.face, decision.checksum.as_deref(), area.as_ref());
        let at = known.unwrap_or_else(|| {
            self.said.push(Said {
                is: None,
                not: BTreeMap::new(),
                no_face: false,
                at: past.transaction.at,
                who: past.transaction.who.clone(),
                decision: decision.clone(),
            });
            let at = self.said.len() - 1;
            if let Some(checksum) = &decision.checksum {
                self.by_photo.entry(checksum.clone()).or_default().push(at);
            }
            at
        });
        self.by_face.insert(decision.face.clone(), at);
        &mut self.said[at]
    }

    fn find(&self, face: &FaceId, checksum: Option<&str>, area: Option<&Area>) -> Option<usize> {
        if let Some(at) = self.by_face.get(face) {
            return Some(*at);
        }
        let on_photo = self.by_photo.get(checksum?)?;
        let area = area?;
        let mut there = on_photo.iter().filter(|at| {
            let place = self.said[**at].decision.in_original();
            place.is_some_and(|place| place.iou(area) >= SAME_FACE_IOU)
        });
        match (there.next(), there.next()) {
            (Some(at), None) => Some(*at),
            _ => None,
        }
    }

    /// What was said of a face: by its id, or by the photo's bytes and the place on it.
    pub fn said(&self, photo: &Photo, face: &PhotoFace) -> Option<&Said> {
        let checksum = photo.checksum.as_deref();
        let at = self.find(&face.face, checksum, face.original_area.as_ref())?;
        Some(&self.said[at])
    }

    /// True when it was said that this face is not this person's.
    pub fn refuses(&self, photo: &Photo, face: &PhotoFace, person: &PersonId) -> bool {
        self.said(photo, face)
            .is_some_and(|said| said.refuses(person))
    }
}

/// What became of writing decisions down for the registry. Adds up to the faces that
/// something was said of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ExportReport {
    /// Faces written down.
    pub n_exported: usize,
    /// Of photos that the cache does not have.
    pub n_photo_unknown: usize,
    /// At places where the cache has no face, so that there is nothing to bind.
    pub n_face_unknown: usize,
    /// At places where the cache has two, or where two were decided of one of ours.
    pub n_ambiguous: usize,
    /// Without a place in the original.
    pub n_no_box: usize,
}

/// The decisions of a journal about faces of a cache, by content hash and box.
pub fn export_decisions(
    past: &Past,
    cache: &Cache,
    own: &OwnFaces,
) -> (FaceDecisions, ExportReport) {
    let memory = Memory::of(past);
    let keys: Vec<FaceKey> = cache.faces().map(|face| face.key()).collect();
    let mut report = ExportReport::default();
    let mut found: BTreeMap<usize, Vec<&Said>> = BTreeMap::new();
    for said in &memory.said {
        match row_of(own, &said.decision) {
            Ok(row) => found.entry(row).or_default().push(said),
            Err(NoVector::PhotoUnknown) => report.n_photo_unknown += 1,
            Err(NoVector::FaceUnknown) => report.n_face_unknown += 1,
            Err(NoVector::Ambiguous) => report.n_ambiguous += 1,
            Err(NoVector::NoBox) => report.n_no_box += 1,
        }
    }
    let mut people: BTreeMap<PersonId, String> = BTreeMap::new();
    let mut faces = Vec::new();
    for (row, said) in found {
        let [said] = said.as_slice() else {
            report.n_ambiguous += said.len();
            continue;
        };
        report.n_exported += 1;
        let is = said.is.iter().map(|is| (&is.id, &is.name));
        for (id, name) in is.chain(&said.not) {
            let known = people.entry(id.clone()).or_default();
            if known.is_empty() {
                known.clone_from(name);
            }
        }
        faces.push(FaceDecision {
            face: keys[row].clone(),
            is: said.is.as_ref().map(|is| is.id.to_string()),
            not: said.not.keys().map(ToString::to_string).collect(),
            no_face: said.no_face,
            at: said.at.to_string(),
            who: said.who.clone(),
        });
    }
    name_from(past, &mut people);
    faces.sort_by_key(|decision| decision.face.id());
    let people = people.into_iter().map(|(id, name)| OutsidePerson {
        id: id.to_string(),
        name,
    });
    let source = past.server().unwrap_or_default().to_owned();
    (FaceDecisions::new(source, people.collect(), faces), report)
}

/// Names that other decisions of the journal give to people.
fn name_from(past: &Past, people: &mut BTreeMap<PersonId, String>) {
    let nameless: BTreeSet<PersonId> = people
        .iter()
        .filter(|(_, name)| name.is_empty())
        .map(|(id, _)| id.clone())
        .collect();
    for past in past.transactions() {
        for decision in &past.transaction.decisions {
            let to = match &decision.action {
                Action::Reassign { to } => Some(to),
                _ => None,
            };
            for person in decision.from.iter().chain(to) {
                if nameless.contains(&person.id) && !person.name.is_empty() {
                    people.insert(person.id.clone(), person.name.clone());
                }
            }
        }
    }
}

fn row_of(own: &OwnFaces, decision: &Decision) -> Result<usize, NoVector> {
    let sha1 = decision.checksum.as_deref().and_then(sha1_of_checksum);
    let content: ContentHash = own
        .content_of(&decision.asset, sha1.as_ref())
        .ok_or(NoVector::PhotoUnknown)?;
    let area = decision.in_original().ok_or(NoVector::NoBox)?;
    own.row_at(&content, &area)
}
