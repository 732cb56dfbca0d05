//! `embed` from a stager's queue: the same cache, whichever system works it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use faceset_cache::CacheMeta;
use faceset_queue::{
    PathStyle, Queue, QueueDir, QueueItem, RootId, RootOverrides, RootPlace, Shard,
};
use serde::Serialize;

use super::find::Models;
use super::numbers::FileNumbers;
use super::{EmbedReport, FillOptions, FindFaces, Problem, Task, fill, load_if_there, split};
use crate::{Ctx, Engine, PipelineError};

/// Which queue to work, and how.
#[derive(Debug, Clone)]
pub struct QueueOptions {
    /// The queue.
    pub queue: QueueDir,
    /// The cache to fill, `.npz`.
    pub cache: PathBuf,
    /// Which part of the queue. Default all of it.
    pub shard: Shard,
    /// Where roots are on this system, where the queue does not know.
    pub roots: RootOverrides,
    /// Whose paths this system uses.
    pub style: PathStyle,
    /// New files after which progress is made durable. Default 50.
    pub flush_every: usize,
    /// Also find landmarks and pose. Default on: a cache from another machine
    /// is not enriched without its photos.
    pub with_landmarks: bool,
    /// Read photos again whose content the cache has. Default off.
    pub verify: bool,
    /// Look again at photos without a face. Default off.
    pub look_again: bool,
}

impl QueueOptions {
    /// Defaults for a queue and a cache on this system.
    pub fn new(queue: QueueDir, cache: PathBuf) -> Self {
        Self {
            queue,
            cache,
            shard: Shard::ALL,
            roots: RootOverrides::default(),
            style: PathStyle::here(),
            flush_every: faceset_cache::FLUSH_EVERY,
            with_landmarks: true,
            verify: false,
            look_again: false,
        }
    }
}

impl QueueOptions {
    fn fill_options(&self) -> FillOptions {
        FillOptions {
            cache: self.cache.clone(),
            flush_every: self.flush_every,
            verify: self.verify,
            look_again: self.look_again,
            stop: Some(self.queue.stop_path()),
        }
    }
}

/// What working a queue did. Each row of the queue is in one of: a bucket of
/// `embed`, `other_parts`, `replaced`, `refused`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct QueueReport {
    /// The photos of this part.
    #[serde(flatten)]
    pub embed: EmbedReport,
    /// Photos that belong to other parts.
    pub other_parts: usize,
    /// Rows that a later row of the same photo replaces.
    pub replaced: usize,
    /// Rows that can't be used, with the reason.
    pub refused: Vec<Problem>,
}

/// What a dry run says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct QueuePlan {
    /// Photos of this part.
    pub seen: usize,
    /// In the cache already.
    pub known: usize,
    /// Names of the photos that a run would read.
    pub to_read: Vec<String>,
    /// Photos that belong to other parts.
    pub other_parts: usize,
    /// Rows that a later row of the same photo replaces.
    pub replaced: usize,
    /// Rows that can't be used, with the reason.
    pub refused: Vec<Problem>,
    /// Where each root in use is looked for.
    pub roots: BTreeMap<String, String>,
}

/// Lists what a run would read, without models and without writing.
pub fn plan(options: &QueueOptions) -> Result<QueuePlan, PipelineError> {
    let work = Work::load(options)?;
    let cache = load_if_there(&options.cache)?;
    let no_numbers = FileNumbers::default();
    let (known, to_read) = split(
        &work.tasks,
        cache.as_ref(),
        &no_numbers,
        &options.fill_options(),
    );
    Ok(QueuePlan {
        seen: work.tasks.len(),
        known,
        to_read,
        other_parts: work.other_parts,
        replaced: work.replaced,
        refused: work.refused,
        roots: work
            .places
            .into_iter()
            .map(|(id, place)| (id.to_string(), place.folder().to_owned()))
            .collect(),
    })
}

/// Embeds every photo of the queue's part that the cache does not have.
///
/// The cache calls the photos by their logical paths and takes no times of this
/// system, so two systems make the same one. Holds the queue's embedding lock
/// of this part; stops when the queue's stop file appears.
pub fn run(
    options: &QueueOptions,
    engine: &Engine,
    ctx: Ctx<'_>,
) -> Result<QueueReport, PipelineError> {
    let models = || Models::new(engine, options.with_landmarks, options.look_again);
    run_with(options, &engine.cache_meta(), models, ctx)
}

