//! `era`: a person's looks over the years.

use std::path::PathBuf;

use clap::Subcommand;
use faceset_cli::{Context, Report};
use faceset_core::CosineDistance;
use faceset_era::{AttachRule, SplitRule};
use faceset_export::{ExportReport, Outcome};
use faceset_pipeline::cluster::load_cache;
use faceset_pipeline::era::{
    self, Counts, EraOptions, EraPlan, EraProbe, ExtendReport, SplitReport,
};
use faceset_pipeline::roots_known_as;
use serde::Serialize;
use serde_json::json;

use super::count;
use crate::args::{EngineArgs, GateArgs, distance};
use crate::export_args::ExportArgs;
use crate::session::{engine, for_people, with_ctx};

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Measure: distances, sub-clusters, years, and whether splitting makes sense
    Probe {
        #[command(flatten)]
        who: Who,
        /// Write the page here [default: _eras/faceset_NNN.html in the swap-ready folder]
        #[arg(long, value_name = "FILE", conflicts_with = "no_page")]
        page: Option<PathBuf>,
        /// Write no page and remember no dates
        #[arg(long)]
        no_page: bool,
    },
    /// Split into eras (an earlier split of the person is replaced, moved to _dropped)
    Split(Box<Making>),
    /// Add new faces to the eras that are there; anchors stay
    Extend(Box<Making>),
}

#[derive(Debug, clap::Args)]
struct Who {
    /// Number, folder or name
    person: String,
    /// The cache that the person's set was made from
    #[arg(long, value_name = "FILE")]
    cache: PathBuf,
    /// The swap-ready folder, which holds the registry
    #[arg(long = "in", value_name = "DIR", default_value = "facesets_swap_ready")]
    folder: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Making {
    #[command(flatten)]
    who: Who,
    /// Only faces below this folder; may be repeated [default: the whole cache]
    #[arg(long, value_name = "DIR")]
    root: Vec<String>,
    /// Farthest face that is recovered; equal is
    #[arg(long, value_name = "DISTANCE", default_value = "0.55", value_parser = distance)]
    recovery: CosineDistance,
    /// Farthest face that stays once the direction was made anew; equal does
    #[arg(long, value_name = "DISTANCE", default_value = "0.50", value_parser = distance)]
    tighten: CosineDistance,
    /// Cut between looks; equal stays apart
    #[arg(long, value_name = "DISTANCE", default_value = "0.35", value_parser = distance)]
    threshold: CosineDistance,
    /// Faces that make an anchor, and an era that is not thin (never more than 20 there);
    /// `extend` takes what the split said
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..))]
    anchor_min: u32,
    /// Farthest fragment that joins an anchor; equal joins
    #[arg(long, value_name = "DISTANCE", default_value = "0.40", value_parser = distance)]
    attach: CosineDistance,
    /// Most years between a fragment and an anchor; equal joins
    #[arg(long, value_name = "YEARS", default_value_t = 5, value_parser = clap::value_parser!(i32).range(0..=200))]
    attach_years: i32,
    /// export: faces farther from the era's centroid are dropped; equal is kept
    #[arg(long, value_name = "DISTANCE", default_value = "0.45", value_parser = distance)]
    outlier_threshold: CosineDistance,
    #[command(flatten)]
    gates: GateArgs,
    #[command(flatten)]
    export: ExportArgs,
    /// Say what would be written, write nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[command(flatten)]
    engine: EngineArgs,
}

impl Args {
    /// False for what only looks.
    pub(crate) fn writes(&self) -> bool {
        match &self.action {
            Action::Probe { .. } => false,
            Action::Split(making) | Action::Extend(making) => !making.dry_run,
        }
    }
}

impl Who {
    fn options(&self) -> EraOptions {
        EraOptions::new(self.person.clone(), self.cache.clone(), self.folder.clone())
    }
}

impl Making {
    fn options(&self) -> anyhow::Result<EraOptions> {
        Ok(EraOptions {
            roots: roots_known_as(&self.root).map_err(for_people)?,
            recovery: self.recovery,
            gates: self.gates.gates()?,
            rule: SplitRule {
                tighten: self.tighten,
                threshold: self.threshold,
                anchor_min: self.anchor_min as usize,
                attach: AttachRule {
                    distance: self.attach,
                    years: self.attach_years,
                },
            },
            export: self.export.options(self.outlier_threshold)?,
            ..self.who.options()
        })
    }
}

