//! Carrying out a transaction: one face after the other to its new person.

use immich_client::{
    AssetId, Client, Error as ClientError, ErrorKind, Face, FaceId, NewPerson, PersonId,
};
use jiff::Timestamp;

use super::{DecisionOutcome, Halt, Inner, Outcome, Settling, Status};
use crate::Error;
use crate::decision::{Action, Decision, PersonRef, Transaction};
use crate::journal::{
    End, Entry, Feature, NewPersonFor, PastTransaction, Sending, Settled, TransactionId,
};

/// A face as the server has it now.
pub(super) enum Now {
    Gone,
    Of(Option<PersonId>),
}

impl Inner {
    /// Carries out what is open of a transaction. Whatever was done before, by this
    /// run or one that was killed, is found by looking at the server.
    pub(super) async fn carry_out(&self, id: TransactionId) -> Result<Outcome, Error> {
        let n = self.look_at(id, |past| past.settled.len());
        let mut status = Status::Applied;
        for at in 0..n {
            if self.look_at(id, |past| past.settled[at].is_some()) {
                continue;
            }
            match self.step(id, at).await {
                Ok(how) => self.write(&[Entry::Settled {
                    id,
                    decision: at,
                    how,
                }])?,
                Err(halt) => {
                    status = halt.at(at)?;
                    break;
                }
            }
        }
        let end = match &status {
            Status::Applied => Some(End::Applied),
            Status::Stopped { at_decision, why } => Some(End::Stopped {
                at_decision: *at_decision,
                why: why.clone(),
            }),
            _ => None,
        };
        if let Some(end) = end {
            self.write(&[Entry::Closed { id, end }])?;
        }
        Ok(self.look_at(id, |past| outcome(past, status)))
    }

    async fn step(&self, id: TransactionId, at: usize) -> Result<Settled, Halt> {
        let (decision, sending) = self.look_at(id, |past| {
            let decision = past.transaction.decisions[at].clone();
            (decision, past.sending[at].clone())
        });
        let decision = &decision;
        if decision.action.is_keep() {
            return Ok(Settled::Kept);
        }
        let now = match self.now(decision).await? {
            Now::Gone => return Ok(Settled::Gone),
            Now::Of(now) => now,
        };
        if let Some(sending) = &sending
            && now.as_ref() == Some(&sending.to)
        {
            // Sent by a run that did not live to read it back.
            return self.moved(decision, sending).await;
        }
        let known = match &decision.action {
            Action::Reassign { to } => Some(to.id.clone()),
            _ => self.look_at(id, |past| {
                let made = past.created_for(&purpose(&decision.action, at));
                made.cloned()
            }),
        };
        if let (Some(to), true) = (&known, now == known) {
            return Ok(Settled::AlreadyThere { to: to.clone() });
        }
        expect_giver(decision, now.as_ref())?;
        let to = match known {
            Some(to) => to,
            None => self.create_for(id, decision, at).await?,
        };
        let sending = Sending {
            from_changed: self.last_changed(decision.from.as_ref()).await?,
            to,
        };
        self.write(&[Entry::Sending {
            id,
            decision: at,
            to: sending.to.clone(),
            from_changed: sending.from_changed,
        }])?;
        let sent = self.client.reassign_face(&decision.face, &sending.to).await;
        match self.now(decision).await? {
            Now::Of(Some(now)) if now == sending.to => self.moved(decision, &sending).await,
            Now::Gone => Ok(Settled::Gone),
            Now::Of(now) => Err(mismatch(decision, now.as_ref(), &sending.to, sent.err())),
        }
    }

    async fn now(&self, decision: &Decision) -> Result<Now, Halt> {
        let now = face_now(&self.client, &decision.asset, &decision.face).await;
        now.map_err(|error| halt(&error))
    }

