//! Runs the steps that have to run, a child program each, and records what is done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use faceset_core::{CancelToken, Progress};
use faceset_fs::{FsError, LockFile};
use serde::Serialize;
use serde_json::Value;

use crate::StagingError;
use crate::chain::config::{ChainConfig, Step, new_name};
use crate::chain::follow::follow;
use crate::chain::plan::{Why, configured, reads, shown, why};
use crate::chain::record::{self, Done};

/// Exit code of a program that paused because its other side is away.
const PAUSED: i32 = 2;
/// Exit code of a program that was interrupted.
const INTERRUPTED: i32 = 130;

/// How often a lock that another chain holds is tried.
const POLL: Duration = Duration::from_millis(200);

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepEnd {
    /// It was done already.
    Skipped,
    /// It ran and succeeded.
    Ran {
        /// How long it took.
        seconds: f64,
    },
    /// It paused: run the chain again later.
    Paused,
    /// It was interrupted.
    Interrupted,
    /// It failed.
    Failed {
        /// What it said last, or why it could not be started.
        reason: String,
    },
}

/// How the chain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChainEnd {
    /// Every step is done.
    Done,
    /// A step paused because its other side is away; the same command goes on.
    Paused,
    /// Somebody asked to stop; the same command goes on.
    Interrupted,
    /// A step failed; the steps after it did not run.
    Failed,
}

/// What a run of the chain did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChainOutcome {
    /// Each step that had its turn.
    pub steps: Vec<(String, StepEnd)>,
    /// What the programs reported, by step; of skipped ones when they last ran.
    pub reports: BTreeMap<String, Value>,
    /// How it ended.
    pub end: ChainEnd,
}

/// Runs the chain. Each step is looked at when its turn comes; what succeeded is recorded
/// at once, so that the same call goes on after any end.
///
/// A program that is named without a folder is looked for in `programs` first, then where
/// the system looks.
///
/// # Errors
/// For files of ours that cannot be read or written, and when another run works on the
/// same chain. A program that fails is no error but [`ChainEnd::Failed`].
pub fn run_chain(
    config: &ChainConfig,
    programs: Option<&Path>,
    progress: &dyn Progress,
    cancel: &CancelToken,
    holder: &str,
) -> Result<ChainOutcome, StagingError> {
    let queue = config.places.queue.folder();
    let _lock = LockFile::acquire(&queue.join("chain.lock"), holder)?;
    let mut record = record::read(queue)?;
    let mut outcome = ChainOutcome {
        steps: Vec::new(),
        reports: BTreeMap::new(),
        end: ChainEnd::Done,
    };
    for step in &config.steps {
        let why = why(step, record.steps.get(&step.name))?;
        let end = if why == Why::Done {
            progress.note(&format!("{}: done already", step.name));
            StepEnd::Skipped
        } else {
            let line = shown(&step.line());
            progress.note(&format!("{}: {line} ({})", step.name, why.words()));
            let before = reads(step)?;
            let began = Instant::now();
            let (mut end, report) = run_step(step, config, programs, progress, cancel)?;
            if let StepEnd::Ran { seconds } = &mut end {
                *seconds = began.elapsed().as_secs_f64();
                let seconds = *seconds;
                progress.note(&format!("{}: done in {seconds:.1} s", step.name));
                let done = Done {
                    command: configured(step),
                    reads: before,
                    made: shown_paths(step.may_make.iter().filter(|path| path.exists())),
                    report,
                    seconds,
                };
                record.steps.insert(step.name.clone(), done);
                record::write(queue, &record)?;
            }
            end
        };
        let report = record
            .steps
            .get(&step.name)
            .and_then(|done| done.report.clone());
        if let Some(report) = report {
            outcome.reports.insert(step.name.clone(), report);
        }
        outcome.end = match end {
            StepEnd::Skipped | StepEnd::Ran { .. } => ChainEnd::Done,
            StepEnd::Paused => ChainEnd::Paused,
            StepEnd::Interrupted => ChainEnd::Interrupted,
            StepEnd::Failed { .. } => ChainEnd::Failed,
        };
        outcome.steps.push((step.name.clone(), end));
        if outcome.end != ChainEnd::Done {
            break;
        }
    }
    Ok(outcome)
}

