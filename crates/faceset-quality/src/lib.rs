//! How good a picture of a face is, as arithmetic on pixels and records.
//!
//! Owns the sharpness measure, the per-face gates, the composite score and the
//! visual near-duplicate rule. Knows no files, no numbering and no bundles, and
//! never decides what happens to a face: callers do, with the numbers from here.

mod blur;
mod error;
mod gates;
mod near_duplicate;
mod score;
mod symmetry;
mod weights;

pub use blur::blur;
pub use error::QualityError;
pub use gates::{Gate, GateFailure, Gates};
pub use near_duplicate::{
    DuplicateGroup, DuplicateMember, FaceLook, NearDuplicateLimits, are_near_duplicates,
    face_dhash, group_near_duplicates, hamming,
};
pub use score::{
    det_score_part, face_size, frontality, frontality_of_landmarks, frontality_of_pose, parts,
    sharpness,
};
pub use symmetry::{landmark_symmetry, symmetry_of_5, symmetry_of_68, symmetry_of_cloud};
pub use weights::Weights;

/// The `f64` whose shortest decimal form is that of `value`.
///
/// `f64::from(0.6_f32)` is 0.6000000238418579, which neither reads well in a
/// manifest nor equals a limit typed as 0.6; this is 0.6. Infinities and NaN
/// pass through.
pub fn decimal(value: f32) -> f64 {
    value
        .to_string()
        .parse()
        .unwrap_or_else(|_| f64::from(value))
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn single_precision_reads_as_it_was_typed() {
        assert_eq!(decimal(0.6), 0.6);
        assert_eq!(decimal(-99.95), -99.95);
        assert!(decimal(f32::NAN).is_nan());
        assert_eq!(decimal(f32::INFINITY), f64::INFINITY);
    }
}
