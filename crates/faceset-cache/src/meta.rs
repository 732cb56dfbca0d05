//! What a cache says of itself: which models and settings made it.
//!
//! Owns the rule which settings may share a cache. Does not know what a model
//! file contains.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use faceset_core::ContentHash;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::CacheError;

/// Version of the npz layout that this build writes and the newest it reads.
/// An npz without one is of version 0, see docs/formats/cache.md.
pub const SCHEMA: u32 = 1;

/// Name of the pack of a version 0 cache, which does not say what made it.
const UNKNOWN_PACK: &str = "unknown";

/// Which models, prepared how, made the embeddings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackIdentity {
    /// Name for people, e.g. `buffalo_l`.
    pub name: String,
    /// Digest of everything in the pack that changes an embedding.
    pub digest: String,
    /// Length of an embedding; 512 for the built-in packs.
    pub dim: u32,
    /// sha256 of each model file, by its role (`detect`, `embed`, ...).
    pub files: BTreeMap<String, ContentHash>,
    /// Name of the way from pixels to embedding (decoder, resize, warp
    /// variant); variants differ in digits and do not share a cache.
    pub pipeline: String,
}

impl PackIdentity {
    /// The pack of a cache that does not name one.
    pub fn unknown(dim: u32) -> Self {
        Self {
            name: UNKNOWN_PACK.to_owned(),
            digest: String::new(),
            dim,
            files: BTreeMap::new(),
            pipeline: String::new(),
        }
    }

    /// True for the pack of a version 0 cache.
    pub fn is_unknown(&self) -> bool {
        self.digest.is_empty()
    }

    /// True when embeddings of the two can be compared: same digest, same
    /// length, same pipeline. Names are for people and don't count.
    pub fn comparable(&self, other: &Self) -> bool {
        self.digest == other.digest && self.dim == other.dim && self.pipeline == other.pipeline
    }

    /// One line for messages, e.g. `buffalo_l (3f2a90c1, 512-d, cv4)`.
    pub fn describe(&self) -> String {
        let digest: String = self.digest.chars().take(12).collect();
        let parts: Vec<String> = [digest, format!("{}-d", self.dim), self.pipeline.clone()]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        format!("{} ({})", self.name, parts.join(", "))
    }
}

/// Everything in a cache that is not per photo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CacheMeta {
    /// The models.
    pub pack: PackIdentity,
    /// Width and height of the detector input in pixels.
    pub det_size: [u32; 2],
    /// Detector confidence from which a face counts; equal is kept.
    pub det_thresh: f32,
    /// Folders that were embedded into this cache.
    #[serde(default)]
    pub src_roots: BTreeSet<String>,
    /// Execution providers that did it, e.g. `cpu`; several are joined by `+`
    /// in alphabetical order.
    #[serde(default)]
    pub provider: String,
    /// Whatever else a caller wants remembered; kept by this build even when
    /// it does not know the key.
    #[serde(default)]
    pub extra: BTreeMap<String, Value>,
}

impl CacheMeta {
    /// Errors unless `self`, stored at `path`, may take records of `wanted`.
    pub(crate) fn check_accepts(&self, wanted: &Self, path: &Path) -> Result<(), CacheError> {
        if self.pack.is_unknown() && !wanted.pack.is_unknown() {
            return Err(CacheError::UnknownPack {
                path: path.to_path_buf(),
                wanted: wanted.pack.describe(),
            });
        }
        if !self.pack.comparable(&wanted.pack) {
            return Err(CacheError::OtherPack {
                path: path.to_path_buf(),
                found: self.pack.describe(),
                wanted: wanted.pack.describe(),
            });
        }
        if self.det_size != wanted.det_size || self.det_thresh != wanted.det_thresh {
            return Err(CacheError::OtherSettings {
                path: path.to_path_buf(),
                found: self.settings(),
                wanted: wanted.settings(),
            });
        }
        Ok(())
    }

    fn settings(&self) -> String {
        let [width, height] = self.det_size;
        format!("{width}x{height} at threshold {}", self.det_thresh)
    }

    /// The union of two metas that [`CacheMeta::check_accepts`] each other. The
    /// same whichever comes first.
    pub(crate) fn union(mut self, other: &Self) -> Self {
        self.src_roots.extend(other.src_roots.iter().cloned());
        let providers: BTreeSet<&str> = self
            .provider
            .split('+')
            .chain(other.provider.split('+'))
            .filter(|name| !name.is_empty())
            .collect();
        self.provider = providers.into_iter().collect::<Vec<_>>().join("+");
        for (key, theirs) in &other.extra {
            match self.extra.get(key) {
                // Two values for one key: either may win, as long as it is the
                // same one from both sides.
                Some(ours) if to_text(ours) <= to_text(theirs) => {}
                _ => {
                    self.extra.insert(key.clone(), theirs.clone());
                }
            }
        }
        if other.pack.name < self.pack.name {
            self.pack.name.clone_from(&other.pack.name);
        }
        self
    }
}

fn to_text(value: &Value) -> String {
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::meta;

    #[test]
    fn another_pack_is_refused_with_both_names_and_a_way_out() {
        let ours = meta(4);
        let mut theirs = meta(4);
        theirs.pack.name = "antelopev2".into();
        theirs.pack.digest = "feed".into();
        let error = ours
            .check_accepts(&theirs, Path::new("/c.npz"))
            .unwrap_err();
        let text = error.to_string();
        for part in ["/c.npz", "synthetic", "antelopev2", "another cache path"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_renamed_pack_is_the_same_pack() {
        let ours = meta(4);
        let mut theirs = meta(4);
        theirs.pack.name = "renamed".into();
        ours.check_accepts(&theirs, Path::new("/c.npz")).unwrap();
    }

    #[test]
    fn another_pipeline_dimension_or_detector_setting_is_refused() {
        let ours = meta(4);
        let check = |theirs: CacheMeta| ours.check_accepts(&theirs, Path::new("/c.npz"));
        let mut theirs = meta(4);
        theirs.pack.pipeline = "other".into();
        assert!(matches!(check(theirs), Err(CacheError::OtherPack { .. })));
        assert!(matches!(check(meta(5)), Err(CacheError::OtherPack { .. })));
        let mut theirs = meta(4);
        theirs.det_size = [480, 640];
        assert!(matches!(
            check(theirs),
            Err(CacheError::OtherSettings { .. })
        ));
        let mut theirs = meta(4);
        theirs.det_thresh = 0.4;
        let text = check(theirs).unwrap_err().to_string();
        assert!(text.contains("640x480 at threshold 0.4"), "{text}");
        assert!(text.contains("640x480 at threshold 0.5"), "{text}");
    }

    #[test]
    fn an_unknown_pack_takes_nothing_until_it_is_named() {
        let mut ours = meta(4);
        ours.pack = PackIdentity::unknown(4);
        assert!(matches!(
            ours.check_accepts(&meta(4), Path::new("/c.npz")),
            Err(CacheError::UnknownPack { .. })
        ));
    }

    #[test]
    fn a_union_is_the_same_from_both_sides() {
        let mut a = meta(4);
        a.provider = "cpu".into();
        a.src_roots = ["/b".to_owned()].into();
        a.extra.insert("k".into(), 2.into());
        let mut b = meta(4);
        b.provider = "directml+cpu".into();
        b.src_roots = ["/a".to_owned()].into();
        b.extra.insert("k".into(), 1.into());
        let union = a.clone().union(&b);
        assert_eq!(union, b.union(&a));
        assert_eq!(union.provider, "cpu+directml");
        assert_eq!(union.extra["k"], 1);
        assert_eq!(union.src_roots.len(), 2);
    }
}
