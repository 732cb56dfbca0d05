//! JSON files: UTF-8, LF, two-space indent, final newline; a BOM is tolerated.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{FsError, write_atomic};

/// Reads a JSON file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, FsError> {
    let bytes = std::fs::read(path).map_err(FsError::io("read", path))?;
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    serde_json::from_slice(text).map_err(|source| FsError::Json {
        path: path.to_path_buf(),
        source,
    })
}

/// The bytes that [`write_json`] writes: the same value gives the same bytes on
/// every system.
pub fn to_json_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("our own types serialise");
    bytes.push(b'\n');
    bytes
}

/// Replaces a JSON file atomically.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), FsError> {
    write_atomic(path, &to_json_bytes(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bom_from_a_windows_editor_is_tolerated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        std::fs::write(&path, b"\xEF\xBB\xBF{\"a\": 1}\r\n").unwrap();
        let value: serde_json::Value = read_json(&path).unwrap();
        assert_eq!(value["a"], 1);
    }

    #[test]
    fn bad_json_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("broken.json");
        std::fs::write(&path, b"{").unwrap();
        let error = read_json::<serde_json::Value>(&path).unwrap_err();
        assert!(error.to_string().contains("broken.json"), "{error}");
    }
}
