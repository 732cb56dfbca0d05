//! Caches worked out by hand: photos that show people as directions.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "test support; each test file uses its part"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use faceset_cache::{Cache, CacheMeta, CacheWriter, PackIdentity};
use faceset_core::manifest::{
    CacheRef, ExportedFace, RefineManifest, RefinedSet, ScoreParts, SwapReadyManifest, SwapSet,
};
use faceset_core::{
    BBox, CancelToken, FaceKey, FaceRecord, FacesetNumber, FileEntry, FileStatus, NoProgress,
    hash_bytes,
};
use faceset_identity::RegistryWriter;
use faceset_pipeline::Ctx;
use serde_json::{Map, Value, json};

pub(crate) const DIM: usize = 8;

pub(crate) type Direction = [f32; DIM];

/// A direction at this angle from the axis `from` towards the axis `to`.
pub(crate) fn turned(from: usize, degrees: f64, to: usize) -> Direction {
    let mut direction = [0.0; DIM];
    direction[from] = degrees.to_radians().cos() as f32;
    direction[to] = degrees.to_radians().sin() as f32;
    direction
}

/// A photo: its name, and the directions of its faces.
#[derive(Debug, Clone)]
pub(crate) struct Shot {
    pub(crate) name: String,
    pub(crate) faces: Vec<Direction>,
    pub(crate) short_px: f32,
    pub(crate) taken: &'static str,
}

pub(crate) fn shot(name: &str, faces: &[Direction]) -> Shot {
    Shot {
        name: name.to_owned(),
        faces: faces.to_vec(),
        short_px: 200.0,
        taken: "",
    }
}

/// `n` photos that show one direction each.
pub(crate) fn shots(prefix: &str, n: usize, face: Direction) -> Vec<Shot> {
    (0..n)
        .map(|i| shot(&format!("{prefix}{i:02}"), &[face]))
        .collect()
}

