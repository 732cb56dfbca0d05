//! The stages of `refine` at their boundaries, on caches worked out by hand.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use faceset_cache::{Cache, CacheMeta, CacheWriter, PackIdentity};
use faceset_core::{
    BBox, CancelToken, CosineDistance, FaceRecord, FileEntry, FileStatus, NoProgress, hash_bytes,
};
use faceset_pipeline::refine::{RefineOptions, plan};
use faceset_pipeline::{Ctx, cluster};

const DIM: usize = 4;

/// A face of one photo: direction, short edge in pixels.
#[derive(Clone, Copy)]
struct Face {
    direction: [f32; DIM],
    short_px: f32,
}

/// A direction at this angle from the first axis, in the plane of `axis`.
fn turned(degrees: f64, axis: usize) -> [f32; DIM] {
    let mut direction = [0.0; DIM];
    direction[0] = degrees.to_radians().cos() as f32;
    direction[axis] = degrees.to_radians().sin() as f32;
    direction
}

fn good(direction: [f32; DIM]) -> Face {
    Face {
        direction,
        short_px: 200.0,
    }
}

/// A cache in which photo `i` shows `photos[i]`.
fn cache(dir: &Path, photos: &[Vec<Face>]) -> Cache {
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
    let mut writer = CacheWriter::open(&dir.join("c.npz"), &meta, "test").unwrap();
    for (at, faces) in photos.iter().enumerate() {
        let path = format!("/photos/{at:03}.jpg");
        let records = faces
            .iter()
            .enumerate()
            .map(|(n, face)| {
                let left = 300.0 * n as f32;
                FaceRecord {
                    path: path.as_str().into(),
                    bbox: BBox {
                        x1: left,
                        y1: 0.0,
                        x2: left + face.short_px,
                        y2: 280.0,
                    },
                    kps: [[left, 1.0]; 5],
                    det_score: 0.9,
                    face_short: face.short_px,
                    blur: 300.0,
                    embedding: face.direction.to_vec(),
                    embedding_norm: 20.0,
                    enrichment: None,
                }
            })
            .collect();
        writer
            .put(FileEntry {
                path: path.as_str().into(),
                sha256: hash_bytes(path.as_bytes()),
                size: 1,
                mtime_ns: 1,
                dims: [2000, 1000],
                taken: String::new(),
                source: "original".to_owned(),
                status: FileStatus::Faces(records),
            })
            .unwrap();
    }
    writer.finish().unwrap()
}

fn refine(photos: &[Vec<Face>], options: &RefineOptions) -> faceset_pipeline::refine::RefinePlan {
    let dir = tempfile::tempdir().unwrap();
    let cache = cache(dir.path(), photos);
    let cancel = CancelToken::default();
    let ctx = Ctx {
        progress: &NoProgress,
        cancel: &cancel,
        holder: "test",
        n_workers: 1,
        current_year: 2026,
        now: jiff::Timestamp::UNIX_EPOCH,
        kernel: None,
    };
    plan(&cache, Path::new("c.npz"), options, ctx).unwrap()
}

fn set_sizes(plan: &faceset_pipeline::refine::RefinePlan) -> Vec<usize> {
    plan.manifest
        .facesets
        .iter()
        .map(|s| s.faces.len())
        .collect()
}

#[test]
fn fifteen_photos_make_a_set_and_fourteen_do_not() {
    let options = RefineOptions::default();
    let photos = |n| vec![vec![good(turned(0.0, 1))]; n];
    assert_eq!(set_sizes(&refine(&photos(15), &options)), [15]);
    let small = refine(&photos(14), &options);
    assert_eq!(set_sizes(&small), [0usize; 0]);
    assert_eq!(small.manifest.rejected.len(), 1);
    assert_eq!(small.report().too_small, 1);
}

#[test]
fn photos_count_and_not_faces() {
    // 14 photos, each showing the person twice: 28 faces.
    let twice = vec![vec![good(turned(0.0, 1)), good(turned(3.0, 1))]; 14];
    assert_eq!(
        set_sizes(&refine(&twice, &RefineOptions::default())),
        [0usize; 0]
    );
}

#[test]
fn sets_are_numbered_by_size_and_people_are_kept_apart() {
    let mut photos = vec![vec![good(turned(90.0, 1))]; 15];
    photos.extend(vec![vec![good(turned(90.0, 2))]; 17]);
    let plan = refine(&photos, &RefineOptions::default());
    assert_eq!(set_sizes(&plan), [17, 15]);
    assert_eq!(plan.manifest.facesets[0].name, "faceset_001");
    assert_eq!(
        plan.manifest.facesets[0].images[0].as_str(),
        "/photos/015.jpg"
    );
}

