//! The per-face quality gates of `refine` and of discovery.

use std::fmt;

use faceset_core::FaceRecord;
use serde::{Deserialize, Serialize};

use crate::QualityError;

/// Shortest allowed box edge in pixels; the original tool's `refine` default.
const MIN_SHORT_PX: f32 = 90.0;
/// Smallest allowed Laplacian variance; the original tool's `refine` default.
const MIN_BLUR: f32 = 40.0;
/// Smallest allowed detector confidence; the original tool's `refine` default.
const MIN_DET_SCORE: f32 = 0.6;

/// Limits that a face must reach. Equal is kept.
///
/// Values and limits are compared in single precision, in which the cache
/// stores them: a score of 0.6 passes a limit of 0.6.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedGates", into = "UncheckedGates")]
pub struct Gates {
    short_px: f32,
    blur: f32,
    det_score: f32,
}

/// The serialised form.
#[derive(Serialize, Deserialize)]
struct UncheckedGates {
    #[serde(rename = "min_short")]
    short_px: f32,
    #[serde(rename = "min_blur")]
    blur: f32,
    #[serde(rename = "min_det_score")]
    det_score: f32,
}

impl TryFrom<UncheckedGates> for Gates {
    type Error = QualityError;

    fn try_from(g: UncheckedGates) -> Result<Self, QualityError> {
        Self::new(g.short_px, g.blur, g.det_score)
    }
}

impl From<Gates> for UncheckedGates {
    fn from(g: Gates) -> Self {
        Self {
            short_px: g.short_px,
            blur: g.blur,
            det_score: g.det_score,
        }
    }
}

/// Which gate closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Short edge of the box in pixels.
    MinShort,
    /// Laplacian variance.
    MinBlur,
    /// Detector confidence.
    MinDetScore,
}

impl Gate {
    /// The name used in manifests and reports, e.g. `min_short`.
    pub fn name(self) -> &'static str {
        match self {
            Self::MinShort => "min_short",
            Self::MinBlur => "min_blur",
            Self::MinDetScore => "min_det_score",
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The first gate that a face failed, with both numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GateFailure {
    /// The gate.
    pub gate: Gate,
    /// What the face has; may be NaN when the record holds no number.
    pub value: f32,
    /// What it would have needed.
    pub limit: f32,
}

impl Default for Gates {
    /// 90 px, 40.0 and 0.6.
    fn default() -> Self {
        Self {
            short_px: MIN_SHORT_PX,
            blur: MIN_BLUR,
            det_score: MIN_DET_SCORE,
        }
    }
}

impl Gates {
    /// Checks the limits: finite, not negative, the confidence at most 1.
    pub fn new(min_short_px: f32, min_blur: f32, min_det_score: f32) -> Result<Self, QualityError> {
        for (gate, value, at_most_one) in [
            ("min_short", min_short_px, false),
            ("min_blur", min_blur, false),
            ("min_det_score", min_det_score, true),
        ] {
            if !value.is_finite() || value < 0.0 || (at_most_one && value > 1.0) {
                return Err(QualityError::Gate {
                    gate,
                    value,
                    at_most_one,
                });
            }
        }
        Ok(Self {
            short_px: min_short_px,
            blur: min_blur,
            det_score: min_det_score,
        })
    }

    /// Every gate with its number: what the face has, what it needs, and
    /// whether that passes. A value that is no number does not pass.
    pub fn report(&self, face: &FaceRecord) -> [(Gate, f32, f32, bool); 3] {
        [
            (Gate::MinShort, face.face_short, self.short_px),
            (Gate::MinBlur, face.blur, self.blur),
            (Gate::MinDetScore, face.det_score, self.det_score),
        ]
        .map(|(gate, value, limit)| (gate, value, limit, value >= limit))
    }

    /// The first gate that the face fails, in the order short edge, sharpness,
    /// confidence; `None` when it passes all.
    pub fn check(&self, face: &FaceRecord) -> Option<GateFailure> {
        self.report(face)
            .into_iter()
            .find(|(.., passes)| !passes)
            .map(|(gate, value, limit, _)| GateFailure { gate, value, limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(face_short: f32, blur: f32, det_score: f32) -> FaceRecord {
        FaceRecord {
            path: "/a.jpg".into(),
            bbox: [0.0, 0.0, face_short, 2.0 * face_short].into(),
            kps: [[0.0; 2]; 5],
            det_score,
            face_short,
            blur,
            embedding: vec![1.0],
            embedding_norm: 20.0,
            enrichment: None,
        }
    }

    #[test]
    fn a_face_exactly_at_every_limit_is_kept() {
        assert_eq!(Gates::default().check(&face(90.0, 40.0, 0.6)), None);
    }

    #[test]
    fn just_below_a_limit_is_dropped_with_both_numbers() {
        let gates = Gates::default();
        let short = gates.check(&face(90_f32.next_down(), 40.0, 0.6)).unwrap();
        assert_eq!((short.gate, short.limit), (Gate::MinShort, 90.0));
        assert_eq!(short.value, 90_f32.next_down());
        let blur = gates.check(&face(90.0, 40_f32.next_down(), 0.6)).unwrap();
        assert_eq!((blur.gate, blur.limit), (Gate::MinBlur, 40.0));
        let score = gates.check(&face(90.0, 40.0, 0.6_f32.next_down())).unwrap();
        assert_eq!((score.gate, score.limit), (Gate::MinDetScore, 0.6));
    }

    #[test]
    fn the_first_failing_gate_is_named() {
        let failure = Gates::default().check(&face(10.0, 1.0, 0.1)).unwrap();
        assert_eq!(failure.gate.to_string(), "min_short");
    }

    #[test]
    fn a_value_that_is_no_number_does_not_pass() {
        assert!(Gates::default().check(&face(90.0, f32::NAN, 0.6)).is_some());
    }

    #[test]
    fn limits_that_nothing_can_meet_are_refused() {
        assert!(Gates::new(f32::NAN, 40.0, 0.6).is_err());
        assert!(Gates::new(90.0, -1.0, 0.6).is_err());
        assert!(Gates::new(90.0, f32::INFINITY, 0.6).is_err());
        let error = Gates::new(90.0, 40.0, 1.1).unwrap_err();
        assert!(error.to_string().contains("min_det_score"), "{error}");
        assert!(Gates::new(0.0, 0.0, 0.0).is_ok());
        assert!(
            serde_json::from_str::<Gates>(r#"{"min_short":-1,"min_blur":0,"min_det_score":0}"#)
                .is_err()
        );
    }
}
