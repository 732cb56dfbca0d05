//! `sort`: the main job.

use std::path::PathBuf;

use faceset_cli::{Context, Report};
use faceset_core::CosineDistance;
use faceset_media::ScanOptions;
use faceset_pipeline::cluster::ClusterOptions;
use faceset_pipeline::embed::{self, EmbedOptions};
use faceset_pipeline::sort::{self, Layout, SortOptions, SortReport};

use super::export_swap::ExportArgs;
use super::refine::RefineArgs;
use super::{count, json};
use crate::args::{EngineArgs, Link, distance};
use crate::provider::{self, ProviderArgs};
use crate::session::{for_people, with_ctx};

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder of photos
    src: PathBuf,
    /// Folder for everything that comes out
    pub(crate) out: PathBuf,
    /// Leave out what matches, e.g. '**/thumbs/**'; may be repeated
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Follow symbolic links
    #[arg(long)]
    follow_symlinks: bool,
    /// How photos get into the folders
    #[arg(long, value_enum, default_value = "copy")]
    link: Link,
    /// Cut of the raw grouping; equal stays apart
    #[arg(long, value_name = "DISTANCE", default_value = "0.55", value_parser = distance)]
    threshold: CosineDistance,
    /// refine: faces farther from the centroid are dropped; equal is kept
    #[arg(long, value_name = "DISTANCE", default_value = "0.55", value_parser = distance)]
    refine_outlier_threshold: CosineDistance,
    /// export: faces farther from the centroid are dropped; equal is kept
    #[arg(long, value_name = "DISTANCE", default_value = "0.45", value_parser = distance)]
    export_outlier_threshold: CosineDistance,
    #[command(flatten)]
    refine: RefineArgs,
    #[command(flatten)]
    export: ExportArgs,
    /// Look again at photos without a face: smaller, in parts, turned; what is found is marked
    #[arg(long)]
    rescue: bool,
    /// Say what would be read, write nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    provider: ProviderArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Warnings of the export in the summary; the log has all.
const SHOWN_WARNINGS: usize = 20;

/// Runs it.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Report> {
    let layout = Layout::new(&args.out);
    let options = SortOptions {
        embed: EmbedOptions {
            scan: ScanOptions::new(&args.exclude, args.follow_symlinks)?,
            look_again: args.rescue,
            ..EmbedOptions::new(vec![args.src.clone()], layout.cache())
        },
        cluster: ClusterOptions {
            algorithm: faceset_pipeline::cluster::Algorithm::Linkage,
            threshold: args.threshold,
            link: args.link.into(),
        },
        refine: args
            .refine
            .options(args.link, args.refine_outlier_threshold)?,
        export: args.export.options(args.export_outlier_threshold)?,
    };
    let jobs = args.engine.jobs();
    if args.dry_run {
        sort::refuse_nesting(&options.embed.sources, &args.out).map_err(for_people)?;
        let plan =
            with_ctx(context, jobs, |ctx| embed::plan(&options.embed, ctx)).map_err(for_people)?;
        let text = format!(
            "{} seen: {} known, {} would be read, {} left out; then cluster, refine, dedup and export-swap below {}",
            plan.seen,
            plan.known,
            plan.to_read.len(),
            plan.skipped.values().sum::<usize>(),
            args.out.display()
        );
        return Ok(Report::done(text, json("sort", &plan)));
    }
    let (engine, choice) = provider::engine(&args.provider, &args.engine, context)?;
    let jobs = provider::workers(&choice, jobs);
    let report = with_ctx(context, jobs, |ctx| {
        sort::run(&options, &layout, &engine, ctx)
    })
    .map_err(for_people)?;
    let mut json = json("sort", &report);
    json["device"] = provider::json(&choice);
    Ok(Report::done(text(&report, &layout), json))
}

fn text(report: &SortReport, layout: &Layout) -> String {
    let exported: Vec<String> = report
        .export
        .sets
        .iter()
        .filter(|s| s.n_exported > 0)
        .map(|s| format!("{} ({})", s.name, count(s.n_exported, "face", "faces")))
        .collect();
    let mut warnings = report.export.warnings.iter();
    let mut said: Vec<String> = warnings.by_ref().take(SHOWN_WARNINGS).cloned().collect();
    if warnings.len() > 0 {
        said.push(format!("and {} more warnings", warnings.len()));
    }
    let mut lines = vec![
        format!(
            "photos    {}",
            super::embed::text(&report.embed).replace('\n', "\n          ")
        ),
        format!("people    {}", super::cluster::text(&report.cluster)),
        format!("sets      {}", super::refine::text(&report.refine)),
        format!(
            "copies    {} of identical files, {} of look-alike faces",
            count(report.dedup.byte_groups, "group", "groups"),
            count(report.dedup.visual_groups, "group", "groups")
        ),
        format!(
            "exported  {}",
            if exported.is_empty() && report.export.sets.is_empty() {
                "nothing: no set was large enough".to_owned()
            } else if exported.is_empty() {
                format!("none of {}", count(report.export.sets.len(), "set", "sets"))
            } else {
                exported.join(", ")
            }
        ),
    ];
    lines.extend(said.iter().map(|line| format!("          {line}")));
    lines.extend([
        String::new(),
        format!("people by folder   {}", layout.raw().display()),
        format!("good faces         {}", layout.refined().display()),
        format!("swap-ready sets    {}", layout.swap_ready().display()),
        format!("look at            {}", layout.index().display()),
    ]);
    lines.join("\n")
}