#[test]
fn a_face_of_exactly_the_shortest_edge_is_kept_and_a_smaller_one_is_named() {
    let mut photos = vec![vec![good(turned(0.0, 1))]; 14];
    photos.push(vec![Face {
        short_px: 90.0,
        ..good(turned(0.0, 1))
    }]);
    photos.push(vec![Face {
        short_px: 89.5,
        ..good(turned(0.0, 1))
    }]);
    let plan = refine(&photos, &RefineOptions::default());
    assert_eq!(set_sizes(&plan), [15]);
    let dropped = &plan.manifest.facesets[0].dropped;
    assert_eq!(dropped.len(), 1);
    assert_eq!(
        (
            dropped[0].reason.as_str(),
            dropped[0].value,
            dropped[0].limit
        ),
        ("min_short", Some(89.5), Some(90.0))
    );
}

#[test]
fn outliers_are_dropped_from_four_faces_on_and_never_below() {
    let options = RefineOptions {
        initial_threshold: CosineDistance::constant(1.9),
        outlier_threshold: CosineDistance::constant(0.3),
        min_faces: 1,
        ..RefineOptions::default()
    };
    let stray = good(turned(90.0, 1));
    let group = |n: usize| {
        let mut photos = vec![vec![good(turned(0.0, 1))]; n];
        photos.push(vec![stray]);
        photos
    };
    // Mean of three equal and one at a right angle: cosines 3/√10 and 1/√10.
    let four = refine(&group(3), &options);
    assert_eq!((set_sizes(&four), four.report().outliers), (vec![3], 1));
    let outlier = &four.manifest.facesets[0].dropped[0];
    assert_eq!(outlier.reason, "outlier");
    assert!((outlier.value.unwrap() - (1.0 - 1.0 / 10f64.sqrt())).abs() < 1e-6);
    let three = refine(&group(2), &options);
    assert_eq!((set_sizes(&three), three.report().outliers), (vec![3], 0));
}

#[test]
fn an_outlier_at_exactly_the_threshold_is_kept() {
    // Two against two at a right angle: everybody is 1 - 1/√2 from the mean.
    let mut photos = vec![vec![good(turned(0.0, 1))]; 2];
    photos.extend(vec![vec![good(turned(90.0, 1))]; 2]);
    let options = |limit: f64| RefineOptions {
        initial_threshold: CosineDistance::constant(1.9),
        outlier_threshold: CosineDistance::new(limit).unwrap(),
        min_faces: 1,
        ..RefineOptions::default()
    };
    let exact = 1.0 - 0.5f64.sqrt();
    // Embeddings are single precision: the tie is at 2^-40, well above 1e-9.
    assert_eq!(set_sizes(&refine(&photos, &options(exact + 1e-7))), [4]);
    assert_eq!(refine(&photos, &options(exact - 1e-3)).report().outliers, 4);
}

#[test]
fn over_split_groups_merge_by_their_centroids() {
    // Two bundles 50 degrees apart: distance 0.357, above 0.30 and below 0.40.
    let mut photos = vec![vec![good(turned(0.0, 1))]; 8];
    photos.extend(vec![vec![good(turned(50.0, 1))]; 8]);
    let options = |merge: f64| RefineOptions {
        initial_threshold: CosineDistance::constant(0.30),
        merge_threshold: CosineDistance::new(merge).unwrap(),
        ..RefineOptions::default()
    };
    let merged = refine(&photos, &options(0.40));
    assert_eq!(
        (set_sizes(&merged), merged.report().merged_groups),
        (vec![16], 1)
    );
    assert_eq!(set_sizes(&refine(&photos, &options(0.35))), [0usize; 0]);
}

#[test]
fn cluster_keeps_every_face_in_exactly_one_place() {
    let dir = tempfile::tempdir().unwrap();
    let mut photos = vec![vec![good(turned(0.0, 1)), good(turned(90.0, 2))]; 3];
    photos.push(vec![good(turned(90.0, 3))]);
    photos.push(Vec::new());
    let cache = cache(dir.path(), &photos);
    let cancel = CancelToken::default();
    let ctx = Ctx {
        progress: &NoProgress,
        cancel: &cancel,
        holder: "test",
        n_workers: 1,
        current_year: 2026,
        now: jiff::Timestamp::UNIX_EPOCH,
        kernel: None,
    };
    let plan = cluster::plan(
        &cache,
        Path::new("c.npz"),
        &cluster::ClusterOptions::default(),
        ctx,
    )
    .unwrap();
    let report = plan.report();
    assert_eq!(
        (
            report.faces,
            report.persons,
            report.singletons,
            report.noface
        ),
        (7, 2, 1, 1)
    );
    let folders: Vec<_> = plan.tree.folders().collect();
    assert_eq!(
        folders,
        [
            ("_noface", 1),
            ("_singletons", 1),
            ("person_001", 3),
            ("person_002", 3)
        ]
    );
}
