//! Person folders on disk: photos copied or linked under flat names.
//!
//! Decide, then do: [`TreePlan`] lists every file of the result; [`apply`] makes
//! the tree equal to it. What the plan does not name any more is moved to
//! `_dropped/`, never deleted; originals are only read. Applying twice changes
//! nothing, and a run killed half-way is finished by the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use faceset_core::{SourcePath, safe_dst_name};
use faceset_fs::{AtomicFile, quarantine};
use rayon::prelude::*;
use serde::Serialize;

use crate::embed::Problem;
use crate::photo::place_of;
use crate::{Ctx, PipelineError};

/// How a photo gets into a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkMode {
    /// A copy, with the photo's modification time.
    #[default]
    Copy,
    /// A hard link; a copy where the file system can't (said in the report).
    Hard,
    /// A symbolic link to the absolute path.
    Sym,
    /// No files, only the manifest.
    None,
}

/// How the photos of an earlier result got into its folders: as the first one
/// that is there. Without any, none were put there.
pub fn mode_of(out: &Path, is_ours: impl Fn(&str) -> bool) -> LinkMode {
    let sorted = |dir: &Path| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|e| e.path()).collect();
        paths.sort();
        paths
    };
    let name = |path: &Path| path.file_name().map(|n| n.to_string_lossy().into_owned());
    let folders = sorted(out)
        .into_iter()
        .filter(|p| p.is_dir() && name(p).is_some_and(|n| is_ours(&n)));
    let photo = folders
        .flat_map(|folder| sorted(&folder))
        .find(|p| name(p).is_some_and(|n| looks_like_ours(&n)));
    let about = photo.and_then(|p| p.symlink_metadata().ok());
    match about {
        None => LinkMode::None,
        Some(about) if about.file_type().is_symlink() => LinkMode::Sym,
        Some(about) if n_links(&about) > 1 => LinkMode::Hard,
        Some(_) => LinkMode::Copy,
    }
}

#[cfg(unix)]
fn n_links(about: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(about)
}

/// Not told by this system without opening the file: a copy then takes the
/// place of a new hard link.
#[cfg(not(unix))]
fn n_links(_about: &fs::Metadata) -> u64 {
    1
}

/// Folder that takes what a new plan no longer names.
const DROPPED: &str = "_dropped";

/// Photos copied at once.
const BATCH: usize = 64;

/// The photos of a result: folder -> file name -> source.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct TreePlan {
    folders: BTreeMap<String, BTreeMap<String, SourcePath>>,
}

impl TreePlan {
    /// Adds photos to a folder of the result. Twice the same photo is once; two
    /// photos whose names differ only in case get a number, so that both
    /// survive on file systems that fold case.
    pub fn add<'a>(&mut self, folder: &str, photos: impl IntoIterator<Item = &'a SourcePath>) {
        let files = self.folders.entry(folder.to_owned()).or_default();
        let mut folded: BTreeSet<String> = files.keys().map(|n| n.to_lowercase()).collect();
        for photo in photos {
            let plain = safe_dst_name(photo.as_str());
            if files.get(&plain) == Some(photo) {
                continue;
            }
            let mut name = plain.clone();
            let mut n = 2;
            while !folded.insert(name.to_lowercase()) {
                if files.get(&name) == Some(photo) {
                    break;
                }
                name = match plain.rsplit_once('.') {
                    Some((stem, extension)) => format!("{stem}~{n}.{extension}"),
                    None => format!("{plain}~{n}"),
                };
                n += 1;
            }
            files.insert(name, photo.clone());
        }
    }

    /// Folders and their number of photos.
    pub fn folders(&self) -> impl Iterator<Item = (&str, usize)> {
        self.folders
            .iter()
            .map(|(name, files)| (name.as_str(), files.len()))
    }

    /// File names and sources of one folder.
    pub fn files(&self, folder: &str) -> impl Iterator<Item = (&str, &SourcePath)> {
        self.folders
            .get(folder)
            .into_iter()
            .flatten()
            .map(|(n, p)| (n.as_str(), p))
    }
}

/// What [`apply`] did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct TreeReport {
    /// Photos put in place now.
    pub written: usize,
    /// Photos that were in place already.
    pub kept: usize,
    /// Files of an earlier result, moved to `_dropped/`.
    pub dropped: usize,
    /// Hard links that had to become copies.
    pub copied_instead: usize,
    /// Photos that could not be put in place.
    pub failed: Vec<Problem>,
}

