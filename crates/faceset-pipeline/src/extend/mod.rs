//! `extend`: new faces of a cache into an existing result, without renumbering
//! anybody.
//!
//! Each new face goes to the nearest known person ([`crate::matching`]), faces
//! that are nobody known are grouped among themselves and with the single faces
//! of before, and what joined a person is offered to their set. People are
//! compared by the faces that founded their group, which do not change: so the
//! order in which photos arrive does not decide who an old acquaintance is.
//!
//! [`plan`] decides, [`apply`] writes; `raw` and `sets` hold the two halves.

mod raw;
mod sets;

use std::path::{Path, PathBuf};

use faceset_cache::Cache;
use faceset_core::manifest::{RawManifest, RefineManifest};
use faceset_core::{CosineDistance, canonical_faceset_number};
use faceset_fs::{DirLock, write_json};
use faceset_identity::Registry;
use faceset_quality::Gates;
use serde::Serialize;

use crate::cluster::{self, CLUSTER_THRESHOLD};
use crate::context::ContextRules;
use crate::export::read_manifest;
use crate::matching::MATCH_THRESHOLD;
use crate::materialize::{self, LinkMode, TreePlan, TreeReport};
use crate::refine;
use crate::{Ctx, PipelineError};

/// Key of a person in the raw manifest and of a set in the refine manifest: how
/// many of its first faces founded it. The others joined later and do not move
/// the centroid that newcomers are compared with. Absent: all of them.
pub const FOUNDING_FACES: &str = "founding_faces";

/// How to extend.
#[derive(Debug, Clone)]
pub struct ExtendOptions {
    /// Farthest a face may be from a person's centroid; equal joins. Default
    /// 0.45.
    pub match_threshold: CosineDistance,
    /// Cut of the grouping of those that matched nobody; equal stays apart.
    /// Default 0.55.
    pub cluster_threshold: CosineDistance,
    /// A face that joins a set of four or more may be this far from the set's
    /// centroid; equal is kept. Default 0.55.
    pub outlier_threshold: CosineDistance,
    /// Gates of the sets. Default 90 px, 40.0, 0.6; equal is kept.
    pub gates: Gates,
    /// Distinct photos from which on a new person is worth a set of their own.
    /// Only for the report. Default 15.
    pub min_faces: usize,
    /// What counts beside the distance. Known people are found by their founding
    /// faces.
    pub context: ContextRules,
    /// How photos get into the folders. Default: as those that are there.
    pub link: Option<LinkMode>,
}

impl Default for ExtendOptions {
    fn default() -> Self {
        Self {
            match_threshold: MATCH_THRESHOLD,
            cluster_threshold: CLUSTER_THRESHOLD,
            outlier_threshold: CosineDistance::constant(0.55),
            gates: Gates::default(),
            min_faces: 15,
            context: ContextRules::default(),
            link: None,
        }
    }
}

/// What is extended.
#[derive(Debug, Clone)]
pub struct ExtendSources {
    /// The cache, with old and new faces.
    pub cache: PathBuf,
    /// The output of `cluster`.
    pub raw: PathBuf,
    /// The output of `refine`, when sets are to be fed.
    pub refined: Option<PathBuf>,
}

/// A new face and where it goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Placed {
    /// The photo.
    pub path: String,
    /// The box, `[x1, y1, x2, y2]`.
    pub bbox: [f32; 4],
    /// `person_NNN`; `None`: alone.
    pub person: Option<String>,
    /// Distance to that person's centroid; to the nearest person when alone or
    /// in a new one; `None` when nobody is known.
    pub distance: Option<f64>,
}

/// What a set got.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SetFeed {
    /// `faceset_NNN`.
    pub name: String,
    /// Faces of the set's person that were offered; the sum of the others.
    pub offered: usize,
    /// Faces taken in.
    pub added: usize,
    /// Faces dropped by a gate.
    pub gated: usize,
    /// Faces too far from the set's centroid.
    pub outliers: usize,
}

/// What `extend` found and did.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ExtendReport {
    /// Faces in the cache.
    pub faces: usize,
    /// Faces that the raw manifest knew; with `new` all of the cache.
    pub known: usize,
    /// Faces it did not know: matched, in new people, or alone.
    pub new: usize,
    /// New faces that joined a known person.
    pub matched: usize,
    /// New faces in new people.
    pub in_new_persons: usize,
    /// New faces that are alone.
    pub alone: usize,
    /// New faces that a person's word kept from the nearest person.
    pub refused: usize,
    /// Single faces of before that are in a new person now.
    pub singletons_joined: usize,
    /// New people: name and number of faces.
    pub new_persons: Vec<(String, usize)>,
    /// Where each new face went, by path and box.
    pub placed: Vec<Placed>,
    /// What the sets got, by name; only those that were offered a face.
    pub sets: Vec<SetFeed>,
    /// Lines for people.
    pub notes: Vec<String>,
    /// What was put on disk for the people.
    pub photos: TreeReport,
    /// What was put on disk for the sets.
    pub set_photos: TreeReport,
}

