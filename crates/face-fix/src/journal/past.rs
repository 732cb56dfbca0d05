//! What the lines of a journal add up to: the transactions and how far each is.

use std::collections::{BTreeMap, BTreeSet};

use immich_client::{AssetId, PersonId, UserId};
use jiff::Timestamp;
use serde::Serialize;

use super::entry::{
    End, Entry, FeatureRestored, NewPersonFor, PersonRemoved, Restored, Settled, TransactionId,
};
use crate::decision::{By, Pair, ReviewHow, Transaction};

/// A transaction of the past.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PastTransaction {
    /// Its number.
    pub id: TransactionId,
    /// What was decided.
    pub transaction: Transaction,
    /// How each decision ended, at its position; `None` while it is open.
    pub settled: Vec<Option<Settled>>,
    /// How it ended; `None` while it is open.
    pub end: Option<End>,
    /// The people that were made for it.
    pub created: Vec<CreatedPerson>,
    /// Its undoing, if there was one.
    pub undo: Option<PastUndo>,
    #[serde(skip)]
    pub(crate) sending: Vec<Option<Sending>>,
    #[serde(skip)]
    pub(crate) creating: BTreeSet<NewPersonFor>,
}

/// A face on its way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sending {
    pub(crate) to: PersonId,
    pub(crate) from_changed: Option<Timestamp>,
}

/// A person that the tool made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreatedPerson {
    /// What for.
    pub new: NewPersonFor,
    /// Their id.
    pub person: PersonId,
}

/// An undoing of the past.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PastUndo {
    /// When it was asked for.
    pub at: Timestamp,
    /// By whom.
    pub who: String,
    /// How it went for each decision, at its position; `None` where nothing had been
    /// changed or it is not done yet.
    pub faces: Vec<Option<Restored>>,
    /// Feature photos: position of the decision, whose, how.
    pub features: Vec<(usize, PersonId, FeatureRestored)>,
    /// People that had been made.
    pub people: Vec<(PersonId, PersonRemoved)>,
    /// True when it is through.
    pub done: bool,
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Not through: the server was away, or the program ended.
    Open,
    /// Through.
    Applied,
    /// Stopped before its end.
    Stopped,
    /// Being undone; the server was away, or the program ended.
    Undoing,
    /// Undone.
    Undone,
}

impl PastTransaction {
    /// Where it stands.
    pub fn standing(&self) -> Standing {
        match (&self.undo, &self.end) {
            (Some(undo), _) if undo.done => Standing::Undone,
            (Some(_), _) => Standing::Undoing,
            (None, None) => Standing::Open,
            (None, Some(End::Applied)) => Standing::Applied,
            (None, Some(End::Stopped { .. })) => Standing::Stopped,
        }
    }

    /// The person made for this purpose.
    pub(crate) fn created_for(&self, new: &NewPersonFor) -> Option<&PersonId> {
        let created = self.created.iter().find(|created| created.new == *new);
        created.map(|created| &created.person)
    }

    /// Who has the face of a decision by this transaction's doing; `None` for those
    /// that changed nothing or were undone.
    pub fn moved_to(&self, decision: usize) -> Option<&PersonId> {
        let undone = self.undo.as_ref().and_then(|undo| undo.faces.get(decision));
        match (self.settled.get(decision), undone) {
            (_, Some(Some(restored))) if restored.is_back() => None,
            (Some(Some(Settled::Moved { to, .. })), _) => Some(to),
            _ => None,
        }
    }
}

/// How often what happened for a pair, undone transactions left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct PairStats {
    /// Photos done with.
    pub n_reviewed: usize,
    /// Of these, skipped by the person.
    pub n_skipped: usize,
    /// Of these, skipped by a rule.
    pub n_skipped_by_rule: usize,
    /// Faces given to another person by hand.
    pub n_reassigned: usize,
    /// Faces given to another person by the auto-fix rule.
    pub n_auto_fixed: usize,
    /// Faces taken from everybody, those that are no faces among them.
    pub n_unassigned: usize,
    /// Faces judged right.
    pub n_kept: usize,
    /// Transactions undone.
    pub n_undone: usize,
}

