//! What people said binds every step: groups of known people are put together
//! or taken apart as the registry says, refused faces leave, hidden people stay
//! out.
//!
//! Works on refine manifests, in two passes around the giving of numbers:
//! [`regroup`] before (who is whose), [`leave_out`] after (who was refused).

use std::collections::{BTreeMap, BTreeSet};

use faceset_cache::Cache;
use faceset_core::manifest::{DroppedFace, RawManifest, RefineManifest, RefinedSet};
use faceset_core::{CosineDistance, FaceKey, FacesetNumber, canonical_faceset_number};
use faceset_export::{Bounds, REFUSED_HIDDEN, REFUSED_THIN};
use faceset_identity::{Matched, Registry, State};
use serde_json::Map;

use crate::PipelineError;
use crate::matching::{Face, NO_FACE, NOT_THIS_PERSON, NegativeMemory, Person, decide, look};

/// Farther than anything: the nearest person takes the face.
const ANY: CosineDistance = CosineDistance::constant(2.0);

/// Makes one set of each known person: a group in which several known people
/// were mixed is taken apart, and groups of one person (merged by somebody, or
/// split by the grouping) are put together. Sets of nobody known stay as they
/// are, and so does the order.
///
/// In a mixed group each face that the registry knows goes to its person, the
/// others to the nearest of these people. Sets that are made here are named by
/// the person's number; when another set of the manifest has that name and is
/// not that person, the groups stay as they were and a note says so.
///
/// Returns notes for people.
pub fn regroup(
    manifest: &mut RefineManifest,
    registry: &Registry,
    cache: &Cache,
) -> Result<Vec<String>, PipelineError> {
    let mut notes = Vec::new();
    let mut parts: Vec<Part> = Vec::new();
    for set in &manifest.facesets {
        let found = registry.match_set(&set.name, set.label.as_deref(), &set.faces);
        match found.matched {
            Matched::Ambiguous(people) => {
                let names: Vec<_> = people.iter().map(|n| n.folder_name()).collect();
                notes.push(format!(
                    "{}: taken apart into {}",
                    set.name,
                    names.join(" and ")
                ));
                parts.extend(take_apart(set, &people, registry, cache)?);
            }
            other => parts.push(Part {
                person: other.number(),
                made: false,
                set: set.clone(),
            }),
        }
    }
    let mut joined: Vec<Part> = Vec::new();
    for part in parts {
        let known = part
            .person
            .and_then(|p| joined.iter_mut().find(|j| j.person == Some(p)));
        match known {
            Some(held) => {
                let person = part.person.expect("it was found by its person");
                notes.push(format!(
                    "{} is {}, too: put together",
                    part.set.name,
                    person.folder_name()
                ));
                held.take_in(part.set);
            }
            None => joined.push(part),
        }
    }
    // Names: a set that was made here is called by its number.
    let foreign: BTreeSet<String> = joined
        .iter()
        .filter(|p| !p.made)
        .map(|p| p.set.name.clone())
        .collect();
    for part in joined.iter().filter(|p| p.made) {
        let name = part
            .person
            .map_or_else(String::new, FacesetNumber::folder_name);
        if foreign.contains(&name) {
            return Ok(vec![format!(
                "the groups stay as they are: {name} is somebody else in this manifest than in the registry; refine again"
            )]);
        }
    }
    manifest.facesets = joined
        .into_iter()
        .map(|mut part| {
            if let Some(person) = part.person.filter(|_| part.made) {
                part.set.name = person.folder_name();
            }
            part.set
        })
        .collect();
    Ok(notes)
}

/// A set, or a part of one.
struct Part {
    person: Option<FacesetNumber>,
    /// Not as it came: it needs a name.
    made: bool,
    set: RefinedSet,
}

impl Part {
    fn take_in(&mut self, other: RefinedSet) {
        let set = &mut self.set;
        set.faces.extend(other.faces);
        set.dropped.extend(other.dropped);
        set.images.extend(other.images);
        set.images.sort();
        set.images.dedup();
        set.label = set.label.take().or(other.label);
        self.made = true;
    }
}

