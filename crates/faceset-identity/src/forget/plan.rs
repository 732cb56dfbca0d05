//! What is erased when a person is forgotten, as a value.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use faceset_core::{FaceKey, FacesetNumber, SourcePath};
use serde::{Deserialize, Serialize};

use super::needles::Needles;
use super::survey::Survey;
use super::walk::{Tree, absolute};
use crate::error::{Flaw, IdentityError};
use crate::identity::State;
use crate::registry::Registry;

/// Where traces of a person may lie.
#[derive(Debug, Clone, Copy)]
pub struct ForgetInputs<'a> {
    /// Folder of the registry.
    pub registry_dir: &'a Path,
    /// Output folders of ours, searched with everything below: the swap-ready
    /// tree, the trees of `cluster` and `refine`, reports. Not folders of
    /// original photos. One that is missing is passed over.
    pub roots: &'a [PathBuf],
    /// Log files elsewhere.
    pub logs: &'a [PathBuf],
}

/// A set that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedSet {
    /// Its folder.
    pub folder: PathBuf,
    /// Files in it that go.
    pub n_files: usize,
}

/// A file that is kept without what it tells of the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrubbed {
    /// The file.
    pub file: PathBuf,
    /// Entries or lines that go.
    pub n: usize,
}

/// Everything that goes when a person is forgotten.
///
/// It names the person and their photos itself: print it, don't keep it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForgetPlan {
    /// Last journal entry when it was made.
    pub at_entry: u64,
    /// The numbers of the person: theirs and those merged with it.
    pub numbers: Vec<FacesetNumber>,
    /// What they were called.
    pub names: Vec<String>,
    /// Their faces, to be erased from every cache before the plan is applied:
    /// those of the registry, and those that only their sets on disk knew.
    pub faces: Vec<FaceKey>,
    /// Photos that nobody else is known to be on. Their paths are taken out of
    /// everything; the photos themselves are not touched.
    pub photos: Vec<SourcePath>,
    /// Photos that others are on, too: named on in the others' entries.
    pub shared_photos: Vec<SourcePath>,
    /// Sets that go as a whole.
    pub sets: Vec<ErasedSet>,
    /// Every file that is erased, those of the sets included, in this order.
    pub files: Vec<PathBuf>,
    /// Folders that are removed when nothing is left in them, deepest first.
    pub folders: Vec<PathBuf>,
    /// Manifests and other JSON files that lose entries.
    pub manifests: Vec<Scrubbed>,
    /// Logs and other texts that lose lines.
    pub logs: Vec<Scrubbed>,
    /// Report pages among `files`.
    pub n_pages: usize,
    /// Originals in the way: in a folder that goes, but never erased.
    pub kept: Vec<PathBuf>,
    /// Caches below the roots, which are the caller's to clean.
    pub caches: Vec<PathBuf>,
    /// What a person should look at.
    pub notes: Vec<String>,
    pub(crate) gone: BTreeMap<PathBuf, BTreeSet<String>>,
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) quiet: Needles,
    pub(crate) loud: Needles,
    pub(crate) found: Vec<FaceKey>,
}

impl ForgetPlan {
    /// For people, without the details. The last line says that there is no
    /// way back.
    pub fn summary(&self) -> Vec<String> {
        let numbers: Vec<_> = self.numbers.iter().map(|n| n.folder_name()).collect();
        let n_lines: usize = self.logs.iter().map(|l| l.n).sum();
        let n_entries: usize = self.manifests.iter().map(|m| m.n).sum();
        let mut lines = vec![
            format!("forget {} ({})", numbers.join(", "), self.names.join(", ")),
            format!("{} faces from every cache", self.faces.len()),
            format!(
                "{} files of {} sets and {} report pages",
                self.files.len(),
                self.sets.len(),
                self.n_pages
            ),
            format!("{n_entries} entries of {} manifests", self.manifests.len()),
            format!("{n_lines} lines of {} logs", self.logs.len()),
        ];
        if !self.shared_photos.is_empty() {
            lines.push(format!(
                "{} photos show others, too, and stay named in their entries",
                self.shared_photos.len()
            ));
        }
        if !self.kept.is_empty() {
            lines.push(format!(
                "{} original photos in these folders are kept",
                self.kept.len()
            ));
        }
        lines.extend(self.notes.iter().cloned());
        lines.push(
            "this can't be undone; only the numbers stay, so that nobody gets them".to_owned(),
        );
        lines
    }
}

impl ForgetPlan {
    /// What lines of text are taken out for; a bare number tells nothing.
    pub(crate) fn loud_lines(&self) -> Needles {
        Needles {
            folders: BTreeSet::new(),
            ..self.loud.clone()
        }
    }
}

/// Decides what goes. Reads the roots and the logs, changes nothing.
///
/// The caches must still be as they were: their part is done by the caller with
/// the plan's `faces`, *before* the plan is applied, since the registry is the
/// last to know them. A plan made after an interrupted forgetting names the
/// rest.
pub fn plan_forget(
    registry: &Registry,
    number: FacesetNumber,
    inputs: &ForgetInputs<'_>,
) -> Result<ForgetPlan, IdentityError> {
    let members = registry.same_person(number);
    if members.is_empty() {
        return Err(IdentityError::Unknown {
            person: number.folder_name(),
        });
    }
    if registry.identities[&number].state == State::Forgotten {
        return Err(IdentityError::Refused {
            what: format!("forget {}", number.folder_name()),
            flaw: Flaw::at(number, "it is forgotten already"),
        });
    }
    let roots: Vec<PathBuf> = inputs
        .roots
        .iter()
        .filter(|r| r.is_dir())
        .map(|r| absolute(r))
        .collect();
    let tree = Tree::walk(&roots, inputs.registry_dir)?;
    let mut survey = Survey::new(registry, members, &tree)?;
    survey.person.grow(&survey.sets);
    let mut plan = survey.begin(roots);
    survey.gather_photos(&mut plan);
    survey.gather_sets(&mut plan);
    survey.gather_files(&mut plan)?;
    survey.gather_logs(inputs.logs, &mut plan)?;
    Ok(plan)
}
