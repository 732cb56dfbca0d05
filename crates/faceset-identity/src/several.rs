//! Operations on several identities at once: splitting a person, hiding many.
//! Each is one plan, so one undo takes it back.

use std::collections::{BTreeMap, BTreeSet};

use faceset_core::manifest::RefineManifest;
use faceset_core::{Consent, FaceKey, FacesetNumber, canonical_faceset_number};
use serde_json::json;

use crate::change::{Change, Edit, FacesEdit, Plan};
use crate::error::{Flaw, IdentityError};
use crate::identity::{Faces, Identity, State, is_usable};
use crate::ops::feature_change;
use crate::registry::Registry;

impl Registry {
    /// Gives some faces of a person a new number: somebody else. They leave the
    /// person and are refused for them, so that no later step brings them back.
    ///
    /// A refusal of consent and a birth date are taken over, since nobody knows
    /// yet for whom of the two they were said. The number is reserved until an
    /// export makes the set. Refused when a face is not the person's, when none
    /// is given, and when none would be left.
    pub fn plan_split(
        &self,
        number: FacesetNumber,
        faces: &[FaceKey],
        taken: &BTreeSet<FacesetNumber>,
    ) -> Result<(Plan, FacesetNumber), IdentityError> {
        let person = self.person(number)?;
        let refuse = |what: &str| IdentityError::Refused {
            what: format!("split {}", person.title()),
            flaw: Flaw::at(person.number, what),
        };
        let mut leaving: BTreeMap<FacesetNumber, Vec<FaceKey>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for face in faces {
            let stored = self.stored(face, person)?.clone();
            let (id, owner) = self.owner_of(face).expect("a stored face has an owner");
            if seen.insert(id) {
                leaving.entry(owner).or_default().push(stored);
            }
        }
        if seen.is_empty() {
            return Err(refuse("no face was given"));
        }
        if seen.len() == self.n_faces_of(person.number) {
            return Err(refuse("no face would be left; that is not a split"));
        }
        let new = self.free_numbers(1, taken)?[0];
        let mut notes = Vec::new();
        let mut changes = Vec::new();
        for n in self.same_person(person.number) {
            let feature = self.identities[&n].feature.as_ref();
            if feature.is_some_and(|key| seen.contains(&key.id())) {
                changes.push(feature_change(n, feature, None));
                notes.push(format!("{} loses its feature face", n.folder_name()));
            }
        }
        let mut theirs: Vec<FaceKey> = Vec::new();
        for (owner, keys) in leaving {
            changes.push(Change::Faces(FacesEdit {
                number: owner,
                removed: keys.clone(),
                added: Vec::new(),
            }));
            changes.push(Change::NotThisPerson(FacesEdit {
                number: owner,
                removed: Vec::new(),
                added: keys.clone(),
            }));
            theirs.extend(keys);
        }
        let facts = self.facts_of(person.number);
        let consent = match facts.consent {
            Consent::Denied => Consent::Denied,
            Consent::Granted | Consent::Unknown => Consent::Unknown,
        };
        if consent == Consent::Denied || facts.birth.is_some() {
            notes.push(format!(
                "{} takes over what was said: refused consent and birth date; change them if they are somebody else's",
                new.folder_name()
            ));
        }
        let n_faces = theirs.len();
        changes.push(Change::Create(Box::new(Identity {
            consent,
            birth_date: facts.birth,
            reserved: Some(format!(
                "split from {}; the next export makes its set",
                person.number.folder_name()
            )),
            provenance: json!({ "split_from": person.number.folder_name() }),
            faces: theirs.into_iter().collect::<Faces>(),
            ..Identity::new(new)
        })));
        let what = format!(
            "split {n_faces} faces off {}: {}",
            person.title(),
            new.folder_name()
        );
        let mut plan = self.plan(what, changes);
        plan.notes = notes;
        Ok((plan, new))
    }

    /// Hides several people in one entry. Those that are hidden already are
    /// passed over; merged numbers mean the one that stands for them.
    pub fn plan_hide_all(&self, numbers: &[FacesetNumber]) -> Result<Plan, IdentityError> {
        self.plan_states(numbers, "hid", |_| State::Hidden)
    }

    /// Shows several people again, each as before, in one entry.
    pub fn plan_unhide_all(&self, numbers: &[FacesetNumber]) -> Result<Plan, IdentityError> {
        self.plan_states(numbers, "no longer hid", |identity| match identity.state {
            State::Hidden => self.before_hiding(identity.number),
            other => other,
        })
    }

    /// Marks several people as having too few faces for a set, or takes that
    /// back, in one entry. Hidden people stay hidden.
    pub fn plan_thin_all(
        &self,
        numbers: &[FacesetNumber],
        thin: bool,
    ) -> Result<Plan, IdentityError> {
        let (to, verb) = if thin {
            (State::Thin, "marked as thin")
        } else {
            (State::Active, "no longer marked as thin")
        };
        self.plan_states(numbers, verb, |identity| match identity.state {
            State::Active | State::Thin => to,
            other => other,
        })
    }

