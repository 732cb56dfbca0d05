//! What the chain remembers of each step: `chain.json` in the queue's folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::StagingError;

/// Version of `chain.json`.
pub const CHAIN_VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    /// By the step's name.
    pub(crate) steps: BTreeMap<String, Done>,
}

/// A step that succeeded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Done {
    /// Its command line as configured.
    pub(crate) command: Vec<String>,
    /// Digest of each file and folder it reads, as they were before.
    pub(crate) reads: BTreeMap<String, Option<String>>,
    /// Of what it may make: what was there when it had succeeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) made: Vec<String>,
    /// What the program printed, when that was JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) report: Option<Value>,
    /// How long it took.
    pub(crate) seconds: f64,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            version: CHAIN_VERSION,
            steps: BTreeMap::new(),
        }
    }
}

pub(crate) fn path(queue: &Path) -> PathBuf {
    queue.join("chain.json")
}

/// The record in a queue's folder; empty when there is none.
pub(crate) fn read(queue: &Path) -> Result<Record, StagingError> {
    let path = path(queue);
    if !path.exists() {
        return Ok(Record::default());
    }
    let value: Value = faceset_fs::read_json(&path)?;
    let refuse = |what: String| StagingError::Config {
        path: path.clone(),
        what,
    };
    match value.get("version").and_then(Value::as_u64) {
        Some(found) if found > u64::from(CHAIN_VERSION) => {
            return Err(refuse(format!(
                "it has version {found}; this build reads up to {CHAIN_VERSION}"
            )));
        }
        Some(_) => {}
        None => return Err(refuse("it has no `version`".to_owned())),
    }
    serde_json::from_value(value).map_err(|error| refuse(error.to_string()))
}

pub(crate) fn write(queue: &Path, record: &Record) -> Result<(), StagingError> {
    Ok(faceset_fs::write_json(&path(queue), record)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_record_is_refused_by_number_and_a_missing_one_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), Record::default());
        std::fs::write(path(dir.path()), r#"{"version": 2, "steps": {}}"#).unwrap();
        let error = read(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("version 2") && error.contains("chain.json"),
            "{error}"
        );
    }

    #[test]
    fn the_kept_sample_is_read() {
        let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/chain-v1");
        let record = read(Path::new(sample)).unwrap();
        assert_eq!(record.steps["embed"].command[0], "embed-worker");
        assert_eq!(record.steps["embed"].reads["gone.txt"], None);
    }
}
