//! `enrich`.

use std::path::PathBuf;

use faceset_cli::{Context, Report};
use faceset_pipeline::enrich;

use super::{count, json};
use crate::args::EngineArgs;
use crate::session::{engine, for_people, with_ctx};

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cache
    cache: PathBuf,
    /// Say how many photos would be looked at
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Runs it.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Report> {
    if args.dry_run {
        let (cache, _) = faceset_cache::load(&args.cache).map_err(|e| for_people(e.into()))?;
        let n_photos = enrich::plan(&cache).len();
        let text = format!("{} would be looked at", count(n_photos, "photo", "photos"));
        return Ok(Report::done(
            text,
            serde_json::json!({"command": "enrich", "photos": n_photos}),
        ));
    }
    let engine = engine(&args.engine, context)?;
    let report = with_ctx(context, args.engine.jobs(), |ctx| {
        enrich::run(&args.cache, &engine, ctx)
    })
    .map_err(for_people)?;
    let text = format!(
        "landmarks and pose for {} on {}; {} had them, {} could not be read",
        count(report.faces, "face", "faces"),
        count(report.enriched, "photo", "photos"),
        report.done_before,
        report.failed.len()
    );
    Ok(Report::done(text, json("enrich", &report)))
}
