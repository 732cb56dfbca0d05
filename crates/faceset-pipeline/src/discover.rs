//! `discover`: sets of people nobody has a set of yet, numbered past the last.
//!
//! Faces below some folders that no known person covers are grouped, pass the
//! gates of `refine` and go through the same export as every other set. The
//! plan holds the export's plan, too, so a dry run says what a real one emits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use faceset_cache::{Cache, FaceRow};
use faceset_cluster::Vectors;
use faceset_core::manifest::{MANIFEST_VERSION, RefineManifest};
use faceset_core::{CosineDistance, FacesetNumber, canonical_faceset_number, hash_bytes};
use faceset_export::{ExportOptions, ExportPlan, ExportReport, Marker, count_reasons};
use faceset_fs::to_json_bytes;
use faceset_identity::{Registry, numbers_on_disk};
use faceset_quality::Gates;
use ndarray::Axis;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::cluster::{cache_ref, group_rows};
use crate::context::ContextRules;
use crate::known::{Known, check_same_pack, known, numbers_listed, read_top};
use crate::matching::{Face, MATCH_THRESHOLD, NegativeMemory, decide};
use crate::obey::PeopleBounds;
use crate::pending::{self, Pending};
use crate::refine::{self, RefineOptions, RefineReport};
use crate::{Ctx, Engine, PipelineError, export, people};

/// Name of the step in manifests and of the file of an interrupted run.
pub const STEP: &str = "cluster-discover";
/// Distinct photos that a discovered set needs; the original's choice for
/// single folders (its canonical sets need 15).
pub const MIN_FACES: usize = 6;
/// Why a number that was given to a group has no set yet.
const UNDER_WAY: &str = "discovery not finished";

/// How to discover; defaults are the original tool's.
#[derive(Debug, Clone)]
pub struct DiscoverOptions {
    /// Folders below which faces are looked at; a photo counts when any of its
    /// places lies there. Empty: the whole cache.
    pub roots: Vec<String>,
    /// Word for the runs' sets: name of the marker file (`osrc` makes
    /// `osrc.txt`) and part of their provenance.
    pub marker: String,
    /// Faces at most this far from a known person are theirs; equal is.
    /// Default 0.45.
    pub match_threshold: CosineDistance,
    /// What counts beside the distance when a face asks whether it is somebody
    /// known.
    pub context: ContextRules,
    /// Groups nearer than this merge; equal stays apart. Default 0.55.
    pub threshold: CosineDistance,
    /// In groups of four or more, faces farther from the centroid are dropped;
    /// equal is kept. Default 0.55.
    pub outlier_threshold: CosineDistance,
    /// Distinct photos (by content) that a group needs; equal is kept.
    /// Default 6.
    pub min_faces: usize,
    /// Quality gates. Default 90 px, 40.0, 0.6; equal is kept.
    pub gates: Gates,
    /// Numbers start here at the earliest; they always start past every number
    /// ever given. Default none.
    pub start: Option<FacesetNumber>,
    /// The export that follows.
    pub export: ExportOptions,
}

impl Default for DiscoverOptions {
    fn default() -> Self {
        Self {
            roots: Vec::new(),
            marker: "discovered".to_owned(),
            match_threshold: MATCH_THRESHOLD,
            context: ContextRules::default(),
            threshold: crate::cluster::CLUSTER_THRESHOLD,
            outlier_threshold: RefineOptions::default().outlier_threshold,
            min_faces: MIN_FACES,
            gates: Gates::default(),
            start: None,
            export: ExportOptions::default(),
        }
    }
}

/// Faces that joined a known person's, for the report: nothing is written of
/// them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// The person's folder.
    pub name: String,
    /// The person's name.
    pub label: Option<String>,
    /// Faces of this run that are theirs and not in the registry yet.
    pub n_new: usize,
    /// Faces that the registry has already.
    pub n_known: usize,
}

