//! Operations on several identities at once: splitting a person, hiding many.
//! Each is one plan, so one undo takes it back.

use std::collections::{BTreeMap, BTreeSet};

use faceset_core::{Consent, FaceKey, FacesetNumber};
use serde_json::json;

use crate::change::{Change, Edit, FacesEdit, Plan};
use crate::error::{Flaw, IdentityError};
use crate::identity::{Faces, Identity, State};
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
