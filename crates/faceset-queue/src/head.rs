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

    /// This head, with what `old` says beyond it: other roots, keys that this build does
    /// not know, and the Windows spelling of a root of which this one has none.
    #[must_use]
    pub fn after(mut self, old: Self) -> Self {
        for (id, root) in old.roots {
            match self.roots.get_mut(&id) {
                None => {
                    self.roots.insert(id, root);
                }
                Some(new) if new.windows().is_none() && new.posix() == root.posix() => *new = root,
                Some(_) => {}
            }
        }
        for (key, value) in old.extra {
            self.extra.entry(key).or_insert(value);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_head_keeps_what_only_the_old_one_says() {
        let root = |posix: &str, windows: Option<&str>| {
            RootPaths::new(posix.to_owned(), windows.map(str::to_owned)).unwrap()
        };
        let (a, b) = (RootId::make("a"), RootId::make("b"));
        let mut old = QueueHead::new("anna", a.clone(), root("/data/a", Some(r"N:\a")));
        old.roots.insert(b.clone(), root("/data/b", None));
        old.extra.insert("note".to_owned(), "mine".into());
        let new = QueueHead::new("anna", a.clone(), root("/data/a", None));
        let kept = new.after(old.clone());
        assert_eq!(kept.roots, old.roots);
        assert_eq!(kept.extra, old.extra);
        // What is said anew counts; a root that moved has no old spelling.
        let said = QueueHead::new("anna", a.clone(), root("/data/a", Some(r"M:\a")));
        assert_eq!(said.after(old.clone()).roots[&a].windows(), Some(r"M:\a"));
        let moved = QueueHead::new("anna", a.clone(), root("/other/a", None));
        assert_eq!(moved.after(old).roots[&a].windows(), None);
    }
}