/// One candidate set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetLine {
    /// Its folder.
    pub name: String,
    /// Faces of the raw group.
    pub n_input: usize,
    /// Faces dropped by a gate.
    pub n_gated: usize,
    /// Faces dropped as outliers.
    pub n_outliers: usize,
    /// Faces after refining.
    pub n_refined: usize,
    /// Faces that pass the gates of the export.
    pub n_export: usize,
    /// Faces that the export leaves out, by reason. It looks at every face on
    /// the set's photos, so these are also other people's.
    pub export_drops: BTreeMap<String, usize>,
}

/// What was found. Every face below the roots is covered or in a raw group.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DiscoverReport {
    /// Photos below the roots, by content.
    pub photos: usize,
    /// Of those, without a face.
    pub noface: usize,
    /// Faces on them.
    pub faces: usize,
    /// People compared with.
    pub known_people: usize,
    /// Faces that are somebody known.
    pub covered: usize,
    /// What people said is no face.
    pub no_faces: usize,
    /// Who, most new faces first.
    pub hits: Vec<Hit>,
    /// Median distance of a face to the nearest known person, the lower of two;
    /// absent without people.
    pub median_nearest: Option<f64>,
    /// Groups of the others, those of one face included.
    pub raw_clusters: usize,
    /// Sizes of the ten largest.
    pub top_sizes: Vec<usize>,
    /// Faces dropped by gate, all groups.
    pub gated: BTreeMap<String, usize>,
    /// Faces dropped as outliers, all groups.
    pub outliers: usize,
    /// Groups of two or more faces with too few photos left.
    pub too_small: usize,
    /// Groups that got a number.
    pub candidates: usize,
    /// One line each.
    pub sets: Vec<SetLine>,
}

/// What a run will write.
#[derive(Debug, Clone, Serialize)]
pub struct DiscoverPlan {
    /// What was found.
    pub report: DiscoverReport,
    /// The synthetic manifest: the new sets under their numbers.
    pub manifest: RefineManifest,
    /// What the export makes of them.
    pub export: ExportPlan,
    /// True when this is the plan of a run that was interrupted.
    pub resumed: bool,
    provenance: Value,
}

/// Decides what is new. `others` are further caches, with their paths, in which
/// the faces of known people may be found.
pub fn plan(
    cache: &Cache,
    cache_path: &Path,
    others: &[(&Path, &Cache)],
    swap_ready: &Path,
    options: &DiscoverOptions,
    ctx: Ctx<'_>,
) -> Result<DiscoverPlan, PipelineError> {
    check(options)?;
    let registry = people::load(swap_ready, ctx)?;
    if let Some(left) = pending::load(swap_ready, STEP)? {
        return resume(left, cache, cache_path, &registry, options, ctx);
    }
    for (path, other) in others {
        check_same_pack(cache, other, path)?;
    }
    let top = read_top(swap_ready)?;
    let caches: Vec<&Cache> = std::iter::once(cache)
        .chain(others.iter().map(|(_, c)| *c))
        .collect();
    let known = known(&registry, &top, &caches, options.context.looks)?;
    for note in &known.notes {
        ctx.progress.note(note);
    }
    let mut report = DiscoverReport::default();
    let rows: Vec<FaceRow<'_>> = cache.faces().collect();
    let chosen = below(cache, cache_path, options, &rows, &mut report)?;
    let rest = uncovered(&chosen, &rows, &known, &registry, options, &mut report)?;
    let sets = new_sets(cache, &rest, &rows, options, &mut report, ctx)?;

    let digest = hash_bytes(&to_json_bytes(
        &sets.iter().map(|s| &s.faces).collect::<Vec<_>>(),
    ));
    let provenance = json!({
        "step": STEP, "marker": options.marker, "roots": options.roots, "digest": digest,
    });
    let mut taken = numbers_on_disk(swap_ready)?;
    taken.extend(numbers_listed(&top));
    // Everything before the start that was asked for counts as used.
    taken.extend(
        options
            .start
            .and_then(|s| FacesetNumber::new(s.get() - 1).ok()),
    );
    let numbers = numbers(&registry, sets.len(), &taken, &provenance)?;
    let mut manifest = RefineManifest {
        version: MANIFEST_VERSION,
        params: json!({
            "match_threshold": options.match_threshold,
            "context": options.context,
            "threshold": options.threshold,
            "outlier_threshold": options.outlier_threshold,
            "min_faces": options.min_faces,
            "gates": options.gates,
        }),
        cache: cache_ref(cache, cache_path),
        facesets: sets,
        rejected: Vec::new(),
        extra: Map::new(),
    };
    for ((set, line), number) in manifest
        .facesets
        .iter_mut()
        .zip(&mut report.sets)
        .zip(numbers)
    {
        set.name = number.folder_name();
        line.name.clone_from(&set.name);
    }
    let export = plan_export(cache, &manifest, &provenance, &registry, options, ctx)?;
    report.foresee(&export);
    Ok(DiscoverPlan {
        report,
        manifest,
        export,
        resumed: false,
        provenance,
    })
}

