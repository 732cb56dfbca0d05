//! `embed` of the library, timed part by part on a list of photos: our side of
//! `benches/compare/embed.py`, which also runs the peer and prints the figures.
//!
//! Does what a worker of `sort-faces embed` does with each photo (read and
//! hash, decode, detect, align, embed) and writes one JSON object. Decoded
//! pictures are dropped at once, so that the peak of memory is that of a run.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measuring program"
)]

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use clap::Parser;
use faceset_infer::align::{ALIGNED_EDGE, align};
use faceset_infer::pixels::warp_affine;
use faceset_infer::{Analyzer, Pack, Provider, Purpose, Runtime, Variant};
use faceset_media::{DEFAULT_MAX_FILE_BYTES, DecodeLimits};
use rustix::time::{ClockId, clock_gettime};

#[derive(Debug, Parser)]
struct Args {
    /// Runtime library; without it the kernels that are compiled in
    #[arg(long)]
    library: Option<PathBuf>,
    /// What runs the models
    #[arg(long, default_value = "cpu")]
    provider: Provider,
    /// Pack file
    #[arg(long)]
    pack: PathBuf,
    /// Folder of its models
    #[arg(long)]
    models: PathBuf,
    /// plain, rect, two-sizes or rect+two-sizes
    #[arg(long, default_value = "plain")]
    variant: Variant,
    /// Shrink JPEGs while decoding, as long as the long edge keeps this many pixels
    #[arg(long)]
    fast_decode: Option<u32>,
    #[arg(long, default_value_t = 1)]
    workers: usize,
    photos: Vec<PathBuf>,
}

/// Seconds of this thread's processor time in each part.
#[derive(Debug, Default, Clone, Copy, serde::Serialize)]
struct Split {
    read: f64,
    decode: f64,
    detect: f64,
    align: f64,
    embed: f64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = match &args.library {
        Some(library) => Runtime::load(library)?.with_provider(args.provider, 0)?,
        None => Runtime::compiled_in(),
    };
    let pack = Pack::from_file(&args.pack)?
        .locate(std::slice::from_ref(&args.models))?
        .with_variant(args.variant)?;
    let mut analyzers = (0..args.workers)
        .map(|_| Analyzer::new(&runtime, &pack, Purpose::Embed))
        .collect::<Result<Vec<_>, _>>()?;
    let loaded = memory("VmRSS:")?;
    // The first run of a session plans its memory.
    for analyzer in &mut analyzers {
        analyzer.analyze(&image::RgbImage::from_pixel(
            640,
            480,
            image::Rgb([9, 90, 40]),
        ))?;
    }
    let next = AtomicUsize::new(0);
    let results = Mutex::new((
        Split::default(),
        vec![serde_json::Value::Null; args.photos.len()],
    ));
    let (start, cpu) = (Instant::now(), seconds(ClockId::ProcessCPUTime));
    std::thread::scope(|scope| {
        for analyzer in &mut analyzers {
            let (next, results, args) = (&next, &results, &args);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(photo) = args.photos.get(at) else {
                        return;
                    };
                    let mut split = Split::default();
                    let found =
                        look(analyzer, photo, args.fast_decode, &mut split).unwrap_or_else(|e| {
                            eprintln!("{}: {e:#}", photo.display());
                            serde_json::Value::Null
                        });
                    let mut results = results.lock().expect("no worker panics");
                    let sum = &mut results.0;
                    sum.read += split.read;
                    sum.decode += split.decode;
                    sum.detect += split.detect;
                    sum.align += split.align;
                    sum.embed += split.embed;
                    results.1[at] = found;
                }
            });
        }
    });
    let wall = start.elapsed().as_secs_f64();
    let (split, faces) = results.into_inner().expect("no worker panicked");
    // Aligning was done a second time, to time it apart.
    let cpu = seconds(ClockId::ProcessCPUTime) - cpu - split.align;
    println!(
        "{}",
        serde_json::json!({
            "wall": wall, "cpu": cpu, "split": split, "faces": faces,
            "loaded_kib": loaded, "peak_kib": memory("VmHWM:")?,
        })
    );
    Ok(())
}

fn look(
    analyzer: &mut Analyzer,
    photo: &std::path::Path,
    fast_decode: Option<u32>,
    split: &mut Split,
) -> anyhow::Result<serde_json::Value> {
    let now = || seconds(ClockId::ThreadCPUTime);
    let mut at = now();
    let mut lap = |part: &mut f64| {
        let next = now();
        *part += next - at;
        at = next;
    };
    let file = faceset_media::read_bytes(photo, DEFAULT_MAX_FILE_BYTES)?;
    lap(&mut split.read);
    let limits = DecodeLimits {
        jpeg_long_edge_px: fast_decode,
        ..DecodeLimits::default()
    };
    let picture = faceset_media::decode(&file.bytes, &limits)?;
    lap(&mut split.decode);
    let found = analyzer.detect(&picture.rgb)?;
    lap(&mut split.detect);
    let mut faces = Vec::new();
    for detection in found {
        let kps = detection.kps.context("a detector with points")?;
        let embedding = analyzer.embed(&picture.rgb, &kps)?;
        lap(&mut split.embed);
        if let Some(transform) = align(&kps) {
            std::hint::black_box(warp_affine(
                &picture.rgb,
                &transform,
                ALIGNED_EDGE,
                ALIGNED_EDGE,
            ));
        }
        let mut aligning = 0.0;
        lap(&mut aligning);
        split.align += aligning;
        split.embed -= aligning;
        let back = picture.full_width as f32 / picture.rgb.width() as f32;
        let b = detection.bbox;
        let bbox = [b.x1, b.y1, b.x2, b.y2].map(|v| v * back);
        faces.push(serde_json::json!({
            "bbox": bbox,
            "kps": kps.map(|p| p.map(|v| v * back)).to_vec(),
            "score": detection.score,
            "embedding": embedding.map(|(unit, _)| unit),
        }));
    }
    faceset_media::recycle(picture.rgb);
    Ok(faces.into())
}

fn seconds(clock: ClockId) -> f64 {
    let now = clock_gettime(clock);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

/// A line of the system's account of this process, KiB.
fn memory(line: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    status
        .lines()
        .find_map(|l| {
            l.strip_prefix(line)?
                .trim()
                .strip_suffix(" kB")?
                .parse()
                .ok()
        })
        .context("the system keeps no account of memory")
}
