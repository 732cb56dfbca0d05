//! Putting the planned report on disk: thumbnails that are missing, pages that
//! differ, and away with what an earlier run wrote and this one doesn't.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use faceset_core::{CancelToken, ContentHash, Progress, SourcePath};
use faceset_fs::{DirLock, FsError, quarantine, write_atomic};
use image::RgbImage;
use rayon::prelude::*;
use serde::Serialize;

use crate::facts::FileProblem;
use crate::pages::{GENERATOR, Missing, STYLE, STYLE_FILE, Site};
use crate::plan::{FOLDER, FaceCard, INDEX, ReportPlan};
use crate::thumbs::{Pictures, thumbnail};
use crate::{ReportError, listing};

/// Below the output folder: files that stood where a page of ours goes.
const DROPPED: &str = "_dropped";

/// What writing a report did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ReportOutcome {
    /// The page to open.
    pub index: PathBuf,
    /// Pages that are new or have changed.
    pub pages_written: usize,
    /// Pages that were there already.
    pub pages_kept: usize,
    /// Thumbnails drawn.
    pub thumbs_written: usize,
    /// Thumbnails that were there already.
    pub thumbs_kept: usize,
    /// Faces shown without a picture.
    pub thumbs_missing: usize,
    /// Photos that gave at least one face no picture, by path, with the reason.
    pub failed: Vec<FileProblem>,
    /// Files of an earlier report that were removed.
    pub removed: usize,
    /// Where files went that we had not written and that stood in our place.
    pub moved_aside: Vec<PathBuf>,
    /// True when a stop was requested: thumbnails so far are kept for the next
    /// run, pages are those of the run before.
    pub cancelled: bool,
}

/// Writes the report below `out`; `out/index.html` is the page to open.
///
/// Each photo is read at most once, and only when a thumbnail of one of its
/// faces is missing. A photo that cannot be read gives its faces an empty frame
/// and is counted; the next run tries it again.
pub fn apply(
    plan: &ReportPlan,
    pictures: &dyn Pictures,
    out: &Path,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<ReportOutcome, ReportError> {
    let _lock = DirLock::acquire(&out.join(FOLDER), "report")?;
    let mut outcome = ReportOutcome {
        index: out.join(INDEX),
        ..ReportOutcome::default()
    };
    let earlier = listing::load(out, progress)?;
    let mut ours: BTreeSet<String> = plan.faces().map(|f| thumb_file(&f.thumb)).collect();
    ours.extend(plan.pages.iter().map(|p| p.file.clone()));
    ours.insert(STYLE_FILE.to_owned());
    // Before the first file: what a killed run leaves behind is known as ours.
    listing::save(out, &earlier.union(&ours).cloned().collect())?;

    let missing = draw_thumbs(plan, pictures, out, progress, cancel, &mut outcome)?;
    if cancel.is_cancelled() {
        outcome.cancelled = true;
        return Ok(outcome);
    }
    write_pages(plan, &missing, out, progress, &mut outcome)?;
    for stale in earlier.difference(&ours) {
        let path = out.join(stale);
        let is_page = !stale.starts_with(THUMBS);
        if is_page && !std::fs::read(&path).is_ok_and(|bytes| has_marker(&bytes)) {
            continue;
        }
        outcome.removed += usize::from(remove(&path)?);
    }
    ours.retain(|file| {
        !file
            .strip_prefix(THUMBS)
            .is_some_and(|thumb| missing.thumbs.contains(thumb))
    });
    listing::save(out, &ours)?;
    Ok(outcome)
}

/// Prefix of thumbnails below the output folder.
const THUMBS: &str = "report/thumbs/";

fn thumb_file(thumb: &str) -> String {
    format!("{THUMBS}{thumb}")
}

/// The faces of one content that still need a thumbnail.
#[derive(Default)]
struct Job<'a> {
    paths: BTreeSet<&'a SourcePath>,
    faces: BTreeMap<&'a str, &'a FaceCard>,
}

/// What one photo gave.
#[derive(Default)]
struct Drawn {
    written: usize,
    /// Thumbnails it could not give.
    missing: Vec<String>,
    problem: Option<FileProblem>,
}

