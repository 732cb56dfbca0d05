//! `embed`: photos into a cache.
//!
//! Owns what is asked and what is reported, and the listing of folders. How a
//! cache is filled is in `fill`, whatever names the photos: folders here, a
//! stager's queue in [`queue`].

mod content;
mod fill;
mod find;
mod numbers;
mod prefetch;
pub mod queue;
mod second_look;
mod task;

pub use fill::{FillOptions, fill};
pub use find::{FindError, FindFaces, Found, FoundFace};
pub use numbers::NUMBERS_VERSION;
pub use second_look::SecondLook;
pub use task::Task;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use faceset_cache::{Cache, CacheMeta, FLUSH_EVERY};
use faceset_media::{ScanOptions, ScannedFile, scan};
use serde::Serialize;

use crate::{Ctx, Engine, PipelineError, known_as};
use find::Models;
use numbers::FileNumbers;

/// What to embed, and where to.
#[derive(Debug, Clone)]
pub struct EmbedOptions {
    /// Folders or files.
    pub sources: Vec<PathBuf>,
    /// The cache, `.npz`.
    pub cache: PathBuf,
    /// What to leave out of the listing.
    pub scan: ScanOptions,
    /// New files after which progress is made durable. Default 50.
    pub flush_every: usize,
    /// Also find landmarks and pose, as `enrich` does, while the picture is at
    /// hand. Default off.
    pub with_landmarks: bool,
    /// Hash every file again instead of trusting size, time and file number.
    /// Default off.
    pub verify: bool,
    /// Look again at photos without a face, those of earlier runs too. Default
    /// off.
    pub look_again: bool,
}

impl EmbedOptions {
    /// Defaults for a source and a cache.
    pub fn new(sources: Vec<PathBuf>, cache: PathBuf) -> Self {
        Self {
            sources,
            cache,
            scan: ScanOptions::default(),
            flush_every: FLUSH_EVERY,
            with_landmarks: false,
            verify: false,
            look_again: false,
        }
    }
}

impl EmbedOptions {
    fn fill_options(&self) -> FillOptions {
        FillOptions {
            cache: self.cache.clone(),
            flush_every: self.flush_every,
            verify: self.verify,
            look_again: self.look_again,
            stop: None,
        }
    }
}

/// A file that gave nothing, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where.
    pub path: String,
    /// Why, for people.
    pub reason: String,
}

/// What `embed` did. Every path that was seen is in exactly one of the buckets
/// known, embedded, noface, duplicates, failed, stale and skipped.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct EmbedReport {
    /// Paths seen below the sources.
    pub seen: usize,
    /// In the cache already.
    pub known: usize,
    /// New photos with faces, and known ones that a second look gave some.
    pub embedded: usize,
    /// New photos without a face, and known ones looked at again in vain.
    pub noface: usize,
    /// New paths of content that is in the cache.
    pub duplicates: usize,
    /// Files that could not be read or decoded.
    pub failed: Vec<Problem>,
    /// Photos of a queue whose bytes are not those that were staged.
    pub stale: Vec<Problem>,
    /// Seen and left out, by reason.
    pub skipped: BTreeMap<String, usize>,
    /// Each of them.
    pub skipped_paths: Vec<Problem>,
    /// New faces.
    pub faces: usize,
    /// Of the photos with faces those that only a second look gave, by its way.
    pub rescued: BTreeMap<String, usize>,
    /// Of the photos without a face those that were looked at again.
    pub rescued_in_vain: usize,
    /// Detections that turned out to be no usable faces.
    pub unusable_faces: usize,
    /// Photos that end early; their decoded part was used.
    pub truncated: Vec<String>,
    /// Faces in the cache now.
    pub faces_in_cache: usize,
    /// Distinct photos in the cache now.
    pub photos_in_cache: usize,
}

impl EmbedReport {
    /// What second looks gave, in one line; `None` when there were none.
    pub fn second_looks(&self) -> Option<String> {
        let n_rescued = self.rescued.values().sum::<usize>();
        let n_looks = n_rescued + self.rescued_in_vain;
        let ways: Vec<String> = self
            .rescued
            .iter()
            .map(|(way, n)| format!("{way} {n}"))
            .collect();
        (n_looks > 0).then(|| {
            let ways = if ways.is_empty() {
                String::new()
            } else {
                format!(" ({})", ways.join(", "))
            };
            format!("photos looked at again: {n_looks}, with faces now: {n_rescued}{ways}")
        })
    }

    /// Sum over the buckets; equals `seen`.
    pub fn accounted(&self) -> usize {
        self.known
            + self.embedded
            + self.noface
            + self.duplicates
            + self.failed.len()
            + self.stale.len()
            + self.skipped_paths.len()
    }
}

