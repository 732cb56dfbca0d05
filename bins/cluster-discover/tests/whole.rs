//! The program on real pictures: what the dry run announces is what a run
//! emits, a second run finds nothing, and killed runs end as calm ones.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use faceset_core::{CancelToken, NoProgress};
use faceset_pipeline::embed::{self, EmbedOptions};
use faceset_pipeline::{Ctx, Engine, PackChoice};
use faceset_testkit::{home, sample_files};
use serde_json::Value;

/// Kills that must hit a running process.
const N_KILLS: usize = 12;

/// Embeds every `step`-th sample picture below `dir/photos`.
fn library(dir: &Path, step: usize) -> PathBuf {
    let photos = dir.join("photos");
    fs::create_dir_all(&photos).unwrap();
    for (at, photo) in sample_files().iter().step_by(step).enumerate() {
        let name = photo.file_name().unwrap().to_string_lossy().into_owned();
        fs::copy(photo, photos.join(format!("{at:03}_{name}"))).unwrap();
    }
    let cache = dir.join("faces.npz");
    let home = faceset_cli::Home::from_environment();
    let engine = Engine::open(
        &PackChoice::Default,
        &home.model_roots(&[]),
        &home.library_candidates(None),
    )
    .unwrap();
    let cancel = CancelToken::default();
    let ctx = Ctx {
        progress: &NoProgress,
        cancel: &cancel,
        holder: "test",
        n_workers: 2,
        current_year: 2026,
        now: jiff::Timestamp::UNIX_EPOCH,
        kernel: None,
    };
    let options = EmbedOptions {
        with_landmarks: true,
        ..EmbedOptions::new(vec![photos], cache.clone())
    };
    embed::run(&options, &engine, ctx).unwrap();
    cache
}

fn discover(cache: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cluster-discover"));
    command
        .env("FACE_SETS_HOME", home())
        .env_remove("FACE_SETS_PACK")
        .args(["--no-log", "--min-faces", "3", "--marker", "osrc", "--in"])
        .arg(out)
        .arg(cache)
        .args(more);
    command
}

fn report(mut command: Command) -> Value {
    let output: Output = command.arg("--json").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Every file below a folder but locks, what was moved aside, and the registry,
/// whose journal tells times.
fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![root.to_path_buf()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_string_lossy()
                .replace('\\', "/");
            if name.ends_with(".lock") || name.contains("registry.") || name.starts_with("_dropped")
            {
                continue;
            }
            if path.is_dir() {
                todo.push(path);
            } else {
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

#[test]
fn announced_sets_are_emitted_once_and_killed_runs_end_like_calm_ones() {
    let dir = tempfile::tempdir().unwrap();
    let cache = library(dir.path(), 3);
    let calm = dir.path().join("calm");
    let dry = report(discover(&cache, &calm, &["--dry-run"]));
    assert!(!calm.exists(), "a dry run touches nothing");
    let announced: Vec<&str> = dry["report"]["sets"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|s| s["n_export"].as_u64() > Some(0))
        .map(|s| s["name"].as_str().unwrap())
        .collect();
    assert!(announced.len() >= 2, "{}", dry["report"]);

    let start = Instant::now();
    let real = report(discover(&cache, &calm, &[]));
    let whole = start.elapsed();
    let emitted: Vec<&str> = real["export"]["sets"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|s| s["n_exported"].as_u64() > Some(0))
        .map(|s| s["name"].as_str().unwrap())
        .collect();
    assert_eq!(emitted, announced);
    let note = fs::read_to_string(calm.join("faceset_001/osrc.txt")).unwrap();
    assert!(note.contains("cluster-discover"), "{note}");
    let expected = tree(&calm);
    assert!(
        !expected.keys().any(|name| name.starts_with(".faceset")),
        "{:?}",
        expected.keys()
    );

    // What was found is known now.
    let again = report(discover(&cache, &calm, &[]));
    assert_eq!(again["report"]["candidates"], 0, "{}", again["report"]);
    assert!(tree(&calm) == expected, "a second run changes nothing");

    let killed = dir.path().join("killed");
    let mut n_kills = 0;
    let mut n_done = 0;
    // Moments spread over the run by the golden ratio.
    let mut moment = 0.3_f64;
    while n_kills < N_KILLS {
        moment = (moment + 0.618_034).fract();
        let mut child = discover(&cache, &killed, &[])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(whole.mul_f64(moment * 0.7).max(Duration::from_millis(5)));
        if child.try_wait().unwrap().is_none() {
            n_kills += 1;
        } else {
            n_done += 1;
        }
        let _ = child.kill();
        child.wait().unwrap();
        if n_done > 0 && n_kills < N_KILLS {
            // It got through: begin anew, so that every kill hits work.
            report(discover(&cache, &killed, &[]));
            compare(&tree(&killed), &expected);
            fs::remove_dir_all(&killed).unwrap();
            n_done = 0;
        }
    }
    // The first of these may finish the killed run, the second looks anew.
    report(discover(&cache, &killed, &[]));
    let last = report(discover(&cache, &killed, &[]));
    assert_eq!(last["report"]["candidates"], 0, "{}", last["report"]);
    compare(&tree(&killed), &expected);
}

fn compare(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>) {
    assert!(found.keys().eq(expected.keys()), "{:?}", found.keys());
    for (name, bytes) in expected {
        assert!(found[name] == *bytes, "{name} differs");
    }
}
