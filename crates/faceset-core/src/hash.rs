//! Content identity: the sha256 of a file's bytes.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ValueError;

/// The sha256 of a file's bytes, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentHash(pub [u8; 32]);

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

impl FromStr for ContentHash {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let bad = || ValueError::Hash {
            value: text.chars().take(80).collect(),
        };
        if text.len() != 64 || !text.is_ascii() {
            return Err(bad());
        }
        let mut bytes = [0u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            if !pair.iter().all(u8::is_ascii_hexdigit) {
                return Err(bad());
            }
            let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for ContentHash {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Self, ValueError> {
        text.parse()
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        hash.to_string()
    }
}

/// sha256 of bytes that are already in memory.
pub fn hash_bytes(bytes: &[u8]) -> ContentHash {
    ContentHash(Sha256::digest(bytes).into())
}

/// Number of bytes and sha256 of all that `source` has left, read in pieces:
/// takes the same memory for a file of any size.
pub fn hash_reader(mut source: impl Read) -> io::Result<(u64, ContentHash)> {
    // Large enough to hide the system call, small enough for the cache.
    let mut buffer = vec![0; 64 << 10];
    let (mut n_bytes, mut hasher) = (0, Sha256::new());
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok((n_bytes, ContentHash(hasher.finalize().into()))),
            Ok(n) => {
                hasher.update(&buffer[..n]);
                n_bytes += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digest_round_trips_through_text() {
        // FIPS 180-4's example message "abc".
        let hash = hash_bytes(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), text);
        assert_eq!(text.parse::<ContentHash>().unwrap(), hash);
    }

    #[test]
    fn wrong_length_or_digits_are_refused() {
        assert!("abc".parse::<ContentHash>().is_err());
        assert!("g".repeat(64).parse::<ContentHash>().is_err());
        assert!("é".repeat(32).parse::<ContentHash>().is_err());
        assert!("+f".repeat(32).parse::<ContentHash>().is_err());
    }

    #[test]
    fn a_reader_is_hashed_in_pieces_to_the_sum_of_its_bytes() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::PermissionDenied.into())
            }
        }
        /// Hands out at most `step` bytes at a time; the first call is disturbed.
        struct Source<'a>(&'a [u8], usize, usize, bool);
        impl Read for Source<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if std::mem::take(&mut self.3) {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                self.2 = self.2.max(buffer.len());
                let n = self.0.len().min(buffer.len()).min(self.1);
                buffer[..n].copy_from_slice(&self.0[..n]);
                self.0 = &self.0[n..];
                Ok(n)
            }
        }
        let bytes: Vec<u8> = (0..200_001_u32).map(|i| (i % 251) as u8).collect();
        for (len, step) in [(0, 1), (1, 1), (65_536, 7_000), (200_001, usize::MAX)] {
            let mut source = Source(&bytes[..len], step, 0, true);
            assert_eq!(
                hash_reader(&mut source).unwrap(),
                (len as u64, hash_bytes(&bytes[..len]))
            );
            // However long the source, the pieces stay small.
            assert!(source.2 <= 1 << 20);
        }
        let error = hash_reader(Broken).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}
