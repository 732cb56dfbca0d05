//! The weights of the composite score.

use faceset_core::Score;
use faceset_core::manifest::ScoreParts;
use serde::{Deserialize, Serialize};

use crate::QualityError;

/// Weights of the five parts of the composite score; they sum to 1.
///
/// Default 0.30 frontality, 0.20 detector confidence, 0.20 landmark symmetry,
/// 0.15 face size, 0.15 sharpness: the original tool's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ScoreParts", into = "ScoreParts")]
pub struct Weights(ScoreParts);

/// The original tool's weights.
const DEFAULT: ScoreParts = ScoreParts {
    frontality: 0.30,
    det_score: 0.20,
    landmark_symmetry: 0.20,
    face_size: 0.15,
    sharpness: 0.15,
};

/// A sum this near to 1 is the rounding of weights that were meant to be 1.
const SUM_TOLERANCE: f64 = 1e-9;

impl Default for Weights {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl TryFrom<ScoreParts> for Weights {
    type Error = QualityError;

    /// Checks each weight (finite, not negative) and scales them to sum 1, so
    /// that `3, 2, 2, 1.5, 1.5` means the default.
    fn try_from(weights: ScoreParts) -> Result<Self, QualityError> {
        for (part, value) in named(&weights) {
            if !value.is_finite() || value < 0.0 {
                return Err(QualityError::Weight { part, value });
            }
        }
        // Scaled by the largest first: the sum of huge weights must not overflow.
        let largest = named(&weights).iter().map(|(_, v)| *v).fold(0.0, f64::max);
        if largest == 0.0 {
            return Err(QualityError::NoWeight);
        }
        let sum: f64 = named(&weights).iter().map(|(_, v)| v / largest).sum();
        if (sum * largest - 1.0).abs() <= SUM_TOLERANCE {
            return Ok(Self(weights));
        }
        let share = |v: f64| v / largest / sum;
        Ok(Self(ScoreParts {
            frontality: share(weights.frontality),
            det_score: share(weights.det_score),
            landmark_symmetry: share(weights.landmark_symmetry),
            face_size: share(weights.face_size),
            sharpness: share(weights.sharpness),
        }))
    }
}

impl From<Weights> for ScoreParts {
    fn from(weights: Weights) -> Self {
        weights.0
    }
}

impl Weights {
    /// The weights, each 0..=1.
    pub fn shares(&self) -> &ScoreParts {
        &self.0
    }

    /// Weighted sum of the parts. Parts outside 0..=1 count as the nearer end,
    /// NaN as 0.
    pub fn composite(&self, parts: &ScoreParts) -> Score {
        let sum = named(&self.0)
            .iter()
            .zip(named(parts))
            .map(|((_, weight), (_, part))| weight * Score::saturating(part).get())
            .sum();
        Score::saturating(sum)
    }
}

fn named(p: &ScoreParts) -> [(&'static str, f64); 5] {
    [
        ("frontality", p.frontality),
        ("det_score", p.det_score),
        ("landmark_symmetry", p.landmark_symmetry),
        ("face_size", p.face_size),
        ("sharpness", p.sharpness),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(w: [f64; 5]) -> Result<Weights, QualityError> {
        Weights::try_from(ScoreParts {
            frontality: w[0],
            det_score: w[1],
            landmark_symmetry: w[2],
            face_size: w[3],
            sharpness: w[4],
        })
    }

    #[test]
    fn the_composite_by_hand() {
        let parts = ScoreParts {
            frontality: 0.5,
            det_score: 0.9,
            landmark_symmetry: 0.8,
            face_size: 1.0,
            sharpness: 0.2,
        };
        // 0.15 + 0.18 + 0.16 + 0.15 + 0.03
        let found = Weights::default().composite(&parts).get();
        assert!((found - 0.67).abs() < 1e-12, "{found}");
    }

    #[test]
    fn each_part_has_its_own_weight() {
        let only = weights([0.0, 0.0, 7.0, 0.0, 0.0]).unwrap();
        let parts = ScoreParts {
            landmark_symmetry: 0.25,
            ..ScoreParts::default()
        };
        assert_eq!(only.composite(&parts).get(), 0.25);
    }

    #[test]
    fn weights_are_scaled_to_sum_one_and_those_that_do_are_kept_exactly() {
        let scaled = weights([3.0, 2.0, 2.0, 1.5, 1.5]).unwrap();
        assert!((scaled.shares().frontality - 0.3).abs() < 1e-12);
        assert_eq!(
            weights([0.3, 0.2, 0.2, 0.15, 0.15]).unwrap(),
            Weights::default()
        );
        let huge = weights([f64::MAX, f64::MAX, 0.0, 0.0, 0.0]).unwrap();
        assert_eq!(huge.shares().det_score, 0.5);
    }

    #[test]
    fn impossible_weights_are_refused_by_name() {
        assert_eq!(weights([0.0; 5]).unwrap_err(), QualityError::NoWeight);
        for bad in [f64::NAN, f64::INFINITY, -0.1] {
            let error = weights([0.3, 0.2, 0.2, bad, 0.15]).unwrap_err();
            assert!(error.to_string().contains("face_size"), "{error}");
        }
    }

    #[test]
    fn a_part_that_is_no_number_counts_as_nothing() {
        let parts = ScoreParts {
            frontality: f64::NAN,
            det_score: 3.0,
            ..ScoreParts::default()
        };
        assert_eq!(Weights::default().composite(&parts).get(), 0.2);
    }
}
