//! `dedup`.

use std::path::PathBuf;

use faceset_cli::{Context, Report};
use faceset_pipeline::cluster::load_cache;
use faceset_pipeline::dedup;
use faceset_quality::NearDuplicateLimits;

use super::{count, json};
use crate::session::{for_people, with_ctx};

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cache
    cache: PathBuf,
    /// Most differing bits of two 64-bit picture hashes; equal counts
    #[arg(long, value_name = "BITS", default_value_t = 6)]
    max_hamming: u32,
    /// Smallest cosine similarity of two embeddings; equal counts
    #[arg(long, value_name = "COSINE", default_value_t = 0.95)]
    min_cosine: f64,
    /// Report without writing the file
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// Runs it.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Report> {
    let limits = NearDuplicateLimits::new(args.max_hamming, args.min_cosine)?;
    let report = with_ctx(context, None, |ctx| {
        let cache = load_cache(&args.cache, ctx)?;
        let (found, failed) = dedup::find(&cache, &args.cache, &limits, ctx)?;
        if args.dry_run {
            Ok(dedup::summarize(
                &found,
                failed,
                dedup::report_path(&args.cache),
            ))
        } else {
            dedup::write(&found, failed, &args.cache)
        }
    })
    .map_err(for_people)?;
    let text = format!(
        "{} of identical files ({}), {} of look-alike faces ({}){}",
        count(report.byte_groups, "group", "groups"),
        count(report.byte_copies, "copy", "copies"),
        count(report.visual_groups, "group", "groups"),
        count(report.visual_copies, "repetition", "repetitions"),
        if args.dry_run {
            String::new()
        } else {
            format!("; see {}", report.file.display())
        }
    );
    Ok(Report::done(text, json("dedup", &report)))
}
