//! The engine: one decision after the other, written ahead, sent, read back.
//!
//! Owns the order of things and what is promised after a crash or an outage. How one
//! face is moved is `send`, how it is moved back `restore`; what is written is
//! `journal`.

mod restore;
mod send;

use std::sync::{Arc, Mutex, MutexGuard};

use immich_client::{Client, PersonId, UserId};
use jiff::Timestamp;
use serde::Serialize;

use crate::decision::{Pair, Transaction};
use crate::journal::{
    End, Entry, FeatureRestored, Journal, Past, PastTransaction, PersonRemoved, Restored, Settled,
    Standing, TransactionId,
};
use crate::{Error, Permissions};

/// What an engine may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Mode {
    /// Refuse every change with [`Error::ReadOnly`].
    pub read_only: bool,
    /// Check every decision against the server and say what would happen; change
    /// nothing, neither there nor in the journal.
    pub dry_run: bool,
}

impl Mode {
    fn changes_nothing(self) -> bool {
        self.read_only || self.dry_run
    }
}

/// Decides, undoes and remembers, for one user of one server. Clones are cheap and
/// share everything; calls are carried out one after the other, in whatever task or
/// browser tab they come from, and go on when their caller is dropped.
///
/// Needs a tokio runtime.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    mode: Mode,
    permissions: Permissions,
    user: Option<UserId>,
    /// Held while the journal is looked at or written, never across a request.
    journal: Mutex<Journal>,
    /// Held for the whole of a decision, an undo or a resumption.
    turn: tokio::sync::Mutex<()>,
}

/// What [`Engine::new`] found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Start {
    /// The server's version.
    pub server_version: String,
    /// What the key may do.
    pub permissions: Permissions,
    /// What became of transactions that an earlier run left open.
    pub resumed: Vec<Outcome>,
    /// The undoings that an earlier run left open.
    pub undone: Vec<UndoReport>,
    /// Bytes of an unfinished line that were dropped from the journal's end.
    pub torn_bytes: u64,
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Its number; `None` for a dry run.
    pub id: Option<TransactionId>,
    /// Where it stands.
    pub status: Status,
    /// What became of each decision, at its position.
    pub decisions: Vec<DecisionOutcome>,
}

/// Where a transaction stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Status {
    /// Every decision is settled. See [`Outcome::decisions`]: faces may be gone.
    Applied,
    /// Nothing was changed; this is what would have been.
    DryRun,
    /// A decision did not go through, and what follows it was not sent. Say so, show
    /// the photo again.
    Stopped {
        /// Position of the decision.
        at_decision: usize,
        /// Why, for people.
        why: String,
    },
    /// The server is away. The journal holds the rest; [`Engine::resume`] goes on,
    /// [`Engine::undo`] takes it back.
    Waiting {
        /// Why, for people.
        why: String,
    },
}

/// What became of one decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum DecisionOutcome {
    /// It is through.
    Settled {
        /// How.
        how: Settled,
    },
    /// It would be sent; dry runs only.
    WouldSend,
    /// It was not sent, or it is not known yet how it ended.
    Open,
}

/// What an undoing did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UndoReport {
    /// The transaction.
    pub id: TransactionId,
    /// True when it is through; false when the server went away: see `why`.
    pub done: bool,
    /// Why it is not through; when it is, why it could not be told whether a person was
    /// made of whom the server's answer got lost.
    pub why: Option<String>,
    /// Each face that had been changed: position of the decision, how it ended.
    pub faces: Vec<(usize, Restored)>,
    /// Feature photos that had been lost: position of the decision, whose, how.
    pub features: Vec<(usize, PersonId, FeatureRestored)>,
    /// People that had been made.
    pub people: Vec<(PersonId, PersonRemoved)>,
}

impl UndoReport {
    /// True when everything is as it was before the transaction.
    pub fn is_complete(&self) -> bool {
        self.done
            && self.why.is_none()
            && self.faces.iter().all(|(_, how)| how.is_back())
            && self
                .features
                .iter()
                .all(|(_, _, how)| *how == FeatureRestored::Set)
            && self
                .people
                .iter()
                .all(|(_, how)| matches!(how, PersonRemoved::Deleted | PersonRemoved::GoneAlready))
    }

    fn of(past: &PastTransaction, why: Option<String>) -> Self {
        let undo = past.undo.as_ref();
        let faces = undo.map_or(&[][..], |undo| &undo.faces).iter().enumerate();
        Self {
            id: past.id,
            done: undo.is_some_and(|undo| undo.done),
            why,
            faces: faces
                .filter_map(|(i, how)| Some((i, how.clone()?)))
                .collect(),
            features: undo.map_or_else(Vec::new, |undo| undo.features.clone()),
            people: undo.map_or_else(Vec::new, |undo| undo.people.clone()),
        }
    }
}

/// Why a step ended before its end.
enum Halt {
    /// For good: this transaction stops.
    Stop(String),
    /// The server is away: go on later.
    Later(String),
    /// Our own disk.
    Journal(Error),
}

