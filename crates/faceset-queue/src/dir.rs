//! A queue folder: which file is where, who may write it, and reading it whole.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use faceset_core::{SourcePath, hash_bytes};
use faceset_fs::{LockFile, read_json, write_json};
use serde::Serialize;

use crate::{
    AliasRow, Appender, LineReport, PathStyle, QUEUE_VERSION, QueueError, QueueHead, QueueItem,
    RootId, RootOverrides, RootPlace, Shard, StateRow, read_rows,
};

/// The files of one queue.
///
/// One writer a file: the stager writes all of them, the worker none but its
/// own lock. Each takes its lock first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueDir {
    folder: PathBuf,
}

impl QueueDir {
    /// The queue in `folder`, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The queue that a person named: its folder, or the `queue.json` in it.
    pub fn named(path: &Path) -> Self {
        if path.extension().is_some_and(|e| e == "json") && !path.is_dir() {
            let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
            return Self::new(folder.unwrap_or(Path::new(".")));
        }
        Self::new(path)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `queue.json`: version and roots.
    pub fn head_path(&self) -> PathBuf {
        self.folder.join("queue.json")
    }

    /// `queue.items.jsonl`: the photos.
    pub fn items_path(&self) -> PathBuf {
        self.folder.join("queue.items.jsonl")
    }

    /// `state.jsonl`: what the stager decided.
    pub fn state_path(&self) -> PathBuf {
        self.folder.join("state.jsonl")
    }

    /// `aliases.jsonl`: duplicates.
    pub fn aliases_path(&self) -> PathBuf {
        self.folder.join("aliases.jsonl")
    }

    /// `users.json`: labels and user ids.
    pub fn users_path(&self) -> PathBuf {
        self.folder.join("users.json")
    }

    /// `embed.stop`: while it exists, workers finish what they have in hand
    /// and stop.
    pub fn stop_path(&self) -> PathBuf {
        self.folder.join("embed.stop")
    }

    /// Takes `stage.lock`, the stager's.
    pub fn lock_staging(&self, holder: &str) -> Result<LockFile, QueueError> {
        Ok(LockFile::acquire(&self.folder.join("stage.lock"), holder)?)
    }

    /// Takes `embed.lock`, or `embed.2-of-3.lock` for a part: the worker's.
    pub fn lock_embedding(&self, shard: Shard, holder: &str) -> Result<LockFile, QueueError> {
        let name = if shard == Shard::ALL {
            "embed.lock".to_owned()
        } else {
            format!("embed.{}.lock", shard.to_string().replace('/', "-of-"))
        };
        Ok(LockFile::acquire(&self.folder.join(name), holder)?)
    }

    /// Reads the head.
    pub fn read_head(&self) -> Result<QueueHead, QueueError> {
        let path = self.head_path();
        let value: serde_json::Value = read_json(&path)?;
        check_version(&path, &value, QUEUE_VERSION)?;
        serde_json::from_value(value).map_err(|e| QueueError::NotThisFormat {
            path,
            reason: format!("not the head of a queue: {e}"),
        })
    }

    /// Replaces the head, with this build's version in it.
    pub fn write_head(&self, head: &QueueHead) -> Result<(), QueueError> {
        let head = QueueHead {
            version: QUEUE_VERSION,
            ..head.clone()
        };
        Ok(write_json(&self.head_path(), &head)?)
    }

    /// Adds items. Write an item before the state that calls it staged.
    pub fn append_items(&self) -> Result<Appender<QueueItem>, QueueError> {
        Appender::open(&self.items_path())
    }

    /// Adds states.
    pub fn append_state(&self) -> Result<Appender<StateRow>, QueueError> {
        Appender::open(&self.state_path())
    }

    /// Adds aliases.
    pub fn append_aliases(&self) -> Result<Appender<AliasRow>, QueueError> {
        Appender::open(&self.aliases_path())
    }

    /// Reads head and items; see [`Queue`].
    pub fn load(&self) -> Result<Queue, QueueError> {
        let head = self.read_head()?;
        let mut items: Vec<Option<QueueItem>> = Vec::new();
        let mut refused = Vec::new();
        let mut places: HashMap<[u8; 16], usize> = HashMap::new();
        let report = read_rows(&self.items_path(), |line, item: QueueItem| {
            if !head.roots.contains_key(&item.root) {
                refused.push(Refused {
                    line,
                    rel: item.rel.to_string(),
                    reason: format!("queue.json has no root `{}`", item.root),
                });
                return;
            }
            let place = place_key(&item);
            let earlier = places.get(&place).and_then(|at| items[*at].as_ref());
            if let Some(earlier) = earlier.filter(|e| e.rel != item.rel) {
                refused.push(Refused {
                    line,
                    rel: item.rel.to_string(),
                    reason: format!(
                        "differs from {} in case only, and is the same file on some systems",
                        earlier.rel
                    ),
                });
                return;
            }
            if let Some(at) = places.insert(place, items.len()) {
                items[at] = None;
            }
            items.push(Some(item));
        })?;
        Ok(Queue {
            head,
            items: items.into_iter().flatten().collect(),
            refused,
            report,
        })
    }
}

/// An item that no system-independent reading allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Line of the items' file, from 1.
    pub line: u64,
    /// The item's relative path.
    pub rel: String,
    /// Why.
    pub reason: String,
}

/// A queue as it was when it was read.
///
/// Of several lines for one root and relative path the last counts, at its own
/// place in the order: the photo was staged again.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// Roots and origin.
    pub head: QueueHead,
    /// The photos, in the order they were staged.
    pub items: Vec<QueueItem>,
    /// Items that can't be used on any system.
    pub refused: Vec<Refused>,
    /// Rows, bad lines, unfinished end.
    pub report: LineReport,
}

impl Queue {
    /// What the item is called in caches and manifests.
    pub fn logical(&self, item: &QueueItem) -> SourcePath {
        self.head.roots[&item.root].logical(&item.rel)
    }

    /// Where the roots that items use are on a system of `style`, and why some
    /// of them are nowhere.
    pub fn places(
        &self,
        overrides: &RootOverrides,
        style: PathStyle,
    ) -> Vec<(RootId, Result<RootPlace, QueueError>)> {
        let used: std::collections::BTreeSet<&RootId> =
            self.items.iter().map(|item| &item.root).collect();
        used.into_iter()
            .map(|id| {
                let place = self.head.roots[id].resolve(id, overrides, style);
                (id.clone(), place)
            })
            .collect()
    }
}

/// The same for items that are one file on a system without case.
fn place_key(item: &QueueItem) -> [u8; 16] {
    let digest = hash_bytes(format!("{}/{}", item.root, item.rel.folded()).as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&digest.0[..16]);
    key
}

/// Refuses a newer `version` by number.
pub(crate) fn check_version(
    path: &Path,
    value: &serde_json::Value,
    supported: u32,
) -> Result<(), QueueError> {
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(found) if found > u64::from(supported) => Err(QueueError::TooNew {
            path: path.to_path_buf(),
            found,
            supported,
        }),
        Some(_) => Ok(()),
        None => Err(QueueError::NotThisFormat {
            path: path.to_path_buf(),
            reason: "it has no `version`".to_owned(),
        }),
    }
}
