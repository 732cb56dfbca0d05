//! The binary on the models of set-up: a queue over the sample photos.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::{Command, Output};

use faceset_cache::load;
use faceset_core::hash_bytes;
use faceset_queue::{PortablePath, QueueDir, QueueHead, QueueItem, RootId, RootPaths};
use faceset_testkit::{home, sample_files};
use serde_json::Value;

fn worker(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_embed-worker"))
        .env("FACE_SETS_HOME", home())
        .env_remove("FACE_SETS_PACK")
        .arg("--no-log")
        .args(arguments)
        .output()
        .unwrap()
}

/// Runs a command line that must end with `code`; report and messages.
fn ends(arguments: &[&str], code: i32) -> (Value, String) {
    let output = worker(&[arguments, &["--json"]].concat());
    let messages = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{messages}");
    let report = serde_json::from_slice(&output.stdout).unwrap();
    (report, messages)
}

/// Every `step`-th photo of the sample library in a queue of its own; its root
/// names photos as another machine does.
fn staged(dir: &Path, step: usize) -> (QueueDir, String) {
    let root = dir.join("photos");
    std::fs::create_dir_all(&root).unwrap();
    let queue = QueueDir::new(dir.join("queue"));
    let paths = RootPaths::new("/mnt/x/alice".to_owned(), None).unwrap();
    let id = RootId::new("alice").unwrap();
    queue
        .write_head(&QueueHead::new("Alice", id.clone(), paths))
        .unwrap();
    let mut items = queue.append_items().unwrap();
    for (nth, photo) in sample_files().iter().step_by(step).enumerate() {
        let extension = photo.extension().unwrap().to_str().unwrap();
        let rel = PortablePath::new(format!("{nth:03}.{extension}")).unwrap();
        let bytes = std::fs::read(photo).unwrap();
        std::fs::write(root.join(rel.as_str()), &bytes).unwrap();
        items
            .append(&QueueItem {
                root: id.clone(),
                rel,
                sha256: hash_bytes(&bytes),
                sha1: None,
                size: bytes.len() as u64,
                asset_id: format!("asset {nth}"),
                owner_id: String::new(),
                original_path: String::new(),
                taken_at: None,
                width: 0,
                height: 0,
                rendered: None,
            })
            .unwrap();
    }
    drop(items);
    (queue, format!("alice={}", root.display()))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_queue_becomes_a_cache_with_landmarks_and_pose_under_logical_paths() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, root) = staged(dir.path(), 6);
    let n_items = queue.load().unwrap().items.len();
    let cache_path = dir.path().join("alice.npz");
    let run = |queue: &str| {
        ends(
            &[
                "run",
                queue,
                text(&cache_path),
                "--root",
                &root,
                "--provider",
                "cpu",
            ],
            0,
        )
    };
    let (plan, _) = ends(
        &[
            "run",
            text(queue.folder()),
            text(&cache_path),
            "--root",
            &root,
            "-n",
        ],
        0,
    );
    assert_eq!(plan["to_read"].as_array().unwrap().len(), n_items);
    assert!(!cache_path.exists(), "a dry run writes nothing");

    let (report, messages) = run(text(queue.folder()));
    assert!(messages.contains("provider: cpu"), "{messages}");
    assert_eq!(report["seen"], n_items);
    assert_eq!(report["device"]["provider"], "cpu");
    let (cache, _) = load(&cache_path).unwrap();
    assert!(cache.n_faces() > 0);
    assert!(
        cache
            .files()
            .all(|f| f.path.as_str().starts_with("/mnt/x/alice/"))
    );
    assert!(cache.faces().all(|row| {
        row.face
            .enrichment
            .as_ref()
            .is_some_and(|e| e.pose.is_some() && e.landmark_3d_68.is_some())
    }));
    let bytes = std::fs::read(&cache_path).unwrap();
    // The head's name does as well, and everything is known now.
    let (again, _) = run(text(&queue.head_path()));
    assert_eq!(again["known"], n_items);
    assert_eq!(std::fs::read(&cache_path).unwrap(), bytes);
}

#[test]
fn a_root_that_is_not_there_is_named_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, _) = staged(dir.path(), 1000);
    let cache = dir.path().join("alice.npz");
    let (report, messages) = ends(&["run", text(queue.folder()), text(&cache)], 1);
    assert_eq!(report["exit_code"], 1);
    assert!(messages.contains("--root alice=PATH"), "{messages}");
    assert_eq!(
        worker(&["run", "q", "c.npz", "--root", "alice"])
            .status
            .code(),
        Some(64)
    );
    assert_eq!(
        worker(&["run", "q", "c.npz", "--shard", "3/2"])
            .status
            .code(),
        Some(64)
    );
}

#[test]
fn a_named_provider_that_is_missing_ends_with_3_and_auto_falls_back_aloud() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, root) = staged(dir.path(), 1000);
    let cache = dir.path().join("alice.npz");
    // No library has both of these, whatever set-up brought.
    let missing = if cfg!(windows) { "coreml" } else { "directml" };
    let run = |provider: &str, code| {
        ends(
            &[
                "run",
                text(queue.folder()),
                text(&cache),
                "--root",
                &root,
                "--provider",
                provider,
            ],
            code,
        )
    };
    let (report, messages) = run(missing, 3);
    assert_eq!(report["exit_code"], 3);
    assert!(
        messages.contains(missing) && messages.contains("built without it"),
        "{messages}"
    );
    assert!(!cache.exists());
    let (report, messages) = run("auto", 0);
    assert!(messages.contains("provider: "), "{messages}");
    assert!(report["device"]["provider"].is_string());
    assert_eq!(
        worker(&["run", "q", "c.npz", "--provider", "cudda"])
            .status
            .code(),
        Some(64)
    );
}

#[test]
fn doctor_names_library_build_providers_and_models() {
    let (report, _) = ends(&["doctor"], 0);
    assert_eq!(report["ready"], true);
    assert!(Path::new(report["library"].as_str().unwrap()).is_file());
    let available: Vec<_> = report["available"].as_array().unwrap().iter().collect();
    assert!(available.iter().any(|p| *p == "cpu"));
    assert!(!report["library_build"].as_str().unwrap().is_empty());
    let missing = if cfg!(windows) { "coreml" } else { "directml" };
    let (report, _) = ends(&["doctor", "--provider", missing], 3);
    assert_eq!(report["ready"], false);
    let (report, _) = ends(&["doctor", "--ort-lib", "nowhere.so"], 1);
    assert!(report["reason"].as_str().unwrap().contains("not found"));
}

#[test]
fn the_probe_compares_a_provider_with_the_processor() {
    // The processor beside itself: every number is known beforehand.
    let output = worker(&["probe", "--provider", "cpu"]);
    assert!(output.status.success());
    let test: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!((test["worst_cosine"].as_f64().unwrap() - 1.0).abs() < 1e-12);
    assert_eq!(test["worst_detector_difference"], 0.0);
    assert!(test["cpu_ms"].as_f64().unwrap() > 0.0);
}
