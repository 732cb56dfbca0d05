//! Small records for this crate's unit tests.

use faceset_core::{
    BBox, Enrichment, FaceRecord, FileEntry, FileStatus, Pose, SourcePath, hash_bytes,
};

use crate::{Cache, CacheMeta, PackIdentity};

pub(crate) fn meta(dim: u32) -> CacheMeta {
    CacheMeta {
        pack: PackIdentity {
            name: "synthetic".into(),
            digest: "5f3c0a".into(),
            dim,
            files: [("embed".to_owned(), hash_bytes(b"model"))].into(),
            pipeline: "test-1".into(),
        },
        det_size: [640, 480],
        det_thresh: 0.5,
        src_roots: ["/photos".to_owned()].into(),
        provider: "cpu".into(),
        extra: [("note".to_owned(), "ü".into())].into(),
    }
}

/// `n` faces that differ, to be placed by [`entry`].
pub(crate) fn faces(n: usize) -> FileStatus {
    FileStatus::Faces((0..n).map(face).collect())
}

fn face(face_idx: usize) -> FaceRecord {
    let i = face_idx as f32;
    FaceRecord {
        path: "".into(),
        bbox: BBox {
            x1: -3.5 + i * 100.0,
            y1: 20.25,
            x2: 60.0 + i * 100.0,
            y2: 120.0,
        },
        kps: [
            [1.0, 2.0],
            [3.0, 4.0],
            [5.0, 6.0],
            [7.0, 8.0],
            [9.0, 10.0 + i],
        ],
        det_score: 0.9 - i / 100.0,
        face_short: 63.5,
        blur: 41.0 + i,
        embedding: vec![0.6, 0.0, 0.8, 0.0],
        embedding_norm: 21.5 + i,
        enrichment: None,
    }
}

/// A photo whose content, size and time follow from its path.
pub(crate) fn entry(path: &str, status: FileStatus) -> FileEntry {
    let mut entry = FileEntry {
        path: path.into(),
        sha256: hash_bytes(path.as_bytes()),
        size: 1000 + path.len() as u64,
        mtime_ns: 1_600_000_000_000_000_007,
        dims: [640, 427],
        taken: "2019-08-01T12:34:56".into(),
        source: "original".into(),
        status,
    };
    if let FileStatus::Faces(faces) = &mut entry.status {
        for (i, face) in faces.iter_mut().enumerate() {
            face.path = SourcePath::from(path);
            // Distinct unit vectors: rotate (0.6, 0.8) through the positions.
            face.embedding.rotate_right((path.len() + i) % 4);
        }
    }
    entry
}

pub(crate) fn with_content(mut entry: FileEntry, content: &str) -> FileEntry {
    entry.sha256 = hash_bytes(content.as_bytes());
    entry
}

pub(crate) fn enrichment() -> Enrichment {
    Enrichment {
        landmark_2d_106: Some((0..106).map(|i| [i as f32, 200.0 - i as f32]).collect()),
        landmark_3d_68: Some((0..68).map(|i| [i as f32, 0.5, -(i as f32)]).collect()),
        pose: Some(Pose {
            pitch_deg: -4.0,
            yaw_deg: 12.5,
            roll_deg: 1.0,
        }),
    }
}

pub(crate) fn cache_of(entries: impl IntoIterator<Item = FileEntry>) -> Cache {
    let mut cache = Cache::new(meta(4));
    for entry in entries {
        cache.put(entry);
    }
    cache
}