/// What will be written.
#[derive(Debug, Clone)]
pub struct ExtendPlan {
    /// The new `manifest.json`.
    pub raw: RawManifest,
    /// The new `refine_manifest.json`.
    pub refined: Option<RefineManifest>,
    tree: TreePlan,
    set_tree: TreePlan,
    report: ExtendReport,
    link: Option<LinkMode>,
}

impl ExtendPlan {
    /// The report of a run that is not done yet: all but the photos.
    pub fn report(&self) -> &ExtendReport {
        &self.report
    }
}

/// Decides where the new faces go. `registry` is what people said (an empty one
/// is fine).
pub fn plan(
    cache: &Cache,
    sources: &ExtendSources,
    options: &ExtendOptions,
    registry: &Registry,
    ctx: Ctx<'_>,
) -> Result<ExtendPlan, PipelineError> {
    let raw_path = sources.raw.join(cluster::MANIFEST);
    let old: RawManifest = read_manifest(&raw_path)?;
    check_pack(cache, &old.cache.pack_digest, &raw_path)?;
    let mut refined: Option<RefineManifest> = None;
    let mut notes = Vec::new();
    if let Some(dir) = &sources.refined {
        let path = dir.join(refine::MANIFEST);
        let mut manifest: RefineManifest = read_manifest(&path)?;
        check_pack(cache, &manifest.cache.pack_digest, &path)?;
        notes.extend(sets::obey(&mut manifest, registry, cache)?);
        refined = Some(manifest);
    }
    let mut report = ExtendReport {
        notes,
        ..ExtendReport::default()
    };
    let mut people = raw::People::new(old, cache, refined.as_ref(), registry)?;
    people.take_in(cache, options, registry, &sources.raw, &mut report, ctx)?;
    let mut set_tree = TreePlan::default();
    if let Some(manifest) = &mut refined {
        sets::feed(manifest, &people, cache, options, registry, &mut report)?;
        let path = sources.cache.as_path();
        manifest.cache = cluster::cache_ref(cache, path);
        for set in &manifest.facesets {
            let number = canonical_faceset_number(&set.name);
            if !number.is_some_and(|n| crate::obey::is_hidden(registry, n)) {
                set_tree.add(&set.name, &set.images);
            }
        }
    }
    let (raw, tree) = people.finish(cache, &sources.cache);
    Ok(ExtendPlan {
        raw,
        refined,
        tree,
        set_tree,
        report,
        link: options.link,
    })
}

/// Embeddings of different packs are not compared; an unknown pack is.
fn check_pack(cache: &Cache, digest: &str, manifest: &Path) -> Result<(), PipelineError> {
    let own = &cache.meta().pack.digest;
    if digest.is_empty() || own.is_empty() || digest == own {
        return Ok(());
    }
    Err(PipelineError::Options(format!(
        "{} was made from a cache of other models than this one; use the cache it was made from, or cluster again",
        manifest.display()
    )))
}

/// Writes folders and manifests: the sets first, since the raw manifest says
/// which faces are no longer new.
pub fn apply(
    plan: &ExtendPlan,
    sources: &ExtendSources,
    ctx: Ctx<'_>,
) -> Result<ExtendReport, PipelineError> {
    let mut report = plan.report.clone();
    let _raw_lock = DirLock::acquire(&sources.raw, ctx.holder)?;
    if let (Some(dir), Some(manifest)) = (&sources.refined, &plan.refined) {
        let _lock = DirLock::acquire(dir, ctx.holder)?;
        let is_ours = |folder: &str| canonical_faceset_number(folder).is_some();
        let link = plan
            .link
            .unwrap_or_else(|| materialize::mode_of(dir, is_ours));
        // Manifests first: a run that is killed here has decided, and the next one
        // only places what is missing. A folder without its entry in the manifest
        // would count as somebody's, and its person would get another number.
        write_json(&dir.join(refine::MANIFEST), manifest)?;
        report.set_photos = materialize::apply(&plan.set_tree, dir, link, is_ours, ctx)?;
    }
    let is_ours = cluster::is_ours;
    let link = plan
        .link
        .unwrap_or_else(|| materialize::mode_of(&sources.raw, is_ours));
    write_json(&sources.raw.join(cluster::MANIFEST), &plan.raw)?;
    report.photos = materialize::apply(&plan.tree, &sources.raw, link, is_ours, ctx)?;
    Ok(report)
}
