//! `merge-caches`.

use std::path::PathBuf;

use faceset_cli::{Context, Report};
use faceset_pipeline::merge_caches::{self, MergeCachesReport};

use super::{count, json};
use crate::session::{for_people, with_ctx};

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The new cache, `.npz`; must not exist
    out: PathBuf,
    /// Caches to merge, all of one model pack; they stay as they are
    #[arg(value_name = "CACHE", required = true)]
    caches: Vec<PathBuf>,
    /// Say what would be written
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// Runs it.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Report> {
    let report = with_ctx(context, None, |ctx| {
        let plan = merge_caches::plan(&args.caches, &args.out, ctx)?;
        if args.dry_run {
            Ok(plan.report().clone())
        } else {
            merge_caches::apply(plan, ctx)
        }
    })
    .map_err(for_people)?;
    Ok(Report::done(text(&report), json("merge-caches", &report)))
}

fn text(report: &MergeCachesReport) -> String {
    let mut lines: Vec<String> = report
        .inputs
        .iter()
        .map(|input| {
            format!(
                "{}: {}, {}",
                input.path.display(),
                count(input.files, "photo", "photos"),
                count(input.faces, "face", "faces")
            )
        })
        .collect();
    for path in &report.repeated {
        lines.push(format!("{}: named twice, taken once", path.display()));
    }
    for path in &report.superseded {
        lines.push(format!(
            "{path} had other bytes in another cache; the later state was taken"
        ));
    }
    if report.dropped > 0 {
        lines.push(format!(
            "{} left out: other bytes are at every place where they were",
            count(report.dropped, "photo", "photos")
        ));
    }
    lines.push(format!(
        "{} {}: {}, {} ({} in more than one cache)",
        if report.written {
            "written to"
        } else {
            "would be written to"
        },
        report.out.display(),
        count(report.files, "photo", "photos"),
        count(report.faces, "face", "faces"),
        report.shared
    ));
    lines.join("\n")
}