    /// Settles a face on its way without sending anything; for taking back.
    pub(super) async fn settle_sent(&self, id: TransactionId) -> Result<Settling, Error> {
        let past = self.past(id);
        for (at, sending) in past.sending.iter().enumerate() {
            let (Some(sending), None) = (sending, &past.settled[at]) else {
                continue;
            };
            let decision = &past.transaction.decisions[at];
            let how = match self.now(decision).await {
                Ok(Now::Of(Some(now))) if now == sending.to => self.moved(decision, sending).await,
                Ok(Now::Gone) => Ok(Settled::Gone),
                Ok(Now::Of(_)) => continue,
                Err(halt) => Err(halt),
            };
            let how = match how {
                Ok(how) => how,
                Err(Halt::Journal(error)) => return Err(error),
                Err(Halt::Later(_) | Halt::Stop(_)) => return Ok(Settling::Unknown),
            };
            self.write(&[Entry::Settled {
                id,
                decision: at,
                how,
            }])?;
        }
        Ok(Settling::Known)
    }

    /// A face that is where it was sent, and what that did to the giver. Without an
    /// answer about the giver the decision stays open: it can be told later.
    async fn moved(&self, decision: &Decision, sending: &Sending) -> Result<Settled, Halt> {
        let feature = match (&decision.from, sending.from_changed) {
            (None, _) => Feature::Untouched,
            (Some(_), None) => Feature::Unknown,
            (from, before) => match self.last_changed(from.as_ref()).await? {
                now if now == before => Feature::Untouched,
                Some(_) => Feature::Lost,
                None => Feature::Unknown,
            },
        };
        Ok(Settled::Moved {
            to: sending.to.clone(),
            feature,
        })
    }

    /// When a person's record last changed; `None` when it cannot be told.
    async fn last_changed(&self, person: Option<&PersonRef>) -> Result<Option<Timestamp>, Halt> {
        let Some(person) = person else {
            return Ok(None);
        };
        match self.client.person(&person.id).await {
            Ok(found) => Ok(found.updated_at),
            Err(error) if error.kind() == ErrorKind::Outage => Err(halt(&error)),
            Err(_) => Ok(None),
        }
    }

    /// Makes the person for a decision. Whether a creation whose answer was lost took
    /// place cannot be told for unnamed people: another is made, and the lost one has
    /// no face and appears nowhere. One with a name is looked for.
    async fn create_for(
        &self,
        id: TransactionId,
        decision: &Decision,
        at: usize,
    ) -> Result<PersonId, Halt> {
        let new = purpose(&decision.action, at);
        let name = match &decision.action {
            Action::CreatePerson { name, .. } => name.as_str(),
            _ => "",
        };
        let tried_before = self.look_at(id, |past| past.creating.contains(&new));
        self.create(id, new, name, tried_before).await
    }

    pub(super) async fn create(
        &self,
        id: TransactionId,
        new: NewPersonFor,
        name: &str,
        tried_before: bool,
    ) -> Result<PersonId, Halt> {
        let left_over = if tried_before && !name.is_empty() {
            let found = self.lost_creation(name).await;
            found.map_err(|error| halt(&error))?
        } else {
            None
        };
        let person = match left_over {
            Some(person) => person,
            None => {
                self.write(&[Entry::Creating {
                    id,
                    new: new.clone(),
                }])?;
                let fresh = NewPerson {
                    name: (!name.is_empty()).then(|| name.to_owned()),
                    ..NewPerson::default()
                };
                let made = self.client.create_person(&fresh).await;
                made.map_err(|error| halt(&error))?.id
            }
        };
        self.write(&[Entry::Created {
            id,
            new,
            person: person.clone(),
        }])?;
        Ok(person)
    }

