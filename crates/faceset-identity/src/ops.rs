//! What people can do to identities, as plans. Applying is in `store`.
//!
//! Operations on an identity that was merged into another are about the one
//! that stands for both. Nothing can be done to a forgotten one.

use std::collections::BTreeSet;

use faceset_core::{CivilDate, Consent, FaceKey, FacesetNumber};
use serde_json::Value;

use crate::change::{Change, Edit, FacesEdit, NoFacesEdit, Plan};
use crate::error::{Flaw, IdentityError};
use crate::identity::{Identity, State, describe, is_usable, name_flaw};
use crate::journal::state_before;
use crate::registry::Registry;

impl Registry {
    pub(crate) fn plan(&self, what: String, changes: Vec<Change>) -> Plan {
        Plan {
            at_entry: self.entry,
            what,
            notes: Vec::new(),
            changes,
            undoes: None,
        }
    }

    /// The identity that stands for this number.
    pub(crate) fn person(&self, number: FacesetNumber) -> Result<&Identity, IdentityError> {
        match self.identity(self.root(number)) {
            None => Err(IdentityError::Unknown {
                person: number.folder_name(),
            }),
            Some(identity) if identity.state == State::Forgotten => Err(IdentityError::Refused {
                what: format!("change {}", number.folder_name()),
                flaw: Flaw::at(number, "it is forgotten, for good"),
            }),
            Some(identity) => Ok(identity),
        }
    }

    /// The next `n` free numbers: past every number ever given and past those
    /// that `taken` names (folders on disk, see
    /// [`numbers_on_disk`](crate::numbers_on_disk)).
    ///
    /// The original tool went on past the highest number it had *emitted*, and
    /// so gave trailing numbers of dropped sets twice. Here a number is never
    /// given twice, whatever became of it.
    pub fn free_numbers(
        &self,
        n: usize,
        taken: &BTreeSet<FacesetNumber>,
    ) -> Result<Vec<FacesetNumber>, IdentityError> {
        let last = taken.last().map_or(0, |t| t.get()).max(self.highest);
        (1..=n)
            .map(|i| {
                u32::try_from(i)
                    .ok()
                    .and_then(|i| last.checked_add(i))
                    .and_then(|v| FacesetNumber::new(v).ok())
                    .ok_or_else(|| IdentityError::NoNumbers {
                        last: FacesetNumber::new(last.max(1)).expect("it was given out"),
                    })
            })
            .collect()
    }

    /// Gives out the next `n` free numbers. They are `reserved` for that reason
    /// until a set is recorded.
    pub fn plan_allocate(
        &self,
        n: usize,
        taken: &BTreeSet<FacesetNumber>,
        reason: &str,
        provenance: &Value,
    ) -> Result<(Plan, Vec<FacesetNumber>), IdentityError> {
        let numbers = self.free_numbers(n, taken)?;
        let changes = numbers
            .iter()
            .map(|number| {
                Change::Create(Box::new(Identity {
                    reserved: Some(reason.to_owned()),
                    provenance: provenance.clone(),
                    ..Identity::new(*number)
                }))
            })
            .collect();
        let what = match numbers.as_slice() {
            [] => "gave out no number".to_owned(),
            [one] => format!("gave out {}", one.folder_name()),
            [first, .., last] => {
                format!("gave out {} to {}", first.folder_name(), last.folder_name())
            }
        };
        Ok((self.plan(what, changes), numbers))
    }

    /// Names a person, or takes the name away. Names are unique, in any case.
    pub fn plan_name(
        &self,
        number: FacesetNumber,
        name: Option<&str>,
    ) -> Result<Plan, IdentityError> {
        let identity = self.person(number)?;
        if let Some(name) = name {
            let refuse = |flaw| {
                Err(IdentityError::Name {
                    name: name.chars().take(40).collect(),
                    flaw,
                })
            };
            if let Some(flaw) = name_flaw(name) {
                return refuse(flaw);
            }
            if let Ok(other) = self.find(name)
                && self.root(other.number) != identity.number
            {
                let who = other.number.folder_name();
                return refuse(format!(
                    "{who} has it; merge the two when they are one person, else add a word"
                ));
            }
        }
        let after = name.map(str::to_owned);
        let what = match name {
            Some(name) => format!("named {} {name}", identity.title()),
            None => format!("took the name of {}", identity.title()),
        };
        let edit = edit(identity.number, &identity.name, after);
        Ok(self.plan(what, edit.map(Change::Name).into_iter().collect()))
    }

