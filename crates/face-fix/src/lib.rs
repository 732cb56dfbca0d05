//! Corrects misassigned faces in Immich: fast, checked, and with real undo.
//!
//! - [`Transaction`]: what one keystroke decides about faces.
//! - [`Journal`]: every transaction, on the disk before anything is sent.
//! - [`Engine`]: writes ahead, sends, reads back; undoes; finishes after a crash or an
//!   outage what was begun.
//!
//! No HTTP server, no page, no command line: programs bring these, and the time and
//! the user's name too.
//!
//! ```no_run
//! # async fn run(client: immich_client::Client, transaction: face_fix::Transaction)
//! # -> Result<(), face_fix::Error> {
//! use face_fix::{Engine, Journal, Mode, Status};
//!
//! let journal = Journal::open("faces.journal.jsonl".as_ref(), "example")?;
//! let (engine, start) = Engine::new(client, journal, Mode::default()).await?;
//! for missing in &start.permissions.missing {
//!     let (name, what_for) = (&missing.permission, &missing.functions);
//!     # let _ = (name, what_for);
//! }
//! let outcome = engine.decide(transaction).await?;
//! if let (Status::Applied, Some(id)) = (&outcome.status, outcome.id) {
//!     engine.undo(id, jiff::Timestamp::UNIX_EPOCH, "me").await?;
//! }
//! # Ok(())
//! # }
//! ```

mod decision;
mod engine;
mod error;
mod journal;
mod permissions;

pub use decision::{Action, Area, By, Decision, Pair, PersonRef, Review, ReviewHow, Transaction};
pub use engine::{DecisionOutcome, Engine, Mode, Outcome, Start, Status, UndoReport};
pub use error::Error;
pub use journal::{
    CreatedPerson, End, Entry, Feature, FeatureRestored, JOURNAL_VERSION, Journal, NewPersonFor,
    PairStats, Past, PastTransaction, PastUndo, PersonRemoved, Restored, Settled, Standing,
    TransactionId,
};
pub use permissions::{Function, MissingPermission, NEEDED, Permissions};
