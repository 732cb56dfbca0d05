//! Replacing a file so that a crash leaves the old one or the new one.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::FsError;
use crate::patient::{Try, patiently};

/// A file being written beside its destination.
///
/// It gets the mode that the destination has, and else that of any new file
/// under the process's umask (unix).
///
/// Dropped without [`AtomicFile::commit`], nothing has happened to the
/// destination.
#[derive(Debug)]
pub struct AtomicFile {
    temp: tempfile::NamedTempFile,
    destination: PathBuf,
}

impl AtomicFile {
    /// Opens a temporary file in the destination's folder, which is created
    /// when missing.
    pub fn create(destination: &Path) -> Result<Self, FsError> {
        let folder = folder_of(destination);
        std::fs::create_dir_all(folder).map_err(FsError::io("create the folder", folder))?;
        let temp = open_temp(
            tempfile::Builder::new().prefix(".faceset-tmp-"),
            destination,
            folder,
        )?;
        Ok(Self {
            temp,
            destination: destination.to_path_buf(),
        })
    }

    /// As [`AtomicFile::create`], for a destination that has one writer at a
    /// time because its caller holds a lock: the temporary file is then
    /// [`AtomicFile::leftover`], so that what a killed run left behind is
    /// overwritten and not kept for ever.
    pub fn create_exclusive(destination: &Path) -> Result<Self, FsError> {
        let folder = folder_of(destination);
        std::fs::create_dir_all(folder).map_err(FsError::io("create the folder", folder))?;
        Self::remove_leftover(destination)?;
        let temp = open_temp(
            tempfile::Builder::new()
                .prefix(&leftover_name(destination))
                .rand_bytes(0),
            destination,
            folder,
        )?;
        Ok(Self {
            temp,
            destination: destination.to_path_buf(),
        })
    }

    /// Where [`AtomicFile::create_exclusive`] writes before the commit.
    pub fn leftover(destination: &Path) -> PathBuf {
        folder_of(destination).join(leftover_name(destination))
    }

    /// Removes the unfinished file of a killed writer, if there is one. Only
    /// for the holder of the destination's lock.
    pub fn remove_leftover(destination: &Path) -> Result<(), FsError> {
        let leftover = Self::leftover(destination);
        match crate::remove_file(&leftover) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(FsError::io("remove the unfinished file", &leftover)(e))
            }
            _ => Ok(()),
        }
    }

    /// Syncs the data, renames over the destination, syncs the folder.
    pub fn commit(self) -> Result<(), FsError> {
        let Self {
            mut temp,
            destination,
        } = self;
        let write = || FsError::io("write", &destination);
        temp.flush().map_err(write())?;
        keep_mode(temp.as_file(), &destination).map_err(write())?;
        temp.as_file().sync_all().map_err(write())?;
        patiently(temp, |temp| match temp.persist(&destination) {
            Ok(_) => Try::Done(()),
            Err(e) => Try::Refused(e.error, e.file),
        })
        .map_err(write())?;
        sync_folder_of(&destination);
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.temp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temp.flush()
    }
}

impl io::Seek for AtomicFile {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.temp.as_file_mut().seek(to)
    }
}

/// Replaces `destination` by `bytes`, atomically and durably.
///
/// One writer at a time, as [`AtomicFile::create_exclusive`]: a killed run
/// leaves nothing that the next write of the same file does not take over.
pub fn write_atomic(destination: &Path, bytes: &[u8]) -> Result<(), FsError> {
    let mut file = AtomicFile::create_exclusive(destination)?;
    file.write_all(bytes)
        .map_err(FsError::io("write", destination))?;
    file.commit()
}

