//! Plans: decisions in a file, to be looked at before anything is sent, and their
//! carrying out, which can be interrupted and repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use faceset_core::{CancelToken, Progress};
use immich_client::{PersonId, UserId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::decision::{Action, Decision, PersonRef, Transaction};
use crate::engine::{Engine, Outcome, Status};
use crate::journal::{NewPersonFor, PastTransaction, Settled, TransactionId};

/// Version of plan files.
pub const PLAN_VERSION: u32 = 1;

/// What a plan file calls itself.
const PLAN_NAME: &str = "face-fix plan";

/// Decisions to be carried out, one transaction after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    format: String,
    version: u32,
    /// When it was made.
    pub made_at: Timestamp,
    /// The server that it was made from.
    pub server: String,
    /// Whose library it is about; `None` when the key could not tell.
    pub user: Option<UserId>,
    /// What for, for people.
    pub what: String,
    /// The transactions.
    pub transactions: Vec<Transaction>,
}

impl Plan {
    /// A plan of these transactions.
    pub fn new(
        made_at: Timestamp,
        engine: &Engine,
        what: impl Into<String>,
        transactions: Vec<Transaction>,
    ) -> Self {
        Self {
            format: PLAN_NAME.to_owned(),
            version: PLAN_VERSION,
            made_at,
            server: engine.client().base_url().to_string(),
            user: engine.user().cloned(),
            what: what.into(),
            transactions,
        }
    }

    /// Reads a plan file.
    ///
    /// # Errors
    /// [`Error::NotOurs`], [`Error::TooNew`], [`Error::File`], and [`Error::Invalid`]
    /// for a transaction that makes no sense.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let raw: serde_json::Value = faceset_fs::read_json(path)?;
        let not_ours = || Error::NotOurs {
            path: path.to_path_buf(),
            expected: "plan",
        };
        let version = raw.get("version").and_then(serde_json::Value::as_u64);
        match (raw.get("format").and_then(|f| f.as_str()), version) {
            (Some(PLAN_NAME), Some(found)) if found > u64::from(PLAN_VERSION) => {
                return Err(Error::TooNew {
                    path: path.to_path_buf(),
                    found,
                    supported: PLAN_VERSION,
                });
            }
            (Some(PLAN_NAME), Some(_)) => {}
            _ => return Err(not_ours()),
        }
        let plan: Self = faceset_fs::read_json(path)?;
        for transaction in &plan.transactions {
            transaction.check()?;
        }
        Ok(plan)
    }

    /// Writes a plan file, replacing it as a whole.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        Ok(faceset_fs::write_json(path, self)?)
    }

    /// Faces in it.
    pub fn n_faces(&self) -> usize {
        self.transactions.iter().map(|t| t.decisions.len()).sum()
    }

    /// The name that its transactions carry in the journal, up to their number: of its
    /// content, so that the same plan is known again wherever its file lies.
    fn origin(&self) -> String {
        let bytes = faceset_fs::to_json_bytes(self);
        format!("plan {:08x} #", crc32fast::hash(&bytes))
    }
}

/// What became of a plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ApplyReport {
    /// Transactions of the plan.
    pub n_transactions: usize,
    /// Done by this run.
    pub n_applied: usize,
    /// Done by an earlier run.
    pub n_done_before: usize,
    /// How the last one sent ended, when it is not through: the rest was not sent.
    pub ended: Option<Outcome>,
    /// Every transaction sent by this run.
    pub sent: Vec<TransactionId>,
}

impl ApplyReport {
    /// True when every transaction is through.
    pub fn is_complete(&self) -> bool {
        self.n_applied + self.n_done_before == self.n_transactions
    }
}