/// Everything that a journal tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Past {
    transactions: Vec<PastTransaction>,
    index: BTreeMap<TransactionId, usize>,
    open: BTreeSet<TransactionId>,
    /// From which transaction on a pair's reviewed photos count.
    resets: BTreeMap<Pair, TransactionId>,
    server: Option<String>,
    user: Option<UserId>,
}

impl Past {
    /// Every transaction, oldest first.
    pub fn transactions(&self) -> &[PastTransaction] {
        &self.transactions
    }

    /// The transaction of this number.
    pub fn transaction(&self, id: TransactionId) -> Option<&PastTransaction> {
        self.index.get(&id).map(|at| &self.transactions[*at])
    }

    /// The transactions that are not through, or are being undone, oldest first.
    pub fn open(&self) -> impl Iterator<Item = TransactionId> {
        self.open.iter().copied()
    }

    /// The server that was last talked to.
    pub fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// The user whose library this is about.
    pub fn user(&self) -> Option<&UserId> {
        self.user.as_ref()
    }

    /// What a person did last, for one pair or for any, and could take back: the newest
    /// transaction with faces or a photo that was skipped by hand. Not what a rule noted
    /// on the way, nor what is undone, nor one that stopped before it did anything.
    pub fn last_decision(&self, pair: Option<&Pair>) -> Option<&PastTransaction> {
        let by_person = |past: &&PastTransaction| {
            let review = past.transaction.review.as_ref();
            let skipped = review.is_some_and(|review| review.how == ReviewHow::Skipped);
            let did_nothing = matches!(past.end, Some(End::Stopped { .. }))
                && past.settled.iter().all(Option::is_none)
                && past.created.is_empty();
            let of_pair = pair.is_none() || past.transaction.pair.as_ref() == pair;
            of_pair
                && past.standing() != Standing::Undone
                && (skipped || !past.transaction.decisions.is_empty())
                && !did_nothing
        };
        self.transactions.iter().rev().find(by_person)
    }

    /// The number of the next transaction.
    pub(crate) fn next_id(&self) -> TransactionId {
        TransactionId(self.transactions.last().map_or(0, |t| t.id.0) + 1)
    }

    /// The photos that are done with for a pair and how they were left: not those
    /// whose transaction was undone, nor those from before the last reset.
    pub fn reviewed(&self, pair: &Pair) -> BTreeMap<AssetId, ReviewHow> {
        let mut reviewed = BTreeMap::new();
        for past in self.since_reset(pair) {
            if let (Some(review), true) = (&past.transaction.review, counts(past)) {
                reviewed.insert(review.asset.clone(), review.how);
            }
        }
        reviewed
    }

    /// The figures of a pair since its last reset.
    pub fn stats(&self, pair: &Pair) -> PairStats {
        let reviewed = self.reviewed(pair);
        let how = |wanted| reviewed.values().filter(|how| **how == wanted).count();
        let mut stats = PairStats {
            n_reviewed: reviewed.len(),
            n_skipped: how(ReviewHow::Skipped),
            n_skipped_by_rule: how(ReviewHow::SkippedByRule),
            ..PairStats::default()
        };
        for past in self.since_reset(pair) {
            if past.undo.is_some() {
                stats.n_undone += 1;
                continue;
            }
            for (decision, settled) in past.transaction.decisions.iter().zip(&past.settled) {
                let unassigned = matches!(
                    decision.action,
                    crate::Action::Unassign | crate::Action::NotAFace
                );
                match settled {
                    Some(Settled::Kept) => stats.n_kept += 1,
                    Some(Settled::Moved { .. }) if unassigned => stats.n_unassigned += 1,
                    Some(Settled::Moved { .. }) if past.transaction.by == By::AutoFix => {
                        stats.n_auto_fixed += 1;
                    }
                    Some(Settled::Moved { .. }) => stats.n_reassigned += 1,
                    _ => {}
                }
            }
        }
        stats
    }

