//! What can go wrong with a cache.

use std::path::PathBuf;

use faceset_core::SourcePath;

/// Why a cache could not be read, opened, changed or written.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Neither the cache nor its journal is there.
    #[error("find the cache {path}: there is none; make one with `embed`")]
    Missing {
        /// The cache.
        path: PathBuf,
    },
    /// The path already holds a cache that this call would replace.
    #[error("write the cache {path}: it exists already; name a path that is free")]
    Exists {
        /// The cache.
        path: PathBuf,
    },
    /// A later build wrote it.
    #[error(
        "read {path}: it has schema {found}, this build reads up to {supported}; update face-sets"
    )]
    TooNew {
        /// The cache or its journal.
        path: PathBuf,
        /// Its schema.
        found: u64,
        /// The newest schema known here.
        supported: u32,
    },
    /// The archive or the journal is damaged, or is something else.
    #[error("read {path}: {what}; restore it from a backup, or move it aside to start anew")]
    Corrupt {
        /// The cache or its journal.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// The cause, where a library found it.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// An array holds Python objects (pickles). Reading those runs code, so
    /// this crate never does.
    #[error(
        "read {path}: its array `{member}` holds Python objects, which only Python can unpickle; \
         convert a cache of your own with docs/formats/convert_pickled_cache.py"
    )]
    Pickled {
        /// The cache.
        path: PathBuf,
        /// The array.
        member: String,
    },
    /// An array that must be there is not.
    #[error("read {path}: the array `{member}` is missing; this is not a face cache")]
    NoArray {
        /// The cache.
        path: PathBuf,
        /// The array.
        member: String,
    },
    /// Arrays contradict each other or the format.
    #[error("read {path}: array `{member}`: {what}")]
    BadArray {
        /// The cache.
        path: PathBuf,
        /// The array.
        member: String,
        /// What is wrong with it.
        what: String,
    },
    /// The cache was made by other models: embeddings do not compare.
    #[error(
        "use {path} with the model pack {wanted}: it was made with {found}, and embeddings of \
         different packs do not compare; name another cache path, or embed these photos again \
         with {found}"
    )]
    OtherPack {
        /// The cache.
        path: PathBuf,
        /// The pack that made it.
        found: String,
        /// The pack of this run.
        wanted: String,
    },
    /// The cache does not say which models made it.
    #[error(
        "use {path} with the model pack {wanted}: it does not say which pack made it (an imported \
         cache); state the pack while importing, or name another cache path"
    )]
    UnknownPack {
        /// The cache.
        path: PathBuf,
        /// The pack of this run.
        wanted: String,
    },
    /// The same pack with another detector setting.
    #[error(
        "use {path} with detector settings {wanted}: it was made with {found}; use those, or name \
         another cache path"
    )]
    OtherSettings {
        /// The cache.
        path: PathBuf,
        /// What made it.
        found: String,
        /// What this run wants.
        wanted: String,
    },
    /// A record that the format cannot hold.
    #[error("store the record of {path}: {what}")]
    BadRecord {
        /// The photo.
        path: SourcePath,
        /// What is wrong.
        what: String,
    },
    /// A change to a photo or face that the cache does not know.
    #[error("change the record of {path}: {what}")]
    Unknown {
        /// The photo.
        path: SourcePath,
        /// What was looked for.
        what: String,
    },
    /// Locking or replacing failed.
    #[error(transparent)]
    Fs(#[from] faceset_fs::FsError),
    /// Another run kept rewriting the cache while it was read.
    #[error("read {path}: another run kept rewriting it; try again when that run has ended")]
    Changing {
        /// The cache.
        path: PathBuf,
    },
}

impl CacheError {
    pub(crate) fn io(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let failed = faceset_fs::FsError::io(action, path);
        move |source| Self::Fs(failed(source))
    }
}
