//! What lies in a folder.

use std::io::ErrorKind;
use std::path::Path;

use crate::FsError;

/// Names of the folders below one, sorted; none when it isn't there.
pub fn folder_names(dir: &Path) -> Result<Vec<String>, FsError> {
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(FsError::io("list", dir))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(FsError::io("list", dir))?;
        if entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_in_order_and_files_are_not() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b", "a", "c"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        std::fs::write(dir.path().join("file"), b"").unwrap();
        assert_eq!(folder_names(dir.path()).unwrap(), ["a", "b", "c"]);
        assert_eq!(folder_names(&dir.path().join("none")).unwrap(), [""; 0]);
        assert!(folder_names(&dir.path().join("file")).is_err());
    }
}
