//! What ends a staging run or keeps it from beginning. What goes wrong with one photo
//! is a counted outcome and not here.

use std::path::PathBuf;

/// A run that could not begin or go on. The texts read well after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// An exclude pattern is no glob.
    #[error("read the pattern {pattern:?}")]
    Pattern {
        /// As given.
        pattern: String,
        /// Why.
        source: globset::Error,
    },
    /// A setting outside of its range.
    #[error("use {name} {value}: expected {expected}")]
    Setting {
        /// Which.
        name: &'static str,
        /// As given.
        value: String,
        /// What would do.
        expected: &'static str,
    },
    /// The server, in a way that more tries would not mend.
    #[error(transparent)]
    Server(#[from] immich_client::Error),
    /// The key lacks permissions that the run needs.
    #[error(
        "use the API key: it lacks {}; add them to the key in Immich (Account settings, API keys)",
        missing.join(", ")
    )]
    Permissions {
        /// Names as Immich has them.
        missing: Vec<String>,
    },
    /// The label was staged with another user's key before.
    #[error(
        "use this key for {label:?}: it belongs to user {found}, and {users} says that {label:?} is \
         {expected}; use another --user, or that user's key"
    )]
    OtherUser {
        /// The label.
        label: String,
        /// Whose key it is.
        found: String,
        /// Who the label is.
        expected: String,
        /// The file that says so.
        users: String,
    },
    /// The user's library was staged under another label.
    #[error(
        "use the label {label:?}: {users} says that this key's user is {known:?}; use --user {known}, \
         or change the file"
    )]
    OtherLabel {
        /// The label that was given.
        label: String,
        /// The user's label.
        known: String,
        /// The file that says so.
        users: String,
    },
    /// Whose key it is cannot be told, so partners' photos cannot be told apart.
    #[error(
        "tell whose key this is: it lacks user.read; add that permission, or write the user's id \
         for {label:?} into {users}"
    )]
    UnknownUser {
        /// The label.
        label: String,
        /// Where the id could stand.
        users: String,
    },
    /// Files of the queue.
    #[error(transparent)]
    Queue(#[from] faceset_queue::QueueError),
    /// Other files of ours.
    #[error(transparent)]
    Fs(#[from] faceset_fs::FsError),
    /// The cache to compare with.
    #[error(transparent)]
    Cache(#[from] faceset_cache::CacheError),
    /// The configuration of a chain.
    #[error("read the chain's configuration {path}: {what}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong and what is expected.
        what: String,
    },
}

impl StagingError {
    /// True when what was asked for makes no sense, whatever the server would say.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Pattern { .. } | Self::Setting { .. })
    }

    /// True when the server is away, so that the same command may succeed later.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Server(error) if error.kind() == immich_client::ErrorKind::Outage)
    }
}
