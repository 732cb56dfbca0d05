//! What the stager decided about each asset, and which photos stand for others.

use std::collections::BTreeMap;
use std::path::Path;

use faceset_core::ContentHash;
use serde::{Deserialize, Serialize};

use crate::{LineReport, PortablePath, QueueError, RootId, Row, Sha1Hash, read_rows};

/// Version of `state.jsonl`.
pub const STATE_VERSION: u32 = 1;

/// Version of `aliases.jsonl`.
pub const ALIASES_VERSION: u32 = 1;

/// What became of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageStatus {
    /// Its bytes are in the queue.
    Staged,
    /// The cache that was compared with has the same bytes.
    DupCanonical,
    /// Another asset with the same bytes is in the queue.
    DupInternal,
    /// The server found no face on it.
    NoFace,
    /// All faces are smaller than asked for.
    SmallFace,
    /// Left out by a rule; `reason` says which.
    Excluded,
    /// Asking for its faces failed. Not final.
    FacesError,
    /// Fetching its bytes failed. Not final.
    DownloadError,
}

impl StageStatus {
    /// Whether the next run leaves the asset alone.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::FacesError | Self::DownloadError)
    }
}

/// One decision. The last one of an asset counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StateRow {
    /// Id on the server.
    pub asset_id: String,
    /// Outcome.
    pub status: StageStatus,
    /// The server's SHA-1 of the original, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Sha1Hash>,
    /// Faces that the server has boxes of.
    #[serde(default)]
    pub n_faces: u32,
    /// Short edge of the largest of them in pixels of the original.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_short: Option<f64>,
    /// The root of a staged file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<RootId>,
    /// Its place below that root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rel: Option<PortablePath>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When, RFC 3339.
    pub ts: String,
}

impl Row for StateRow {
    const FORMAT: &'static str = "faceset-queue-state";
    const VERSION: u32 = STATE_VERSION;
}

/// The last decision of each asset, by asset id. A missing file has none.
pub fn latest_states(path: &Path) -> Result<(BTreeMap<String, StateRow>, LineReport), QueueError> {
    let mut latest = BTreeMap::new();
    let report = read_rows(path, |_, row: StateRow| {
        latest.insert(row.asset_id.clone(), row);
    })?;
    Ok((latest, report))
}

/// A photo that was not staged because its bytes are there already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasRow {
    /// Id of the duplicate on the server.
    pub asset_id: String,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner_id: String,
    /// The duplicate's path: what it would be called, or the server's own.
    pub path: String,
    /// Logical path of the photo that stands for it.
    pub canonical: String,
    /// sha256 of the bytes, where they were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<ContentHash>,
    /// SHA-1 of the bytes, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha1: Option<Sha1Hash>,
}

impl Row for AliasRow {
    const FORMAT: &'static str = "faceset-queue-aliases";
    const VERSION: u32 = ALIASES_VERSION;
}
