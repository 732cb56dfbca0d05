//! `refine`.

use std::path::PathBuf;

use faceset_cli::{Context, Report};
use faceset_core::CosineDistance;
use faceset_pipeline::cluster::load_cache;
use faceset_pipeline::people;
use faceset_pipeline::refine::{self, RefineOptions, RefineReport};

use super::{count, json};
use crate::args::{GateArgs, Link, PeopleArgs, distance};
use crate::session::{for_people, with_ctx};

/// Flags of the stages, shared with `sort`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RefineArgs {
    /// Groups nearer than this cosine distance merge; equal stays apart
    #[arg(long, value_name = "DISTANCE", default_value = "0.55", value_parser = distance)]
    initial_threshold: CosineDistance,
    /// Groups with centroids at most this far apart merge
    #[arg(long, value_name = "DISTANCE", default_value = "0.40", value_parser = distance)]
    merge_threshold: CosineDistance,
    /// Distinct photos that a set needs
    #[arg(long, value_name = "N", default_value_t = 15)]
    min_faces: usize,
    #[command(flatten)]
    gates: GateArgs,
}

impl RefineArgs {
    pub(crate) fn options(
        &self,
        link: Link,
        outlier_threshold: CosineDistance,
    ) -> anyhow::Result<RefineOptions> {
        Ok(RefineOptions {
            initial_threshold: self.initial_threshold,
            merge_threshold: self.merge_threshold,
            outlier_threshold,
            min_faces: self.min_faces,
            gates: self.gates.gates()?,
            link: link.into(),
        })
    }
}

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cache
    cache: PathBuf,
    /// Folder for the result
    out: PathBuf,
    #[command(flatten)]
    refine: RefineArgs,
    /// In groups of 4 or more, faces farther from the centroid are dropped; equal is kept
    #[arg(long, value_name = "DISTANCE", default_value = "0.55", value_parser = distance)]
    outlier_threshold: CosineDistance,
    #[command(flatten)]
    people: PeopleArgs,
    /// How photos get into the folders
    #[arg(long, value_enum, default_value = "copy")]
    link: Link,
    /// Say what would be written
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// Runs it.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Report> {
    let options = args.refine.options(args.link, args.outlier_threshold)?;
    let report = with_ctx(context, None, |ctx| {
        let cache = load_cache(&args.cache, ctx)?;
        let mut plan = refine::plan(&cache, &args.cache, &options, ctx)?;
        let folder = args.people.folder(&args.out);
        let registry = people::load_under_way(&folder, ctx)?;
        for note in refine::keep_numbers(&mut plan, &registry, &cache, &folder)? {
            ctx.progress.note(&note);
        }
        if args.dry_run {
            Ok(plan.report().clone())
        } else {
            refine::apply(&plan, &args.out, ctx)
        }
    })
    .map_err(for_people)?;
    Ok(Report::done(text(&report), json("refine", &report)))
}

/// The summary for people.
pub(crate) fn text(report: &RefineReport) -> String {
    format!(
        "{} from {} ({} in sets); {} merged, {} dropped by quality, {} outliers, {} too small",
        count(report.facesets, "set", "sets"),
        count(report.faces, "face", "faces"),
        report.faces_in_sets,
        count(report.merged_groups, "group", "groups"),
        report.gated,
        report.outliers,
        count(report.too_small, "group", "groups")
    )
}
