//! The manifests that tie sets on disk to faces in a cache.
//!
//! Schema only: who writes them and when is said in docs/formats/. Every
//! struct keeps keys it does not know (`extra`), so that a manifest written by
//! another tool or a later version survives a merge. Readers call
//! [`check_version`] first.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{BBox, ContentHash, FaceKey, SourcePath};

/// Version that this build writes and the newest it reads.
pub const MANIFEST_VERSION: u32 = 1;

/// Refuses manifests of a newer version, by the number in their `version` key.
///
/// A manifest without `version` is one of the original Python tool and is read
/// as version 0.
pub fn check_version(manifest: &Value) -> Result<u32, u64> {
    check_version_upto(manifest, MANIFEST_VERSION)
}

/// The same for a JSON file of another format, of which `newest` is the newest
/// version that is read.
pub fn check_version_upto(file: &Value, newest: u32) -> Result<u32, u64> {
    match file.get("version").and_then(Value::as_u64) {
        None => Ok(0),
        Some(v) if v <= u64::from(newest) => Ok(v as u32),
        Some(newer) => Err(newer),
    }
}

/// Which cache a manifest was made from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CacheRef {
    /// Path of the cache as it was given.
    pub path: String,
    /// Name of the model pack whose embeddings it holds.
    pub pack: String,
    /// Digest of the pack's files: embeddings of different digests never mix.
    pub pack_digest: String,
    /// Number of face records at that time.
    pub n_faces: u64,
}

/// One person folder of `cluster`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Person {
    /// Folder name, `person_NNN`.
    pub name: String,
    /// Its faces, best detector score first; behind them those that joined
    /// later. Empty in manifests of the original tool, which listed images only.
    #[serde(default)]
    pub faces: Vec<FaceKey>,
    /// Every photo path in the folder, aliases included, sorted.
    #[serde(default)]
    pub images: Vec<SourcePath>,
    /// Keys this build does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// `manifest.json` of `cluster`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RawManifest {
    /// Format version; 0 when the original tool wrote it.
    #[serde(default)]
    pub version: u32,
    /// Settings of the run.
    #[serde(default)]
    pub params: Value,
    /// The cache it was made from.
    #[serde(default)]
    pub cache: CacheRef,
    /// Groups of two or more faces.
    #[serde(default)]
    pub persons: Vec<Person>,
    /// Faces that joined nobody.
    #[serde(default)]
    pub singletons: Vec<FaceKey>,
    /// Photos without a face, aliases included, sorted.
    #[serde(default)]
    pub noface: Vec<SourcePath>,
    /// Keys this build does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A face that a step left out, with the number that decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DroppedFace {
    /// The face.
    pub key: FaceKey,
    /// The gate, e.g. `min_short`, `outlier`, `near_duplicate`.
    pub reason: String,
    /// What was measured.
    pub value: Option<f64>,
    /// What would have been needed.
    pub limit: Option<f64>,
}

/// One set of `refine`, of discovery or of a hand-sorted folder.
///
/// `faces` may be missing in manifests of the original tool, which listed
/// images only; readers then find the person by a two-pass centroid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefinedSet {
    /// `faceset_NNN`.
    pub name: String,
    /// A person's name for it, when one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Photo paths, aliases included, sorted.
    #[serde(default)]
    pub images: Vec<SourcePath>,
    /// The person's faces; empty in image-only manifests.
    #[serde(default)]
    pub faces: Vec<FaceKey>,
    /// Faces of the cluster that a gate dropped.
    #[serde(default)]
    pub dropped: Vec<DroppedFace>,
    /// Keys this build does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// `refine_manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefineManifest {
    /// Format version; 0 when the original tool wrote it.
    #[serde(default)]
    pub version: u32,
    /// Settings of the run.
    #[serde(default)]
    pub params: Value,
    /// The cache it was made from.
    #[serde(default)]
    pub cache: CacheRef,
    /// The sets, by number.
    #[serde(default)]
    pub facesets: Vec<RefinedSet>,
    /// Groups that did not become a set, with the reason in `extra`.
    #[serde(default)]
    pub rejected: Vec<RefinedSet>,
    /// Keys this build does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The parts of a composite quality score, each 0..=1.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ScoreParts {
    /// From pitch and yaw.
    pub frontality: f64,
    /// Detector confidence.
    pub det_score: f64,
    /// Mirror symmetry of the landmarks.
    pub landmark_symmetry: f64,
    /// Size up to 256 px.
    pub face_size: f64,
    /// Log-scaled Laplacian variance.
    pub sharpness: f64,
}

