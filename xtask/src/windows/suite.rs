//! The tests of this workspace as Windows programs, run by Wine one after another.
//! Owns which of them run, and what a failure is.

use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::Stage;
use crate::built::Program;

/// Tests that Wine can't run, with the reason; on Windows they run.
const NOT_UNDER_WINE: [(&str, &str); 6] = [
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
    (
        "links_point_at_the_photo_and_no_mode_writes_nothing",
        "Wine says that it made a symbolic link and makes none",
    ),
];

/// How long one test program may take. The longest took a third of it on a busy
/// machine; a program that hangs must not hold up everything else.
const LIMIT: Duration = Duration::from_mins(15);
/// How often a running program is looked at.
const POLL: Duration = Duration::from_millis(100);

/// This program is built, since set-up on Windows is its work; its tests start the
/// programs of this machine.
const ONLY_BUILT: &str = "xtask";

/// What the test programs said.
#[derive(Debug)]
pub(super) struct Outcome {
    n_programs: usize,
    /// Failed, then passed.
    again: Vec<String>,
    /// Failed twice.
    failed: Vec<String>,
    took: Duration,
}

impl Outcome {
    /// Fails with the names of the programs that failed twice.
    pub(super) fn require(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.failed.is_empty(),
            "tests failed twice: {}",
            self.failed.join(", ")
        );
        Ok(())
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} test programs in {} s, {} failed",
            self.n_programs,
            self.took.as_secs(),
            self.failed.len()
        )?;
        if !self.again.is_empty() {
            write!(f, "; passed when run again: {}", self.again.join(", "))?;
        }
        Ok(())
    }
}

/// Runs every test program among `programs`; one that fails runs once more, since
/// Wine on a busy machine is moody. `arguments` go to each.
pub(super) fn run(
    stage: &Stage<'_>,
    programs: &[Program],
    arguments: &[String],
) -> anyhow::Result<Outcome> {
    for (name, reason) in NOT_UNDER_WINE {
        println!("  not run: {name} ({reason})");
    }
    println!("  not run: face-fix's page in a browser (no browser is driven on Windows)");
    println!("  not run: {ONLY_BUILT} (its tests start programs of this machine)");
    println!("  not run: examples in documentation (they run on Linux)");
    let begun = Instant::now();
    let mut outcome = Outcome {
        n_programs: 0,
        again: Vec::new(),
        failed: Vec::new(),
        took: Duration::ZERO,
    };
    let runs = |program: &&Program| program.tests && !program.folder.ends_with(ONLY_BUILT);
    for program in programs.iter().filter(runs) {
        let name = shown(program);
        println!("  windows test: {name}");
        outcome.n_programs += 1;
        if passes(stage, program, arguments)? {
            continue;
        }
        println!("  windows test: {name} FAILED and runs again");
        if passes(stage, program, arguments)? {
            outcome.again.push(name);
        } else {
            outcome.failed.push(name);
        }
    }
    outcome.took = begun.elapsed();
    println!("  {outcome}");
    Ok(outcome)
}

fn passes(stage: &Stage<'_>, program: &Program, arguments: &[String]) -> anyhow::Result<bool> {
    let mut command = stage.wine.command(&program.path)?;
    // As cargo would: in the package's folder.
    command
        .current_dir(&program.folder)
        .env("FACE_SETS_HOME", stage.windows_home_for_programs())
        .args(arguments);
    for (name, _) in NOT_UNDER_WINE {
        command.args(["--skip", name]);
    }
    let mut child = command
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {}", program.path.display()))?;
    let Some(status) = within(&mut child, LIMIT)? else {
        let minutes = LIMIT.as_secs() / 60;
        println!("  {} was stopped after {minutes} minutes", shown(program));
        return Ok(false);
    };
    if !status.success() {
        println!("  {} ended with {status}", shown(program));
    }
    Ok(status.success())
}

/// How a program ended; `None` when it had to be stopped at the limit.
fn within(child: &mut Child, limit: Duration) -> anyhow::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("cannot watch a program")? {
            return Ok(Some(status));
        }
        if begun.elapsed() > limit {
            child.kill().context("cannot stop a program")?;
            child.wait().context("cannot watch a program")?;
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
}

/// `faceset-cache store`: package and target.
fn shown(program: &Program) -> String {
    let package = program.folder.file_name().unwrap_or_default();
    format!("{} {}", package.to_string_lossy(), program.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_once_is_told_and_what_failed_twice_fails() {
        let mut outcome = Outcome {
            n_programs: 3,
            again: vec!["a b".to_owned()],
            failed: Vec::new(),
            took: Duration::from_millis(2900),
        };
        assert!(outcome.require().is_ok());
        assert_eq!(
            outcome.to_string(),
            "3 test programs in 2 s, 0 failed; passed when run again: a b"
        );
        outcome.failed.push("c d".to_owned());
        assert!(outcome.require().unwrap_err().to_string().contains("c d"));
    }

    #[cfg(unix)]
    #[test]
    fn a_program_that_hangs_is_stopped_and_one_that_ends_is_not() {
        let start = |seconds: &str| {
            let mut command = std::process::Command::new("sleep");
            command.arg(seconds).spawn().unwrap()
        };
        let stopped = within(&mut start("3600"), Duration::from_millis(1)).unwrap();
        assert_eq!(stopped, None);
        let ended = within(&mut start("0"), Duration::from_hours(1)).unwrap();
        assert!(ended.unwrap().success());
    }

    #[test]
    fn every_test_that_wine_cannot_run_exists() {
        let repository = crate::home::Home::from_environment().repository;
        let mut sources = String::new();
        let mut folders = vec![repository.join("crates"), repository.join("bins")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "rs") {
                    sources.push_str(&std::fs::read_to_string(path).unwrap());
                }
            }
        }
        for (name, _) in NOT_UNDER_WINE {
            assert!(sources.contains(&format!("fn {name}(")), "{name}");
        }
    }
}
