//! How long `embed` takes over photos that the cache knows already.
//!
//! ```text
//! cargo run --release -p faceset-benches --bin known_files -- 100000 FOLDER
//! ```
//!
//! Draws that many small photos below the folder (once), fills a cache with one
//! made-up face of 512 numbers each, and times runs that have nothing to do: of
//! the folder, of the folder with every file hashed again, and of a queue.
//! Where that is allowed, files are put out of the system's memory before some.

#![expect(clippy::print_stdout, reason = "a measuring program")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use faceset_cache::{CacheMeta, PackIdentity};
use faceset_core::{BBox, CancelToken, NoProgress, hash_bytes};
use faceset_pipeline::Ctx;
use faceset_pipeline::embed::queue::{self, QueueOptions};
use faceset_pipeline::embed::{
    EmbedOptions, EmbedReport, FindError, FindFaces, Found, FoundFace, SecondLook, run_with,
};
use faceset_queue::{PathStyle, PortablePath, QueueDir, QueueHead, QueueItem, RootId, RootPaths};
use image::{Rgb, RgbImage};

const DIM: usize = 512;

/// One face on every picture.
struct OneFace;

impl FindFaces for OneFace {
    fn find(&mut self, picture: &RgbImage) -> Result<Found, FindError> {
        let Rgb([r, g, b]) = *picture.get_pixel(0, 0);
        let mut embedding = vec![0.0; DIM];
        let at = usize::from(r) + usize::from(g) + usize::from(b);
        embedding[at % DIM] = 1.0;
        Ok(Found {
            faces: vec![FoundFace {
                bbox: BBox {
                    x1: 1.0,
                    y1: 1.0,
                    x2: 7.0,
                    y2: 7.0,
                },
                kps: [[2.0, 2.0], [5.0, 2.0], [3.5, 3.5], [2.0, 5.0], [5.0, 5.5]],
                det_score: 0.9,
                embedding,
                embedding_norm: 20.0,
                enrichment: None,
            }],
            n_unusable: 0,
            second_look: SecondLook::NotTaken,
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(n), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: known_files N FOLDER".into());
    };
    let (n, folder): (u32, PathBuf) = (n.parse()?, folder.into());
    let folder = std::path::absolute(folder)?;
    let photos = folder.join("photos");
    let queue_dir = draw(&folder, &photos, n)?;

    let folder_options = EmbedOptions::new(vec![photos.clone()], folder.join("folder.npz"));
    let queue_options = QueueOptions::new(queue_dir, folder.join("queue.npz"));
    let of_folder = |verify| -> Result<EmbedReport, Box<dyn Error>> {
        let options = EmbedOptions {
            verify,
            ..folder_options.clone()
        };
        Ok(with_ctx(|ctx| {
            run_with(&options, &meta(), || Ok(OneFace), ctx)
        })?)
    };
    let of_queue = || -> Result<EmbedReport, Box<dyn Error>> {
        let report = with_ctx(|ctx| queue::run_with(&queue_options, &meta(), || Ok(OneFace), ctx))?;
        Ok(report.embed)
    };
    timed("first run of the folder", || of_folder(false))?;
    timed("first run of the queue", of_queue)?;
    for _ in 0..3 {
        timed("folder, all known", || of_folder(false))?;
        timed("queue, all known", of_queue)?;
    }
    for _ in 0..2 {
        if forget_files() {
            timed("folder, all known, caches of the system dropped", || {
                of_folder(false)
            })?;
        }
    }
    timed("folder, all hashed again", || of_folder(true))?;
    Ok(())
}

/// Asks the system to keep no file in memory; whether it did.
fn forget_files() -> bool {
    std::process::Command::new("sync").status().is_ok()
        && std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

fn timed(
    what: &str,
    run: impl FnOnce() -> Result<EmbedReport, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let report = run()?;
    println!(
        "{what}: {:.2} s, {} seen, {} known, {} faces in the cache",
        start.elapsed().as_secs_f64(),
        report.seen,
        report.known,
        report.faces_in_cache
    );
    Ok(())
}

/// Draws the photos and stages them, unless an earlier call did.
fn draw(folder: &Path, photos: &Path, n: u32) -> Result<QueueDir, Box<dyn Error>> {
    let queue = QueueDir::new(folder.join("queue"));
    if queue.head_path().exists() {
        return Ok(queue);
    }
    let id = RootId::make("photos");
    let mut items = queue.append_items()?;
    for nth in 0..n {
        let rel = PortablePath::make(&format!("{:03}/{nth:06}.png", nth / 1000));
        let path = photos.join(rel.as_str());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let [_, a, b, c] = nth.to_be_bytes();
        RgbImage::from_pixel(8, 8, Rgb([a, b, c])).save(&path)?;
        let bytes = std::fs::read(&path)?;
        items.append(&QueueItem {
            root: id.clone(),
            rel,
            sha256: hash_bytes(&bytes),
            sha1: None,
            size: bytes.len() as u64,
            asset_id: format!("00000000-0000-0000-0000-{nth:012}"),
            owner_id: "11111111-1111-1111-1111-111111111111".to_owned(),
            original_path: format!("/data/library/alice/{nth}.png"),
            taken_at: None,
            width: 8,
            height: 8,
            rendered: None,
        })?;
    }
    items.sync()?;
    let root = RootPaths::from_local(&photos.to_string_lossy(), PathStyle::here())?;
    queue.write_head(&QueueHead::new("bench", id, root))?;
    Ok(queue)
}

fn with_ctx<R>(f: impl FnOnce(Ctx<'_>) -> R) -> R {
    f(Ctx {
        progress: &NoProgress,
        cancel: &CancelToken::default(),
        holder: "known_files",
        n_workers: std::thread::available_parallelism().map_or(1, usize::from),
        current_year: 2026,
        now: jiff::Timestamp::UNIX_EPOCH,
        kernel: None,
    })
}

fn meta() -> CacheMeta {
    CacheMeta {
        pack: PackIdentity {
            name: "made up".to_owned(),
            digest: "00".repeat(32),
            dim: DIM as u32,
            files: BTreeMap::new(),
            pipeline: "made up".to_owned(),
        },
        det_size: [640, 640],
        det_thresh: 0.5,
        src_roots: BTreeSet::new(),
        provider: "cpu".to_owned(),
        extra: BTreeMap::new(),
    }
}