pub(crate) fn with_ctx<R>(f: impl FnOnce(Ctx<'_>) -> R) -> R {
    let cancel = CancelToken::default();
    f(Ctx {
        progress: &NoProgress,
        cancel: &cancel,
        holder: "test",
        n_workers: 1,
        current_year: 2026,
        now: jiff::Timestamp::from_second(1_770_000_000).unwrap(),
        kernel: None,
    })
}

/// A folder with photos (files that say their name) and a cache of them.
pub(crate) struct Home {
    pub(crate) dir: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn photo(&self, name: &str) -> String {
        let path = self.path("photos").join(format!("{name}.jpg"));
        path.to_str().unwrap().to_owned()
    }

    /// Adds photos to the cache; those that are there stay.
    pub(crate) fn embed(&self, shots: &[Shot]) -> Cache {
        std::fs::create_dir_all(self.path("photos")).unwrap();
        let meta = CacheMeta {
            pack: PackIdentity {
                name: "drawn".to_owned(),
                digest: "d".to_owned(),
                dim: DIM as u32,
                files: BTreeMap::new(),
                pipeline: String::new(),
            },
            det_size: [640, 640],
            det_thresh: 0.5,
            src_roots: BTreeSet::new(),
            provider: "cpu".to_owned(),
            extra: BTreeMap::new(),
        };
        let mut writer = CacheWriter::open(&self.path("c.npz"), &meta, "test").unwrap();
        for shot in shots {
            let path = self.photo(&shot.name);
            std::fs::write(&path, &shot.name).unwrap();
            let records = shot
                .faces
                .iter()
                .enumerate()
                .map(|(n, face)| FaceRecord {
                    path: path.as_str().into(),
                    bbox: BBox {
                        x1: 300.0 * n as f32,
                        y1: 0.0,
                        x2: 300.0 * n as f32 + shot.short_px,
                        y2: 280.0,
                    },
                    kps: [[1.0, 1.0]; 5],
                    det_score: 0.9,
                    face_short: shot.short_px,
                    blur: 300.0,
                    embedding: face.to_vec(),
                    embedding_norm: 20.0,
                    enrichment: None,
                })
                .collect();
            writer
                .put(FileEntry {
                    path: path.as_str().into(),
                    sha256: hash_bytes(shot.name.as_bytes()),
                    size: shot.name.len() as u64,
                    mtime_ns: 1,
                    dims: [2000, 1000],
                    taken: shot.taken.to_owned(),
                    source: "original".to_owned(),
                    status: FileStatus::Faces(records),
                })
                .unwrap();
        }
        writer.finish().unwrap()
    }

    /// The key of the nth face of a photo in the cache.
    pub(crate) fn key(&self, cache: &Cache, name: &str, nth: usize) -> FaceKey {
        let path = self.photo(name);
        let file = cache.resolve(&path.as_str().into()).unwrap();
        file.key(&file.faces()[nth])
    }

    /// The keys of the only faces of `n` photos that [`shots`] made.
    pub(crate) fn keys(&self, cache: &Cache, prefix: &str, n: usize) -> Vec<FaceKey> {
        (0..n)
            .map(|i| self.key(cache, &format!("{prefix}{i:02}"), 0))
            .collect()
    }
}

/// A refine manifest of these sets.
pub(crate) fn refined(sets: &[(&str, &[FaceKey])]) -> RefineManifest {
    RefineManifest {
        version: 1,
        params: Value::Null,
        cache: CacheRef::default(),
        facesets: sets
            .iter()
            .map(|(name, faces)| RefinedSet {
                name: (*name).to_owned(),
                label: None,
                images: faces.iter().map(|f| f.path.clone()).collect(),
                faces: faces.to_vec(),
                dropped: Vec::new(),
                extra: Map::new(),
            })
            .collect(),
        rejected: Vec::new(),
        extra: Map::new(),
    }
}

/// A tree of sets with a registry that knows their faces.
pub(crate) fn record(dir: &Path, sets: &[(&str, Vec<FaceKey>)]) {
    std::fs::create_dir_all(dir).unwrap();
    let facesets = sets
        .iter()
        .map(|(name, faces)| {
            std::fs::create_dir_all(dir.join(name).join("faces")).unwrap();
            let set = swap_set(&dir.join(name), name, faces);
            faceset_fs::write_json(&dir.join(name).join("manifest.json"), &set).unwrap();
            let hint = format!("{name}: replace this line by the person's name\n");
            std::fs::write(dir.join(name).join("NAME.txt"), hint).unwrap();
            set
        })
        .collect();
    let manifest = SwapReadyManifest {
        version: 1,
        facesets,
        ..SwapReadyManifest::default()
    };
    faceset_fs::write_json(&dir.join("manifest.json"), &manifest).unwrap();
    let today = "2026-02-02".parse().unwrap();
    let mut writer = RegistryWriter::open(dir, "test", today).unwrap();
    let plan = writer
        .registry()
        .plan_record_export(&manifest, &json!({"run": "test"}));
    writer
        .apply(&plan, jiff::Timestamp::from_second(1_700_000_000).unwrap())
        .unwrap();
    writer.finish().unwrap();
}

fn swap_set(folder: &Path, name: &str, faces: &[FaceKey]) -> SwapSet {
    let faces = faces
        .iter()
        .zip(1..)
        .map(|(key, rank)| {
            let png = format!("{rank:04}.png");
            let bytes = format!("PNG of {}", key.path);
            std::fs::write(folder.join("faces").join(&png), &bytes).unwrap();
            ExportedFace {
                rank,
                png,
                png_sha256: hash_bytes(bytes.as_bytes()),
                key: key.clone(),
                places: vec![key.path.clone()],
                composite: 0.5,
                parts: ScoreParts::default(),
                distance: 0.25,
                crop: key.bbox,
                upscale: 1.0,
                pad_ratio: 0.5,
                masked: false,
                verified: Vec::new(),
            }
        })
        .collect();
    SwapSet {
        name: name.to_owned(),
        label: None,
        faces,
        dropped: Vec::new(),
        bundles: Vec::new(),
        params: Value::Null,
        provenance: json!({"plan_digest": "as made"}),
        extra: Map::new(),
    }
}

pub(crate) fn number(n: u32) -> FacesetNumber {
    FacesetNumber::new(n).unwrap()
}

/// Every file below a folder with its bytes, locks left out.
pub(crate) fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![root.to_path_buf()];
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_none_or(|e| e != "lock") {
                let name = path.strip_prefix(root).unwrap().to_string_lossy();
                found.insert(name.replace('\\', "/"), std::fs::read(&path).unwrap());
            }
        }
    }
    found
}
