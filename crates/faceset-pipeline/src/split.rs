//! Proposing how one person could be two: their faces grouped more strictly.

use std::collections::BTreeSet;

use faceset_cache::Cache;
use faceset_cluster::{LinkageOptions, average_linkage};
use faceset_core::{CosineDistance, FaceKey, FacesetNumber, capture_year};
use faceset_identity::Registry;
use serde::Serialize;

use crate::matching::{look, matrix};
use crate::{Ctx, PipelineError};

/// Cut of the proposed groups: well below the 0.55 that made the person one;
/// the original's for sub-clusters of one person.
pub const SPLIT_THRESHOLD: CosineDistance = CosineDistance::constant(0.35);

/// A part of a person.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SubGroup {
    /// Number of the group, from 1, largest first.
    pub group: usize,
    /// Its faces, by path and box.
    pub faces: Vec<FaceKey>,
    /// First and last year of their photos; `None` without a date.
    pub years: Option<(i32, i32)>,
    /// Cosine distance of its centroid to that of the largest group; 0 for that
    /// one, `None` where there is no direction.
    pub distance: Option<f64>,
}

impl SubGroup {
    /// For people.
    pub fn line(&self) -> String {
        let years = match self.years {
            Some((a, b)) if a == b => a.to_string(),
            Some((a, b)) => format!("{a}-{b}"),
            None => "no dates".to_owned(),
        };
        let distance = match self.distance {
            Some(d) => format!("{d:.2} from group 1"),
            None => "no direction".to_owned(),
        };
        let first = self.faces.first().map_or("", |f| f.path.as_str());
        format!(
            "group {}: {} faces, {years}, {distance}, e.g. {first}",
            self.group,
            self.faces.len()
        )
    }
}

/// Groups the person's faces by average linkage at `threshold` (equal stays
/// apart), largest group first, then by its first face. Every face that the
/// cache holds is in one group; `missing` counts the others.
pub fn propose(
    registry: &Registry,
    number: FacesetNumber,
    cache: &Cache,
    threshold: CosineDistance,
    ctx: Ctx<'_>,
) -> Result<(Vec<SubGroup>, usize), PipelineError> {
    let mut faces: Vec<FaceKey> = registry.faces_of(number).iter().cloned().collect();
    faces.sort_by(|a, b| (&a.path, a.bbox.tenths()).cmp(&(&b.path, b.bbox.tenths())));
    let n_all = faces.len();
    let found: Vec<(&FaceKey, &[f32], &str)> = faces
        .iter()
        .filter_map(|key| {
            let (file, at) = cache.face(key)?;
            let embedding = file.faces()[at].embedding.as_slice();
            Some((key, embedding, file.taken.as_str()))
        })
        .collect();
    if found.is_empty() {
        return Err(PipelineError::Options(format!(
            "none of the {n_all} faces of {} is in this cache; use the cache the sets were made from",
            number.folder_name()
        )));
    }
    let rows = matrix(found.iter().map(|(_, e, _)| *e))?;
    let mut linkage = LinkageOptions::new(threshold);
    if let Some(kernel) = ctx.kernel {
        linkage = linkage.with_kernel(kernel);
    }
    let clustering = average_linkage(rows.view(), &linkage, ctx.progress, ctx.cancel)?;
    let mut groups: Vec<Vec<usize>> = clustering
        .clusters()
        .map(|members| {
            let mut members: Vec<usize> = members.iter().map(|i| *i as usize).collect();
            members.sort_unstable();
            members
        })
        .collect();
    groups.sort_by_key(|g| (std::cmp::Reverse(g.len()), g[0]));
    let centroid = |group: &[usize]| -> Result<Option<Vec<f32>>, PipelineError> {
        Ok(look(group.iter().map(|i| found[*i].1), None)?.map(|l| l.centroid))
    };
    let main = centroid(&groups[0])?;
    let mut result = Vec::new();
    for (at, group) in groups.iter().enumerate() {
        let years: BTreeSet<i32> = group
            .iter()
            .filter_map(|i| capture_year(found[*i].2))
            .collect();
        let own = centroid(group)?;
        let distance = main.as_ref().zip(own.as_ref()).map(|(a, b)| {
            if at == 0 {
                0.0
            } else {
                CosineDistance::of_units(a, b).get()
            }
        });
        result.push(SubGroup {
            group: at + 1,
            faces: group.iter().map(|i| found[*i].0.clone()).collect(),
            years: years.first().copied().zip(years.last().copied()),
            distance,
        });
    }
    Ok((result, n_all - found.len()))
}
