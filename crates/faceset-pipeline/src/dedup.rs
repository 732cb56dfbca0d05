//! `dedup`: which photos and faces repeat each other. Reports only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use faceset_cache::{Cache, FaceRow};
use faceset_cluster::Vectors;
use faceset_core::{BBox, ContentHash, CosineDistance, FaceKey, SourcePath};
use faceset_fs::write_json;
use faceset_quality::{
    FaceLook, NearDuplicateLimits, Weights, face_dhash, group_near_duplicates, parts,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cluster::{cache_ref, index};
use crate::embed::Problem;
use crate::ordered::ordered;
use crate::{Ctx, PipelineError, photo};

/// Version of the report file.
pub const DUPLICATES_VERSION: u32 = 1;

/// Paths with the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByteGroup {
    /// Their content.
    pub sha256: ContentHash,
    /// The one that was embedded.
    pub canonical: SourcePath,
    /// All of them, sorted.
    pub paths: Vec<SourcePath>,
}

/// A face that shows the same picture as another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VisualMember {
    /// Its photo.
    pub path: SourcePath,
    /// Its box.
    pub bbox: BBox,
    /// Differing bits of the 64-bit difference hash.
    pub hamming: u32,
    /// Cosine similarity of the embeddings.
    pub cosine: f64,
}

/// Faces that show the same picture: the best one and its repetitions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VisualGroup {
    /// The face to keep.
    pub keep: FaceKey,
    /// The others.
    pub members: Vec<VisualMember>,
}

/// `<cache>.duplicates.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Duplicates {
    /// Format version.
    pub version: u32,
    /// The cache.
    pub cache: faceset_core::manifest::CacheRef,
    /// Byte-identical files.
    pub byte_groups: Vec<ByteGroup>,
    /// Look-alikes.
    pub visual_groups: Vec<VisualGroup>,
    /// Settings.
    pub params: Value,
}

/// What `dedup` found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct DedupReport {
    /// Groups of byte-identical files.
    pub byte_groups: usize,
    /// Files beyond the first of each group.
    pub byte_copies: usize,
    /// Groups of look-alikes.
    pub visual_groups: usize,
    /// Faces beyond the kept one of each group.
    pub visual_copies: usize,
    /// Photos that could not be read for the comparison.
    pub failed: Vec<Problem>,
    /// The file that was written.
    pub file: PathBuf,
}

/// `<cache>.duplicates.json`.
pub fn report_path(cache: &Path) -> PathBuf {
    let mut name = cache.file_name().unwrap_or_default().to_os_string();
    name.push(".duplicates.json");
    cache.with_file_name(name)
}

/// Finds byte-identical files and look-alike faces.
///
/// A look-alike must agree in two tests: embedding and picture hash. Only faces
/// that have a neighbour by embedding are decoded.
pub fn find(
    cache: &Cache,
    path: &Path,
    limits: &NearDuplicateLimits,
    ctx: Ctx<'_>,
) -> Result<(Duplicates, Vec<Problem>), PipelineError> {
    let rows: Vec<FaceRow<'_>> = cache.faces().collect();
    let embeddings = cache.embeddings();
    let vectors = Vectors::new(embeddings.view())?;
    let near = with_neighbours(&vectors, limits, ctx)?;
    let mut by_photo: BTreeMap<&SourcePath, Vec<usize>> = BTreeMap::new();
    for row in near {
        by_photo.entry(&rows[row].file.path).or_default().push(row);
    }
    let photos: Vec<(&SourcePath, Vec<usize>)> = by_photo.into_iter().collect();
    let mut hashed: Vec<(usize, u64)> = Vec::new();
    let mut failed = Vec::new();
    ctx.progress.start("comparing", Some(photos.len() as u64));
    ordered(
        ctx,
        &photos,
        || Ok(()),
        |(), (path, faces)| -> Result<Vec<(usize, u64)>, String> {
            let rgb = photo::load_known(cache, path, ctx.current_year)?;
            Ok(faces
                .iter()
                .map(|row| (*row, face_dhash(&rgb, &rows[*row].face.bbox)))
                .collect())
        },
        |_| Err("a worker panicked on this picture".to_owned()),
        |(path, _), result| {
            match result {
                Ok(hashes) => hashed.extend(hashes),
                Err(reason) => failed.push(Problem {
                    path: path.to_string(),
                    reason,
                }),
            }
            ctx.progress.advance(1);
            Ok(())
        },
    )?;
    ctx.progress.finish();

    let keys: Vec<FaceKey> = hashed.iter().map(|(row, _)| rows[*row].key()).collect();
    let weights = Weights::default();
    let looks: Vec<FaceLook<'_>> = hashed
        .iter()
        .zip(&keys)
        .map(|((row, dhash), key)| FaceLook {
            key,
            composite: weights.composite(&parts(rows[*row].face)),
            dhash: *dhash,
            embedding: &rows[*row].face.embedding,
        })
        .collect();
    let visual_groups = group_near_duplicates(&looks, limits)
        .into_iter()
        .map(|group| VisualGroup {
            keep: keys[group.keep].clone(),
            members: group
                .members
                .iter()
                .map(|m| VisualMember {
                    path: keys[m.face].path.clone(),
                    bbox: keys[m.face].bbox,
                    hamming: m.hamming,
                    cosine: m.cosine,
                })
                .collect(),
        })
        .collect();
    let byte_groups = cache
        .files()
        .filter_map(|file| {
            let paths: Vec<SourcePath> = cache.places(&file.path).into_iter().cloned().collect();
            (paths.len() > 1).then(|| ByteGroup {
                sha256: file.sha256,
                canonical: file.path.clone(),
                paths,
            })
        })
        .collect();
    let duplicates = Duplicates {
        version: DUPLICATES_VERSION,
        cache: cache_ref(cache, path),
        byte_groups,
        visual_groups,
        params: json!({"max_hamming": limits.max_hamming(), "min_cosine": limits.min_cosine()}),
    };
    Ok((duplicates, failed))
}

/// Rows with another row at least as similar as the limit asks; equal counts.
fn with_neighbours(
    vectors: &Vectors<'_>,
    limits: &NearDuplicateLimits,
    ctx: Ctx<'_>,
) -> Result<Vec<usize>, PipelineError> {
    let radius = CosineDistance::from_similarity(limits.min_cosine());
    let has = index(vectors, ctx)?.has_neighbour(radius, ctx.progress, ctx.cancel)?;
    Ok((0..vectors.len()).filter(|row| has[*row]).collect())
}

/// Writes the report beside the cache.
pub fn write(
    duplicates: &Duplicates,
    failed: Vec<Problem>,
    cache: &Path,
) -> Result<DedupReport, PipelineError> {
    let file = report_path(cache);
    write_json(&file, duplicates)?;
    Ok(summarize(duplicates, failed, file))
}

/// The report without writing.
pub fn summarize(duplicates: &Duplicates, failed: Vec<Problem>, file: PathBuf) -> DedupReport {
    DedupReport {
        byte_groups: duplicates.byte_groups.len(),
        byte_copies: duplicates
            .byte_groups
            .iter()
            .map(|g| g.paths.len() - 1)
            .sum(),
        visual_groups: duplicates.visual_groups.len(),
        visual_copies: duplicates
            .visual_groups
            .iter()
            .map(|g| g.members.len())
            .sum(),
        failed,
        file,
    }
}
