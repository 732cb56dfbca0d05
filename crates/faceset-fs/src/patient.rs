//! Renaming and removing on Windows, where another process that holds a file open
//! (an indexer, a virus scanner, a viewer) makes the system refuse.

use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// Waits before each try; the last is after about 3 s. How long a scanner holds a
/// new file is nowhere promised: this is what other programs wait.
const BACKOFF_MS: [u64; 6] = [0, 50, 150, 400, 800, 1600];

/// What became of one try.
pub(crate) enum Try<T, A> {
    Done(T),
    /// Refused; `A` is what the next try needs.
    Refused(io::Error, A),
}

/// Does something that is refused while another process holds a file open, up to six
/// times in three seconds on Windows and once elsewhere.
pub(crate) fn patiently<T, A>(
    mut argument: A,
    mut act: impl FnMut(A) -> Try<T, A>,
) -> io::Result<T> {
    let mut waits = BACKOFF_MS.iter();
    let mut wait_ms = waits.next();
    loop {
        sleep(Duration::from_millis(wait_ms.copied().unwrap_or(0)));
        match act(argument) {
            Try::Done(result) => return Ok(result),
            Try::Refused(error, again) => {
                wait_ms = waits.next();
                if wait_ms.is_none() || !is_sharing_violation(&error) {
                    return Err(error);
                }
                argument = again;
            }
        }
    }
}

/// ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION.
fn is_sharing_violation(error: &io::Error) -> bool {
    cfg!(windows) && matches!(error.raw_os_error(), Some(5 | 32 | 33))
}

fn try_often<T>(act: impl Fn() -> io::Result<T>) -> io::Result<T> {
    patiently((), |()| match act() {
        Ok(done) => Try::Done(done),
        Err(error) => Try::Refused(error, ()),
    })
}

/// As `std::fs::rename`; waits up to three seconds on Windows for a file that another
/// process holds open.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    try_often(|| std::fs::rename(from, to))
}

/// As `std::fs::remove_file`, as patient as [`rename`].
pub fn remove_file(path: &Path) -> io::Result<()> {
    try_often(|| std::fs::remove_file(path))
}

/// As `std::fs::remove_dir_all`, as patient as [`rename`]. A try that is refused may
/// have removed a part.
pub fn remove_folder(path: &Path) -> io::Result<()> {
    try_often(|| std::fs::remove_dir_all(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let nothing = dir.path().join("nothing");
        for error in [
            rename(&nothing, &dir.path().join("new")).unwrap_err(),
            remove_file(&nothing).unwrap_err(),
            remove_folder(&nothing).unwrap_err(),
        ] {
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
    }

    #[cfg(windows)]
    mod held_open {
        use std::fs::{File, OpenOptions};
        use std::os::windows::fs::OpenOptionsExt as _;

        use super::*;

        /// Opens as programs do that share nothing.
        fn hold(path: &Path) -> File {
            let mut options = OpenOptions::new();
            options.read(true).share_mode(0).open(path).unwrap()
        }

        /// Lets go of the file while `act` tries.
        fn let_go_meanwhile(held: File, act: impl FnOnce() -> io::Result<()>) {
            let letting_go = std::thread::spawn(move || {
                sleep(Duration::from_millis(200));
                drop(held);
            });
            act().unwrap();
            letting_go.join().unwrap();
        }

        #[test]
        fn a_file_that_is_let_go_is_renamed_replaced_and_removed() {
            let dir = tempfile::tempdir().unwrap();
            let [old, new, other] = ["old", "new", "other"].map(|n| dir.path().join(n));
            std::fs::write(&old, b"1").unwrap();
            assert!(std::fs::rename(&old, &new).is_ok());
            let held = hold(&new);
            assert!(is_sharing_violation(
                &std::fs::rename(&new, &other).unwrap_err()
            ));
            let_go_meanwhile(held, || rename(&new, &other));
            std::fs::write(&new, b"2").unwrap();
            let_go_meanwhile(hold(&other), || rename(&new, &other));
            assert_eq!(std::fs::read(&other).unwrap(), b"2");
            let_go_meanwhile(hold(&other), || {
                crate::write_atomic(&other, b"3").map_err(|e| io::Error::other(e.to_string()))
            });
            assert_eq!(std::fs::read(&other).unwrap(), b"3");
            let_go_meanwhile(hold(&other), || remove_file(&other));
            assert!(!other.exists());
        }

        #[test]
        fn a_file_that_is_not_let_go_is_an_error_and_nothing_is_lost() {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("held");
            std::fs::write(&path, b"old").unwrap();
            let held = hold(&path);
            let error = crate::write_atomic(&path, b"new").unwrap_err();
            assert!(error.to_string().contains("held"), "{error}");
            drop(held);
            assert_eq!(std::fs::read(&path).unwrap(), b"old");
            crate::write_atomic(&path, b"new").unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"new");
        }
    }
}
