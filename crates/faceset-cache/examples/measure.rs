//! What a flush, a compaction and a load cost, on synthetic faces.
//!
//! `cargo run --release -p faceset-cache --example measure -- FOLDER N_FACES [enriched]`
//!
//! Prints times, file sizes and, on Linux, the peak memory of each step; every
//! step runs in a process of its own so that the peaks are its own.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "an instrument for developers"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use common::{enrichment, meta, photo_of_dim};
use faceset_cache::{CacheMeta, CacheWriter, Known, load};

const DIM: usize = 512;
/// Photos with faces, by the recipe of `photo_of_dim`, bring 1.46 faces each
/// over all photos.
const FACES_PER_PHOTO: f64 = 1.46;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, n_faces, rest @ ..] = args.as_slice() else {
        println!("usage: measure FOLDER N_FACES [enriched]");
        return;
    };
    let path = Path::new(folder).join("measured.npz");
    let n_photos = (n_faces.parse::<f64>().unwrap() / FACES_PER_PHOTO) as u64;
    let start = Instant::now();
    match rest.last().map(String::as_str) {
        Some("write") => write(&path, n_photos, rest.len() > 1, start),
        Some("load") => read(&path, n_photos, start),
        Some("flush") => flush(&path, n_photos, start),
        _ => {
            for step in ["write", "load", "flush"] {
                let status = Command::new(std::env::current_exe().unwrap())
                    .args(&args)
                    .arg(step)
                    .status()
                    .unwrap();
                assert!(status.success(), "{step}");
            }
        }
    }
}

fn wide() -> CacheMeta {
    let mut meta = meta();
    meta.pack.dim = DIM as u32;
    meta
}

fn write(path: &Path, n_photos: u64, enriched: bool, start: Instant) {
    let mut writer = CacheWriter::open(path, &wide(), "measure").unwrap();
    for i in 0..n_photos {
        let photo = photo_of_dim(i, DIM);
        let (path, n) = (photo.path.clone(), photo.faces().len());
        writer.put(photo).unwrap();
        for face_idx in 0..n * usize::from(enriched) {
            writer.enrich(&path, face_idx, enrichment(i, true)).unwrap();
        }
        if i % 50 == 49 {
            writer.flush().unwrap();
        }
    }
    writer.flush().unwrap();
    let put = start.elapsed();
    let n = writer.cache().n_faces();
    let start = Instant::now();
    let bytes = writer.compact().unwrap().bytes;
    println!(
        "write: {n} faces of {n_photos} photos put and flushed every 50 in {put:.2?}; compacted \
         in {:.2?} to {bytes} bytes; peak {}",
        start.elapsed(),
        peak()
    );
    writer.finish().unwrap();
}

fn read(path: &Path, n_photos: u64, start: Instant) {
    let (cache, _) = load(path).unwrap();
    let took = start.elapsed();
    let start = Instant::now();
    let unchanged = cache
        .files()
        .filter(|f| cache.known(&f.path, f.size, f.mtime_ns) == Known::Unchanged)
        .count();
    println!(
        "load: {} faces in {took:.2?}, peak {}; {unchanged} of {n_photos} files known unchanged \
         in {:.2?}",
        cache.n_faces(),
        peak(),
        start.elapsed()
    );
}

fn flush(path: &Path, n_photos: u64, start: Instant) {
    let mut writer = CacheWriter::open(path, &wide(), "measure").unwrap();
    let opened = start.elapsed();
    let mut times = Vec::new();
    let mut bytes = 0;
    for round in 0..20 {
        for i in 0..50 {
            let photo = photo_of_dim(n_photos + round * 50 + i, DIM);
            writer.put(photo).unwrap();
        }
        let start = Instant::now();
        bytes = writer.flush().unwrap().bytes;
        times.push(start.elapsed());
    }
    times.sort();
    println!(
        "flush: opened in {opened:.2?}; 50 new files cost {bytes} bytes, median {:.2?}, worst \
         {:.2?} over {} flushes",
        times[times.len() / 2],
        times[times.len() - 1],
        times.len()
    );
}

fn peak() -> String {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|s| {
            let line = s.lines().find(|line| line.starts_with("VmHWM"))?.to_owned();
            Some(line.trim_start_matches("VmHWM:").trim().to_owned())
        })
        .unwrap_or_else(|| "unknown".into())
}
