//! The decisions of an export, as a value that can be printed, stored and
//! compared. Nothing here touches a file or a pixel.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use faceset_core::manifest::{
    CacheRef, DroppedFace, RawManifest, RefineManifest, RefinedSet, ScoreParts,
};
use faceset_core::{
    CancelToken, FaceKey, NoProgress, Progress, SourcePath, canonical_faceset_number,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ExportError;
use crate::apply::THIN;
use crate::bounds::Bounds;
use crate::candidates::{Watch, plan_candidates};
use crate::consent::{AgeRule, Consent, PersonFacts};
use crate::library::{FaceRef, Library, Photo};
use crate::options::ExportOptions;
use crate::select::{FaceHashes, Scored, Selection, select};

/// Groups embeddings: positions in the slice, each in at most one group.
pub type GroupOrphans<'a> = dyn Fn(&[&[f32]]) -> Vec<Vec<usize>> + Sync + 'a;

/// Everything an export is decided from.
#[derive(Clone, Copy)]
pub struct PlanInputs<'a> {
    /// The photos of the cache.
    pub photos: &'a [Photo<'a>],
    /// The sets: with face keys, or with photos only.
    pub refined: &'a RefineManifest,
    /// Where candidates come from; needed when candidates are asked for.
    pub raw: Option<&'a RawManifest>,
    /// What is known of a set's person.
    pub facts: &'a (dyn Fn(&RefinedSet) -> PersonFacts + Sync),
    /// What people said of sets and faces.
    pub bounds: &'a dyn Bounds,
    /// Groups faces that match no set, by their embeddings: positions in the
    /// slice, each at most once; groups of one are orphans.
    pub group_orphans: &'a GroupOrphans<'a>,
    /// What the caller wants remembered of the run, e.g. model pack and tool
    /// version. Without times, so that a resumed run writes the same bytes.
    pub provenance: &'a Value,
}

impl std::fmt::Debug for PlanInputs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlanInputs")
            .field("photos", &self.photos.len())
            .field("facesets", &self.refined.facesets.len())
            .finish_non_exhaustive()
    }
}

/// One face to be cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedFace {
    /// The face.
    pub key: FaceKey,
    /// Every place of its photo, canonical first.
    pub places: Vec<SourcePath>,
    /// Upright size of the photo when it was embedded; `[0, 0]` if unknown.
    pub dims: [u32; 2],
    /// Weighted score.
    pub composite: f64,
    /// Its parts.
    pub parts: ScoreParts,
    /// Cosine distance to the centroid of the set.
    pub distance: f64,
}

/// A small text file in a set's folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Marker {
    /// File name, e.g. `osrc.txt`.
    pub file: String,
    /// Content.
    pub text: String,
}

/// Where a planned set goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetKind {
    /// An identity's set: PNGs, bundles, a place in the top manifest.
    Set,
    /// An era with too few faces to be of use, below `_thin/`: as a set, with a
    /// place in `thin_eras` of the top manifest.
    Thin,
    /// A group for review below `_candidates/`: PNGs only.
    Candidate,
}

impl SetKind {
    /// Folder below the swap-ready one.
    pub(crate) fn folder(self) -> Option<&'static str> {
        match self {
            Self::Set => None,
            Self::Thin => Some(THIN),
            Self::Candidate => Some("_candidates"),
        }
    }

    /// Where sets of this kind live below the swap-ready folder `out`.
    pub(crate) fn root(self, out: &Path) -> PathBuf {
        self.folder()
            .map_or_else(|| out.to_path_buf(), |folder| out.join(folder))
    }

    /// Has bundles, a name and an entry in the top manifest.
    pub(crate) fn is_set(self) -> bool {
        self != Self::Candidate
    }
}

