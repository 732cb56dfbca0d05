//! `cluster`: a cache into person folders.

use std::collections::BTreeSet;
use std::path::Path;

use faceset_cache::{Cache, FaceRow};
use faceset_cluster::{Clustering, LinkageOptions, average_linkage};
use faceset_core::manifest::{CacheRef, MANIFEST_VERSION, Person, RawManifest};
use faceset_core::{CosineDistance, SourcePath};
use faceset_fs::{DirLock, write_json};
use ndarray::Array2;
use serde::Serialize;
use serde_json::json;

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

/// How to group.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Groups nearer than this merge; equal stays apart. Default 0.55.
    pub threshold: CosineDistance,
    /// How photos get into the folders. Default: copies.
    pub link: LinkMode,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
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
    group_rows(&cache.embeddings(), threshold, ctx)
}

/// Groups rows by average linkage.
pub(crate) fn group_rows(
    rows: &Array2<f32>,
    threshold: CosineDistance,
    ctx: Ctx<'_>,
) -> Result<Clustering, PipelineError> {
    let mut options = LinkageOptions::new(threshold);
    if let Some(kernel) = ctx.kernel {
        options = options.with_kernel(kernel);
    }
    Ok(average_linkage(
        rows.view(),
        &options,
        ctx.progress,
        ctx.cancel,
    )?)
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
    let clustering = group(cache, options.threshold, ctx)?;
    let rows: Vec<FaceRow<'_>> = cache.faces().collect();
    let mut tree = TreePlan::default();
    let mut persons = Vec::new();
    let mut singletons = Vec::new();
    for members in clustering.clusters() {
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
        params: json!({"threshold": options.threshold, "linkage": "average", "metric": "cosine"}),
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
