//! A part of a queue: several workers, nothing twice.

use std::fmt;
use std::str::FromStr;

use faceset_core::ContentHash;

use crate::QueueError;

/// Part `index` of `count`, written `i/n` with `i` from 1. Which part a photo
/// belongs to depends on its content alone: a queue that grows, or that is read
/// in another order, keeps its parts, and equal photos are in the same part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// The whole.
    pub const ALL: Self = Self { index: 1, count: 1 };

    /// Part `index` of `count`, from 1.
    pub fn new(index: u32, count: u32) -> Option<Self> {
        (1..=count)
            .contains(&index)
            .then_some(Self { index, count })
    }

    /// Whether a photo of this content belongs to the part.
    pub fn holds(&self, sha256: &ContentHash) -> bool {
        let mut first = [0; 8];
        first.copy_from_slice(&sha256.0[..8]);
        u64::from_be_bytes(first) % u64::from(self.count) == u64::from(self.index - 1)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = QueueError;

    fn from_str(text: &str) -> Result<Self, QueueError> {
        text.split_once('/')
            .and_then(|(index, count)| Self::new(index.parse().ok()?, count.parse().ok()?))
            .ok_or_else(|| QueueError::Text {
                text: text.chars().take(80).collect(),
                expected: "a part is given as i/n, with i from 1 to n",
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faceset_core::hash_bytes;

    #[test]
    fn each_photo_is_in_exactly_one_part() {
        for nth in 0..200u32 {
            let hash = hash_bytes(&nth.to_le_bytes());
            let holders = (1..=3)
                .filter(|i| Shard::new(*i, 3).unwrap().holds(&hash))
                .count();
            assert_eq!(holders, 1);
            assert!(Shard::ALL.holds(&hash));
        }
    }

    #[test]
    fn parts_are_read_and_written() {
        let shard: Shard = "2/3".parse().unwrap();
        assert_eq!(shard.to_string(), "2/3");
        for bad in ["", "2", "0/3", "4/3", "1/0", "a/b", "-1/2"] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }
}
