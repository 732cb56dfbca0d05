//! Why a verb could not finish.

use std::path::PathBuf;

/// An error of a whole step. Bad photos are not errors but counted outcomes.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// A stop was requested; what was done is saved.
    #[error("finish: interrupted; what was done is saved, run the same command again to go on")]
    Interrupted,
    /// A stop file is there before the run began.
    #[error("start: {path} asks workers to stop; remove it to go on")]
    AskedToStop {
        /// The stop file.
        path: PathBuf,
    },
    /// The device stopped answering; what was done is saved.
    #[error(
        "go on: {reason}; what was done is saved, run the same command again, or with --provider cpu"
    )]
    DeviceLost {
        /// What it said last.
        reason: String,
    },
    /// A queue's root is not where it should be.
    #[error(
        "find the root `{id}`: {path} is not there; connect the drive, or say where it is with --root {id}=PATH"
    )]
    NoRoot {
        /// The root's name.
        id: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Options that do not make sense together.
    #[error("use these options: {0}")]
    Options(String),
    /// The cache has nothing to work on.
    #[error("work on {path}: it holds no faces; run `sort-faces embed` first")]
    NoFaces {
        /// The cache.
        path: PathBuf,
    },
    /// A file of a newer version of face-sets.
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
    /// Faces that a manifest names are not in the cache.
    #[error(
        "match {manifest} with {cache}: {n_missing} of its faces are not in the cache (first: {first}); use the cache it was made from, or run the step again"
    )]
    ForeignManifest {
        /// The manifest.
        manifest: PathBuf,
        /// The cache.
        cache: PathBuf,
        /// How many.
        n_missing: usize,
        /// The first one.
        first: String,
    },
    /// The cache.
    #[error(transparent)]
    Cache(#[from] faceset_cache::CacheError),
    /// A stager's queue.
    #[error(transparent)]
    Queue(#[from] faceset_queue::QueueError),
    /// Clustering.
    #[error(transparent)]
    Cluster(#[from] faceset_cluster::ClusterError),
    /// Models and runtime.
    #[error(transparent)]
    Infer(#[from] faceset_infer::InferError),
    /// Listing pictures.
    #[error(transparent)]
    Media(#[from] faceset_media::MediaError),
    /// Files of ours.
    #[error(transparent)]
    Fs(#[from] faceset_fs::FsError),
    /// The registry of people.
    #[error(transparent)]
    Identity(#[from] faceset_identity::IdentityError),
    /// The contact sheet.
    #[error(transparent)]
    Report(#[from] faceset_report::ReportError),
    /// The export.
    #[error(transparent)]
    Export(#[from] faceset_export::ExportError),
}

impl PipelineError {
    pub(crate) fn io(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let failed = faceset_fs::FsError::io(action, path);
        move |source| Self::Fs(failed(source))
    }

    /// True when the step stopped because it was asked to.
    pub fn is_interruption(&self) -> bool {
        matches!(
            self,
            Self::Interrupted
                | Self::Cluster(faceset_cluster::ClusterError::Cancelled)
                | Self::Media(faceset_media::MediaError::Cancelled)
        )
    }
}
