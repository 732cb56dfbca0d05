//! Carrying out a plan so that a kill at any moment costs no set.
//!
//! A folder is built beside its place under a name of ours, renamed to "ready"
//! when it is whole, and only then put in place; what it replaces is moved to
//! `_dropped/`. The next run finishes a ready folder and discards a partial
//! one. The top manifest follows at the end.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use faceset_core::manifest::{Reserved, SwapSet};
use faceset_core::{CancelToken, Progress, hash_bytes};
use faceset_fs::{DirLock, to_json_bytes};
use serde_json::{Map, json};

use crate::ExportError;
use crate::bounds::{NOT_THIS_PERSON, REFUSED_HIDDEN};
use crate::build::{
    Built, MANIFEST, NAME_FILE, UNREADABLE, Workshop, build, is_intact, read_complete, set_digest,
};
use crate::pictures::{FaceFinder, PixelSource};
use crate::plan::{ExportPlan, SetKind, SetPlan, count_reasons, is_safe_name};
use crate::recover::{MovedAside, move_aside, put_in_place, recover};
use crate::report::{ExportReport, Outcome, SetReport};
use crate::select::{UNDATED_AND_UNDER_AGE, UNDER_AGE};
use crate::top::TopManifest;
use crate::tree::build_without;

/// Below it, everything that was replaced.
pub(crate) const DROPPED: &str = "_dropped";
/// Below it, sets with too few faces.
pub(crate) const THIN: &str = "_thin";
/// A folder that is being built.
pub(crate) const PARTIAL: &str = ".faceset-partial-";
/// A whole folder that is not in its place yet.
pub(crate) const READY: &str = ".faceset-ready-";
/// Reason of a reserved number.
const EMPTY: &str = "empty after filter";

/// Why a set was left alone though its plan changed.
const STAYS: &str = "some of its photos can't be read now: the set stays as it is";
/// Reasons for which a face leaves a set at once, readable or not; the others
/// are about the choice between pictures.
const MUST_LEAVE: [&str; 3] = [NOT_THIS_PERSON, UNDER_AGE, UNDATED_AND_UNDER_AGE];

/// Builds what the plan says below `out`, which is created when missing and
/// locked meanwhile.
///
/// A set that is already there, complete and equal, is not touched. A photo
/// that can't be read is a counted outcome, and a set that would lose a PNG by
/// it stays as it is ([`Outcome::Unreadable`]); a broken detector, a full disk or a
/// newer manifest ends the run, with every set of before or after in place.
pub fn apply(
    plan: &ExportPlan,
    pixels: &dyn PixelSource,
    finder: &dyn FaceFinder,
    out: &Path,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<ExportReport, ExportError> {
    check_names(plan)?;
    let _lock = DirLock::acquire(out, "export-swap")?;
    let mut run = Run {
        shop: Workshop {
            plan,
            pixels,
            finder,
            progress,
            cancel,
        },
        out,
        top: TopManifest::load(&out.join(MANIFEST))?,
        report: ExportReport::default(),
    };
    for moved in recover(out, &mut run.top)? {
        run.tell(&moved);
    }
    let folders = || plan.sets.iter().chain(plan.candidates.iter().flatten());
    let n_faces: usize = folders().map(|s| s.faces.len()).sum();
    progress.start("cut and verify faces", Some(n_faces as u64));
    let result = run.all();
    progress.finish();
    // Also after an error: the sets that are in place belong in the manifest.
    let saved = run.top.save();
    result?;
    saved?;
    Ok(run.report)
}

/// A plan may have been stored, edited and read again: no name in it may lead
/// out of its folder.
fn check_names(plan: &ExportPlan) -> Result<(), ExportError> {
    let refuse = |option, value: &str| {
        Err(ExportError::Option {
            option,
            value: format!("{value:?}"),
            expected: "a plain file name without separators",
        })
    };
    for name in &plan.retired {
        if !is_safe_name(name) {
            return refuse("the name of a replaced set", name);
        }
    }
    for set in plan.sets.iter().chain(plan.candidates.iter().flatten()) {
        if !is_safe_name(&set.name) {
            return refuse("the name of a set", &set.name);
        }
        if !is_safe_name(&set.bundle_stem) {
            return refuse("the name of a bundle", &set.bundle_stem);
        }
        for marker in &set.markers {
            if !is_safe_name(&marker.file) || [MANIFEST, NAME_FILE].contains(&&*marker.file) {
                return refuse("the name of a marker", &marker.file);
            }
        }
    }
    Ok(())
}

/// A set of an earlier run.
struct InPlace {
    kind: SetKind,
    place: PathBuf,
    set: SwapSet,
}

struct Run<'a> {
    shop: Workshop<'a>,
    out: &'a Path,
    top: TopManifest,
    report: ExportReport,
}

