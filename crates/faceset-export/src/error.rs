//! What ends an export. A bad photo doesn't: it is a counted outcome.

use std::path::PathBuf;

use faceset_fs::FsError;

/// Why an export could not be planned or carried out.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// An option outside its range.
    #[error("use {value} as {option}: expected {expected}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// What was given.
        value: String,
        /// What is possible.
        expected: &'static str,
    },
    /// A value outside what its type promises.
    #[error(transparent)]
    Value(#[from] faceset_core::ValueError),
    /// Candidates were asked for without the groups they come from.
    #[error(
        "plan candidates: they are rescued from the singletons of a raw manifest, and none was given"
    )]
    NoRawManifest,
    /// Scores need landmarks that the cache does not hold yet.
    #[error(
        "score {n_unenriched} of {n_faces} faces: they have no landmarks yet; run enrich on the cache first, or allow unenriched faces to score them by five points"
    )]
    Unenriched {
        /// Faces without enrichment that would be exported.
        n_unenriched: usize,
        /// All faces that would be exported.
        n_faces: usize,
    },
    /// A manifest of a newer format.
    #[error(
        "merge {path}: it has version {found}, this build writes {supported}; update face-sets"
    )]
    TooNew {
        /// The manifest.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The newest that this build knows.
        supported: u32,
    },
    /// A manifest that is JSON of another shape.
    #[error("merge {path}: {what}; move the file aside or mend it")]
    Shape {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The detector failed, not the picture: nothing could be verified.
    #[error("verify the crops of {set}: the face detector failed: {message}")]
    Finder {
        /// The set being built.
        set: String,
        /// What the detector said.
        message: String,
    },
    /// A PNG could not be encoded or read back.
    #[error("encode a PNG of {set}")]
    Png {
        /// The set being built.
        set: String,
        /// Why.
        source: image::ImageError,
    },
    /// A bundle could not be written or does not hold what it should.
    #[error("write the bundle {path}")]
    Bundle {
        /// The bundle.
        path: PathBuf,
        /// Why.
        source: zip::result::ZipError,
    },
    /// A written bundle failed its check.
    #[error("check the bundle {path}: {what}")]
    BundleCheck {
        /// The bundle.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// A file of ours could not be read or written.
    #[error(transparent)]
    Fs(#[from] FsError),
}

impl ExportError {
    pub(crate) fn io(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let failed = faceset_fs::FsError::io(action, path);
        move |source| Self::Fs(failed(source))
    }
}
