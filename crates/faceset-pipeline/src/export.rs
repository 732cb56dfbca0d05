//! `export-swap`: sets into swap-ready folders and bundles.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use faceset_cache::Cache;
use faceset_cluster::{LinkageOptions, average_linkage};
use faceset_core::manifest::{
    MANIFEST_VERSION, RawManifest, RefineManifest, RefinedSet, check_version,
};
use faceset_core::{BBox, CancelToken, FaceKey, NoProgress, SourcePath, canonical_faceset_number};
use faceset_export::{
    Bounds, ExportOptions, ExportPlan, ExportReport, FaceFinder, NoBounds, PersonFacts, Photo,
    PlanInputs, faces_to_hash, hash_faces,
};
use faceset_fs::read_json;
use faceset_identity::{Matched, Registry};
use faceset_infer::{Analyzer, Purpose};
use image::RgbImage;
use ndarray::Array2;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::obey::PeopleBounds;
use crate::photo::CachePhotos;
use crate::{Ctx, Engine, PipelineError, obey};

/// What is known of the person of a set: consent and birth date.
pub type FactsOf<'a> = &'a (dyn Fn(&RefinedSet) -> PersonFacts + Sync + 'a);

/// Where the sets come from.
#[derive(Debug, Clone)]
pub struct ExportSources {
    /// The cache.
    pub cache: PathBuf,
    /// `refine_manifest.json`.
    pub refined: PathBuf,
    /// `manifest.json` of `cluster`, for candidates.
    pub raw: Option<PathBuf>,
}

/// Reads a manifest; newer versions are refused by number, not by accident.
pub fn read_manifest<T: DeserializeOwned>(path: &Path) -> Result<T, PipelineError> {
    let value: Value = read_json(path)?;
    check_version(&value).map_err(|found| PipelineError::TooNew {
        path: path.to_path_buf(),
        found,
        supported: MANIFEST_VERSION,
    })?;
    serde_json::from_value(value).map_err(|source| {
        PipelineError::Fs(faceset_fs::FsError::Json {
            path: path.to_path_buf(),
            source,
        })
    })
}

/// Refuses a manifest that names faces the cache lacks.
pub(crate) fn check_belongs<'a>(
    cache: &Cache,
    cache_path: &Path,
    manifest: &Path,
    faces: impl Iterator<Item = &'a FaceKey>,
) -> Result<(), PipelineError> {
    let missing: Vec<&FaceKey> = faces.filter(|key| cache.face(key).is_none()).collect();
    match missing.first() {
        None => Ok(()),
        Some(first) => Err(PipelineError::ForeignManifest {
            manifest: manifest.to_path_buf(),
            cache: cache_path.to_path_buf(),
            n_missing: missing.len(),
            first: first.path.to_string(),
        }),
    }
}

/// Decides what is exported, with consent and birth dates from `facts` and
/// nothing else said of anybody. Reads photos only where two faces look alike.
pub fn plan(
    cache: &Cache,
    sources: &ExportSources,
    options: &ExportOptions,
    facts: FactsOf<'_>,
    ctx: Ctx<'_>,
) -> Result<ExportPlan, PipelineError> {
    let refined: RefineManifest = read_manifest(&sources.refined)?;
    plan_sets(cache, sources, &refined, options, facts, &NoBounds, ctx)
}

/// As [`plan`], with everything that the registry says: one set a person
/// ([`obey::regroup`]), no face that was refused, nobody who is hidden (unless
/// `with_hidden`), nobody against their consent. What was put together or
/// taken apart is among the plan's notes.
pub fn plan_for(
    cache: &Cache,
    sources: &ExportSources,
    options: &ExportOptions,
    registry: &Registry,
    with_hidden: bool,
    ctx: Ctx<'_>,
) -> Result<ExportPlan, PipelineError> {
    let mut refined: RefineManifest = read_manifest(&sources.refined)?;
    let notes = obey::regroup(&mut refined, registry, cache)?;
    check_numbers(&refined, registry, &sources.refined)?;
    let bounds = PeopleBounds::new(registry, &refined, with_hidden);
    let facts = |set: &RefinedSet| registry.export_facts(set);
    let mut plan = plan_sets(cache, sources, &refined, options, &facts, &bounds, ctx)?;
    plan.notes.extend(notes);
    Ok(plan)
}

/// Refuses sets numbered without regard to the registry: one person's faces would come to
/// stand under another's number and name.
fn check_numbers(
    refined: &RefineManifest,
    registry: &Registry,
    path: &Path,
) -> Result<(), PipelineError> {
    for set in &refined.facesets {
        let Some(number) = canonical_faceset_number(&set.name) else {
            continue;
        };
        if let Matched::Faces(person) = registry.match_set("", None, &set.faces).matched
            && person != registry.root(number)
        {
            return Err(PipelineError::Options(format!(
                "the faces of {} in {} are those of {}; number the sets by the people of this \
                 folder first: `sort-faces refine CACHE OUT --people FOLDER`",
                set.name,
                path.display(),
                person.folder_name()
            )));
        }
    }
    Ok(())
}

