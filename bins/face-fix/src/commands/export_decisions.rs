//! `export-decisions`: what was decided about faces, for the registry of face-sets.

use std::path::PathBuf;

use face_fix::{Journal, export_decisions};
use faceset_cli::{Context, Report};
use serde_json::json;

use crate::session::{QueueArgs, SessionArgs, for_people, own_faces, whole};
use crate::words::count;

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cache of face-sets whose faces are meant
    #[arg(long, value_name = "FILE")]
    cache: PathBuf,
    #[command(flatten)]
    queue: QueueArgs,
    /// The file to write; `sort-faces people import-decisions` takes it in
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Asks no server and takes no lock.
pub(crate) fn run(args: &Args, session: &SessionArgs, context: &Context) -> anyhow::Result<Report> {
    let past = Journal::read(session.journal_path()).map_err(for_people)?;
    let (cache, own) = own_faces(&args.cache, &args.queue, context)?;
    let (decisions, report) = export_decisions(&past, &cache, &own);
    whole(context)?;
    if !session.is_dry() {
        let mut bytes = serde_json::to_vec_pretty(&decisions)?;
        bytes.push(b'\n');
        faceset_fs::write_atomic(&args.out, &bytes).map_err(for_people)?;
    }
    let verb = if session.is_dry() { "would be" } else { "are" };
    let text = format!(
        "decisions about {} {verb} in {}; left out: {} of photos that are not in the cache, {} \
         where the cache has no face, {} that can't be told apart, {} without a place in the \
         original",
        count(report.n_exported, "face", "faces"),
        args.out.display(),
        report.n_photo_unknown,
        report.n_face_unknown,
        report.n_ambiguous,
        report.n_no_box,
    );
    Ok(Report::done(
        text,
        json!({ "export": report, "decisions": decisions }),
    ))
}
