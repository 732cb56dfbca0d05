//! What can go wrong between a folder and its pixels.

use std::path::PathBuf;

use crate::{Format, OtherKind};

/// Why a folder could not be listed, a file not read, or bytes not decoded.
///
/// Everything but [`MediaError::Root`], [`MediaError::Pattern`] and
/// [`MediaError::Cancelled`] concerns one file: an outcome to count, never the
/// end of a run.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The folder or file to scan cannot be used at all.
    #[error("open the source {path}: {problem}")]
    Root {
        /// The path as it was given.
        path: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// An exclude pattern is not a glob.
    #[error("read the exclude pattern {pattern:?}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Where it is wrong.
        source: globset::Error,
    },
    /// A stop was requested.
    #[error("finish: stopped on request")]
    Cancelled,

    /// The file was there when it was listed and is gone.
    #[error("read {path}: the file vanished after it was listed; run again")]
    Vanished {
        /// The file.
        path: PathBuf,
    },
    /// The system refuses to open the file.
    #[error("read {path}: permission denied; make the file readable and run again")]
    Denied {
        /// The file.
        path: PathBuf,
    },
    /// A folder, pipe, socket or device where a file was expected.
    #[error("read {path}: not a regular file")]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// More bytes than the caller allows.
    #[error("read {path}: more than {limit} bytes")]
    FileTooBig {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// Any other failure to read.
    #[error("read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },

    /// A file of zero bytes.
    #[error("decode: the file is empty")]
    Empty,
    /// The content is something else than a picture.
    #[error("decode: not a picture but {0}")]
    NotAPicture(OtherKind),
    /// A picture that this build cannot decode.
    #[error("decode {format}: not supported in this build: {reason}")]
    Unsupported {
        /// What it is.
        format: Format,
        /// Why not, and what to do.
        reason: String,
    },
    /// More pixels than allowed; nothing was allocated.
    #[error(
        "decode {format}: the header says {width} x {height} pixels, more than the limit of \
         {max_pixels} pixels or {max_edge_px} along an edge"
    )]
    TooLarge {
        /// What it is.
        format: Format,
        /// Width that the header states.
        width: u64,
        /// Height that the header states.
        height: u64,
        /// Limit on the product.
        max_pixels: u64,
        /// Limit on each edge.
        max_edge_px: u32,
    },
    /// Decoding would take more memory than allowed; nothing was allocated.
    #[error("decode {format}: needs about {need} bytes of memory, the limit is {limit}")]
    TooMuchMemory {
        /// What it is.
        format: Format,
        /// Estimate in bytes.
        need: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file holds a header but no picture data.
    #[error("decode {format}: cut off before any picture data")]
    NoPixels {
        /// What it is.
        format: Format,
    },
    /// The content breaks the rules of its format.
    #[error("decode {format}: damaged")]
    Damaged {
        /// What it is.
        format: Format,
        /// What the decoder says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The decoder panicked: a bug in it that this file triggers.
    #[error("decode {format}: the decoder gave up ({message})")]
    Panicked {
        /// What it is.
        format: Format,
        /// Text of the panic.
        message: String,
    },
}

impl MediaError {
    /// The error and its causes as one line, for logs and `FileStatus::Failed`.
    pub fn one_line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let text = error.to_string();
            // Wrappers often repeat their cause; saying it once is enough.
            if !line.contains(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            cause = error.source();
        }
        line.replace(['\n', '\r'], " ")
    }

    pub(crate) fn damaged(
        format: Format,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Damaged {
            format,
            source: source.into(),
        }
    }
}
