//! The head of a queue: its roots and where it came from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{RootId, RootPaths};

/// Version of `queue.json`.
pub const QUEUE_VERSION: u32 = 1;

/// `queue.json`. Small, so that people can mend a root by hand; the items are
/// in a file of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueHead {
    /// [`QUEUE_VERSION`] when written.
    pub version: u32,
    /// Whose photos, for people.
    #[serde(default)]
    pub label: String,
    /// Name of the machine that staged them, for people.
    #[serde(default)]
    pub host: String,
    /// Where the items' paths begin.
    pub roots: BTreeMap<RootId, RootPaths>,
    /// What this build does not know; kept when the file is written again.
    #[serde(flatten)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl QueueHead {
    /// A head with one root.
    pub fn new(label: impl Into<String>, id: RootId, root: RootPaths) -> Self {
        Self {
            version: QUEUE_VERSION,
            label: label.into(),
            host: String::new(),
            roots: BTreeMap::from([(id, root)]),
            extra: serde_json::Map::new(),
        }
    }
}
