//! `why`: every number that decides about one photo or face.

use std::path::Path;

use faceset_cache::{Cache, FaceRow};
use faceset_cluster::{Vectors, centroid};
use faceset_core::manifest::{RefineManifest, ScoreParts};
use faceset_core::{BBox, CosineDistance, FileStatus, Pose, SourcePath};
use faceset_quality::{Gates, Weights, decimal, parts};
use ndarray::Array2;
use serde::Serialize;

use crate::cluster::group;
use crate::{Ctx, PipelineError, known_as};

/// Groups listed beside a face's own.
const NEAREST_GROUPS: usize = 5;

/// What to ask.
#[derive(Debug, Clone)]
pub struct WhyOptions {
    /// Cut of the grouping. Default 0.55.
    pub threshold: CosineDistance,
    /// Gates of `refine`.
    pub gates: Gates,
    /// Shortest box edge of the export, pixels. Default 100.
    pub export_min_short: f32,
}

/// One gate and its verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GateVerdict {
    /// Step and gate.
    pub gate: String,
    /// What the face has.
    pub value: f64,
    /// What is needed.
    pub limit: f64,
    /// Whether it is enough.
    pub passed: bool,
}

/// A group near a face.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NearGroup {
    /// `person_NNN`, or the photo of a single face.
    pub name: String,
    /// Its faces.
    pub faces: usize,
    /// Distance of the face to its centroid.
    pub distance: f64,
}

/// What is known of one face.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaceAnswer {
    /// Position on the photo, from 1.
    pub number: usize,
    /// Box.
    pub bbox: BBox,
    /// Pose, when enriched.
    pub pose: Option<Pose>,
    /// Every gate.
    pub gates: Vec<GateVerdict>,
    /// Parts of the composite score.
    pub parts: ScoreParts,
    /// Composite score.
    pub composite: f64,
    /// The group it is in.
    pub group: NearGroup,
    /// The nearest other groups.
    pub nearest: Vec<NearGroup>,
    /// What a refine manifest says of it.
    pub set: Option<String>,
}

/// What is known of one photo.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// Canonical path.
    pub path: String,
    /// Every place of these bytes.
    pub places: Vec<String>,
    /// Why it could not be read, if so.
    pub failed: Option<String>,
    /// Capture time.
    pub taken: String,
    /// Its faces.
    pub faces: Vec<FaceAnswer>,
}

/// The photo meant by `asked`: a path in the cache, or a file name or tail of a
/// path that fits exactly one photo.
fn find<'a>(cache: &'a Cache, asked: &str) -> Result<&'a SourcePath, PipelineError> {
    let direct = [Some(asked.to_owned()), known_as(Path::new(asked)).ok()];
    for path in direct.into_iter().flatten() {
        if let Some(entry) = cache.resolve(&SourcePath(path)) {
            return Ok(&entry.path);
        }
    }
    let fits: Vec<&SourcePath> = cache
        .files()
        .map(|f| &f.path)
        .filter(|p| {
            p.as_str()
                .strip_suffix(asked)
                .is_some_and(|head| head.is_empty() || head.ends_with(['/', '\\']))
        })
        .collect();
    match fits[..] {
        [one] => Ok(one),
        [] => Err(PipelineError::Options(format!(
            "{asked} is not in the cache; was it embedded?"
        ))),
        _ => Err(PipelineError::Options(format!(
            "{asked} fits {} photos; give more of the path",
            fits.len()
        ))),
    }
}

/// The photo meant by `asked`; with `photo#2`, also the position (from 0) of
/// the face meant.
pub(crate) fn find_face<'a>(
    cache: &'a Cache,
    asked: &str,
) -> Result<(&'a SourcePath, Option<usize>), PipelineError> {
    let (photo, wanted) = match asked.rsplit_once('#').map(|(p, n)| (p, n.parse::<usize>())) {
        Some((photo, Ok(n))) if find(cache, asked).is_err() => (photo, Some(n)),
        _ => (asked, None),
    };
    let path = find(cache, photo)?;
    let n_faces = cache.file(path).map_or(0, |entry| entry.faces().len());
    if let Some(n) = wanted.filter(|n| *n == 0 || *n > n_faces) {
        let reason = format!("{path} has {n_faces} faces, there is no face {n}");
        return Err(PipelineError::Options(reason));
    }
    Ok((path, wanted.map(|n| n - 1)))
}