impl Run<'_> {
    /// Where sets of a kind live.
    fn root(&self, kind: SetKind) -> PathBuf {
        kind.root(self.out)
    }

    fn all(&mut self) -> Result<(), ExportError> {
        let plan = self.shop.plan;
        for name in &plan.retired {
            self.retire(name, None)?;
        }
        for set in &plan.sets {
            if !self.one(set)? {
                return Ok(());
            }
        }
        for refused in &plan.refused {
            let line = format!("{}: refused, {}", refused.name, refused.reason);
            self.shop.progress.note(&line);
            self.report.warnings.push(line);
            self.report.sets.push(SetReport::of_refused(refused));
            // A folder name that is not ours to use is not looked at.
            // A thin person's set lies in `_thin/`, and stays there.
            let withdrawn = refused.reason.starts_with("consent");
            if withdrawn || refused.reason == REFUSED_HIDDEN {
                self.withdraw(&refused.name, &refused.reason, Map::new())?;
            }
            // The eras of who is hidden go aside and come back with the set.
            if withdrawn {
                for era in self.top.eras_of(&refused.name) {
                    self.retire(&era, None)?;
                }
            }
        }
        if let Some(candidates) = &plan.candidates {
            for set in candidates {
                if !self.one(set)? {
                    return Ok(());
                }
            }
            self.move_stale_candidates(candidates, &self.root(SetKind::Candidate))?;
        }
        self.top.add_run(run_entry(plan));
        Ok(())
    }

    /// One folder below the root of its kind; false when a stop was requested.
    fn one(&mut self, set: &SetPlan) -> Result<bool, ExportError> {
        let root = &self.root(set.kind);
        if self.shop.cancel.is_cancelled() {
            self.report.cancelled = true;
            return Ok(false);
        }
        let place = root.join(&set.name);
        let digest = set_digest(self.shop.plan, set);
        if let Some(there) = read_complete(&place, &digest) {
            self.shop.progress.advance(set.faces.len() as u64);
            self.done(set, Outcome::Unchanged, &there)?;
            return Ok(true);
        }
        let partial = root.join(format!("{PARTIAL}{}", set.name));
        let built = match build(set, &partial, &place, self.shop) {
            Ok(Some(built)) => built,
            Ok(None) => {
                self.report.cancelled = true;
                discard(&partial)?;
                return Ok(false);
            }
            Err(error) => {
                // The error that stopped the run is the one to tell.
                let _ = discard(&partial);
                return Err(error);
            }
        };
        self.finish(set, built, &partial, root)?;
        Ok(true)
    }

    fn finish(
        &mut self,
        set: &SetPlan,
        built: Built,
        partial: &Path,
        root: &Path,
    ) -> Result<(), ExportError> {
        let place = root.join(&set.name);
        self.report.warnings.extend(built.warnings);
        if built.n_unreadable > 0
            && let Some(there) = self.at_risk(set, &built.set)
        {
            discard(partial)?;
            return self.keep(set, there, partial);
        }
        if built.set.faces.is_empty() {
            discard(partial)?;
            if built.n_unreadable > 0 {
                // The photos may be back tomorrow: neither drop a set that is
                // there nor call the number empty.
                self.report.sets.push(SetReport {
                    n_exported: 0,
                    ..SetReport::of_manifest(set, Outcome::Unreadable, &built.set)
                });
                return Ok(());
            }
            if set.kind.is_set() {
                let extra = Map::from_iter([
                    ("n_input".to_owned(), json!(set.n_input)),
                    (
                        "dropped".to_owned(),
                        json!(count_reasons(&built.set.dropped)),
                    ),
                ]);
                self.withdraw(&set.name, EMPTY, extra)?;
            } else if place.symlink_metadata().is_ok() {
                self.move_aside(&place)?;
            }
            self.report
                .sets
                .push(SetReport::of_manifest(set, Outcome::Empty, &built.set));
            return Ok(());
        }
        let same = std::fs::read(place.join(MANIFEST))
            .is_ok_and(|bytes| bytes == to_json_bytes(&built.set));
        if same && is_intact(&place, &built.set) {
            discard(partial)?;
            return self.done(set, Outcome::Unchanged, &built.set);
        }
        let ready = root.join(format!("{READY}{}", set.name));
        rename(partial, &ready)?;
        self.put_in_place(&ready, &place)?;
        self.done(set, Outcome::Written, &built.set)
    }

    /// The intact set in place that has a PNG of a face whose photo can't be
    /// read now: what was built would cost it that PNG.
    fn at_risk(&self, set: &SetPlan, built: &SwapSet) -> Option<InPlace> {
        let unreadable: BTreeSet<_> = built
            .dropped
            .iter()
            .filter(|d| d.reason == UNREADABLE)
            .map(|d| d.key.id())
            .collect();
        // An era may be about to change sides.
        let kinds: &[SetKind] = match set.kind {
            SetKind::Set => &[SetKind::Set, SetKind::Thin],
            SetKind::Thin => &[SetKind::Thin, SetKind::Set],
            SetKind::Candidate => &[SetKind::Candidate],
        };
        kinds.iter().find_map(|&kind| {
            let place = self.root(kind).join(&set.name);
            let there: SwapSet = faceset_fs::read_json(&place.join(MANIFEST)).ok()?;
            let has_one = there.faces.iter().any(|f| unreadable.contains(&f.key.id()));
            (has_one && is_intact(&place, &there)).then_some(InPlace {
                kind,
                place,
                set: there,
            })
        })
    }

    /// Leaves a set as it is until its photos can be read again, but for the
    /// faces that must not be in it.
    fn keep(&mut self, set: &SetPlan, there: InPlace, partial: &Path) -> Result<(), ExportError> {
        let InPlace {
            kind,
            place,
            set: mut kept,
        } = there;
        let held: BTreeSet<_> = kept.faces.iter().map(|f| f.key.id()).collect();
        let leaving: Vec<_> = set
            .dropped
            .iter()
            .filter(|d| MUST_LEAVE.contains(&&*d.reason) && held.contains(&d.key.id()))
            .cloned()
            .collect();
        let n_leaving = leaving.len();
        if n_leaving > 0 {
            kept = build_without(kept, leaving, &place, partial)?;
            let ready = self.root(kind).join(format!("{READY}{}", set.name));
            rename(partial, &ready)?;
            self.put_in_place(&ready, &place)?;
        }
        let reason = match n_leaving {
            0 => STAYS.to_owned(),
            n => format!("{STAYS}, but for {n} that must not be in it"),
        };
        let line = format!("{}: {reason}", set.name);
        self.shop.progress.note(&line);
        self.report.warnings.push(line);
        self.top.list_as(kind, &kept);
        self.report.sets.push(SetReport {
            kind,
            reason: Some(reason),
            ..SetReport::of_manifest(set, Outcome::Unreadable, &kept)
        });
        Ok(())
    }

    fn done(
        &mut self,
        set: &SetPlan,
        outcome: Outcome,
        manifest: &SwapSet,
    ) -> Result<(), ExportError> {
        if set.kind.is_set() {
            // An era that grew or shrank changes sides.
            self.retire(&set.name, Some(set.kind))?;
        }
        self.top.list_as(set.kind, manifest);
        self.report
            .sets
            .push(SetReport::of_manifest(set, outcome, manifest));
        Ok(())
    }

    /// Moves a set aside, active and thin, but not that of the kind to be kept.
    /// The top manifest forgets it.
    fn retire(&mut self, name: &str, keep: Option<SetKind>) -> Result<(), ExportError> {
        for kind in [SetKind::Set, SetKind::Thin] {
            let place = self.root(kind).join(name);
            if Some(kind) != keep && place.symlink_metadata().is_ok() {
                self.move_aside(&place)?;
            }
        }
        if keep.is_none() {
            self.top.unlist(name);
        }
        Ok(())
    }

    /// Reserves the number and moves an earlier export of it aside.
    fn withdraw(
        &mut self,
        name: &str,
        reason: &str,
        extra: Map<String, serde_json::Value>,
    ) -> Result<(), ExportError> {
        self.retire(name, None)?;
        self.top.reserve(&Reserved {
            name: name.to_owned(),
            reason: reason.to_owned(),
            extra,
        });
        Ok(())
    }

    fn put_in_place(&mut self, ready: &Path, place: &Path) -> Result<(), ExportError> {
        if let Some(moved) = put_in_place(ready, place, self.out)? {
            self.tell(&moved);
        }
        Ok(())
    }

    fn move_aside(&mut self, item: &Path) -> Result<(), ExportError> {
        let moved = move_aside(item, self.out)?;
        self.tell(&moved);
        Ok(())
    }

    fn tell(&mut self, moved: &MovedAside) {
        let line = moved.line();
        self.shop.progress.note(&line);
        self.report.warnings.push(line);
    }

    /// Candidate folders of an earlier plan are no longer candidates.
    fn move_stale_candidates(
        &mut self,
        planned: &[SetPlan],
        root: &Path,
    ) -> Result<(), ExportError> {
        let Ok(entries) = std::fs::read_dir(root) else {
            return Ok(());
        };
        let mut stale: Vec<PathBuf> = Vec::new();
        for entry in entries {
            let entry = entry.map_err(ExportError::io("list", root))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let ours = (name.starts_with("to_") || name.starts_with("new_"))
                && entry.path().join(MANIFEST).is_file();
            if ours && !planned.iter().any(|s| s.name == name) {
                stale.push(entry.path());
            }
        }
        stale.sort();
        stale.iter().try_for_each(|folder| self.move_aside(folder))
    }
}

