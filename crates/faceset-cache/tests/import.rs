//! Caches of schema 0: what another tool writes, with the required arrays only.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;
#[path = "common/npz.rs"]
mod npz;

use common::meta;
use faceset_cache::{
    CacheError, CacheWriter, Known, PackIdentity, load, peek, save_new, unread_hash,
};
use faceset_core::{SourcePath, hash_bytes};
use std::path::{Path, PathBuf};

/// Two photos with faces (one of them with two), not in path order, and a third
/// without: the arrays that docs/formats/cache.md calls required.
fn write_minimal(path: &Path, more: &[(&str, Vec<u8>)]) {
    let mut members = vec![
        (
            "embeddings".to_owned(),
            // The second row is raw, of length 13.
            npz::floats("(3, 2)", &[0.6, 0.8, 5.0, 12.0, -1.0, 0.0]),
        ),
        (
            "paths".to_owned(),
            npz::texts(&["/b.jpg", "/a.jpg", "/b.jpg"]),
        ),
        (
            "bbox".to_owned(),
            npz::floats(
                "(3, 4)",
                &[
                    0.0, 0.0, 30.0, 50.0, -5.0, 2.0, 60.0, 22.5, 7.0, 7.0, 8.0, 9.0,
                ],
            ),
        ),
        ("det_score".to_owned(), {
            let data: Vec<u8> = [0.9f64, 0.75, 0.5]
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect();
            npz::npy("'<f8'", "(3,)", &data)
        }),
        ("blur".to_owned(), npz::floats("(3,)", &[10.0, 20.0, 30.0])),
        ("noface_paths".to_owned(), npz::texts(&["/c.jpg"])),
    ];
    members.extend(
        more.iter()
            .map(|(name, bytes)| ((*name).to_owned(), bytes.clone())),
    );
    npz::write(path, &members);
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("old.npz");
    (dir, path)
}

#[test]
fn the_required_arrays_are_enough() {
    let (_dir, path) = place();
    write_minimal(&path, &[]);
    let (cache, report) = load(&path).unwrap();
    assert_eq!(report.schema, Some(0));
    assert_eq!(
        (cache.n_files(), cache.n_faces(), report.n_unread),
        (3, 3, 3)
    );
    assert!(report.notes(&path)[0].contains("3 photos without a content hash"));
    let scores: Vec<_> = cache
        .faces()
        .map(|r| (r.file.path.as_str(), r.face.det_score))
        .collect();
    assert_eq!(scores, [("/a.jpg", 0.75), ("/b.jpg", 0.9), ("/b.jpg", 0.5)]);
    let raw = cache.faces().next().unwrap().face;
    assert_eq!(raw.embedding, [5.0 / 13.0, 12.0 / 13.0]);
    assert_eq!((raw.embedding_norm, raw.face_short), (13.0, 20.5));
    assert!(raw.kps[0][0].is_nan() && raw.enrichment.is_none());
    assert_eq!(cache.noface().count(), 1);
    assert_eq!(cache.meta().pack, PackIdentity::unknown(2));
    assert_eq!(peek(&path).unwrap(), *cache.meta());
    assert_eq!(cache.known(&"/a.jpg".into(), 0, 0), Known::Changed);
}

#[test]
fn aliases_hashes_and_roots_come_along_where_they_are_there() {
    let (_dir, path) = place();
    let meta = r#"{"src_root": "/photos", "path_aliases": {"/a.jpg": ["/z.jpg", "/b.jpg"]}}"#;
    let digest = hash_bytes(b"a").to_string();
    let other = hash_bytes(b"b").to_string();
    write_minimal(
        &path,
        &[
            ("meta", npz::text(meta)),
            ("file_paths", npz::texts(&["/b.jpg", "/c.jpg", "/a.jpg"])),
            (
                "file_sha256",
                npz::texts(&[&other, &unread_hash(&"/c.jpg".into()).to_string(), &digest]),
            ),
        ],
    );
    let (cache, _) = load(&path).unwrap();
    assert!(cache.meta().src_roots.contains("/photos"));
    // "/b.jpg" has faces of its own: the alias would steal them.
    let places: Vec<_> = cache
        .places(&"/a.jpg".into())
        .into_iter()
        .map(SourcePath::as_str)
        .collect();
    assert_eq!(places, ["/a.jpg", "/z.jpg"]);
    assert_eq!(
        cache.by_hash(&hash_bytes(b"a")).unwrap().path.as_str(),
        "/a.jpg"
    );
}

#[test]
fn an_imported_cache_takes_photos_once_its_pack_is_stated() {
    let (dir, path) = place();
    write_minimal(&path, &[]);
    let mut two = meta();
    two.pack.dim = 2;
    let error = CacheWriter::open(&path, &two, "t").unwrap_err();
    assert!(matches!(error, CacheError::UnknownPack { .. }), "{error}");

    let named = load(&path).unwrap().0.assume_made_by(&two).unwrap();
    let imported = dir.path().join("new.npz");
    save_new(&imported, &named, "t").unwrap();
    let mut writer = CacheWriter::open(&imported, &two, "t").unwrap();
    assert_eq!(writer.load_report().schema, Some(1));
    writer
        .identify(&"/a.jpg".into(), hash_bytes(b"a"), 9, 7)
        .unwrap();
    assert!(
        writer
            .identify(&"/a.jpg".into(), hash_bytes(b"x"), 9, 7)
            .is_err()
    );
    let cache = writer.finish().unwrap();
    assert_eq!(cache.known(&"/a.jpg".into(), 9, 7), Known::Unchanged);
    assert_eq!(load(&imported).unwrap().1.n_unread, 2);
}

#[test]
fn a_required_array_that_is_missing_is_named() {
    let (_dir, path) = place();
    for member in ["embeddings", "paths", "bbox", "det_score", "blur"] {
        write_minimal(&path, &[]);
        npz::replace(&path, member, None);
        let error = load(&path).unwrap_err();
        assert!(
            matches!(&error, CacheError::NoArray { member: m, .. } if m == member),
            "{error}"
        );
    }
}

#[test]
fn numbers_without_meaning_are_refused() {
    let (_dir, path) = place();
    for (member, bytes) in [
        (
            "embeddings",
            npz::floats("(3, 2)", &[0.6, 0.8, 0.0, 0.0, -1.0, 0.0]),
        ),
        (
            "embeddings",
            npz::floats("(3, 2)", &[0.6, 0.8, f32::NAN, 1.0, -1.0, 0.0]),
        ),
        ("det_score", npz::floats("(3,)", &[0.5, f32::NAN, 0.5])),
        ("bbox", npz::floats("(3, 4)", &[f32::INFINITY; 12])),
        ("blur", npz::floats("(3,)", &[1.0, 2.0, f32::NAN])),
    ] {
        write_minimal(&path, &[]);
        npz::replace(&path, member, Some(bytes));
        let error = load(&path).unwrap_err();
        assert!(
            matches!(&error, CacheError::BadArray { member: m, .. } if m == member),
            "{error}"
        );
    }
}
