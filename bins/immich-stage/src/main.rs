//! `immich-stage`: photos with faces from an Immich server, and the chain after them.

mod finalize;
mod stage;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use faceset_cli::GlobalArgs;

/// Fetches the photos with faces of one Immich user into a folder and a queue.
///
/// The API key comes from IMMICH_API_KEY_LABEL (the label in capitals, other letters as
/// underscores) or IMMICH_API_KEY; it needs asset.read, asset.download, face.read and
/// user.read, asset.view for what only the server can render, and asset.statistics for a
/// time left. Run the same command again at any time: it goes on where it stopped, fetches
/// nothing twice and picks up what is new.
#[derive(Debug, Parser)]
#[command(
    name = "immich-stage",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(flatten)]
    stage: Option<stage::Args>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the programs that make facesets of a staged library, each only when it has to
    Finalize(finalize::Args),
}

fn main() -> ExitCode {
    faceset_cli::run(
        |cli: &Cli| &cli.global,
        log_place,
        |cli, context| match (cli.command, cli.stage) {
            (Some(Command::Finalize(args)), _) => finalize::run(&args, context),
            (None, Some(args)) => stage::run(&args, context),
            (None, None) => anyhow::bail!("what to do? See --help"),
        },
    )
}

/// Folder and name of the log.
fn log_place(cli: &Cli) -> Option<(PathBuf, &'static str)> {
    if let Some(Command::Finalize(args)) = &cli.command {
        let writes = !args.dry_run && !args.print_config;
        return Some((args.log_folder().filter(|_| writes)?, "immich-finalize"));
    }
    let args = cli.stage.as_ref().filter(|args| !args.dry_run)?;
    Some((args.root.join("work").join("logs"), "immich-stage"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
