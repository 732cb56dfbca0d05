//! What the caller knows beyond the manifests: numbers of faces, the run.

use faceset_core::{CosineDistance, Pose, SourcePath};
use serde::Serialize;

/// The group whose centroid is nearest to a face among those it is not in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Neighbour {
    /// Name of the group.
    pub group: String,
    /// Cosine distance of the face to its centroid.
    pub distance: CosineDistance,
}

/// What is known of one face; `None` is not shown.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct FaceFacts {
    /// Detector confidence, 0..=1.
    pub det_score: Option<f32>,
    /// Short edge of the unclamped box in upright pixels.
    pub face_short_px: Option<f32>,
    /// Variance of the Laplacian: larger is sharper.
    pub blur: Option<f32>,
    /// Head pose.
    pub pose: Option<Pose>,
    /// Year the photo was taken.
    pub year: Option<i16>,
    /// Cosine distance to the centroid of its own group's members.
    pub own_distance: Option<CosineDistance>,
    /// The nearest other group.
    pub nearest: Option<Neighbour>,
}

impl FaceFacts {
    /// Drops what is no number, so that nobody further down has to ask.
    pub(crate) fn checked(self) -> Self {
        let finite = |v: Option<f32>| v.filter(|v| v.is_finite());
        Self {
            det_score: finite(self.det_score),
            face_short_px: finite(self.face_short_px),
            blur: finite(self.blur),
            pose: self
                .pose
                .filter(|p| <[f32; 3]>::from(*p).iter().all(|v| v.is_finite())),
            ..self
        }
    }
}

/// A file that gave nothing, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileProblem {
    /// The file.
    pub path: SourcePath,
    /// One line for people.
    pub reason: String,
}

/// What the run says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RunSummary {
    /// Label and value, shown in this order.
    pub rows: Vec<(String, String)>,
    /// Files that could not be read.
    pub failed: Vec<FileProblem>,
    /// Files that were left out on purpose.
    pub skipped: Vec<FileProblem>,
}
