//! Taking a transaction back: faces, feature photos, people that were made.

use immich_client::{
    Error as ClientError, ErrorKind, NewPerson, PersonId, PersonUpdate, SearchFilter, Visibility,
};

use super::send::{self, Now, face_now};
use super::{Halt, Inner, UndoReport};
use crate::Error;
use crate::decision::{Action, Decision};
use crate::journal::{
    CreatedPerson, Entry, Feature, FeatureRestored, NewPersonFor, PastTransaction, PersonRemoved,
    Restored, Settled, TransactionId,
};

impl Inner {
    /// Does what is open of an undoing, the last decision first.
    pub(super) async fn take_back(&self, id: TransactionId) -> Result<UndoReport, Error> {
        match self.take_back_steps(id).await {
            Ok(untold) => {
                self.write(&[Entry::Undone { id }])?;
                Ok(self.undo_report(id, untold))
            }
            Err(Halt::Journal(error)) => Err(error),
            Err(Halt::Later(why) | Halt::Stop(why)) => Ok(self.undo_report(id, Some(why))),
        }
    }

    /// What the server refuses of one face or person is written down as refused, and the
    /// rest goes on: an undoing that never ended would hold up every later decision.
    /// Gives why it can't be told whether a person was made.
    async fn take_back_steps(&self, id: TransactionId) -> Result<Option<String>, Halt> {
        let past = self.past(id);
        let undo = past
            .undo
            .as_ref()
            .expect("an undoing is written before it is done");
        for at in (0..past.settled.len()).rev() {
            let Some(Settled::Moved { to, feature }) = &past.settled[at] else {
                continue;
            };
            let how = match &undo.faces[at] {
                Some(how) => how.clone(),
                None => {
                    let how = match self.move_back(&past, at, to).await {
                        Err(Halt::Stop(why)) => Restored::Refused { why },
                        moved => moved?,
                    };
                    self.write(&[Entry::Restored {
                        id,
                        decision: at,
                        how: how.clone(),
                    }])?;
                    how
                }
            };
            let known = undo.features.iter().any(|(decision, ..)| *decision == at);
            if !known && how.is_back() {
                self.give_feature_back(&past, at, *feature).await?;
            }
        }
        let mut made = past.created.clone();
        let mut untold = None;
        for new in &past.creating {
            let name = given_name(&past, new);
            if name.is_empty() {
                continue;
            }
            let lost = match self.lost_creation(&name).await {
                Ok(lost) => lost,
                Err(error) => match halt(&error) {
                    Halt::Stop(why) => {
                        untold = Some(why);
                        continue;
                    }
                    later => return Err(later),
                },
            };
            if let Some(person) = lost {
                self.write(&[Entry::Created {
                    id,
                    new: new.clone(),
                    person: person.clone(),
                }])?;
                made.push(CreatedPerson {
                    new: new.clone(),
                    person,
                });
            }
        }
        for created in &made {
            let known = undo
                .people
                .iter()
                .any(|(person, _)| *person == created.person);
            if !known {
                let how = self
                    .remove_if_empty(&past, created.person.clone(), &created.new)
                    .await?;
                self.write(&[Entry::PersonRemoved {
                    id,
                    person: created.person.clone(),
                    how,
                }])?;
            }
        }
        Ok(untold)
    }

    async fn move_back(
        &self,
        past: &PastTransaction,
        at: usize,
        to: &PersonId,
    ) -> Result<Restored, Halt> {
        let decision = &past.transaction.decisions[at];
        let giver = decision.from.as_ref().map(|from| &from.id);
        let now = match self.face_of(decision).await? {
            Now::Gone => return Ok(Restored::Gone),
            Now::Of(now) => now,
        };
        let via = past.created_for(&NewPersonFor::Nobody(at));
        if now.as_ref() == giver {
            return Ok(Restored::NothingToDo);
        }
        if now.as_ref() != Some(to) && (via.is_none() || now.as_ref() != via) {
            return Ok(Restored::MovedSince { now });
        }
        let sent = match giver {
            Some(giver) => self
                .client
                .reassign_face(&decision.face, giver)
                .await
                .map(|_| ()),
            None => self.set_to_nobody(past, at).await?,
        };
        if let Err(error) = &sent
            && let Halt::Later(why) = halt(error)
        {
            return Err(Halt::Later(why));
        }
        match (self.face_of(decision).await?, sent) {
            (Now::Gone, _) => Ok(Restored::Gone),
            (Now::Of(now), _) if now.as_ref() == giver => Ok(Restored::Back),
            (Now::Of(_), Err(error)) if error.kind() == ErrorKind::Missing => {
                Ok(Restored::GiverGone)
            }
            (Now::Of(_), Err(error)) => Ok(Restored::Refused {
                why: error.to_string(),
            }),
            (Now::Of(now), Ok(())) => Ok(Restored::Refused {
                why: format!(
                    "the server said it was moved back, but it is with {}",
                    now.map_or_else(|| "nobody".to_owned(), |id| id.to_string())
                ),
            }),
        }
    }

