//! Photos into a cache: who reads, who looks, in which order it is kept.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use faceset_cache::{Cache, CacheMeta, CacheWriter, Compaction, unread_hash};
use faceset_core::{ContentHash, FileEntry, FileStatus, SourcePath};
use faceset_media::FileBytes;

use super::content::{Claim, Claims, Content};
use super::find::FindFaces;
use super::numbers::FileNumbers;
use super::prefetch::Prefetch;
use super::second_look::{SecondLook, is_wanted};
use super::task::Task;
use super::{EmbedReport, Problem};
use crate::ordered::ordered;
use crate::{Ctx, PipelineError, photo};

/// Journal size from which a flush may compact, bytes: a cache of 100,000
/// faces has about 200 MB, so this keeps start-up short without rewriting often.
const COMPACT_FROM_BYTES: u64 = 256 << 20;

/// Bytes of photos that may be read and not yet looked at, a worker: four
/// photos of 10 MB, so that one slow file does not stop a worker, within the
/// 150 MB that a worker may take beside its models.
const PREFETCH_BYTES_PER_WORKER: u64 = 40 << 20;

/// How a cache is filled, whatever with.
#[derive(Debug, Clone)]
pub struct FillOptions {
    /// The cache, `.npz`.
    pub cache: PathBuf,
    /// New files after which progress is made durable.
    pub flush_every: usize,
    /// Look into every file again instead of trusting what is known of it.
    pub verify: bool,
    /// Also take up photos of earlier runs that have no face and were not looked
    /// at again; the finder is expected to look again at those without.
    pub look_again: bool,
    /// While this file exists, the run ends after the photos in hand.
    pub stop: Option<PathBuf>,
}

/// What a worker says of one path.
enum Looked {
    Unreadable(String),
    Stale(String),
    Known {
        sha256: ContentHash,
        size: u64,
    },
    New {
        sha256: ContentHash,
        size: u64,
        content: Arc<Content>,
    },
}

/// Looks at every task that the cache does not know, with one finder a worker.
///
/// Tasks are worked in order of their path whatever their own order, and of
/// tasks of one path the last counts. Results reach the cache in that order,
/// whatever the number of workers: an interrupted and resumed run ends with the
/// cache of an undisturbed one. Byte-identical files are looked at once; the
/// first path of a content is its canonical one, the others become aliases.
///
/// `seen`, `skipped` and `skipped_paths` of the report are the caller's.
pub fn fill<F: FindFaces>(
    tasks: Vec<Task>,
    options: &FillOptions,
    meta: &CacheMeta,
    new_finder: impl Fn() -> Result<F, PipelineError> + Sync,
    ctx: Ctx<'_>,
) -> Result<EmbedReport, PipelineError> {
    check_stop(options)?;
    let mut writer = CacheWriter::open(&options.cache, meta, ctx.holder)?.with_compaction(
        Compaction::WhenLarge {
            min_bytes: COMPACT_FROM_BYTES,
        },
    );
    for note in writer.load_report().notes(&options.cache) {
        ctx.progress.note(&note);
    }
    let mut report = EmbedReport::default();
    let mut todo = in_order(tasks);
    let tasks = todo.clone();
    let (numbers, unreadable) = FileNumbers::load(&options.cache);
    let (needed, renumbered) = needed(&tasks, writer.cache(), &numbers, options);
    for note in unreadable.iter().chain(&renumbered) {
        ctx.progress.note(note);
    }
    let mut is_needed = needed.iter();
    todo.retain(|_| *is_needed.next().expect("one answer for each task"));
    report.known = tasks.len() - todo.len();
    report.seen = tasks.len();

    let claims = Claims::new(known_contents(&writer, options));
    let mut since_flush = 0;
    let mut outcome = Ok(());
    // Usually one round. A second one looks at files whose content was known
    // when they were read and lost its record since: its only place got other
    // bytes in the same run (a photo renamed, and another put in its place).
    while outcome.is_ok() && !todo.is_empty() {
        let mut lost = Vec::new();
        ctx.progress.start("embedding", Some(todo.len() as u64));
        outcome = look_at_all(&todo, &new_finder, &claims, ctx, |task, looked| {
            if !store(&mut writer, task, looked, &claims, &mut report, ctx)? {
                lost.push(task.clone());
            }
            since_flush += 1;
            if since_flush >= options.flush_every {
                writer.flush()?;
                since_flush = 0;
            }
            ctx.progress.advance(1);
            if asks_to_stop(options) {
                ctx.cancel.cancel();
            }
            Ok(())
        });
        ctx.progress.finish();
        todo = lost;
    }
    // Whatever ended the run, what was found is kept.
    writer.flush()?;
    let numbers_now = numbers.after(&tasks, writer.cache());
    if numbers_now != numbers {
        numbers_now.save(&options.cache)?;
    }
    outcome?;
    let cache = writer.finish()?;
    report.faces_in_cache = cache.n_faces();
    report.photos_in_cache = cache.n_files();
    Ok(report)
}

