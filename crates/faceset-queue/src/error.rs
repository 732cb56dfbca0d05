//! Why a queue folder can't be used. A bad line in it is no error but counted.

use std::path::{Path, PathBuf};

use crate::PathRefusal;

/// An error with a whole file or root.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// A file of ours through `faceset-fs`.
    #[error(transparent)]
    Fs(#[from] faceset_fs::FsError),
    /// A newer build wrote it.
    #[error(
        "read {path}: it has version {found}, this build reads up to {supported}; update face-sets"
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The newest version read.
        supported: u32,
    },
    /// Not what the name promises.
    #[error("read {path}: {reason}")]
    NotThisFormat {
        /// The file.
        path: PathBuf,
        /// What was expected and what is there.
        reason: String,
    },
    /// A root has no place on this system.
    #[error("find the root `{id}`: {reason}; say where it is with --root {id}=PATH")]
    Root {
        /// The root's name.
        id: String,
        /// Why.
        reason: PathRefusal,
    },
    /// An item names a root that the head doesn't have.
    #[error("find the root `{id}`: {path} does not name it")]
    UnknownRoot {
        /// The root's name.
        id: String,
        /// The head of the queue.
        path: PathBuf,
    },
    /// A text given by a person is not of the form asked for.
    #[error("read `{text}`: {expected}")]
    Text {
        /// What was given.
        text: String,
        /// What is expected.
        expected: &'static str,
    },
    /// An earlier write failed and could not be taken back.
    #[error("append to {path}: an earlier write failed half-way; open it again")]
    Poisoned {
        /// The file.
        path: PathBuf,
    },
}

impl QueueError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let failed = faceset_fs::FsError::io(action, path);
        move |source| Self::Fs(failed(source))
    }
}