    /// The API cannot set a face to nobody, but deleting a person frees their faces:
    /// the face goes to a person made for this, who is deleted.
    async fn set_to_nobody(
        &self,
        past: &PastTransaction,
        at: usize,
    ) -> Result<Result<(), ClientError>, Halt> {
        let new = NewPersonFor::Nobody(at);
        let via = match past.created_for(&new) {
            Some(via) => via.clone(),
            None => {
                self.write(&[Entry::Creating {
                    id: past.id,
                    new: new.clone(),
                }])?;
                let via = match self.client.create_person(&NewPerson::default()).await {
                    Ok(person) => person.id,
                    Err(error) => return Ok(Err(error)),
                };
                self.write(&[Entry::Created {
                    id: past.id,
                    new,
                    person: via.clone(),
                }])?;
                via
            }
        };
        let face = &past.transaction.decisions[at].face;
        if let Err(error) = self.client.reassign_face(face, &via).await {
            return Ok(Err(error));
        }
        Ok(self.client.delete_person(&via).await)
    }

    async fn face_of(&self, decision: &Decision) -> Result<Now, Halt> {
        let now = face_now(&self.client, &decision.asset, &decision.face).await;
        now.map_err(|error| halt(&error))
    }

    async fn give_feature_back(
        &self,
        past: &PastTransaction,
        at: usize,
        feature: Feature,
    ) -> Result<(), Halt> {
        let decision = &past.transaction.decisions[at];
        let (Some(from), true) = (&decision.from, feature != Feature::Untouched) else {
            return Ok(());
        };
        let how = if feature == Feature::Unknown {
            FeatureRestored::Unknown
        } else {
            let update = PersonUpdate {
                feature_face_asset_id: Some(decision.asset.clone()),
                ..PersonUpdate::default()
            };
            match self.client.update_person(&from.id, &update).await {
                Ok(_) => FeatureRestored::Set,
                Err(ClientError::Forbidden { permission, .. }) => FeatureRestored::NotAllowed {
                    permission: permission.unwrap_or_else(|| "person.update".to_owned()),
                },
                Err(error) => match halt(&error) {
                    Halt::Stop(why) => FeatureRestored::Refused { why },
                    later => return Err(later),
                },
            }
        };
        self.write(&[Entry::FeatureRestored {
            id: past.id,
            decision: at,
            person: from.id.clone(),
            how,
        }])?;
        Ok(())
    }

    async fn remove_if_empty(
        &self,
        past: &PastTransaction,
        person: PersonId,
        new: &NewPersonFor,
    ) -> Result<PersonRemoved, Halt> {
        let removed = match self.remove_checked(past, &person, new).await {
            Ok(removed) => removed,
            Err(error) if error.kind() == ErrorKind::Missing => PersonRemoved::GoneAlready,
            Err(ClientError::Forbidden { permission, .. }) => PersonRemoved::NotAllowed {
                permission: permission.unwrap_or_else(|| "person.delete".to_owned()),
            },
            Err(error) => match halt(&error) {
                Halt::Stop(why) => PersonRemoved::Refused { why },
                later => return Err(later),
            },
        };
        Ok(removed)
    }

    async fn remove_checked(
        &self,
        past: &PastTransaction,
        person: &PersonId,
        new: &NewPersonFor,
    ) -> Result<PersonRemoved, ClientError> {
        let given = given_name(past, new);
        let found = self.client.person(person).await?;
        let why = if found.name != given {
            Some(format!("is called {:?} now", found.name))
        } else if !self.is_empty(person).await? {
            Some("has other faces".to_owned())
        } else {
            None
        };
        if let Some(why) = why {
            return Ok(PersonRemoved::InUse { why });
        }
        self.client.delete_person(person).await?;
        Ok(PersonRemoved::Deleted)
    }

    /// No asset shows the person: neither in the timeline, the archive nor the
    /// trash, nor hidden ones. Locked assets are not shown to keys.
    pub(super) async fn is_empty(&self, person: &PersonId) -> Result<bool, ClientError> {
        let version = self.client.version().await?;
        let visibilities: &[Option<Visibility>] = if version.has_visibility() {
            &[
                Some(Visibility::Timeline),
                Some(Visibility::Archive),
                Some(Visibility::Hidden),
            ]
        } else {
            &[None]
        };
        for visibility in visibilities {
            let filter = SearchFilter {
                visibility: *visibility,
                with_archived: visibility.is_none().then_some(true),
                person_ids: vec![person.clone()],
                with_deleted: true,
                ..SearchFilter::default()
            };
            let page = self.client.search(&filter, 1, 1).await?;
            if !page.assets.is_empty() || page.n_unreadable > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What an error of the client means for an undoing. A key that the server does not know
/// any more says nothing about a face: with a good one the undoing goes on.
fn halt(error: &ClientError) -> Halt {
    match (error.kind(), send::halt(error)) {
        (ErrorKind::Auth, Halt::Stop(why)) => Halt::Later(why),
        (_, halt) => halt,
    }
}

fn given_name(past: &PastTransaction, new: &NewPersonFor) -> String {
    let NewPersonFor::Group(group) = new else {
        return String::new();
    };
    let names = past
        .transaction
        .decisions
        .iter()
        .find_map(|d| match &d.action {
            Action::CreatePerson { name, group: of } if of == group => Some(name.clone()),
            _ => None,
        });
    names.unwrap_or_default()
}