/// The faces of a mixed set by person, each face in one part.
fn take_apart(
    set: &RefinedSet,
    people: &[FacesetNumber],
    registry: &Registry,
    cache: &Cache,
) -> Result<Vec<Part>, PipelineError> {
    let owner = |face: &FaceKey| {
        let number = registry.owner(face).map(|i| registry.root(i.number));
        number.filter(|n| people.contains(n))
    };
    let mut persons: Vec<Person> = Vec::new();
    for number in people {
        let own = set.faces.iter().filter(|f| owner(f) == Some(*number));
        persons.push(Person {
            name: number.folder_name(),
            number: Some(*number),
            looks: look(own.filter_map(|f| embedding(cache, f)), None)?
                .into_iter()
                .collect(),
        });
    }
    let asked: Vec<&FaceKey> = set.faces.iter().filter(|f| owner(f).is_none()).collect();
    let faces: Vec<Face<'_>> = asked
        .iter()
        .filter_map(|key| {
            Some(Face {
                key: (*key).clone(),
                embedding: embedding(cache, key)?,
                taken: "",
            })
        })
        .collect();
    let decisions = decide(&faces, &persons, ANY, &NegativeMemory(registry))?;
    let nearest: BTreeMap<_, _> = faces
        .iter()
        .zip(&decisions)
        .filter_map(|(face, d)| Some((face.key.id(), people[d.person()?])))
        .collect();
    let mut parts: BTreeMap<FacesetNumber, Vec<FaceKey>> = BTreeMap::new();
    for face in &set.faces {
        let number = owner(face)
            .or_else(|| nearest.get(&face.id()).copied())
            .unwrap_or(people[0]);
        parts.entry(number).or_default().push(face.clone());
    }
    let largest = people[0];
    Ok(parts
        .into_iter()
        .map(|(number, faces)| Part {
            person: Some(number),
            made: true,
            set: RefinedSet {
                name: set.name.clone(),
                label: set.label.clone().filter(|_| number == largest),
                images: images_of(&faces, set, cache),
                faces,
                dropped: if number == largest {
                    set.dropped.clone()
                } else {
                    Vec::new()
                },
                extra: Map::new(),
            },
        })
        .collect())
}

fn embedding<'c>(cache: &'c Cache, key: &FaceKey) -> Option<&'c [f32]> {
    let (file, at) = cache.face(key)?;
    Some(file.faces()[at].embedding.as_slice())
}

/// The images of a set that show one of these faces, copies included.
fn images_of(faces: &[FaceKey], set: &RefinedSet, cache: &Cache) -> Vec<faceset_core::SourcePath> {
    let photos: BTreeSet<_> = faces.iter().map(|f| f.sha256).collect();
    let shows = |path: &faceset_core::SourcePath| {
        cache
            .resolve(path)
            .is_some_and(|file| photos.contains(&file.sha256))
    };
    set.images.iter().filter(|p| shows(p)).cloned().collect()
}

/// Takes out of each set what is no face, and the faces that were refused for its
/// person: into the
/// set of the person they belong to when there is one here, else to the
/// dropped ones with the reason `not_this_person`. Sets are known by their
/// number, so this comes after numbers were given. Returns how many left.
pub fn leave_out(manifest: &mut RefineManifest, registry: &Registry, cache: &Cache) -> usize {
    let mut moved: Vec<(FacesetNumber, FaceKey)> = Vec::new();
    let mut n_left = 0;
    for set in &mut manifest.facesets {
        let Some(number) = canonical_faceset_number(&set.name) else {
            continue;
        };
        let (out, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut set.faces)
            .into_iter()
            .partition(|face| registry.forbids(face, number));
        set.faces = kept;
        if out.is_empty() {
            continue;
        }
        n_left += out.len();
        set.images = images_of(&set.faces, set, cache);
        for key in out {
            if let Some(owner) = registry.owner(&key) {
                moved.push((registry.root(owner.number), key.clone()));
            }
            set.dropped.push(DroppedFace {
                reason: if registry.is_no_face(&key) {
                    NO_FACE.to_owned()
                } else {
                    NOT_THIS_PERSON.to_owned()
                },
                key,
                value: None,
                limit: None,
            });
        }
    }
    for (owner, key) in moved {
        let name = owner.folder_name();
        let Some(set) = manifest.facesets.iter_mut().find(|s| s.name == name) else {
            continue;
        };
        if set.faces.iter().all(|f| f.id() != key.id()) {
            if let Some(file) = cache.by_hash(&key.sha256) {
                set.images
                    .extend(cache.places(&file.path).into_iter().cloned());
                set.images.sort();
                set.images.dedup();
            }
            set.faces.push(key);
        }
    }
    n_left
}