    /// Hides people, and groups of faces that have no number yet: each group
    /// gets one, since what is hidden must be known again. One entry, and one
    /// undo shows all of them again (the numbers stay used up).
    ///
    /// A group is its name, for the provenance, and its faces. Faces of others
    /// are passed over, and so is a group that has none left. `taken` as in
    /// [`Self::free_numbers`].
    pub fn plan_hide_strangers(
        &self,
        numbers: &[FacesetNumber],
        groups: &[(String, Vec<FaceKey>)],
        taken: &BTreeSet<FacesetNumber>,
    ) -> Result<Plan, IdentityError> {
        let mut plan = self.plan_hide_all(numbers)?;
        let mut claimed = BTreeSet::new();
        let groups: Vec<(&str, Faces)> = groups
            .iter()
            .map(|(name, faces)| {
                let own = faces
                    .iter()
                    .filter(|f| is_usable(f) && self.owner_of(f).is_none())
                    .filter(|f| claimed.insert(f.id()));
                (name.as_str(), own.cloned().collect::<Faces>())
            })
            .filter(|(_, faces)| !faces.is_empty())
            .collect();
        let given = self.free_numbers(groups.len(), taken)?;
        if let (Some(first), Some(last)) = (given.first(), given.last()) {
            let new = format!(
                "{} groups, as {} to {}",
                given.len(),
                first.folder_name(),
                last.folder_name()
            );
            plan.what = if plan.is_empty() {
                format!("hid {new}")
            } else {
                format!("{}, and {new}", plan.what)
            };
        }
        let hidden = groups
            .into_iter()
            .zip(given)
            .map(|((name, faces), number)| {
                Change::Create(Box::new(Identity {
                    state: State::Hidden,
                    reserved: Some("hidden before it had a set".to_owned()),
                    provenance: json!({ "step": "triage", "group": name }),
                    faces,
                    ..Identity::new(number)
                }))
            });
        plan.changes.extend(hidden);
        Ok(plan)
    }

    /// Gives out the numbers of sets that nobody has yet, for `reason`, before the sets are
    /// made: whatever ends the run, nobody else gets them. Nothing else is known of these
    /// people until an export is recorded.
    pub fn plan_reserve(
        &self,
        manifest: &RefineManifest,
        reason: &str,
        provenance: &serde_json::Value,
    ) -> Plan {
        let new: BTreeSet<FacesetNumber> = manifest
            .facesets
            .iter()
            .filter_map(|set| canonical_faceset_number(&set.name))
            .filter(|number| self.identity(*number).is_none())
            .collect();
        let what = format!("gave out {} numbers", new.len());
        let changes = new.into_iter().map(|number| {
            Change::Create(Box::new(Identity {
                reserved: Some(reason.to_owned()),
                provenance: provenance.clone(),
                ..Identity::new(number)
            }))
        });
        self.plan(what, changes.collect())
    }

    /// Remembers the faces of sets whose number is reserved and of which nothing
    /// is known, so that the next grouping recognises them and no second number
    /// is given out. Faces of others, and refused ones, are passed over.
    pub fn plan_remember(&self, manifest: &RefineManifest) -> Plan {
        let mut claimed = BTreeSet::new();
        let mut changes = Vec::new();
        for set in &manifest.facesets {
            let Some(number) = canonical_faceset_number(&set.name) else {
                continue;
            };
            let is_blank = self.identity(number).is_some_and(|i| {
                i.state != State::Forgotten && i.reserved.is_some() && i.faces.is_empty()
            });
            if !is_blank {
                continue;
            }
            let added: Vec<FaceKey> = set
                .faces
                .iter()
                .filter(|f| is_usable(f) && !self.forbids(f, number) && self.owner_of(f).is_none())
                .filter(|f| claimed.insert(f.id()))
                .cloned()
                .collect();
            if !added.is_empty() {
                changes.push(Change::Faces(FacesEdit {
                    number,
                    removed: Vec::new(),
                    added,
                }));
            }
        }
        let what = format!(
            "remembered the faces of {} sets that were not exported",
            changes.len()
        );
        self.plan(what, changes)
    }

    fn plan_states(
        &self,
        numbers: &[FacesetNumber],
        verb: &str,
        to: impl Fn(&Identity) -> State,
    ) -> Result<Plan, IdentityError> {
        let mut people = BTreeMap::new();
        for number in numbers {
            let person = self.person(*number)?;
            people.insert(person.number, person);
        }
        let changed: Vec<(&Identity, State)> = people
            .into_values()
            .map(|person| (person, to(person)))
            .filter(|(person, after)| person.state != *after)
            .collect();
        let changes = changed
            .iter()
            .map(|(person, after)| {
                Change::State(Edit {
                    number: person.number,
                    before: person.state,
                    after: *after,
                })
            })
            .collect();
        let what = match changed.as_slice() {
            [] => format!("{verb} nobody"),
            [(one, _)] => format!("{verb} {}", one.title()),
            several => {
                let names: Vec<_> = several
                    .iter()
                    .map(|(i, _)| i.number.folder_name())
                    .collect();
                format!("{verb} {} people: {}", names.len(), names.join(", "))
            }
        };
        Ok(self.plan(what, changes))
    }
}
