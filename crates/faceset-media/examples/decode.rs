//! Decodes every picture under the given paths and prints one JSON object per
//! file: what it is, its upright size, the sha256 of its RGB bytes, or why not.
//!
//! `decode [--raw FOLDER] PATH...`; with `--raw` the RGB bytes are also written
//! to `FOLDER/<sha256 of the file>.rgb`, for fixtures/media/compare.py.

#![allow(
    clippy::print_stdout,
    reason = "a command whose result is what it prints"
)]

use std::path::{Path, PathBuf};

use faceset_core::{CancelToken, hash_bytes};
use faceset_media::{
    DEFAULT_MAX_FILE_BYTES, DecodeLimits, MediaError, Picture, ScanOptions, decode, extension_fits,
    is_decoding, read_bytes, scan,
};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let print_panic = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !is_decoding() {
            print_panic(info);
        }
    }));
    let mut args = std::env::args_os().skip(1).peekable();
    let mut raw = None;
    if args.peek().is_some_and(|a| a == "--raw") {
        args.next();
        raw = args.next().map(PathBuf::from);
    }
    for root in args {
        let found = scan(
            Path::new(&root),
            &ScanOptions::default(),
            &CancelToken::default(),
        )?;
        for file in found.files {
            let started = std::time::Instant::now();
            let outcome = one(file.path.as_path(), raw.as_deref());
            let mut line = match outcome {
                Ok(line) => line,
                Err(e) => json!({"outcome": kind(&e), "error": e.one_line()}),
            };
            line["path"] = file.path.as_str().into();
            line["ms"] = (started.elapsed().as_secs_f64() * 1e3).into();
            println!("{line}");
        }
        for skipped in found.skipped {
            println!(
                "{}",
                json!({"path": skipped.path, "outcome": "skipped", "error": skipped.reason.to_string()})
            );
        }
    }
    Ok(())
}

fn one(path: &Path, raw: Option<&Path>) -> Result<Value, MediaError> {
    let file = read_bytes(path, DEFAULT_MAX_FILE_BYTES)?;
    let picture: Picture = decode(&file.bytes, &DecodeLimits::default())?;
    if let Some(folder) = raw {
        let target = folder.join(format!("{}.rgb", file.sha256));
        std::fs::write(&target, picture.rgb.as_raw()).map_err(|source| MediaError::Io {
            path: target,
            source,
        })?;
    }
    Ok(json!({
        "outcome": if picture.truncated { "truncated" } else { "ok" },
        "format": picture.format.name(),
        "extension_fits": extension_fits(path, picture.format),
        "size": [picture.rgb.width(), picture.rgb.height()],
        "orientation": picture.orientation,
        "frames": picture.frames,
        "taken": picture.taken,
        "taken_problem": picture.taken_problem,
        "sha256": file.sha256.to_string(),
        "pixels": hash_bytes(picture.rgb.as_raw()).to_string(),
    }))
}

fn kind(error: &MediaError) -> &'static str {
    match error {
        MediaError::Empty => "empty",
        MediaError::NotAPicture(_) => "not_a_picture",
        MediaError::Unsupported { .. } => "unsupported",
        MediaError::TooLarge { .. } => "too_large",
        MediaError::TooMuchMemory { .. } => "too_much_memory",
        MediaError::NoPixels { .. } => "no_pixels",
        MediaError::Damaged { .. } => "damaged",
        MediaError::Panicked { .. } => "panicked",
        _ => "unreadable",
    }
}
