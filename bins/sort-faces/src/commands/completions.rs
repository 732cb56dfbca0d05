//! `completions`: a script for the user's shell.

use clap::CommandFactory;
use clap_complete::Shell;
use faceset_cli::Report;

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

/// The script as the report.
pub(crate) fn run<Cli: CommandFactory>(args: &Args) -> Report {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "sort-faces", &mut script);
    let text = String::from_utf8_lossy(&script).into_owned();
    Report::done(
        text.clone(),
        serde_json::json!({"command": "completions", "script": text}),
    )
}