fn run_step(
    step: &Step,
    config: &ChainConfig,
    programs: Option<&Path>,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<(StepEnd, Option<Value>), StagingError> {
    let failed = |reason: String| Ok((StepEnd::Failed { reason }, None));
    if cancel.is_cancelled() {
        return Ok((StepEnd::Interrupted, None));
    }
    let new = step.replaces.as_deref().map(new_name);
    // Chains of other libraries replace the same collection: what one reads, another must
    // not replace before its own result is in place.
    let _turn = match &step.replaces {
        Some(replaced) => match its_turn(replaced, progress, cancel)? {
            Some(turn) => Some(turn),
            None => return Ok((StepEnd::Interrupted, None)),
        },
        None => None,
    };
    if let Some(new) = &new {
        // What a run that failed left: a file of ours under a name of ours.
        match std::fs::remove_file(new) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(FsError::io("remove the unfinished file", new)(error).into());
            }
            _ => {}
        }
    }
    let line = step.line();
    let child = Command::new(program(&line[0], programs))
        .args(&line[1..])
        .current_dir(&config.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = match child {
        Ok(child) => child,
        Err(error) => return failed(format!("{} cannot be started: {error}", line[0])),
    };
    let said = follow(child, &step.name, progress, cancel)
        .map_err(FsError::io("watch", Path::new(&line[0])))?;
    match said.status.code() {
        Some(0) => {}
        Some(INTERRUPTED) => return Ok((StepEnd::Interrupted, None)),
        _ if cancel.is_cancelled() => return Ok((StepEnd::Interrupted, None)),
        Some(PAUSED) => return Ok((StepEnd::Paused, None)),
        _ => {
            return failed(format!(
                "{}; it said: {}",
                said.status,
                from_error(&said.last).join(" / ")
            ));
        }
    }
    if let (Some(new), Some(old)) = (&new, &step.replaces) {
        if !new.exists() {
            return failed(format!("it succeeded but did not write {}", new.display()));
        }
        keep_one_before(old);
        faceset_fs::rename(new, old).map_err(FsError::io("replace", old))?;
        faceset_fs::sync_folder_of(old);
    }
    if let Some(missing) = step.makes.iter().find(|made| !made.exists()) {
        return failed(format!(
            "it succeeded but {} is not there",
            missing.display()
        ));
    }
    Ok((StepEnd::Ran { seconds: 0.0 }, said.report))
}

/// The lock of a file that a step replaces, waited for; `None` when cancelled first.
fn its_turn(
    replaced: &Path,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Option<LockFile>, StagingError> {
    let mut lock = replaced.as_os_str().to_owned();
    lock.push(".chain.lock");
    let lock = PathBuf::from(lock);
    if let Some(folder) = lock.parent() {
        std::fs::create_dir_all(folder).map_err(FsError::io("create the folder", folder))?;
    }
    let mut told = false;
    while !cancel.is_cancelled() {
        match LockFile::acquire(&lock, "a chain that replaces this file") {
            Ok(turn) => return Ok(Some(turn)),
            Err(FsError::Locked { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if !told {
            progress.note(&format!(
                "waits for another chain that replaces {}",
                replaced.display()
            ));
            told = true;
        }
        std::thread::sleep(POLL);
    }
    Ok(None)
}

fn shown_paths<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Vec<String> {
    paths.map(|path| path.display().to_string()).collect()
}

/// The lines from the one on that names an error; all of them when none does.
fn from_error(last: &[String]) -> &[String] {
    let at = last.iter().position(|line| line.starts_with("error: "));
    &last[at.unwrap_or(0)..]
}

/// A bare name beside the other programs, when it is there; else the name as it is.
fn program(name: &str, programs: Option<&Path>) -> PathBuf {
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    programs
        .filter(|_| !name.contains(['/', '\\']))
        .map(|folder| folder.join(file))
        .filter(|beside| beside.is_file())
        .unwrap_or_else(|| PathBuf::from(name))
}

/// Keeps the file that is about to be replaced as `NAME.before`, where the file system can
/// without copying; the new file holds all of it anyway.
fn keep_one_before(old: &Path) {
    let mut name = old.file_name().unwrap_or_default().to_owned();
    name.push(".before");
    let before = old.with_file_name(name);
    if old.exists() {
        let _ = std::fs::remove_file(&before);
        let _ = std::fs::hard_link(old, &before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_last_words_the_error_counts() {
        let words = ["provider: cpu", "error: no room", "on the disk"].map(str::to_owned);
        assert_eq!(from_error(&words), &words[1..]);
        assert_eq!(from_error(&words[..1]), &words[..1]);
    }

    #[test]
    fn a_bare_name_is_looked_for_beside_the_other_programs_first() {
        let dir = tempfile::tempdir().unwrap();
        let worker = dir
            .path()
            .join(format!("worker{}", std::env::consts::EXE_SUFFIX));
        std::fs::write(&worker, "").unwrap();
        assert_eq!(program("worker", Some(dir.path())), worker);
        assert_eq!(program("worker", None), Path::new("worker"));
        assert_eq!(program("other", Some(dir.path())), Path::new("other"));
        assert_eq!(program("./worker", Some(dir.path())), Path::new("./worker"));
    }
}
