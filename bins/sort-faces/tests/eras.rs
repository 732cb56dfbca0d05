//! `era split` and `era extend` through the binary: killed at any moment, the
//! tree stays readable and the same command ends where a calm run does.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{report, sort_faces, text, tree};
use faceset_testkit::sample_files;
use serde_json::Value;

/// Kills that must hit a running process, for each of the two commands.
const N_KILLS: usize = 10;

/// An EXIF block of one capture date, as a JPEG segment.
fn exif(date: &str) -> Vec<u8> {
    let mut block = b"Exif\0\0II*\0\x08\0\0\0\x01\0".to_vec();
    // DateTimeOriginal, ASCII, 20 bytes at offset 26 of the block.
    block.extend([0x03, 0x90, 2, 0, 20, 0, 0, 0, 26, 0, 0, 0, 0, 0, 0, 0]);
    block.extend(date.as_bytes());
    block.push(0);
    let length = (block.len() as u16 + 2).to_be_bytes();
    [&[0xFF, 0xE1], &length[..], &block].concat()
}

/// The JPEGs of the sample library, without what they say of themselves.
fn jpegs() -> Vec<Vec<u8>> {
    let all = sample_files().into_iter();
    let all = all.map(|path| fs::read(path).unwrap());
    all.filter(|bytes| bytes.starts_with(&[0xFF, 0xD8]))
        .collect()
}

/// Writes pictures as photos of a year.
fn photos(folder: &Path, prefix: &str, pictures: &[Vec<u8>], year: u32) {
    fs::create_dir_all(folder).unwrap();
    for (at, bytes) in pictures.iter().enumerate() {
        let date = exif(&format!("{year}:06:15 12:00:00"));
        let dated = [&bytes[..2], &date, &bytes[2..]].concat();
        fs::write(folder.join(format!("{prefix}{at:03}.jpg")), dated).unwrap();
    }
}

/// A copy of a tree, locks and times left behind.
fn copy(from: &Path, to: &Path) -> PathBuf {
    let _ = fs::remove_dir_all(to);
    for (file, bytes) in tree(from) {
        let target = to.join(file);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(&target, bytes).unwrap();
    }
    to.to_path_buf()
}

fn same(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>) {
    let names = found.keys().chain(expected.keys());
    let different: Vec<_> = names
        .filter(|name| found.get(*name) != expected.get(*name))
        .collect();
    assert!(different.is_empty(), "not as in a calm run: {different:?}");
}

/// Kills the command at moments spread over a run, each time on what the kills
/// before left, and on a fresh copy of `start` once a run got through.
fn kill_often(start: &Path, killed: &Path, command: &dyn Fn(&Path) -> Command) {
    let calm = copy(start, &killed.with_file_name("calm"));
    let begin = Instant::now();
    assert!(command(&calm).output().unwrap().status.success());
    let whole = begin.elapsed();
    let expected = tree(&calm);
    assert!(expected != tree(start), "the command changes something");

    copy(start, killed);
    let mut n_kills = 0;
    // By the golden ratio.
    let mut moment = 0.2_f64;
    while n_kills < N_KILLS {
        moment = (moment + 0.618_034).fract();
        let mut child = command(killed)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        sleep(whole.mul_f64(moment).max(Duration::from_millis(5)));
        let ended = child.try_wait().unwrap();
        let _ = child.kill();
        child.wait().unwrap();
        // What a kill leaves is readable: registry, manifest, eras.
        report(&["people", "list", "--in", text(killed)]);
        for file in ["manifest.json", "eras.json"] {
            if let Ok(bytes) = fs::read(killed.join(file)) {
                serde_json::from_slice::<Value>(&bytes).unwrap();
            }
        }
        if let Some(status) = ended {
            assert!(status.success(), "a resumed run ended with {status}");
            same(&tree(killed), &expected);
            copy(start, killed);
        } else {
            n_kills += 1;
        }
    }
    assert!(command(killed).output().unwrap().status.success());
    same(&tree(killed), &expected);
}

#[test]
fn splitting_and_extending_eras_killed_at_any_moment_end_as_calm_runs() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = jpegs();
    let folder = dir.path().join("photos");
    let (first, later): (Vec<_>, Vec<_>) = pictures
        .into_iter()
        .enumerate()
        .partition(|(at, _)| at % 2 == 0);
    let plain = |all: Vec<(usize, Vec<u8>)>| all.into_iter().map(|(_, b)| b).collect::<Vec<_>>();
    photos(&folder, "a", &plain(first), 2009);
    let out = dir.path().join("out");
    report(&["sort", text(&folder), text(&out), "--min-faces", "4"]);
    let swap = out.join("facesets_swap_ready");
    let cache = out.join("work/cache/faces.npz");
    let era = |verb: &'static str| {
        let cache = cache.clone();
        move |tree: &Path| {
            let mut command = sort_faces();
            let who = ["era", verb, "1", "--cache", text(&cache)];
            command.args(who).args(["--in", text(tree)]);
            command.args(["--anchor-min", "3", "--attach", "0.5"]);
            command
        }
    };
    let killed = dir.path().join("split/killed");
    kill_often(&swap, &killed, &era("split"));
    let eras = tree(&killed);
    assert!(
        eras.keys()
            .any(|n| n.contains("faceset_001_2009/") && n.ends_with(".png")),
        "{:?}",
        eras.keys()
    );

    photos(&folder, "b", &plain(later), 2011);
    let embed = ["embed", text(&folder), text(&cache), "--with-landmarks"];
    assert!(report(&embed)["embedded"].as_u64() > Some(0));
    kill_often(&killed, &dir.path().join("extend/killed"), &era("extend"));
}
