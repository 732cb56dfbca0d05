//! A fake server as a program of its own, for measuring clients from outside.
//!
//! `serve [--assets N] [--bytes N] [--latency-ms N] [--staged-share PERCENT] [--v3]`
//! `serve --photos FOLDER`: every file of the folder, as a photo with one big face.
//!
//! Prints one line of JSON with `url` and `key`. A line on stdin is answered with a line of
//! counts since the last one (`searches`, `faces`, `originals`, `originals_twice`); the end
//! of stdin ends the server.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool for benches"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::path::PathBuf;
use std::time::Duration;

use immich_fake::{Content, Fake, Library, Shape};
use serde_json::json;

/// 2010-01-01T00:00:00Z in microseconds.
const T0: i64 = 1_262_304_000_000_000;

fn option(name: &str, default: usize) -> usize {
    let arguments: Vec<String> = std::env::args().collect();
    let at = arguments.iter().position(|a| a == name);
    at.map_or(default, |at| arguments[at + 1].parse().unwrap())
}

/// The files of a folder in the order of their names.
fn photos(folder: &str) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path());
    let files: BTreeSet<PathBuf> = entries.filter(|path| path.is_file()).collect();
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let read = |path: PathBuf| (name(&path), std::fs::read(&path).unwrap());
    files.into_iter().map(read).collect()
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let folder = arguments.iter().position(|a| a == "--photos");
    let photos = folder.map(|at| photos(&arguments[at + 1]));
    let made_up = if photos.is_some() { 0 } else { 54_000 };
    let (assets, bytes) = (option("--assets", made_up), option("--bytes", 200_000));
    let (latency, share) = (option("--latency-ms", 0), option("--staged-share", 19));
    let v3 = std::env::args().any(|a| a == "--v3");
    let mut library = Library::new();
    let user = library.add_user("Anna");
    let key = library.add_key(user, "bench", &["all"]);
    for n in 0..assets {
        let id = library.add_photo(user, "x.jpg", T0 + n as i64 * 60_000_000);
        let path = format!("/data/library/anna/{}/p{n}.jpg", n % 97);
        // Only what is fetched needs its weight.
        let is_big = n * 37 % 100 < share;
        library.update_asset(id, |asset| {
            asset.path = path;
            if is_big {
                asset.content = Content::Noise(bytes);
            }
        });
        let short = if is_big { 120 } else { 30 };
        if is_big || n % 3 > 0 {
            library.add_face(id, None, [100, 80, 100 + short, 90 + short], (1500, 1000));
        }
    }
    for (n, (name, bytes)) in photos.into_iter().flatten().enumerate() {
        let id = library.add_photo(user, &name, T0 + n as i64 * 60_000_000);
        library.update_asset(id, |asset| asset.content = Content::Bytes(bytes.into()));
        library.add_face(id, None, [100, 80, 220, 200], (1500, 1000));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let shape = if v3 { Shape::v3_2() } else { Shape::v2_7_2() };
        let fake = Fake::start(library, shape).await;
        fake.set_latency(Duration::from_millis(latency as u64));
        println!(
            "{}",
            json!({"url": fake.url(), "key": key, "user": user.to_string()})
        );
        let fake = &fake;
        tokio::task::block_in_place(|| {
            for line in std::io::stdin().lock().lines() {
                line.unwrap();
                let mut originals: BTreeMap<String, usize> = BTreeMap::new();
                for entry in fake.log() {
                    if entry.request.ends_with("/original") {
                        *originals.entry(entry.request).or_insert(0) += 1;
                    }
                }
                let counts = json!({
                    "searches": fake.n_requests("/search/metadata"),
                    "faces": fake.n_requests("GET /api/faces"),
                    "originals": originals.values().sum::<usize>(),
                    "originals_twice": originals.values().filter(|n| **n > 1).count(),
                });
                fake.clear_log();
                println!("{counts}");
            }
        });
    });
}
