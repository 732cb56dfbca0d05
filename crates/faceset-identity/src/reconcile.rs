//! Which sets of a fresh run are which identities.
//!
//! Only labels and face keys speak: the number in a fresh set's name says
//! nothing, since `refine` numbers by size.

use std::collections::{BTreeMap, BTreeSet};

use faceset_core::manifest::{RefineManifest, RefinedSet};
use faceset_core::{Consent, FaceKey, FacesetNumber, PersonFacts, canonical_faceset_number};
use serde::Serialize;

use crate::error::IdentityError;
use crate::identity::{FaceId, Identity, State};
use crate::registry::Registry;

/// Part of the smaller side (the set, or the identity) that must be shared for
/// them to be the same person; equal is enough. A user's choice: the majority.
pub const MIN_SHARED: f64 = 0.5;

/// What a set was recognised by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Matched {
    /// Its label is the identity's name, to the letter.
    Label(FacesetNumber),
    /// It shares enough faces with this identity, and with no other.
    Faces(FacesetNumber),
    /// It shares enough faces with several; most shared first.
    Ambiguous(Vec<FacesetNumber>),
    /// It is nobody known.
    New,
}

impl Matched {
    /// The one identity, if there is one.
    pub fn number(&self) -> Option<FacesetNumber> {
        match self {
            Self::Label(number) | Self::Faces(number) => Some(*number),
            Self::Ambiguous(_) | Self::New => None,
        }
    }
}

/// One set of a fresh run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetMatch {
    /// Its name in the manifest.
    pub set: String,
    /// Who it is.
    pub matched: Matched,
    /// Its faces.
    pub n_faces: usize,
    /// Faces shared with each person it shares any with, most first.
    pub shared: Vec<(FacesetNumber, usize)>,
}

/// All sets of a fresh run, in the order of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Reconciliation {
    /// The sets.
    pub sets: Vec<SetMatch>,
}

/// New names for the sets of a fresh run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Renumbering {
    /// Old name and number, in the order of the manifest.
    pub numbers: Vec<(String, FacesetNumber)>,
    /// Sets that were given a new number although they look like somebody.
    pub notes: Vec<String>,
}

/// Identities and set sizes that share faces.
struct Overlap {
    n_faces: usize,
    shared: Vec<(FacesetNumber, usize)>,
}