/// The people of the sets of one manifest, for an export.
#[derive(Debug)]
pub struct PeopleBounds<'a> {
    registry: &'a Registry,
    people: BTreeMap<String, Vec<FacesetNumber>>,
    /// Export hidden people, too.
    with_hidden: bool,
}

impl<'a> PeopleBounds<'a> {
    /// Recognises the person of each set: by its faces or label, else by its
    /// number when the registry knows that one.
    pub fn new(registry: &'a Registry, manifest: &RefineManifest, with_hidden: bool) -> Self {
        let people = manifest
            .facesets
            .iter()
            .map(|set| {
                let found = registry.match_set(&set.name, set.label.as_deref(), &set.faces);
                let numbers = match found.matched {
                    Matched::Label(n) | Matched::Faces(n) => vec![n],
                    Matched::Ambiguous(several) => several,
                    // The number counts unless it is visibly somebody else's.
                    Matched::New => canonical_faceset_number(&set.name)
                        .filter(|n| registry.identity(*n).is_some())
                        .filter(|n| {
                            let person = registry.root(*n);
                            registry.n_faces_of(person) == 0
                                || found.n_faces == 0
                                || found.shared.iter().any(|(who, _)| *who == person)
                        })
                        .into_iter()
                        .collect(),
                };
                (set.name.clone(), numbers)
            })
            .collect();
        Self {
            registry,
            people,
            with_hidden,
        }
    }

    fn of(&self, set: &RefinedSet) -> &[FacesetNumber] {
        self.people.get(&set.name).map_or(&[], Vec::as_slice)
    }
}

impl Bounds for PeopleBounds<'_> {
    fn holds_back(&self, set: &RefinedSet) -> Option<&'static str> {
        let is_any = |state| {
            let mut people = self.of(set).iter();
            people.any(|n| state_of(self.registry, *n) == Some(state))
        };
        if !self.with_hidden && is_any(State::Hidden) {
            Some(REFUSED_HIDDEN)
        } else {
            is_any(State::Thin).then_some(REFUSED_THIN)
        }
    }

    fn forbids(&self, set: &RefinedSet, face: &FaceKey) -> bool {
        self.registry.is_no_face(face)
            || self.of(set).iter().any(|n| self.registry.forbids(face, *n))
    }
}

/// True when the person was hidden.
pub fn is_hidden(registry: &Registry, number: FacesetNumber) -> bool {
    state_of(registry, number) == Some(State::Hidden)
}

/// The state of the identity that stands for this number.
fn state_of(registry: &Registry, number: FacesetNumber) -> Option<State> {
    Some(registry.identity(registry.root(number))?.state)
}

/// What a report may show: groups and sets without hidden people.
pub fn without_hidden(
    raw: &RawManifest,
    refined: &RefineManifest,
    registry: &Registry,
) -> (RawManifest, RefineManifest) {
    let (mut raw, mut refined) = (raw.clone(), refined.clone());
    let hidden = |faces: &[FaceKey]| {
        let found = registry.match_set("", None, faces).matched;
        found.number().is_some_and(|n| is_hidden(registry, n))
    };
    raw.persons.retain(|person| !hidden(&person.faces));
    refined.facesets.retain(|set| !hidden(&set.faces));
    (raw, refined)
}