/// Makes the folders below `out` equal to the plan. Only folders that are in
/// the plan, or that `is_ours` recognises, are touched.
pub fn apply(
    plan: &TreePlan,
    out: &Path,
    mode: LinkMode,
    is_ours: impl Fn(&str) -> bool,
    ctx: Ctx<'_>,
) -> Result<TreeReport, PipelineError> {
    fs::create_dir_all(out).map_err(PipelineError::io("create the folder", out))?;
    let mut report = TreeReport {
        dropped: drop_stale(plan, out, mode, is_ours)?,
        ..TreeReport::default()
    };
    if mode == LinkMode::None {
        return Ok(report);
    }
    let todo: Vec<(PathBuf, &SourcePath)> = plan
        .folders
        .iter()
        .flat_map(|(folder, files)| {
            files
                .iter()
                .map(move |(name, source)| (out.join(folder).join(name), source))
        })
        .collect();
    ctx.progress
        .start("sorting photos", Some(todo.len() as u64));
    for batch in todo.chunks(BATCH) {
        ctx.check()?;
        let results: Vec<_> = batch
            .par_iter()
            .map(|(target, source)| place(&place_of(source), target, mode))
            .collect();
        for ((_, source), result) in batch.iter().zip(results) {
            match result {
                Ok(Placed::Kept) => report.kept += 1,
                Ok(Placed::Written) => report.written += 1,
                Ok(Placed::CopiedInstead) => {
                    report.written += 1;
                    report.copied_instead += 1;
                }
                Err(PlaceError::Source(reason)) => {
                    ctx.progress
                        .note(&format!("not copied: {source}: {reason}"));
                    report.failed.push(Problem {
                        path: source.to_string(),
                        reason,
                    });
                }
                Err(PlaceError::Target(error)) => return Err(error),
            }
        }
        ctx.progress.advance(batch.len() as u64);
    }
    ctx.progress.finish();
    Ok(report)
}

fn drop_stale(
    plan: &TreePlan,
    out: &Path,
    mode: LinkMode,
    is_ours: impl Fn(&str) -> bool,
) -> Result<usize, PipelineError> {
    let mut dropped = 0;
    let bin = out.join(DROPPED);
    for entry in fs::read_dir(out).map_err(PipelineError::io("list", out))? {
        let entry = entry.map_err(PipelineError::io("list", out))?;
        let Ok(folder) = entry.file_name().into_string() else {
            continue;
        };
        if !entry.path().is_dir() || folder == DROPPED {
            continue;
        }
        let wanted = if mode == LinkMode::None {
            None
        } else {
            plan.folders.get(&folder)
        };
        match wanted {
            None if is_ours(&folder) => {
                dropped += count_files(&entry.path());
                quarantine(&entry.path(), &bin)?;
            }
            None => {}
            Some(files) => {
                for file in
                    fs::read_dir(entry.path()).map_err(PipelineError::io("list", &entry.path()))?
                {
                    let file = file.map_err(PipelineError::io("list", &entry.path()))?;
                    let name = file.file_name();
                    let is_wanted = name.to_str().is_some_and(|n| files.contains_key(n));
                    // What a person put there (a note, a folder) is theirs.
                    if !is_wanted && name.to_str().is_some_and(looks_like_ours) {
                        quarantine(&file.path(), &bin.join(&folder))?;
                        dropped += 1;
                    }
                }
            }
        }
    }
    Ok(dropped)
}

/// Names made by [`safe_dst_name`] from an absolute path hold `__`.
fn looks_like_ours(name: &str) -> bool {
    name.contains("__")
}

fn count_files(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, |entries| entries.flatten().count())
}

enum Placed {
    Kept,
    Written,
    CopiedInstead,
}

enum PlaceError {
    Source(String),
    Target(PipelineError),
}

