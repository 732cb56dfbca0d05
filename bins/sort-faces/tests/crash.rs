//! Killed at any moment, a run loses nothing that was saved and ends, resumed,
//! with the bytes of an undisturbed one.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{report, some_samples, sort_faces, text, tree_without_times};

/// Kills that must hit a running process.
const N_KILLS: usize = 30;

/// A small generator of moments: splitmix64, seeded.
struct Moments(u64);

impl Moments {
    fn next_ms(&mut self, from: u64, to: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        from + (z ^ (z >> 31)) % (to - from)
    }
}

/// Starts a command and kills it after `ms`; true when it was still running.
fn kill_after(mut command: Command, ms: u64) -> bool {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    sleep(Duration::from_millis(ms));
    let was_running = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    child.wait().unwrap();
    was_running
}

/// Kills `command` again and again, calling `finished` whenever a run got
/// through before its time, until [`N_KILLS`] kills have hit.
fn kill_often(command: impl Fn() -> Command, longest_ms: u64, mut finished: impl FnMut()) {
    let mut moments = Moments(20_261_122);
    let mut n_kills = 0;
    while n_kills < N_KILLS {
        if kill_after(command(), moments.next_ms(10, longest_ms)) {
            n_kills += 1;
        } else {
            finished();
        }
    }
}

/// How long one undisturbed run takes, in milliseconds.
fn time_ms(f: impl FnOnce()) -> u64 {
    let start = Instant::now();
    f();
    start.elapsed().as_millis() as u64
}

#[test]
fn embed_killed_thirty_times_ends_with_the_cache_of_an_undisturbed_run() {
    let dir = tempfile::tempdir().unwrap();
    let photos = dir.path().join("photos");
    some_samples(&photos, 3);
    let calm = dir.path().join("calm.npz");
    let embed = |cache: &Path| {
        let mut command = sort_faces();
        command.args([
            "embed",
            text(&photos),
            text(cache),
            "--flush-every",
            "3",
            "--with-landmarks",
        ]);
        command
    };
    let whole_ms = time_ms(|| assert!(embed(&calm).output().unwrap().status.success()));
    let expected = fs::read(&calm).unwrap();

    let cache = dir.path().join("killed.npz");
    kill_often(
        || embed(&cache),
        whole_ms / 2,
        || {
            assert!(
                fs::read(&cache).unwrap() == expected,
                "a resumed run differs from the undisturbed one"
            );
            fs::remove_file(&cache).unwrap();
        },
    );
    assert!(embed(&cache).output().unwrap().status.success());
    assert!(
        fs::read(&cache).unwrap() == expected,
        "the last run differs from the undisturbed one"
    );
    assert!(!dir.path().join("killed.npz.journal").exists());
}

#[test]
fn export_killed_thirty_times_ends_with_the_sets_of_an_undisturbed_run() {
    let dir = tempfile::tempdir().unwrap();
    let photos = dir.path().join("photos");
    some_samples(&photos, 4);
    let cache = dir.path().join("faces.npz");
    report(&["embed", text(&photos), text(&cache), "--with-landmarks"]);
    let refined = dir.path().join("refined");
    report(&[
        "refine",
        text(&cache),
        text(&refined),
        "--min-faces",
        "4",
        "--link",
        "none",
    ]);
    let manifest = refined.join("refine_manifest.json");
    let export = |out: &Path| {
        let mut command = sort_faces();
        command.args(["export-swap", text(&cache), text(&manifest), text(out)]);
        command
    };
    let calm = dir.path().join("calm");
    let whole_ms = time_ms(|| assert!(export(&calm).output().unwrap().status.success()));
    let expected = tree_without_times(&calm);
    assert!(
        expected.keys().any(|name| name.ends_with(".fsz")),
        "{:?}",
        expected.keys()
    );

    let out = dir.path().join("killed");
    let check = |when: &str| {
        let found = tree_without_times(&out);
        assert!(
            found.keys().eq(expected.keys()),
            "{when}: {:?} and {:?}",
            found.keys(),
            expected.keys()
        );
        for (name, bytes) in &expected {
            assert!(found[name] == *bytes, "{when}: {name} differs");
        }
    };
    kill_often(
        || export(&out),
        whole_ms / 2,
        || {
            check("a resumed run");
            fs::remove_dir_all(&out).unwrap();
        },
    );
    assert!(export(&out).output().unwrap().status.success());
    check("the last run");
}

/// Ctrl-C: the run stops at the next safe point, keeps what it has, says how to
/// go on and leaves with 130.
#[cfg(unix)]
#[test]
fn an_interrupted_run_says_how_to_resume_and_the_next_one_finishes() {
    let dir = tempfile::tempdir().unwrap();
    let photos = dir.path().join("photos");
    some_samples(&photos, 2);
    let calm = dir.path().join("calm.npz");
    let cache = dir.path().join("interrupted.npz");
    let embed = |cache: &Path| {
        let mut command = sort_faces();
        command.args(["embed", text(&photos), text(cache), "--flush-every", "1"]);
        command
    };
    assert!(embed(&calm).output().unwrap().status.success());

    let journal = dir.path().join("interrupted.npz.journal");
    let child = embed(&cache)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Once the journal grows the run is in its middle.
    while !fs::metadata(&journal).is_ok_and(|m| m.len() > 0) {
        sleep(Duration::from_millis(5));
    }
    let sent = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("run the same command again"), "{stderr}");

    let resumed = report(&["embed", text(&photos), text(&cache), "--flush-every", "1"]);
    assert!(resumed["known"].as_u64().unwrap() >= 1, "{resumed}");
    assert!(fs::read(&cache).unwrap() == fs::read(&calm).unwrap());
}
