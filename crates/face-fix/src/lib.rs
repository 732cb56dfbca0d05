//! Corrects misassigned faces in Immich: fast, checked, and with real undo.
//!
//! - [`Transaction`]: what one keystroke decides about faces.
//! - [`Journal`]: every transaction, on the disk before anything is sent.
//! - [`Engine`]: writes ahead, sends, reads back; undoes; finishes after a crash or an
//!   outage what was begun.
//!
//! - [`Plan`] and [`apply`]: decisions in a file; [`verify`] and [`plan_replay`]: what the
//!   server still knows of a journal, and bringing back what it forgot.
//! - [`PersonPhotos`]: the photos of a person with their faces, page by page.
//! - [`OwnFaces`], [`PairIndex`], [`AutoRule`]: suggestions from our own embeddings;
//!   [`suggest_by_immich`] without them. [`coach`]: where two people can be told apart.
//! - [`link_by_queue`], [`link_by_reading`]: which photo of a cache is which of Immich.
//! - [`Memory`]: whose a face is not by what was decided; [`export_decisions`] writes it
//!   down for the registry of face-sets.
//! - [`split()`]: a person's faces in groups, to be given to several people.
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

mod coach;
mod decision;
mod engine;
mod error;
mod journal;
mod link;
mod memory;
mod own;
mod permissions;
mod photos;
mod plan;
mod replay;
mod split;
mod suggest;

pub use coach::{BIN_WIDTH, Coach, Cut, N_BINS, RuleTrial, coach, confirmed, try_rule};
pub use decision::{Action, Area, By, Decision, Pair, PersonRef, Review, ReviewHow, Transaction};
pub use engine::{DecisionOutcome, Engine, Mode, Outcome, Start, Status, UndoReport};
pub use error::Error;
pub use journal::{
    CreatedPerson, End, Entry, Feature, FeatureRestored, JOURNAL_VERSION, Journal, NewPersonFor,
    PairStats, Past, PastTransaction, PastUndo, PersonRemoved, Restored, Settled, Standing,
    TransactionId,
};
pub use link::{LinkReport, PhotoLink, QueueLinkReport, link_by_queue, link_by_reading};
pub use memory::{ExportReport, Memory, Said, export_decisions};
pub use own::{Linked, NoVector, OwnFaces, SAME_FACE_IOU};
pub use permissions::{Function, MissingPermission, NEEDED, Permissions};
pub use photos::{PersonPhotos, Photo, PhotoFace};
pub use plan::{ApplyReport, PLAN_VERSION, Plan, apply};
pub use replay::{Found, FoundRow, Replay, VerifyReport, plan_replay, verify};
pub use split::{GroupTarget, SPLIT_DISTANCE, Split, SplitFace, SplitGroup, split};
pub use suggest::{AutoRule, Nearest, PairIndex, Side, Suggestion, Verdict, suggest_by_immich};
