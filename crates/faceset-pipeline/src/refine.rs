//! `refine`: a cache into numbered sets of good faces.
//!
//! Stages in this order: group at the initial threshold, merge over-split
//! groups by their centroids, quality gates, outlier rejection, size filter.
//! Numbers are given by size: for fresh results only, `extend` keeps numbers.

use std::collections::BTreeSet;
use std::path::Path;

use faceset_cache::{Cache, FaceRow};
use faceset_cluster::{Vectors, centroid};
use faceset_core::manifest::{DroppedFace, MANIFEST_VERSION, RefineManifest, RefinedSet};
use faceset_core::{CosineDistance, FacesetNumber, canonical_faceset_number};
use faceset_fs::{DirLock, write_json};
use faceset_identity::Registry;
use faceset_quality::{Gates, decimal};
use serde::Serialize;
use serde_json::{Map, json};

use crate::cluster::{best_first, cache_ref, group, places_of};
use crate::materialize::{self, LinkMode, TreePlan, TreeReport};
use crate::{Ctx, PipelineError, obey, people};

/// Name of the manifest.
pub const MANIFEST: &str = "refine_manifest.json";

/// Groups with fewer faces have no outliers: their mean says too little. The
/// original tool's value.
pub const OUTLIER_MIN_CLUSTER: usize = 4;

/// First pass of a mean of photos that show other people, too; the original
/// tool's value. The second pass is the cut for known people.
pub const FIRST_PASS: CosineDistance = CosineDistance::constant(0.55);

/// How to refine; defaults are the original tool's.
#[derive(Debug, Clone)]
pub struct RefineOptions {
    /// Groups nearer than this merge; equal stays apart. Default 0.55.
    pub initial_threshold: CosineDistance,
    /// Groups whose centroids are at most this far apart merge. Default 0.40.
    pub merge_threshold: CosineDistance,
    /// In groups of four or more, faces farther from the centroid are dropped;
    /// equal is kept. Default 0.55.
    pub outlier_threshold: CosineDistance,
    /// Distinct photos (by content, not faces and not copies) that a set needs;
    /// equal is kept. Default 15.
    pub min_faces: usize,
    /// Quality gates. Default 90 px, 40.0, 0.6; equal is kept.
    pub gates: Gates,
    /// How photos get into the folders. Default: copies.
    pub link: LinkMode,
}

impl Default for RefineOptions {
    fn default() -> Self {
        Self {
            initial_threshold: CosineDistance::constant(0.55),
            merge_threshold: CosineDistance::constant(0.40),
            outlier_threshold: CosineDistance::constant(0.55),
            min_faces: 15,
            gates: Gates::default(),
            link: LinkMode::Copy,
        }
    }
}

/// What will be written.
#[derive(Debug, Clone)]
pub struct RefinePlan {
    /// The manifest.
    pub manifest: RefineManifest,
    /// The photos.
    pub tree: TreePlan,
    report: RefineReport,
    link: LinkMode,
}

/// What `refine` found and did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RefineReport {
    /// Faces in the cache.
    pub faces: usize,
    /// Groups of any size after the first stage.
    pub initial_groups: usize,
    /// Groups that the centroid stage merged into others.
    pub merged_groups: usize,
    /// Faces dropped by a quality gate, of all groups.
    pub gated: usize,
    /// Faces dropped as outliers.
    pub outliers: usize,
    /// Groups of two or more faces with too few photos left.
    pub too_small: usize,
    /// Sets made.
    pub facesets: usize,
    /// Faces in them.
    pub faces_in_sets: usize,
    /// Sizes of the ten largest sets.
    pub largest: Vec<usize>,
    /// What was put on disk.
    pub photos: TreeReport,
}

/// A group after the gates.
pub(crate) struct Gated<'a> {
    pub(crate) kept: Vec<&'a FaceRow<'a>>,
    pub(crate) dropped: Vec<DroppedFace>,
}