fn place(source: &Path, target: &Path, mode: LinkMode) -> Result<Placed, PlaceError> {
    let about = fs::metadata(source).map_err(|e| PlaceError::Source(e.to_string()))?;
    if is_in_place(source, &about, target, mode) {
        return Ok(Placed::Kept);
    }
    let broken = |e: io::Error| PlaceError::Target(PipelineError::io("write", target)(e));
    let folder = target.parent().expect("a file in a folder of the plan");
    fs::create_dir_all(folder).map_err(broken)?;
    if target.symlink_metadata().is_ok() {
        fs::remove_file(target).map_err(broken)?;
    }
    match mode {
        LinkMode::Copy | LinkMode::None => copy(source, &about, target)?,
        LinkMode::Hard => {
            // Of the file itself: a link to a symbolic link may point nowhere from here.
            let linked = fs::canonicalize(source).and_then(|file| fs::hard_link(file, target));
            if linked.is_err() {
                copy(source, &about, target)?;
                return Ok(Placed::CopiedInstead);
            }
        }
        LinkMode::Sym => match symlink(source, target) {
            Ok(()) => {}
            // Windows lets only administrators and developers make them.
            Err(_) if cfg!(windows) => {
                copy(source, &about, target)?;
                return Ok(Placed::CopiedInstead);
            }
            Err(e) => return Err(broken(e)),
        },
    }
    Ok(Placed::Written)
}

/// A copy carries the source's size and time, so that a second run need not
/// read either.
fn is_in_place(source: &Path, about: &fs::Metadata, target: &Path, mode: LinkMode) -> bool {
    let is_copy = || {
        target.symlink_metadata().is_ok_and(|t| {
            t.is_file()
                && t.len() == about.len()
                && same_time(t.modified().ok(), about.modified().ok())
        })
    };
    match mode {
        LinkMode::Sym => {
            fs::read_link(target).is_ok_and(|to| to == source) || (cfg!(windows) && is_copy())
        }
        LinkMode::Copy | LinkMode::Hard | LinkMode::None => is_copy(),
    }
}

/// Some file systems store times in steps of two seconds (FAT).
fn same_time(a: Option<SystemTime>, b: Option<SystemTime>) -> bool {
    const STEP: Duration = Duration::from_secs(2);
    match (a, b) {
        (Some(a), Some(b)) => a
            .duration_since(b)
            .or_else(|_| b.duration_since(a))
            .is_ok_and(|d| d <= STEP),
        _ => false,
    }
}

fn copy(source: &Path, about: &fs::Metadata, target: &Path) -> Result<(), PlaceError> {
    let mut from = fs::File::open(source).map_err(|e| PlaceError::Source(e.to_string()))?;
    let mut to = AtomicFile::create_exclusive(target).map_err(|e| PlaceError::Target(e.into()))?;
    let copied = io::copy(&mut from, &mut to)
        .map_err(|e| PlaceError::Target(PipelineError::io("write", target)(e)))?;
    if copied != about.len() {
        return Err(PlaceError::Source(
            "changed while it was copied; run again".to_owned(),
        ));
    }
    to.commit().map_err(|e| PlaceError::Target(e.into()))?;
    // Without its time the copy is only written again by the next run.
    if let (Ok(file), Ok(time)) = (
        fs::File::options().write(true).open(target),
        about.modified(),
    ) {
        let _ = file.set_modified(time);
    }
    Ok(())
}

#[cfg(unix)]
fn symlink(source: &Path, target: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(source, target)
}

