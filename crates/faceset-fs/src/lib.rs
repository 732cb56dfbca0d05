//! How face-sets puts files on disk, in one place: write beside, sync, rename;
//! lock by a separate file; move aside instead of delete.
//!
//! Knows nothing of what the files mean.

mod atomic;
mod folders;
mod json;
mod lock;
mod patient;
mod quarantine;

pub use atomic::{AtomicFile, sync_folder_of, write_atomic};
pub use folders::folder_names;
pub use json::{read_json, to_json_bytes, write_json};
pub use lock::{DirLock, LockFile};
pub use patient::{remove_file, remove_folder, rename};
pub use quarantine::quarantine;

use std::path::{Path, PathBuf};

/// What can go wrong with a file of ours.
#[derive(Debug, thiserror::Error)]
pub enum FsError {
    /// Reading, writing, renaming or locking failed.
    #[error("{action} {path}")]
    Io {
        /// What was tried, e.g. `write`.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A JSON file does not say what its format promises.
    #[error("read {path}: not valid JSON for this file")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// Another run works on the same thing.
    #[error("lock {path}: it is in use by another run ({holder}); wait for it or stop it")]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// What the lock file says of its holder.
        holder: String,
    },
}

impl FsError {
    /// The error of what was tried on a path, from why it failed.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
