//! `embed`.

use std::path::PathBuf;

use faceset_cli::{Context, Report};
use faceset_media::ScanOptions;
use faceset_pipeline::embed::{self, EmbedOptions, EmbedReport};

use super::{count, json};
use crate::args::EngineArgs;
use crate::provider::{self, ProviderArgs};
use crate::session::{for_people, with_ctx};

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folders of photos, or photos
    #[arg(required = true, num_args = 1..)]
    src: Vec<PathBuf>,
    /// Cache to fill, `.npz`; created when missing
    cache: PathBuf,
    /// Leave out what matches, e.g. '**/thumbs/**'; may be repeated
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Follow symbolic links
    #[arg(long)]
    follow_symlinks: bool,
    /// New files after which progress is made safe
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    flush_every: u32,
    /// Also find landmarks and pose, as `enrich` does
    #[arg(long)]
    with_landmarks: bool,
    /// Hash every file again instead of trusting size, time and file number
    #[arg(long)]
    verify: bool,
    /// Look again at photos without a face, those of earlier runs too: smaller, in parts, turned;
    /// what is found is marked
    #[arg(long)]
    rescue: bool,
    /// Say what would be read, read nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    provider: ProviderArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Runs it.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Report> {
    let options = EmbedOptions {
        scan: ScanOptions::new(&args.exclude, args.follow_symlinks)?,
        flush_every: args.flush_every as usize,
        with_landmarks: args.with_landmarks,
        verify: args.verify,
        look_again: args.rescue,
        ..EmbedOptions::new(args.src.clone(), args.cache.clone())
    };
    if args.dry_run {
        let plan = with_ctx(context, args.engine.jobs(), |ctx| {
            embed::plan(&options, ctx)
        })
        .map_err(for_people)?;
        let text = format!(
            "{} seen: {} known, {} would be read, {} left out",
            plan.seen,
            plan.known,
            plan.to_read.len(),
            plan.skipped.values().sum::<usize>()
        );
        return Ok(Report::done(text, json("embed", &plan)));
    }
    let (engine, choice) = provider::engine(&args.provider, &args.engine, context)?;
    let jobs = provider::workers(&choice, args.engine.jobs());
    let report =
        with_ctx(context, jobs, |ctx| embed::run(&options, &engine, ctx)).map_err(for_people)?;
    let mut json = json("embed", &report);
    json["device"] = provider::json(&choice);
    Ok(Report::done(text(&report), json))
}

/// The summary for people.
pub(crate) fn text(report: &EmbedReport) -> String {
    let mut lines = vec![format!(
        "{} seen: {} with faces ({} new), {} without, {} of known content, {} known, {} failed, {} left out",
        count(report.seen, "path", "paths"),
        report.embedded,
        count(report.faces, "face", "faces"),
        report.noface,
        count(report.duplicates, "copy", "copies"),
        report.known,
        report.failed.len(),
        report.skipped_paths.len()
    )];
    let reasons: Vec<String> = report
        .skipped
        .iter()
        .map(|(reason, n)| format!("{reason} {n}"))
        .collect();
    if !reasons.is_empty() {
        lines.push(format!("left out: {}", reasons.join(", ")));
    }
    lines.extend(report.second_looks());
    lines.push(format!(
        "the cache holds {} on {}",
        count(report.faces_in_cache, "face", "faces"),
        count(report.photos_in_cache, "photo", "photos")
    ));
    lines.join("\n")
}
