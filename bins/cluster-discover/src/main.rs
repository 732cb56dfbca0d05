//! `cluster-discover`: sets of people nobody has a set of yet, numbered past
//! the last, from any folder of a cache or from the cache of an Immich user.
//!
//! Flags to options, reports to words; the work is `faceset_pipeline::discover`.

mod words;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use faceset_cache::{FileRow, FileTable, Found};
use faceset_cli::{Context, GlobalArgs, Report};
use faceset_core::{CosineDistance, FacesetNumber};
use faceset_pipeline::cluster::load_cache;
use faceset_pipeline::discover::{self, DiscoverOptions, DiscoverReport, STEP};
use faceset_pipeline::roots_known_as;
use serde_json::json;
use sort_faces::args::{ContextArgs, EngineArgs, GateArgs, distance};
use sort_faces::export_args::ExportArgs;
use sort_faces::session::{engine, for_people, quiet_decoder_panics, with_ctx};

/// Finds people in CACHE that no set of the swap-ready folder shows yet, and exports a set
/// of each, numbered past the last. Sets that are there are not touched.
#[derive(Debug, Parser)]
#[command(name = "cluster-discover", version)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    /// The cache: that of the collection, or one of an Immich user
    cache: PathBuf,
    /// The swap-ready folder, which holds the registry
    #[arg(long = "in", value_name = "DIR", default_value = "facesets_swap_ready")]
    folder: PathBuf,
    /// Only photos that lie below this folder, also as a copy; may be repeated
    /// [default: the whole cache]
    #[arg(long, value_name = "DIR")]
    root: Vec<String>,
    /// Word for the new sets: names the file WORD.txt in each
    /// [default: the last part of the first root, else the name of the cache]
    #[arg(long, value_name = "WORD")]
    marker: Option<String>,
    /// Another cache, in which the faces of known people are found; may be repeated
    #[arg(long, value_name = "FILE")]
    known: Vec<PathBuf>,
    /// Farthest face from a known person that is theirs; equal is
    #[arg(long, value_name = "DISTANCE", default_value = "0.45", value_parser = distance)]
    match_threshold: CosineDistance,
    #[command(flatten)]
    context: ContextArgs,
    /// Cut of the grouping; equal stays apart
    #[arg(long, value_name = "DISTANCE", default_value = "0.55", value_parser = distance)]
    threshold: CosineDistance,
    /// refine: in groups of four or more, faces farther from the centroid are dropped; equal is kept
    #[arg(long, value_name = "DISTANCE", default_value = "0.55", value_parser = distance)]
    refine_outlier_threshold: CosineDistance,
    /// export: faces farther from the centroid are dropped; equal is kept
    #[arg(long, value_name = "DISTANCE", default_value = "0.45", value_parser = distance)]
    export_outlier_threshold: CosineDistance,
    /// Photos that a new set needs; equal is kept
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    min_faces: u32,
    /// First number at the earliest; never below one that was ever given
    #[arg(long, value_name = "NNN", value_parser = clap::value_parser!(u32).range(1..=999_999_999))]
    start: Option<u32>,
    #[command(flatten)]
    gates: GateArgs,
    #[command(flatten)]
    export: ExportArgs,
    /// Say what would be found and exported, write nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[command(flatten)]
    engine: EngineArgs,
}

impl Cli {
    fn options(&self) -> anyhow::Result<DiscoverOptions> {
        Ok(DiscoverOptions {
            roots: roots_known_as(&self.root).map_err(for_people)?,
            marker: self.marker(),
            match_threshold: self.match_threshold,
            context: self.context.rules(),
            threshold: self.threshold,
            outlier_threshold: self.refine_outlier_threshold,
            min_faces: self.min_faces as usize,
            gates: self.gates.gates()?,
            start: self.start.map(FacesetNumber::new).transpose()?,
            export: self.export.options(self.export_outlier_threshold)?,
        })
    }

    fn marker(&self) -> String {
        let named = |path: &Path| {
            path.file_stem()
                .map(|name| name.to_string_lossy().into_owned())
        };
        self.marker
            .clone()
            .or_else(|| named(Path::new(self.root.first()?)))
            .or_else(|| named(&self.cache))
            .unwrap_or_else(|| DiscoverOptions::default().marker)
    }
}

fn main() -> ExitCode {
    quiet_decoder_panics();
    let log = |cli: &Cli| (!cli.dry_run).then(|| (PathBuf::from("work").join("logs"), STEP));
    faceset_cli::run(
        |cli: &Cli| &cli.global,
        log,
        |cli, context| run(&cli, context),
    )
}

/// Whether the cache is there and holds photos without faces only, as that of a library
/// may: no mistake, and nothing to do.
fn holds_no_face(cache: &Path) -> bool {
    let Ok((table, _)) = FileTable::load(cache) else {
        return false;
    };
    let has_faces = |row: FileRow<'_>| matches!(row.found, Found::Faces(n) if n > 0);
    !table.files().any(has_faces)
}

fn run(cli: &Cli, context: &Context) -> anyhow::Result<Report> {
    let options = cli.options()?;
    if cli.root.is_empty() && holds_no_face(&cli.cache) {
        let nothing = DiscoverReport::default();
        return Ok(Report::done(
            format!(
                "{}: no face on any photo; nothing to find",
                cli.cache.display()
            ),
            json!({"command": STEP, "dry_run": cli.dry_run, "resumed": false, "report": nothing,
                   "export": faceset_export::ExportReport::default()}),
        ));
    }
    let jobs = cli.engine.jobs();
    let (cache, plan) = with_ctx(context, jobs, |ctx| {
        let cache = load_cache(&cli.cache, ctx)?;
        let mut others = Vec::new();
        for path in &cli.known {
            others.push((path.as_path(), load_cache(path, ctx)?));
        }
        let others: Vec<_> = others.iter().map(|(path, cache)| (*path, cache)).collect();
        let plan = discover::plan(&cache, &cli.cache, &others, &cli.folder, &options, ctx)?;
        Ok((cache, plan))
    })
    .map_err(for_people)?;
    let mut lines = words::found(&plan);
    if cli.dry_run {
        lines.extend(words::foreseen(&plan));
        return Ok(Report::done(
            lines.join("\n"),
            json!({"command": STEP, "dry_run": true, "resumed": plan.resumed, "report": plan.report, "export": plan.export}),
        ));
    }
    // Without a new set no model is needed.
    let report = if plan.manifest.facesets.is_empty() {
        faceset_export::ExportReport::default()
    } else {
        let engine = engine(&cli.engine, context)?;
        with_ctx(context, jobs, |ctx| {
            discover::apply(&plan, &cache, &engine, &cli.folder, ctx)
        })
        .map_err(for_people)?
    };
    lines.extend(words::exported(&plan, &report));
    Ok(Report::done(
        lines.join("\n"),
        json!({"command": STEP, "dry_run": false, "resumed": plan.resumed, "report": plan.report, "export": report}),
    ))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_marker_comes_from_the_root_then_from_the_cache() {
        let of = |arguments: &[&str]| {
            let whole = [&["cluster-discover", "/c/immich_a.npz"], arguments].concat();
            Cli::parse_from(whole).marker()
        };
        assert_eq!(of(&[]), "immich_a");
        assert_eq!(of(&["--root", "/p/osrc/"]), "osrc");
        assert_eq!(of(&["--root", "/p/osrc", "--marker", "x"]), "x");
    }
}
