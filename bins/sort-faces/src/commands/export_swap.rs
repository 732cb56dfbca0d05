//! `export-swap`.

use std::path::PathBuf;

use faceset_cli::{Context, Report};
use faceset_core::manifest::ScoreParts;
use faceset_core::{CosineDistance, Score};
use faceset_export::{ExportOptions, ExportPlan, ExportReport, ExportSettings, Outcome};
use faceset_pipeline::cluster::load_cache;
use faceset_pipeline::export::{self, ExportSources};
use faceset_pipeline::{people, tree};
use faceset_quality::Weights;

use super::{count, json};
use crate::args::{EngineArgs, distance};
use crate::session::{engine, for_people, with_ctx};

/// Flags of the export, shared with `sort`.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Export")]
pub(crate) struct ExportArgs {
    /// Faces in the small bundle
    #[arg(long, value_name = "N", default_value_t = 30)]
    top_n: usize,
    /// Margin on each side of the face, as a share of its longer edge
    #[arg(long, value_name = "RATIO", default_value_t = 0.5)]
    pad_ratio: f32,
    /// Edge of the square PNGs
    #[arg(long, value_name = "PX", default_value_t = 512)]
    out_size: u32,
    /// Shortest box edge; equal is kept
    #[arg(long, value_name = "PX", default_value_t = 100.0)]
    min_face_short: f32,
    /// Also rescue single faces into _candidates/ for review by hand
    #[arg(long)]
    candidates: bool,
    /// Farthest a candidate may be from a set; equal is a match
    #[arg(long, value_name = "DISTANCE", default_value = "0.55", value_parser = distance)]
    candidate_match_threshold: CosineDistance,
    /// Smallest composite score of a candidate; equal is kept
    #[arg(long, value_name = "SCORE", default_value_t = 0.40)]
    candidate_min_score: f64,
    /// Weights of the composite score: frontality, det_score, symmetry, size, sharpness
    #[arg(long, value_name = "F,D,S,Z,H", default_value = "0.30,0.20,0.20,0.15,0.15", value_parser = weights)]
    weights: Weights,
    /// Export faces without landmarks and pose, judged by five points only
    #[arg(long)]
    allow_unenriched: bool,
    /// Refuse sets whose person has not agreed, instead of only those who refused
    #[arg(long)]
    require_consent: bool,
}

impl ExportArgs {
    pub(crate) fn options(
        &self,
        outlier_threshold: CosineDistance,
    ) -> anyhow::Result<ExportOptions> {
        Ok(ExportOptions::try_from(ExportSettings {
            outlier_threshold,
            min_face_short: self.min_face_short,
            pad_ratio: self.pad_ratio,
            out_size: self.out_size,
            top_n: self.top_n,
            weights: self.weights,
            allow_unenriched: self.allow_unenriched,
            require_consent: self.require_consent,
            candidates: self.candidates,
            candidate_match_threshold: self.candidate_match_threshold,
            candidate_min_score: Score::new(self.candidate_min_score)?,
            ..ExportSettings::default()
        })?)
    }
}

fn weights(text: &str) -> Result<Weights, String> {
    let values: Vec<f64> = text
        .split(',')
        .map(|v| {
            v.trim()
                .parse()
                .map_err(|_| format!("{v:?} is not a number"))
        })
        .collect::<Result<_, _>>()?;
    let [
        frontality,
        det_score,
        landmark_symmetry,
        face_size,
        sharpness,
    ] = values[..]
    else {
        return Err(format!("{} numbers; expected five", values.len()));
    };
    let parts = ScoreParts {
        frontality,
        det_score,
        landmark_symmetry,
        face_size,
        sharpness,
    };
    Weights::try_from(parts).map_err(|e| e.to_string())
}

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
        let registry = people::load(&args.out, ctx)?;
        let registry = if args.dry_run {
            for line in tree::waiting(&args.out, &registry)? {
                ctx.progress.note(&line);
            }
            registry
        } else {
            for note in people::take_in(&args.out, ctx)? {
                ctx.progress.note(&note);
            }
            people::load(&args.out, ctx)?
        };
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
        let report = export::apply(&plan, &cache, &engine, &args.out, ctx)?;
        for note in people::record_export(&args.out, ctx)? {
            ctx.progress.note(&note);
        }
        Ok(report)
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
