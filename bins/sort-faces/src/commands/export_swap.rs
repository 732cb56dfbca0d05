//! `export-swap`.

use std::path::PathBuf;

use faceset_cli::{Context, Report};
use faceset_core::CosineDistance;
use faceset_export::{ExportPlan, ExportReport, Outcome};
use faceset_pipeline::cluster::load_cache;
use faceset_pipeline::export::{self, ExportSources};
use faceset_pipeline::people;

use super::{count, json};
use crate::args::{EngineArgs, distance};
pub(crate) use crate::export_args::ExportArgs;
use crate::session::{engine, for_people, with_ctx};

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cache
    cache: PathBuf,
    /// `refine_manifest.json`, or one that another step wrote in that form
    refine_manifest: PathBuf,
    /// Folder for the result
    out: PathBuf,
    /// `manifest.json` of `cluster`: where candidates come from
    #[arg(long, value_name = "FILE")]
    raw_manifest: Option<PathBuf>,
    /// Faces farther from the set's centroid are dropped; equal is kept
    #[arg(long, value_name = "DISTANCE", default_value = "0.45", value_parser = distance)]
    outlier_threshold: CosineDistance,
    #[command(flatten)]
    export: ExportArgs,
    /// Export hidden people, too
    #[arg(long)]
    with_hidden: bool,
    /// Say what would be exported and what not, and why
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Runs it.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Report> {
    let options = args.export.options(args.outlier_threshold)?;
    let sources = ExportSources {
        cache: args.cache.clone(),
        refined: args.refine_manifest.clone(),
        raw: args.raw_manifest.clone(),
    };
    let (cache, plan) = with_ctx(context, args.engine.jobs(), |ctx| {
        let cache = load_cache(&args.cache, ctx)?;
        let registry = people::before_export(&args.out, args.dry_run, ctx)?;
        let plan = export::plan_for(&cache, &sources, &options, &registry, args.with_hidden, ctx)?;
        Ok((cache, plan))
    })
    .map_err(for_people)?;
    if args.dry_run {
        return Ok(Report::done(
            plan.summary().join("\n"),
            json("export-swap", &plan),
        ));
    }
    let engine = engine(&args.engine, context)?;
    let report = with_ctx(context, args.engine.jobs(), |ctx| {
        let refined = export::read_manifest(&sources.refined)?;
        let make = || export::apply(&plan, &cache, &engine, &args.out, ctx);
        people::exported(&args.out, &refined, ctx, make)
    })
    .map_err(for_people)?;
    Ok(Report::done(
        text(&plan, &report),
        json("export-swap", &report),
    ))
}

/// The summary for people.
pub(crate) fn text(plan: &ExportPlan, report: &ExportReport) -> String {
    let mut lines = plan.notes.clone();
    lines.extend(report.warnings.iter().cloned());
    for refused in &plan.refused {
        lines.push(format!("{} refused: {}", refused.name, refused.reason));
    }
    for set in report.sets.iter().filter(|s| s.outcome == Outcome::Empty) {
        lines.push(format!(
            "{}: {}",
            set.name,
            set.reason.as_deref().unwrap_or("empty after filter")
        ));
    }
    lines.push(format!(
        "{} exported ({})",
        count(
            report.sets.iter().filter(|s| s.n_exported > 0).count(),
            "set",
            "sets"
        ),
        count(report.n_exported(), "face", "faces")
    ));
    lines.join("\n")
}
