//! `cluster`.

use std::path::PathBuf;

use faceset_cli::{Context, Report};
use faceset_cluster::DbscanOptions;
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
    /// The rule that makes groups
    #[arg(long, value_enum, default_value = "linkage")]
    algorithm: Algorithm,
    /// For linkage: groups nearer than this cosine distance merge; equal stays apart [default: 0.55]
    #[arg(long, value_name = "DISTANCE", value_parser = distance)]
    threshold: Option<CosineDistance>,
    /// For dbscan and immich: where --eps and --min-points come from [default: doc for dbscan,
    /// immich for immich]
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    /// For dbscan and immich: faces at most this far apart are neighbours; equal is
    #[arg(long, value_name = "DISTANCE", value_parser = distance)]
    eps: Option<CosineDistance>,
    /// For dbscan and immich: neighbours that found a group, the face itself included
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    min_points: Option<u32>,
    /// How photos get into the folders
    #[arg(long, value_enum, default_value = "copy")]
    link: Link,
    /// Say what would be written
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// Rules that make groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Algorithm {
    /// Average linkage
    Linkage,
    /// Density (DBSCAN)
    Dbscan,
    /// One face after the other to the person of its nearest neighbour, as an Immich server does
    Immich,
}

/// Named values of --eps and --min-points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Preset {
    /// 0.6 and 3: Immich's workflow document
    Doc,
    /// 0.5 and 3: an Immich server as installed
    Immich,
}

impl Args {
    fn options(&self) -> anyhow::Result<ClusterOptions> {
        let is_linkage = self.algorithm == Algorithm::Linkage;
        let has_density = self.preset.is_some() || self.eps.is_some() || self.min_points.is_some();
        if is_linkage && has_density {
            anyhow::bail!(
                "--preset, --eps and --min-points are for --algorithm dbscan and immich; average linkage has --threshold"
            );
        }
        if !is_linkage && self.threshold.is_some() {
            anyhow::bail!("--threshold is for --algorithm linkage; dbscan and immich have --eps");
        }
        let usual = match self.algorithm {
            Algorithm::Immich => Preset::Immich,
            Algorithm::Dbscan | Algorithm::Linkage => Preset::Doc,
        };
        let preset = match self.preset.unwrap_or(usual) {
            Preset::Doc => DbscanOptions::DOC,
            Preset::Immich => DbscanOptions::IMMICH,
        };
        let n = self.min_points.map_or(preset.min_points(), |n| n as usize);
        let density = DbscanOptions::new(self.eps.unwrap_or(preset.eps()), n)?;
        Ok(ClusterOptions {
            algorithm: match self.algorithm {
                Algorithm::Linkage => cluster::Algorithm::Linkage,
                Algorithm::Dbscan => cluster::Algorithm::Dbscan(density),
                Algorithm::Immich => cluster::Algorithm::Immich(density),
            },
            threshold: self.threshold.unwrap_or(cluster::CLUSTER_THRESHOLD),
            link: self.link.into(),
        })
    }
}

/// Runs it.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Report> {
    let options = args.options()?;
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
