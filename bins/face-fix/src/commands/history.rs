//! `history`: what the journal tells, without a server and without its lock.

use face_fix::Journal;
use faceset_cli::Report;
use serde_json::json;

use crate::session::{SessionArgs, for_people};
use crate::words;

pub(crate) fn run(session: &SessionArgs) -> anyhow::Result<Report> {
    let past = Journal::read(session.journal_path()).map_err(for_people)?;
    let rows: Vec<_> = past
        .transactions()
        .iter()
        .map(|past| json!({ "standing": past.standing(), "transaction": past }))
        .collect();
    let mut lines: Vec<String> = past.transactions().iter().map(words::past).collect();
    lines.push(words::count(rows.len(), "transaction", "transactions"));
    Ok(Report::done(
        lines.join("\n"),
        json!({ "transactions": rows }),
    ))
}
