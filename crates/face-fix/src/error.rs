//! What can go wrong here, told apart by what the caller has to do.

use std::path::PathBuf;

use faceset_fs::FsError;

use crate::journal::TransactionId;

/// An error of the journal, a plan or the engine. The texts read well after
/// "failed to".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The journal, or a plan, could not be locked, read or written.
    #[error(transparent)]
    File(#[from] FsError),
    /// The file is of a newer build.
    #[error("read {path}: it has version {found}; this build reads up to {supported}")]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The newest version read here.
        supported: u32,
    },
    /// A line before the last one does not match its checksum or makes no sense.
    #[error("read line {line} of {path}: {what}; keep the file and restore it from a copy")]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Number from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// The file is no journal or plan of ours.
    #[error("read {path}: not a face-fix {expected}")]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What was expected.
        expected: &'static str,
    },
    /// The journal is about another Immich user or installation.
    #[error(
        "use the journal {path}: it belongs to user {journal}, the key to user {key}; \
         give another --journal, or take its decisions over with replay"
    )]
    ForeignJournal {
        /// The journal.
        path: PathBuf,
        /// The user id in the journal.
        journal: String,
        /// The user id of the key.
        key: String,
    },
    /// The decision makes no sense.
    #[error("accept the decision: {what}")]
    Invalid {
        /// What is wrong.
        what: String,
    },
    /// Changes were refused because the engine only reads.
    #[error("change anything: started read-only")]
    ReadOnly,
    /// An earlier decision is not through yet, and must be first.
    #[error("go on: decision {id} is still waiting for the server ({why})")]
    Waiting {
        /// The waiting transaction.
        id: TransactionId,
        /// Why.
        why: String,
    },
    /// There is no such transaction, or it is undone already.
    #[error("undo {id}: {why}")]
    CannotUndo {
        /// The transaction asked for.
        id: TransactionId,
        /// Why.
        why: &'static str,
    },
    /// The server could not be asked.
    #[error(transparent)]
    Server(#[from] immich_client::Error),
    /// Grouping faces failed.
    #[error("group the faces of {person}")]
    Cluster {
        /// Whose.
        person: String,
        /// Why.
        source: faceset_cluster::ClusterError,
    },
    /// The work was interrupted before it was done; the journal says how far it came.
    #[error("finish: the work was interrupted")]
    Interrupted,
}

impl Error {
    pub(crate) fn io(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let failed = FsError::io(action, path);
        move |source| Self::File(failed(source))
    }
}