/// What the top manifest remembers of a run: no times, so that a resumed run
/// writes what an undisturbed one does.
fn run_entry(plan: &ExportPlan) -> serde_json::Value {
    let names = |n: &mut dyn Iterator<Item = &String>| n.cloned().collect::<Vec<_>>();
    json!({
        "step": "export-swap",
        "plan_digest": hash_bytes(&to_json_bytes(plan)),
        "cache": plan.cache,
        "sets": names(&mut plan.sets.iter().map(|s| &s.name)),
        "refused": names(&mut plan.refused.iter().map(|r| &r.name)),
        "provenance": plan.provenance,
    })
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), ExportError> {
    faceset_fs::rename(from, to).map_err(ExportError::io("move into place", to))?;
    // Makes the rename durable where the file system can; a refusal costs
    // nothing but that.
    if let Some(folder) = to.parent().filter(|_| cfg!(unix)) {
        let _ = std::fs::File::open(folder).and_then(|f| f.sync_all());
    }
    Ok(())
}

/// Removes a folder that this module built and nobody has seen yet.
pub(crate) fn discard(partial: &Path) -> Result<(), ExportError> {
    match faceset_fs::remove_folder(partial) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(ExportError::io("remove the temporary folder", partial)(e))
        }
        _ => Ok(()),
    }
}
