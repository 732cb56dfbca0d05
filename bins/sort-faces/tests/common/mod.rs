//! Running the binary in tests, and comparing what it leaves behind.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "tests share it, each its own part"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use faceset_testkit::{home, sample_files};
use serde_json::Value;

/// The binary with the models of set-up and no log.
pub(crate) fn sort_faces() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sort-faces"));
    command
        .env("FACE_SETS_HOME", home())
        .env_remove("FACE_SETS_PACK")
        .arg("--no-log");
    command
}

/// Runs a command line and returns what it printed.
pub(crate) fn run(arguments: &[&str]) -> Output {
    sort_faces()
        .args(arguments)
        .output()
        .expect("the binary runs")
}

/// Runs a command line that must succeed and returns its JSON report.
pub(crate) fn report(arguments: &[&str]) -> Value {
    let output = run(&[arguments, &["--json"]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    serde_json::from_slice(&output.stdout).expect("one JSON object on stdout")
}

/// Runs a command line that must fail with `code` and returns its message.
pub(crate) fn failure(arguments: &[&str], code: i32) -> String {
    let output = run(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    stderr
}

/// Every file below a folder with its bytes, locks, logs and what was moved
/// aside left out.
pub(crate) fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![root.to_path_buf()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let name = entry
                .path()
                .strip_prefix(root)
                .unwrap()
                .to_string_lossy()
                .replace('\\', "/");
            let is_left_out = name.ends_with(".lock")
                || name.starts_with("work/logs")
                || name.split('/').any(|part| part == "_dropped");
            if is_left_out {
                continue;
            }
            if entry.path().is_dir() {
                todo.push(entry.path());
            } else {
                found.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}

/// The same without the registry, whose journal tells times.
pub(crate) fn tree_without_times(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = tree(root);
    files.retain(|name, _| !name.contains("registry."));
    files
}

/// Copies some photos of the sample library into a folder: every `step`-th.
pub(crate) fn some_samples(to: &Path, step: usize) -> usize {
    let photos = sample_files();
    fs::create_dir_all(to).unwrap();
    let chosen: Vec<_> = photos.iter().step_by(step).collect();
    for (at, photo) in chosen.iter().enumerate() {
        let extension = photo
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        fs::copy(photo, to.join(format!("{at:03}.{extension}"))).unwrap();
    }
    chosen.len()
}

/// `Path` as text for a command line.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