/// What a dry run says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct EmbedPlan {
    /// Paths seen below the sources.
    pub seen: usize,
    /// In the cache already, unchanged.
    pub known: usize,
    /// Paths that a run would read.
    pub to_read: Vec<String>,
    /// Seen and left out, by reason.
    pub skipped: BTreeMap<String, usize>,
}

/// Lists what a run would read, without models and without writing.
pub fn plan(options: &EmbedOptions, ctx: Ctx<'_>) -> Result<EmbedPlan, PipelineError> {
    let listing = list(options, ctx)?;
    let cache = load_if_there(&options.cache)?;
    let (numbers, _) = FileNumbers::load(&options.cache);
    let tasks: Vec<Task> = listing.files.into_iter().map(Task::from).collect();
    let (known, to_read) = split(&tasks, cache.as_ref(), &numbers, &options.fill_options());
    Ok(EmbedPlan {
        seen: tasks.len() + listing.skipped.len(),
        known,
        to_read,
        skipped: count_reasons(&listing.skipped),
    })
}

/// The cache, `None` when there is none yet.
pub(crate) fn load_if_there(path: &Path) -> Result<Option<Cache>, PipelineError> {
    match faceset_cache::load(path) {
        Ok((cache, _)) => Ok(Some(cache)),
        Err(faceset_cache::CacheError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// How many tasks the cache knows, and the names of the others.
fn split(
    tasks: &[Task],
    cache: Option<&Cache>,
    numbers: &FileNumbers,
    options: &FillOptions,
) -> (usize, Vec<String>) {
    let needed = match cache {
        Some(cache) => fill::needed(tasks, cache, numbers, options).0,
        None => vec![true; tasks.len()],
    };
    let to_read: Vec<String> = tasks
        .iter()
        .zip(needed)
        .filter(|(_, needed)| *needed)
        .map(|(task, _)| task.path.to_string())
        .collect();
    (tasks.len() - to_read.len(), to_read)
}

struct Listing {
    files: Vec<ScannedFile>,
    skipped: Vec<(Problem, &'static str)>,
}

fn list(options: &EmbedOptions, ctx: Ctx<'_>) -> Result<Listing, PipelineError> {
    ctx.progress.start("listing", None);
    let mut files = BTreeMap::new();
    let mut skipped = BTreeMap::new();
    for source in &options.sources {
        let found = scan(source, &options.scan, ctx.cancel)?;
        ctx.progress.advance(found.files.len() as u64);
        files.extend(found.files.into_iter().map(|f| (f.path.clone(), f)));
        for item in found.skipped {
            let problem = Problem {
                path: item.path.clone(),
                reason: item.reason.to_string(),
            };
            skipped.insert(
                (item.path, problem.reason.clone()),
                (problem, item.reason.key()),
            );
        }
    }
    ctx.progress.finish();
    Ok(Listing {
        files: files.into_values().collect(),
        skipped: skipped.into_values().collect(),
    })
}

fn count_reasons(skipped: &[(Problem, &'static str)]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (_, key) in skipped {
        *counts.entry((*key).to_owned()).or_insert(0) += 1;
    }
    counts
}

/// Embeds every new photo below the sources, as [`fill`] says.
pub fn run(
    options: &EmbedOptions,
    engine: &Engine,
    ctx: Ctx<'_>,
) -> Result<EmbedReport, PipelineError> {
    let models = || Models::new(engine, options.with_landmarks, options.look_again);
    run_with(options, &engine.cache_meta(), models, ctx)
}

/// As [`run`], with other finders than an engine's; `meta` says what they are.
pub fn run_with<F: FindFaces>(
    options: &EmbedOptions,
    meta: &CacheMeta,
    new_finder: impl Fn() -> Result<F, PipelineError> + Sync,
    ctx: Ctx<'_>,
) -> Result<EmbedReport, PipelineError> {
    let listing = list(options, ctx)?;
    let meta = CacheMeta {
        src_roots: roots(options)?,
        ..meta.clone()
    };
    let tasks = listing.files.into_iter().map(Task::from).collect();
    let report = fill(tasks, &options.fill_options(), &meta, new_finder, ctx)?;
    Ok(EmbedReport {
        seen: report.seen + listing.skipped.len(),
        skipped: count_reasons(&listing.skipped),
        skipped_paths: listing
            .skipped
            .into_iter()
            .map(|(problem, _)| problem)
            .collect(),
        ..report
    })
}

fn roots(options: &EmbedOptions) -> Result<BTreeSet<String>, PipelineError> {
    options
        .sources
        .iter()
        .map(|source| known_as(source))
        .collect()
}