    /// Notes whether the person agreed to a swap set.
    pub fn plan_consent(
        &self,
        number: FacesetNumber,
        consent: Consent,
    ) -> Result<Plan, IdentityError> {
        let identity = self.person(number)?;
        let word = match consent {
            Consent::Granted => "granted",
            Consent::Denied => "denied",
            Consent::Unknown => "unknown",
        };
        let what = format!("consent of {}: {word}", identity.title());
        let edit = edit(identity.number, &identity.consent, consent);
        let mut plan = self.plan(what, edit.map(Change::Consent).into_iter().collect());
        if consent != Consent::Denied && self.facts_of(number).consent == Consent::Denied {
            let others = self.same_person(number);
            let denied = others
                .iter()
                .find(|n| **n != identity.number && self.identities[n].consent == Consent::Denied);
            if let Some(denied) = denied {
                plan.notes.push(format!(
                    "{} was merged into it with consent denied, so the person stays denied; unmerge it first to change that",
                    denied.folder_name()
                ));
            }
        }
        Ok(plan)
    }

    /// Notes the birth date, or takes it away.
    pub fn plan_birth_date(
        &self,
        number: FacesetNumber,
        date: Option<CivilDate>,
        today: CivilDate,
    ) -> Result<Plan, IdentityError> {
        let identity = self.person(number)?;
        if let Some(date) = date.filter(|d| *d > today) {
            return Err(IdentityError::FutureBirth { date, today });
        }
        let what = match date {
            Some(date) => format!("birth date of {}: {date}", identity.title()),
            None => format!("took the birth date of {}", identity.title()),
        };
        let edit = edit(identity.number, &identity.birth_date, date);
        Ok(self.plan(what, edit.map(Change::BirthDate).into_iter().collect()))
    }

    /// Hides a person from lists and exports.
    pub fn plan_hide(&self, number: FacesetNumber) -> Result<Plan, IdentityError> {
        self.plan_state(number, State::Hidden, "hid")
    }

    /// What a hidden person was before.
    pub(crate) fn before_hiding(&self, number: FacesetNumber) -> State {
        state_before(&self.history, number, State::Hidden)
    }

    /// Shows a hidden person again, as they were before.
    pub fn plan_unhide(&self, number: FacesetNumber) -> Result<Plan, IdentityError> {
        let identity = self.person(number)?;
        let before = match identity.state {
            State::Hidden => self.before_hiding(identity.number),
            other => other,
        };
        self.plan_state(number, before, "no longer hid")
    }

    /// Marks a person as having too few faces for a set, or takes that back.
    /// A hidden person stays hidden.
    pub fn plan_thin(&self, number: FacesetNumber, thin: bool) -> Result<Plan, IdentityError> {
        self.plan_thin_all(&[number], thin)
    }

    fn plan_state(
        &self,
        number: FacesetNumber,
        to: State,
        verb: &str,
    ) -> Result<Plan, IdentityError> {
        let identity = self.person(number)?;
        let edit = edit(identity.number, &identity.state, to);
        let what = format!("{verb} {}", identity.title());
        Ok(self.plan(what, edit.map(Change::State).into_iter().collect()))
    }

    /// Says that `from` and `into` are one person, for whom `into` stands. The
    /// faces stay listed where they are, so that unmerging is always possible.
    ///
    /// Refused when a person said of a face of one that it is not the other.
    pub fn plan_merge(
        &self,
        from: FacesetNumber,
        into: FacesetNumber,
    ) -> Result<Plan, IdentityError> {
        let (from, into) = (self.person(from)?, self.person(into)?);
        let what = format!("merged {} into {}", from.title(), into.title());
        let refuse = |what: &str| {
            Err(IdentityError::Refused {
                what: format!("merge {} into {}", from.title(), into.title()),
                flaw: Flaw::at(from.number, what),
            })
        };
        if from.number == into.number {
            return refuse("they are one person already");
        }
        for (a, b) in [(from, into), (into, from)] {
            let faces = self.faces_of(a.number);
            if let Some(face) = faces.iter().find(|face| self.forbids(face, b.number)) {
                return refuse(&format!(
                    "its face or the other's, {}, was said not to be {}; take that back first",
                    describe(face),
                    b.number.folder_name()
                ));
            }
        }
        let edit = edit(from.number, &from.state, State::Merged(into.number));
        Ok(self.plan(what, edit.map(Change::State).into_iter().collect()))
    }

