//! The options of an export, checked once.

use faceset_core::{CosineDistance, Score};
use faceset_quality::{NearDuplicateLimits, Weights};
use serde::{Deserialize, Serialize};

use crate::ExportError;

/// Farthest face from the centroid of its set; the original's export default.
pub const OUTLIER_THRESHOLD: CosineDistance = CosineDistance::constant(0.45);
/// Shortest box edge in pixels; the original's export default.
pub const MIN_FACE_SHORT_PX: f32 = 100.0;
/// Padding per side as a share of the longer box edge; the original's default.
pub const PAD_RATIO: f32 = 0.5;
/// Edge of the PNGs in pixels; the original's default, and the size that roop
/// takes as it is.
pub const OUT_SIZE_PX: u32 = 512;
/// Faces in the top bundle; the original's default.
pub const TOP_N: usize = 30;
/// Farthest singleton from the set it is a candidate for; the original's.
pub const CANDIDATE_MATCH_THRESHOLD: CosineDistance = CosineDistance::constant(0.55);
/// Smallest composite score of a candidate; the original's default.
pub const CANDIDATE_MIN_SCORE: f64 = 0.40;

/// The options of an export as they are asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportSettings {
    /// Faces farther than this from the centroid of their set are dropped;
    /// equal is kept. Default 0.45.
    pub outlier_threshold: CosineDistance,
    /// Faces whose short box edge is smaller, in upright pixels, are dropped;
    /// equal is kept. Default 100.
    pub min_face_short: f32,
    /// Padding on each side of the box as a share of its longer edge, 0..=4.
    /// Default 0.5.
    pub pad_ratio: f32,
    /// Edge of the square PNGs in pixels, 64..=4096. Default 512.
    pub out_size: u32,
    /// Number of faces in the top bundle, at least 1. Default 30.
    pub top_n: usize,
    /// Weights of the composite score.
    pub weights: Weights,
    /// When two pictures of one set count as the same.
    pub near_duplicates: NearDuplicateLimits,
    /// Scores faces that were never enriched by their five points instead of
    /// refusing to plan. Default off.
    pub allow_unenriched: bool,
    /// Refuses sets whose consent is unknown, not only those denied. Default
    /// off.
    pub require_consent: bool,
    /// Rescues singletons for review. Default off.
    pub candidates: bool,
    /// A singleton farther than this from every set is an orphan; equal is a
    /// match. Default 0.55.
    pub candidate_match_threshold: CosineDistance,
    /// Singletons with a smaller composite score are dropped; equal is kept.
    /// Default 0.40.
    pub candidate_min_score: Score,
}

impl Default for ExportSettings {
    fn default() -> Self {
        Self {
            outlier_threshold: OUTLIER_THRESHOLD,
            min_face_short: MIN_FACE_SHORT_PX,
            pad_ratio: PAD_RATIO,
            out_size: OUT_SIZE_PX,
            top_n: TOP_N,
            weights: Weights::default(),
            near_duplicates: NearDuplicateLimits::default(),
            allow_unenriched: false,
            require_consent: false,
            candidates: false,
            candidate_match_threshold: CANDIDATE_MATCH_THRESHOLD,
            candidate_min_score: Score::saturating(CANDIDATE_MIN_SCORE),
        }
    }
}

/// Checked options.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ExportSettings", into = "ExportSettings")]
pub struct ExportOptions(ExportSettings);

impl std::ops::Deref for ExportOptions {
    type Target = ExportSettings;

    fn deref(&self) -> &ExportSettings {
        &self.0
    }
}

impl From<ExportOptions> for ExportSettings {
    fn from(options: ExportOptions) -> Self {
        options.0
    }
}

impl TryFrom<ExportSettings> for ExportOptions {
    type Error = ExportError;

    fn try_from(settings: ExportSettings) -> Result<Self, ExportError> {
        let refuse = |option, value: &dyn std::fmt::Display, expected| {
            Err(ExportError::Option {
                option,
                value: value.to_string(),
                expected,
            })
        };
        if !settings.min_face_short.is_finite() || settings.min_face_short < 0.0 {
            return refuse(
                "the smallest face",
                &settings.min_face_short,
                "a finite number of pixels, at least 0",
            );
        }
        if !(0.0..=4.0).contains(&settings.pad_ratio) {
            return refuse("the pad ratio", &settings.pad_ratio, "a number from 0 to 4");
        }
        if !(64..=4096).contains(&settings.out_size) {
            return refuse("the output size", &settings.out_size, "64 to 4096 pixels");
        }
        if settings.top_n == 0 {
            return refuse(
                "the size of the top bundle",
                &settings.top_n,
                "at least 1 face",
            );
        }
        Ok(Self(settings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_original_tools() {
        let s = ExportSettings::default();
        assert_eq!(s.outlier_threshold.get(), 0.45);
        assert_eq!(
            (s.min_face_short, s.pad_ratio, s.out_size, s.top_n),
            (100.0, 0.5, 512, 30)
        );
        assert_eq!(s.candidate_match_threshold.get(), 0.55);
        assert_eq!(s.candidate_min_score.get(), 0.40);
        assert!(!s.candidates && !s.require_consent && !s.allow_unenriched);
        assert_eq!(
            ExportOptions::try_from(s.clone()).unwrap(),
            ExportOptions::default()
        );
    }

    #[test]
    fn the_ends_of_each_range_are_allowed_and_beyond_is_refused() {
        let with = |edit: &dyn Fn(&mut ExportSettings)| {
            let mut s = ExportSettings::default();
            edit(&mut s);
            ExportOptions::try_from(s)
        };
        assert!(with(&|s| s.min_face_short = 0.0).is_ok());
        assert!(with(&|s| s.min_face_short = -0.1).is_err());
        assert!(with(&|s| s.min_face_short = f32::NAN).is_err());
        assert!(with(&|s| s.pad_ratio = 0.0).is_ok());
        assert!(with(&|s| s.pad_ratio = 4.0).is_ok());
        assert!(with(&|s| s.pad_ratio = 4.1).is_err());
        assert!(with(&|s| s.pad_ratio = f32::NAN).is_err());
        assert!(with(&|s| s.out_size = 64).is_ok());
        assert!(with(&|s| s.out_size = 63).is_err());
        assert!(with(&|s| s.out_size = 4096).is_ok());
        assert!(with(&|s| s.out_size = 4097).is_err());
        assert!(with(&|s| s.top_n = 1).is_ok());
        let error = with(&|s| s.top_n = 0).unwrap_err();
        assert!(error.to_string().contains("top bundle"), "{error}");
    }
}
