//! Distances and scores as types of their own.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ValueError;

/// Cosine distance `1 - a·b / (|a||b|)`, a finite number in 0..=2.
///
/// Smaller is more alike. The rule at a threshold `t` is said where the
/// threshold is defined: clustering merges below `t`, gates keep up to and
/// including `t`.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct CosineDistance(f64);

impl CosineDistance {
    /// Checks the range.
    pub fn new(value: f64) -> Result<Self, ValueError> {
        if (0.0..=2.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(ValueError::Distance { value })
        }
    }

    /// Distance from a cosine similarity; rounding just outside -1..=1 is
    /// clamped. NaN becomes 2, the farthest: an unusable vector matches nothing.
    pub fn from_similarity(similarity: f64) -> Self {
        if similarity.is_nan() {
            Self(2.0)
        } else {
            Self((1.0 - similarity).clamp(0.0, 2.0))
        }
    }

    /// Distance of two unit vectors, summed in f64 from the first value to the
    /// last.
    pub fn of_units<'a, 'b>(
        a: impl IntoIterator<Item = &'a f32>,
        b: impl IntoIterator<Item = &'b f32>,
    ) -> Self {
        let products = a.into_iter().zip(b);
        Self::from_similarity(products.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum())
    }

    /// For named constants; panics when out of range, which a test would show.
    pub const fn constant(value: f64) -> Self {
        assert!(value >= 0.0 && value <= 2.0, "a cosine distance is 0 to 2");
        Self(value)
    }

    /// The plain number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl Eq for CosineDistance {}

impl Ord for CosineDistance {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for CosineDistance {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for CosineDistance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CosineDistance({})", self.0)
    }
}

impl fmt::Display for CosineDistance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl TryFrom<f64> for CosineDistance {
    type Error = ValueError;

    fn try_from(value: f64) -> Result<Self, ValueError> {
        Self::new(value)
    }
}

impl From<CosineDistance> for f64 {
    fn from(d: CosineDistance) -> Self {
        d.0
    }
}

impl std::str::FromStr for CosineDistance {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::new(text.trim().parse().unwrap_or(f64::NAN))
    }
}

/// A quality or confidence in 0..=1; larger is better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Score(f64);

impl Score {
    /// The best score.
    pub const ONE: Self = Self(1.0);
    /// The worst score.
    pub const ZERO: Self = Self(0.0);

    /// Checks the range.
    pub fn new(value: f64) -> Result<Self, ValueError> {
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(ValueError::Score { value })
        }
    }

    /// Clamps into 0..=1; NaN becomes 0, since unknown quality is no quality.
    pub fn saturating(value: f64) -> Self {
        if value.is_nan() {
            Self(0.0)
        } else {
            Self(value.clamp(0.0, 1.0))
        }
    }

    /// The plain number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl Eq for Score {}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl TryFrom<f64> for Score {
    type Error = ValueError;

    fn try_from(value: f64) -> Result<Self, ValueError> {
        Self::new(value)
    }
}

impl From<Score> for f64 {
    fn from(s: Score) -> Self {
        s.0
    }
}

impl std::str::FromStr for Score {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::new(text.trim().parse().unwrap_or(f64::NAN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_outside_zero_to_two_are_refused() {
        assert!(CosineDistance::new(2.0).is_ok());
        assert!(CosineDistance::new(2.000_001).is_err());
        assert!(CosineDistance::new(-0.1).is_err());
        assert!("0.55".parse::<CosineDistance>().is_ok());
        assert!("nan".parse::<CosineDistance>().is_err());
        assert!("abc".parse::<CosineDistance>().is_err());
    }

    #[test]
    fn the_distance_of_units_is_one_less_their_cosine() {
        let distance = |b: [f32; 2]| CosineDistance::of_units(&[0.6, 0.8], &b).get();
        assert!(distance([0.6, 0.8]).abs() < 1e-7);
        assert!((distance([0.8, -0.6]) - 1.0).abs() < 1e-7);
        assert!((distance([1.0, 0.0]) - 0.4).abs() < 1e-7);
    }

    #[test]
    fn rounding_noise_of_a_dot_product_is_no_error() {
        assert_eq!(CosineDistance::from_similarity(1.000_000_1).get(), 0.0);
        assert_eq!(CosineDistance::from_similarity(f64::NAN).get(), 2.0);
    }

    #[test]
    fn nan_scores_sort_last_not_first() {
        let mut scores = [
            Score::saturating(f64::NAN),
            Score::saturating(0.4),
            Score::ONE,
        ];
        scores.sort_by(|a, b| b.cmp(a));
        assert_eq!(scores.map(Score::get), [1.0, 0.4, 0.0]);
    }
}
