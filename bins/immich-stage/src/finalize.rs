//! The chain from the command line.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use faceset_cli::{Context, Exit, Report};
use faceset_staging::chain::{
    ChainConfig, ChainEnd, ChainReport, STARTING_POINT, plan_chain, run_chain,
};
use serde_json::json;

use crate::stage::for_people;

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The chain: a TOML file, see --print-config
    #[arg(value_name = "CONFIG", required_unless_present = "print_config")]
    config: Option<PathBuf>,
    /// Print a configuration to begin with
    #[arg(long)]
    pub(crate) print_config: bool,
    /// Say which programs would run and why, run nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

impl Args {
    /// Where the chain's log belongs: beside those of staging.
    pub(crate) fn log_folder(&self) -> Option<PathBuf> {
        let config = ChainConfig::read(self.config.as_deref()?).ok()?;
        Some(config.root.join("work").join("logs"))
    }
}

/// Runs it.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Report> {
    if args.print_config {
        return Ok(Report::done(
            STARTING_POINT,
            json!({ "config": STARTING_POINT }),
        ));
    }
    let path = args.config.as_deref().context("which chain? See --help")?;
    let config = ChainConfig::read(path).map_err(for_people)?;
    if args.dry_run {
        let plan = plan_chain(&config).map_err(for_people)?;
        return Ok(Report::done(
            plan.text(),
            json!({"command": "finalize", "plan": plan}),
        ));
    }
    let holder = format!("immich-stage finalize, process {}", std::process::id());
    let own = std::env::current_exe().ok();
    let outcome = run_chain(
        &config,
        own.as_deref().and_then(Path::parent),
        context.progress(),
        &context.cancel,
        &holder,
    )
    .map_err(for_people)?;
    let end = outcome.end;
    let report = ChainReport::gather(&config, outcome).map_err(for_people)?;
    Ok(Report {
        text: report.text(),
        json: json!({"command": "finalize", "report": report}),
        exit: match end {
            ChainEnd::Done => Exit::Ok,
            ChainEnd::Paused => Exit::Paused,
            ChainEnd::Interrupted => Exit::Interrupted,
            ChainEnd::Failed => Exit::Error,
        },
    })
}
