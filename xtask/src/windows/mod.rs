//! The Windows stage: builds every member for Windows, runs the tests under Wine,
//! and sets what a Windows program wrote beside what this machine's wrote.
//!
//! Not a real Windows, and no DirectX device: what that leaves open is said in
//! docs/windows.md.

mod compare;
mod directml;
mod exchange;
mod interrupt;
mod pair;
mod suite;
mod toolchain;
mod wine;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::Context as _;

use crate::built::{self, Program};
use crate::cargo::target_folder;
use crate::home::Home;
use crate::{nasm, runtime, setup};

use toolchain::{TARGET, Toolchain};
use wine::{Wine, windows_path};

/// Members that nothing needs on Windows: checks of this repository itself.
const NOT_BUILT: [&str; 2] = ["faceset-benches", "faceset-testkit"];

/// Why the stage did not run to its end.
#[derive(Debug)]
enum Lack {
    /// Something of the outside can't be had here. The stage is skipped.
    Unavailable(String),
    /// Something went wrong. The stage failed.
    Broken(anyhow::Error),
}

impl From<anyhow::Error> for Lack {
    fn from(error: anyhow::Error) -> Self {
        Self::Broken(error)
    }
}

/// What the stage found.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// What ran, for the last line.
    Passed(String),
    Failed(String),
    Skipped(String),
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Passed(what) => write!(f, "windows: passed under Wine: {what}"),
            Self::Failed(why) => write!(f, "windows: FAILED: {why}"),
            Self::Skipped(why) => write!(f, "windows: SKIPPED: {why}"),
        }
    }
}

impl Verdict {
    /// A skipped stage fails nobody; its line says that it was skipped.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Passed(_) | Self::Skipped(_) => ExitCode::SUCCESS,
            Self::Failed(_) => ExitCode::FAILURE,
        }
    }
}

/// Runs the stage. `extra` goes to `cargo test`, and chooses packages; what is after
/// `--` goes to the tests.
pub(crate) fn stage(home: &Home, extra: &[String]) -> Verdict {
    match run(home, extra) {
        Ok(what) => Verdict::Passed(what),
        Err(Lack::Unavailable(why)) => Verdict::Skipped(why),
        Err(Lack::Broken(error)) => Verdict::Failed(format!("{error:#}")),
    }
}

fn run(home: &Home, extra: &[String]) -> Result<String, Lack> {
    if !cfg!(target_os = "linux") || !cfg!(target_arch = "x86_64") {
        return Err(Lack::Unavailable(
            "the stage cross-builds on Linux for x86-64; on Windows run `cargo xtask test`"
                .to_owned(),
        ));
    }
    println!("== windows: compiler, Wine, runtime library");
    let begun = Instant::now();
    let toolchain = Toolchain::bring(home)?;
    let wine = Wine::bring(&toolchain)?;
    setup::bring(home, &setup::FOR_SORTING)?;
    setup::bring(home, &setup::FOR_THE_DEMO)?;
    setup::assembler(home);
    let stage = Stage {
        home,
        windows_home: windows_home(home, &toolchain)?,
        target: target_folder(home)?.join("windows"),
        toolchain,
        wine,
    };
    println!("  took {} s", begun.elapsed().as_secs());

    println!("== windows: building for {TARGET}");
    let begun = Instant::now();
    let (for_cargo, for_tests) = split(extra);
    let programs = stage.build(for_cargo)?;
    println!("  took {} s", begun.elapsed().as_secs());

    println!("== windows: tests under Wine");
    let outcome = suite::run(&stage, &programs, for_tests)?;

    // Whatever the tests said, the comparison tells something of its own.
    println!("== windows: the same bytes on both systems");
    let compared = if crate::cargo::names_packages(for_cargo) {
        "nothing was compared, since packages were named".to_owned()
    } else {
        let begun = Instant::now();
        let compared = compare::outputs(&stage, &programs)?;
        println!("  took {} s", begun.elapsed().as_secs());
        compared
    };
    outcome.require()?;
    Ok(format!("{outcome}; {compared}"))
}

/// The arguments before `--` and those after it.
fn split(extra: &[String]) -> (&[String], &[String]) {
    match extra.iter().position(|argument| argument == "--") {
        Some(at) => (&extra[..at], &extra[at + 1..]),
        None => (extra, &[]),
    }
}

/// Everything that the parts of the stage need.
#[derive(Debug)]
struct Stage<'a> {
    home: &'a Home,
    /// Runtime library and models as Windows programs find them.
    windows_home: PathBuf,
    /// Where cargo builds for Windows: another compiler, so another folder.
    target: PathBuf,
    toolchain: Toolchain,
    wine: Wine,
}

impl Stage<'_> {
    /// Builds the tests and, because these start them, the programs that ship.
    fn build(&self, extra: &[String]) -> anyhow::Result<Vec<Program>> {
        let mut command = self.cargo();
        command.args(["test", "--no-run", "--target", TARGET]);
        if !crate::cargo::names_packages(extra) {
            command.arg("--workspace");
            for package in NOT_BUILT {
                command.args(["--exclude", package]);
            }
        }
        command.args(extra);
        built::programs(command)
    }

    /// `FACE_SETS_HOME` as Windows programs are told it.
    fn windows_home_for_programs(&self) -> String {
        windows_path(&self.windows_home)
    }

    /// The cargo of this run, building for Windows.
    fn cargo(&self) -> Command {
        let mut command = Command::new(cargo_program());
        command
            .current_dir(&self.home.repository)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .env("CARGO_PROFILE_TEST_DEBUG", "false")
            .envs(nasm::path(self.home).map(|path| ("PATH", path)))
            .stdin(Stdio::null());
        for (name, value) in self.toolchain.settings(self.wine.runner()) {
            command.env(name, value);
        }
        command
    }
}

/// The folder that `FACE_SETS_HOME` names for Windows programs: their runtime
/// library beside the models and samples of this machine's set-up.
fn windows_home(home: &Home, toolchain: &Toolchain) -> Result<PathBuf, Lack> {
    let folder = toolchain.folder.join("home");
    runtime::bring_for(home, "windows", "x86_64", &folder.join("runtime")).map_err(|error| {
        Lack::Unavailable(format!(
            "cannot get the runtime library for Windows: {error:#}"
        ))
    })?;
    for shared in ["models", "samples"] {
        let link = folder.join(shared);
        if !link.exists() {
            link_to(&home.root.join(shared), &link)
                .with_context(|| format!("cannot link {}", link.display()))?;
        }
    }
    Ok(folder)
}

#[cfg(unix)]
fn link_to(folder: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(folder, link)
}

#[cfg(not(unix))]
fn link_to(_: &Path, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

fn cargo_program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_split_between_cargo_and_the_tests() {
        let all: Vec<String> = ["-p", "a", "--", "name", "--", "x"]
            .map(str::to_owned)
            .into();
        let (cargo, tests) = split(&all);
        assert_eq!(cargo, ["-p", "a"]);
        assert_eq!(tests, ["name", "--", "x"]);
        assert_eq!(split(&all[..2]), (&all[..2], &[][..]));
    }

    #[test]
    fn a_skipped_stage_says_so_and_fails_nobody() {
        let skipped = Verdict::Skipped("apt has no package x".to_owned());
        assert_eq!(
            skipped.to_string(),
            "windows: SKIPPED: apt has no package x"
        );
        assert_eq!(skipped.code(), ExitCode::SUCCESS);
        assert_eq!(Verdict::Failed(String::new()).code(), ExitCode::FAILURE);
    }
}
