//! The programs of both systems, started alike: the same work for Linux and for
//! Windows, each with paths as it calls them.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, ensure};

use super::Stage;
use super::wine::windows_path;
use crate::built::{self, Program, shipped};

/// Tests whose building builds the programs that they start; the same selection as
/// a whole test run makes, so that after one nothing is built anew.
const STARTERS: [&str; 3] = ["worker", "chain", "kills"];
/// The made-up Immich server, an example of immich-fake.
const SERVER: &str = "serve";

/// One of the two systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Linux,
    Windows,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Linux, Self::Windows];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Windows => "windows",
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Linux => Self::Windows,
            Self::Windows => Self::Linux,
        }
    }

    /// A path of this machine as programs of this side are told it.
    pub(super) fn path(self, path: &Path) -> String {
        match self {
            Self::Linux => path.display().to_string(),
            Self::Windows => windows_path(path),
        }
    }
}

/// Everything that is started here.
#[derive(Debug)]
pub(super) struct Pair<'a> {
    stage: &'a Stage<'a>,
    linux: Vec<Program>,
    windows: &'a [Program],
}

impl<'a> Pair<'a> {
    /// Builds this machine's programs beside those for Windows.
    pub(super) fn new(stage: &'a Stage<'a>, windows: &'a [Program]) -> anyhow::Result<Self> {
        let mut starters = crate::cargo::cargo(stage.home);
        starters.args(["test", "--no-run", "--workspace"]);
        for test in STARTERS {
            starters.args(["--test", test]);
        }
        let mut linux = built::programs(starters)?;
        // `cargo test` would make a test of it.
        let mut server = crate::cargo::cargo(stage.home);
        server.args(["build", "--profile", "test", "--workspace"]);
        server.args(["--example", SERVER]);
        linux.append(&mut built::programs(server)?);
        Ok(Self {
            stage,
            linux,
            windows,
        })
    }

    /// One of the programs that ship, without a log, to be given arguments.
    pub(super) fn command(&self, side: Side, name: &str) -> anyhow::Result<Command> {
        Ok(match side {
            Side::Linux => self.ready(Side::Linux, Command::new(&shipped(&self.linux, name)?.path)),
            Side::Windows => self.ready(
                Side::Windows,
                self.stage
                    .wine
                    .command(&shipped(self.windows, name)?.path)?,
            ),
        })
    }

    /// A Windows program as a process that signals reach.
    pub(super) fn bare(&self, name: &str) -> anyhow::Result<Command> {
        let program = &shipped(self.windows, name)?.path;
        Ok(self.ready(Side::Windows, self.stage.wine.bare(program)?))
    }

    fn ready(&self, side: Side, mut command: Command) -> Command {
        match side {
            Side::Linux => command.env("FACE_SETS_HOME", &self.stage.home.root),
            Side::Windows => command.env("FACE_SETS_HOME", self.stage.windows_home_for_programs()),
        };
        command
            .env_remove("FACE_SETS_PACK")
            .stdin(Stdio::null())
            .arg("--no-log");
        command
    }

    /// The made-up Immich server of this machine.
    pub(super) fn server(&self) -> anyhow::Result<Command> {
        Ok(Command::new(&shipped(&self.linux, SERVER)?.path))
    }
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: Option<i32>,
    /// Both streams.
    pub(super) text: String,
}

/// Runs a command to its end.
pub(super) fn hear(command: &mut Command) -> anyhow::Result<Said> {
    let output: Output = command
        .output()
        .with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))?;
    let [out, err] =
        [&output.stdout, &output.stderr].map(|b| String::from_utf8_lossy(b).trim().to_owned());
    Ok(Said {
        code: output.status.code(),
        text: format!("{out}\n{err}").trim().to_owned(),
    })
}

/// Runs a command that must end with `code`.
pub(super) fn ends(command: &mut Command, code: i32) -> anyhow::Result<String> {
    let said = hear(command)?;
    let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
    ensure!(
        said.code == Some(code),
        "`{} {}` should have ended with {code} and ended with {:?}: {}",
        command.get_program().to_string_lossy(),
        arguments.join(" "),
        said.code,
        said.text
    );
    Ok(said.text)
}
