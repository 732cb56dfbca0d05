//! One photo to look at, whoever named it.

use std::path::{Path, PathBuf};

use faceset_cache::{Cache, Known};
use faceset_core::{ContentHash, FileStatus, SourcePath};
use faceset_media::ScannedFile;

/// One photo to look at: what it is called, where it lies, what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its name in the cache.
    pub path: SourcePath,
    /// Where to open it; `None` where its name says.
    pub place: Option<PathBuf>,
    /// Bytes when it was listed: what prefetching reckons with.
    pub size: u64,
    /// Modification time, nanoseconds since 1970 UTC; 0 unknown. Kept in the
    /// cache.
    pub mtime_ns: i64,
    /// Number that the file system gave the file when it was listed; 0 unknown.
    pub file_number: u64,
    /// What its bytes must be. Other bytes are stale and not looked at.
    pub sha256: Option<ContentHash>,
    /// Where the pixels come from: `original`, or what a server rendered.
    pub source: String,
    /// Capture time, `YYYY-MM-DDTHH:MM:SS`, for bytes that do not say theirs.
    pub taken: Option<String>,
}

impl Task {
    /// Where to open it.
    pub(crate) fn place(&self) -> &Path {
        self.place.as_deref().unwrap_or_else(|| self.path.as_path())
    }

    /// Whether the cache has it, without opening it: by its content where that
    /// is given, else by size and time.
    pub(crate) fn is_known(&self, cache: &Cache) -> bool {
        match &self.sha256 {
            Some(sha256) => cache.by_hash(sha256).is_some_and(|file| {
                file.size == self.size
                    && matches!(file.status, FileStatus::Faces(_))
                    && cache.canonical(&self.path) == Some(&file.path)
            }),
            None => cache.known(&self.path, self.size, self.mtime_ns) == Known::Unchanged,
        }
    }
}

impl From<ScannedFile> for Task {
    fn from(file: ScannedFile) -> Self {
        Self {
            path: file.path,
            place: None,
            size: file.size,
            mtime_ns: file.mtime_ns,
            file_number: file.number,
            sha256: None,
            source: "original".to_owned(),
            taken: None,
        }
    }
}
