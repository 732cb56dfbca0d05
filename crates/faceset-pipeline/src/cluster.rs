//! `cluster`: a cache into person folders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use faceset_cache::{Cache, FaceRow};
use faceset_cluster::{
    Clustering, DbscanOptions, Index, LinkageOptions, Vectors, assign_in_order, average_linkage,
    dbscan,
};
use faceset_core::manifest::{CacheRef, MANIFEST_VERSION, Person, RawManifest};
use faceset_core::{CosineDistance, SourcePath};
use faceset_fs::{DirLock, write_json};
use ndarray::ArrayView2;
use serde::Serialize;
use serde_json::{Value, json};

use crate::materialize::{self, LinkMode, TreePlan, TreeReport};
use crate::{Ctx, PipelineError};

/// Cut of the raw grouping: the original tool's, for average linkage.
pub const CLUSTER_THRESHOLD: CosineDistance = CosineDistance::constant(0.55);

/// Folder of photos whose faces joined nobody.
pub const SINGLETONS: &str = "_singletons";
/// Folder of photos without a face.
pub const NOFACE: &str = "_noface";
/// Name of the manifest.
pub const MANIFEST: &str = "manifest.json";

/// Which rule makes groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// Average linkage, cut at the threshold: what every other step expects.
    #[default]
    Linkage,
    /// Density: faces with enough neighbours and what they reach.
    Dbscan(DbscanOptions),
    /// One face after the other to the person of its nearest neighbour, in the
    /// order of the cache, as an Immich server assigns.
    Immich(DbscanOptions),
}

/// How to group.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// The rule. Default: average linkage.
    pub algorithm: Algorithm,
    /// For average linkage: groups nearer than this merge; equal stays apart.
    /// Default 0.55.
    pub threshold: CosineDistance,
    /// How photos get into the folders. Default: copies.
    pub link: LinkMode,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::default(),
            threshold: CLUSTER_THRESHOLD,
            link: LinkMode::Copy,
        }
    }
}

/// What will be written.
#[derive(Debug, Clone)]
pub struct ClusterPlan {
    /// The manifest.
    pub manifest: RawManifest,
    /// The photos.
    pub tree: TreePlan,
    link: LinkMode,
}

/// What `cluster` found and did. Every face is in a person or a singleton.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ClusterReport {
    /// Faces grouped.
    pub faces: usize,
    /// Groups of two or more faces.
    pub persons: usize,
    /// Faces in them.
    pub grouped_faces: usize,
    /// Faces that joined nobody.
    pub singletons: usize,
    /// Photos without a face, aliases included.
    pub noface: usize,
    /// Sizes of the ten largest groups.
    pub largest: Vec<usize>,
    /// What was put on disk.
    pub photos: TreeReport,
}

/// Groups all faces of a cache by average linkage.
pub(crate) fn group(
    cache: &Cache,
    threshold: CosineDistance,
    ctx: Ctx<'_>,
) -> Result<Clustering, PipelineError> {
    group_rows(cache.embeddings().view(), threshold, ctx)
}

/// Groups rows by average linkage.
pub(crate) fn group_rows(
    rows: ArrayView2<'_, f32>,
    threshold: CosineDistance,
    ctx: Ctx<'_>,
) -> Result<Clustering, PipelineError> {
    let mut options = LinkageOptions::new(threshold);
    if let Some(kernel) = ctx.kernel {
        options = options.with_kernel(kernel);
    }
    Ok(average_linkage(rows, &options, ctx.progress, ctx.cancel)?)
}

/// The groups that the options ask for, largest first, then by first face;
/// faces that joined nobody are groups of one at the end.
fn groups(
    cache: &Cache,
    options: &ClusterOptions,
    ctx: Ctx<'_>,
) -> Result<Vec<Vec<u32>>, PipelineError> {
    let labels = match &options.algorithm {
        Algorithm::Linkage => {
            let clustering = group(cache, options.threshold, ctx)?;
            return Ok(clustering.clusters().map(<[u32]>::to_vec).collect());
        }
        Algorithm::Dbscan(density) => {
            let rows = cache.embeddings();
            let vectors = Vectors::new(rows.view())?;
            dbscan(&vectors, density, ctx.progress, ctx.cancel)?
        }
        Algorithm::Immich(density) => {
            let rows = cache.embeddings();
            let vectors = Vectors::new(rows.view())?;
            assign_in_order(&vectors, &[], density, ctx.progress, ctx.cancel)?
        }
    };
    let mut by_label: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut groups: Vec<Vec<u32>> = Vec::new();
    for (row, label) in labels.into_iter().enumerate() {
        match label {
            Some(label) => by_label.entry(label).or_default().push(row as u32),
            None => groups.push(vec![row as u32]),
        }
    }
    groups.extend(by_label.into_values());
    groups.sort_by_key(|rows| (std::cmp::Reverse(rows.len()), rows[0]));
    Ok(groups)
}

/// What the manifest says of how groups were made.
fn params(options: &ClusterOptions) -> Value {
    let density = |name: &str, density: &DbscanOptions| {
        json!({
            "algorithm": name,
            "eps": density.eps(),
            "min_points": density.min_points(),
            "metric": "cosine",
        })
    };
    match &options.algorithm {
        Algorithm::Linkage => {
            json!({"threshold": options.threshold, "linkage": "average", "metric": "cosine"})
        }
        Algorithm::Dbscan(options) => density("dbscan", options),
        Algorithm::Immich(options) => density("immich", options),
    }
}

