//! A file's bytes and their sha256, in one pass.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use faceset_core::ContentHash;
use sha2::{Digest, Sha256};

use crate::MediaError;

/// Default limit on the size of one file, bytes: 512 MiB. A 200-megapixel
/// 16-bit RGB TIFF has 1.2 GB and is out, every camera JPEG and HEIC is in.
pub const DEFAULT_MAX_FILE_BYTES: u64 = 512 << 20;

/// Bytes read between two updates of the hash: large enough to hide the
/// system call, small enough to stay in the cache.
const CHUNK_BYTES: usize = 256 << 10;

/// A file in memory.
#[derive(Debug, Clone)]
pub struct FileBytes {
    /// The content.
    pub bytes: Vec<u8>,
    /// Its sha256: of exactly these bytes, even if the file changes meanwhile.
    pub sha256: ContentHash,
}

/// Reads a regular file and hashes it on the way.
///
/// A file longer than `limit` bytes is refused (equal is kept), without reading
/// past the limit. Symbolic links are followed; folders, pipes and devices are
/// refused without being opened.
///
/// # Errors
/// `Vanished`, `Denied`, `NotAFile`, `FileTooBig` or `Io`, each one file's
/// outcome.
pub fn read_bytes(path: &Path, limit: u64) -> Result<FileBytes, MediaError> {
    let about = std::fs::metadata(path).map_err(|e| read_error(path, e))?;
    if !about.is_file() {
        return Err(MediaError::NotAFile {
            path: path.to_path_buf(),
        });
    }
    let too_big = || MediaError::FileTooBig {
        path: path.to_path_buf(),
        limit,
    };
    if about.len() > limit {
        return Err(too_big());
    }
    let mut file = File::open(path).map_err(|e| read_error(path, e))?;
    let mut bytes = Vec::with_capacity(usize::try_from(about.len()).unwrap_or(0) + 1);
    let mut hasher = Sha256::new();
    loop {
        let old_len = bytes.len();
        let n = file
            .by_ref()
            .take(CHUNK_BYTES as u64)
            .read_to_end(&mut bytes)
            .map_err(|e| read_error(path, e))?;
        if n == 0 {
            break;
        }
        // A file that grows while it is read must not fill the memory.
        if bytes.len() as u64 > limit {
            return Err(too_big());
        }
        hasher.update(&bytes[old_len..]);
    }
    Ok(FileBytes {
        bytes,
        sha256: ContentHash(hasher.finalize().into()),
    })
}

fn read_error(path: &Path, source: std::io::Error) -> MediaError {
    let path = path.to_path_buf();
    match source.kind() {
        ErrorKind::NotFound => MediaError::Vanished { path },
        ErrorKind::PermissionDenied => MediaError::Denied { path },
        _ => MediaError::Io { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_refusals_become_outcomes_with_the_path() {
        let of = |kind| read_error(Path::new("/a/b.jpg"), std::io::Error::from(kind));
        assert!(matches!(
            of(ErrorKind::NotFound),
            MediaError::Vanished { .. }
        ));
        assert!(matches!(
            of(ErrorKind::PermissionDenied),
            MediaError::Denied { .. }
        ));
        let other = of(ErrorKind::TimedOut);
        assert_eq!(other.one_line(), "read /a/b.jpg: timed out");
    }
}
