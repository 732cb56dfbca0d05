//! A cache of the world's photos with embeddings that are angles on a circle: two faces
//! are `1 - cos(difference)` apart.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;

use face_fix::{OwnFaces, link_by_reading};
use faceset_cache::{Cache, CacheMeta, CacheWriter, PackIdentity};
use faceset_core::{
    BBox, CancelToken, FaceRecord, FileEntry, FileStatus, NoProgress, SourcePath, hash_bytes,
};
use immich_fake::Uuid;

use super::World;

/// Writes the photos of these faces below `folder` and a cache of them; `boxes` of ours
/// are a little off the server's.
pub(crate) fn cache(world: &World, folder: &Path, faces: &[(Uuid, f32)]) -> Cache {
    let meta = CacheMeta {
        pack: PackIdentity::unknown(2),
        det_size: [640, 640],
        det_thresh: 0.5,
        src_roots: [folder.to_str().unwrap().to_owned()].into(),
        provider: "cpu".to_owned(),
        extra: [].into(),
    };
    let mut writer = CacheWriter::open(&folder.join("c.npz"), &meta, "test").unwrap();
    let mut photos: Vec<Uuid> = faces
        .iter()
        .map(|(face, _)| {
            world
                .fake
                .with_library(|library| library.face(*face).unwrap().asset)
        })
        .collect();
    photos.sort_unstable();
    photos.dedup();
    for photo in photos {
        let bytes = world
            .fake
            .with_library(|library| library.asset(photo).unwrap().bytes());
        let path = folder.join(format!("{photo}.jpg"));
        std::fs::write(&path, &bytes).unwrap();
        let path = SourcePath(path.to_str().unwrap().to_owned());
        let records = faces
            .iter()
            .filter_map(|(face, angle_deg)| record(world, photo, *face, *angle_deg, &path));
        writer
            .put(FileEntry {
                sha256: hash_bytes(&bytes),
                size: bytes.len() as u64,
                mtime_ns: 1,
                dims: [3000, 2000],
                taken: String::new(),
                source: "original".to_owned(),
                status: FileStatus::Faces(records.collect()),
                path,
            })
            .unwrap();
    }
    writer.finish().unwrap()
}

fn record(
    world: &World,
    photo: Uuid,
    face: Uuid,
    angle_deg: f32,
    path: &SourcePath,
) -> Option<FaceRecord> {
    let face = world
        .fake
        .with_library(|library| library.face(face).unwrap().clone());
    if face.asset != photo {
        return None;
    }
    let scale = 3000.0 / face.frame.0 as f32;
    let [x1, y1, x2, y2] = face.area.map(|v| v as f32 * scale);
    let angle = angle_deg.to_radians();
    Some(FaceRecord {
        path: path.clone(),
        bbox: BBox {
            x1: x1 + 9.0,
            y1: y1 - 6.0,
            x2: x2 + 4.0,
            y2,
        },
        kps: [[0.0; 2]; 5],
        det_score: 0.9,
        face_short: 200.0,
        blur: 50.0,
        embedding: vec![angle.cos(), angle.sin()],
        embedding_norm: 1.0,
        enrichment: None,
    })
}

pub(crate) fn own(world: &World, faces: &[(Uuid, f32)]) -> OwnFaces {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(world, folder.path(), faces);
    let (links, report) = link_by_reading(&cache, &[], &NoProgress, &CancelToken::default());
    assert_eq!((report.n_unreadable, report.n_changed), (0, 0));
    OwnFaces::new(&cache, &links)
}
