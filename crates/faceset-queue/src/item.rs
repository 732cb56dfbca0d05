//! One photo that waits to be embedded.

use std::fmt;
use std::str::FromStr;

use faceset_core::ContentHash;
use serde::{Deserialize, Serialize};

use crate::{PortablePath, QueueError, RootId, Row};

/// Version of `queue.items.jsonl`.
pub const ITEMS_VERSION: u32 = 1;

/// A SHA-1, as 40 lower-case hexadecimal digits: what Immich knows a file by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha1Hash(pub [u8; 20]);

impl fmt::Display for Sha1Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Sha1Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha1Hash({self})")
    }
}

impl FromStr for Sha1Hash {
    type Err = QueueError;

    fn from_str(text: &str) -> Result<Self, QueueError> {
        let bad = || QueueError::Text {
            text: text.chars().take(80).collect(),
            expected: "a SHA-1 is 40 hexadecimal digits",
        };
        if text.len() != 40 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad());
        }
        let mut bytes = [0u8; 20];
        for (nth, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * nth..2 * nth + 2], 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Sha1Hash {
    type Error = QueueError;

    fn try_from(text: String) -> Result<Self, QueueError> {
        text.parse()
    }
}

impl From<Sha1Hash> for String {
    fn from(hash: Sha1Hash) -> Self {
        hash.to_string()
    }
}

/// What a server rendered when the original could not be decoded or had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Derivative {
    /// As large as the original.
    Fullsize,
    /// Scaled down for a screen.
    Preview,
    /// Scaled down for a list.
    Thumbnail,
}

impl Derivative {
    /// The word that caches and queues use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fullsize => "fullsize",
            Self::Preview => "preview",
            Self::Thumbnail => "thumbnail",
        }
    }
}

/// One photo: where it lies, what it must be, where it came from.
///
/// The worker opens root and `rel`, and decodes the bytes only when `size` and
/// `sha256` agree; everything else is passed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueItem {
    /// A root of the head.
    pub root: RootId,
    /// Where it lies below that root.
    pub rel: PortablePath,
    /// sha256 of the bytes that lie there.
    pub sha256: ContentHash,
    /// SHA-1 of the same bytes, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha1: Option<Sha1Hash>,
    /// Their number.
    pub size: u64,
    /// Id on the server; empty when the photo came from elsewhere.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub asset_id: String,
    /// Whose it is on the server; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner_id: String,
    /// The server's path of the original: for people, never opened.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub original_path: String,
    /// Wall-clock time of the photo as the server has it,
    /// `YYYY-MM-DDTHH:MM:SS`; the server makes one up from the file's date when
    /// the photo has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<String>,
    /// Width in pixels of the upright original as the server says; 0 unknown.
    #[serde(default)]
    pub width: u32,
    /// Height, likewise.
    #[serde(default)]
    pub height: u32,
    /// Set when the bytes are not the original but what the server rendered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendered: Option<Derivative>,
}

impl Row for QueueItem {
    const FORMAT: &'static str = "faceset-queue-items";
    const VERSION: u32 = ITEMS_VERSION;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha1_round_trips_and_refuses_other_lengths() {
        // FIPS 180-4's example message "abc".
        let text = "a9993e364706816aba3e25717850c26c9cd0d89d";
        assert_eq!(text.parse::<Sha1Hash>().unwrap().to_string(), text);
        for bad in ["", "a9", &"g".repeat(40), &text[1..], &"é".repeat(20)] {
            assert!(bad.parse::<Sha1Hash>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_words_are_those_of_the_file() {
        for d in [
            Derivative::Fullsize,
            Derivative::Preview,
            Derivative::Thumbnail,
        ] {
            assert_eq!(serde_json::to_value(d).unwrap(), d.name());
        }
    }
}
