//! `search`: who is this? The nearest faces of a cache to those of one photo.

use std::path::{Path, PathBuf};

use faceset_cache::{Cache, CacheError, FaceRow};
use faceset_cluster::{Neighbour, Vectors};
use faceset_core::{BBox, CosineDistance, FaceRecord, SourcePath};
use faceset_identity::Registry;
use faceset_infer::Purpose;
use ndarray::Array2;
use serde::Serialize;

use crate::cluster::index;
use crate::why;
use crate::{Ctx, Engine, PipelineError, photo};

/// Neighbours farther than this are left out: the cut of the grouping, beyond
/// which two faces are not taken for one person.
pub const SEARCH_DISTANCE: CosineDistance = CosineDistance::constant(0.55);

/// Faces listed for each face of the photo.
pub const SEARCH_FACES: usize = 10;

/// What to list.
#[derive(Debug, Clone)]
pub struct SearchOptions {
    /// Faces listed for each face of the photo, nearest first. Default 10.
    pub n_faces: usize,
    /// Faces farther away are left out; equal is listed. Default 0.55.
    pub max_distance: CosineDistance,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            n_faces: SEARCH_FACES,
            max_distance: SEARCH_DISTANCE,
        }
    }
}

/// Where the faces to look for come from.
#[derive(Debug)]
pub enum Asked {
    /// A photo of the cache; with a number, one of its faces (from 0).
    Known(SourcePath, Option<usize>),
    /// A photo that the cache does not hold.
    New(PathBuf),
}

/// A face of the cache near the one that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NearFace {
    /// Cosine distance, 0 to 2.
    pub distance: f64,
    /// Its photo.
    pub path: String,
    /// Its position there, from 1.
    pub number: usize,
    /// Its box.
    pub bbox: BBox,
    /// Folder name of the person that the registry has for it.
    pub set: Option<String>,
    /// That person's name.
    pub name: Option<String>,
}

/// A person of the registry among the nearest faces.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidate {
    /// Folder name.
    pub set: String,
    /// Name, when somebody gave one.
    pub name: Option<String>,
    /// Distance of the nearest listed face.
    pub distance: f64,
    /// How many of the listed faces.
    pub faces: usize,
}

/// The answer for one face of the photo.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaceMatches {
    /// Position on the photo, from 1.
    pub number: usize,
    /// Box on the photo.
    pub bbox: BBox,
    /// Persons of the registry among the listed faces, nearest first. A face
    /// that is registered itself is not its own evidence.
    pub people: Vec<Candidate>,
    /// The nearest faces, nearest first; the face itself is left out.
    pub nearest: Vec<NearFace>,
}

/// The answer for a photo.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SearchAnswer {
    /// The photo.
    pub path: String,
    /// True when the cache holds it.
    pub in_cache: bool,
    /// Faces in the cache.
    pub faces_in_cache: usize,
    /// Its faces.
    pub faces: Vec<FaceMatches>,
}

/// Finds what `asked` means: a photo of the cache by path, by the end of its
/// path or by its bytes (with `#2` one of its faces), else a file on disk.
pub fn resolve(cache: &Cache, asked: &str) -> Result<Asked, PipelineError> {
    let unknown = match why::find_face(cache, asked) {
        Ok((path, face)) => return Ok(Asked::Known(path.clone(), face)),
        Err(error) => error,
    };
    let file = Path::new(asked);
    if !file.is_file() {
        return Err(unknown);
    }
    let path = std::path::absolute(file).map_err(PipelineError::io("find", file))?;
    let read = photo::read(&SourcePath(path.to_string_lossy().into_owned()))
        .map_err(PipelineError::Options)?;
    Ok(match cache.by_hash(&read.sha256) {
        Some(entry) => Asked::Known(entry.path.clone(), None),
        None => Asked::New(path),
    })
}

/// Lists the nearest faces of a photo of the cache.
pub fn known(
    cache: &Cache,
    path: &SourcePath,
    face: Option<usize>,
    registry: Option<&Registry>,
    options: &SearchOptions,
    ctx: Ctx<'_>,
) -> Result<SearchAnswer, PipelineError> {
    let rows: Vec<FaceRow<'_>> = cache.faces().collect();
    let wanted: Vec<&FaceRow<'_>> = rows
        .iter()
        .filter(|row| row.file.path == *path && face.is_none_or(|n| row.face_idx == n))
        .collect();
    let queries: Vec<Query<'_>> = wanted
        .iter()
        .map(|row| Query {
            number: row.face_idx + 1,
            bbox: row.face.bbox,
            embedding: &row.face.embedding,
            own_row: Some(row.row as u32),
        })
        .collect();
    Ok(SearchAnswer {
        path: path.to_string(),
        in_cache: true,
        faces_in_cache: rows.len(),
        faces: look(cache, &rows, &queries, registry, options, ctx)?,
    })
}

