//! UUIDs and noise from counters: everything here repeats from run to run.

use std::fmt;
use std::str::FromStr;

/// A UUID, ordered by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub u128);

impl Uuid {
    /// The version 4 UUID of a counter.
    pub(crate) fn numbered(n: u64) -> Self {
        let bits = u128::from(mix(n)) << 64 | u128::from(mix(n ^ 0xFFFF_0000));
        let version = bits & !(0xF << 76) | (0x4 << 76);
        Self(version & !(0x3 << 62) | (0x2 << 62))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        let (a, b, c) = (&hex[..8], &hex[8..12], &hex[12..16]);
        write!(f, "{a}-{b}-{c}-{}-{}", &hex[16..20], &hex[20..])
    }
}

impl FromStr for Uuid {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let dashes = [8, 13, 18, 23];
        let shaped = text.len() == 36
            && text.bytes().enumerate().all(|(at, b)| match b {
                b'-' => dashes.contains(&at),
                _ => !dashes.contains(&at) && b.is_ascii_hexdigit(),
            });
        let hex = text.replace('-', "");
        shaped
            .then(|| u128::from_str_radix(&hex, 16).map(Self))
            .and_then(Result::ok)
            .ok_or(())
    }
}

/// SplitMix64's output function: a well mixed number of `n`.
pub(crate) fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// `len` bytes of noise.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let words = (0..len.div_ceil(8) as u64).map(|i| mix(seed ^ i.wrapping_mul(0xA5A5_A5A5_A5A5)));
    let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    bytes.truncate(len);
    bytes
}