/// What re-detecting a written PNG at one detector size found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerifyPass {
    /// Detector input edge in pixels (640, 320).
    pub det_size: u32,
    /// Faces found.
    pub n_faces: u32,
}

/// One PNG of a set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportedFace {
    /// Rank by composite score, from 1.
    pub rank: u32,
    /// File name below the set's `faces/` folder and in the bundles.
    pub png: String,
    /// sha256 of the PNG.
    pub png_sha256: ContentHash,
    /// The face it shows.
    pub key: FaceKey,
    /// Every place the photo lies at, canonical first: one PNG stands for all.
    #[serde(default)]
    pub places: Vec<SourcePath>,
    /// Weighted sum of `parts`.
    pub composite: f64,
    /// The parts.
    pub parts: ScoreParts,
    /// Cosine distance to the set's centroid.
    pub distance: f64,
    /// Square cut from the photo: left, top, right, bottom in upright pixels;
    /// may leave the photo, which is padded black.
    pub crop: BBox,
    /// Output edge divided by crop edge; above 1 the face was enlarged.
    pub upscale: f64,
    /// Pad ratio that was used in the end (smaller when a neighbour was near).
    pub pad_ratio: f64,
    /// True when a neighbour's box was painted over.
    pub masked: bool,
    /// Result of the self-test; each pass must have found exactly one face.
    pub verified: Vec<VerifyPass>,
}

/// A bundle file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    /// File name in the set's folder.
    pub file: String,
    /// Number of PNGs inside.
    pub n_faces: u32,
    /// Size in bytes.
    pub bytes: u64,
    /// sha256 of the file.
    pub sha256: ContentHash,
}

/// One exported set: an entry of the top manifest and the whole of the set's
/// own `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwapSet {
    /// Folder name, `faceset_NNN` for canonical sets.
    pub name: String,
    /// A person's name, when one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// PNGs by rank.
    #[serde(default)]
    pub faces: Vec<ExportedFace>,
    /// Faces on the set's photos that were left out, with the reason.
    #[serde(default)]
    pub dropped: Vec<DroppedFace>,
    /// `.fsz` bundles.
    #[serde(default)]
    pub bundles: Vec<Bundle>,
    /// Settings of the export.
    #[serde(default)]
    pub params: Value,
    /// Which run made it and from what.
    #[serde(default)]
    pub provenance: Value,
    /// Keys this build does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A number that was given and has no set on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reserved {
    /// `faceset_NNN`.
    pub name: String,
    /// Why nothing was emitted.
    pub reason: String,
    /// Keys this build does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Top-level `manifest.json` of `facesets_swap_ready/`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SwapReadyManifest {
    /// Format version; 0 when the original tool wrote it.
    #[serde(default)]
    pub version: u32,
    /// Active sets.
    #[serde(default)]
    pub facesets: Vec<SwapSet>,
    /// Era sets below the thin limit.
    #[serde(default)]
    pub thin_eras: Vec<SwapSet>,
    /// Numbers without a set.
    #[serde(default)]
    pub reserved: Vec<Reserved>,
    /// One entry per run that changed the tree.
    #[serde(default)]
    pub runs: Vec<Value>,
    /// Keys this build does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_keys_survive_a_round_trip() {
        let text = json!({"version": 1, "facesets": [{"name": "faceset_001", "mood": "good"}], "masked": [1, 2]});
        let manifest: SwapReadyManifest = serde_json::from_value(text).unwrap();
        let back = serde_json::to_value(&manifest).unwrap();
        assert_eq!(back["masked"], json!([1, 2]));
        assert_eq!(back["facesets"][0]["mood"], "good");
    }

    #[test]
    fn image_only_sets_of_the_original_are_read() {
        let text = json!({"facesets": [{"name": "faceset_020", "images": ["/a.jpg"]}]});
        let manifest: RefineManifest = serde_json::from_value(text).unwrap();
        assert_eq!(manifest.version, 0);
        assert!(manifest.facesets[0].faces.is_empty());
    }

    #[test]
    fn newer_versions_are_refused_and_missing_ones_are_old() {
        assert_eq!(check_version(&json!({"version": 1})), Ok(1));
        assert_eq!(check_version(&json!({})), Ok(0));
        assert_eq!(check_version(&json!({"version": 2})), Err(2));
    }
}
