//! Model packs: which files make faces and embeddings, and how they are fed.
//!
//! A pack is a small TOML file (docs/formats/pack.md). Built-in packs are
//! compiled in; their model files are never part of this project.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use faceset_core::{ContentHash, CosineDistance, hash_bytes};
use serde::Deserialize;

use crate::{InferError, LocatedPack, ModelFile, Variant};

/// Version of the pack format that this build reads.
pub const PACK_FORMAT: u32 = 1;

const BUILT_IN: [(&str, &str); 5] = [
    ("buffalo_l", include_str!("../packs/buffalo_l.toml")),
    ("buffalo_m", include_str!("../packs/buffalo_m.toml")),
    ("buffalo_s", include_str!("../packs/buffalo_s.toml")),
    ("antelopev2", include_str!("../packs/antelopev2.toml")),
    ("faceplugin", include_str!("../packs/faceplugin.toml")),
];

/// Pack used when it is found: the original tool's.
pub const PREFERRED_PACK: &str = "buffalo_l";

/// Pack that set-up installs.
pub const FREE_PACK: &str = "faceplugin";

/// Colour order of a model's input planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColorOrder {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
    /// One plane, OpenCV's weights.
    Grey,
}

/// How input values are made from 0..=255 pixels: `(value - mean) / std`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Normalization {
    /// Colour order.
    pub color: ColorOrder,
    /// Subtracted first.
    pub mean: f32,
    /// Divided by then.
    pub std: f32,
}

/// A change made to a model in memory before it is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repair {
    /// Weights below 1e-15 become 0: denormals slow CPUs tenfold.
    ZeroTinyWeights,
    /// PReLU in parts that the processor's kernels run without repacking; the
    /// values stay as they are. For the processor of ONNX Runtime only, others
    /// are slower with it.
    SplitPrelu,
}

impl Repair {
    /// False when every output stays bit for bit, so that records made with and
    /// without it may share a cache.
    pub(crate) fn changes_values(self) -> bool {
        self != Self::SplitPrelu
    }
}

/// Family of detector outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DetectorKind {
    /// Nine outputs: scores, boxes and five points at strides 8, 16 and 32.
    Scrfd,
    /// Boxes and two-class scores; no points.
    Ultraface,
}

/// The detector of a pack.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorSpec {
    /// Model file name.
    pub file: String,
    /// Its digest.
    pub sha256: Option<ContentHash>,
    /// Digest that the file has after `repair`.
    pub repaired_sha256: Option<ContentHash>,
    /// Output family.
    pub kind: DetectorKind,
    /// Input width in pixels.
    pub width: u32,
    /// Input height in pixels.
    pub height: u32,
    /// Colour order.
    pub color: ColorOrder,
    /// Subtracted from pixels.
    pub mean: f32,
    /// Divides after.
    pub std: f32,
    /// Faces scoring lower are dropped; equal is kept.
    pub score_threshold: f32,
    /// Boxes overlapping a better one by more are dropped; equal is kept.
    pub nms_threshold: f32,
    /// Further passes over an n×n grid of overlapping tiles, for detectors
    /// with a small input: finds faces that the whole picture makes too small.
    #[serde(default)]
    pub tiles: Vec<u32>,
    /// As `score_threshold`, for the passes over tiles: they look harder and
    /// so see more that is no face. Required with `tiles`.
    pub tile_score_threshold: Option<f32>,
    /// Repairs.
    #[serde(default)]
    pub repair: Vec<Repair>,
}

/// How 68 landmarks become the five points, for detectors without points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum PointsKind {
    /// Input is the grey square around the box centre with the box's height as
    /// its edge; output is 136 coordinates relative to that square.
    #[serde(rename = "points68-square-grey")]
    Points68SquareGrey,
}

/// Landmark model that supplies the five points.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointsSpec {
    /// Model file name.
    pub file: String,
    /// Its digest.
    pub sha256: Option<ContentHash>,
    /// Digest that the file has after `repair`.
    pub repaired_sha256: Option<ContentHash>,
    /// Layout.
    pub kind: PointsKind,
    /// Input edge in pixels.
    pub size: u32,
    /// Colour order.
    pub color: ColorOrder,
    /// Subtracted from pixels.
    pub mean: f32,
    /// Divides after.
    pub std: f32,
    /// Repairs.
    #[serde(default)]
    pub repair: Vec<Repair>,
}

