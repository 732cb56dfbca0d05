//! `cargo xtask`: what brings a fresh clone to a sorted folder and to passed
//! tests. Needs only cargo, a C compiler, python3 with pip, and npm.
//!
//! Owns set-up, the sample pictures and the order of the checks. What the tools
//! do with pictures is theirs.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task runner tells the person in front of it what it does"
)]

mod apt;
mod archive;
mod axe;
mod browser;
mod built;
mod cargo;
mod clients;
mod digest;
mod home;
mod nasm;
mod openvino;
mod python;
mod runtime;
mod samples;
mod setup;
mod step;
mod windows;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::home::Home;

/// Brings what the repository needs and runs its checks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Fetch the runtime library, the free models, the sample pictures and the
    /// Python for the tests; what is there already is kept
    Setup {
        /// Only say what is there and what is missing; exit 1 if anything is
        #[arg(long)]
        check: bool,
    },
    /// Set up, build sort-faces and sort a folder by person
    Sort {
        /// Folder of photos [default: the sample library of set-up]
        src: Option<PathBuf>,
        /// Folder for the result [default: facesets-demo]
        out: Option<PathBuf>,
        /// Further options of `sort-faces sort`
        #[arg(last = true)]
        extra: Vec<String>,
    },
    /// Fetch ONNX Runtime with Intel's OpenVINO; the tests then use it too
    Openvino,
    /// Set up and run every test
    Test {
        /// Further arguments of `cargo test`
        #[arg(last = true)]
        extra: Vec<String>,
    },
    /// Build for Windows and run the tests under Wine (Debian, as root); skipped,
    /// and said so, where a package can't be had
    Windows {
        /// Further arguments of `cargo test`
        #[arg(last = true)]
        extra: Vec<String>,
    },
    /// Format check, lints, documentation, every test, then the Windows stage
    Ci,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<ExitCode> {
    let home = Home::from_environment();
    match task {
        Task::Setup { check: true } => Ok(setup::check(&home)),
        Task::Setup { check: false } => {
            println!("set-up in {}", home.root.display());
            setup::bring(&home, &setup::FOR_TESTS)?;
            // Only the tests of one page need it, and not every system can have it.
            if let Some(why) = setup::browser(&home) {
                println!("  browser for tests missing: {why}");
            }
            setup::assembler(&home);
            Ok(ExitCode::SUCCESS)
        }
        Task::Sort { src, out, extra } => {
            setup::bring(&home, &setup::FOR_SORTING)?;
            let src = if let Some(src) = src {
                src
            } else {
                setup::bring(&home, &setup::FOR_THE_DEMO)?;
                home.sample_library()
            };
            let out = out.unwrap_or_else(|| PathBuf::from("facesets-demo"));
            cargo::sort(&home, &src, &out, &extra)
        }
        Task::Openvino => {
            openvino::bring(&home)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Test { extra } => {
            println!("set-up in {}", home.root.display());
            setup::bring(&home, &setup::FOR_TESTS)?;
            cargo::test(&home, &extra, setup::browser(&home).as_deref())
        }
        Task::Windows { extra } => {
            let verdict = windows::stage(&home, &extra);
            println!("{verdict}");
            Ok(verdict.code())
        }
        Task::Ci => cargo::ci(&home),
    }
}