    /// The one empty person with just this name, if there is exactly one.
    pub(super) async fn lost_creation(&self, name: &str) -> Result<Option<PersonId>, ClientError> {
        let found = self.client.search_people(name, true).await?;
        let mut empty = Vec::new();
        for person in found.into_iter().filter(|person| person.name == name) {
            if self.is_empty(&person.id).await? {
                empty.push(person.id);
            }
        }
        Ok(match empty.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        })
    }

    /// Looks at what would happen; changes nothing.
    pub(super) async fn rehearse(&self, transaction: &Transaction) -> Result<Outcome, Error> {
        let mut status = Status::DryRun;
        let mut decisions = vec![DecisionOutcome::Open; transaction.decisions.len()];
        for (at, decision) in transaction.decisions.iter().enumerate() {
            decisions[at] = match self.rehearse_one(decision).await {
                Ok(outcome) => outcome,
                Err(halt) => {
                    status = halt.at(at)?;
                    break;
                }
            };
        }
        Ok(Outcome {
            id: None,
            status,
            decisions,
        })
    }

    async fn rehearse_one(&self, decision: &Decision) -> Result<DecisionOutcome, Halt> {
        let settled = |how| Ok(DecisionOutcome::Settled { how });
        if decision.action.is_keep() {
            return settled(Settled::Kept);
        }
        let now = match self.now(decision).await? {
            Now::Gone => return settled(Settled::Gone),
            Now::Of(now) => now,
        };
        match (&decision.action, &now) {
            (Action::Reassign { to }, Some(now)) if to.id == *now => {
                settled(Settled::AlreadyThere { to: to.id.clone() })
            }
            _ => {
                expect_giver(decision, now.as_ref())?;
                Ok(DecisionOutcome::WouldSend)
            }
        }
    }
}

/// Where a face is now.
pub(super) async fn face_now(
    client: &Client,
    asset: &AssetId,
    face: &FaceId,
) -> Result<Now, ClientError> {
    let faces = match client.faces(asset).await {
        Ok(faces) => faces,
        Err(error) if error.kind() == ErrorKind::Missing => return Ok(Now::Gone),
        Err(error) => return Err(error),
    };
    let found: Option<Face> = faces.into_iter().find(|found| found.id == *face);
    Ok(found.map_or(Now::Gone, |face| {
        Now::Of(face.person.map(|person| person.id))
    }))
}

/// What an error of the client means for the transaction.
pub(super) fn halt(error: &ClientError) -> Halt {
    let text = with_causes(error);
    match error.kind() {
        // A page in place of an answer comes from something between us and the server.
        ErrorKind::Outage | ErrorKind::Protocol => Halt::Later(text),
        _ => Halt::Stop(text),
    }
}

fn with_causes(error: &ClientError) -> String {
    let mut text = format!("failed to {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}

fn purpose(action: &Action, at: usize) -> NewPersonFor {
    match action {
        Action::CreatePerson { group, .. } => NewPersonFor::Group(*group),
        _ => NewPersonFor::Unassigned(at),
    }
}

fn expect_giver(decision: &Decision, now: Option<&PersonId>) -> Result<(), Halt> {
    let giver = decision.from.as_ref().map(|from| &from.id);
    if giver == now {
        return Ok(());
    }
    Err(Halt::Stop(format!(
        "face {} is not where it was: expected {}, found {}; look at the photo again",
        decision.face,
        person_text(giver),
        person_text(now)
    )))
}

fn mismatch(
    decision: &Decision,
    now: Option<&PersonId>,
    to: &PersonId,
    sent: Option<ClientError>,
) -> Halt {
    match sent {
        Some(error) => match halt(&error) {
            Halt::Stop(why) => Halt::Stop(why),
            later => later,
        },
        None => Halt::Stop(format!(
            "the server said that face {} was moved, but reading it back shows {} instead of {}",
            decision.face,
            person_text(now),
            person_text(Some(to))
        )),
    }
}

fn person_text(person: Option<&PersonId>) -> String {
    person.map_or_else(|| "nobody".to_owned(), |id| format!("person {id}"))
}

fn outcome(past: &PastTransaction, status: Status) -> Outcome {
    let decisions = past.settled.iter().map(|settled| match settled {
        Some(how) => DecisionOutcome::Settled { how: how.clone() },
        None => DecisionOutcome::Open,
    });
    Outcome {
        id: Some(past.id),
        status,
        decisions: decisions.collect(),
    }
}
