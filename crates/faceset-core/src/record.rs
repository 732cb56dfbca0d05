//! Face and file records: what the cache holds and every later step reads.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{BBox, ContentHash, Landmarks5, Pose};

/// The logical path of a photo: absolute, UTF-8, as it was given to the first
/// step that saw it. It is a name, not necessarily openable on this system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourcePath(pub String);

impl SourcePath {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as a path of this system.
    pub fn as_path(&self) -> &std::path::Path {
        std::path::Path::new(&self.0)
    }
}

impl fmt::Display for SourcePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for SourcePath {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for SourcePath {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// What identifies one face for ever: the photo's content, and the box on it.
///
/// `path` is where the photo was last seen and helps people; two keys with the
/// same `sha256` and the same box in tenths of a pixel are the same face even
/// when the photo moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaceKey {
    /// Canonical path of the photo.
    pub path: SourcePath,
    /// sha256 of the photo's bytes.
    pub sha256: ContentHash,
    /// Face box, upright pixels, rounded to 0.1 px in comparisons.
    pub bbox: BBox,
}

impl FaceKey {
    /// The part that is compared: content hash and box in tenths of a pixel.
    pub fn id(&self) -> (ContentHash, [i32; 4]) {
        (self.sha256, self.bbox.tenths())
    }
}

/// Landmarks and head pose, added by `enrich`.
///
/// A pack may offer only some of them; `None` means "this pack has no such
/// model", not "not looked at yet" (that is `FaceRecord::enrichment == None`).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Enrichment {
    /// 106 `[x, y]` points in upright pixels.
    pub landmark_2d_106: Option<Vec<[f32; 2]>>,
    /// 68 `[x, y, z]` points, x and y in upright pixels, z in the same scale
    /// (NaN when the pack's landmark model is two-dimensional).
    pub landmark_3d_68: Option<Vec<[f32; 3]>>,
    /// Head pose in degrees.
    pub pose: Option<Pose>,
}

/// One face on one photo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaceRecord {
    /// Canonical path of the photo.
    pub path: SourcePath,
    /// Box in upright pixels, unclamped.
    pub bbox: BBox,
    /// Five landmarks in upright pixels.
    pub kps: Landmarks5,
    /// Detector confidence, 0..=1.
    pub det_score: f32,
    /// Short edge of the unclamped box in upright pixels.
    pub face_short: f32,
    /// Variance of the 3×3 Laplacian of the grey box crop at native size.
    pub blur: f32,
    /// Unit-length embedding; its dimension is the pack's (512 for built-ins).
    pub embedding: Vec<f32>,
    /// Length of the raw embedding before normalisation: the weight that a
    /// mean of raw vectors gives this face.
    pub embedding_norm: f32,
    /// Landmarks and pose; `None` until enriched.
    pub enrichment: Option<Enrichment>,
}

/// What happened to one distinct content (not: one path).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    /// Decoded; the faces found, in detector order. Empty means "no face":
    /// remembered so that the file is not tried again.
    Faces(Vec<FaceRecord>),
    /// Could not be read or decoded; the reason is for people. Tried again on
    /// the next run.
    Failed(String),
}

/// One distinct content: the canonical path, its identity and its faces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Canonical path: the first in path order among byte-identical files of
    /// the run that saw it first.
    pub path: SourcePath,
    /// sha256 of the bytes.
    pub sha256: ContentHash,
    /// Size in bytes.
    pub size: u64,
    /// Modification time, nanoseconds since 1970 UTC; 0 when unknown.
    pub mtime_ns: i64,
    /// Upright width and height in pixels; `[0, 0]` when never decoded.
    pub dims: [u32; 2],
    /// Capture time from EXIF as `YYYY-MM-DDTHH:MM:SS` (no zone), or empty.
    pub taken: String,
    /// Where the pixels came from: `original`, or a derivative such as
    /// `preview` when only a rendered version could be had.
    pub source: String,
    /// Outcome.
    pub status: FileStatus,
}

impl FileEntry {
    /// The faces, empty for files without any and for failed ones.
    pub fn faces(&self) -> &[FaceRecord] {
        match &self.status {
            FileStatus::Faces(faces) => faces,
            FileStatus::Failed(_) => &[],
        }
    }

    /// Key of one of this file's faces.
    pub fn key(&self, face: &FaceRecord) -> FaceKey {
        FaceKey {
            path: self.path.clone(),
            sha256: self.sha256,
            bbox: face.bbox,
        }
    }
}

/// The year of a [`FileEntry::taken`]; `None` when that is empty or no date.
pub fn capture_year(taken: &str) -> Option<i32> {
    taken.get(..4)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash_bytes;

    #[test]
    fn a_moved_photo_keeps_its_face_identity() {
        let bbox = BBox {
            x1: 1.04,
            y1: 2.0,
            x2: 3.0,
            y2: 4.0,
        };
        let before = FaceKey {
            path: "/a.jpg".into(),
            sha256: hash_bytes(b"x"),
            bbox,
        };
        let after = FaceKey {
            path: "/b.jpg".into(),
            bbox: BBox { x1: 1.0, ..bbox },
            ..before.clone()
        };
        assert_eq!(before.id(), after.id());
        let other = FaceKey {
            bbox: BBox { x1: 1.2, ..bbox },
            ..before.clone()
        };
        assert_ne!(before.id(), other.id());
    }
}