/// Answers for a photo, or for one of its faces with `photo#2`.
pub fn explain(
    cache: &Cache,
    asked: &str,
    options: &WhyOptions,
    refined: Option<&RefineManifest>,
    ctx: Ctx<'_>,
) -> Result<Answer, PipelineError> {
    let (path, wanted) = find_face(cache, asked)?;
    let entry = cache.file(path).expect("found in this cache");
    let mut answer = Answer {
        path: path.to_string(),
        places: cache
            .places(path)
            .into_iter()
            .map(ToString::to_string)
            .collect(),
        failed: match &entry.status {
            FileStatus::Failed(reason) => Some(reason.clone()),
            FileStatus::Faces(_) => None,
        },
        taken: entry.taken.clone(),
        faces: Vec::new(),
    };
    if entry.faces().is_empty() {
        return Ok(answer);
    }
    let groups = Groups::new(cache, options.threshold, ctx)?;
    for row in cache.faces().filter(|row| row.file.path == *path) {
        if wanted.is_none_or(|n| row.face_idx == n) {
            answer.faces.push(about(&row, &groups, options, refined));
        }
    }
    Ok(answer)
}

struct Groups {
    labels: Vec<u32>,
    names: Vec<(String, usize)>,
    centroids: Array2<f32>,
}

impl Groups {
    fn new(cache: &Cache, threshold: CosineDistance, ctx: Ctx<'_>) -> Result<Self, PipelineError> {
        let clustering = group(cache, threshold, ctx)?;
        let embeddings = cache.embeddings();
        let vectors = Vectors::new(embeddings.view())?;
        let rows: Vec<FaceRow<'_>> = cache.faces().collect();
        let mut centroids = Array2::zeros((clustering.n_clusters(), embeddings.ncols()));
        let mut names = Vec::new();
        for (at, members) in clustering.clusters().enumerate() {
            let name = match members {
                [single] => rows[*single as usize].file.path.to_string(),
                _ => format!("person_{:03}", at + 1),
            };
            names.push((name, members.len()));
            let mean = centroid::unit_mean(&vectors, members);
            // Members that cancel out have no direction; their first stands in.
            let mean = mean.unwrap_or_else(|| vectors.row(members[0] as usize).to_vec());
            centroids
                .row_mut(at)
                .iter_mut()
                .zip(mean)
                .for_each(|(c, v)| *c = v);
        }
        Ok(Self {
            labels: clustering.labels().to_vec(),
            names,
            centroids,
        })
    }

    /// Own group and the nearest others of a face.
    fn near(&self, row: &FaceRow<'_>) -> (NearGroup, Vec<NearGroup>) {
        let own = self.labels[row.row];
        let mut all: Vec<(CosineDistance, usize)> = self
            .centroids
            .rows()
            .into_iter()
            .enumerate()
            .map(|(at, c)| (CosineDistance::of_units(c, &row.face.embedding), at))
            .collect();
        all.sort_unstable();
        let describe = |(distance, at): (CosineDistance, usize)| NearGroup {
            name: self.names[at].0.clone(),
            faces: self.names[at].1,
            distance: distance.get(),
        };
        let mine = all
            .iter()
            .copied()
            .find(|(_, at)| *at == own as usize)
            .expect("every face has a group");
        let others = all.into_iter().filter(|(_, at)| *at != own as usize);
        (
            describe(mine),
            others.take(NEAREST_GROUPS).map(describe).collect(),
        )
    }
}

fn about(
    row: &FaceRow<'_>,
    groups: &Groups,
    options: &WhyOptions,
    refined: Option<&RefineManifest>,
) -> FaceAnswer {
    let mut gates: Vec<GateVerdict> = options
        .gates
        .report(row.face)
        .into_iter()
        .map(|(gate, value, limit, passed)| GateVerdict {
            gate: format!("refine {gate}"),
            value: decimal(value),
            limit: decimal(limit),
            passed,
        })
        .collect();
    gates.push(GateVerdict {
        gate: "export min_face_short".to_owned(),
        value: decimal(row.face.face_short),
        limit: decimal(options.export_min_short),
        passed: row.face.face_short >= options.export_min_short,
    });
    let (own, nearest) = groups.near(row);
    let parts = parts(row.face);
    FaceAnswer {
        number: row.face_idx + 1,
        bbox: row.face.bbox,
        pose: row.face.enrichment.as_ref().and_then(|e| e.pose),
        gates,
        parts,
        composite: Weights::default().composite(&parts).get(),
        group: own,
        nearest,
        set: refined.and_then(|manifest| verdict(manifest, row)),
    }
}

fn verdict(manifest: &RefineManifest, row: &FaceRow<'_>) -> Option<String> {
    let id = row.key().id();
    for (set, is_set) in manifest
        .facesets
        .iter()
        .map(|s| (s, true))
        .chain(manifest.rejected.iter().map(|s| (s, false)))
    {
        if set.faces.iter().any(|key| key.id() == id) {
            let suffix = if is_set {
                ""
            } else {
                ", which is too small for a set"
            };
            return Some(format!("in {}{suffix}", set.name));
        }
        if let Some(dropped) = set.dropped.iter().find(|d| d.key.id() == id) {
            return Some(format!(
                "dropped from {} by {} ({:.3} where {:.3} is needed)",
                set.name,
                dropped.reason,
                dropped.value.unwrap_or(f64::NAN),
                dropped.limit.unwrap_or(f64::NAN)
            ));
        }
    }
    None
}