impl Registry {
    /// Shared faces per person, most first, then by number. Each known face
    /// counts once, whatever number of boxes found it.
    fn overlap<'a>(&self, faces: impl IntoIterator<Item = &'a FaceKey>) -> Overlap {
        let mut own: BTreeSet<FaceId> = BTreeSet::new();
        let mut known: BTreeSet<(FacesetNumber, FaceId)> = BTreeSet::new();
        for face in faces {
            own.insert(face.id());
            if let Some((id, owner)) = self.owner_of(face) {
                known.insert((self.root(owner), id));
            }
        }
        let mut counts: BTreeMap<FacesetNumber, usize> = BTreeMap::new();
        for (person, _) in known {
            *counts.entry(person).or_default() += 1;
        }
        let mut shared: Vec<_> = counts.into_iter().collect();
        shared.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Overlap {
            n_faces: own.len(),
            shared,
        }
    }

    /// People with whom the faces share at least [`MIN_SHARED`] of the smaller
    /// side, most shared first.
    fn candidates(&self, overlap: &Overlap) -> Vec<FacesetNumber> {
        overlap
            .shared
            .iter()
            .filter(|(number, n_shared)| {
                let smaller = self.n_faces_of(*number).min(overlap.n_faces);
                *n_shared as f64 >= MIN_SHARED * smaller as f64
            })
            .map(|(number, _)| *number)
            .collect()
    }

    /// Number of faces of a person, those of merged identities included.
    pub fn n_faces_of(&self, number: FacesetNumber) -> usize {
        self.same_person(number)
            .iter()
            .map(|n| self.identities[n].faces.len())
            .sum()
    }

    /// The person whose name is this label, to the letter.
    fn named(&self, label: &str) -> Option<FacesetNumber> {
        self.identities()
            .find(|i| i.name.as_deref() == Some(label))
            .map(|i| self.root(i.number))
    }

    /// Who a set with these faces and this label is: by label if it is
    /// somebody's name, else by faces, see [`MIN_SHARED`].
    pub fn match_set<'a>(
        &self,
        name: &str,
        label: Option<&str>,
        faces: impl IntoIterator<Item = &'a FaceKey>,
    ) -> SetMatch {
        let overlap = self.overlap(faces);
        let matched = match label.and_then(|l| self.named(l)) {
            Some(number) => Matched::Label(number),
            None => match self.candidates(&overlap).as_slice() {
                [] => Matched::New,
                [one] => Matched::Faces(*one),
                several => Matched::Ambiguous(several.to_vec()),
            },
        };
        SetMatch {
            set: name.to_owned(),
            matched,
            n_faces: overlap.n_faces,
            shared: overlap.shared,
        }
    }

    /// Who the sets of a fresh run are.
    pub fn reconcile(&self, manifest: &RefineManifest) -> Reconciliation {
        let sets = manifest
            .facesets
            .iter()
            .map(|set| self.match_set(&set.name, set.label.as_deref(), &set.faces))
            .collect();
        Reconciliation { sets }
    }

    /// The identity that a set is, when it is one and only one.
    pub fn facts_for(&self, set: &RefinedSet) -> Option<&Identity> {
        self.match_set(&set.name, set.label.as_deref(), &set.faces)
            .matched
            .number()
            .and_then(|number| self.identity(number))
    }

    /// Consent and birth date of a person, those of merged identities included:
    /// the strictest of what was said. One refusal is a refusal; of several
    /// birth dates the latest counts.
    pub fn facts_of(&self, number: FacesetNumber) -> PersonFacts {
        let members = self.same_person(number);
        strictest(members.iter().map(|n| self.identities[n].facts()))
    }

    /// Consent and birth date to export a set by: of the identity it is, and of
    /// everybody with whom it shares enough faces, the strictest. So a set
    /// whose label names one person and whose faces are another's, or in which
    /// two people were mixed, is not exported against the wish of either.
    ///
    /// Consent is granted only when it was granted by all of them.
    pub fn export_facts(&self, set: &RefinedSet) -> PersonFacts {
        let mut people: BTreeSet<_> = self
            .candidates(&self.overlap(&set.faces))
            .into_iter()
            .collect();
        people.extend(set.label.as_deref().and_then(|l| self.named(l)));
        let all: Vec<PersonFacts> = people.iter().map(|n| self.facts_of(*n)).collect();
        let mut facts = strictest(all.iter().copied());
        if facts.consent == Consent::Granted && all.iter().any(|f| f.consent != Consent::Granted) {
            facts.consent = Consent::Unknown;
        }
        facts
    }

    /// Numbers for the sets of a fresh run: a known person keeps theirs, and
    /// others get free ones, in the order of the manifest. When several sets
    /// are one person the one that shares most faces has the number.
    pub fn renumber(
        &self,
        manifest: &RefineManifest,
        taken: &BTreeSet<FacesetNumber>,
    ) -> Result<Renumbering, IdentityError> {
        let matches = self.reconcile(manifest).sets;
        let mut by_strength: Vec<usize> = (0..matches.len()).collect();
        let strength = |i: usize| {
            let number = matches[i].matched.number();
            let shared = matches[i].shared.iter().find(|(n, _)| Some(*n) == number);
            shared.map_or(0, |(_, n)| *n)
        };
        by_strength.sort_by(|a, b| strength(*b).cmp(&strength(*a)).then_with(|| a.cmp(b)));
        let mut chosen: Vec<Option<FacesetNumber>> = vec![None; matches.len()];
        let mut used = BTreeSet::new();
        for i in by_strength {
            chosen[i] = matches[i].matched.number().filter(|n| used.insert(*n));
        }
        let n_new = chosen.iter().filter(|n| n.is_none()).count();
        let mut free = self.free_numbers(n_new, taken)?.into_iter();
        let mut result = Renumbering::default();
        for (set, number) in matches.iter().zip(chosen) {
            let number = match number {
                Some(number) => number,
                None => free.next().expect("one for each set without a number"),
            };
            let known = match &set.matched {
                Matched::Label(n) | Matched::Faces(n) if *n != number => Some(format!(
                    "{} is already another set of this run",
                    n.folder_name()
                )),
                Matched::Ambiguous(several) => Some(format!(
                    "it shares as much with {}",
                    several
                        .iter()
                        .map(|n| n.folder_name())
                        .collect::<Vec<_>>()
                        .join(" and ")
                )),
                _ => None,
            };
            if let Some(known) = known {
                result.notes.push(format!(
                    "{} becomes the new {}: {known}",
                    set.set,
                    number.folder_name()
                ));
            }
            result.numbers.push((set.set.clone(), number));
        }
        Ok(result)
    }
}

impl Renumbering {
    /// The manifest with the new names, by number; known people's sets without
    /// a label get their name. Sets whose name the renumbering does not know
    /// stay as they are, behind the others.
    pub fn applied_to(&self, manifest: &RefineManifest, registry: &Registry) -> RefineManifest {
        let numbers: BTreeMap<&str, FacesetNumber> =
            self.numbers.iter().map(|(s, n)| (s.as_str(), *n)).collect();
        let mut renamed = manifest.clone();
        for set in &mut renamed.facesets {
            if let Some(number) = numbers.get(set.name.as_str()) {
                set.name = number.folder_name();
                if set.label.is_none() {
                    set.label = registry.name_of(*number).map(str::to_owned);
                }
            }
        }
        let order = |set: &RefinedSet| {
            canonical_faceset_number(&set.name).map_or(u32::MAX, FacesetNumber::get)
        };
        renamed.facesets.sort_by_key(order);
        renamed
    }
}

impl Registry {
    /// What people call the person: the name of the identity that stands for
    /// them, else the first name of those merged into it.
    pub fn name_of(&self, number: FacesetNumber) -> Option<&str> {
        let root = self.root(number);
        let name = |n: &FacesetNumber| self.identities.get(n).and_then(|i| i.name.as_deref());
        name(&root).or_else(|| self.same_person(root).iter().find_map(name))
    }

    /// True when the person takes part in exports: not hidden, not forgotten.
    pub fn is_shown(&self, number: FacesetNumber) -> bool {
        self.identity(self.root(number))
            .is_some_and(|i| matches!(i.state, State::Active | State::Thin))
    }
}

/// One refusal is a refusal, then one yes is a yes; the latest birth date.
fn strictest(all: impl Iterator<Item = PersonFacts>) -> PersonFacts {
    all.fold(PersonFacts::default(), |so_far, one| PersonFacts {
        consent: match (so_far.consent, one.consent) {
            (Consent::Denied, _) | (_, Consent::Denied) => Consent::Denied,
            (Consent::Granted, _) | (_, Consent::Granted) => Consent::Granted,
            _ => Consent::Unknown,
        },
        birth: so_far.birth.max(one.birth),
    })
}
