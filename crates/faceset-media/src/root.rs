//! The absolute name of the folder that is scanned.

use std::path::{Component, Path, PathBuf};

use crate::MediaError;

/// Makes a source absolute without resolving symbolic links: people recognise
/// their photos by the path they gave, and a link that moves must not rename
/// them all.
///
/// `.` and double separators vanish. `..` is resolved in the text when that
/// names the same place, so that `../photos` from two folders gives one name;
/// where a link is in the way the `..` stays.
///
/// Errors when there is nothing of that name, or the name is not UTF-8.
pub fn absolute(given: &Path) -> Result<PathBuf, MediaError> {
    let bad = |problem: String| MediaError::Root {
        path: given.to_path_buf(),
        problem,
    };
    if given.as_os_str().is_empty() {
        return Err(bad("the path is empty".to_owned()));
    }
    let path = std::path::absolute(given).map_err(|e| bad(e.to_string()))?;
    let real = |p: &Path| std::fs::canonicalize(p);
    let target = real(&path).map_err(|e| bad(e.to_string()))?;
    let short = without_parents(&path);
    let chosen = match real(&short) {
        Ok(same) if same == target => short,
        _ => path,
    };
    if chosen.to_str().is_none() {
        return Err(bad(
            "the path is not UTF-8; rename the folder or mount it under another name".to_owned(),
        ));
    }
    Ok(chosen)
}

fn without_parents(path: &Path) -> PathBuf {
    let mut short = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                short.pop();
            }
            other => short.push(other),
        }
    }
    short
}
