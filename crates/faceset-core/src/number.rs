//! Faceset numbers and the folder names that carry them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ValueError;

/// The number of a faceset, from 1. Once given to an identity it is never given
/// to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct FacesetNumber(u32);

impl FacesetNumber {
    /// Checks the range 1..=999_999_999.
    pub fn new(value: u32) -> Result<Self, ValueError> {
        if (1..=999_999_999).contains(&value) {
            Ok(Self(value))
        } else {
            Err(ValueError::Number {
                value: value.into(),
            })
        }
    }

    /// The plain number.
    pub fn get(self) -> u32 {
        self.0
    }

    /// `faceset_NNN`: at least three digits, more when needed.
    pub fn folder_name(self) -> String {
        format!("faceset_{:03}", self.0)
    }
}

impl TryFrom<u64> for FacesetNumber {
    type Error = ValueError;

    fn try_from(value: u64) -> Result<Self, ValueError> {
        u32::try_from(value)
            .map_err(|_| ValueError::Number { value })
            .and_then(Self::new)
    }
}

impl From<FacesetNumber> for u64 {
    fn from(n: FacesetNumber) -> Self {
        n.0.into()
    }
}

impl fmt::Display for FacesetNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.0)
    }
}

/// The number of a canonical set folder: exactly `faceset_` and three or more
/// digits. Era folders (`faceset_001_2018-19`), `_thin` and the like are `None`.
pub fn canonical_faceset_number(folder: &str) -> Option<FacesetNumber> {
    let digits = folder.strip_prefix("faceset_")?;
    if digits.len() < 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().and_then(|n| FacesetNumber::new(n).ok())
}

/// The number of the person whose set or era a folder is: that of `faceset_001` for
/// `faceset_001` and for `faceset_001_2018-19`.
pub fn person_number(folder: &str) -> Option<FacesetNumber> {
    let era = folder.match_indices('_').nth(1);
    canonical_faceset_number(era.map_or(folder, |(at, _)| &folder[..at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_era_is_its_persons() {
        let number = |s| person_number(s).map(FacesetNumber::get);
        assert_eq!(number("faceset_007"), Some(7));
        assert_eq!(number("faceset_007_2018-19"), Some(7));
        assert_eq!(number("faceset_0123_a_b"), Some(123));
        assert_eq!(number("faceset_07_2018"), None);
        assert_eq!(number("_thin"), None);
    }

    #[test]
    fn only_canonical_folders_have_a_number() {
        let number = |s| canonical_faceset_number(s).map(FacesetNumber::get);
        assert_eq!(number("faceset_007"), Some(7));
        assert_eq!(number("faceset_1234"), Some(1234));
        for other in [
            "faceset_07",
            "faceset_001_2018-19",
            "_thin",
            "faceset_000",
            "faceset_01x",
            "Faceset_001",
        ] {
            assert_eq!(number(other), None, "{other}");
        }
    }

    #[test]
    fn folder_names_grow_past_three_digits() {
        assert_eq!(FacesetNumber::new(7).unwrap().folder_name(), "faceset_007");
        assert_eq!(
            FacesetNumber::new(1000).unwrap().folder_name(),
            "faceset_1000"
        );
    }
}
