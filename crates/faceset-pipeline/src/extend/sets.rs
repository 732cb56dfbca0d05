//! The sets of a refined result: what joined a person is offered to their set.

use std::collections::{BTreeMap, BTreeSet};

use faceset_cache::{Cache, FaceRow};
use faceset_cluster::{Vectors, centroid};
use faceset_core::manifest::{DroppedFace, RefineManifest, RefinedSet};
use faceset_core::{FaceKey, canonical_faceset_number};
use faceset_identity::Registry;
use faceset_quality::decimal;
use serde_json::json;

use super::raw::{FaceId, People, images, on_photos};
use super::{ExtendOptions, ExtendReport, FOUNDING_FACES, SetFeed};
use crate::PipelineError;
use crate::matching::{NO_FACE, NOT_THIS_PERSON, matrix};
use crate::obey;
use crate::refine::{OUTLIER_MIN_CLUSTER, distance_to};

/// The sets as the registry says, before anybody joins. Sets of an older
/// manifest that list photos only get their faces.
pub(super) fn obey(
    manifest: &mut RefineManifest,
    registry: &Registry,
    cache: &Cache,
) -> Result<Vec<String>, PipelineError> {
    for set in &mut manifest.facesets {
        if set.faces.is_empty() {
            set.faces = on_photos(&set.images, cache)?;
        }
    }
    let mut notes = obey::regroup(manifest, registry, cache)?;
    let n_left = obey::leave_out(manifest, registry, cache);
    if n_left > 0 {
        notes.push(format!(
            "{n_left} faces were said not to be their set's person and are left out"
        ));
    }
    Ok(notes)
}

/// Offers each set the faces that joined its people and that no set has seen:
/// they pass the gates and the outlier rule, or are dropped with the number
/// that decided.
pub(super) fn feed(
    manifest: &mut RefineManifest,
    people: &People,
    cache: &Cache,
    options: &ExtendOptions,
    registry: &Registry,
    report: &mut ExtendReport,
) -> Result<(), PipelineError> {
    let rows: BTreeMap<FaceId, FaceRow<'_>> =
        cache.faces().map(|row| (row.key().id(), row)).collect();
    let seen: BTreeSet<FaceId> = manifest
        .facesets
        .iter()
        .flat_map(|s| s.faces.iter().chain(s.dropped.iter().map(|d| &d.key)))
        .map(FaceKey::id)
        .collect();
    let mut offered: BTreeMap<&str, Vec<&FaceKey>> = BTreeMap::new();
    for (set, faces) in people.joined() {
        let fresh = faces.iter().filter(|key| !seen.contains(&key.id()));
        offered.entry(set).or_default().extend(fresh);
    }
    for set in &mut manifest.facesets {
        if let Some(faces) = offered.get(set.name.as_str()).filter(|f| !f.is_empty()) {
            let feed = feed_one(set, faces, &rows, cache, options, registry)?;
            report.sets.push(feed);
        }
        set.images = images(&set.faces, &set.images, &rows, cache);
    }
    Ok(())
}

fn feed_one(
    set: &mut RefinedSet,
    faces: &[&FaceKey],
    rows: &BTreeMap<FaceId, FaceRow<'_>>,
    cache: &Cache,
    options: &ExtendOptions,
    registry: &Registry,
) -> Result<SetFeed, PipelineError> {
    let mut feed = SetFeed {
        name: set.name.clone(),
        offered: faces.len(),
        ..SetFeed::default()
    };
    let number = canonical_faceset_number(&set.name);
    let n_founding = set
        .extra
        .get(FOUNDING_FACES)
        .and_then(serde_json::Value::as_u64)
        .and_then(|n| usize::try_from(n).ok())
        .map_or(set.faces.len(), |n| n.min(set.faces.len()));
    let own = set.faces[..n_founding].iter().filter_map(|key| {
        let (file, at) = cache.face(key)?;
        Some(file.faces()[at].embedding.as_slice())
    });
    let own = matrix(own)?;
    let own = Vectors::new(own.view())?;
    let all: Vec<u32> = (0..own.len() as u32).collect();
    // A small group's mean says too little, as in `refine`.
    let mean = (own.len() >= OUTLIER_MIN_CLUSTER)
        .then(|| centroid::unit_mean(&own, &all))
        .flatten();
    let mut joining: Vec<&FaceRow<'_>> = Vec::new();
    for key in faces {
        let Some(row) = rows.get(&key.id()) else {
            feed.offered -= 1;
            continue;
        };
        let drop = |reason: &str, value: Option<f64>, limit: Option<f64>| DroppedFace {
            key: row.key(),
            reason: reason.to_owned(),
            value: value.filter(|v| v.is_finite()),
            limit,
        };
        if registry.is_no_face(key) {
            set.dropped.push(drop(NO_FACE, None, None));
            feed.gated += 1;
        } else if number.is_some_and(|n| registry.forbids(key, n)) {
            set.dropped.push(drop(NOT_THIS_PERSON, None, None));
            feed.gated += 1;
        } else if let Some(failure) = options.gates.check(row.face) {
            let (value, limit) = (decimal(failure.value), decimal(failure.limit));
            set.dropped
                .push(drop(failure.gate.name(), Some(value), Some(limit)));
            feed.gated += 1;
        } else if let Some(distance) = outlier(row, mean.as_deref(), options)? {
            let limit = options.outlier_threshold.get();
            set.dropped
                .push(drop("outlier", Some(distance), Some(limit)));
            feed.outliers += 1;
        } else {
            joining.push(row);
        }
    }
    feed.added = joining.len();
    if feed.added > 0 {
        crate::cluster::best_first(&mut joining);
        set.extra
            .insert(FOUNDING_FACES.to_owned(), json!(n_founding));
        set.faces.extend(joining.iter().map(|row| row.key()));
    }
    set.dropped.sort_by(|a, b| {
        (&a.key.path, a.key.bbox.tenths()).cmp(&(&b.key.path, b.key.bbox.tenths()))
    });
    Ok(feed)
}

/// The distance of a face that is too far from the set's centroid.
fn outlier(
    row: &FaceRow<'_>,
    mean: Option<&[f32]>,
    options: &ExtendOptions,
) -> Result<Option<f64>, PipelineError> {
    let Some(mean) = mean else { return Ok(None) };
    let one = matrix(std::iter::once(row.face.embedding.as_slice()))?;
    let one = Vectors::new(one.view())?;
    let near = centroid::members_within(&one, &[0], mean, options.outlier_threshold)?;
    Ok(near.is_empty().then(|| distance_to(&one, 0, mean)))
}