/// Finds the faces of a photo that the cache does not hold, then lists the
/// nearest of the cache. Nothing is stored.
pub fn new_photo(
    cache: &Cache,
    cache_path: &Path,
    path: &Path,
    engine: &Engine,
    registry: Option<&Registry>,
    options: &SearchOptions,
    ctx: Ctx<'_>,
) -> Result<SearchAnswer, PipelineError> {
    let (made_by, ours) = (&cache.meta().pack, engine.cache_meta().pack);
    if !made_by.comparable(&ours) {
        return Err(CacheError::OtherPack {
            path: cache_path.to_path_buf(),
            found: made_by.describe(),
            wanted: ours.describe(),
        }
        .into());
    }
    let source = SourcePath(path.to_string_lossy().into_owned());
    let read = photo::read(&source).map_err(PipelineError::Options)?;
    let picture = photo::pixels(&read.bytes, ctx.current_year)
        .map_err(|reason| PipelineError::Options(format!("{source}: {reason}")))?;
    let found = engine.analyzer(Purpose::Embed)?.analyze(&picture.rgb)?;
    let rows: Vec<FaceRow<'_>> = cache.faces().collect();
    let queries: Vec<Query<'_>> = found
        .faces
        .iter()
        .enumerate()
        .map(|(at, face)| Query {
            number: at + 1,
            bbox: face.bbox,
            embedding: &face.embedding,
            own_row: None,
        })
        .collect();
    Ok(SearchAnswer {
        path: source.to_string(),
        in_cache: false,
        faces_in_cache: rows.len(),
        faces: look(cache, &rows, &queries, registry, options, ctx)?,
    })
}

/// A face to look for.
struct Query<'a> {
    number: usize,
    bbox: BBox,
    embedding: &'a [f32],
    /// Its row, when the cache holds it.
    own_row: Option<u32>,
}

fn look(
    cache: &Cache,
    rows: &[FaceRow<'_>],
    queries: &[Query<'_>],
    registry: Option<&Registry>,
    options: &SearchOptions,
    ctx: Ctx<'_>,
) -> Result<Vec<FaceMatches>, PipelineError> {
    let embeddings = cache.embeddings();
    let vectors = Vectors::new(embeddings.view())?;
    let values: Vec<f32> = queries.iter().flat_map(|q| q.embedding).copied().collect();
    let asked = Array2::from_shape_vec((queries.len(), embeddings.ncols()), values)
        .map_err(|_| PipelineError::Options("faces of another length than the cache's".into()))?;
    let asked = Vectors::new(asked.view())?;
    // One more: the face itself is among them.
    let found = index(&vectors, ctx)?.top_k(&asked, options.n_faces + 1, ctx.cancel)?;
    let answers = queries.iter().zip(found).map(|(query, near)| {
        let nearest: Vec<NearFace> = near
            .into_iter()
            .filter(|n| Some(n.row) != query.own_row && n.distance <= options.max_distance)
            .take(options.n_faces)
            .map(|n| describe(&n, &rows[n.row as usize], registry))
            .collect();
        FaceMatches {
            number: query.number,
            bbox: query.bbox,
            people: people(&nearest),
            nearest,
        }
    });
    Ok(answers.collect())
}

fn describe(near: &Neighbour, row: &FaceRow<'_>, registry: Option<&Registry>) -> NearFace {
    let person = registry.and_then(|registry| {
        let owner = registry.owner(&row.key())?;
        let number = registry.root(owner.number);
        Some((number, registry.name_of(number).map(str::to_owned)))
    });
    let FaceRecord { bbox, .. } = row.face;
    NearFace {
        distance: near.distance.get(),
        path: row.file.path.to_string(),
        number: row.face_idx + 1,
        bbox: *bbox,
        set: person.as_ref().map(|(number, _)| number.folder_name()),
        name: person.and_then(|(_, name)| name),
    }
}

/// Persons in order of their nearest face.
fn people(nearest: &[NearFace]) -> Vec<Candidate> {
    let mut people: Vec<Candidate> = Vec::new();
    for face in nearest {
        let Some(set) = &face.set else { continue };
        match people.iter_mut().find(|person| person.set == *set) {
            Some(person) => person.faces += 1,
            None => people.push(Candidate {
                set: set.clone(),
                name: face.name.clone(),
                distance: face.distance,
                faces: 1,
            }),
        }
    }
    people
}