fn leftover_name(destination: &Path) -> std::ffi::OsString {
    let mut name = std::ffi::OsString::from(".faceset-tmp-");
    name.push(destination.file_name().unwrap_or_default());
    name
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Opens the temporary file with no more rights than the result will have:
/// what it holds may be private.
fn open_temp(
    builder: &mut tempfile::Builder<'_, '_>,
    destination: &Path,
    folder: &Path,
) -> Result<tempfile::NamedTempFile, FsError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Of an ordinary new file; the system takes the umask off.
        const NEW: u32 = 0o666;
        let mode = mode_of(destination).unwrap_or(NEW);
        builder.permissions(std::fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = destination;
    builder
        .tempfile_in(folder)
        .map_err(FsError::io("write into", folder))
}

/// Gives the file the mode of the one that it replaces, which the umask may
/// have narrowed and somebody may have changed since.
#[cfg(unix)]
fn keep_mode(file: &File, destination: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    match mode_of(destination) {
        Some(mode) if file.metadata()?.permissions().mode() & MODE_BITS != mode => {
            file.set_permissions(std::fs::Permissions::from_mode(mode))
        }
        _ => Ok(()),
    }
}

#[cfg(not(unix))]
fn keep_mode(_file: &File, _destination: &Path) -> io::Result<()> {
    Ok(())
}

/// Who may read, write and execute.
#[cfg(unix)]
const MODE_BITS: u32 = 0o777;

/// The mode of a file that is there.
#[cfg(unix)]
fn mode_of(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let about = std::fs::metadata(path).ok()?;
    about
        .is_file()
        .then(|| about.permissions().mode() & MODE_BITS)
}

/// Makes the creation or the rename of `path` itself durable. Not every file
/// system can; the file's data is safe either way, so a refusal is not an error.
pub fn sync_folder_of(path: &Path) {
    if cfg!(unix) {
        let _ = File::open(folder_of(path)).and_then(|f| f.sync_all());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_file_leaves_the_old_one_and_no_litter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        write_atomic(&path, b"old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_writer_left_is_taken_over_and_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.npz");
        std::fs::write(AtomicFile::leftover(&path), b"left by a killed run").unwrap();
        let mut file = AtomicFile::create_exclusive(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        file.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        AtomicFile::remove_leftover(&path).unwrap();
    }

    #[test]
    fn missing_folders_are_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x/y/a.json");
        write_atomic(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn an_unwritable_place_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("plain");
        std::fs::write(&file, b"").unwrap();
        let error = write_atomic(&file.join("below.json"), b"").unwrap_err();
        assert!(error.to_string().contains("plain"), "{error}");
    }

    #[test]
    fn what_a_killed_write_left_is_taken_over_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        std::fs::write(AtomicFile::leftover(&path), b"half").unwrap();
        write_atomic(&path, b"whole").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    fn mode(path: &Path) -> u32 {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[cfg(unix)]
    #[test]
    fn a_replaced_file_keeps_its_mode() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        // The second is wider than any usual umask lets a new file be.
        for kept in [0o600, 0o666, 0o440] {
            std::fs::write(&path, b"old").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(kept)).unwrap();
            write_atomic(&path, b"new").unwrap();
            assert_eq!(mode(&path), kept);
            let mut file = AtomicFile::create(&path).unwrap();
            file.write_all(b"newer").unwrap();
            assert_eq!(mode(file.temp.path()) & !kept, 0);
            file.commit().unwrap();
            assert_eq!(mode(&path), kept);
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_has_the_mode_of_any_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, plain) = (dir.path().join("a.json"), dir.path().join("plain"));
        std::fs::write(&plain, b"").unwrap();
        write_atomic(&ours, b"").unwrap();
        assert_eq!(mode(&ours), mode(&plain));
    }

    /// The umask belongs to the whole process, so the test above runs in one of
    /// its own.
    #[cfg(unix)]
    #[test]
    fn the_umask_is_heeded() {
        for umask in ["077", "002"] {
            let out = std::process::Command::new("sh")
                .args(["-c", "umask $0 && exec \"$@\"", umask])
                .arg(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "atomic::tests::a_new_file_has_the_mode_of_any_new_file",
                ])
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&out.stdout);
            assert!(
                out.status.success() && text.contains("1 passed"),
                "{umask}: {text}"
            );
        }
    }
}