impl Halt {
    /// How a transaction stands that was halted at this decision.
    ///
    /// Errors when it was our own disk.
    fn at(self, at_decision: usize) -> Result<Status, Error> {
        match self {
            Self::Stop(why) => Ok(Status::Stopped { at_decision, why }),
            Self::Later(why) => Ok(Status::Waiting { why }),
            Self::Journal(error) => Err(error),
        }
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Journal(error)
    }
}

impl Engine {
    /// Checks server, key and permissions, ties the journal to the key's user and
    /// finishes what an earlier run left open: a decision that was sent is found to
    /// be so, one that was not is sent now if the face is still where it was. With a
    /// mode that changes nothing, open ones stay open. When the server is away,
    /// they stay open too.
    ///
    /// # Errors
    /// [`Error::Server`] when the server cannot be asked at all,
    /// [`Error::ForeignJournal`], errors of writing the journal.
    pub async fn new(client: Client, journal: Journal, mode: Mode) -> Result<(Self, Start), Error> {
        let check = client.check(&Permissions::needed()).await?;
        let user = match client.me().await {
            Ok(me) => Some(me.id),
            Err(immich_client::Error::Forbidden { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        if let (Some(of_journal), Some(of_key)) = (journal.past().user(), &user)
            && of_journal != of_key
        {
            return Err(Error::ForeignJournal {
                path: journal.path().to_path_buf(),
                journal: of_journal.to_string(),
                key: of_key.to_string(),
            });
        }
        let torn_bytes = journal.torn_bytes();
        let permissions = Permissions::of(&check);
        let engine = Self(Arc::new(Inner {
            mode,
            permissions: permissions.clone(),
            user,
            journal: Mutex::new(journal),
            turn: tokio::sync::Mutex::new(()),
            client,
        }));
        let mut start = Start {
            server_version: check.version.to_string(),
            permissions,
            resumed: Vec::new(),
            undone: Vec::new(),
            torn_bytes,
        };
        if !mode.changes_nothing() {
            engine.0.note_session()?;
            (start.resumed, start.undone) = engine.resume().await?;
        }
        Ok((engine, start))
    }

    /// The connection; for pictures and lists.
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// What the engine may do.
    pub fn mode(&self) -> Mode {
        self.0.mode
    }

    /// What the key may do.
    pub fn permissions(&self) -> &Permissions {
        &self.0.permissions
    }

    /// The key's user, if the key may read that.
    pub fn user(&self) -> Option<&UserId> {
        self.0.user.as_ref()
    }

    /// Carries out what a keystroke decided: writes it ahead, sends face after face,
    /// reads each back. Earlier transactions that wait for the server go first.
    ///
    /// The answer says how it ended; it is an `Err` only when nothing of it was
    /// written or the journal cannot be written any more.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::Invalid`], [`Error::Waiting`] when an earlier one
    /// still waits, [`Error::File`].
    pub async fn decide(&self, transaction: Transaction) -> Result<Outcome, Error> {
        transaction.check()?;
        if self.0.mode.read_only {
            return Err(Error::ReadOnly);
        }
        self.in_turn(async move |inner| {
            if inner.mode.dry_run {
                return inner.rehearse(&transaction).await;
            }
            let (outcomes, undone) = inner.resume_all().await?;
            if let Some((id, why)) = waiting(&outcomes, &undone) {
                return Err(Error::Waiting { id, why });
            }
            let id = inner.journal().past().next_id();
            inner.write(&[Entry::Decided { id, transaction }])?;
            inner.carry_out(id).await
        })
        .await
    }

    /// Takes a transaction back: faces return to whom they came from (unless somebody
    /// moved them since), lost feature photos are set again, people made for it are
    /// deleted if still empty. A reviewed photo becomes un-reviewed. For one that
    /// still waits, this takes back what was sent and drops the rest.
    ///
    /// # Errors
    /// [`Error::CannotUndo`] for unknown and undone transactions, [`Error::ReadOnly`]
    /// (also in dry runs), [`Error::File`].
    pub async fn undo(
        &self,
        id: TransactionId,
        at: Timestamp,
        who: impl Into<String>,
    ) -> Result<UndoReport, Error> {
        if self.0.mode.changes_nothing() {
            return Err(Error::ReadOnly);
        }
        let who = who.into();
        self.in_turn(async move |inner| {
            let standing = inner
                .journal()
                .past()
                .transaction(id)
                .map(PastTransaction::standing);
            match standing {
                None => {
                    let why = "there is no such transaction";
                    return Err(Error::CannotUndo { id, why });
                }
                Some(Standing::Undone) => {
                    let why = "it is undone already";
                    return Err(Error::CannotUndo { id, why });
                }
                Some(Standing::Undoing) => {}
                Some(Standing::Open) => {
                    // What is on its way must be known before it can be taken back.
                    let Settling::Known = inner.settle_sent(id).await? else {
                        return Ok(inner.undo_report(id, Some("the server is away".to_owned())));
                    };
                    inner.write(&[
                        Entry::Closed {
                            id,
                            end: inner.cancelled(id),
                        },
                        Entry::Undoing { id, at, who },
                    ])?;
                }
                Some(Standing::Applied | Standing::Stopped) => {
                    inner.write(&[Entry::Undoing { id, at, who }])?;
                }
            }
            inner.take_back(id).await
        })
        .await
    }

    /// Goes on with everything that waits for the server; does nothing when nothing
    /// does.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] (also in dry runs), [`Error::File`].
    pub async fn resume(&self) -> Result<(Vec<Outcome>, Vec<UndoReport>), Error> {
        if self.0.mode.changes_nothing() {
            return Err(Error::ReadOnly);
        }
        self.in_turn(async |inner| inner.resume_all().await).await
    }

    /// Shows the reviewed photos of a pair again. Decisions, history and undo stay.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] (also in dry runs), [`Error::File`].
    pub async fn reset_review(
        &self,
        pair: Pair,
        at: Timestamp,
        who: impl Into<String>,
    ) -> Result<(), Error> {
        if self.0.mode.changes_nothing() {
            return Err(Error::ReadOnly);
        }
        let who = who.into();
        self.in_turn(async move |inner| inner.write(&[Entry::Reset { pair, at, who }]))
            .await
    }

    /// Every transaction, oldest first.
    pub fn history(&self) -> Vec<PastTransaction> {
        self.look(|past| past.transactions().to_vec())
    }

    /// Looks at what the journal tells: transactions, reviewed photos, figures. For
    /// short looks, as writing waits meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(&Past) -> T) -> T {
        look(self.0.journal().past())
    }

    /// Runs work as a task of its own, so that a browser tab that closes in the
    /// middle does not leave a transaction half done.
    async fn in_turn<T, W, F>(&self, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: FnOnce(Arc<Inner>) -> F + Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let inner = self.0.clone();
        let task = tokio::spawn(async move {
            let of_work = inner.clone();
            let _turn = inner.turn.lock().await;
            work(of_work).await
        });
        task.await.map_err(|_| Error::Interrupted)?
    }
}

/// Whether it is known what became of a face on its way.
enum Settling {
    Known,
    Unknown,
}

impl Inner {
    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal
            .lock()
            .expect("no code panics while it holds the journal")
    }

    fn write(&self, entries: &[Entry]) -> Result<(), Error> {
        self.journal().append(entries)
    }

    fn past(&self, id: TransactionId) -> PastTransaction {
        self.look_at(id, Clone::clone)
    }

    /// Looks at a transaction without copying it: it may hold thousands of faces.
    fn look_at<T>(&self, id: TransactionId, look: impl FnOnce(&PastTransaction) -> T) -> T {
        let journal = self.journal();
        let past = journal.past().transaction(id);
        look(past.expect("the journal holds what it numbered"))
    }

    fn note_session(&self) -> Result<(), Error> {
        let server = self.client.base_url().to_string();
        let mut journal = self.journal();
        let known = journal.past();
        if known.server() == Some(&server)
            && (self.user.is_none() || known.user() == self.user.as_ref())
        {
            return Ok(());
        }
        let user = self.user.clone();
        journal.append(&[Entry::Session { server, user }])
    }

    /// Goes on with every open transaction, oldest first, until one has to wait.
    async fn resume_all(&self) -> Result<(Vec<Outcome>, Vec<UndoReport>), Error> {
        let (mut outcomes, mut undone) = (Vec::new(), Vec::new());
        let open: Vec<TransactionId> = self.journal().past().open().collect();
        for id in open {
            if self.look_at(id, PastTransaction::standing) == Standing::Undoing {
                let report = self.take_back(id).await?;
                let waits = !report.done;
                undone.push(report);
                if waits {
                    break;
                }
            } else {
                let outcome = self.carry_out(id).await?;
                let waits = matches!(outcome.status, Status::Waiting { .. });
                outcomes.push(outcome);
                if waits {
                    break;
                }
            }
        }
        Ok((outcomes, undone))
    }

    fn undo_report(&self, id: TransactionId, why: Option<String>) -> UndoReport {
        self.look_at(id, |past| UndoReport::of(past, why))
    }

    /// How a transaction ends that is taken back before it was through.
    fn cancelled(&self, id: TransactionId) -> End {
        let open = self.look_at(id, |past| past.settled.iter().position(Option::is_none));
        match open {
            None => End::Applied,
            Some(at_decision) => End::Stopped {
                at_decision,
                why: "taken back before it was sent".to_owned(),
            },
        }
    }
}

/// What could not be finished, and why.
fn waiting(outcomes: &[Outcome], undone: &[UndoReport]) -> Option<(TransactionId, String)> {
    let sent = outcomes.iter().find_map(|outcome| match &outcome.status {
        Status::Waiting { why } => Some((outcome.id?, why.clone())),
        _ => None,
    });
    let taken_back = undone.iter().find(|report| !report.done);
    sent.or_else(|| taken_back.map(|report| (report.id, report.why.clone().unwrap_or_default())))
}
