//! Finishing what a killed run left behind in a swap-ready tree.
//!
//! Owns the meaning of our temporary names: a ready folder is put in place, a
//! partial one is removed. Whoever locks a tree calls it first.

use std::path::{Path, PathBuf};

use faceset_core::manifest::SwapSet;
use faceset_fs::{folder_names, quarantine, read_json};

use crate::ExportError;
use crate::apply::{DROPPED, PARTIAL, READY, discard, rename};
use crate::build::{MANIFEST, is_intact};
use crate::plan::SetKind;
use crate::top::TopManifest;

/// A set that gave its place to the one that replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MovedAside {
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
}

impl MovedAside {
    /// For people.
    pub(crate) fn line(&self) -> String {
        format!("{} was moved to {}", self.from.display(), self.to.display())
    }
}

/// Puts ready folders of every kind in place, lists them in `top`, and removes
/// partial ones. Returns what was moved aside for them.
pub(crate) fn recover(out: &Path, top: &mut TopManifest) -> Result<Vec<MovedAside>, ExportError> {
    let mut moved = Vec::new();
    for kind in [SetKind::Set, SetKind::Thin, SetKind::Candidate] {
        let root = kind.root(out);
        for file_name in folder_names(&root)? {
            let path = root.join(&file_name);
            if file_name.starts_with(PARTIAL) {
                discard(&path)?;
            } else if let Some(name) = file_name.strip_prefix(READY) {
                match read_json::<SwapSet>(&path.join(MANIFEST)) {
                    Ok(set) if is_intact(&path, &set) => {
                        moved.extend(put_in_place(&path, &root.join(name), out)?);
                        top.list_as(kind, &set);
                    }
                    // Nobody has seen it, and what made it makes it again.
                    _ => discard(&path)?,
                }
            }
        }
    }
    Ok(moved)
}

/// Renames a ready folder into its place; what is there goes to `_dropped/`.
pub(crate) fn put_in_place(
    ready: &Path,
    place: &Path,
    out: &Path,
) -> Result<Option<MovedAside>, ExportError> {
    let moved = match place.symlink_metadata() {
        Ok(_) => Some(move_aside(place, out)?),
        Err(_) => None,
    };
    rename(ready, place)?;
    Ok(moved)
}

/// Moves something of the tree to `_dropped/`.
pub(crate) fn move_aside(item: &Path, out: &Path) -> Result<MovedAside, ExportError> {
    let to = quarantine(item, &out.join(DROPPED))?;
    Ok(MovedAside {
        from: item.to_path_buf(),
        to,
    })
}