/// Carries a plan out, and stops at the first transaction that does not go through.
/// What an earlier run did is found in the journal and not sent again, unless it was
/// undone. In a dry run every transaction is checked against the server.
///
/// # Errors
/// [`Error::Invalid`] when the plan is about another user; as [`Engine::decide`].
pub async fn apply(
    engine: &Engine,
    plan: &Plan,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<ApplyReport, Error> {
    if let (Some(of_plan), Some(of_key)) = (&plan.user, engine.user())
        && of_plan != of_key
    {
        return Err(Error::Invalid {
            what: format!("the plan is about user {of_plan}, the key is of user {of_key}"),
        });
    }
    let mut report = ApplyReport {
        n_transactions: plan.transactions.len(),
        n_applied: 0,
        n_done_before: 0,
        ended: None,
        sent: Vec::new(),
    };
    let mut earlier = Earlier::of(plan.origin());
    progress.start("send decisions", Some(plan.n_faces() as u64));
    for (at, transaction) in plan.transactions.iter().enumerate() {
        if cancel.is_cancelled() {
            break;
        }
        let n_faces = transaction.decisions.len() as u64;
        let rest = engine.look(|past| earlier.open_part(past.transactions(), at, transaction));
        let Some(rest) = rest else {
            report.n_done_before += 1;
            progress.advance(n_faces);
            continue;
        };
        let outcome = engine.decide(rest).await?;
        report.sent.extend(outcome.id);
        match outcome.status {
            Status::Applied | Status::DryRun => report.n_applied += 1,
            Status::Stopped { .. } | Status::Waiting { .. } => {
                report.ended = Some(outcome);
                break;
            }
        }
        progress.advance(n_faces);
    }
    progress.finish();
    Ok(report)
}

/// What the journal holds of a plan's transactions.
struct Earlier {
    /// What the plan's transactions carry, up to their number.
    origin: String,
    /// Transactions of the journal that are looked through.
    n_seen: usize,
    /// Positions in the journal, oldest first, by what they carry.
    by_origin: BTreeMap<String, Vec<usize>>,
}

impl Earlier {
    fn of(origin: String) -> Self {
        Self {
            origin,
            n_seen: 0,
            by_origin: BTreeMap::new(),
        }
    }

    /// What earlier runs left open of the transaction at this position of the plan;
    /// `None` when nothing. A face that is to go to a person made by an earlier run goes
    /// to that very person. `past` is the journal as it is now: it only grows.
    fn open_part(
        &mut self,
        past: &[PastTransaction],
        at: usize,
        transaction: &Transaction,
    ) -> Option<Transaction> {
        for (position, past) in past.iter().enumerate().skip(self.n_seen) {
            let origin = past.transaction.origin.as_ref();
            if let Some(origin) = origin.filter(|origin| origin.starts_with(&self.origin)) {
                let known = self.by_origin.entry(origin.clone()).or_default();
                known.push(position);
            }
        }
        self.n_seen = past.len();
        let origin = format!("{}{}", self.origin, at + 1);
        let known = self.by_origin.get(&origin).into_iter().flatten();
        let standing = known
            .map(|position| &past[*position])
            .filter(|past| past.undo.is_none());
        open_part(standing, transaction, origin)
    }
}

fn open_part<'a>(
    earlier: impl Iterator<Item = &'a PastTransaction>,
    transaction: &Transaction,
    origin: String,
) -> Option<Transaction> {
    let mut made: BTreeMap<u32, PersonId> = BTreeMap::new();
    let mut settled = BTreeSet::new();
    let mut any = false;
    for past in earlier {
        any = true;
        for created in &past.created {
            if let NewPersonFor::Group(group) = created.new {
                made.insert(group, created.person.clone());
            }
        }
        let done = past.transaction.decisions.iter().zip(&past.settled);
        settled.extend(done.filter(|(_, how)| how.is_some()).map(|(d, _)| &d.face));
    }
    let is_open = |decision: &&Decision| !settled.contains(&decision.face);
    let decisions: Vec<Decision> = transaction
        .decisions
        .iter()
        .filter(is_open)
        .map(|decision| match &decision.action {
            Action::CreatePerson { name, group } if made.contains_key(group) => Decision {
                action: Action::Reassign {
                    to: PersonRef {
                        id: made[group].clone(),
                        name: name.clone(),
                    },
                },
                ..decision.clone()
            },
            _ => decision.clone(),
        })
        .collect();
    if any && decisions.is_empty() {
        return None;
    }
    Some(Transaction {
        at: transaction.at,
        who: transaction.who.clone(),
        by: transaction.by,
        label: transaction.label.clone(),
        origin: Some(origin),
        pair: transaction.pair.clone(),
        review: transaction.review.clone(),
        decisions,
    })
}

/// The decisions of a journal that a person has not taken back: the last word on each
/// face by its id, in the order of the words. A face judged right has that as its last
/// word: nothing is to be sent for it, and what was decided before does not count.
///
/// One face may have several words: its id changes when the server forgets.
pub(crate) fn last_words(past: &[PastTransaction]) -> Vec<Word<'_>> {
    let mut words: BTreeMap<_, (usize, Word<'_>)> = BTreeMap::new();
    let mut n = 0;
    for past in past {
        for (at, decision) in past.transaction.decisions.iter().enumerate() {
            let to = match &past.settled[at] {
                _ if past.undo.is_some() => continue,
                Some(Settled::Moved { to, .. } | Settled::AlreadyThere { to }) => Some(to),
                Some(Settled::Kept) => None,
                Some(Settled::Gone) | None => continue,
            };
            n += 1;
            let word = Word {
                id: past.id,
                at,
                decision,
                to,
            };
            words.insert(&decision.face, (n, word));
        }
    }
    let mut words: Vec<(usize, Word<'_>)> = words.into_values().collect();
    words.sort_by_key(|(n, _)| *n);
    words.into_iter().map(|(_, word)| word).collect()
}

/// The last word on a face.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word<'a> {
    pub(crate) id: TransactionId,
    pub(crate) at: usize,
    pub(crate) decision: &'a Decision,
    /// Who got it; `None` when it was judged right where it was.
    pub(crate) to: Option<&'a PersonId>,
}
