//! How well people are kept apart as a library grows, and what time and photo
//! context add, on a labelled library: prints the tables of
//! docs/analysis/identities.md.
//!
//!   make_library.py ... --out LIB --batches 3
//!   sort-faces embed LIB LIB.npz
//!   cargo run --release -p faceset-benches --bin identities -- LIB.npz LIB.truth.json
//!
//! `growth` runs the verbs batch by batch; `context` asks the matching alone,
//! with known people made from the truth.

#![allow(
    clippy::print_stdout,
    reason = "the result of a measurement goes to stdout"
)]

mod context;
mod growth;
mod truth;

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use faceset_core::{CancelToken, NoProgress};
use faceset_pipeline::Ctx;

use crate::truth::Truth;

/// Measures grouping and matching on a labelled library.
#[derive(Debug, Parser)]
struct Args {
    /// The cache of the library.
    cache: PathBuf,
    /// truth.json of the script that made the library.
    truth: PathBuf,
    /// Random halves of the library that the context rules are measured on.
    #[arg(long, default_value_t = 10)]
    halves: u64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let (cache, _) = faceset_cache::load(&args.cache).context("load the cache")?;
    let truth = Truth::load(&args.truth, &cache)?;
    ensure!(!truth.faces.is_empty(), "no labelled face is in the cache");
    println!(
        "{} faces in the cache, {} of them labelled, {} people, {} batches\n",
        cache.n_faces(),
        truth.faces.len(),
        truth.n_people(),
        truth.n_batches
    );
    let cancel = CancelToken::default();
    let ctx = Ctx {
        progress: &NoProgress,
        cancel: &cancel,
        holder: "measurement",
        n_workers: 1,
        current_year: 2026,
        now: jiff::Timestamp::UNIX_EPOCH,
        kernel: None,
    };
    growth::measure(&cache, &truth, ctx)?;
    context::measure(&cache, &truth, args.halves, ctx)
}
