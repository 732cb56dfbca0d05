//! `build-folders`.

use std::path::PathBuf;

use faceset_cli::{Context, Report};
use faceset_core::CosineDistance;
use faceset_pipeline::cluster::load_cache;
use faceset_pipeline::folders::{self, FolderOptions, FolderPlan, Trusted};
use faceset_pipeline::{export, people};
use serde_json::json as json_value;

use super::count;
use super::export_swap::{self, ExportArgs};
use crate::args::{EngineArgs, distance};
use crate::session::{engine, for_people, with_ctx};

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cache, with the folders embedded and enriched
    cache: PathBuf,
    /// The swap-ready folder; sets of others in it stay as they are
    out: PathBuf,
    /// Folder that shows one person, named after itself or LABEL; may be repeated
    #[arg(long, value_name = "[LABEL=]DIR", value_parser = Trusted::parse, required = true)]
    trusted: Vec<Trusted>,
    /// Folder of anybody: its faces join everybody within the threshold; may be repeated
    #[arg(long, value_name = "DIR")]
    mixed: Vec<PathBuf>,
    /// Farthest from the person's centroid; equal is kept
    #[arg(long, value_name = "DISTANCE", default_value = "0.45", value_parser = distance)]
    threshold: CosineDistance,
    /// export: faces farther from the set's centroid are dropped; equal is kept
    #[arg(long, value_name = "DISTANCE", default_value = "0.45", value_parser = distance)]
    outlier_threshold: CosineDistance,
    #[command(flatten)]
    export: ExportArgs,
    /// Say who is in which folder and what would be exported, write nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Runs it.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Report> {
    let export_options = args.export.options(args.outlier_threshold)?;
    let options = FolderOptions {
        trusted: args.trusted.clone(),
        mixed: args.mixed.clone(),
        threshold: args.threshold,
    };
    let (cache, plan) = with_ctx(context, args.engine.jobs(), |ctx| {
        let cache = load_cache(&args.cache, ctx)?;
        let registry = people::before_export(&args.out, args.dry_run, ctx)?;
        let plan = folders::plan(
            &cache,
            &args.cache,
            &args.out,
            &options,
            &export_options,
            &registry,
            ctx,
        )?;
        Ok((cache, plan))
    })
    .map_err(for_people)?;
    let mut lines = text(&plan);
    if args.dry_run {
        lines.extend(plan.export.summary());
        let report = json_value!({
            "command": "build-folders", "folders": plan.folders, "export": plan.export,
        });
        return Ok(Report::done(lines.join("\n"), report));
    }
    let engine = engine(&args.engine, context)?;
    let report = with_ctx(context, args.engine.jobs(), |ctx| {
        folders::write_manifest(&plan, &args.out)?;
        let make = || export::apply(&plan.export, &cache, &engine, &args.out, ctx);
        people::exported(&args.out, &plan.manifest, ctx, make)
    })
    .map_err(for_people)?;
    lines.push(export_swap::text(&plan.export, &report));
    let json = json_value!({
        "command": "build-folders", "folders": plan.folders, "export": report,
    });
    Ok(Report::done(lines.join("\n"), json))
}

fn text(plan: &FolderPlan) -> Vec<String> {
    let mut lines: Vec<String> = plan
        .folders
        .iter()
        .map(|f| {
            let set = f.set.as_deref().unwrap_or("no set");
            let note = f
                .note
                .as_ref()
                .map_or_else(String::new, |n| format!("; {n}"));
            format!(
                "{}: {set}, {} of {} are the person, {} from mixed folders{note}",
                f.label,
                f.person,
                count(f.faces, "face", "faces"),
                f.from_mixed
            )
        })
        .collect();
    if plan.mixed_faces > 0 {
        lines.push(format!(
            "mixed folders: {}, {} of them nobody",
            count(plan.mixed_faces, "face", "faces"),
            plan.mixed_nobody
        ));
    }
    lines
}