/// One folder to be built.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetPlan {
    /// Folder name.
    pub name: String,
    /// Set or candidate.
    pub kind: SetKind,
    /// A person's name, when one is known.
    pub label: Option<String>,
    /// First part of the bundles' names; the set's name unless changed.
    pub bundle_stem: String,
    /// Files that say where the set came from.
    pub markers: Vec<Marker>,
    /// Faces on the set's photos; equals chosen plus dropped ones.
    pub n_input: usize,
    /// Faces to be cut, best first.
    pub faces: Vec<PlannedFace>,
    /// Faces left out, by path and box.
    pub dropped: Vec<DroppedFace>,
}

/// A set that is not made whatever its faces are like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefusedSet {
    /// Its name in the manifest.
    pub name: String,
    /// Why, e.g. `consent denied`.
    pub reason: String,
}

/// The decisions of one export.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportPlan {
    /// Options of the run.
    pub options: ExportOptions,
    /// The cache that the sets were made from.
    pub cache: CacheRef,
    /// From the caller.
    pub provenance: Value,
    /// Sets to be built, in the order of the manifest. A set without faces is
    /// not emitted: its number is reserved.
    pub sets: Vec<SetPlan>,
    /// Sets that are refused.
    pub refused: Vec<RefusedSet>,
    /// Folders for review; `None` when candidates were not asked for.
    pub candidates: Option<Vec<SetPlan>>,
    /// Singletons that became no candidate.
    pub candidates_dropped: Vec<DroppedFace>,
    /// What a person should know: faces the cache lacks and the like.
    pub notes: Vec<String>,
    /// Names of earlier sets that this plan replaces by others: moved aside and
    /// taken out of the top manifest. Never a name of `sets`. Empty from
    /// [`plan`]; for callers that make sets anew, such as the era split.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retired: Vec<String>,
}

/// Why [`RefusedSet`] was refused because the person said no.
pub const REFUSED_DENIED: &str = "consent denied";
/// Why it was refused because nobody has said yes and consent is required.
pub const REFUSED_UNKNOWN: &str = "consent unknown";

/// Faces whose pictures `plan` needs a hash of, see `hash_faces`: those with
/// a look-alike by embedding in their set. Each face once, by path and box.
pub fn faces_to_hash(inputs: &PlanInputs<'_>, options: &ExportOptions) -> Vec<HashTarget> {
    let library = Library::new(inputs.photos);
    let mut targets: BTreeMap<_, HashTarget> = BTreeMap::new();
    for set in &inputs.refined.facesets {
        let facts = (inputs.facts)(set);
        if inputs.bounds.holds_back(set).is_some() || refusal(facts, options).is_some() {
            continue;
        }
        let forbids = |key: &FaceKey| inputs.bounds.forbids(set, key);
        let selection = select(set, &library, age_rule(facts, &library), options, &forbids);
        for at in selection.similar_enough(&library, options) {
            let key = library.key(at);
            targets
                .entry((key.path.clone(), key.id()))
                .or_insert_with(|| HashTarget {
                    places: library.photo(at.0).all_places(),
                    key,
                });
        }
    }
    targets.into_values().collect()
}

/// A face whose picture is to be hashed.
#[derive(Debug, Clone, PartialEq)]
pub struct HashTarget {
    /// The face.
    pub key: FaceKey,
    /// Every place of its photo, canonical first.
    pub places: Vec<SourcePath>,
}

/// Decides what is exported.
///
/// `hashes` must hold what [`faces_to_hash`] asks for; a face without a hash
/// counts as nobody's near-duplicate.
///
/// Errors: candidates without a raw manifest; faces that were never enriched,
/// unless the options allow them.
pub fn plan(
    inputs: &PlanInputs<'_>,
    options: &ExportOptions,
    hashes: &FaceHashes,
) -> Result<ExportPlan, ExportError> {
    let never = CancelToken::default();
    plan_watched(inputs, options, hashes, &NoProgress, &never)
        .map(|plan| plan.expect("nobody asks for a stop"))
}

