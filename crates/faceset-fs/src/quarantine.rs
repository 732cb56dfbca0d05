//! Moving aside instead of deleting.

use std::path::{Path, PathBuf};

use crate::FsError;

/// Moves `item` into `bin` (created when missing) and returns the new path. A
/// taken name gets `-2`, `-3` and so on: nothing is overwritten.
pub fn quarantine(item: &Path, bin: &Path) -> Result<PathBuf, FsError> {
    std::fs::create_dir_all(bin).map_err(FsError::io("create the folder", bin))?;
    let name = item
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut target = bin.join(&name);
    let mut n = 2;
    while target.symlink_metadata().is_ok() {
        target = bin.join(format!("{name}-{n}"));
        n += 1;
    }
    crate::rename(item, &target).map_err(FsError::io("move aside", item))?;
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_bin_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("_dropped");
        let item = dir.path().join("faceset_001");
        for text in ["first", "second"] {
            std::fs::write(&item, text).unwrap();
            quarantine(&item, &bin).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(bin.join("faceset_001")).unwrap(),
            "first"
        );
        assert_eq!(
            std::fs::read_to_string(bin.join("faceset_001-2")).unwrap(),
            "second"
        );
        assert!(!item.exists());
    }
}
