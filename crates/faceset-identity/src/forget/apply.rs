//! Erasing what a plan says, the registry last.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use faceset_core::{FaceKey, FacesetNumber};
use faceset_fs::{DirLock, read_json, to_json_bytes, write_atomic};
use serde_json::Value;

use super::needles::{FaceNeedles, Finder};
use super::plan::ForgetPlan;
use super::scrub::{Scrubber, lines};
use crate::change::{Change, FacesEdit, NoFacesEdit};
use crate::error::IdentityError;
use crate::registry::Registry;
use crate::store::RegistryWriter;

/// What was erased.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct ForgetReport {
    /// Files.
    pub n_files: usize,
    /// Entries of manifests.
    pub n_entries: usize,
    /// Lines of logs.
    pub n_lines: usize,
    /// Folders that went with their last file.
    pub n_folders: usize,
    /// Folders that are not empty, because something came in since the plan or
    /// an original lies there.
    pub left: Vec<std::path::PathBuf>,
}

/// Erases for good what the plan says. `confirmed` is the person's clear yes;
/// without it nothing happens.
///
/// First the files, then the registry, which keeps the bare numbers; the
/// journal loses everything it told. A kill or an error in between leaves the
/// person known: plan again and apply what is left. The roots are locked
/// meanwhile.
pub fn apply_forget(
    writer: &mut RegistryWriter,
    plan: &ForgetPlan,
    confirmed: bool,
    at: jiff::Timestamp,
) -> Result<ForgetReport, IdentityError> {
    if !confirmed {
        return Err(IdentityError::NotConfirmed {
            person: plan
                .numbers
                .first()
                .map_or_else(String::new, |n| n.folder_name()),
        });
    }
    if plan.at_entry != writer.registry().last_entry() {
        return Err(IdentityError::Stale {
            planned: plan.at_entry,
            now: writer.registry().last_entry(),
        });
    }
    let mut locks = Vec::new();
    for root in &plan.roots {
        locks.push(DirLock::acquire(root, "forget")?);
    }
    // Until the end the registry knows every face, so that a second try does.
    let found = writer.registry().plan_found(plan);
    writer.apply(&found, at)?;
    let report = erase(plan)?;
    let forget = writer.registry().plan_forgotten(plan);
    writer.apply(&forget, at)?;
    writer.save()?;
    let ids: BTreeSet<_> = plan.faces.iter().map(FaceKey::id).collect();
    writer.blot_forgotten(&ids)?;
    Ok(report)
}

impl Registry {
    fn plan_found(&self, plan: &ForgetPlan) -> crate::change::Plan {
        let number = plan.numbers[0];
        let mut changes = Vec::new();
        if !plan.found.is_empty() {
            changes.push(Change::Faces(FacesEdit {
                number,
                removed: Vec::new(),
                added: plan.found.clone(),
            }));
        }
        let what = format!("found more faces of {} on disk", number.folder_name());
        self.plan(what, changes)
    }

    /// Only the numbers stay; nobody else's refusals name the faces any more.
    fn plan_forgotten(&self, plan: &ForgetPlan) -> crate::change::Plan {
        let ids: BTreeSet<_> = plan.faces.iter().map(FaceKey::id).collect();
        let members: BTreeSet<FacesetNumber> = plan.numbers.iter().copied().collect();
        let mut changes = Vec::new();
        for identity in self.identities().filter(|i| !members.contains(&i.number)) {
            let removed: Vec<FaceKey> = identity
                .not_this_person
                .iter()
                .filter(|k| ids.contains(&k.id()))
                .cloned()
                .collect();
            if !removed.is_empty() {
                changes.push(Change::NotThisPerson(FacesEdit {
                    number: identity.number,
                    removed,
                    added: Vec::new(),
                }));
            }
        }
        // What is no face names a photo: it goes with the photos that only they are on.
        let photos: BTreeSet<_> = plan.faces.iter().map(|k| k.sha256).collect();
        let of_others = |k: &FaceKey| {
            let mut others = self.identities().filter(|i| !members.contains(&i.number));
            others.any(|i| i.faces.on_photo(k.sha256).next().is_some())
        };
        let removed: Vec<FaceKey> = self
            .no_faces
            .iter()
            .filter(|k| photos.contains(&k.sha256) && !of_others(k))
            .cloned()
            .collect();
        if !removed.is_empty() {
            changes.push(Change::NoFaces(NoFacesEdit {
                removed,
                added: Vec::new(),
            }));
        }
        changes.extend(members.iter().map(|n| Change::Forget { number: *n }));
        let numbers: Vec<_> = members.iter().map(|n| n.folder_name()).collect();
        self.plan(format!("forgot {}", numbers.join(", ")), changes)
    }
}

fn erase(plan: &ForgetPlan) -> Result<ForgetReport, IdentityError> {
    let mut report = ForgetReport::default();
    let faces = FaceNeedles::new(plan.faces.iter());
    let quiet = Finder::new(&plan.quiet);
    let scrubber = Scrubber {
        faces: &faces,
        needles: &plan.quiet,
        finder: &quiet,
        numbers: &plan.loud.folders,
    };
    // The files before the lists of sets: a list that still has a set is how a
    // second try finds its folder.
    for file in &plan.files {
        report.n_files += usize::from(remove(file)?);
    }
    let none = BTreeSet::new();
    for manifest in &plan.manifests {
        let mut doc: Value = match read_json(&manifest.file) {
            Err(faceset_fs::FsError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                continue;
            }
            other => other?,
        };
        report.n_entries += scrubber.json(&mut doc, plan.gone.get(&manifest.file).unwrap_or(&none));
        write_atomic(&manifest.file, &to_json_bytes(&doc))?;
    }
    let lines_finder = Finder::new(&plan.loud_lines());
    for log in &plan.logs {
        let bytes = match std::fs::read(&log.file) {
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            other => other.map_err(IdentityError::io("read", &log.file))?,
        };
        let (kept, n) = lines(&bytes, &lines_finder);
        if n > 0 {
            write_atomic(&log.file, &kept)?;
        }
        report.n_lines += n;
    }
    for folder in &plan.folders {
        match std::fs::remove_dir(folder) {
            Ok(()) => report.n_folders += 1,
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) if e.kind() == ErrorKind::DirectoryNotEmpty => {
                report.left.push(folder.clone());
            }
            Err(e) => return Err(IdentityError::io("remove the folder", folder)(e)),
        }
    }
    Ok(report)
}

/// False when it was gone already.
fn remove(file: &Path) -> Result<bool, IdentityError> {
    match std::fs::remove_file(file) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(IdentityError::io("erase", file)(e)),
    }
}
