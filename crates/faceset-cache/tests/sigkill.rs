//! A writer killed at random moments, and one whose disk is full.
//!
//! Starts itself as a child that fills a cache, kills it, and checks after each
//! kill that the cache loads, that it holds everything the child had reported
//! as flushed, and that the records are right. The end result must equal that
//! of an undisturbed run byte for byte. Seeded; needs a Unix for SIGKILL, and
//! `Child::kill` elsewhere, which is as abrupt.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test with a main of its own"
)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::Duration;

use common::{meta, photo, unit};
use faceset_cache::{CacheError, CacheWriter, Compaction, load};

const N_PHOTOS: u64 = 300;
const FLUSH_EVERY: usize = 5;
const N_KILLS: u32 = 30;
/// Kills fall evenly into this time after the child's first word; a whole run
/// takes longer.
const KILL_WITHIN_MS: f32 = 120.0;
/// Small enough that a run compacts many times, so that kills hit that too.
const COMPACT_FROM_BYTES: u64 = 4000;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("--list") => ExitCode::SUCCESS,
        Some("child") => child(Path::new(&args[2])),
        _ => {
            kills_at_random_moments_lose_nothing_flushed();
            println!("test kills_at_random_moments_lose_nothing_flushed ... ok");
            if cfg!(unix) {
                a_full_disk_loses_nothing_flushed();
                println!("test a_full_disk_loses_nothing_flushed ... ok");
            }
            ExitCode::SUCCESS
        }
    }
}

/// Fills the cache from where it is, saying after each flush how many photos
/// are safe.
fn child(path: &Path) -> ExitCode {
    let mut out = std::io::stdout();
    let result = (|| -> Result<(), CacheError> {
        let mut writer =
            CacheWriter::open(path, &meta(), "child")?.with_compaction(Compaction::WhenLarge {
                min_bytes: COMPACT_FROM_BYTES,
            });
        let _ = writeln!(out, "{}", writer.cache().n_files()).and_then(|()| out.flush());
        for i in writer.cache().n_files() as u64..N_PHOTOS {
            writer.put(photo(i))?;
            if writer.n_pending() == FLUSH_EVERY {
                writer.flush()?;
                let _ = writeln!(out, "{}", i + 1).and_then(|()| out.flush());
            }
        }
        writer.finish().map(drop)
    })();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(out, "failed to {e}");
            ExitCode::FAILURE
        }
    }
}

fn spawn(command: &mut Command) -> (Child, BufReader<ChildStdout>) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

fn ourselves() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("child");
    command
}

/// The rest of what a child said: the last number, and the last line of words.
fn last_words(out: impl BufRead, first: u64) -> (u64, String) {
    let (mut safe, mut words) = (first, String::new());
    for line in out.lines().map_while(Result::ok) {
        match line.parse() {
            Ok(n) => safe = n,
            Err(_) => words = line,
        }
    }
    (safe, words)
}

/// The cache loads and holds photos `0..n` exactly, `n` at least `safe`.
/// Returns `n`.
fn assert_holds(path: &Path, safe: u64) -> u64 {
    let cache = match load(path) {
        Ok((cache, _)) => cache,
        Err(CacheError::Missing { .. }) if safe == 0 => return 0,
        Err(e) => panic!("failed to {e}; {safe} photos were safe"),
    };
    let n = cache.n_files() as u64;
    assert!(n >= safe, "{n} photos left of {safe} flushed");
    for i in 0..n {
        let expected = photo(i);
        assert_eq!(cache.file(&expected.path), Some(&expected));
    }
    n
}

fn undisturbed(folder: &Path) -> Vec<u8> {
    let path = folder.join("undisturbed.npz");
    assert!(ourselves().arg(&path).output().unwrap().status.success());
    assert_eq!(assert_holds(&path, N_PHOTOS), N_PHOTOS);
    std::fs::read(path).unwrap()
}

fn kills_at_random_moments_lose_nothing_flushed() {
    let dir = tempfile::tempdir().unwrap();
    let expected = undisturbed(dir.path());
    let path = dir.path().join("c.npz");
    let (mut n_killed, mut n_finished, mut seed) = (0, 0, 0);
    while n_killed < N_KILLS || n_finished == 0 {
        assert!(
            seed < 400,
            "{n_killed} kills hit, {n_finished} runs finished"
        );
        let (mut child, mut out) = spawn(ourselves().arg(&path));
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let first: u64 = line.trim().parse().unwrap();
        let wait_ms = unit(seed) * KILL_WITHIN_MS;
        seed += 1;
        if n_killed < N_KILLS {
            std::thread::sleep(Duration::from_secs_f32(wait_ms / 1000.0));
            child.kill().unwrap();
        }
        let (safe, words) = last_words(out, first);
        assert!(words.is_empty(), "{words}");
        let finished = child.wait().unwrap().success();
        assert_holds(&path, safe);
        if finished {
            assert_eq!(std::fs::read(&path).unwrap(), expected, "seed {seed}");
            let litter = std::fs::read_dir(dir.path())
                .unwrap()
                .filter(|e| {
                    e.as_ref()
                        .unwrap()
                        .file_name()
                        .to_string_lossy()
                        .starts_with('.')
                })
                .count();
            assert_eq!(litter, 0, "unfinished files are left");
            std::fs::remove_file(&path).unwrap();
            n_finished += 1;
        } else {
            n_killed += 1;
        }
    }
    println!("{n_killed} kills, {n_finished} runs finished");
}

/// A file size limit stands for the full disk: the same short writes and
/// errors.
fn a_full_disk_loses_nothing_flushed() {
    let dir = tempfile::tempdir().unwrap();
    let expected = undisturbed(dir.path());
    let path = dir.path().join("c.npz");
    let mut n_full = 0;
    // In blocks of 512 bytes or, in some shells, 1024.
    for blocks in [1, 6, 11, 40, 57, 90, 140] {
        let mut limited = Command::new("sh");
        limited
            .args([
                "-c",
                &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""),
            ])
            .arg(std::env::current_exe().unwrap())
            .arg("child")
            .arg(&path);
        let output = limited.output().unwrap();
        assert!(output.stderr.is_empty(), "a library printed");
        let (safe, words) = last_words(output.stdout.as_slice(), 0);
        if !output.status.success() {
            assert!(words.contains("c.npz"), "{words}");
            n_full += 1;
        }
        assert_holds(&path, safe);
    }
    assert!(n_full >= 5, "the limit was hit only {n_full} times");
    assert!(ourselves().arg(&path).output().unwrap().status.success());
    assert_eq!(std::fs::read(&path).unwrap(), expected);
}
