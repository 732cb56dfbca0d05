//! Singletons rescued for review: those that look like an existing set, and
//! those that look like each other.

use std::collections::{BTreeMap, BTreeSet};

use faceset_core::manifest::{DroppedFace, RawManifest};
use faceset_core::{CancelToken, CosineDistance, FaceKey, Progress};
use faceset_quality::parts;
use rayon::prelude::*;

use crate::consent::MIN_AGE_YEARS;
use crate::library::{Centroid, FaceRef, Library, length};
use crate::options::ExportSettings;
use crate::plan::{
    Decided, DecidedSet, PlanInputs, SetKind, SetPlan, age_rule, claimed, planned, sort_dropped,
};
use crate::select::{Scored, dropped, sort_best_first, too_young};

/// Singletons looked at between two looks at the cancel token.
const BATCH: usize = 1024;

/// Who is asked while candidates are planned, and who is told.
#[derive(Clone, Copy)]
pub(crate) struct Watch<'a> {
    pub(crate) progress: &'a dyn Progress,
    pub(crate) cancel: &'a CancelToken,
}

/// What became of one singleton.
enum Fate {
    /// A candidate of a set, by its place in the manifest.
    Of(usize, Scored),
    Orphan(Scored),
    Out(DroppedFace),
}

/// Folders for review and the singletons that are in none. Every singleton of
/// the raw manifest that the cache holds ends in one of them, once. `None` when
/// a stop was requested.
pub(crate) fn plan_candidates(
    raw: &RawManifest,
    inputs: &PlanInputs<'_>,
    library: &Library<'_>,
    decided: &mut Decided<'_>,
    options: &ExportSettings,
    watch: Watch<'_>,
) -> Option<(Vec<SetPlan>, Vec<DroppedFace>)> {
    let singletons = singletons(raw, library, decided);
    let judge = Judge {
        inputs,
        library,
        options,
        taken: claimed(decided),
        targets: targets(decided),
    };
    let mut fates = Vec::with_capacity(singletons.len());
    let n_singletons = singletons.len() as u64;
    watch.progress.start("match singletons", Some(n_singletons));
    for batch in singletons.chunks(BATCH) {
        if watch.cancel.is_cancelled() {
            break;
        }
        // In the order of the singletons, whichever thread is done first.
        fates.par_extend(batch.par_iter().map(|at| judge.fate(*at)));
        watch.progress.advance(batch.len() as u64);
    }
    watch.progress.finish();
    if fates.len() < singletons.len() {
        return None;
    }
    let mut out = Vec::new();
    let mut matched: BTreeMap<usize, Vec<Scored>> = BTreeMap::new();
    let mut orphans: Vec<Scored> = Vec::new();
    for fate in fates {
        match fate {
            Fate::Of(set, scored) => matched.entry(set).or_default().push(scored),
            Fate::Orphan(scored) => orphans.push(scored),
            Fate::Out(face) => out.push(face),
        }
    }
    let mut folders: Vec<SetPlan> = Vec::new();
    for (set, faces) in matched {
        let name = format!("to_{}", decided.sets[set].set.name);
        decided.count_unenriched(&faces, library);
        folders.push(folder(name, faces, library));
    }
    let (groups, alone) = group(&orphans, inputs, library);
    for (i, faces) in groups.into_iter().enumerate() {
        decided.count_unenriched(&faces, library);
        folders.push(folder(format!("new_{:03}", i + 1), faces, library));
    }
    for s in alone {
        let limit = options.candidate_match_threshold.get();
        out.push(dropped(
            s.key,
            "matches_nobody",
            Some(s.distance.get()),
            Some(limit),
        ));
    }
    sort_dropped(&mut out);
    Some((folders, out))
}

/// A set that may attract singletons.
struct Target<'a> {
    /// Place in the manifest.
    at: usize,
    decided: &'a DecidedSet<'a>,
    centroid: &'a Centroid,
}

/// The sets that are emitted or refused, in the order of the manifest. One that
/// the filters emptied attracts nobody.
fn targets<'a>(decided: &'a Decided<'a>) -> Vec<Target<'a>> {
    let sets = decided.sets.iter().enumerate();
    sets.filter(|(_, d)| d.refused.is_some() || !d.selection.chosen.is_empty())
        .filter_map(|(at, decided)| {
            Some(Target {
                at,
                decided,
                centroid: decided.selection.centroid.as_ref()?,
            })
        })
        .collect()
}

/// Everything that one singleton is judged by.
struct Judge<'a> {
    inputs: &'a PlanInputs<'a>,
    library: &'a Library<'a>,
    options: &'a ExportSettings,
    /// Faces of sets.
    taken: BTreeSet<FaceRef>,
    targets: Vec<Target<'a>>,
}