fn check(options: &DiscoverOptions) -> Result<(), PipelineError> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ' | '.');
    let marker = &options.marker;
    let is_name = !marker.is_empty()
        && marker.chars().count() <= 60
        && marker.chars().all(plain)
        && !marker.starts_with(['.', ' ', '_'])
        && !marker.eq_ignore_ascii_case("NAME");
    if is_name {
        Ok(())
    } else {
        Err(PipelineError::Options(format!(
            "the marker {marker:?} is not a plain word; it becomes the name of a file, e.g. osrc"
        )))
    }
}

/// Rows of the faces below the roots.
fn below(
    cache: &Cache,
    path: &Path,
    options: &DiscoverOptions,
    rows: &[FaceRow<'_>],
    report: &mut DiscoverReport,
) -> Result<Vec<u32>, PipelineError> {
    let is_in = |file: &faceset_core::FileEntry| {
        options.roots.is_empty() || options.roots.iter().any(|r| cache.is_under(&file.path, r))
    };
    report.photos = cache.files().filter(|f| is_in(f)).count();
    report.noface = cache.noface().filter(|f| is_in(f)).count();
    let chosen: Vec<u32> = rows
        .iter()
        .filter(|row| is_in(row.file))
        .map(|row| row.row as u32)
        .collect();
    report.faces = chosen.len();
    if chosen.is_empty() {
        let roots: Vec<&str> = cache.meta().src_roots.iter().map(String::as_str).collect();
        return Err(PipelineError::Options(format!(
            "{} holds no face below {}; embed that folder into it first (it was made from {})",
            path.display(),
            options.roots.join(" or "),
            if roots.is_empty() {
                "unknown folders".to_owned()
            } else {
                roots.join(", ")
            }
        )));
    }
    Ok(chosen)
}

/// Faces that are nobody known.
fn uncovered(
    chosen: &[u32],
    rows: &[FaceRow<'_>],
    known: &Known,
    registry: &Registry,
    options: &DiscoverOptions,
    report: &mut DiscoverReport,
) -> Result<Vec<u32>, PipelineError> {
    let faces: Vec<Face<'_>> = chosen
        .iter()
        .map(|row| Face::of(&rows[*row as usize]))
        .collect();
    let decisions = decide(
        &faces,
        &known.people,
        options.match_threshold,
        &(NegativeMemory(registry), options.context.with(registry)),
    )?;
    // Faces that the registry gives to somebody are theirs, however far.
    let mut counts: BTreeMap<FacesetNumber, (usize, usize)> = BTreeMap::new();
    let mut rest = Vec::new();
    let mut nearest = Vec::new();
    for ((row, face), decision) in chosen.iter().zip(&faces).zip(&decisions) {
        nearest.extend(decision.nearest.map(|(_, distance)| distance));
        let owner = registry.owner(&face.key).map(|i| registry.root(i.number));
        let matched = decision.person().and_then(|at| known.people[at].number);
        match (owner, matched) {
            (Some(owner), _) => counts.entry(owner).or_default().1 += 1,
            (None, Some(number)) => counts.entry(number).or_default().0 += 1,
            (None, None) if registry.is_no_face(&face.key) => report.no_faces += 1,
            (None, None) => rest.push(*row),
        }
    }
    report.known_people = known.people.len();
    report.covered = chosen.len() - rest.len() - report.no_faces;
    nearest.sort();
    report.median_nearest = nearest
        .get(nearest.len().saturating_sub(1) / 2)
        .map(|d| d.get());
    report.hits = counts
        .into_iter()
        .map(|(number, (n_new, n_known))| Hit {
            name: number.folder_name(),
            label: registry.name_of(number).map(str::to_owned),
            n_new,
            n_known,
        })
        .collect();
    report
        .hits
        .sort_by(|a, b| b.n_new.cmp(&a.n_new).then_with(|| a.name.cmp(&b.name)));
    Ok(rest)
}

/// Groups the rest and lets each through the gates of `refine`.
fn new_sets(
    cache: &Cache,
    rest: &[u32],
    rows: &[FaceRow<'_>],
    options: &DiscoverOptions,
    report: &mut DiscoverReport,
    ctx: Ctx<'_>,
) -> Result<Vec<faceset_core::manifest::RefinedSet>, PipelineError> {
    let embeddings = cache.embeddings();
    let vectors = Vectors::new(embeddings.view())?;
    let positions: Vec<usize> = rest.iter().map(|row| *row as usize).collect();
    let part = embeddings.select(Axis(0), &positions);
    let clustering = group_rows(&part, options.threshold, ctx)?;
    let gates = RefineOptions {
        outlier_threshold: options.outlier_threshold,
        gates: options.gates,
        min_faces: options.min_faces,
        ..RefineOptions::default()
    };
    let mut counts = RefineReport::default();
    let mut sets = Vec::new();
    report.raw_clusters = clustering.n_clusters();
    report.top_sizes = clustering.clusters().map(<[u32]>::len).take(10).collect();
    for group in clustering.clusters() {
        let members: Vec<u32> = group.iter().map(|at| rest[*at as usize]).collect();
        let gated = refine::gate(&members, rows, &vectors, &gates, &mut counts)?;
        for dropped in gated.dropped.iter().filter(|d| d.reason != "outlier") {
            *report.gated.entry(dropped.reason.clone()).or_default() += 1;
        }
        let photos: BTreeSet<_> = gated.kept.iter().map(|row| row.file.sha256).collect();
        if photos.len() >= options.min_faces {
            sets.push((members.len(), gated));
        } else if members.len() > 1 {
            report.too_small += 1;
        }
    }
    report.outliers = counts.outliers;
    report.candidates = sets.len();
    // By size; the first row settles equal ones.
    sets.sort_by_key(|(_, set)| {
        (
            std::cmp::Reverse(set.kept.len()),
            set.kept.iter().map(|r| r.row).min(),
        )
    });
    Ok(sets
        .into_iter()
        .map(|(n_input, set)| {
            let by_reason = count_reasons(&set.dropped);
            let n_outliers = by_reason.get("outlier").copied().unwrap_or(0);
            report.sets.push(SetLine {
                name: String::new(),
                n_input,
                n_gated: set.dropped.len() - n_outliers,
                n_outliers,
                n_refined: set.kept.len(),
                n_export: 0,
                export_drops: BTreeMap::new(),
            });
            refine::refined(cache, String::new(), set, Map::new())
        })
        .collect())
}

/// Numbers for the new sets: those that an interrupted run with the same sets
/// was given, else free ones past every number ever given.
fn numbers(
    registry: &Registry,
    n: usize,
    taken: &BTreeSet<FacesetNumber>,
    provenance: &Value,
) -> Result<Vec<FacesetNumber>, PipelineError> {
    let given: Vec<FacesetNumber> = registry
        .identities()
        .filter(|i| i.provenance == *provenance && i.reserved.as_deref() == Some(UNDER_WAY))
        .map(|i| i.number)
        .collect();
    if n > 0 && given.len() == n {
        return Ok(given);
    }
    Ok(registry.free_numbers(n, taken)?)
}

fn plan_export(
    cache: &Cache,
    manifest: &RefineManifest,
    provenance: &Value,
    registry: &Registry,
    options: &DiscoverOptions,
    ctx: Ctx<'_>,
) -> Result<ExportPlan, PipelineError> {
    let facts = |set: &faceset_core::manifest::RefinedSet| registry.export_facts(set);
    let mut plan = export::plan_manifest(
        cache,
        manifest,
        None,
        &options.export,
        &facts,
        &PeopleBounds::new(registry, manifest, false),
        ctx,
    )?;
    pending::sign(&mut plan, provenance);
    let roots = match options.roots.as_slice() {
        [] => "the whole cache".to_owned(),
        roots => roots.join("\n        "),
    };
    for set in &mut plan.sets {
        set.markers.push(Marker {
            file: format!("{}.txt", options.marker),
            text: format!(
                "found by {STEP}\nmarker  {}\nbelow   {roots}\nmatch   {}\ncut     {}\nphotos  at least {}\n",
                options.marker, options.match_threshold, options.threshold, options.min_faces
            ),
        });
    }
    Ok(plan)
}

fn resume(
    left: Pending,
    cache: &Cache,
    cache_path: &Path,
    registry: &Registry,
    options: &DiscoverOptions,
    ctx: Ctx<'_>,
) -> Result<DiscoverPlan, PipelineError> {
    left.check_cache(cache, cache_path)?;
    let mut report: DiscoverReport = left.report()?;
    let options = DiscoverOptions {
        roots: left.strings("roots"),
        marker: left.string("marker"),
        ..options.clone()
    };
    let provenance = left.provenance.clone();
    let manifest = left.manifest;
    let export = plan_export(cache, &manifest, &provenance, registry, &options, ctx)?;
    report.foresee(&export);
    Ok(DiscoverPlan {
        report,
        manifest,
        export,
        resumed: true,
        provenance,
    })
}

impl DiscoverReport {
    /// Fills in what the export makes of each set.
    fn foresee(&mut self, export: &ExportPlan) {
        for line in &mut self.sets {
            if let Some(set) = export.sets.iter().find(|s| s.name == line.name) {
                line.n_export = set.faces.len();
                line.export_drops = count_reasons(&set.dropped);
            }
        }
    }
}

/// Gives out the numbers, exports the sets, and records both. A run that is
/// killed goes on where it was when the command is repeated.
pub fn apply(
    plan: &DiscoverPlan,
    cache: &Cache,
    engine: &Engine,
    swap_ready: &Path,
    ctx: Ctx<'_>,
) -> Result<ExportReport, PipelineError> {
    if plan.manifest.facesets.is_empty() {
        people::record_export(swap_ready, ctx)?;
        return Ok(ExportReport::default());
    }
    let numbers: Vec<FacesetNumber> = plan
        .manifest
        .facesets
        .iter()
        .filter_map(|set| canonical_faceset_number(&set.name))
        .collect();
    // An unfinished run is only remembered once its numbers are given out.
    if !plan.resumed {
        people::allocate(swap_ready, &numbers, UNDER_WAY, &plan.provenance, ctx)?;
        let run = Pending::new(&plan.manifest, &plan.provenance, &plan.report);
        pending::store(swap_ready, STEP, &run)?;
    }
    let report = export::apply(&plan.export, cache, engine, swap_ready, ctx)?;
    for note in people::record_export(swap_ready, ctx)? {
        ctx.progress.note(&note);
    }
    pending::clear(swap_ready, STEP)?;
    Ok(report)
}
