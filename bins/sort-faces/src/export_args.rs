//! The flags of the export.

use faceset_core::manifest::ScoreParts;
use faceset_core::{CosineDistance, Score};
use faceset_export::{ExportOptions, ExportSettings};
use faceset_quality::Weights;

use crate::args::distance;

/// Flags of the export, shared by all steps that end in one.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Export")]
pub struct ExportArgs {
    /// Faces in the small bundle
    #[arg(long, value_name = "N", default_value_t = 30)]
    top_n: usize,
    /// Margin on each side of the face, as a share of its longer edge
    #[arg(long, value_name = "RATIO", default_value_t = 0.5)]
    pad_ratio: f32,
    /// Edge of the square PNGs
    #[arg(long, value_name = "PX", default_value_t = 512)]
    out_size: u32,
    /// Shortest box edge; equal is kept
    #[arg(long, value_name = "PX", default_value_t = 100.0)]
    min_face_short: f32,
    /// Also rescue single faces into _candidates/ for review by hand
    #[arg(long)]
    candidates: bool,
    /// Farthest a candidate may be from a set; equal is a match
    #[arg(long, value_name = "DISTANCE", default_value = "0.55", value_parser = distance)]
    candidate_match_threshold: CosineDistance,
    /// Smallest composite score of a candidate; equal is kept
    #[arg(long, value_name = "SCORE", default_value_t = 0.40)]
    candidate_min_score: f64,
    /// Weights of the composite score: frontality, det_score, symmetry, size, sharpness
    #[arg(long, value_name = "F,D,S,Z,H", default_value = "0.30,0.20,0.20,0.15,0.15", value_parser = weights)]
    weights: Weights,
    /// Export faces without landmarks and pose, judged by five points only
    #[arg(long)]
    allow_unenriched: bool,
    /// Refuse sets whose person has not agreed, instead of only those who refused
    #[arg(long)]
    require_consent: bool,
}

impl ExportArgs {
    /// The options of an export with this limit for outliers.
    ///
    /// # Errors
    /// When a value is outside its range.
    pub fn options(&self, outlier_threshold: CosineDistance) -> anyhow::Result<ExportOptions> {
        Ok(ExportOptions::try_from(ExportSettings {
            outlier_threshold,
            min_face_short: self.min_face_short,
            pad_ratio: self.pad_ratio,
            out_size: self.out_size,
            top_n: self.top_n,
            weights: self.weights,
            allow_unenriched: self.allow_unenriched,
            require_consent: self.require_consent,
            candidates: self.candidates,
            candidate_match_threshold: self.candidate_match_threshold,
            candidate_min_score: Score::new(self.candidate_min_score)?,
            ..ExportSettings::default()
        })?)
    }
}

fn weights(text: &str) -> Result<Weights, String> {
    let values: Vec<f64> = text
        .split(',')
        .map(|v| {
            v.trim()
                .parse()
                .map_err(|_| format!("{v:?} is not a number"))
        })
        .collect::<Result<_, _>>()?;
    let [
        frontality,
        det_score,
        landmark_symmetry,
        face_size,
        sharpness,
    ] = values[..]
    else {
        return Err(format!("{} numbers; expected five", values.len()));
    };
    let parts = ScoreParts {
        frontality,
        det_score,
        landmark_symmetry,
        face_size,
        sharpness,
    };
    Weights::try_from(parts).map_err(|e| e.to_string())
}
