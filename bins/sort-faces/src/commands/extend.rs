//! `extend`.

use std::path::PathBuf;

use faceset_cli::{Context, Report};
use faceset_core::CosineDistance;
use faceset_pipeline::cluster::load_cache;
use faceset_pipeline::extend::{self, ExtendOptions, ExtendReport, ExtendSources};
use faceset_pipeline::people;

use super::{count, json};
use crate::args::{ContextArgs, GateArgs, Link, PeopleArgs, distance};
use crate::session::{for_people, with_ctx};

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cache, with the new photos embedded
    cache: PathBuf,
    /// The output of `cluster`
    raw_out: PathBuf,
    /// The output of `refine`: its sets are fed, too
    #[arg(long, value_name = "DIR")]
    refine_out: Option<PathBuf>,
    /// Farthest a face may be from a person's centroid; equal joins
    #[arg(long, value_name = "DISTANCE", default_value = "0.45", value_parser = distance)]
    match_threshold: CosineDistance,
    /// Cut of the grouping of faces that matched nobody; equal stays apart
    #[arg(long, value_name = "DISTANCE", default_value = "0.55", value_parser = distance)]
    cluster_threshold: CosineDistance,
    /// Faces farther from a set's centroid do not join the set; equal does
    #[arg(long, value_name = "DISTANCE", default_value = "0.55", value_parser = distance)]
    outlier_threshold: CosineDistance,
    /// Distinct photos that a set needs: new people with as many are told
    #[arg(long, value_name = "N", default_value_t = 15)]
    min_faces: usize,
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    gates: GateArgs,
    #[command(flatten)]
    people: PeopleArgs,
    /// How photos get into the folders [default: as those that are there]
    #[arg(long, value_enum)]
    link: Option<Link>,
    /// Say where each new face would go, write nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// Runs it.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Report> {
    let options = ExtendOptions {
        match_threshold: args.match_threshold,
        cluster_threshold: args.cluster_threshold,
        outlier_threshold: args.outlier_threshold,
        gates: args.gates.gates()?,
        min_faces: args.min_faces,
        context: args.context.rules(),
        link: args.link.map(Into::into),
    };
    let sources = ExtendSources {
        cache: args.cache.clone(),
        raw: args.raw_out.clone(),
        refined: args.refine_out.clone(),
    };
    let folder = args.people.folder(&args.raw_out);
    let report = with_ctx(context, None, |ctx| {
        let cache = load_cache(&args.cache, ctx)?;
        let registry = people::load(&folder, ctx)?;
        let plan = extend::plan(&cache, &sources, &options, &registry, ctx)?;
        if args.dry_run {
            Ok(plan.report().clone())
        } else {
            extend::apply(&plan, &sources, ctx)
        }
    })
    .map_err(for_people)?;
    Ok(Report::done(text(&report), json("extend", &report)))
}

/// The summary for people.
fn text(report: &ExtendReport) -> String {
    let mut lines = report.notes.clone();
    lines.push(format!(
        "{} new of {}: {} joined known people, {} in {}, {} alone",
        count(report.new, "face", "faces"),
        report.faces,
        report.matched,
        report.in_new_persons,
        count(report.new_persons.len(), "new person", "new people"),
        report.alone
    ));
    if report.refused > 0 {
        lines.push(format!(
            "{} kept from the nearest person by what somebody said",
            count(report.refused, "face", "faces")
        ));
    }
    for set in &report.sets {
        lines.push(format!(
            "{}: {} offered, {} added, {} dropped by quality, {} too far",
            set.name, set.offered, set.added, set.gated, set.outliers
        ));
    }
    lines.join("\n")
}