/// The recogniser of a pack: aligned 112×112 crops to embeddings.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecognizerSpec {
    /// Model file name.
    pub file: String,
    /// Its digest.
    pub sha256: Option<ContentHash>,
    /// Digest that the file has after `repair`.
    pub repaired_sha256: Option<ContentHash>,
    /// Input edge in pixels; the template is ArcFace's at 112.
    pub size: u32,
    /// Colour order.
    pub color: ColorOrder,
    /// Subtracted from pixels.
    pub mean: f32,
    /// Divides after.
    pub std: f32,
    /// Length of the embedding.
    pub dim: usize,
    /// Detections whose raw embedding is shorter are no faces; equal is kept.
    /// Recognisers of this kind give short vectors for what shows no face.
    pub min_embedding_norm: Option<f32>,
    /// Repairs.
    #[serde(default)]
    pub repair: Vec<Repair>,
}

/// A 2d106 or 3d68 model: the box crop scaled by 1.5, no rotation.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LandmarkSpec {
    /// Model file name.
    pub file: String,
    /// Its digest.
    pub sha256: Option<ContentHash>,
    /// Digest that the file has after `repair`.
    pub repaired_sha256: Option<ContentHash>,
    /// Input edge in pixels.
    pub size: u32,
    /// Colour order.
    pub color: ColorOrder,
    /// Subtracted from pixels.
    pub mean: f32,
    /// Divides after.
    pub std: f32,
    /// Repairs.
    #[serde(default)]
    pub repair: Vec<Repair>,
}

/// Cosine distances at which this recogniser works best.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackThresholds {
    /// Average-linkage cut for grouping.
    pub cluster: CosineDistance,
    /// Face to the centroid of a known identity.
    pub r#match: CosineDistance,
}

/// A parsed pack.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// Pack format version.
    pub format: u32,
    /// Short name: letters, digits, `_`, `-`, `.`.
    pub name: String,
    /// Name for people.
    pub title: String,
    /// Terms of the model files.
    pub licence: String,
    /// Where the model files come from.
    pub source: String,
    /// Finds faces.
    pub detector: DetectorSpec,
    /// Finds the five points, when the detector doesn't.
    pub points: Option<PointsSpec>,
    /// Makes embeddings.
    pub recognizer: RecognizerSpec,
    /// 106 points.
    pub landmark_2d_106: Option<LandmarkSpec>,
    /// 68 points in space.
    pub landmark_3d_68: Option<LandmarkSpec>,
    /// Recommended thresholds.
    pub thresholds: PackThresholds,
}