/// Runs it.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Report> {
    match &args.action {
        Action::Probe { who, page, no_page } => {
            let (found, page) = with_ctx(context, None, |ctx| {
                let cache = load_cache(&who.cache, ctx)?;
                let found = era::probe(&cache, &who.options(), !no_page, ctx)?;
                let default = || {
                    who.folder
                        .join("_eras")
                        .join(format!("{}.html", found.name))
                };
                let page = match no_page {
                    true => None,
                    false => {
                        let path = page.clone().unwrap_or_else(default);
                        Some(era::write_page(&found, &path)?)
                    }
                };
                Ok((found, page))
            })
            .map_err(for_people)?;
            let mut lines = probe_lines(&found);
            lines.extend(page.map(|p| format!("look at     {}", p.display())));
            let json = super::json("era probe", &found);
            Ok(Report::done(lines.join("\n"), json))
        }
        Action::Split(making) => make(making, context, "era split", era::plan_split, split_lines),
        Action::Extend(making) => make(
            making,
            context,
            "era extend",
            era::plan_extend,
            extend_lines,
        ),
    }
}

/// Plans, and unless it is a dry run, writes.
fn make<R: Serialize>(
    making: &Making,
    context: &Context,
    command: &str,
    plan: impl FnOnce(
        &faceset_cache::Cache,
        &EraOptions,
        bool,
        faceset_pipeline::Ctx<'_>,
    ) -> Result<EraPlan<R>, faceset_pipeline::PipelineError>,
    lines: impl FnOnce(&R) -> Vec<String>,
) -> anyhow::Result<Report> {
    let options = making.options()?;
    let jobs = making.engine.jobs();
    let (cache, plan) = with_ctx(context, jobs, |ctx| {
        let cache = load_cache(&options.cache, ctx)?;
        let plan = plan(&cache, &options, !making.dry_run, ctx)?;
        Ok((cache, plan))
    })
    .map_err(for_people)?;
    let mut lines = lines(&plan.report);
    if making.dry_run {
        lines.extend(plan.lines.iter().map(era_line));
        lines.extend(
            plan.export
                .refused
                .iter()
                .map(|r| format!("{} would be refused: {}", r.name, r.reason)),
        );
        lines.extend(
            plan.export
                .retired
                .iter()
                .map(|n| format!("{n} would be moved aside")),
        );
        return Ok(Report::done(lines.join("\n"), super::json(command, &plan)));
    }
    let engine = engine(&making.engine, context)?;
    let report = with_ctx(context, jobs, |ctx| {
        era::apply(&plan, &cache, &engine, &options.swap_ready, ctx)
    })
    .map_err(for_people)?;
    lines.extend(exported(&plan, &report));
    let json = json!({
        "command": command, "report": plan.report, "eras": plan.lines, "export": report,
    });
    Ok(Report::done(lines.join("\n"), json))
}

fn title(name: &str, label: Option<&String>) -> String {
    label.map_or_else(|| name.to_owned(), |l| format!("{name} ({l})"))
}

fn probe_lines(found: &EraProbe) -> Vec<String> {
    let probe = &found.probe;
    let number = |d: Option<f64>| d.map_or_else(|| "none".to_owned(), |d| format!("{d:.3}"));
    let mut lines = vec![
        format!(
            "{}: {} in the cache",
            title(&found.name, found.label.as_ref()),
            count(probe.n_faces, "face", "faces")
        ),
        format!(
            "distances   mean {}, median {}, largest {}",
            number(probe.mean),
            number(probe.median),
            number(probe.max)
        ),
    ];
    let n_pairs: u64 = probe.bins.iter().map(|b| b.n_pairs).sum();
    lines.extend(probe.bins.iter().map(|b| {
        format!(
            "  {:.1} to {:.1}   {:>10}  {:>5.1} %",
            b.from,
            b.to,
            b.n_pairs,
            100.0 * b.n_pairs as f64 / n_pairs.max(1) as f64
        )
    }));
    lines.extend(probe.sweeps.iter().map(|s| {
        let top: Vec<String> = s.top.iter().map(ToString::to_string).collect();
        format!(
            "at {:.2}     {}, {} of 10 faces or more; largest {}",
            s.threshold.get(),
            count(s.n_clusters, "sub-cluster", "sub-clusters"),
            s.n_big,
            top.join(", ")
        )
    }));
    for cluster in probe.clusters.iter().take(5) {
        let years: Vec<String> = cluster
            .years
            .by_year
            .iter()
            .map(|(year, n)| format!("{year}: {n}"))
            .collect();
        lines.push(format!(
            "  {}, median year {}: {}; {} undated",
            count(cluster.rows.len(), "face", "faces"),
            cluster
                .years
                .median()
                .map_or_else(|| "none".to_owned(), |y| y.to_string()),
            if years.is_empty() {
                "no dates".to_owned()
            } else {
                years.join(", ")
            },
            cluster.years.undated
        ));
    }
    lines.push(format!("dates       {}", found.years.in_words()));
    lines.push(format!("verdict     {}", found.verdict));
    lines
}

