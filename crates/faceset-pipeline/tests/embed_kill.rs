//! Four workers killed at random moments, and a disk that fills: nothing that
//! was flushed is lost or looked at again, and the resumed cache has the bytes
//! of an undisturbed one.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of a test")]

mod finder;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use faceset_cache::{CacheError, load};
use faceset_core::{CancelToken, FileStatus};
use faceset_pipeline::embed::{EmbedOptions, run_with};
use finder::{Drawn, ctx, library, meta, number};

/// Where the child of these tests works; without it, that test does nothing.
const CHILD: &str = "FACESET_PIPELINE_TEST_EMBED";

/// Kills that must hit a running process.
const N_KILLS: usize = 50;
const N_PHOTOS: u32 = 150;
const N_WORKERS: usize = 4;
const FLUSH_EVERY: usize = 5;

/// A small generator of moments: splitmix64, seeded.
struct Moments(u64);

impl Moments {
    fn next_ms(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }
}

fn photos(dir: &Path) -> PathBuf {
    dir.join("photos")
}

fn cache(dir: &Path) -> PathBuf {
    dir.join("faces.npz")
}

fn diary(dir: &Path) -> PathBuf {
    dir.join("diary")
}

#[test]
fn child_that_embeds() {
    let Some(dir) = std::env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let options = EmbedOptions {
        flush_every: FLUSH_EVERY,
        ..EmbedOptions::new(vec![photos(&dir)], cache(&dir))
    };
    let finder = || {
        Ok(Drawn {
            pause: Duration::from_millis(3),
            diary: Some(diary(&dir)),
            lost_at: None,
            look_again: false,
        })
    };
    std::fs::write(dir.join("begun"), "").unwrap();
    let cancel = CancelToken::default();
    run_with(&options, &meta(), finder, ctx(&cancel, N_WORKERS)).unwrap();
    std::fs::write(dir.join("ended"), "").unwrap();
}

/// `limit` blocks a file of the child may have.
fn start(dir: &Path, limit: Option<u32>) -> Child {
    for mark in ["begun", "ended"] {
        let _ = std::fs::remove_file(dir.join(mark));
    }
    let shell = match limit {
        Some(blocks) => format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""),
        None => "exec \"$0\" \"$@\"".to_owned(),
    };
    Command::new("sh")
        .args(["-c", &shell])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_embeds"])
        .env(CHILD, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn wait_for_begin(dir: &Path, child: &mut Child) {
    while !dir.join("begun").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the child runs");
        sleep(Duration::from_millis(1));
    }
}

/// Numbers of the photos whose faces the cache has.
fn kept(dir: &Path) -> BTreeSet<u32> {
    let (cache, _) = match load(&cache(dir)) {
        Err(CacheError::Missing { .. }) => return BTreeSet::new(),
        other => other.unwrap(),
    };
    cache
        .files()
        .filter(|file| matches!(file.status, FileStatus::Faces(_)))
        .map(|file| number(&image::open(file.path.as_path()).unwrap().to_rgb8()))
        .collect()
}

fn looked_at(dir: &Path) -> Vec<u32> {
    let text = std::fs::read_to_string(diary(dir)).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// The cache of a run that nobody disturbs, over the same photos.
fn undisturbed(dir: &Path) -> Vec<u8> {
    assert!(start(dir, None).wait().unwrap().success());
    assert!(dir.join("ended").exists());
    let bytes = std::fs::read(cache(dir)).unwrap();
    clear(dir);
    bytes
}

fn clear(dir: &Path) {
    std::fs::remove_file(cache(dir)).unwrap();
    std::fs::remove_file(diary(dir)).unwrap();
}

#[test]
fn four_workers_killed_fifty_times_lose_nothing_that_was_flushed() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    library(&photos(dir), N_PHOTOS);
    let expected = undisturbed(dir);
    let mut moments = Moments(20_261_122);
    let mut safe = BTreeSet::new();
    let (mut n_kills, mut n_midway) = (0, 0);
    while n_kills < N_KILLS {
        let n_before = looked_at(dir).len();
        let mut child = start(dir, None);
        wait_for_begin(dir, &mut child);
        sleep(Duration::from_millis(moments.next_ms(40)));
        let was_running = child.try_wait().unwrap().is_none();
        let _ = child.kill();
        child.wait().unwrap();
        let again: Vec<u32> = looked_at(dir)
            .into_iter()
            .skip(n_before)
            .filter(|n| safe.contains(n))
            .collect();
        assert_eq!(again, [0_u32; 0], "looked at again after a flush");
        let now = kept(dir);
        assert!(now.is_superset(&safe), "lost what was flushed");
        safe = now;
        if was_running {
            n_kills += 1;
            n_midway += usize::from((1..N_PHOTOS as usize).contains(&safe.len()));
        }
        if dir.join("ended").exists() {
            assert!(std::fs::read(cache(dir)).unwrap() == expected);
            clear(dir);
            safe.clear();
        }
    }
    assert!(n_midway >= 10, "only {n_midway} kills left half a cache");
    assert!(start(dir, None).wait().unwrap().success());
    assert!(
        std::fs::read(cache(dir)).unwrap() == expected,
        "the resumed cache differs from the undisturbed one"
    );
    assert!(!dir.join("faces.npz.journal").exists());
}

#[test]
fn a_disk_that_fills_keeps_what_was_flushed_and_the_next_run_ends_the_same() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    library(&photos(dir), N_PHOTOS);
    let expected = undisturbed(dir);
    let mut most = 0;
    // Ever more room, in blocks of 512 bytes or 1024: the journal hits the
    // limit at another place each time.
    for blocks in [1, 4, 9, 16, 25] {
        let status = start(dir, Some(blocks)).wait().unwrap();
        assert!(!status.success(), "{blocks} blocks are too few");
        let n_kept = kept(dir).len();
        assert!(n_kept >= most, "what was flushed stays");
        most = n_kept;
    }
    assert!(most > 0, "some of the runs got to a flush");
    assert!(start(dir, None).wait().unwrap().success());
    assert!(std::fs::read(cache(dir)).unwrap() == expected);
}