impl Pack {
    /// Names of the built-in packs, the preferred one first.
    pub fn built_in_names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A built-in pack.
    pub fn built_in(name: &str) -> Result<Self, InferError> {
        let Some((_, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) else {
            return Err(InferError::Pack {
                origin: name.to_owned(),
                reason: format!(
                    "no such pack; built in are {}, or give the path of a pack file",
                    Self::built_in_names().collect::<Vec<_>>().join(", ")
                ),
            });
        };
        Self::parse(text, name)
    }

    /// A pack file of the user's.
    pub fn from_file(path: &Path) -> Result<Self, InferError> {
        let text = fs::read_to_string(path).map_err(|source| InferError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Parses and checks; `origin` is only for messages.
    pub fn parse(text: &str, origin: &str) -> Result<Self, InferError> {
        let refuse = |reason: String| InferError::Pack {
            origin: origin.to_owned(),
            reason,
        };
        let raw: toml::Table = text.parse().map_err(|e| refuse(format!("{e}")))?;
        match raw.get("format").and_then(toml::Value::as_integer) {
            Some(v) if v == i64::from(PACK_FORMAT) => {}
            Some(v) if v > i64::from(PACK_FORMAT) => {
                return Err(refuse(format!(
                    "format {v}; this build reads {PACK_FORMAT}, update face-sets"
                )));
            }
            _ => return Err(refuse(format!("expected `format = {PACK_FORMAT}`"))),
        }
        let pack: Self = toml::from_str(text).map_err(|e| refuse(format!("{e}")))?;
        pack.check().map_err(refuse)?;
        Ok(pack)
    }

    fn check(&self) -> Result<(), String> {
        if self.name.is_empty()
            || !self
                .name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        {
            return Err(format!(
                "name {:?}: expected letters, digits, `_`, `-`, `.`",
                self.name
            ));
        }
        for (role, file) in self.files() {
            if file.contains(['/', '\\']) || file.is_empty() {
                return Err(format!("{role} file {file:?}: expected a plain file name"));
            }
        }
        if self.detector.kind == DetectorKind::Ultraface && self.points.is_none() {
            return Err(
                "an ultraface detector gives no points: expected a [points] table".to_owned(),
            );
        }
        if self.recognizer.size != 112 {
            return Err(format!(
                "recognizer size {}: the template is for 112",
                self.recognizer.size
            ));
        }
        let stds = [
            Some(self.detector.std),
            self.points.as_ref().map(|p| p.std),
            Some(self.recognizer.std),
        ];
        if stds
            .into_iter()
            .flatten()
            .any(|s| !s.is_finite() || s <= 0.0)
        {
            return Err("std: expected a positive number".to_owned());
        }
        let tile_threshold = self.detector.tile_score_threshold;
        if tile_threshold.is_none() != self.detector.tiles.is_empty() {
            return Err("tiles and tile_score_threshold: expected both or neither".to_owned());
        }
        let (score, nms) = (self.detector.score_threshold, self.detector.nms_threshold);
        let scores = [score, nms, tile_threshold.unwrap_or(score)];
        if scores.iter().any(|s| !(0.0..=1.0).contains(s)) {
            return Err(
                "score_threshold, tile_score_threshold and nms_threshold: expected 0 to 1"
                    .to_owned(),
            );
        }
        if self.detector.tiles.iter().any(|n| !(2..=8).contains(n)) {
            return Err("tiles: expected grid sizes from 2 to 8".to_owned());
        }
        Ok(())
    }

    /// Role and file name of every model, in a fixed order.
    pub fn files(&self) -> Vec<(&'static str, &str)> {
        let mut files = vec![("detector", self.detector.file.as_str())];
        files.extend(self.points.as_ref().map(|p| ("points", p.file.as_str())));
        files.push(("recognizer", self.recognizer.file.as_str()));
        files.extend(
            self.landmark_2d_106
                .as_ref()
                .map(|l| ("landmark_2d_106", l.file.as_str())),
        );
        files.extend(
            self.landmark_3d_68
                .as_ref()
                .map(|l| ("landmark_3d_68", l.file.as_str())),
        );
        files
    }

    fn pinned(&self, role: &str) -> Option<ContentHash> {
        match role {
            "detector" => self.detector.sha256,
            "points" => self.points.as_ref().and_then(|p| p.sha256),
            "recognizer" => self.recognizer.sha256,
            "landmark_2d_106" => self.landmark_2d_106.as_ref().and_then(|l| l.sha256),
            _ => self.landmark_3d_68.as_ref().and_then(|l| l.sha256),
        }
    }

    /// Roles without which faces can't be found and embedded. Landmark models
    /// are only needed by `enrich`.
    pub(crate) fn is_required(role: &str) -> bool {
        !role.starts_with("landmark_")
    }

    /// Finds the pack's files: in each root, directly or in a folder of the
    /// pack's name. Digests are checked; optional landmark models may be absent.
    pub fn locate(self, roots: &[PathBuf]) -> Result<LocatedPack, InferError> {
        let folders: Vec<PathBuf> = roots
            .iter()
            .flat_map(|root| [root.join(&self.name), root.clone()])
            .collect();
        let required: Vec<&str> = self
            .files()
            .into_iter()
            .filter(|(role, _)| Self::is_required(role))
            .map(|(_, f)| f)
            .collect();
        let Some(folder) = folders
            .iter()
            .find(|dir| required.iter().all(|f| dir.join(f).is_file()))
        else {
            let missing = required
                .iter()
                .find(|f| !folders.iter().any(|dir| dir.join(f).is_file()))
                .unwrap_or(&required[0]);
            return Err(InferError::PackMissing {
                pack: self.name.clone(),
                file: (*missing).to_owned(),
                searched: folders,
                advice: self.source.clone(),
            });
        };
        let mut models = BTreeMap::new();
        for (role, file) in self.files() {
            let path = folder.join(file);
            if !Self::is_required(role) && !path.is_file() {
                continue;
            }
            let bytes = fs::read(&path).map_err(|source| InferError::Io {
                path: path.clone(),
                source,
            })?;
            let found = hash_bytes(&bytes);
            if let Some(expected) = self.pinned(role).filter(|expected| *expected != found) {
                return Err(InferError::WrongModel {
                    path,
                    expected: expected.to_string(),
                    found: found.to_string(),
                });
            }
            models.insert(
                role,
                ModelFile {
                    path,
                    sha256: found,
                },
            );
        }
        Ok(LocatedPack {
            pack: self,
            models,
            variant: Variant::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_pack_parses_under_its_own_name() {
        for name in Pack::built_in_names() {
            assert_eq!(Pack::built_in(name).unwrap().name, name);
        }
        assert_eq!(Pack::built_in_names().next(), Some(PREFERRED_PACK));
        assert!(Pack::built_in(FREE_PACK).is_ok());
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = Pack::built_in("buffalo_xl").unwrap_err().to_string();
        assert!(
            error.contains("buffalo_xl") && error.contains("buffalo_l"),
            "{error}"
        );
    }

    #[test]
    fn a_newer_format_is_refused_clearly() {
        let text = include_str!("../packs/buffalo_l.toml").replace("format = 1", "format = 2");
        let error = Pack::parse(&text, "mine.toml").unwrap_err().to_string();
        assert!(
            error.contains("mine.toml") && error.contains("format 2"),
            "{error}"
        );
    }

    #[test]
    fn nonsense_values_name_the_field() {
        let base = include_str!("../packs/faceplugin.toml");
        for (from, to, word) in [
            (
                "score_threshold = 0.65",
                "score_threshold = 1.65",
                "score_threshold",
            ),
            ("std = 128.0", "std = 0.0", "std"),
            ("tiles = [2, 3]", "tiles = [99]", "tiles"),
            (
                "file = \"fr_detect.onnx\"",
                "file = \"../fr_detect.onnx\"",
                "plain file name",
            ),
            ("[points]", "[pointz]", "pointz"),
        ] {
            let text = base.replacen(from, to, 1);
            assert_ne!(text, base, "{from}");
            let error = Pack::parse(&text, "x").unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_missing_pack_says_what_was_searched_and_where_to_get_it() {
        let dir = tempfile::tempdir().unwrap();
        let error = Pack::built_in("buffalo_s")
            .unwrap()
            .locate(&[dir.path().to_path_buf()])
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("det_500m.onnx") && text.contains(".insightface"),
            "{text}"
        );
    }

    #[test]
    fn a_file_with_another_digest_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["det_500m.onnx", "w600k_mbf.onnx"] {
            fs::write(dir.path().join(file), b"not a model").unwrap();
        }
        let error = Pack::built_in("buffalo_s")
            .unwrap()
            .locate(&[dir.path().to_path_buf()])
            .unwrap_err();
        assert!(matches!(error, InferError::WrongModel { .. }), "{error}");
    }

    #[test]
    fn landmark_models_do_not_change_the_digest_but_thresholds_of_detection_do() {
        let located = |score: f32, landmark: bool| {
            let mut pack = Pack::built_in("buffalo_s").unwrap();
            pack.detector.score_threshold = score;
            let file = |n: u8| ModelFile {
                path: PathBuf::new(),
                sha256: hash_bytes(&[n]),
            };
            let mut models = BTreeMap::from([("detector", file(1)), ("recognizer", file(2))]);
            if landmark {
                models.insert("landmark_3d_68", file(3));
            }
            LocatedPack {
                pack,
                models,
                variant: Variant::default(),
            }
            .digest()
        };
        assert_eq!(located(0.5, false), located(0.5, true));
        assert_ne!(located(0.5, false), located(0.6, false));
    }
}