/// An index over rows, on the kernel that was asked for.
pub(crate) fn index<'a>(
    vectors: &'a Vectors<'a>,
    ctx: Ctx<'_>,
) -> Result<Index<'a>, PipelineError> {
    Ok(match ctx.kernel {
        Some(kernel) => Index::with_kernel(vectors, kernel)?,
        None => Index::new(vectors),
    })
}

/// What manifests say of the cache they were made from.
pub(crate) fn cache_ref(cache: &Cache, path: &Path) -> CacheRef {
    let pack = &cache.meta().pack;
    CacheRef {
        path: path.to_string_lossy().into_owned(),
        pack: pack.name.clone(),
        pack_digest: pack.digest.clone(),
        n_faces: cache.n_faces() as u64,
    }
}

/// Every place of every photo that shows one of these faces, sorted.
pub(crate) fn places_of<'a>(
    cache: &Cache,
    faces: impl IntoIterator<Item = &'a FaceRow<'a>>,
) -> Vec<SourcePath> {
    let photos: BTreeSet<&SourcePath> = faces.into_iter().map(|row| &row.file.path).collect();
    let places: BTreeSet<SourcePath> = photos
        .into_iter()
        .flat_map(|photo| cache.places(photo))
        .cloned()
        .collect();
    places.into_iter().collect()
}

/// Best detector score first; ties by row.
pub(crate) fn best_first(faces: &mut [&FaceRow<'_>]) {
    faces.sort_by(|a, b| {
        b.face
            .det_score
            .total_cmp(&a.face.det_score)
            .then(a.row.cmp(&b.row))
    });
}

/// Decides the folders.
pub fn plan(
    cache: &Cache,
    path: &Path,
    options: &ClusterOptions,
    ctx: Ctx<'_>,
) -> Result<ClusterPlan, PipelineError> {
    let groups = groups(cache, options, ctx)?;
    let rows: Vec<FaceRow<'_>> = cache.faces().collect();
    let mut tree = TreePlan::default();
    let mut persons = Vec::new();
    let mut singletons = Vec::new();
    for members in &groups {
        let mut faces: Vec<&FaceRow<'_>> = members.iter().map(|row| &rows[*row as usize]).collect();
        best_first(&mut faces);
        let images = places_of(cache, faces.iter().copied());
        if let [face] = faces[..] {
            singletons.push(face.key());
            tree.add(SINGLETONS, &images);
        } else {
            let name = format!("person_{:03}", persons.len() + 1);
            tree.add(&name, &images);
            let faces = faces.iter().map(|row| row.key()).collect();
            persons.push(Person {
                name,
                faces,
                images,
                extra: serde_json::Map::new(),
            });
        }
    }
    let noface: BTreeSet<SourcePath> = cache
        .noface()
        .flat_map(|file| cache.places(&file.path))
        .cloned()
        .collect();
    if !noface.is_empty() {
        tree.add(NOFACE, &noface);
    }
    let manifest = RawManifest {
        version: MANIFEST_VERSION,
        params: params(options),
        cache: cache_ref(cache, path),
        persons,
        singletons,
        noface: noface.into_iter().collect(),
        extra: serde_json::Map::new(),
    };
    Ok(ClusterPlan {
        manifest,
        tree,
        link: options.link,
    })
}

impl ClusterPlan {
    /// The report of a run that is not done yet: all but `photos`.
    pub fn report(&self) -> ClusterReport {
        let sizes: Vec<usize> = self
            .manifest
            .persons
            .iter()
            .map(|p| p.faces.len())
            .collect();
        let grouped_faces = sizes.iter().sum();
        ClusterReport {
            faces: grouped_faces + self.manifest.singletons.len(),
            persons: sizes.len(),
            grouped_faces,
            singletons: self.manifest.singletons.len(),
            noface: self.manifest.noface.len(),
            largest: sizes.into_iter().take(10).collect(),
            photos: TreeReport::default(),
        }
    }
}

/// Writes folders and manifest below `out`.
pub fn apply(plan: &ClusterPlan, out: &Path, ctx: Ctx<'_>) -> Result<ClusterReport, PipelineError> {
    let _lock = DirLock::acquire(out, ctx.holder)?;
    let photos = materialize::apply(&plan.tree, out, plan.link, is_ours, ctx)?;
    write_json(&out.join(MANIFEST), &plan.manifest)?;
    Ok(ClusterReport {
        photos,
        ..plan.report()
    })
}

/// Folders that `cluster` makes.
pub(crate) fn is_ours(folder: &str) -> bool {
    person_number(folder).is_some() || folder == SINGLETONS || folder == NOFACE
}

/// The number of `person_NNN`; `None` for other names.
pub(crate) fn person_number(folder: &str) -> Option<u32> {
    let digits = folder.strip_prefix("person_")?;
    let is_number = digits.len() >= 3 && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// Loads a cache for a step that needs faces; says what is odd about it.
pub fn load_cache(path: &Path, ctx: Ctx<'_>) -> Result<Cache, PipelineError> {
    let (cache, report) = faceset_cache::load(path)?;
    for note in report.notes(path) {
        ctx.progress.note(&note);
    }
    if cache.n_faces() == 0 {
        return Err(PipelineError::NoFaces {
            path: path.to_path_buf(),
        });
    }
    Ok(cache)
}
