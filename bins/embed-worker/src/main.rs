//! `embed-worker`: a stager's queue in, a cache of faces out, on whatever system
//! and accelerator this is.

mod doctor;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use faceset_cli::GlobalArgs;
use sort_faces::probe;
use sort_faces::session::quiet_decoder_panics;

/// Finds and embeds every face on the photos of a queue that `immich-stage` filled, into a
/// cache that `sort-faces` and `cluster-discover` read. Runs on another machine or system
/// than the stager if need be. Photos are never changed.
#[derive(Debug, Parser)]
#[command(name = "embed-worker", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Embed every photo of QUEUE that CACHE does not have (resumes where it stopped)
    Run(work::Args),
    /// Say which runtime, provider and models a run would use, and what is wrong with them
    Doctor(doctor::Args),
    /// One provider's self-test as JSON; `run` and `doctor` start it, since a driver may crash
    #[command(hide = true)]
    Probe(probe::Args),
}

fn main() -> ExitCode {
    quiet_decoder_panics();
    faceset_cli::run(
        |cli: &Cli| &cli.global,
        |cli| match &cli.command {
            Command::Run(args) if !args.dry_run => {
                Some((PathBuf::from("work").join("logs"), "embed-worker"))
            }
            _ => None,
        },
        |cli, context| match cli.command {
            Command::Run(args) => work::run(&args, context),
            Command::Doctor(args) => Ok(doctor::run(&args, context)),
            Command::Probe(args) => probe::run(&args, context),
        },
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
