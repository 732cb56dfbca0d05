//! Taking in what people said of faces in another program: whose they are not, what is
//! no face, whose they are. One plan, so one undo takes it back.

use std::collections::{BTreeMap, BTreeSet};

use faceset_core::FacesetNumber;
use faceset_core::said::{FaceDecision, FaceDecisions, OutsidePerson};

use crate::change::{Change, Plan};
use crate::error::{Flaw, IdentityError};
use crate::identity::{State, describe, folded};
use crate::registry::Registry;

/// Which identity each person of the other program is, by their id there.
pub type PeopleLinks = BTreeMap<String, FacesetNumber>;

/// What taking decisions in would do. The counts of faces add up to those of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionsPlan {
    /// The change; empty when everything is known.
    pub plan: Plan,
    /// Faces whose entry in the registry changes.
    pub n_changed: usize,
    /// Faces of which everything is known already.
    pub n_known: usize,
    /// Faces that nobody linked was named for.
    pub n_unlinked: usize,
    /// Faces of which something was not taken in, since the registry says otherwise.
    pub n_conflicts: usize,
}

impl Registry {
    /// Which identity each person of the file is: as `given` (id or name there, number
    /// here), else the identity of the same name in any case, if it has not been
    /// forgotten. Merged numbers become the one that stands for them. Who is not found
    /// is missing in the result.
    ///
    /// # Errors
    /// [`IdentityError::Refused`] when `given` names nobody of the file,
    /// [`IdentityError::Unknown`] for a number that is none.
    pub fn link_people(
        &self,
        decisions: &FaceDecisions,
        given: &[(String, FacesetNumber)],
    ) -> Result<PeopleLinks, IdentityError> {
        let mut links = PeopleLinks::new();
        for person in &decisions.people {
            let wanted = folded(&person.name);
            let same_name = self.identities().find(|i| {
                !person.name.is_empty()
                    && !matches!(i.state, State::Merged(_) | State::Forgotten)
                    && i.name.as_deref().is_some_and(|name| folded(name) == wanted)
            });
            if let Some(identity) = same_name {
                links.insert(person.id.clone(), identity.number);
            }
        }
        for (outside, number) in given {
            let identity = self.person(*number)?.number;
            let is_meant =
                |p: &&OutsidePerson| p.id == *outside || folded(&p.name) == folded(outside);
            let mut any = false;
            for person in decisions.people.iter().filter(is_meant) {
                links.insert(person.id.clone(), identity);
                any = true;
            }
            if !any {
                return Err(IdentityError::Refused {
                    what: format!("link {outside:?}"),
                    flaw: Flaw::key("the file of decisions", "names nobody of that id or name"),
                });
            }
        }
        Ok(links)
    }

    /// Takes in decisions about faces of linked people.
    ///
    /// - A face that is not somebody's leaves them and is refused for them, as by
    ///   [`Registry::plan_not_this_person`].
    /// - What is no face is so for everybody, whether people are linked or not.
    /// - A face that is somebody's becomes theirs if nobody has it. One that another
    ///   identity has, or that was refused here, stays as it is, and a note says so: what
    ///   was said here was said of these very numbers.
    pub fn plan_decisions(
        &self,
        decisions: &FaceDecisions,
        links: &PeopleLinks,
    ) -> Result<DecisionsPlan, IdentityError> {
        let mut found = DecisionsPlan {
            plan: self.plan(String::new(), Vec::new()),
            n_changed: 0,
            n_known: 0,
            n_unlinked: 0,
            n_conflicts: 0,
        };
        let mut after = self.clone();
        for decision in &decisions.faces {
            let is = decision.is.as_ref().and_then(|id| links.get(id));
            let is = is.map(|number| self.root(*number));
            // Two people there may be one here: of those nothing is refused.
            let not: BTreeSet<FacesetNumber> = decision
                .not
                .iter()
                .filter_map(|id| links.get(id))
                .map(|number| self.root(*number))
                .filter(|number| Some(*number) != is)
                .collect();
            if is.is_none() && not.is_empty() && !decision.no_face {
                found.n_unlinked += 1;
                continue;
            }
            let (changes, conflict) = after.take_in(decision, is, &not)?;
            if let Some(conflict) = conflict {
                found.n_conflicts += 1;
                found.plan.notes.push(conflict);
            } else if changes.is_empty() {
                found.n_known += 1;
            } else {
                found.n_changed += 1;
            }
            found.plan.changes.extend(changes);
        }
        let from = match decisions.source.as_str() {
            "" => String::new(),
            source => format!(" at {source}"),
        };
        found.plan.what = format!("took in decisions made{from}: {} faces", found.n_changed);
        Ok(found)
    }

    /// The changes that one decision makes, carried out on this copy, and what was not
    /// taken in.
    fn take_in(
        &mut self,
        decision: &FaceDecision,
        is: Option<FacesetNumber>,
        not: &BTreeSet<FacesetNumber>,
    ) -> Result<(Vec<Change>, Option<String>), IdentityError> {
        // As the registry has it: the other program's cache may have another box.
        let owned = self.owner_of(&decision.face);
        let stored = owned.and_then(|(id, owner)| self.identities[&owner].faces.of_id(&id));
        let face = &stored.unwrap_or(&decision.face).clone();
        let mut changes = Vec::new();
        if decision.no_face {
            let plan = self.plan_no_face(face)?;
            self.try_out(plan, &mut changes)?;
            return Ok((changes, None));
        }
        for number in not {
            let plan = self.plan_not_this_person(*number, face)?;
            self.try_out(plan, &mut changes)?;
        }
        let Some(number) = is else {
            return Ok((changes, None));
        };
        let conflict = |why: String| Some(format!("{}: {why}", describe(face)));
        let owner = self.owner(face).map(|owner| self.root(owner.number));
        let conflict = match owner {
            Some(owner) if owner == number => None,
            Some(owner) => conflict(format!(
                "it is {} there and {} here, and stays",
                number.folder_name(),
                owner.folder_name()
            )),
            None if self.forbids(face, number) => conflict(format!(
                "it is {} there, which was refused here, and stays refused",
                number.folder_name()
            )),
            None => {
                let plan = self.plan_this_person(number, face)?;
                self.try_out(plan, &mut changes)?;
                None
            }
        };
        Ok((changes, conflict))
    }

    fn try_out(&mut self, plan: Plan, changes: &mut Vec<Change>) -> Result<(), IdentityError> {
        self.apply(&plan.changes)
            .map_err(|flaw| IdentityError::Refused {
                what: plan.what,
                flaw,
            })?;
        changes.extend(plan.changes);
        Ok(())
    }
}
