//! What ends an operation on the registry.

use std::path::PathBuf;

use faceset_core::{CivilDate, FacesetNumber};
use faceset_fs::FsError;

/// Why the registry could not be read, or a change could not be made.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is no registry in this folder.
    #[error("find {path}: there is no registry yet; an export or an import makes one")]
    Missing {
        /// The file that was expected.
        path: PathBuf,
    },
    /// A file of a newer build.
    #[error(
        "read {path}: it has version {found}, this build reads up to {supported}; update face-sets"
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The newest that this build knows.
        supported: u32,
    },
    /// The registry is not JSON, or JSON of another shape.
    #[error(
        "read {path}: it does not say what a registry says; mend the file by hand, nothing was changed"
    )]
    Shape {
        /// The registry.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The registry says something that can't be.
    #[error("read {path}: {flaw}; mend the file by hand, nothing was changed")]
    Nonsense {
        /// The registry.
        path: PathBuf,
        /// Where and what.
        flaw: Flaw,
    },
    /// A line of the journal is damaged, and it is not the torn last one.
    #[error(
        "read {path}, line {line}: it is no journal entry; mend the line, or move the file aside to lose the history and undo"
    )]
    JournalLine {
        /// The journal.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Journal entries are out of order.
    #[error(
        "read {path}, line {line}: entry {found} follows entry {last}, and numbers must grow; mend the file"
    )]
    JournalOrder {
        /// The journal.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// The entry there.
        found: u64,
        /// The one before.
        last: u64,
    },
    /// The journal goes on from another registry than the one that is there.
    #[error(
        "replay entry {entry} of the journal on {path}: {flaw}; set \"journal_entry\" to {entry} there to keep the file as it is"
    )]
    Replay {
        /// The registry.
        path: PathBuf,
        /// The entry.
        entry: u64,
        /// What does not fit.
        flaw: Flaw,
    },
    /// No identity has that number or name.
    #[error("find the person {person:?}: no identity has that number or name")]
    Unknown {
        /// What was asked for.
        person: String,
    },
    /// A name that can't be used.
    #[error("use {name:?} as a name: {flaw}")]
    Name {
        /// The name, cut when it is long.
        name: String,
        /// What is wrong with it.
        flaw: String,
    },
    /// A birth date that has not come yet.
    #[error("use {date} as a birth date: it lies after today, {today}")]
    FutureBirth {
        /// The date.
        date: CivilDate,
        /// The day the caller gave.
        today: CivilDate,
    },
    /// A change that would make nonsense of the registry.
    #[error("{what}: {flaw}")]
    Refused {
        /// What was to be done, e.g. `merge faceset_002 into faceset_001`.
        what: String,
        /// Why it can't be.
        flaw: Flaw,
    },
    /// A plan made before another change.
    #[error(
        "apply the plan: it was made at entry {planned} and the registry is at {now}; plan again"
    )]
    Stale {
        /// Last entry when it was planned.
        planned: u64,
        /// Last entry now.
        now: u64,
    },
    /// No such journal entry.
    #[error("undo entry {id}: the journal has no such entry")]
    NoEntry {
        /// The entry.
        id: u64,
    },
    /// An entry that can't be undone.
    #[error("undo entry {id}: {why}")]
    NotUndoable {
        /// The entry.
        id: u64,
        /// Why.
        why: String,
    },
    /// Every number is taken.
    #[error("give out a number: {last} is the last possible one and taken")]
    NoNumbers {
        /// The highest number given.
        last: FacesetNumber,
    },
    /// Forgetting needs a clear yes.
    #[error("forget {person}: it erases files for ever and can't be undone; confirm it")]
    NotConfirmed {
        /// The person.
        person: String,
    },
    /// A file of ours could not be read or written.
    #[error(transparent)]
    Fs(#[from] FsError),
}

impl IdentityError {
    pub(crate) fn io(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let failed = faceset_fs::FsError::io(action, path);
        move |source| Self::Fs(failed(source))
    }
}

/// Something in a registry that can't be: where, and one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Flaw {
    /// `faceset_003`, or `identity 4 of the list`, or a key.
    pub place: String,
    /// What is wrong and what was expected.
    pub what: String,
}

impl Flaw {
    pub(crate) fn at(number: FacesetNumber, what: impl Into<String>) -> Self {
        Self {
            place: number.folder_name(),
            what: what.into(),
        }
    }

    pub(crate) fn key(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            what: what.into(),
        }
    }
}
