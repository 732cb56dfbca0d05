//! Singletons rescued for review: those that look like an existing set, and
//! those that look like each other.

use std::collections::{BTreeMap, BTreeSet};

use faceset_core::manifest::{DroppedFace, RawManifest, RefinedSet};
use faceset_core::{CosineDistance, FaceKey};
use faceset_quality::parts;

use crate::consent::MIN_AGE_YEARS;
use crate::library::{Centroid, FaceRef, Library};
use crate::options::ExportSettings;
use crate::plan::{
    Decided, PlanInputs, SetKind, SetPlan, age_rule, claimed, planned, sort_dropped,
};
use crate::select::{Scored, dropped, sort_best_first, too_young};

/// Folders for review and the singletons that are in none. Every singleton of
/// the raw manifest that the cache holds ends in one of them, once.
pub(crate) fn plan_candidates(
    raw: &RawManifest,
    inputs: &PlanInputs<'_>,
    library: &Library<'_>,
    decided: &mut Decided<'_>,
    options: &ExportSettings,
) -> (Vec<SetPlan>, Vec<DroppedFace>) {
    let mut out = Vec::new();
    let taken = claimed(decided);
    let mut matched: BTreeMap<usize, Vec<Scored>> = BTreeMap::new();
    let mut orphans: Vec<Scored> = Vec::new();
    for at in singletons(raw, library, decided) {
        let face = library.face(at);
        let key = library.key(at);
        if taken.contains(&at) {
            out.push(dropped(key, "already_in_a_set", None, None));
            continue;
        }
        let parts = parts(face);
        let composite = options.weights.composite(&parts);
        if composite < options.candidate_min_score {
            let (value, limit) = (composite.get(), options.candidate_min_score.get());
            out.push(dropped(
                key,
                "candidate_min_score",
                Some(value),
                Some(limit),
            ));
            continue;
        }
        let nearest = nearest_set(&face.embedding, decided, &|set| {
            inputs.bounds.forbids(set, &key)
        });
        let scored = |distance| Scored {
            at,
            key: key.clone(),
            distance,
            composite,
            parts,
        };
        match nearest {
            Some((set, distance)) if distance <= options.candidate_match_threshold => {
                let target = &decided.sets[set];
                let age = too_young(
                    age_rule(target.facts, library),
                    &library.photo(at.0).entry.taken,
                );
                if target.refused.is_some() {
                    out.push(dropped(key, "set_refused", Some(distance.get()), None));
                } else if let Some((reason, age)) = age {
                    out.push(dropped(
                        key,
                        reason,
                        Some(age),
                        Some(f64::from(MIN_AGE_YEARS)),
                    ));
                } else {
                    matched.entry(set).or_default().push(scored(distance));
                }
            }
            other => {
                orphans.push(scored(
                    other.map_or(CosineDistance::constant(2.0), |(_, d)| d),
                ));
            }
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
    (folders, out)
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

/// The nearest set that is emitted or refused; the first of the manifest among
/// equals. A set that the filters emptied attracts nobody, nor does one that
/// the face was said not to belong to.
fn nearest_set(
    embedding: &[f32],
    decided: &Decided<'_>,
    is_forbidden: &dyn Fn(&RefinedSet) -> bool,
) -> Option<(usize, CosineDistance)> {
    decided
        .sets
        .iter()
        .enumerate()
        .filter(|(_, d)| d.refused.is_some() || !d.selection.chosen.is_empty())
        .filter(|(_, d)| !is_forbidden(d.set))
        .filter_map(|(i, d)| Some((i, d.selection.centroid.as_ref()?.distance(embedding))))
        .min_by(|a, b| a.1.cmp(&b.1).then(a.0.cmp(&b.0)))
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