impl Judge<'_> {
    fn fate(&self, at: FaceRef) -> Fate {
        let face = self.library.face(at);
        let key = self.library.key(at);
        let out = |reason, value, limit| Fate::Out(dropped(key.clone(), reason, value, limit));
        if self.taken.contains(&at) {
            return out("already_in_a_set", None, None);
        }
        let parts = parts(face);
        let composite = self.options.weights.composite(&parts);
        let least = self.options.candidate_min_score;
        if composite < least {
            let (value, limit) = (composite.get(), least.get());
            return out("candidate_min_score", Some(value), Some(limit));
        }
        let nearest = self.nearest(&face.embedding, &key);
        let scored = |distance| Scored {
            at,
            key: key.clone(),
            distance,
            composite,
            parts,
        };
        match nearest {
            Some((target, distance)) if distance <= self.options.candidate_match_threshold => {
                let age = too_young(
                    age_rule(target.decided.facts, self.library),
                    &self.library.photo(at.0).entry.taken,
                );
                if target.decided.refused.is_some() {
                    out("set_refused", Some(distance.get()), None)
                } else if let Some((reason, age)) = age {
                    out(reason, Some(age), Some(f64::from(MIN_AGE_YEARS)))
                } else {
                    Fate::Of(target.at, scored(distance))
                }
            }
            other => Fate::Orphan(scored(
                other.map_or(CosineDistance::constant(2.0), |(_, d)| d),
            )),
        }
    }

    /// The nearest target; the first of the manifest among equals. One that the
    /// face was said not to belong to does not count.
    fn nearest(&self, embedding: &[f32], key: &FaceKey) -> Option<(&Target<'_>, CosineDistance)> {
        let length = length(embedding);
        self.targets
            .iter()
            .filter(|t| !self.inputs.bounds.forbids(t.decided.set, key))
            .map(|t| (t, t.centroid.distance_of(embedding, length)))
            .min_by(|a, b| a.1.cmp(&b.1).then(a.0.at.cmp(&b.0.at)))
    }
}

/// The singletons that the cache holds, each once, by path and box.
fn singletons(raw: &RawManifest, library: &Library<'_>, decided: &mut Decided<'_>) -> Vec<FaceRef> {
    let found: BTreeSet<FaceRef> = raw
        .singletons
        .iter()
        .filter_map(|key| library.face_of(key))
        .collect();
    let lacking = raw
        .singletons
        .iter()
        .filter(|key| library.face_of(key).is_none())
        .count();
    if lacking > 0 {
        decided.notes.push(format!(
            "candidates: {lacking} of {} singletons are not in the cache; cluster again",
            raw.singletons.len()
        ));
    }
    let mut found: Vec<FaceRef> = found.into_iter().collect();
    found.sort_by(|a, b| {
        let place = |at: FaceRef| {
            let key: FaceKey = library.key(at);
            (key.path.clone(), key.bbox.tenths())
        };
        place(*a).cmp(&place(*b)).then(a.cmp(b))
    });
    found
}

/// Orphans that resemble each other, largest group first, and the rest.
/// Distances become those to the own group's centroid.
fn group(
    orphans: &[Scored],
    inputs: &PlanInputs<'_>,
    library: &Library<'_>,
) -> (Vec<Vec<Scored>>, Vec<Scored>) {
    let embeddings: Vec<&[f32]> = orphans
        .iter()
        .map(|s| library.face(s.at).embedding.as_slice())
        .collect();
    let proposed = if embeddings.len() < 2 {
        Vec::new()
    } else {
        (inputs.group_orphans)(&embeddings)
    };
    // The grouping is the caller's: a position out of range or named twice is
    // passed over rather than trusted.
    let mut free = vec![true; orphans.len()];
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for group in proposed {
        let mut members: Vec<usize> = group
            .into_iter()
            .filter(|i| *i < free.len() && free[*i])
            .collect();
        members.sort_unstable();
        members.dedup();
        if members.len() >= 2 {
            for &i in &members {
                free[i] = false;
            }
            groups.push(members);
        }
    }
    // Orphans are ordered by path and box, so the smallest position is the
    // smallest key.
    groups.sort_by(|a, b| b.len().cmp(&a.len()).then(a[0].cmp(&b[0])));
    let groups = groups
        .into_iter()
        .map(|members| {
            let centroid = Centroid::of(members.iter().map(|&i| embeddings[i]));
            members
                .iter()
                .map(|&i| Scored {
                    distance: centroid
                        .as_ref()
                        .map_or(orphans[i].distance, |c| c.distance(embeddings[i])),
                    ..orphans[i].clone()
                })
                .collect()
        })
        .collect();
    let alone = orphans
        .iter()
        .zip(&free)
        .filter(|(_, f)| **f)
        .map(|(s, _)| s.clone())
        .collect();
    (groups, alone)
}

fn folder(name: String, mut faces: Vec<Scored>, library: &Library<'_>) -> SetPlan {
    sort_best_first(&mut faces);
    SetPlan {
        bundle_stem: name.clone(),
        name,
        kind: SetKind::Candidate,
        label: None,
        markers: Vec::new(),
        n_input: faces.len(),
        faces: faces.into_iter().map(|s| planned(s, library)).collect(),
        dropped: Vec::new(),
    }
}
