//! A library whose photos show nobody is no mistake.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::{Command, Output};

use faceset_cache::{CacheMeta, CacheWriter, PackIdentity};
use faceset_core::{FileEntry, FileStatus, hash_bytes};

fn discover(folder: &std::path::Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cluster-discover"))
        .current_dir(folder)
        .args(["faces.npz", "--in", "sets", "--no-log", "--json"])
        .args(more)
        .output()
        .unwrap()
}

#[test]
fn photos_without_faces_are_done_and_a_missing_cache_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let meta = CacheMeta {
        pack: PackIdentity {
            name: "none".to_owned(),
            digest: "00".to_owned(),
            ..PackIdentity::unknown(4)
        },
        det_size: [640, 640],
        det_thresh: 0.5,
        src_roots: [].into(),
        provider: String::new(),
        extra: [].into(),
    };
    assert_eq!(discover(dir.path(), &[]).status.code(), Some(1));
    let path = dir.path().join("faces.npz");
    let mut writer = CacheWriter::open(&path, &meta, "test").unwrap();
    writer
        .put(FileEntry {
            path: "/beach.jpg".into(),
            sha256: hash_bytes(b"sand"),
            size: 4,
            mtime_ns: 0,
            dims: [3, 2],
            taken: String::new(),
            source: "original".to_owned(),
            status: FileStatus::Faces(Vec::new()),
        })
        .unwrap();
    writer.finish().unwrap();
    let done = discover(dir.path(), &[]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["report"]["covered"], 0);
    assert_eq!(report["report"]["candidates"], 0);
    assert!(!dir.path().join("sets").exists(), "nothing is written");
    // A folder that was asked for and holds no face is a mistake.
    let asked = discover(dir.path(), &["--root", "/elsewhere"]);
    assert_eq!(asked.status.code(), Some(1), "{asked:?}");
}