/// [`plan`], telling how far the candidates are: every singleton is compared
/// with every set. `None` when a stop was requested meanwhile.
pub fn plan_watched(
    inputs: &PlanInputs<'_>,
    options: &ExportOptions,
    hashes: &FaceHashes,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Option<ExportPlan>, ExportError> {
    if options.candidates && inputs.raw.is_none() {
        return Err(ExportError::NoRawManifest);
    }
    let library = Library::new(inputs.photos);
    let mut decided = Decided::default();
    let mut names = BTreeSet::new();
    for set in &inputs.refined.facesets {
        let facts = (inputs.facts)(set);
        let refused = if !is_safe_name(&set.name) {
            Some("the name is not a plain folder name")
        } else if !names.insert(set.name.to_lowercase()) {
            Some("the manifest lists the name twice")
        } else {
            let held_back = inputs.bounds.holds_back(set);
            held_back.or_else(|| refusal(facts, options))
        };
        let forbids = |key: &FaceKey| inputs.bounds.forbids(set, key);
        let mut selection = select(set, &library, age_rule(facts, &library), options, &forbids);
        decided.notes.append(&mut selection.notes);
        if let Some(reason) = refused {
            decided.refused.push(RefusedSet {
                name: set.name.clone(),
                reason: reason.to_owned(),
            });
        } else {
            decided.count_unenriched(&selection.chosen, &library);
            selection.collapse_duplicates(&library, hashes, options);
        }
        decided.sets.push(DecidedSet {
            set,
            facts,
            refused,
            selection,
        });
    }
    let (candidates, candidates_dropped) = match inputs.raw.filter(|_| options.candidates) {
        Some(raw) => {
            let watch = Watch { progress, cancel };
            let planned = plan_candidates(raw, inputs, &library, &mut decided, options, watch);
            let Some((folders, dropped)) = planned else {
                return Ok(None);
            };
            (Some(folders), dropped)
        }
        None => (None, Vec::new()),
    };
    if decided.n_unenriched > 0 && !options.allow_unenriched {
        return Err(ExportError::Unenriched {
            n_unenriched: decided.n_unenriched,
            n_faces: decided.n_faces,
        });
    }
    let sets = decided
        .sets
        .into_iter()
        .filter(|d| d.refused.is_none())
        .map(|d| d.into_plan(&library))
        .collect();
    Ok(Some(ExportPlan {
        options: options.clone(),
        cache: inputs.refined.cache.clone(),
        provenance: inputs.provenance.clone(),
        sets,
        refused: decided.refused,
        candidates,
        candidates_dropped,
        notes: decided.notes,
        retired: Vec::new(),
    }))
}

/// The state of a plan in the making.
#[derive(Debug, Default)]
pub(crate) struct Decided<'a> {
    pub(crate) sets: Vec<DecidedSet<'a>>,
    refused: Vec<RefusedSet>,
    pub(crate) notes: Vec<String>,
    n_unenriched: usize,
    n_faces: usize,
}

/// One set of the manifest with its faces.
#[derive(Debug)]
pub(crate) struct DecidedSet<'a> {
    pub(crate) set: &'a RefinedSet,
    pub(crate) facts: PersonFacts,
    pub(crate) refused: Option<&'static str>,
    pub(crate) selection: Selection,
}

impl Decided<'_> {
    /// Counts faces whose score would lack landmarks.
    pub(crate) fn count_unenriched(&mut self, faces: &[Scored], library: &Library<'_>) {
        self.n_faces += faces.len();
        let bare = |s: &&Scored| library.face(s.at).enrichment.is_none();
        self.n_unenriched += faces.iter().filter(bare).count();
    }
}

impl DecidedSet<'_> {
    fn into_plan(self, library: &Library<'_>) -> SetPlan {
        let Selection {
            n_input,
            chosen,
            mut dropped,
            ..
        } = self.selection;
        sort_dropped(&mut dropped);
        SetPlan {
            name: self.set.name.clone(),
            kind: SetKind::Set,
            label: self.set.label.clone(),
            bundle_stem: self.set.name.clone(),
            markers: Vec::new(),
            n_input,
            faces: chosen.into_iter().map(|s| planned(s, library)).collect(),
            dropped,
        }
    }
}