fn draw_thumbs(
    plan: &ReportPlan,
    pictures: &dyn Pictures,
    out: &Path,
    progress: &dyn Progress,
    cancel: &CancelToken,
    outcome: &mut ReportOutcome,
) -> Result<Missing, ReportError> {
    let mut jobs: BTreeMap<ContentHash, Job<'_>> = BTreeMap::new();
    for face in plan.faces() {
        if out.join(thumb_file(&face.thumb)).is_file() {
            outcome.thumbs_kept += 1;
        } else {
            let job = jobs.entry(face.key.sha256).or_default();
            job.paths.insert(&face.key.path);
            job.faces.insert(&face.thumb, face);
        }
    }
    let jobs: Vec<Job<'_>> = jobs.into_values().collect();
    progress.start("draw thumbnails", Some(jobs.len() as u64));
    let drawn: Mutex<Vec<Drawn>> = Mutex::default();
    let result = jobs.par_iter().try_for_each(|job| {
        if cancel.is_cancelled() {
            return Ok(());
        }
        let one = draw_photo(job, pictures, out)?;
        progress.advance(1);
        drawn
            .lock()
            .expect("no thread panics while it holds the list")
            .push(one);
        Ok(())
    });
    progress.finish();
    result.map_err(|e: FsError| ReportError::Fs(e))?;
    let mut missing = Missing::default();
    for one in drawn.into_inner().expect("all threads have ended") {
        outcome.thumbs_written += one.written;
        outcome.thumbs_missing += one.missing.len();
        missing.thumbs.extend(one.missing);
        missing.photos.extend(one.problem);
    }
    // Threads end in any order.
    missing
        .photos
        .sort_by(|a, b| (&a.path, &a.reason).cmp(&(&b.path, &b.reason)));
    outcome.failed.clone_from(&missing.photos);
    Ok(missing)
}

/// Opens a photo once and draws all its missing faces.
fn draw_photo(job: &Job<'_>, pictures: &dyn Pictures, out: &Path) -> Result<Drawn, FsError> {
    let mut drawn = Drawn::default();
    let (path, picture) = open(job, pictures);
    for (thumb, face) in &job.faces {
        let bytes = match &picture {
            Ok(picture) => thumbnail(picture, &face.key.bbox),
            Err(reason) => Err(reason.clone()),
        };
        match bytes {
            Ok(bytes) => {
                write_atomic(&out.join(thumb_file(thumb)), &bytes)?;
                drawn.written += 1;
            }
            Err(reason) => {
                drawn.missing.push((*thumb).to_owned());
                let problem = FileProblem {
                    path: path.clone(),
                    reason,
                };
                drawn.problem.get_or_insert(problem);
            }
        }
    }
    Ok(drawn)
}

/// The picture from the first path that opens; the error is that of the first.
fn open(job: &Job<'_>, pictures: &dyn Pictures) -> (SourcePath, Result<RgbImage, String>) {
    let mut first_error = None;
    for path in &job.paths {
        match pictures.upright_rgb(path) {
            Ok(picture) => return ((*path).clone(), Ok(picture)),
            Err(reason) => {
                first_error.get_or_insert(((*path).clone(), Err(reason)));
            }
        }
    }
    first_error.expect("a job has at least the path of its first face")
}

fn write_pages(
    plan: &ReportPlan,
    missing: &Missing,
    out: &Path,
    progress: &dyn Progress,
    outcome: &mut ReportOutcome,
) -> Result<(), ReportError> {
    progress.start("write pages", Some(plan.pages.len() as u64));
    let site = Site::new(plan, missing);
    put(out, STYLE_FILE, STYLE.as_bytes(), outcome)?;
    // The index last: it never links to a page that is not there yet.
    for page in plan.pages.iter().rev() {
        let html = site.render(page)?;
        put(out, &page.file, html.as_bytes(), outcome)?;
        progress.advance(1);
    }
    progress.finish();
    Ok(())
}

/// Replaces a file of ours when it differs. One that we did not write is moved
/// aside first.
fn put(
    out: &Path,
    file: &str,
    bytes: &[u8],
    outcome: &mut ReportOutcome,
) -> Result<(), ReportError> {
    let path = out.join(file);
    match std::fs::read(&path) {
        Ok(there) if there == bytes => {
            outcome.pages_kept += 1;
            return Ok(());
        }
        Ok(there) if !has_marker(&there) => {
            outcome
                .moved_aside
                .push(quarantine(&path, &out.join(DROPPED))?);
        }
        // What cannot be read as a file cannot be replaced either; the write
        // says why.
        _ => {}
    }
    write_atomic(&path, bytes)?;
    outcome.pages_written += 1;
    Ok(())
}

/// Whether a page says that we made it. The listing is no proof: it names pages
/// before they are written, so that a killed run leaves nothing unknown.
fn has_marker(bytes: &[u8]) -> bool {
    let marker = GENERATOR.as_bytes();
    bytes.windows(marker.len()).any(|w| w == marker)
}

/// Removes a file of ours and its folder when that is empty then; false when it
/// was gone already.
fn remove(path: &Path) -> Result<bool, ReportError> {
    match faceset_fs::remove_file(path) {
        Ok(()) => {
            if let Some(folder) = path.parent() {
                // Refused while anything is in it.
                let _ = std::fs::remove_dir(folder);
            }
            Ok(true)
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(FsError::io("remove", path)(error).into()),
    }
}
