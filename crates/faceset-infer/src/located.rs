//! A pack whose model files were found, and what it says of its embeddings.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use faceset_core::{ContentHash, hash_bytes};

use crate::pack::{DetectorKind, Pack, Repair};
use crate::{InferError, Variant};

/// One model file on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its digest.
    pub sha256: ContentHash,
}

/// A pack whose files were found and verified.
#[derive(Debug, Clone, PartialEq)]
pub struct LocatedPack {
    /// The pack.
    pub pack: Pack,
    /// Files by role; optional landmark roles may be missing.
    pub models: BTreeMap<&'static str, ModelFile>,
    /// What differs from the plain way.
    pub(crate) variant: Variant,
}

impl LocatedPack {
    /// The same files used another way.
    ///
    /// # Errors
    /// [`InferError::Variant`] for a detector with anchors stored in its file,
    /// which takes one input size only: all but SCRFD.
    pub fn with_variant(self, variant: Variant) -> Result<Self, InferError> {
        if variant.needs_any_size() && self.pack.detector.kind != DetectorKind::Scrfd {
            return Err(InferError::Variant {
                variant: variant.to_string(),
                reason: format!(
                    "the detector of {} takes one input size only; packs with an SCRFD detector take any",
                    self.pack.name
                ),
            });
        }
        Ok(Self { variant, ..self })
    }

    /// What differs from the plain way.
    pub fn variant(&self) -> Variant {
        self.variant
    }

    /// What decides an embedding: digest over the files of detector, points and
    /// recogniser, and over the preprocessing named by [`Self::pipeline`]. Two
    /// caches with different digests must not be mixed.
    pub fn digest(&self) -> ContentHash {
        let mut text = String::new();
        for (role, model) in self
            .models
            .iter()
            .filter(|(role, _)| Pack::is_required(role))
        {
            let _ = writeln!(text, "{role} {}", model.sha256);
        }
        text.push_str(&self.pipeline());
        hash_bytes(text.as_bytes())
    }

    /// Name of the preprocessing variant: everything besides the model files
    /// that changes an embedding.
    pub fn pipeline(&self) -> String {
        let d = &self.pack.detector;
        let r = &self.pack.recognizer;
        let tiles: Vec<String> = d.tiles.iter().map(ToString::to_string).collect();
        let variant = if self.variant.is_plain() {
            String::new()
        } else {
            format!(" variant={}", self.variant)
        };
        let points = self.pack.points.as_ref().map_or_else(String::new, |p| {
            format!(
                " points={:?} {} {:?} ({},{}) {:?};",
                p.kind,
                p.size,
                p.color,
                p.mean,
                p.std,
                changing(&p.repair)
            )
        });
        format!(
            "v1 det={:?} {}x{} {:?} ({},{}) thr={} nms={} tiles=[{}]@{} {:?};{points} rec={:?} ({},{}) norm>={} {:?}; \
             resize=cv-fixed warp=cv-fixed{variant}",
            d.kind,
            d.width,
            d.height,
            d.color,
            d.mean,
            d.std,
            d.score_threshold,
            d.nms_threshold,
            tiles.join(","),
            d.tile_score_threshold.unwrap_or(d.score_threshold),
            changing(&d.repair),
            r.color,
            r.mean,
            r.std,
            r.min_embedding_norm.unwrap_or(0.0),
            changing(&r.repair)
        )
    }

    /// True when `enrich` can add landmarks and pose with this pack.
    pub fn can_enrich(&self) -> bool {
        self.models.contains_key("landmark_3d_68")
            || self.models.contains_key("landmark_2d_106")
            || self.models.contains_key("points")
    }
}

/// The repairs that are part of the identity of an embedding.
fn changing(repairs: &[Repair]) -> Vec<Repair> {
    let mut repairs = repairs.to_vec();
    repairs.retain(|r| r.changes_values());
    repairs
}
