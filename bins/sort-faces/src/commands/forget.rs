//! `forget`: the one command that erases.

use std::path::PathBuf;

use faceset_cli::{Context, Report};
use faceset_pipeline::people;

use super::count;
use crate::session::{for_people, with_ctx};

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Number, folder or name of the person
    person: String,
    /// The swap-ready folder, which holds the registry
    #[arg(long = "in", value_name = "DIR", default_value = "facesets_swap_ready")]
    folder: PathBuf,
    /// Output folder to erase the person from; may be repeated [default: the folder above]
    #[arg(long, value_name = "DIR")]
    root: Vec<PathBuf>,
    /// Cache outside these folders; may be repeated
    #[arg(long, value_name = "FILE")]
    cache: Vec<PathBuf>,
    /// Log file outside these folders; may be repeated
    #[arg(long, value_name = "FILE")]
    log: Vec<PathBuf>,
    /// Yes, erase it for good
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Say what would be erased
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// Runs it.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Report> {
    let roots = if args.root.is_empty() {
        vec![args.folder.clone()]
    } else {
        args.root.clone()
    };
    let lines = with_ctx(context, None, |ctx| {
        let registry = people::load(&args.folder, ctx)?;
        let number = registry.find(&args.person)?.number;
        let forgetting = people::plan_forget(
            &registry,
            number,
            &args.folder,
            &roots,
            &args.log,
            &args.cache,
        )?;
        let mut lines = forgetting.summary();
        if args.yes {
            let (n_faces, report) = people::apply_forget(&forgetting, &args.folder, ctx)?;
            lines.push(format!(
                "erased: {} from caches, {}, {} of manifests, {} of logs",
                count(n_faces, "face", "faces"),
                count(report.n_files, "file", "files"),
                count(report.n_entries, "entry", "entries"),
                count(report.n_lines, "line", "lines")
            ));
        } else {
            lines.push("nothing was erased; add --yes to do it".to_owned());
        }
        Ok(lines)
    })
    .map_err(for_people)?;
    let json = serde_json::json!({"command": "forget", "erased": args.yes, "lines": lines});
    Ok(Report::done(lines.join("\n"), json))
}