/// Sorted by path; of several tasks of one path the last.
fn in_order(mut tasks: Vec<Task>) -> Vec<Task> {
    // Stable, so the last of equal paths is the last that was given.
    tasks.sort_by(|a, b| a.path.cmp(&b.path));
    tasks.dedup_by(|later, kept| {
        let is_same = later.path == kept.path;
        if is_same {
            std::mem::swap(later, kept);
        }
        is_same
    });
    tasks
}

/// For each task whether a run must open it, and what to say of the whole.
pub(super) fn needed(
    tasks: &[Task],
    cache: &Cache,
    numbers: &FileNumbers,
    options: &FillOptions,
) -> (Vec<bool>, Option<String>) {
    if options.verify {
        return (vec![true; tasks.len()], None);
    }
    let (mut needed, note) = numbers.replaced(tasks, cache);
    for (needed, task) in needed.iter_mut().zip(tasks) {
        let look_again = || options.look_again && cache.resolve(&task.path).is_some_and(is_wanted);
        *needed = *needed || !task.is_known(cache) || look_again();
    }
    (needed, note)
}

/// Contents that no worker has to look at.
fn known_contents(writer: &CacheWriter, options: &FillOptions) -> HashSet<ContentHash> {
    writer
        .cache()
        .files()
        .filter(|f| matches!(f.status, FileStatus::Faces(_)))
        .filter(|f| !(options.look_again && is_wanted(f)))
        .map(|f| f.sha256)
        .collect()
}

/// Reads ahead, looks with all workers, hands over in order.
fn look_at_all<F: FindFaces>(
    todo: &[Task],
    new_finder: &(impl Fn() -> Result<F, PipelineError> + Sync),
    claims: &Claims,
    ctx: Ctx<'_>,
    mut sink: impl FnMut(&Task, Looked) -> Result<(), PipelineError>,
) -> Result<(), PipelineError> {
    let numbered: Vec<(usize, &Task)> = todo.iter().enumerate().collect();
    let sizes = |at: usize| todo[at].size;
    let budget = PREFETCH_BYTES_PER_WORKER * ctx.n_workers.max(1) as u64;
    let prefetch = Prefetch::new(todo.len(), budget, &sizes);
    prefetch.while_reading(
        |at| read(&todo[at]),
        || {
            ordered(
                ctx,
                &numbered,
                new_finder,
                |finder, &(at, task)| match prefetch.take(at) {
                    Some(taken) => look(&taken.read, task, finder, claims, ctx.current_year),
                    None => Looked::Unreadable("reading ended before it".to_owned()),
                },
                |_| Looked::Unreadable("a worker panicked on this file".to_owned()),
                |&(_, task), looked| sink(task, looked),
            )
        },
    )
}

/// Bytes, or why there are none.
enum Read {
    Bytes(FileBytes),
    Unreadable(String),
    Stale(String),
}

fn read(task: &Task) -> Read {
    // A wrong size says enough without reading a gigabyte.
    if task.sha256.is_some()
        && let Ok(about) = std::fs::metadata(task.place())
        && about.is_file()
        && about.len() != task.size
    {
        return Read::Stale(format!(
            "it has {} bytes, {} were staged; stage it again",
            about.len(),
            task.size
        ));
    }
    match photo::read_place(task.place()) {
        Ok(file) if task.sha256.is_some_and(|wanted| wanted != file.sha256) => {
            Read::Stale("its bytes are not those that were staged; stage it again".to_owned())
        }
        Ok(file) => Read::Bytes(file),
        Err(reason) => Read::Unreadable(reason),
    }
}

fn look(
    read: &Read,
    task: &Task,
    finder: &mut impl FindFaces,
    claims: &Claims,
    current_year: i32,
) -> Looked {
    let file = match read {
        Read::Bytes(file) => file,
        Read::Unreadable(reason) => return Looked::Unreadable(reason.clone()),
        Read::Stale(reason) => return Looked::Stale(reason.clone()),
    };
    let (sha256, size) = (file.sha256, file.bytes.len() as u64);
    let slot = match claims.claim(sha256) {
        Claim::Known => return Looked::Known { sha256, size },
        Claim::Mine(slot) => {
            slot.fill(|| Content::of(&file.bytes, task, finder, current_year));
            slot
        }
        // Whoever claimed it is working on it and waits for nobody: this ends.
        Claim::Theirs(slot) => slot,
    };
    Looked::New {
        sha256,
        size,
        content: slot.wait(),
    }
}