/// As [`run`], with other finders than an engine's; `meta` says what they are.
pub fn run_with<F: FindFaces>(
    options: &QueueOptions,
    meta: &CacheMeta,
    new_finder: impl Fn() -> Result<F, PipelineError> + Sync,
    ctx: Ctx<'_>,
) -> Result<QueueReport, PipelineError> {
    let _lock = options.queue.lock_embedding(options.shard, ctx.holder)?;
    let work = Work::load(options)?;
    for note in &work.notes {
        ctx.progress.note(note);
    }
    let meta = CacheMeta {
        src_roots: work.names,
        ..meta.clone()
    };
    Ok(QueueReport {
        embed: fill(work.tasks, &options.fill_options(), &meta, new_finder, ctx)?,
        other_parts: work.other_parts,
        replaced: work.replaced,
        refused: work.refused,
    })
}

/// A queue, resolved on this system.
struct Work {
    tasks: Vec<Task>,
    other_parts: usize,
    replaced: usize,
    refused: Vec<Problem>,
    places: BTreeMap<RootId, RootPlace>,
    /// Logical roots.
    names: std::collections::BTreeSet<String>,
    notes: Vec<String>,
}

impl Work {
    fn load(options: &QueueOptions) -> Result<Self, PipelineError> {
        let queue = options.queue.load()?;
        let mut places = BTreeMap::new();
        let mut notes = Vec::new();
        for id in options.roots.ids() {
            if !queue.head.roots.contains_key(id) {
                return Err(faceset_queue::QueueError::UnknownRoot {
                    id: id.to_string(),
                    path: options.queue.head_path(),
                }
                .into());
            }
        }
        for (id, place) in queue.places(&options.roots, options.style) {
            let place = place?;
            let folder = PathBuf::from(place.folder());
            if !folder.is_dir() {
                return Err(PipelineError::NoRoot {
                    id: id.to_string(),
                    path: folder,
                });
            }
            if place.is_slow() {
                notes.push(format!(
                    "{} is slow: it goes through the file server of Linux under Windows",
                    place.folder()
                ));
            }
            places.insert(id, place);
        }
        let (mine, others): (Vec<&QueueItem>, Vec<&QueueItem>) = queue
            .items
            .iter()
            .partition(|item| options.shard.holds(&item.sha256));
        let tasks = mine
            .into_iter()
            .map(|item| task(&queue, item, &places[&item.root]))
            .collect();
        let refused = refused(options, &queue);
        notes.extend(
            refused
                .iter()
                .map(|p| format!("left out {}: {}", p.path, p.reason)),
        );
        if queue.report.torn_bytes > 0 {
            notes.push(format!(
                "the queue ends in an unfinished line of {} bytes: the stager is writing, or was killed",
                queue.report.torn_bytes
            ));
        }
        Ok(Self {
            tasks,
            other_parts: others.len(),
            replaced: queue.report.n_rows as usize - queue.items.len() - queue.refused.len(),
            refused,
            names: places
                .keys()
                .map(|id| queue.head.roots[id].posix().to_owned())
                .collect(),
            places,
            notes,
        })
    }
}

fn task(queue: &Queue, item: &QueueItem, place: &RootPlace) -> Task {
    Task {
        path: queue.logical(item),
        place: Some(place.file(&item.rel).into()),
        size: item.size,
        // The content is known by its hash; a time would differ by system.
        mtime_ns: 0,
        file_number: 0,
        sha256: Some(item.sha256),
        source: item
            .rendered
            .map_or_else(|| "original".to_owned(), |d| d.name().to_owned()),
        // For an original the server's time adds nothing but the file's date.
        taken: item.rendered.and_then(|_| item.taken_at.clone()),
    }
}

fn refused(options: &QueueOptions, queue: &Queue) -> Vec<Problem> {
    let items = options.queue.items_path();
    let bad_lines = queue.report.damaged.iter().map(|bad| Problem {
        path: format!("{} line {}", items.display(), bad.line),
        reason: bad.reason.clone(),
    });
    let bad_items = queue.refused.iter().map(|refused| Problem {
        path: refused.rel.clone(),
        reason: format!("line {}: {}", refused.line, refused.reason),
    });
    bad_lines.chain(bad_items).collect()
}
