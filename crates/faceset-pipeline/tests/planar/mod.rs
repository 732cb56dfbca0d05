//! Caches of made-up faces for tests: directions in a plane, no pictures.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "tests share it, each its own part"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use faceset_cache::{Cache, CacheMeta, CacheWriter, PackIdentity};
use faceset_core::{BBox, CancelToken, FaceRecord, FileEntry, FileStatus, NoProgress, hash_bytes};
use faceset_pipeline::Ctx;

const DIM: usize = 4;

/// What a cache made by `pack` says of itself.
pub(crate) fn meta(pack: &str) -> CacheMeta {
    CacheMeta {
        pack: PackIdentity {
            name: pack.to_owned(),
            digest: format!("digest of {pack}"),
            dim: DIM as u32,
            files: BTreeMap::new(),
            pipeline: String::new(),
        },
        det_size: [640, 640],
        det_thresh: 0.5,
        src_roots: BTreeSet::new(),
        provider: "cpu".to_owned(),
        extra: BTreeMap::new(),
    }
}

/// A photo with faces at these angles, in degrees; its bytes are its path.
pub(crate) fn photo(path: &str, angles: &[f64]) -> FileEntry {
    let face = |(n, degrees): (usize, &f64)| {
        let left = 300.0 * n as f32;
        let (sin, cos) = degrees.to_radians().sin_cos();
        FaceRecord {
            path: path.into(),
            bbox: BBox {
                x1: left,
                y1: 0.0,
                x2: left + 200.0,
                y2: 280.0,
            },
            kps: [[left, 1.0]; 5],
            det_score: 0.9,
            face_short: 200.0,
            blur: 300.0,
            embedding: vec![cos as f32, sin as f32, 0.0, 0.0],
            embedding_norm: 20.0,
            enrichment: None,
        }
    };
    FileEntry {
        path: path.into(),
        sha256: hash_bytes(path.as_bytes()),
        size: 1,
        mtime_ns: 1,
        dims: [2000, 1000],
        taken: String::new(),
        source: "original".to_owned(),
        status: FileStatus::Faces(angles.iter().enumerate().map(face).collect()),
    }
}

/// Writes a cache of one pack.
pub(crate) fn cache_of(path: &Path, pack: &str, photos: Vec<FileEntry>) -> Cache {
    let mut writer = CacheWriter::open(path, &meta(pack), "test").unwrap();
    for photo in photos {
        writer.put(photo).unwrap();
    }
    writer.finish().unwrap()
}

/// Writes a cache of one face a photo, `/p/000.jpg` on.
pub(crate) fn cache_at(path: &Path, angles: &[f64]) -> Cache {
    let photos = angles.iter().enumerate();
    let photos = photos.map(|(at, angle)| photo(&format!("/p/{at:03}.jpg"), &[*angle]));
    cache_of(path, "drawn", photos.collect())
}

/// Runs with the context of a quiet test.
pub(crate) fn with_ctx<R>(f: impl FnOnce(Ctx<'_>) -> R) -> R {
    f(Ctx {
        progress: &NoProgress,
        cancel: &CancelToken::default(),
        holder: "test",
        n_workers: 1,
        current_year: 2026,
        now: jiff::Timestamp::UNIX_EPOCH,
        kernel: None,
    })
}

/// A file name in a folder.
pub(crate) fn at(dir: &tempfile::TempDir, name: &str) -> PathBuf {
    dir.path().join(name)
}
