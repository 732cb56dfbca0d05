//! What can be wrong with a value at the door.

/// A value outside the range that its type promises.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ValueError {
    /// A cosine distance that is not a finite number in 0..=2.
    #[error("{value} is not a cosine distance: expected a number from 0 to 2")]
    Distance {
        /// What was given.
        value: f64,
    },
    /// A score that is not a finite number in 0..=1.
    #[error("{value} is not a score: expected a number from 0 to 1")]
    Score {
        /// What was given.
        value: f64,
    },
    /// A content hash that is not 64 hexadecimal digits.
    #[error("{value:?} is not a sha256: expected 64 hexadecimal digits")]
    Hash {
        /// What was given.
        value: String,
    },
    /// A faceset number that is not in 1..=999_999_999.
    #[error("{value} is not a faceset number: expected 1 to 999999999")]
    Number {
        /// What was given.
        value: u64,
    },
    /// A date that is none.
    #[error("{value:?} is not a date: expected YYYY-MM-DD")]
    Date {
        /// What was given.
        value: String,
    },
}
