//! What ends a report. A photo that cannot be read doesn't.

use std::path::PathBuf;

use faceset_fs::FsError;

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The listing of an earlier, newer build.
    #[error(
        "update the report: {path} has version {found}, this build reads up to {supported}; update face-sets or write to another folder"
    )]
    TooNew {
        /// The listing.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest that this build knows.
        supported: u32,
    },
    /// A page could not be rendered.
    #[error("render {file}")]
    Render {
        /// The page, below the output folder.
        file: String,
        /// Why.
        source: askama::Error,
    },
    /// A file of ours could not be written, locked or moved.
    #[error(transparent)]
    Fs(#[from] FsError),
}
