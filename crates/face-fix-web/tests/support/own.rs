//! Our own embeddings of the fake's faces: a cache made of what the fake holds.

use face_fix::{OwnFaces, PhotoLink};
use faceset_cache::{CacheMeta, CacheWriter, PackIdentity};
use faceset_core::{BBox, FaceRecord, FileEntry, FileStatus, hash_bytes};
use immich_fake::{Face, Library};

/// Every face that has an embedding, at its place in the upright original.
pub(crate) fn faces(library: &Library) -> OwnFaces {
    let meta = CacheMeta {
        pack: PackIdentity {
            name: "synthetic".into(),
            digest: "5f3c0a".into(),
            dim: 2,
            files: [("embed".to_owned(), hash_bytes(b"model"))].into(),
            pipeline: "test-1".into(),
        },
        det_size: [640, 640],
        det_thresh: 0.5,
        src_roots: ["/photos".to_owned()].into(),
        provider: "cpu".into(),
        extra: std::collections::BTreeMap::default(),
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.npz");
    let mut cache = CacheWriter::open(&path, &meta, "a test").unwrap();
    let mut links = Vec::new();
    for asset in library.assets() {
        let path = format!("/photos/{}", asset.id);
        let (width, height) = asset.upright();
        let records = library
            .faces_of(asset.id)
            .into_iter()
            .filter_map(|face| record(face, &path, width))
            .collect();
        let sha256 = hash_bytes(path.as_bytes());
        let entry = FileEntry {
            path: path.as_str().into(),
            sha256,
            size: 1,
            mtime_ns: 1,
            dims: [width, height],
            taken: String::new(),
            source: "original".into(),
            status: FileStatus::Faces(records),
        };
        cache.put(entry).unwrap();
        links.push(PhotoLink {
            sha256,
            sha1: Some(asset.sha1()),
            asset: None,
        });
    }
    OwnFaces::new(cache.cache(), &links)
}

fn record(face: &Face, path: &str, width: u32) -> Option<FaceRecord> {
    let embedding = face.embedding.clone()?;
    let factor = width as f32 / face.frame.0 as f32;
    let [x1, y1, x2, y2] = face.area.map(|edge| edge as f32 * factor);
    Some(FaceRecord {
        path: path.into(),
        bbox: BBox { x1, y1, x2, y2 },
        kps: [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0], [9.0, 10.0]],
        det_score: 0.9,
        face_short: x2 - x1,
        blur: 50.0,
        embedding,
        embedding_norm: 20.0,
        enrichment: None,
    })
}
