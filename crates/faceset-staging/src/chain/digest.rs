//! Whether a file or folder is still what it was.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use faceset_fs::FsError;
use sha2::{Digest, Sha256};

use crate::StagingError;

/// A text that changes when what is at `path` changes; `None` when nothing is there.
///
/// A file counts by its bytes; a folder by the names, sizes and times of the files below
/// it, because reading all of them would take as long as working on them.
pub(crate) fn digest(path: &Path) -> Result<Option<String>, StagingError> {
    let io = |error| StagingError::Fs(FsError::io("read", path)(error));
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let mut hasher = Sha256::new();
    if found.is_dir() {
        let mut files = Vec::new();
        list(path, &mut files).map_err(io)?;
        files.sort();
        for line in files {
            hasher.update(line.as_bytes());
        }
    } else {
        std::io::copy(
            &mut std::fs::File::open(path).map_err(io)?,
            &mut Sink(&mut hasher),
        )
        .map_err(io)?;
    }
    let mut text = String::new();
    for byte in hasher.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(Some(text))
}

struct Sink<'a>(&'a mut Sha256);

impl std::io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn list(folder: &Path, lines: &mut Vec<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path: PathBuf = entry?.path();
        let found = std::fs::symlink_metadata(&path)?;
        if found.is_dir() {
            list(&path, lines)?;
        } else {
            let changed = found
                .modified()
                .ok()
                .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let ns = changed.map_or(0, |since| since.as_nanos());
            lines.push(format!("{}\0{}\0{ns}\n", path.display(), found.len()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_count_by_their_bytes_and_folders_by_their_list() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a/b.txt");
        assert_eq!(digest(&file).unwrap(), None);
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(&file, "abc").unwrap();
        // FIPS 180-4's example message "abc".
        assert!(digest(&file).unwrap().unwrap().starts_with("ba7816bf"));
        let before = digest(dir.path()).unwrap();
        assert_eq!(digest(dir.path()).unwrap(), before);
        std::fs::write(dir.path().join("a/c.txt"), "").unwrap();
        assert_ne!(digest(dir.path()).unwrap(), before);
    }
}
