//! The registry on disk: loading, one writer at a time, journal before
//! registry.
//!
//! A change is done when its journal line is on the disk. `registry.json` may
//! be older: it says which entry it includes, and loading replays the rest. So
//! a kill at any moment leaves the state before the change or after it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use faceset_core::{CivilDate, FacesetNumber};
use faceset_fs::{LockFile, write_atomic};

use crate::change::Plan;
use crate::error::IdentityError;
use crate::file::{REGISTRY_VERSION, parse, render};
use crate::identity::State;
use crate::journal::{self, Appender, Entry, blot, faces_told};
use crate::registry::Registry;

/// The registry's file in the swap-ready folder.
pub const REGISTRY_FILE: &str = "registry.json";
/// Its journal.
pub const JOURNAL_FILE: &str = "registry.journal.jsonl";
/// Its lock.
pub const LOCK_FILE: &str = ".registry.lock";

impl Registry {
    /// Reads the registry of a swap-ready folder. `today` refuses birth dates
    /// that have not come yet.
    ///
    /// A registry that was deleted is rebuilt from its journal.
    pub fn load(dir: &Path, today: CivilDate) -> Result<Self, IdentityError> {
        Ok(read(dir, today)?.0)
    }

    /// As [`Registry::load`]; empty when there is none yet.
    pub fn load_or_new(dir: &Path, today: CivilDate) -> Result<Self, IdentityError> {
        match Self::load(dir, today) {
            Err(IdentityError::Missing { .. }) => Ok(Self::default()),
            other => other,
        }
    }
}

impl Registry {
    /// The registry as it will be once the plan is carried out.
    pub fn after(&self, plan: &Plan) -> Result<Self, IdentityError> {
        let mut changed = self.clone();
        changed
            .apply(&plan.changes)
            .map_err(|flaw| IdentityError::Refused {
                what: plan.what.clone(),
                flaw,
            })?;
        Ok(changed)
    }
}

fn read(dir: &Path, today: CivilDate) -> Result<(Registry, journal::Read), IdentityError> {
    let path = dir.join(REGISTRY_FILE);
    // The registry first: an entry that a writer adds meanwhile is replayed.
    let bytes = match std::fs::read(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        other => Some(other.map_err(IdentityError::io("read", &path))?),
    };
    let mut journal = journal::read(&dir.join(JOURNAL_FILE))?;
    let mut registry = match bytes {
        Some(bytes) => parse(&bytes, &path, today)?,
        None if journal.entries.is_empty() => return Err(IdentityError::Missing { path }),
        None => Registry::default(),
    };
    let included = registry.entry;
    for entry in journal.entries.iter().filter(|e| e.id > included) {
        registry
            .apply(&entry.changes)
            .map_err(|flaw| IdentityError::Replay {
                path: path.clone(),
                entry: entry.id,
                flaw,
            })?;
    }
    registry.history = std::mem::take(&mut journal.entries);
    registry.entry = registry
        .history
        .last()
        .map_or(0, |e| e.id)
        .max(registry.entry);
    Ok((registry, journal))
}

/// The one who may change a registry.
///
/// Changes are safe once `apply` returns; [`RegistryWriter::finish`] brings
/// `registry.json` up to date for people, else the next writer does.
#[derive(Debug)]
pub struct RegistryWriter {
    dir: PathBuf,
    registry: Registry,
    journal: Appender,
    _lock: LockFile,
}

impl RegistryWriter {
    /// Takes the lock, reads or begins the registry, and finishes what a killed
    /// writer left. `holder` is shown to a second run.
    pub fn open(dir: &Path, holder: &str, today: CivilDate) -> Result<Self, IdentityError> {
        let lock = LockFile::acquire(&dir.join(LOCK_FILE), holder)?;
        let (registry, read) = match read(dir, today) {
            Err(IdentityError::Missing { .. }) => {
                let read = journal::read(&dir.join(JOURNAL_FILE))?;
                (Registry::default(), read)
            }
            other => other?,
        };
        let mut writer = Self {
            dir: dir.to_path_buf(),
            registry,
            journal: Appender::new(dir.join(JOURNAL_FILE), &read),
            _lock: lock,
        };
        writer.blot_forgotten(&BTreeSet::new())?;
        Ok(writer)
    }

    /// The registry with every change so far.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The folder it is of.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Carries out a plan and returns the number of its journal entry; `None`
    /// when there was nothing to do. `at` is the time of the change.
    ///
    /// After an error nothing has changed.
    pub fn apply(
        &mut self,
        plan: &Plan,
        at: jiff::Timestamp,
    ) -> Result<Option<u64>, IdentityError> {
        if plan.is_empty() {
            return Ok(None);
        }
        if plan.at_entry != self.registry.entry {
            return Err(IdentityError::Stale {
                planned: plan.at_entry,
                now: self.registry.entry,
            });
        }
        let entry = Entry {
            version: REGISTRY_VERSION,
            id: self.registry.entry + 1,
            at: at.to_string(),
            what: plan.what.clone(),
            undoes: plan.undoes,
            changes: plan.changes.clone(),
        };
        let before = plan
            .changes
            .iter()
            .any(|c| c.inverse().is_none())
            .then(|| self.registry.clone());
        let highest = self.registry.highest;
        self.registry
            .apply(&plan.changes)
            .map_err(|flaw| IdentityError::Refused {
                what: plan.what.clone(),
                flaw,
            })?;
        if let Err(error) = self.journal.append(&entry) {
            match before {
                Some(before) => self.registry = before,
                None => self.registry.roll_back(&plan.changes, highest),
            }
            return Err(error);
        }
        self.registry.entry = entry.id;
        self.registry.history.push(entry);
        Ok(Some(self.registry.entry))
    }

    /// Takes an earlier entry back, see [`Registry::plan_undo`].
    pub fn undo(&mut self, id: u64, at: jiff::Timestamp) -> Result<u64, IdentityError> {
        let plan = self.registry.plan_undo(id)?;
        let entry = self.apply(&plan, at)?;
        Ok(entry.expect("a plan to undo is never empty"))
    }

    /// Writes `registry.json`, when it would differ.
    pub fn save(&self) -> Result<(), IdentityError> {
        let path = self.dir.join(REGISTRY_FILE);
        let bytes = render(&self.registry);
        if std::fs::read(&path).ok().as_ref() != Some(&bytes) {
            write_atomic(&path, &bytes)?;
        }
        Ok(())
    }

    /// Saves and gives the lock back.
    pub fn finish(self) -> Result<Registry, IdentityError> {
        self.save()?;
        Ok(self.registry)
    }

    /// Removes what the journal still tells of forgotten people: after
    /// forgetting, and after a kill in the midst of it.
    pub(crate) fn blot_forgotten(
        &mut self,
        more: &BTreeSet<crate::FaceId>,
    ) -> Result<(), IdentityError> {
        let forgotten: BTreeSet<FacesetNumber> = self
            .registry
            .identities()
            .filter(|i| i.state == State::Forgotten)
            .map(|i| i.number)
            .collect();
        if forgotten.is_empty() {
            return Ok(());
        }
        let mut faces = faces_told(&self.registry.history, &forgotten);
        faces.extend(more);
        faces.retain(|id| !self.registry.owns(id));
        if blot(&mut self.registry.history, &forgotten, &faces) {
            // The registry first: it no longer needs the lines that go.
            self.save()?;
            self.journal.rewrite(&self.registry.history)?;
        }
        Ok(())
    }
}
