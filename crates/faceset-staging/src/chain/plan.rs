//! Which steps have to run.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::StagingError;
use crate::chain::config::{ChainConfig, Step};
use crate::chain::digest::digest;
use crate::chain::record::{self, Done};

/// Why a step runs, or does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It is done: what it reads is as it was, what it makes is there.
    Done,
    /// It never succeeded with this command line.
    New,
    /// This has changed since.
    Changed(String),
    /// This is not there any more.
    Gone(String),
    /// A step before it runs.
    After(String),
}

impl Why {
    /// For people.
    pub fn words(&self) -> String {
        match self {
            Self::Done => "done".to_owned(),
            Self::New => "not done yet".to_owned(),
            Self::Changed(path) => format!("{path} has changed"),
            Self::Gone(path) => format!("{path} is not there"),
            Self::After(step) => format!("{step} runs before it"),
        }
    }
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedStep {
    /// Its name.
    pub name: String,
    /// Its command line.
    pub command: Vec<String>,
    /// Whether and why it runs.
    pub why: Why,
}

/// What a run of the chain would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainPlan {
    /// In order.
    pub steps: Vec<PlannedStep>,
}

impl ChainPlan {
    /// For people, a line a step.
    pub fn text(&self) -> String {
        let line = |step: &PlannedStep| match step.why {
            Why::Done => format!("{}: done", step.name),
            _ => format!(
                "{}: {} ({})",
                step.name,
                shown(&step.command),
                step.why.words()
            ),
        };
        self.steps.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// A command line that a person could copy.
pub(crate) fn shown(command: &[String]) -> String {
    let word = |word: &String| {
        let plain = |c: char| c.is_alphanumeric() || "-_./\\:=+,@%".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    command.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// Plans the chain by what is on disk. A step after one that runs is planned to run when
/// it reads what that one makes; in a real run it is looked at again when its turn comes.
///
/// # Errors
/// When what the steps read cannot be read.
pub fn plan_chain(config: &ChainConfig) -> Result<ChainPlan, StagingError> {
    let record = record::read(config.places.queue.folder())?;
    let mut steps: Vec<PlannedStep> = Vec::new();
    for (at, step) in config.steps.iter().enumerate() {
        let source = steps
            .iter()
            .zip(&config.steps[..at])
            .find(|(planned, earlier)| {
                planned.why != Why::Done
                    && step.reads.iter().any(|read| {
                        earlier.makes.contains(read)
                            || earlier.may_make.contains(read)
                            || earlier.replaces.as_ref() == Some(read)
                    })
            });
        let why = match source {
            Some((planned, _)) => Why::After(planned.name.clone()),
            None => why(step, record.steps.get(&step.name))?,
        };
        steps.push(PlannedStep {
            name: step.name.clone(),
            command: step.line(),
            why,
        });
    }
    Ok(ChainPlan { steps })
}

/// Whether a step has to run, by what was there when it last succeeded.
pub(crate) fn why(step: &Step, done: Option<&Done>) -> Result<Why, StagingError> {
    let Some(done) = done.filter(|done| done.command == configured(step)) else {
        return Ok(Why::New);
    };
    for made in step.makes.iter().chain(&step.replaces) {
        if !made.exists() {
            return Ok(Why::Gone(made.display().to_string()));
        }
    }
    let gone = |made: &&String| {
        step.may_make
            .iter()
            .any(|path| path.display().to_string() == **made && !path.exists())
    };
    if let Some(made) = done.made.iter().find(gone) {
        return Ok(Why::Gone(made.clone()));
    }
    for (path, now) in reads(step)? {
        if done.reads.get(&path) != Some(&now) {
            return Ok(Why::Changed(path));
        }
    }
    Ok(Why::Done)
}

/// What the step reads, as it is now.
pub(crate) fn reads(step: &Step) -> Result<BTreeMap<String, Option<String>>, StagingError> {
    step.reads
        .iter()
        .map(|path| Ok((path.display().to_string(), digest(path)?)))
        .collect()
}

/// The whole command line, words that depend on what is there included.
pub(crate) fn configured(step: &Step) -> Vec<String> {
    step.command.iter().map(|word| word.text.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_can_be_copied() {
        let words = ["a-b", "C:\\x y", "it's", ""].map(str::to_owned);
        assert_eq!(shown(&words), "a-b 'C:\\x y' 'it'\\''s' ''");
    }
}
