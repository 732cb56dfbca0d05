//! `undo`: a transaction is taken back.

use anyhow::Context as _;
use face_fix::TransactionId;
use faceset_cli::{Exit, Report};
use serde_json::json;

use crate::session::{SessionArgs, block_on, for_people, now};
use crate::words;

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its number in the history, or `last`: the newest that a person decided or a plan sent
    transaction: String,
}

pub(crate) fn run(args: &Args, session: &SessionArgs) -> anyhow::Result<Report> {
    block_on(async {
        let (engine, start) = session.engine().await?;
        let id = if args.transaction == "last" {
            let last = engine.look(|past| past.last_decision(None).map(|past| past.id));
            last.context("nothing is left to undo")?
        } else {
            let number = args.transaction.parse::<TransactionId>();
            number.with_context(|| format!("{:?} is no number of the history", args.transaction))?
        };
        let report = engine
            .undo(id, now(), session.who())
            .await
            .map_err(for_people)?;
        let exit = match (report.done, report.is_complete()) {
            (false, _) => Exit::Paused,
            (true, true) => Exit::Ok,
            (true, false) => Exit::Error,
        };
        Ok(Report {
            text: format!("{}{}", words::start(&start), words::undo(&report)),
            json: json!({ "start": start, "undo": report }),
            exit,
        })
    })
}
