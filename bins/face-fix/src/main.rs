//! `face-fix`: corrects misassigned faces in Immich, one sub-command a function.

mod commands;
mod session;
mod words;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use faceset_cli::GlobalArgs;

/// Corrects misassigned faces in Immich. Every decision is written to a journal before
/// it is sent, read back afterwards, and can be undone.
#[derive(Debug, Parser)]
#[command(name = "face-fix", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(flatten)]
    session: session::SessionArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the review page to this machine's browser, until Ctrl-C
    Serve(commands::serve::Args),
    /// Say what the key may do and finish what an earlier run left open
    Check,
    /// List people with their ids, also hidden ones
    People(commands::people::Args),
    /// Write decisions into a plan file, to be looked at; sends nothing
    Plan(commands::plan::Args),
    /// Carry a plan out; the same command goes on after an interruption
    Apply(commands::apply::Args),
    /// Compare the journal with the server; changes nothing
    Verify,
    /// Take a transaction back
    Undo(commands::undo::Args),
    /// Bring back what the server has forgotten of a journal
    Replay(commands::replay::Args),
    /// Every transaction of the journal; asks no server
    History,
    /// Show how well two people can be told apart by the decisions so far
    Coach(commands::coach::Args),
    /// Write whose faces are not whose, and what is no face, for `sort-faces people`
    ExportDecisions(commands::export_decisions::Args),
}

fn main() -> ExitCode {
    faceset_cli::run(
        |cli: &Cli| &cli.global,
        |_| None,
        |cli, context| {
            let session = &cli.session;
            match &cli.command {
                Command::Serve(args) => commands::serve::run(args, session, context),
                Command::Check => commands::check::run(session),
                Command::People(args) => commands::people::run(args, session),
                Command::Plan(args) => commands::plan::run(args, session, context),
                Command::Apply(args) => commands::apply::run(args, session, context),
                Command::Verify => commands::verify::run(session, context),
                Command::Undo(args) => commands::undo::run(args, session),
                Command::Replay(args) => commands::replay::run(args, session, context),
                Command::History => commands::history::run(session),
                Command::Coach(args) => commands::coach::run(args, session, context),
                Command::ExportDecisions(args) => {
                    commands::export_decisions::run(args, session, context)
                }
            }
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
