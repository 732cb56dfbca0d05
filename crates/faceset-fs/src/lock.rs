//! One writer at a time, by a lock on a file of its own.
//!
//! The lock belongs to the open file and vanishes with the process, however it
//! dies; the text in the file only tells a second run who is there. The file
//! stays behind on purpose: removing it would let two runs lock two files of
//! the same name.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::FsError;

/// An exclusive lock, released on drop.
#[derive(Debug)]
pub struct LockFile {
    _file: File,
    path: PathBuf,
}

impl LockFile {
    /// Takes the lock or says who holds it. `holder` is written for a second
    /// run to show, e.g. `sort-faces embed, process 4711`.
    pub fn acquire(path: &Path, holder: &str) -> Result<Self, FsError> {
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(FsError::io("create the folder", folder))?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(FsError::io("open the lock", path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // On Windows a locked file cannot be read: say so instead.
                if file.read_to_string(&mut text).is_err() || text.trim().is_empty() {
                    "holder unknown".clone_into(&mut text);
                }
                return Err(FsError::Locked {
                    path: path.to_path_buf(),
                    holder: text.trim().to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(FsError::io("lock", path)(source)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(holder.as_bytes()))
            .map_err(FsError::io("write the lock", path))?;
        Ok(Self {
            _file: file,
            path: path.to_path_buf(),
        })
    }

    /// The lock file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A lock on an output folder: `<folder>/.faceset.lock`.
#[derive(Debug)]
pub struct DirLock(LockFile);

impl DirLock {
    /// Takes the lock, creating the folder when missing.
    pub fn acquire(folder: &Path, holder: &str) -> Result<Self, FsError> {
        LockFile::acquire(&folder.join(".faceset.lock"), holder).map(Self)
    }

    /// The lock file's path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_run_learns_who_holds_it_and_drop_frees_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.npz.lock");
        let first = LockFile::acquire(&path, "embed, process 7").unwrap();
        let error = LockFile::acquire(&path, "second").unwrap_err();
        assert!(matches!(error, FsError::Locked { .. }));
        if cfg!(unix) {
            assert!(error.to_string().contains("embed, process 7"), "{error}");
        }
        drop(first);
        LockFile::acquire(&path, "second").unwrap();
    }
}
