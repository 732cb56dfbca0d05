//! Caches and swap-ready trees worked out by hand, without pictures or models.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "tests share it, each its own part"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use faceset_cache::{Cache, CacheMeta, CacheWriter, PackIdentity};
use faceset_core::manifest::{SwapReadyManifest, SwapSet};
use faceset_core::{
    BBox, CancelToken, FaceKey, FaceRecord, FileEntry, FileStatus, NoProgress, hash_bytes,
};
use faceset_export::{ExportOptions, ExportSettings};
use faceset_pipeline::{Ctx, people};
use serde_json::{Map, Value, json};

pub(crate) const DIM: usize = 4;

/// One photo: path, capture time (may be empty), directions of its faces in
/// degrees from the first axis, in the plane of the second.
#[derive(Debug, Clone)]
pub(crate) struct Photo {
    pub(crate) path: String,
    pub(crate) taken: String,
    pub(crate) degrees: Vec<f64>,
    pub(crate) short_px: f32,
    pub(crate) aliases: Vec<String>,
}

/// A photo of one face.
pub(crate) fn photo(path: &str, year: Option<i32>, degrees: f64) -> Photo {
    Photo {
        path: path.to_owned(),
        taken: year.map_or_else(String::new, |y| format!("{y}-06-01T12:00:00")),
        degrees: vec![degrees],
        short_px: 200.0,
        aliases: Vec::new(),
    }
}

/// `n` photos of one look, spread over 0.2 degrees a photo.
pub(crate) fn look(folder: &str, n: usize, year: Option<i32>, degrees: f64) -> Vec<Photo> {
    (0..n)
        .map(|i| {
            photo(
                &format!("{folder}/{i:03}.jpg"),
                year,
                degrees + 0.2 * i as f64,
            )
        })
        .collect()
}

pub(crate) fn meta() -> CacheMeta {
    CacheMeta {
        pack: PackIdentity {
            name: "drawn".to_owned(),
            digest: "d".to_owned(),
            dim: DIM as u32,
            files: BTreeMap::new(),
            pipeline: String::new(),
        },
        det_size: [640, 640],
        det_thresh: 0.5,
        src_roots: BTreeSet::from(["/photos".to_owned()]),
        provider: "cpu".to_owned(),
        extra: BTreeMap::new(),
    }
}

/// A cache of these photos at `path`.
pub(crate) fn cache(path: &Path, photos: &[Photo]) -> Cache {
    let mut writer = CacheWriter::open(path, &meta(), "test").unwrap();
    for photo in photos {
        let records = photo
            .degrees
            .iter()
            .enumerate()
            .map(|(n, degrees)| {
                let left = 300.0 * n as f32;
                let mut embedding = vec![0.0; DIM];
                embedding[0] = degrees.to_radians().cos() as f32;
                embedding[1] = degrees.to_radians().sin() as f32;
                FaceRecord {
                    path: photo.path.as_str().into(),
                    bbox: BBox {
                        x1: left,
                        y1: 0.0,
                        x2: left + photo.short_px,
                        y2: 280.0,
                    },
                    kps: [[left, 1.0]; 5],
                    det_score: 0.9,
                    face_short: photo.short_px,
                    blur: 300.0,
                    embedding,
                    embedding_norm: 20.0,
                    enrichment: None,
                }
            })
            .collect();
        writer
            .put(FileEntry {
                path: photo.path.as_str().into(),
                sha256: hash_bytes(photo.path.as_bytes()),
                size: 1,
                mtime_ns: 1,
                dims: [2000, 1000],
                taken: photo.taken.clone(),
                source: "original".to_owned(),
                status: FileStatus::Faces(records),
            })
            .unwrap();
        for alias in &photo.aliases {
            writer
                .add_alias(&photo.path.as_str().into(), alias.as_str().into(), 1)
                .unwrap();
        }
    }
    writer.finish().unwrap()
}

/// Key of the `n`-th face of a photo.
pub(crate) fn key(cache: &Cache, path: &str, n: usize) -> FaceKey {
    let file = cache.resolve(&path.into()).unwrap();
    file.key(&file.faces()[n])
}

/// Keys of the first faces of all photos below a folder.
pub(crate) fn keys(cache: &Cache, folder: &str) -> Vec<FaceKey> {
    cache.under(folder).map(|f| f.key(&f.faces()[0])).collect()
}

/// Writes a swap-ready tree with these sets and takes it into the registry.
pub(crate) fn tree(dir: &Path, sets: &[(&str, Vec<FaceKey>)], ctx: Ctx<'_>) {
    let manifest = SwapReadyManifest {
        version: 1,
        facesets: sets.iter().map(|(name, faces)| set(name, faces)).collect(),
        ..SwapReadyManifest::default()
    };
    faceset_fs::write_json(&dir.join("manifest.json"), &manifest).unwrap();
    people::record_export(dir, ctx).unwrap();
}

fn set(name: &str, faces: &[FaceKey]) -> SwapSet {
    let faces: Vec<Value> = faces
        .iter()
        .enumerate()
        .map(|(at, key)| {
            json!({
                "rank": at + 1, "png": format!("{:04}.png", at + 1),
                "png_sha256": hash_bytes(b"png"), "key": key, "composite": 0.5,
                "parts": {"frontality": 0.5, "det_score": 0.5, "landmark_symmetry": 0.5,
                          "face_size": 0.5, "sharpness": 0.5},
                "distance": 0.1, "crop": [0.0, 0.0, 1.0, 1.0], "upscale": 1.0,
                "pad_ratio": 0.5, "masked": false, "verified": [],
            })
        })
        .collect();
    SwapSet {
        name: name.to_owned(),
        label: None,
        faces: serde_json::from_value(Value::Array(faces)).unwrap(),
        dropped: Vec::new(),
        bundles: Vec::new(),
        params: Value::Null,
        provenance: Value::Null,
        extra: Map::new(),
    }
}

/// Export options for faces without landmarks.
pub(crate) fn unenriched() -> ExportOptions {
    ExportOptions::try_from(ExportSettings {
        allow_unenriched: true,
        ..ExportSettings::default()
    })
    .unwrap()
}

pub(crate) fn with_ctx<R>(f: impl FnOnce(Ctx<'_>) -> R) -> R {
    let cancel = CancelToken::default();
    f(Ctx {
        progress: &NoProgress,
        cancel: &cancel,
        holder: "test",
        n_workers: 1,
        current_year: 2026,
        now: "2026-06-01T00:00:00Z".parse().unwrap(),
        kernel: None,
    })
}
