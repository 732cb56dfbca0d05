//! SHA-256 of files, as lower-case hex.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};

/// Digest of bytes in memory.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
            hex
        })
}

/// Digest of a file; `None` when there is no such file.
pub(crate) fn of_file(path: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(of_bytes(&bytes))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Whether the file is there with this digest.
pub(crate) fn matches(path: &Path, expected: &str) -> anyhow::Result<bool> {
    Ok(of_file(path)?.as_deref() == Some(expected))
}

/// Refuses bytes with another digest; `what` names them in the message.
pub(crate) fn require(what: &str, bytes: &[u8], expected: &str) -> anyhow::Result<()> {
    let found = of_bytes(bytes);
    ensure!(
        found == expected,
        "{what} has sha256 {found}, expected {expected}; it is not used. \
         The package's content changed or the download is damaged: run again, \
         and report it when the digest stays the same"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published test vector of SHA-256 for "abc".
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn digest_is_that_of_the_published_vector() {
        assert_eq!(of_bytes(b"abc"), ABC);
    }

    #[test]
    fn only_the_expected_content_matches() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        assert!(!matches(&path, ABC).unwrap(), "a missing file");
        std::fs::write(&path, b"abd").unwrap();
        assert!(!matches(&path, ABC).unwrap(), "another content");
        std::fs::write(&path, b"abc").unwrap();
        assert!(matches(&path, ABC).unwrap());
    }

    #[test]
    fn refusal_names_the_thing_and_both_digests() {
        let error = require("x.so", b"abd", ABC).unwrap_err().to_string();
        assert!(error.contains("x.so") && error.contains(ABC), "{error}");
        assert!(error.contains(&of_bytes(b"abd")), "{error}");
        require("x.so", b"abc", ABC).unwrap();
    }
}
