//! `cluster`.

use std::path::PathBuf;

use faceset_cli::{Context, Report};
use faceset_core::CosineDistance;
use faceset_pipeline::cluster::{self, ClusterOptions, ClusterReport, load_cache};

use super::{count, json};
use crate::args::{Link, distance};
use crate::session::{for_people, with_ctx};

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cache
    cache: PathBuf,
    /// Folder for the result
    out: PathBuf,
    /// Groups nearer than this cosine distance merge; equal stays apart
    #[arg(long, value_name = "DISTANCE", default_value = "0.55", value_parser = distance)]
    threshold: CosineDistance,
    /// How photos get into the folders
    #[arg(long, value_enum, default_value = "copy")]
    link: Link,
    /// Say what would be written
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// Runs it.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Report> {
    let options = ClusterOptions {
        threshold: args.threshold,
        link: args.link.into(),
    };
    let report = with_ctx(context, None, |ctx| {
        let cache = load_cache(&args.cache, ctx)?;
        let plan = cluster::plan(&cache, &args.cache, &options, ctx)?;
        if args.dry_run {
            Ok(plan.report())
        } else {
            cluster::apply(&plan, &args.out, ctx)
        }
    })
    .map_err(for_people)?;
    Ok(Report::done(text(&report), json("cluster", &report)))
}

/// The summary for people.
pub(crate) fn text(report: &ClusterReport) -> String {
    let largest: Vec<String> = report.largest.iter().map(ToString::to_string).collect();
    format!(
        "{}: {} ({} faces; largest {}), {} alone, {} without a face",
        count(report.faces, "face", "faces"),
        count(report.persons, "person", "persons"),
        report.grouped_faces,
        if largest.is_empty() {
            "none".to_owned()
        } else {
            largest.join(", ")
        },
        report.singletons,
        count(report.noface, "photo", "photos")
    )
}
