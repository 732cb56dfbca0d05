//! What can go wrong between pixels and faces.

use std::path::PathBuf;

/// An error of inference; none of them is about a single bad photo.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// A pack file does not follow its format.
    #[error("read the model pack {origin}: {reason}")]
    Pack {
        /// File path or built-in name.
        origin: String,
        /// What was expected.
        reason: String,
    },
    /// No folder holds the pack's files.
    #[error("find the model pack {pack}: {file} is missing; {advice} (searched {searched:?})")]
    PackMissing {
        /// Pack name.
        pack: String,
        /// The first missing file.
        file: String,
        /// Folders that were searched.
        searched: Vec<PathBuf>,
        /// Where to get it.
        advice: String,
    },
    /// A model file is not the one the pack names.
    #[error(
        "verify {path}: its sha256 is {found}, the pack names {expected}; replace the file or use another pack"
    )]
    WrongModel {
        /// The file.
        path: PathBuf,
        /// The digest in the pack.
        expected: String,
        /// The file's digest.
        found: String,
    },
    /// A file could not be read.
    #[error("read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The runtime library could not be loaded.
    #[error("load the ONNX Runtime library {path}: {reason}; {advice}")]
    Runtime {
        /// The library, or where it was looked for.
        path: String,
        /// Why.
        reason: String,
        /// What to do.
        advice: String,
    },
    /// The runtime refused a model, or its answer is not what was expected.
    #[error("use the model {model}: {reason}")]
    Model {
        /// Model file name.
        model: String,
        /// What the runtime said, or what was unexpected of its answer.
        reason: String,
    },
    /// A run ended with an error of the runtime or the driver: the provider may
    /// have lost its device, and another one may still work.
    #[error("run the model {model} on {provider}: {reason}")]
    Run {
        /// Model file name.
        model: String,
        /// What ran it.
        provider: String,
        /// What the runtime said.
        reason: String,
    },
    /// An execution provider is not there.
    #[error("use the execution provider {provider}: {reason}")]
    Provider {
        /// Name as given.
        provider: String,
        /// What the runtime said.
        reason: String,
    },
}