    /// Parts an identity from the one it was merged into; it becomes what it
    /// was before.
    pub fn plan_unmerge(&self, number: FacesetNumber) -> Result<Plan, IdentityError> {
        let refuse = |what: &str| IdentityError::Refused {
            what: format!("unmerge {}", number.folder_name()),
            flaw: Flaw::at(number, what),
        };
        let Some(identity) = self.identity(number) else {
            return Err(IdentityError::Unknown {
                person: number.folder_name(),
            });
        };
        let State::Merged(into) = identity.state else {
            return Err(refuse("it is not merged into another"));
        };
        let before = state_before(&self.history, number, identity.state);
        // Who goes with it: everyone whose way to the root leads through it.
        let (with, without): (Vec<_>, Vec<_>) = self
            .same_person(number)
            .into_iter()
            .partition(|n| self.leads_through(*n, number));
        let mut changes = vec![Change::State(Edit {
            number,
            before: identity.state,
            after: before,
        })];
        let mut notes = Vec::new();
        for (own, other) in [(&with, &without), (&without, &with)] {
            for n in own {
                let feature = self.identities[n].feature.as_ref();
                let elsewhere =
                    |k: &&FaceKey| self.owner_of(k).is_some_and(|(_, o)| other.contains(&o));
                if let Some(key) = feature.filter(elsewhere) {
                    changes.push(feature_change(*n, Some(key), None));
                    notes.push(format!("{} loses its feature face", n.folder_name()));
                }
            }
        }
        let into = self.identities[&into].title();
        let what = format!("parted {} from {into}", identity.title());
        let mut plan = self.plan(what, changes);
        plan.notes = notes;
        Ok(plan)
    }

    fn leads_through(&self, from: FacesetNumber, through: FacesetNumber) -> bool {
        let mut at = from;
        loop {
            if at == through {
                return true;
            }
            match self.identities[&at].state {
                State::Merged(into) => at = into,
                _ => return false,
            }
        }
    }

    /// Chooses the face that stands for a person; `None` takes it away. The
    /// face must be one of theirs.
    pub fn plan_feature(
        &self,
        number: FacesetNumber,
        face: Option<&FaceKey>,
    ) -> Result<Plan, IdentityError> {
        let identity = self.person(number)?;
        let stored = match face {
            None => None,
            Some(face) => Some(self.stored(face, identity)?),
        };
        let what = match stored {
            Some(key) => format!("feature face of {}: {}", identity.title(), describe(key)),
            None => format!("no feature face of {}", identity.title()),
        };
        let changes = if identity.feature.as_ref() == stored {
            Vec::new()
        } else {
            vec![feature_change(
                identity.number,
                identity.feature.as_ref(),
                stored,
            )]
        };
        Ok(self.plan(what, changes))
    }

    /// The key under which a person's face is stored.
    pub(crate) fn stored(
        &self,
        face: &FaceKey,
        person: &Identity,
    ) -> Result<&FaceKey, IdentityError> {
        self.owner_of(face)
            .filter(|(_, owner)| self.root(*owner) == person.number)
            .and_then(|(id, owner)| self.identities[&owner].faces.of_id(&id))
            .ok_or_else(|| IdentityError::Refused {
                what: format!("use the face {}", describe(face)),
                flaw: Flaw::at(person.number, "it is not one of its faces"),
            })
    }

    /// Notes that a face is not this person. It leaves the person's faces and
    /// never comes back by itself, see [`Registry::forbids`].
    pub fn plan_not_this_person(
        &self,
        number: FacesetNumber,
        face: &FaceKey,
    ) -> Result<Plan, IdentityError> {
        let person = self.person(number)?;
        check_usable(face)?;
        let mut changes = Vec::new();
        let mut notes = Vec::new();
        let owned = self
            .owner_of(face)
            .filter(|(_, owner)| self.root(*owner) == person.number);
        let mut refused = face.clone();
        if let Some((id, owner)) = owned {
            let stored = self.identities[&owner].faces.of_id(&id);
            let stored = stored.expect("an owner lists its faces");
            refused = stored.clone();
            for n in self.same_person(person.number) {
                if self.identities[&n].feature.as_ref().map(FaceKey::id) == Some(id) {
                    changes.push(feature_change(
                        n,
                        self.identities[&n].feature.as_ref(),
                        None,
                    ));
                    notes.push(format!("{} loses its feature face", n.folder_name()));
                }
            }
            changes.push(Change::Faces(FacesEdit {
                number: owner,
                removed: vec![stored.clone()],
                added: Vec::new(),
            }));
        }
        if !self.forbids(&refused, person.number) || owned.is_some() {
            let target = owned.map_or(person.number, |(_, owner)| owner);
            if !self.identities[&target]
                .not_this_person
                .contains(&refused.id())
            {
                changes.push(Change::NotThisPerson(FacesEdit {
                    number: target,
                    removed: Vec::new(),
                    added: vec![refused.clone()],
                }));
            }
        }
        let what = format!("{} is not {}", describe(&refused), person.title());
        let mut plan = self.plan(what, changes);
        plan.notes = notes;
        Ok(plan)
    }

