//! `apply`: a plan file is carried out.

use std::path::PathBuf;

use face_fix::Plan;
use faceset_cli::{Context, Report};
use serde_json::json;

use crate::session::{SessionArgs, block_on, for_people};
use crate::words;

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plan
    plan: PathBuf,
}

pub(crate) fn run(args: &Args, session: &SessionArgs, context: &Context) -> anyhow::Result<Report> {
    let plan = Plan::read(&args.plan).map_err(for_people)?;
    block_on(async {
        let (engine, start) = session.engine().await?;
        carry_out(&engine, &start, &plan, context).await
    })
}

pub(super) async fn carry_out(
    engine: &face_fix::Engine,
    start: &face_fix::Start,
    plan: &Plan,
    context: &Context,
) -> anyhow::Result<Report> {
    let report = face_fix::apply(engine, plan, context.progress(), &context.cancel)
        .await
        .map_err(for_people)?;
    Ok(Report {
        text: format!("{}{}", words::start(start), words::apply(&report)),
        json: json!({ "start": start, "apply": report }),
        exit: words::exit(report.ended.as_ref(), context.cancel.is_cancelled()),
    })
}
