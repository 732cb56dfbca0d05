//! The frame around every command: parse, set up, run, report, exit.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use faceset_core::{CancelToken, Progress};
use serde_json::Value;

use crate::args::GlobalArgs;
use crate::exit::{Exit, Failure};
use crate::home::Home;
use crate::log::LogFile;
use crate::progress::Terminal;

/// What a command hands back for the end of the run.
#[derive(Debug, Clone)]
pub struct Report {
    /// For people, printed on stdout.
    pub text: String,
    /// For programs, printed instead with `--json`.
    pub json: Value,
    /// How it ended.
    pub exit: Exit,
}

impl Report {
    /// A report of a run that did all it set out to do.
    pub fn done(text: impl Into<String>, json: Value) -> Self {
        Self {
            text: text.into(),
            json,
            exit: Exit::Ok,
        }
    }
}

/// What a command may use.
#[derive(Debug, Clone)]
pub struct Context {
    /// Global flags.
    pub global: GlobalArgs,
    /// Where set-up put things.
    pub home: Home,
    /// Set by Ctrl-C and by SIGTERM.
    pub cancel: CancelToken,
    terminal: Arc<Terminal>,
}

impl Context {
    /// The progress sink.
    pub fn progress(&self) -> &dyn Progress {
        self.terminal.as_ref()
    }

    /// The log file of this run.
    pub fn log_path(&self) -> Option<&Path> {
        self.terminal.log_path()
    }
}

/// Runs a binary: `globals` finds the global flags in the parsed arguments,
/// `log_folder` says where this command's log belongs (`None`: it writes none),
/// `command` does the work.
pub fn run<Cli, F>(
    globals: impl FnOnce(&Cli) -> &GlobalArgs,
    log_folder: impl FnOnce(&Cli) -> Option<(PathBuf, &'static str)>,
    command: F,
) -> ExitCode
where
    Cli: CommandFactory + FromArgMatches,
    F: FnOnce(Cli, &Context) -> anyhow::Result<Report>,
{
    let cli = match parse::<Cli>() {
        Ok(cli) => cli,
        Err(exit) => return exit.into(),
    };
    let global = globals(&cli).clone();
    let log = match open_log(&global, log_folder(&cli)) {
        Ok(log) => log,
        Err(error) => return fail(&error, global.json, Exit::Error).into(),
    };
    let context = Context {
        terminal: Arc::new(Terminal::new(
            global.progress,
            global.quiet,
            global.verbose > 0,
            log,
        )),
        global,
        home: Home::from_environment(),
        cancel: CancelToken::default(),
    };
    let arguments: Vec<String> = std::env::args().collect();
    context
        .terminal
        .log_line(&format!("command: {}", redact(&arguments).join(" ")));
    watch_for_interrupts(&context);
    let outcome = command(cli, &context);
    context.terminal.finish();
    match outcome {
        Ok(report) => {
            context
                .terminal
                .log_line(&format!("report: {}", report.json));
            print_report(&report, context.global.json);
            report.exit.into()
        }
        Err(error) => {
            context.terminal.log_line(&format!("failed: {error:#}"));
            let exit = if context.cancel.is_cancelled() {
                Exit::Interrupted
            } else {
                error
                    .downcast_ref::<Failure>()
                    .map_or(Exit::Error, |failure| failure.exit)
            };
            fail(&error, context.global.json, exit).into()
        }
    }
}

fn parse<Cli: CommandFactory + FromArgMatches>() -> Result<Cli, Exit> {
    let command = Cli::command()
        .after_help(crate::EXIT_CODES_HELP)
        .color(color_from_arguments());
    let parsed = command
        .try_get_matches()
        .and_then(|matches: ArgMatches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| {
        // Help and version are answers, not mistakes.
        let exit = match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Ok,
            _ => Exit::Usage,
        };
        let _ = error.print();
        exit
    })
}

/// `--color` must be known before clap prints its own help and errors, the only
/// coloured text there is. `auto` honours NO_COLOR.
fn color_from_arguments() -> clap::ColorChoice {
    let arguments: Vec<String> = std::env::args().collect();
    let value = arguments
        .iter()
        .enumerate()
        .find_map(|(at, argument)| match argument.as_str() {
            "--color" => arguments.get(at + 1).map(String::as_str),
            other => other.strip_prefix("--color="),
        });
    match value {
        Some("always") => clap::ColorChoice::Always,
        Some("never") => clap::ColorChoice::Never,
        _ => clap::ColorChoice::Auto,
    }
}

fn open_log(
    global: &GlobalArgs,
    place: Option<(PathBuf, &'static str)>,
) -> anyhow::Result<Option<LogFile>> {
    match (global.no_log, &global.log_file, place) {
        (true, _, _) | (false, None, None) => Ok(None),
        (false, Some(path), _) => LogFile::open(path).map(Some),
        (false, None, Some((folder, command))) => {
            LogFile::open(&LogFile::default_path(&folder, command)).map(Some)
        }
    }
}

/// First Ctrl-C: stop at the next safe point. Second: leave at once; files are
/// replaced atomically, so nothing saved is hurt.
fn watch_for_interrupts(context: &Context) {
    let cancel = context.cancel.clone();
    let terminal = Arc::clone(&context.terminal);
    let handler = move || {
        if cancel.is_cancelled() {
            leave_at_once();
        }
        cancel.cancel();
        terminal.note("stopping at the next safe point; press Ctrl-C again to leave at once");
    };
    if ctrlc::set_handler(handler).is_err() {
        context
            .terminal
            .note("Ctrl-C can't be caught here; it will end the run at once");
    }
}

#[expect(clippy::exit, reason = "the second Ctrl-C asks for exactly this")]
fn leave_at_once() -> ! {
    std::process::exit(i32::from(Exit::Interrupted.code()))
}

fn print_report(report: &Report, json: bool) {
    let mut stdout = std::io::stdout().lock();
    // A closed pipe (`| head`) is no error of the run.
    let _ = if json {
        writeln!(stdout, "{}", report.json)
    } else if report.text.is_empty() {
        Ok(())
    } else {
        writeln!(stdout, "{}", report.text.trim_end())
    };
}

fn fail(error: &anyhow::Error, json: bool, exit: Exit) -> Exit {
    if json {
        let value = serde_json::json!({"error": format!("{error:#}"), "exit_code": exit.code()});
        let _ = writeln!(std::io::stdout(), "{value}");
    }
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    exit
}

/// Keys never reach a log, neither as `--api-key=X` nor as `--api-key X`.
fn redact(arguments: &[String]) -> Vec<String> {
    let is_key = |flag: &str| flag.starts_with('-') && flag.to_ascii_lowercase().contains("key");
    let mut hide_next = false;
    arguments
        .iter()
        .map(|argument| {
            let hidden = std::mem::replace(&mut hide_next, false);
            match argument.split_once('=') {
                _ if hidden => "(hidden)".to_owned(),
                Some((name, _)) if is_key(name) => format!("{name}=(hidden)"),
                _ => {
                    hide_next = is_key(argument);
                    argument.clone()
                }
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_on_the_command_line_are_hidden_in_the_log() {
        let given = [
            "--api-key=secret",
            "--api-key",
            "secret",
            "--top-n=30",
            "key.jpg",
        ]
        .map(String::from);
        let shown = [
            "--api-key=(hidden)",
            "--api-key",
            "(hidden)",
            "--top-n=30",
            "key.jpg",
        ];
        assert_eq!(redact(&given), shown);
    }
}