    /// Takes a face from its owner without saying that it can't be theirs.
    pub(crate) fn plan_release(
        &self,
        owner: FacesetNumber,
        face: &FaceKey,
    ) -> Result<Plan, IdentityError> {
        let mut release = self.plan_not_this_person(owner, face)?;
        release
            .changes
            .retain(|change| !matches!(change, Change::NotThisPerson(_)));
        Ok(release)
    }

    /// Notes that a face is this person, whoever had it before and whatever was
    /// said before.
    pub fn plan_this_person(
        &self,
        number: FacesetNumber,
        face: &FaceKey,
    ) -> Result<Plan, IdentityError> {
        let person = self.person(number)?;
        check_usable(face)?;
        let what = format!("{} is {}", describe(face), person.title());
        let mut changes = Vec::new();
        let mut key = face.clone();
        if let Some((id, owner)) = self.owner_of(face) {
            if self.root(owner) == person.number {
                return Ok(self.plan(what, changes));
            }
            changes = self.plan_release(owner, face)?.changes;
            let stored = self.identities[&owner].faces.of_id(&id);
            key = stored.expect("an owner lists its faces").clone();
        }
        if let Some(struck) = self.no_face(&key).cloned() {
            changes.push(Change::NoFaces(NoFacesEdit {
                removed: vec![struck],
                added: Vec::new(),
            }));
        }
        for n in self.same_person(person.number) {
            let no = &self.identities[&n].not_this_person;
            if let Some(refused) = no.of_id(&key.id()) {
                changes.push(Change::NotThisPerson(FacesEdit {
                    number: n,
                    removed: vec![refused.clone()],
                    added: Vec::new(),
                }));
            }
        }
        changes.push(Change::Faces(FacesEdit {
            number: person.number,
            removed: Vec::new(),
            added: vec![key],
        }));
        Ok(self.plan(what, changes))
    }

    /// Takes an entry back, if nothing that came later is in the way. The
    /// undoing is an entry of its own and can be undone.
    pub fn plan_undo(&self, id: u64) -> Result<Plan, IdentityError> {
        let Some(entry) = self.history.iter().find(|e| e.id == id) else {
            return Err(IdentityError::NoEntry { id });
        };
        let cannot = |why: String| IdentityError::NotUndoable { id, why };
        let inverses: Option<Vec<Change>> =
            entry.changes.iter().rev().map(Change::inverse).collect();
        let Some(changes) = inverses else {
            return Err(cannot("what was forgotten is gone for good".to_owned()));
        };
        if changes.is_empty() {
            return Err(cannot(
                "it was about a person who has been forgotten".to_owned(),
            ));
        }
        let mut trial = self.clone();
        if let Err(flaw) = trial.apply(&changes) {
            let touched: BTreeSet<_> = changes.iter().map(Change::number).collect();
            let touches = |c: &Change| touched.contains(&c.number());
            let later = self
                .history
                .iter()
                .rev()
                .find(|e| e.id > id && e.changes.iter().any(touches));
            return Err(cannot(match later {
                Some(later) => format!("{flaw}; undo entry {} first ({})", later.id, later.what),
                None => flaw.to_string(),
            }));
        }
        let mut plan = self.plan(format!("undid entry {id}: {}", entry.what), changes);
        plan.undoes = Some(id);
        Ok(plan)
    }
}

fn edit<T: PartialEq + Clone>(number: FacesetNumber, before: &T, after: T) -> Option<Edit<T>> {
    (*before != after).then(|| Edit {
        number,
        before: before.clone(),
        after,
    })
}

pub(crate) fn feature_change(
    number: FacesetNumber,
    before: Option<&FaceKey>,
    after: Option<&FaceKey>,
) -> Change {
    Change::Feature(Edit {
        number,
        before: before.cloned().map(Box::new),
        after: after.cloned().map(Box::new),
    })
}

pub(crate) fn check_usable(face: &FaceKey) -> Result<(), IdentityError> {
    if is_usable(face) {
        return Ok(());
    }
    Err(IdentityError::Refused {
        what: format!("note the face {}", describe(face)),
        flaw: Flaw::key("its box", "it is not finite"),
    })
}
