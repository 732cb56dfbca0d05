//! The contact sheet of a result: manifests and cache into static pages.

use std::collections::HashMap;
use std::path::Path;

use faceset_cache::Cache;
use faceset_cluster::{Vectors, centroid};
use faceset_core::manifest::{RawManifest, RefineManifest, SwapReadyManifest};
use faceset_core::{ContentHash, CosineDistance, FaceKey, capture_year};
use faceset_report::{
    CutLine, FaceFacts, Grouping, Inputs, Manifests, Neighbour, ReportOptions, ReportOutcome,
    RunSummary,
};
use ndarray::Array2;

use crate::cluster::index;
use crate::photo::CachePhotos;
use crate::{Ctx, PipelineError};

/// Everything a contact sheet is made from.
#[derive(Debug, Clone, Copy)]
pub struct Sheet<'a> {
    /// The cache.
    pub cache: &'a Cache,
    /// Output of `cluster`.
    pub raw: &'a RawManifest,
    /// Output of `refine`.
    pub refined: &'a RefineManifest,
    /// Output of `export-swap`.
    pub swap: &'a SwapReadyManifest,
    /// What the run says of itself.
    pub summary: &'a RunSummary,
    /// Distances at which steps cut, for the histogram.
    pub cuts: &'a [CutLine],
}

type FaceId = (ContentHash, [i32; 4]);

/// Writes `index.html` and `report/` below `out`.
pub fn write(sheet: &Sheet<'_>, out: &Path, ctx: Ctx<'_>) -> Result<ReportOutcome, PipelineError> {
    let grouping = faceset_report::group(&Manifests {
        raw: sheet.raw,
        refined: Some(sheet.refined),
        swap: Some(sheet.swap),
    });
    let facts = measure(sheet.cache, &grouping, ctx)?;
    let absolute = std::path::absolute(out).map_err(PipelineError::io("find", out))?;
    let options = ReportOptions {
        out: absolute.to_str().map(str::to_owned),
        cuts: sheet.cuts.to_vec(),
        ..ReportOptions::default()
    };
    let lookup = |key: &FaceKey| facts.get(&key.id()).cloned().unwrap_or_default();
    let inputs = Inputs {
        grouping: &grouping,
        facts: &lookup,
        summary: sheet.summary,
    };
    let plan = faceset_report::plan(&inputs, &options);
    let pictures = CachePhotos {
        cache: sheet.cache,
        current_year: ctx.current_year,
    };
    let outcome = faceset_report::apply(&plan, &pictures, out, ctx.progress, ctx.cancel)?;
    if outcome.cancelled {
        Err(PipelineError::Interrupted)
    } else {
        Ok(outcome)
    }
}

/// The numbers of every face: its record, and its distances to the centroids
/// of its own and of the nearest other group.
fn measure(
    cache: &Cache,
    grouping: &Grouping,
    ctx: Ctx<'_>,
) -> Result<HashMap<FaceId, FaceFacts>, PipelineError> {
    let mut facts = HashMap::new();
    let mut row_of = HashMap::new();
    for row in cache.faces() {
        let id = row.key().id();
        row_of.insert(id, row.row as u32);
        let face = row.face;
        facts.insert(
            id,
            FaceFacts {
                det_score: Some(face.det_score),
                face_short_px: Some(face.face_short),
                blur: Some(face.blur),
                pose: face.enrichment.as_ref().and_then(|e| e.pose),
                year: capture_year(&row.file.taken).and_then(|y| y.try_into().ok()),
                own_distance: None,
                nearest: None,
            },
        );
    }
    let embeddings = cache.embeddings();
    let vectors = Vectors::new(embeddings.view())?;
    let mut names = Vec::new();
    let mut group_of: HashMap<FaceId, usize> = HashMap::new();
    let mut centroids: Vec<f32> = Vec::new();
    for group in &grouping.groups {
        let members: Vec<u32> = group
            .members()
            .filter_map(|k| row_of.get(&k.id()).copied())
            .collect();
        let Some(mean) = centroid::unit_mean(&vectors, &members) else {
            continue;
        };
        for face in &group.faces {
            group_of.insert(face.key.id(), names.len());
        }
        names.push(group.name.clone());
        centroids.extend(mean);
    }
    if names.is_empty() {
        return Ok(facts);
    }
    let centroids = Array2::from_shape_vec((names.len(), embeddings.ncols()), centroids)
        .expect("one row of the cache's width for each name");
    let centroid_vectors = Vectors::new(centroids.view())?;
    let near = index(&centroid_vectors, ctx)?.top_k(&vectors, 2, ctx.cancel)?;
    for (id, row) in &row_of {
        let own = group_of.get(id).copied();
        let fact = facts.get_mut(id).expect("every row has facts");
        fact.nearest = near[*row as usize]
            .iter()
            .find(|n| Some(n.row as usize) != own)
            .map(|n| Neighbour {
                group: names[n.row as usize].clone(),
                distance: n.distance,
            });
        fact.own_distance = own.map(|group| {
            let mean = centroids.row(group);
            let face = embeddings.row(*row as usize);
            CosineDistance::of_units(mean, face)
        });
    }
    Ok(facts)
}