/// Decides for sets that are in memory.
pub fn plan_sets(
    cache: &Cache,
    sources: &ExportSources,
    refined: &RefineManifest,
    options: &ExportOptions,
    facts: FactsOf<'_>,
    bounds: &dyn Bounds,
    ctx: Ctx<'_>,
) -> Result<ExportPlan, PipelineError> {
    check_belongs(
        cache,
        &sources.cache,
        &sources.refined,
        refined.facesets.iter().flat_map(|s| &s.faces),
    )?;
    let raw: Option<RawManifest> = sources.raw.as_deref().map(read_manifest).transpose()?;
    if let (Some(raw), Some(path)) = (&raw, &sources.raw) {
        check_belongs(cache, &sources.cache, path, raw.singletons.iter())?;
    }
    plan_manifest(cache, refined, raw.as_ref(), options, facts, bounds, ctx)
}

/// The same for sets in memory, of which every face is in the cache.
pub fn plan_manifest(
    cache: &Cache,
    refined: &RefineManifest,
    raw: Option<&RawManifest>,
    options: &ExportOptions,
    facts: FactsOf<'_>,
    bounds: &dyn Bounds,
    ctx: Ctx<'_>,
) -> Result<ExportPlan, PipelineError> {
    let places: Vec<Vec<SourcePath>> = cache
        .files()
        .map(|f| cache.places(&f.path).into_iter().cloned().collect())
        .collect();
    let photos: Vec<Photo<'_>> = cache
        .files()
        .zip(&places)
        .map(|(entry, places)| Photo { entry, places })
        .collect();
    let threshold = options.candidate_match_threshold;
    let group = |embeddings: &[&[f32]]| group_orphans(embeddings, threshold, ctx.cancel);
    let provenance = json!({
        "tool": concat!("face-sets ", env!("CARGO_PKG_VERSION")),
        "pack": cache.meta().pack.name,
        "pack_digest": cache.meta().pack.digest,
    });
    let inputs = PlanInputs {
        photos: &photos,
        refined,
        raw,
        facts,
        bounds,
        group_orphans: &group,
        provenance: &provenance,
    };
    let pixels = CachePhotos {
        cache,
        current_year: ctx.current_year,
    };
    let hashed = hash_faces(
        &faces_to_hash(&inputs, options),
        &pixels,
        ctx.progress,
        ctx.cancel,
    );
    if hashed.cancelled {
        return Err(PipelineError::Interrupted);
    }
    for (path, reason) in &hashed.failed {
        ctx.progress
            .note(&format!("not compared: {path}: {reason}"));
    }
    let (progress, cancel) = (ctx.progress, ctx.cancel);
    let plan = faceset_export::plan_watched(&inputs, options, &hashed.hashes, progress, cancel)?;
    // Grouping orphans stops early when asked to, and cannot say so itself.
    ctx.check()?;
    plan.ok_or(PipelineError::Interrupted)
}

/// Average linkage of faces that belong to no set; groups of one are orphans.
fn group_orphans(
    embeddings: &[&[f32]],
    threshold: faceset_core::CosineDistance,
    cancel: &CancelToken,
) -> Vec<Vec<usize>> {
    let Some(first) = embeddings.first() else {
        return Vec::new();
    };
    let mut rows = Array2::zeros((embeddings.len(), first.len()));
    for (mut row, values) in rows.rows_mut().into_iter().zip(embeddings) {
        row.iter_mut().zip(*values).for_each(|(r, v)| *r = *v);
    }
    average_linkage(
        rows.view(),
        &LinkageOptions::new(threshold),
        &NoProgress,
        cancel,
    )
    .map(|c| {
        c.clusters()
            .map(|m| m.iter().map(|i| *i as usize).collect())
            .collect()
    })
    .unwrap_or_default()
}

/// Cuts, checks and bundles what the plan says below `out`.
pub fn apply(
    plan: &ExportPlan,
    cache: &Cache,
    engine: &Engine,
    out: &Path,
    ctx: Ctx<'_>,
) -> Result<ExportReport, PipelineError> {
    let pixels = CachePhotos {
        cache,
        current_year: ctx.current_year,
    };
    let finder = PackFinder {
        engine,
        idle: Mutex::new(Vec::new()),
    };
    let report = faceset_export::apply(plan, &pixels, &finder, out, ctx.progress, ctx.cancel)?;
    if report.cancelled {
        Err(PipelineError::Interrupted)
    } else {
        Ok(report)
    }
}

/// The pack's detector as self-test; models are handed from one caller to the
/// next, so there are never more than threads.
struct PackFinder<'a> {
    engine: &'a Engine,
    idle: Mutex<Vec<Analyzer>>,
}

impl FaceFinder for PackFinder<'_> {
    fn find(&self, picture: &RgbImage, det_size: u32) -> Result<Vec<BBox>, String> {
        let taken = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut analyzer = match taken {
            Some(analyzer) => analyzer,
            None => self
                .engine
                .analyzer(Purpose::Detect)
                .map_err(|e| e.to_string())?,
        };
        let found = analyzer
            .detect_as_seen_at(picture, det_size)
            .map_err(|e| e.to_string())?;
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(analyzer);
        Ok(found.into_iter().map(|d| d.bbox).collect())
    }
}
