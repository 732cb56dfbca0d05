//! `replay`: what the server has forgotten of a journal is decided again.

use std::path::PathBuf;

use face_fix::{Engine, Journal, Plan, plan_replay};
use faceset_cli::{Context, Report};

use super::{apply, verify};
use crate::session::{SessionArgs, block_on, for_people, now, whole};

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The journal to replay; its decisions are written to --journal again
    #[arg(long, value_name = "FILE")]
    pub(super) from: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, session: &SessionArgs, context: &Context) -> anyhow::Result<Report> {
    block_on(async {
        let (engine, start) = session.engine().await?;
        let (plan, found) = plan(args, &engine, session, context).await?;
        let mut report = apply::carry_out(&engine, &start, &plan, context).await?;
        report.text = format!("before:\n{found}\n{}", report.text);
        Ok(report)
    })
}

/// The plan, and what was found in words. Fails after Ctrl-C: of a part of the journal
/// nothing is planned.
pub(super) async fn plan(
    args: &Args,
    engine: &Engine,
    session: &SessionArgs,
    context: &Context,
) -> anyhow::Result<(Plan, String)> {
    let past = match &args.from {
        Some(path) => Journal::read(path).map_err(for_people)?,
        None => engine.look(Clone::clone),
    };
    let replay = plan_replay(
        engine.client(),
        &past,
        engine.user(),
        &session.blank(),
        context.progress(),
        &context.cancel,
    )
    .await
    .map_err(for_people)?;
    if replay.report.cut_short {
        whole(context)?;
    }
    let from = args.from.as_deref().unwrap_or(session.journal_path());
    let what = format!("replay of {}", from.display());
    let plan = Plan::new(now(), engine, what, replay.transactions);
    Ok((plan, verify::found(&replay.report)))
}