/// Decides the sets.
pub fn plan(
    cache: &Cache,
    path: &Path,
    options: &RefineOptions,
    ctx: Ctx<'_>,
) -> Result<RefinePlan, PipelineError> {
    let clustering = group(cache, options.initial_threshold, ctx)?;
    let embeddings = cache.embeddings();
    let vectors = Vectors::new(embeddings.view())?;
    let groups: Vec<&[u32]> = clustering.clusters().collect();
    let merged = centroid::merge_close(
        &vectors,
        &groups,
        options.merge_threshold,
        ctx.progress,
        ctx.cancel,
    )?;
    let rows: Vec<FaceRow<'_>> = cache.faces().collect();

    let mut report = RefineReport {
        faces: rows.len(),
        initial_groups: groups.len(),
        merged_groups: groups.len() - merged.len(),
        ..RefineReport::default()
    };
    let mut sets = Vec::new();
    let mut rejected = Vec::new();
    for parts in merged {
        let members: Vec<u32> = parts
            .iter()
            .flat_map(|part| groups[*part as usize])
            .copied()
            .collect();
        let gated = gate(&members, &rows, &vectors, options, &mut report)?;
        let photos: BTreeSet<_> = gated.kept.iter().map(|row| row.file.sha256).collect();
        if photos.len() >= options.min_faces {
            sets.push(gated);
        } else if members.len() > 1 {
            report.too_small += 1;
            rejected.push((photos.len(), gated));
        }
    }
    sets.sort_by_key(|set| {
        (
            std::cmp::Reverse(set.kept.len()),
            set.kept.iter().map(|r| r.row).min(),
        )
    });
    rejected.sort_by_key(|(_, set)| {
        let faces = set.kept.len() + set.dropped.len();
        (
            std::cmp::Reverse(faces),
            set.kept.iter().map(|r| r.row).min(),
        )
    });

    let mut tree = TreePlan::default();
    let mut facesets = Vec::new();
    for (at, set) in sets.into_iter().enumerate() {
        let number = FacesetNumber::new(at as u32 + 1).expect("fewer sets than numbers");
        let set = refined(cache, number.folder_name(), set, Map::new());
        tree.add(&set.name, &set.images);
        facesets.push(set);
    }
    let rejected = rejected
        .into_iter()
        .enumerate()
        .map(|(at, (n_photos, set))| {
            let reason = json!({
                "reason": "min_faces", "value": n_photos, "limit": options.min_faces,
            });
            let extra = Map::from_iter([("rejected".to_owned(), reason)]);
            refined(cache, format!("group_{:03}", at + 1), set, extra)
        })
        .collect();
    report.facesets = facesets.len();
    report.faces_in_sets = facesets.iter().map(|s| s.faces.len()).sum();
    report.largest = facesets.iter().map(|s| s.faces.len()).take(10).collect();
    let manifest = RefineManifest {
        version: MANIFEST_VERSION,
        params: json!({
            "initial_threshold": options.initial_threshold,
            "merge_threshold": options.merge_threshold,
            "outlier_threshold": options.outlier_threshold,
            "min_faces": options.min_faces,
            "gates": options.gates,
        }),
        cache: cache_ref(cache, path),
        facesets,
        rejected,
        extra: Map::new(),
    };
    Ok(RefinePlan {
        manifest,
        tree,
        report,
        link: options.link,
    })
}

pub(crate) fn gate<'a>(
    members: &[u32],
    rows: &'a [FaceRow<'a>],
    vectors: &Vectors<'_>,
    options: &RefineOptions,
    report: &mut RefineReport,
) -> Result<Gated<'a>, PipelineError> {
    let mut dropped = Vec::new();
    let mut passed = Vec::new();
    for row in members {
        let face = &rows[*row as usize];
        match options.gates.check(face.face) {
            None => passed.push(*row),
            Some(failure) => dropped.push(DroppedFace {
                key: face.key(),
                reason: failure.gate.name().to_owned(),
                value: Some(decimal(failure.value)).filter(|v| v.is_finite()),
                limit: Some(decimal(failure.limit)),
            }),
        }
    }
    report.gated += dropped.len();
    if passed.len() >= OUTLIER_MIN_CLUSTER {
        let within = match centroid::unit_mean(vectors, &passed) {
            Some(mean) => {
                let near =
                    centroid::members_within(vectors, &passed, &mean, options.outlier_threshold)?;
                let kept: BTreeSet<u32> = near.iter().copied().collect();
                for row in passed.iter().filter(|row| !kept.contains(row)) {
                    let face = &rows[*row as usize];
                    let distance = distance_to(vectors, *row, &mean);
                    dropped.push(DroppedFace {
                        key: face.key(),
                        reason: "outlier".to_owned(),
                        value: Some(distance),
                        limit: Some(options.outlier_threshold.get()),
                    });
                    report.outliers += 1;
                }
                near
            }
            // Faces that cancel each other out have no common direction.
            None => Vec::new(),
        };
        passed = within;
    }
    let mut kept: Vec<&FaceRow<'_>> = passed.iter().map(|row| &rows[*row as usize]).collect();
    best_first(&mut kept);
    dropped.sort_by(|a, b| {
        (&a.key.path, a.key.bbox.tenths()).cmp(&(&b.key.path, b.key.bbox.tenths()))
    });
    Ok(Gated { kept, dropped })
}

