//! `embed`: photos into a cache.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use faceset_cache::{CacheWriter, Compaction, FLUSH_EVERY, Known, unread_hash};
use faceset_core::{ContentHash, FaceRecord, FileEntry, FileStatus};
use faceset_infer::{Analyzer, Purpose};
use faceset_media::{ScanOptions, ScannedFile, scan};
use faceset_quality::blur;
use serde::Serialize;

use crate::ordered::ordered;
use crate::{Ctx, Engine, PipelineError, photo};

/// Journal size from which a flush may compact, bytes: a cache of 100,000
/// faces has about 200 MB, so this keeps start-up short without rewriting often.
const COMPACT_FROM_BYTES: u64 = 256 << 20;

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
    /// Hash every file again instead of trusting size and time. Default off.
    pub verify: bool,
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
/// known, embedded, noface, duplicates, failed and skipped.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct EmbedReport {
    /// Paths seen below the sources.
    pub seen: usize,
    /// In the cache already.
    pub known: usize,
    /// New photos with faces.
    pub embedded: usize,
    /// New photos without a face.
    pub noface: usize,
    /// New paths of content that is in the cache.
    pub duplicates: usize,
    /// Files that could not be read or decoded.
    pub failed: Vec<Problem>,
    /// Seen and left out, by reason.
    pub skipped: BTreeMap<String, usize>,
    /// Each of them.
    pub skipped_paths: Vec<Problem>,
    /// New faces.
    pub faces: usize,
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
    /// Sum over the buckets; equals `seen`.
    pub fn accounted(&self) -> usize {
        self.known
            + self.embedded
            + self.noface
            + self.duplicates
            + self.failed.len()
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
    let cache = match faceset_cache::load(&options.cache) {
        Ok((cache, _)) => Some(cache),
        Err(faceset_cache::CacheError::Missing { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let is_known = |f: &&ScannedFile| {
        !options.verify
            && cache
                .as_ref()
                .is_some_and(|c| c.known(&f.path, f.size, f.mtime_ns) == Known::Unchanged)
    };
    let known = listing.files.iter().filter(is_known).count();
    Ok(EmbedPlan {
        seen: listing.files.len() + listing.skipped.len(),
        known,
        to_read: listing
            .files
            .iter()
            .filter(|f| !is_known(f))
            .map(|f| f.path.to_string())
            .collect(),
        skipped: count_reasons(&listing.skipped),
    })
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

/// What a worker found in one file's bytes.
#[derive(Debug, Clone)]
struct Content {
    dims: [u32; 2],
    taken: String,
    truncated: bool,
    n_unusable: usize,
    status: FileStatus,
}

/// What a worker says of one path.
enum Looked {
    Unreadable(String),
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

/// Contents in progress, so that two workers never embed the same bytes.
#[derive(Default)]
struct Claims {
    known: HashSet<ContentHash>,
    slots: HashMap<ContentHash, Arc<Slot>>,
}

#[derive(Default)]
struct Slot {
    content: Mutex<Option<Arc<Content>>>,
    ready: Condvar,
}

impl Slot {
    fn fill(&self, content: Arc<Content>) {
        *self.content.lock().unwrap_or_else(PoisonError::into_inner) = Some(content);
        self.ready.notify_all();
    }

    fn wait(&self) -> Arc<Content> {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(content) = content.as_ref() {
                return Arc::clone(content);
            }
            content = self
                .ready
                .wait(content)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Fills the slot when a worker unwinds, so that nobody waits for ever.
struct FillOnDrop<'a>(&'a Slot);

impl Drop for FillOnDrop<'_> {
    fn drop(&mut self) {
        let mut content = self
            .0
            .content
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        content.get_or_insert_with(|| {
            Arc::new(Content::failed(
                "a worker panicked on this picture".to_owned(),
            ))
        });
        drop(content);
        self.0.ready.notify_all();
    }
}

impl Content {
    fn failed(reason: String) -> Self {
        Self {
            dims: [0, 0],
            taken: String::new(),
            truncated: false,
            n_unusable: 0,
            status: FileStatus::Failed(reason),
        }
    }
}

/// Embeds every new photo below the sources.
///
/// The cache grows in path order, whatever the number of workers, so that an
/// interrupted and resumed run ends with the same cache as an undisturbed one.
/// Byte-identical files are embedded once; the first path of a content is its
/// canonical one, the others become aliases.
pub fn run(
    options: &EmbedOptions,
    engine: &Engine,
    ctx: Ctx<'_>,
) -> Result<EmbedReport, PipelineError> {
    let listing = list(options, ctx)?;
    let mut meta = engine.cache_meta();
    meta.src_roots = roots(options)?;
    let mut writer = CacheWriter::open(&options.cache, &meta, ctx.holder)?.with_compaction(
        Compaction::WhenLarge {
            min_bytes: COMPACT_FROM_BYTES,
        },
    );
    for note in writer.load_report().notes(&options.cache) {
        ctx.progress.note(&note);
    }

    let mut report = EmbedReport {
        seen: listing.files.len() + listing.skipped.len(),
        skipped: count_reasons(&listing.skipped),
        skipped_paths: listing
            .skipped
            .into_iter()
            .map(|(problem, _)| problem)
            .collect(),
        ..EmbedReport::default()
    };
    let (known, todo): (Vec<_>, Vec<_>) = listing.files.into_iter().partition(|f| {
        !options.verify && writer.cache().known(&f.path, f.size, f.mtime_ns) == Known::Unchanged
    });
    report.known = known.len();
    drop(known);

    let claims = Mutex::new(Claims {
        known: writer
            .cache()
            .files()
            .filter(|f| matches!(f.status, FileStatus::Faces(_)))
            .map(|f| f.sha256)
            .collect(),
        slots: HashMap::new(),
    });
    let purpose = if options.with_landmarks {
        Purpose::All
    } else {
        Purpose::Embed
    };
    let mut since_flush = 0;
    let mut todo = todo;
    let mut outcome = Ok(());
    // Usually one round. A second one looks at files whose content was known
    // when they were read and lost its record since: its only place got other
    // bytes in the same run (a photo renamed, and another put in its place).
    while outcome.is_ok() && !todo.is_empty() {
        let mut lost = Vec::new();
        ctx.progress.start("embedding", Some(todo.len() as u64));
        outcome = ordered(
            ctx,
            &todo,
            || engine.analyzer(purpose),
            |analyzer, file| {
                look(
                    analyzer,
                    file,
                    &claims,
                    options.with_landmarks,
                    ctx.current_year,
                )
            },
            |_| Looked::Unreadable("a worker panicked on this file".to_owned()),
            |file, looked| {
                if !store(&mut writer, file, looked, &claims, &mut report, ctx)? {
                    lost.push(file.clone());
                }
                since_flush += 1;
                if since_flush >= options.flush_every {
                    writer.flush()?;
                    since_flush = 0;
                }
                ctx.progress.advance(1);
                Ok(())
            },
        );
        ctx.progress.finish();
        todo = lost;
    }
    // Whatever ended the run, what was found is kept.
    writer.flush()?;
    outcome?;
    let cache = writer.finish()?;
    report.faces_in_cache = cache.n_faces();
    report.photos_in_cache = cache.n_files();
    Ok(report)
}

fn roots(options: &EmbedOptions) -> Result<BTreeSet<String>, PipelineError> {
    options
        .sources
        .iter()
        .map(|source| {
            let path = std::path::absolute(source).map_err(PipelineError::io("find", source))?;
            Ok(path.to_string_lossy().into_owned())
        })
        .collect()
}

fn look(
    analyzer: &mut Analyzer,
    file: &ScannedFile,
    claims: &Mutex<Claims>,
    with_landmarks: bool,
    current_year: i32,
) -> Looked {
    let read = match photo::read(&file.path) {
        Ok(read) => read,
        Err(reason) => return Looked::Unreadable(reason),
    };
    let (sha256, size) = (read.sha256, read.bytes.len() as u64);
    let (slot, is_mine) = {
        let mut claims = claims.lock().unwrap_or_else(PoisonError::into_inner);
        if claims.known.contains(&sha256) {
            return Looked::Known { sha256, size };
        }
        match claims.slots.get(&sha256) {
            Some(slot) => (Arc::clone(slot), false),
            None => {
                let slot = Arc::new(Slot::default());
                claims.slots.insert(sha256, Arc::clone(&slot));
                (slot, true)
            }
        }
    };
    if is_mine {
        let guard = FillOnDrop(&slot);
        slot.fill(Arc::new(analyze(
            analyzer,
            file,
            &read.bytes,
            with_landmarks,
            current_year,
        )));
        drop(guard);
    }
    // Whoever claimed it is working on it and waits for nobody: this ends.
    Looked::New {
        sha256,
        size,
        content: slot.wait(),
    }
}

fn analyze(
    analyzer: &mut Analyzer,
    file: &ScannedFile,
    bytes: &[u8],
    with_landmarks: bool,
    current_year: i32,
) -> Content {
    let picture = match photo::pixels(bytes, current_year) {
        Ok(picture) => picture,
        Err(reason) => return Content::failed(reason),
    };
    let mut faces = Vec::new();
    let analysis = match analyzer.analyze(&picture.rgb) {
        Ok(analysis) => analysis,
        Err(error) => return Content::failed(error.to_string()),
    };
    for face in analysis.faces {
        let enrichment = if with_landmarks {
            match analyzer.enrich(&picture.rgb, &face.bbox) {
                Ok(enrichment) => Some(enrichment),
                Err(error) => return Content::failed(error.to_string()),
            }
        } else {
            None
        };
        faces.push(FaceRecord {
            path: file.path.clone(),
            bbox: face.bbox,
            kps: face.kps,
            det_score: face.det_score,
            face_short: face.bbox.short_edge_px(),
            blur: blur(&picture.rgb, &face.bbox),
            embedding: face.embedding,
            embedding_norm: face.embedding_norm,
            enrichment,
        });
    }
    Content {
        dims: [picture.rgb.width(), picture.rgb.height()],
        taken: picture.taken.unwrap_or_default(),
        truncated: picture.truncated,
        n_unusable: analysis.n_unusable,
        status: FileStatus::Faces(faces),
    }
}

/// Records one path; `false` when its content has to be looked at again.
fn store(
    writer: &mut CacheWriter,
    file: &ScannedFile,
    looked: Looked,
    claims: &Mutex<Claims>,
    report: &mut EmbedReport,
    ctx: Ctx<'_>,
) -> Result<bool, PipelineError> {
    let fail = |report: &mut EmbedReport, reason: String| {
        ctx.progress
            .note(&format!("skipped {}: {reason}", file.path));
        report.failed.push(Problem {
            path: file.path.to_string(),
            reason,
        });
    };
    let (sha256, size, content) = match looked {
        Looked::Unreadable(reason) => {
            // What an earlier run knew of this path stays.
            if writer.cache().resolve(&file.path).is_none() {
                writer.put(entry(
                    file,
                    unread_hash(&file.path),
                    file.size,
                    &Content::failed(reason.clone()),
                ))?;
            }
            fail(report, reason);
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
        .map(|f| f.path.clone());
    if let Some(canonical) = canonical {
        if writer.cache().canonical(&file.path) == Some(&canonical) {
            writer.touch(&file.path, file.mtime_ns)?;
            report.known += 1;
        } else {
            writer.add_alias(&canonical, file.path.clone(), file.mtime_ns)?;
            report.duplicates += 1;
        }
        return Ok(true);
    }
    let Some(content) = content else {
        claims
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .known
            .remove(&sha256);
        return Ok(false);
    };
    writer.put(entry(file, sha256, size, &content))?;
    {
        let mut claims = claims.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(content.status, FileStatus::Faces(_)) {
            claims.known.insert(sha256);
            claims.slots.remove(&sha256);
        }
    }
    report.unusable_faces += content.n_unusable;
    if content.truncated {
        ctx.progress.note(&format!(
            "{} ends early; the readable part was used",
            file.path
        ));
        report.truncated.push(file.path.to_string());
    }
    match &content.status {
        FileStatus::Failed(reason) => fail(report, reason.clone()),
        FileStatus::Faces(faces) if faces.is_empty() => report.noface += 1,
        FileStatus::Faces(faces) => {
            report.embedded += 1;
            report.faces += faces.len();
        }
    }
    Ok(true)
}

fn entry(file: &ScannedFile, sha256: ContentHash, size: u64, content: &Content) -> FileEntry {
    let mut status = content.status.clone();
    if let FileStatus::Faces(faces) = &mut status {
        for face in faces {
            face.path = file.path.clone();
        }
    }
    FileEntry {
        path: file.path.clone(),
        sha256,
        size,
        mtime_ns: file.mtime_ns,
        dims: content.dims,
        taken: content.taken.clone(),
        source: "original".to_owned(),
        status,
    }
}