#[cfg(windows)]
fn symlink(source: &Path, target: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(source, target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use faceset_core::{CancelToken, NoProgress};

    fn with_ctx<R>(f: impl FnOnce(Ctx<'_>) -> R) -> R {
        let cancel = CancelToken::default();
        f(Ctx {
            progress: &NoProgress,
            cancel: &cancel,
            holder: "test",
            n_workers: 1,
            current_year: 2026,
            now: jiff::Timestamp::UNIX_EPOCH,
            kernel: None,
        })
    }

    fn photo(dir: &Path, name: &str, text: &str) -> SourcePath {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().into()
    }

    fn tree(root: &Path) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut todo = vec![root.to_path_buf()];
        while let Some(folder) = todo.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                if entry.path().is_dir() {
                    todo.push(entry.path());
                } else {
                    found.insert(
                        entry
                            .path()
                            .strip_prefix(root)
                            .unwrap()
                            .to_string_lossy()
                            .replace('\\', "/"),
                    );
                }
            }
        }
        found
    }

    #[test]
    fn applying_twice_writes_once_and_stale_photos_move_aside() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (
            photo(dir.path(), "in/a.jpg", "aa"),
            photo(dir.path(), "in/b.jpg", "bbb"),
        );
        let out = dir.path().join("out");
        let mut plan = TreePlan::default();
        plan.add("person_001", [&a, &b, &a]);
        let ours = |name: &str| name.starts_with("person_");
        with_ctx(|ctx| {
            let first = apply(&plan, &out, LinkMode::Copy, ours, ctx).unwrap();
            assert_eq!((first.written, first.kept), (2, 0));
            let second = apply(&plan, &out, LinkMode::Copy, ours, ctx).unwrap();
            assert_eq!((second.written, second.kept, second.dropped), (0, 2, 0));
            fs::write(out.join("person_001/my note.txt"), "mine").unwrap();
            let mut smaller = TreePlan::default();
            smaller.add("person_001", [&b]);
            assert_eq!(
                apply(&smaller, &out, LinkMode::Copy, ours, ctx)
                    .unwrap()
                    .dropped,
                1
            );
        });
        let dropped = format!("_dropped/person_001/{}", safe_dst_name(a.as_str()));
        let found = tree(&out);
        assert!(
            found.contains(&dropped) && found.contains("person_001/my note.txt"),
            "{found:?}"
        );
        assert_eq!(fs::read_to_string(a.as_path()).unwrap(), "aa");
    }

    #[test]
    fn a_changed_photo_is_copied_again_and_a_vanished_one_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (
            photo(dir.path(), "a.jpg", "old"),
            photo(dir.path(), "b.jpg", "b"),
        );
        let out = dir.path().join("out");
        let mut plan = TreePlan::default();
        plan.add("person_001", [&a, &b]);
        with_ctx(|ctx| {
            apply(&plan, &out, LinkMode::Copy, |_| false, ctx).unwrap();
            fs::write(a.as_path(), "newer").unwrap();
            fs::remove_file(b.as_path()).unwrap();
            let report = apply(&plan, &out, LinkMode::Copy, |_| false, ctx).unwrap();
            assert_eq!((report.written, report.failed.len()), (1, 1));
            assert_eq!(report.failed[0].path, b.as_str());
        });
        let copy = out.join("person_001").join(safe_dst_name(a.as_str()));
        assert_eq!(fs::read_to_string(copy).unwrap(), "newer");
    }

    #[test]
    fn names_that_differ_in_case_both_survive() {
        let mut plan = TreePlan::default();
        plan.add(
            "p",
            [&SourcePath::from("/x/A.jpg"), &SourcePath::from("/x/a.jpg")],
        );
        let names: Vec<_> = plan.files("p").map(|(n, _)| n.to_lowercase()).collect();
        assert_eq!(names.len(), 2);
        assert_ne!(names[0], names[1]);
    }

    #[test]
    fn links_point_at_the_photo_and_no_mode_writes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let a = photo(dir.path(), "a.jpg", "aa");
        let mut plan = TreePlan::default();
        plan.add("p", [&a]);
        with_ctx(|ctx| {
            for (mode, out) in [
                (LinkMode::Hard, "hard"),
                (LinkMode::Sym, "sym"),
                (LinkMode::None, "none"),
            ] {
                let out = dir.path().join(out);
                apply(&plan, &out, mode, |_| false, ctx).unwrap();
                let copy = out.join("p").join(safe_dst_name(a.as_str()));
                assert_eq!(copy.exists(), mode != LinkMode::None);
                let again = apply(&plan, &out, mode, |_| false, ctx).unwrap();
                assert_eq!(again.written, 0, "{mode:?}");
            }
        });
    }

    #[cfg(unix)]
    #[test]
    fn a_hard_link_to_a_linked_photo_is_of_the_photo() {
        let dir = tempfile::tempdir().unwrap();
        let source = photo(dir.path(), "disk/a.jpg", "a picture");
        fs::create_dir(dir.path().join("photos")).unwrap();
        let link = dir.path().join("photos/a.jpg");
        std::os::unix::fs::symlink("../disk/a.jpg", &link).unwrap();
        let target = dir.path().join("out/person_001/a.jpg");
        let placed = || place(&link, &target, LinkMode::Hard);
        assert!(matches!(placed(), Ok(Placed::Written)));
        assert!(target.symlink_metadata().unwrap().is_file());
        assert_eq!(fs::read_to_string(&target).unwrap(), "a picture");
        assert!(matches!(placed(), Ok(Placed::Kept)));
        assert!(Path::new(source.as_str()).exists());
    }
}