/// Records one path; `false` when its content has to be looked at again.
fn store(
    writer: &mut CacheWriter,
    task: &Task,
    looked: Looked,
    claims: &Claims,
    report: &mut EmbedReport,
    ctx: Ctx<'_>,
) -> Result<bool, PipelineError> {
    let problem = |reason: String| {
        ctx.progress
            .note(&format!("skipped {}: {reason}", task.path));
        Problem {
            path: task.path.to_string(),
            reason,
        }
    };
    let (sha256, size, content) = match looked {
        Looked::Unreadable(reason) => {
            // What an earlier run knew of this path stays.
            if writer.cache().resolve(&task.path).is_none() {
                let failed = Content::failed(reason.clone());
                writer.put(failed.entry(task, unread_hash(&task.path), task.size))?;
            }
            report.failed.push(problem(reason));
            return Ok(true);
        }
        Looked::Stale(reason) => {
            report.stale.push(problem(reason));
            return Ok(true);
        }
        Looked::Known { sha256, size } => (sha256, size, None),
        Looked::New {
            sha256,
            size,
            content,
        } => (sha256, size, Some(content)),
    };
    let canonical = writer
        .cache()
        .by_hash(&sha256)
        .filter(|f| matches!(f.status, FileStatus::Faces(_)))
        .filter(|f| !is_second_look(f, content.as_deref()))
        .map(|f| f.path.clone());
    if let Some(canonical) = canonical {
        if writer.cache().canonical(&task.path) == Some(&canonical) {
            if writer.cache().mtime_ns(&task.path) != Some(task.mtime_ns) {
                writer.touch(&task.path, task.mtime_ns)?;
            }
            report.known += 1;
        } else {
            writer.add_alias(&canonical, task.path.clone(), task.mtime_ns)?;
            report.duplicates += 1;
        }
        return Ok(true);
    }
    let Some(content) = content else {
        claims.lost(&sha256);
        return Ok(false);
    };
    if let Some(reason) = &content.device_problem {
        return Err(PipelineError::DeviceLost {
            reason: reason.clone(),
        });
    }
    // A second look at a known content: the place that it is known by stays.
    let known = writer
        .cache()
        .by_hash(&sha256)
        .filter(|f| is_second_look(f, Some(&content)) && f.path != task.path)
        .map(|f| f.path.clone());
    if let Some(canonical) = known {
        writer.add_alias(&canonical, task.path.clone(), task.mtime_ns)?;
        let mtime_ns = writer.cache().mtime_ns(&canonical).unwrap_or(0);
        let entry = content.entry(task, sha256, size);
        writer.put(moved(entry, canonical, mtime_ns))?;
    } else {
        writer.put(content.entry(task, sha256, size))?;
    }
    if matches!(content.status, FileStatus::Faces(_)) {
        claims.stored(sha256);
    }
    match content.second_look {
        SecondLook::NotTaken => {}
        SecondLook::InVain => report.rescued_in_vain += 1,
        SecondLook::Found(way) => *report.rescued.entry(way.to_string()).or_insert(0) += 1,
    }
    report.unusable_faces += content.n_unusable;
    if content.truncated {
        ctx.progress.note(&format!(
            "{} ends early; the readable part was used",
            task.path
        ));
        report.truncated.push(task.path.to_string());
    }
    match &content.status {
        FileStatus::Failed(reason) => report.failed.push(problem(reason.clone())),
        FileStatus::Faces(faces) if faces.is_empty() => report.noface += 1,
        FileStatus::Faces(faces) => {
            report.embedded += 1;
            report.faces += faces.len();
        }
    }
    Ok(true)
}

/// Whether this is news of a content that the cache has without a face.
fn is_second_look(known: &FileEntry, content: Option<&Content>) -> bool {
    is_wanted(known) && content.is_some_and(|c| c.second_look != SecondLook::NotTaken)
}

/// An entry under another of its places.
fn moved(entry: FileEntry, path: SourcePath, mtime_ns: i64) -> FileEntry {
    let status = match entry.status {
        FileStatus::Faces(mut faces) => {
            for face in &mut faces {
                face.path = path.clone();
            }
            FileStatus::Faces(faces)
        }
        failed @ FileStatus::Failed(_) => failed,
    };
    FileEntry {
        path,
        mtime_ns,
        status,
        ..entry
    }
}

fn asks_to_stop(options: &FillOptions) -> bool {
    options.stop.as_deref().is_some_and(Path::exists)
}

/// A stop file from before the run is a mistake, or somebody who means it.
fn check_stop(options: &FillOptions) -> Result<(), PipelineError> {
    match &options.stop {
        Some(path) if path.exists() => Err(PipelineError::AskedToStop { path: path.clone() }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(path: &str, size: u64) -> Task {
        Task {
            path: path.into(),
            place: None,
            size,
            mtime_ns: 0,
            file_number: 0,
            sha256: None,
            source: "original".to_owned(),
            taken: None,
        }
    }

    #[test]
    fn tasks_run_by_path_and_the_last_word_on_a_path_counts() {
        let tasks = vec![task("/b", 1), task("/a", 2), task("/b", 3), task("/b", 4)];
        assert_eq!(in_order(tasks), [task("/a", 2), task("/b", 4)]);
    }
}