pub(crate) fn planned(scored: Scored, library: &Library<'_>) -> PlannedFace {
    let photo = library.photo(scored.at.0);
    PlannedFace {
        key: scored.key,
        places: photo.all_places(),
        dims: photo.entry.dims,
        composite: scored.composite.get(),
        parts: scored.parts,
        distance: scored.distance.get(),
    }
}

/// By path, then box.
pub(crate) fn sort_dropped(dropped: &mut [DroppedFace]) {
    dropped.sort_by(|a, b| {
        let place = |d: &DroppedFace| (d.key.path.clone(), d.key.bbox.tenths());
        place(a)
            .cmp(&place(b))
            .then_with(|| a.reason.cmp(&b.reason))
    });
}

fn refusal(facts: PersonFacts, options: &ExportOptions) -> Option<&'static str> {
    match facts.consent {
        Consent::Denied => Some(REFUSED_DENIED),
        Consent::Unknown if options.require_consent => Some(REFUSED_UNKNOWN),
        Consent::Unknown | Consent::Granted => None,
    }
}

pub(crate) fn age_rule(facts: PersonFacts, library: &Library<'_>) -> AgeRule {
    AgeRule {
        birth: facts.birth,
        newest: library.newest(),
    }
}

/// One plain path component that is neither hidden nor one of our own
/// `_folders`: a name from a manifest must not lead out of the output folder.
pub(crate) fn is_safe_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!(
        (components.next(), components.next()),
        (Some(Component::Normal(only)), None) if only == name
    ) && !name.starts_with(['.', '_'])
        && !name.ends_with(['.', ' '])
        && name.len() <= 200
        && !name.contains(['/', '\\', ':', '*', '?', '"', '<', '>', '|'])
        && !name.chars().any(char::is_control)
}

/// Faces that a set claims, chosen or dropped for quality.
pub(crate) fn claimed(decided: &Decided<'_>) -> BTreeSet<FaceRef> {
    let of_sets = decided.sets.iter().flat_map(|d| &d.selection.of_person);
    of_sets.copied().collect()
}

impl ExportPlan {
    /// The plan in lines for people: one per set, then refusals and notes.
    pub fn summary(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for set in self.sets.iter().chain(self.candidates.iter().flatten()) {
            let label = set
                .label
                .as_deref()
                .map(|l| format!(" ({l})"))
                .unwrap_or_default();
            let place = set
                .kind
                .folder()
                .map(|f| format!("{f}/"))
                .unwrap_or_default();
            let mut line = format!(
                "{place}{}{label}: {} faces in, {} to export",
                set.name,
                set.n_input,
                set.faces.len()
            );
            line.extend(reasons(&set.dropped).map(|r| format!(", {r}")));
            if set.faces.is_empty() {
                let numbered = canonical_faceset_number(&set.name).is_some();
                line.push_str(if numbered {
                    "; not emitted, number reserved"
                } else {
                    "; not emitted"
                });
            }
            lines.push(line);
        }
        for name in &self.retired {
            lines.push(format!("{name}: replaced, moved to _dropped"));
        }
        for refused in &self.refused {
            lines.push(format!("{}: refused, {}", refused.name, refused.reason));
        }
        if self.candidates.is_some() {
            let counts: Vec<String> = reasons(&self.candidates_dropped).collect();
            let counts = match counts.as_slice() {
                [] => "none".to_owned(),
                some => some.join(", "),
            };
            lines.push(format!("singletons that are no candidate: {counts}"));
        }
        lines.extend(self.notes.iter().cloned());
        lines
    }
}

fn reasons(dropped: &[DroppedFace]) -> impl Iterator<Item = String> {
    count_reasons(dropped)
        .into_iter()
        .map(|(reason, n)| format!("{n} {reason}"))
}

/// Number of dropped faces per reason.
pub fn count_reasons(dropped: &[DroppedFace]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for face in dropped {
        *counts.entry(face.reason.clone()).or_insert(0) += 1;
    }
    counts
}