fn counts_line(counts: &Counts) -> String {
    let gated: Vec<String> = counts
        .gated
        .iter()
        .map(|(gate, n)| format!("{n} {gate}"))
        .collect();
    format!(
        "{} looked at: {} too far, {} somebody else's, {} refused by a person, gates dropped {}; {} kept",
        count(counts.considered, "face", "faces"),
        counts.far,
        counts.others,
        counts.refused,
        if gated.is_empty() {
            "none".to_owned()
        } else {
            gated.join(", ")
        },
        counts.kept
    )
}

fn split_lines(report: &SplitReport) -> Vec<String> {
    vec![
        format!(
            "{}: {} made the direction",
            title(&report.name, report.label.as_ref()),
            count(report.n_seed, "face", "faces")
        ),
        counts_line(&report.faces),
        format!(
            "{} dropped once the direction was made anew",
            count(report.loose, "face", "faces")
        ),
        format!(
            "{}; fragments: {} joined one, {} too far, {} of other years, {} undated, {} without an anchor to join",
            count(report.anchors, "anchor", "anchors"),
            report.attached,
            report.too_far,
            report.other_years,
            report.undated,
            report.no_anchor
        ),
        report.years.in_words(),
        format!(
            "{}, {} thin",
            count(report.eras, "era", "eras"),
            report.thin
        ),
    ]
}

fn extend_lines(report: &ExtendReport) -> Vec<String> {
    let mut lines = vec![
        title(&report.name, report.label.as_ref()),
        counts_line(&report.faces),
        format!(
            "{} in an era already, {} join one; stay out: {} too far, {} of other years, {} undated, {} without an anchor to join",
            report.known,
            report.joined.values().sum::<usize>(),
            report.too_far,
            report.other_years,
            report.undated,
            report.no_anchor
        ),
    ];
    lines.extend(
        report
            .joined
            .iter()
            .map(|(name, n)| format!("  {name}: {n} more")),
    );
    lines.extend(report.without_anchor.iter().map(|name| {
        format!("  {name} takes nothing: too few of its anchor's faces are in the cache")
    }));
    lines.push(report.years.in_words());
    lines
}

fn era_line(line: &era::EraLine) -> String {
    format!(
        "  {}{}: {} ({} the anchor's), {} to export",
        if line.thin { "_thin/" } else { "" },
        line.name,
        count(line.n_faces, "face", "faces"),
        line.n_anchor,
        line.n_export
    )
}

fn exported<R>(plan: &EraPlan<R>, report: &ExportReport) -> Vec<String> {
    let mut lines = report.warnings.clone();
    for set in &report.sets {
        let thin = plan.lines.iter().any(|l| l.name == set.name && l.thin);
        let place = if thin { "_thin/" } else { "" };
        lines.push(match set.outcome {
            Outcome::Written | Outcome::Unchanged => format!(
                "  {place}{}: {} exported",
                set.name,
                count(set.n_exported, "face", "faces")
            ),
            Outcome::Empty => format!("  {}: nothing left after the export's gates", set.name),
            Outcome::Refused => format!(
                "  {}: refused, {}",
                set.name,
                set.reason.as_deref().unwrap_or("no reason given")
            ),
            Outcome::Unreadable => {
                let why = set.reason.as_deref();
                let why = why.unwrap_or("no photo could be read; what was there stays");
                format!("  {}: {why}", set.name)
            }
        });
    }
    lines
}
