//! Synthetic records for the tests of this crate: seeded, small, no pictures.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "helpers of tests: each binary uses its part"
)]

use faceset_cache::{Cache, CacheMeta, CacheWriter, PackIdentity, load};
use faceset_core::{
    BBox, Enrichment, FaceRecord, FileEntry, FileStatus, Pose, SourcePath, hash_bytes,
};
use std::path::Path;

pub const DIM: usize = 6;

pub fn meta() -> CacheMeta {
    CacheMeta {
        pack: PackIdentity {
            name: "synthetic".into(),
            digest: "0123456789abcdef".into(),
            dim: DIM as u32,
            files: [
                ("detect".to_owned(), hash_bytes(b"detector")),
                ("embed".to_owned(), hash_bytes(b"recogniser")),
            ]
            .into(),
            pipeline: "test-1".into(),
        },
        det_size: [640, 480],
        det_thresh: 0.5,
        src_roots: ["/photos".to_owned()].into(),
        provider: "cpu".into(),
        extra: [(
            "bench".to_owned(),
            serde_json::json!({"b": [1, null], "a": "ü"}),
        )]
        .into(),
    }
}

/// SplitMix64: a number from 0 to 1 for each seed.
pub fn unit(seed: u64) -> f32 {
    let mut z = seed
        .wrapping_add(0x9E37_79B9_7F4A_7C15)
        .wrapping_mul(0xD1B5_4A32_D192_ED03);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
}

pub fn embedding(seed: u64, dim: usize) -> Vec<f32> {
    let raw: Vec<f32> = (0..dim as u64)
        .map(|i| unit(seed * 1009 + i) - 0.47)
        .collect();
    let norm = raw
        .iter()
        .map(|v| f64::from(*v).powi(2))
        .sum::<f64>()
        .sqrt();
    raw.iter().map(|v| (f64::from(*v) / norm) as f32).collect()
}

pub fn enrichment(seed: u64, with_all: bool) -> Enrichment {
    let v = |i: usize| unit(seed * 31 + i as u64) * 300.0;
    Enrichment {
        landmark_2d_106: Some((0..106).map(|i| [v(i), v(i + 500)]).collect()),
        landmark_3d_68: with_all.then(|| (0..68).map(|i| [v(i), v(i + 1), -v(i + 2)]).collect()),
        pose: with_all.then(|| Pose {
            pitch_deg: -v(1),
            yaw_deg: v(2),
            roll_deg: 0.5,
        }),
    }
}

pub fn face(path: &SourcePath, seed: u64, dim: usize) -> FaceRecord {
    let x = unit(seed) * 900.0 - 10.0;
    let y = unit(seed + 1) * 500.0;
    let (w, h) = (40.0 + unit(seed + 2) * 90.0, 70.0 + unit(seed + 3) * 120.0);
    let bbox = BBox {
        x1: x,
        y1: y,
        x2: x + w,
        y2: y + h,
    };
    FaceRecord {
        path: path.clone(),
        bbox,
        kps: [
            [x + 0.30 * w, y + 0.35 * h],
            [x + 0.70 * w, y + 0.36 * h],
            [x + 0.52 * w, y + 0.55 * h],
            [x + 0.35 * w, y + 0.75 * h],
            [x + 0.66 * w, y + 0.76 * h],
        ],
        det_score: 0.5 + unit(seed + 4) / 2.0,
        face_short: bbox.short_edge_px(),
        blur: unit(seed + 5) * 400.0,
        embedding: embedding(seed, dim),
        embedding_norm: 15.0 + unit(seed + 6) * 10.0,
        enrichment: None,
    }
}

/// Photo number `i`: most have faces, every fifth has none, every eleventh
/// could not be decoded.
pub fn photo(i: u64) -> FileEntry {
    photo_of_dim(i, DIM)
}

pub fn photo_of_dim(i: u64, dim: usize) -> FileEntry {
    let path: SourcePath = format!("/photos/{:02}/Büro 🙂 {i}.jpg", i % 7).into();
    let status = if i % 11 == 10 {
        FileStatus::Failed(format!("decode: bad marker {i}"))
    } else if i % 5 == 4 {
        FileStatus::Faces(Vec::new())
    } else {
        FileStatus::Faces((0..=i % 3).map(|k| face(&path, i * 10 + k, dim)).collect())
    };
    FileEntry {
        sha256: hash_bytes(path.as_str().as_bytes()),
        path,
        size: 5_000_000_000 + i,
        mtime_ns: 1_500_000_000_000_000_001 + i as i64,
        dims: [4000 + i as u32, 3000],
        taken: if i.is_multiple_of(2) {
            String::new()
        } else {
            "2016-02-29T23:59:58".into()
        },
        source: "original".into(),
        status,
    }
}

/// A cache of `n` photos on disk, compacted.
pub fn written(path: &Path, n: u64) -> Cache {
    let mut writer = CacheWriter::open(path, &meta(), "test").unwrap();
    for i in 0..n {
        writer.put(photo(i)).unwrap();
    }
    writer.finish().unwrap()
}

/// Everything a cache says, comparable: NaN equal to NaN.
pub fn content(cache: &Cache) -> String {
    use std::fmt::Write;
    let mut text = format!("{:?}\n", cache.meta());
    for file in cache.files() {
        writeln!(text, "{file:?} {:?}", cache.places(&file.path)).unwrap();
        for place in cache.places(&file.path) {
            writeln!(text, "{place} {:?}", cache.mtime_ns(place)).unwrap();
        }
    }
    text
}

pub fn content_at(path: &Path) -> String {
    content(&load(path).unwrap().0)
}
