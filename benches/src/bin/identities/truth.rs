//! Labels from truth.json, put onto the faces of a cache.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use faceset_cache::Cache;
use faceset_core::{BBox, ContentHash, FaceKey};
use serde_json::Value;

pub(crate) type FaceId = (ContentHash, [i32; 4]);

/// Smallest overlap of a labelled box and a found one.
const MIN_IOU: f32 = 0.3;

/// A labelled face.
#[derive(Debug, Clone)]
pub(crate) struct Labelled {
    pub(crate) key: FaceKey,
    pub(crate) identity: String,
    /// `a` (early look), `b` (late look) or empty.
    pub(crate) era: String,
    /// True year of the photo.
    pub(crate) year: i32,
    /// Batch in which its photo first arrives.
    pub(crate) batch: u64,
}

#[derive(Debug)]
pub(crate) struct Truth {
    /// By face.
    pub(crate) faces: BTreeMap<FaceId, Labelled>,
    /// First batch of every photo.
    pub(crate) batch_of: BTreeMap<ContentHash, u64>,
    pub(crate) n_batches: u64,
}

impl Truth {
    pub(crate) fn load(path: &Path, cache: &Cache) -> Result<Self> {
        let text = std::fs::read_to_string(path).context("read the truth")?;
        let value: Value = serde_json::from_str(&text).context("read the truth")?;
        let files = value["files"]
            .as_array()
            .context("the truth has no files")?;
        let mut truth = Self {
            faces: BTreeMap::new(),
            batch_of: BTreeMap::new(),
            n_batches: 0,
        };
        for file in files {
            let Some(sha256) = file["sha256"].as_str().and_then(|t| t.parse().ok()) else {
                continue;
            };
            let batch = file["batch"].as_u64().unwrap_or(0);
            truth.n_batches = truth.n_batches.max(batch + 1);
            let first = truth.batch_of.entry(sha256).or_insert(batch);
            *first = batch.min(*first);
            let batch = *first;
            let Some(entry) = cache.by_hash(&sha256) else {
                continue;
            };
            for face in file["faces"].as_array().into_iter().flatten() {
                let Ok(bbox) = serde_json::from_value::<BBox>(face["box"].clone()) else {
                    continue;
                };
                let best = entry
                    .faces()
                    .iter()
                    .map(|f| (f.bbox.iou(&bbox), f))
                    .filter(|(iou, _)| *iou >= MIN_IOU)
                    .max_by(|a, b| a.0.total_cmp(&b.0));
                if let Some((_, found)) = best {
                    let key = entry.key(found);
                    truth.faces.insert(
                        key.id(),
                        Labelled {
                            key,
                            identity: face["identity"].as_str().unwrap_or_default().to_owned(),
                            era: face["era"].as_str().unwrap_or_default().to_owned(),
                            year: file["year"].as_i64().unwrap_or(0) as i32,
                            batch,
                        },
                    );
                }
            }
        }
        Ok(truth)
    }

    pub(crate) fn n_people(&self) -> usize {
        self.people().len()
    }

    pub(crate) fn people(&self) -> BTreeSet<&str> {
        self.faces.values().map(|f| f.identity.as_str()).collect()
    }

    /// People of whom an early and a late look are labelled.
    pub(crate) fn era_people(&self) -> Vec<&str> {
        let has = |who: &str, era: &str| {
            self.faces
                .values()
                .any(|f| f.identity == who && f.era == era)
        };
        self.people()
            .into_iter()
            .filter(|who| has(who, "a") && has(who, "b"))
            .collect()
    }
}