    /// The transactions of a pair since its last reset, oldest first, undone ones too.
    pub fn since_reset<'a>(
        &'a self,
        pair: &'a Pair,
    ) -> impl DoubleEndedIterator<Item = &'a PastTransaction> {
        let from = self.resets.get(pair).copied().unwrap_or(TransactionId(0));
        self.transactions
            .iter()
            .filter(move |past| past.id >= from && past.transaction.pair.as_ref() == Some(pair))
    }

    /// Takes in one more entry. Says what is wrong with it when it does not fit to
    /// what was before; nothing is changed then.
    pub(super) fn take(&mut self, entry: &Entry) -> Result<(), String> {
        match entry {
            Entry::Header { .. } => return Err("a second header".to_owned()),
            Entry::Session { server, user } => {
                self.server = Some(server.clone());
                self.user = user.clone().or_else(|| self.user.take());
            }
            Entry::Reset { pair, .. } => {
                self.resets.insert(pair.clone(), self.next_id());
            }
            Entry::Decided { id, transaction } => {
                if *id < self.next_id() {
                    return Err(format!("transaction {id} comes after a later one"));
                }
                let n = transaction.decisions.len();
                self.index.insert(*id, self.transactions.len());
                self.open.insert(*id);
                self.transactions.push(PastTransaction {
                    id: *id,
                    transaction: transaction.clone(),
                    settled: vec![None; n],
                    end: None,
                    created: Vec::new(),
                    undo: None,
                    sending: vec![None; n],
                    creating: BTreeSet::new(),
                });
            }
            Entry::Creating { id, new } => {
                self.of(*id)?.creating.insert(new.clone());
            }
            Entry::Created { id, new, person } => {
                let past = self.of(*id)?;
                past.creating.remove(new);
                past.created.push(CreatedPerson {
                    new: new.clone(),
                    person: person.clone(),
                });
            }
            Entry::Sending {
                id,
                decision,
                to,
                from_changed,
            } => {
                *slot(&mut self.of(*id)?.sending, *decision)? = Some(Sending {
                    to: to.clone(),
                    from_changed: *from_changed,
                });
            }
            Entry::Settled { id, decision, how } => {
                *slot(&mut self.of(*id)?.settled, *decision)? = Some(how.clone());
            }
            Entry::Closed { id, end } => {
                self.of(*id)?.end = Some(end.clone());
                self.open.remove(id);
            }
            Entry::Undoing { id, at, who } => {
                let past = self.of(*id)?;
                past.undo = Some(PastUndo {
                    at: *at,
                    who: who.clone(),
                    faces: vec![None; past.settled.len()],
                    features: Vec::new(),
                    people: Vec::new(),
                    done: false,
                });
                self.open.insert(*id);
            }
            Entry::Restored { id, decision, how } => {
                *slot(&mut self.undo_of(*id)?.faces, *decision)? = Some(how.clone());
            }
            Entry::FeatureRestored {
                id,
                decision,
                person,
                how,
            } => {
                let row = (*decision, person.clone(), how.clone());
                self.undo_of(*id)?.features.push(row);
            }
            Entry::PersonRemoved { id, person, how } => {
                self.undo_of(*id)?
                    .people
                    .push((person.clone(), how.clone()));
            }
            Entry::Undone { id } => {
                self.undo_of(*id)?.done = true;
                self.open.remove(id);
            }
        }
        Ok(())
    }

    fn of(&mut self, id: TransactionId) -> Result<&mut PastTransaction, String> {
        match self.index.get(&id) {
            Some(at) => Ok(&mut self.transactions[*at]),
            None => Err(format!("there is no transaction {id} before it")),
        }
    }

    fn undo_of(&mut self, id: TransactionId) -> Result<&mut PastUndo, String> {
        let undo = self.of(id)?.undo.as_mut();
        undo.ok_or_else(|| format!("transaction {id} is not being undone"))
    }
}

/// A stopped transaction leaves its photo to be looked at again, an undone one too.
fn counts(past: &PastTransaction) -> bool {
    past.undo.is_none() && !matches!(past.end, Some(End::Stopped { .. }))
}

fn slot<T>(rows: &mut [T], at: usize) -> Result<&mut T, String> {
    rows.get_mut(at)
        .ok_or_else(|| format!("there is no decision {at} in that transaction"))
}
