//! Options that make no sense.

/// A quality option outside what it promises.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QualityError {
    /// A gate's limit that nothing can be compared with.
    #[error("use {value} as {gate}: expected a finite number of at least 0{}", if *.at_most_one { " and at most 1" } else { "" })]
    Gate {
        /// Which limit.
        gate: &'static str,
        /// What was given.
        value: f32,
        /// Whether the limit is a probability.
        at_most_one: bool,
    },
    /// A weight of the composite score that is negative or no number.
    #[error("use {value} as the weight of {part}: expected a finite number of at least 0")]
    Weight {
        /// Which part of the score.
        part: &'static str,
        /// What was given.
        value: f64,
    },
    /// All weights are zero.
    #[error("weigh the score: at least one weight must be above 0")]
    NoWeight,
    /// A near-duplicate limit out of range.
    #[error("use {value} as {limit}: expected {expected}")]
    NearDuplicate {
        /// Which limit.
        limit: &'static str,
        /// What was given.
        value: f64,
        /// What is possible.
        expected: &'static str,
    },
}
