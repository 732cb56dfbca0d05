//! `check`: what the key may do, and what an earlier run left open.

use faceset_cli::Report;
use serde_json::json;

use crate::session::{SessionArgs, block_on};
use crate::words;

pub(crate) fn run(session: &SessionArgs) -> anyhow::Result<Report> {
    let (engine, start) = block_on(session.engine())?;
    let n = engine.history().len();
    let text = format!(
        "Immich {} at {}\n{}journal {}: {}",
        start.server_version,
        engine.client().base_url(),
        words::start(&start),
        session.journal_path().display(),
        words::count(n, "transaction", "transactions"),
    );
    Ok(Report::done(
        text,
        json!({ "start": start, "n_transactions": n }),
    ))
}
