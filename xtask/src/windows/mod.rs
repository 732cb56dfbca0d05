//! The Windows stage: builds every member for Windows, runs the tests under Wine,
//! and sets what a Windows program wrote beside what this machine's wrote.
//!
//! Not a real Windows, and no DirectX device: what that leaves open is said in
//! docs/windows.md.

mod compare;
mod toolchain;
mod wine;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context as _;

use crate::cargo::target_folder;
use crate::home::Home;
use crate::{nasm, runtime, setup};

use toolchain::{TARGET, Toolchain};
use wine::{Wine, windows_path};

/// Members whose tests say nothing about Windows: tools of this repository, and
/// tests that need a browser or the other system's shell.
const NOT_TESTED: [&str; 3] = ["xtask", "faceset-benches", "faceset-testkit"];

/// Tests that Wine can't run, with the reason; on Windows they run.
const NOT_UNDER_WINE: [(&str, &str); 5] = [
    (
        "numpy_reads_every_array_without_pickles",
        "Wine starts no Python of this machine; numpy reads the same bytes on Linux",
    ),
    (
        "a_pickled_cache_is_refused_and_its_converted_form_is_read",
        "Wine starts no Python of this machine",
    ),
    (
        "own_certificates_are_trusted_when_given",
        "what Wine's certificate store says of a certificate means nothing",
    ),
    (
        "other_certificates_are_not_trusted",
        "what Wine's certificate store says of a certificate means nothing",
    ),
    (
        "readers_see_a_prefix_while_a_writer_flushes_and_compacts",
        "Wine does not rename over a file that a reader has open, Windows does",
    ),
];

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
    Passed,
    Failed(String),
    Skipped(String),
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Passed => write!(f, "windows: passed under Wine"),
            Self::Failed(why) => write!(f, "windows: FAILED: {why}"),
            Self::Skipped(why) => write!(f, "windows: SKIPPED: {why}"),
        }
    }
}

impl Verdict {
    /// A skipped stage fails nobody; its line says that it was skipped.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Passed | Self::Skipped(_) => ExitCode::SUCCESS,
            Self::Failed(_) => ExitCode::FAILURE,
        }
    }
}

/// Runs the stage. `extra` goes to `cargo test`, and chooses packages.
pub(crate) fn stage(home: &Home, extra: &[String]) -> Verdict {
    let verdict = match run(home, extra) {
        Ok(()) => Verdict::Passed,
        Err(Lack::Unavailable(why)) => Verdict::Skipped(why),
        Err(Lack::Broken(error)) => Verdict::Failed(format!("{error:#}")),
    };
    println!("{verdict}");
    verdict
}

fn run(home: &Home, extra: &[String]) -> Result<(), Lack> {
    if !cfg!(target_os = "linux") || !cfg!(target_arch = "x86_64") {
        return Err(Lack::Unavailable(
            "the stage cross-builds on Linux for x86-64; on Windows run `cargo xtask test`"
                .to_owned(),
        ));
    }
    println!("== windows: compiler, Wine, runtime library");
    let toolchain = Toolchain::bring(home)?;
    let wine = Wine::bring(&toolchain)?;
    setup::bring_everything(home)?;
    setup::assembler(home);
    let stage = Stage {
        home,
        windows_home: windows_home(home, &toolchain)?,
        target: target_folder(home)?.join("windows"),
        toolchain,
        wine,
    };
    println!("== windows: tests under Wine");
    let tests = stage.test(extra)?;
    // Whatever the tests said, the comparison tells something of its own.
    println!("== windows: the same bytes on both systems");
    let programs = stage.build_programs()?;
    compare::outputs(&stage, &programs)?;
    if !tests {
        return Err(anyhow::anyhow!("tests failed, see above").into());
    }
    Ok(())
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
    /// Whether all tests passed.
    fn test(&self, extra: &[String]) -> anyhow::Result<bool> {
        let mut command = self.cargo();
        command.args(["test", "--no-fail-fast", "--target", TARGET]);
        if !crate::cargo::names_packages(extra) {
            command.arg("--workspace");
            for package in NOT_TESTED {
                command.args(["--exclude", package]);
            }
        }
        command.args(extra);
        if !extra.iter().any(|argument| argument == "--") {
            command.arg("--");
        }
        for (name, reason) in NOT_UNDER_WINE {
            println!("  not run: {name} ({reason})");
            command.args(["--skip", name]);
        }
        let status = command.status().context("cannot run cargo")?;
        Ok(status.success())
    }

    /// Builds what ships; returns the folder with the programs.
    fn build_programs(&self) -> anyhow::Result<PathBuf> {
        let status = self
            .cargo()
            .args(["build", "--bins", "--target", TARGET, "--workspace"])
            .args(["--exclude", "xtask", "--exclude", "faceset-benches"])
            .status()
            .context("cannot run cargo")?;
        anyhow::ensure!(status.success(), "building the programs failed");
        Ok(self.target.join(TARGET).join("debug"))
    }

    /// One of the programs in `folder`, to be run by Wine.
    fn program(&self, folder: &Path, name: &str) -> Command {
        self.wine.command(&folder.join(format!("{name}.exe")))
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
            .env("FACE_SETS_HOME", windows_path(&self.windows_home))
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
fn windows_home(home: &Home, toolchain: &Toolchain) -> anyhow::Result<PathBuf> {
    let folder = toolchain.folder.join("home");
    runtime::bring_for(home, "windows", "x86_64", &folder.join("runtime"))?;
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