/// Distance of a row to a unit mean, for the manifest only.
pub(crate) fn distance_to(vectors: &Vectors<'_>, row: u32, mean: &[f32]) -> f64 {
    let values = vectors.row(row as usize);
    let dot: f64 = values
        .iter()
        .zip(mean)
        .map(|(a, b)| f64::from(*a) * f64::from(*b))
        .sum();
    CosineDistance::from_similarity(dot * vectors.inverse_norm(row as usize)).get()
}

pub(crate) fn refined(
    cache: &Cache,
    name: String,
    set: Gated<'_>,
    extra: Map<String, serde_json::Value>,
) -> RefinedSet {
    RefinedSet {
        name,
        label: None,
        images: places_of(cache, set.kept.iter().copied()),
        faces: set.kept.iter().map(|row| row.key()).collect(),
        dropped: set.dropped,
        extra,
    }
}

impl RefinePlan {
    /// The report of a run that is not done yet: all but `photos`.
    pub fn report(&self) -> &RefineReport {
        &self.report
    }
}

/// Makes the sets what the registry of `swap_ready` says: one a person
/// ([`obey::regroup`]), under their number ([`people::keep_numbers`]), without
/// the faces that were refused ([`obey::leave_out`]). Hidden people get no
/// folder. Returns notes for people.
pub fn keep_numbers(
    plan: &mut RefinePlan,
    registry: &Registry,
    cache: &Cache,
    swap_ready: &Path,
) -> Result<Vec<String>, PipelineError> {
    if registry.identities().next().is_none() {
        return Ok(Vec::new());
    }
    let manifest = &mut plan.manifest;
    // Numbers by size mean nothing here and must not be taken for people's.
    for set in &mut manifest.facesets {
        set.name = set.name.replace("faceset_", "group_");
    }
    let mut notes = obey::regroup(manifest, registry, cache)?;
    notes.extend(people::keep_numbers(manifest, registry, swap_ready)?);
    let n_left = obey::leave_out(manifest, registry, cache);
    if n_left > 0 {
        notes.push(format!(
            "{n_left} faces were said not to be their set's person and are left out"
        ));
    }
    manifest.facesets.retain(|set| !set.faces.is_empty());
    plan.tree = TreePlan::default();
    for set in &manifest.facesets {
        let number = canonical_faceset_number(&set.name);
        if !number.is_some_and(|n| obey::is_hidden(registry, n)) {
            plan.tree.add(&set.name, &set.images);
        }
    }
    let sizes: Vec<usize> = manifest.facesets.iter().map(|s| s.faces.len()).collect();
    plan.report.facesets = sizes.len();
    plan.report.faces_in_sets = sizes.iter().sum();
    let mut largest = sizes;
    largest.sort_unstable_by(|a, b| b.cmp(a));
    largest.truncate(10);
    plan.report.largest = largest;
    Ok(notes)
}

/// Writes folders and manifest below `out`.
pub fn apply(plan: &RefinePlan, out: &Path, ctx: Ctx<'_>) -> Result<RefineReport, PipelineError> {
    let _lock = DirLock::acquire(out, ctx.holder)?;
    let is_ours = |folder: &str| canonical_faceset_number(folder).is_some();
    let photos = materialize::apply(&plan.tree, out, plan.link, is_ours, ctx)?;
    write_json(&out.join(MANIFEST), &plan.manifest)?;
    Ok(RefineReport {
        photos,
        ..plan.report.clone()
    })
}
