//! Who is known in a swap-ready tree, as directions that a new face can be
//! compared with.
//!
//! People come from the registry and from the canonical sets of the top
//! manifest as it is now, whichever step made them. Era sets and `_thin/` are
//! the same people again and are passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use faceset_cache::Cache;
use faceset_cluster::{Vectors, centroid};
use faceset_core::manifest::{MANIFEST_VERSION, check_version};
use faceset_core::{
    ContentHash, CosineDistance, FaceKey, FacesetNumber, SourcePath, canonical_faceset_number,
};
use faceset_fs::read_json;
use faceset_identity::{Registry, State, face_key};
use serde_json::{Map, Value};

use crate::PipelineError;
use crate::context::LooksBy;
use crate::matching::{self, Person};

/// First pass over the photos of a set that lists no faces: wide enough for the
/// person's own spread. The original's.
const FIRST_PASS: CosineDistance = CosineDistance::constant(0.55);
/// Second pass: bystanders drop out. The original's.
const SECOND_PASS: CosineDistance = CosineDistance::constant(0.45);

/// Everybody known, and what could not be used.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// By number of the identity that stands for them. Their `name` is the
    /// folder's.
    pub people: Vec<Person>,
    /// Lines for people.
    pub notes: Vec<String>,
}

/// The top manifest of a tree as it is; an empty object when there is none.
pub fn read_top(swap_ready: &Path) -> Result<Map<String, Value>, PipelineError> {
    let path = swap_ready.join("manifest.json");
    if !path.is_file() {
        return Ok(Map::new());
    }
    let value: Value = read_json(&path)?;
    check_version(&value).map_err(|found| PipelineError::TooNew {
        path: path.clone(),
        found,
        supported: MANIFEST_VERSION,
    })?;
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(PipelineError::Options(format!(
            "{} is not a manifest: it holds no object; move it aside or mend it",
            path.display()
        ))),
    }
}

/// The canonical sets of a top manifest, by number.
fn canonical_sets(top: &Map<String, Value>) -> impl Iterator<Item = (FacesetNumber, &Value)> {
    let sets = top.get("facesets").and_then(Value::as_array);
    sets.into_iter().flatten().filter_map(|set| {
        let name = set.get("name").and_then(Value::as_str)?;
        Some((canonical_faceset_number(name)?, set))
    })
}

/// Numbers that a top manifest names: of sets, and those that are reserved.
pub(crate) fn numbers_listed(top: &Map<String, Value>) -> BTreeSet<FacesetNumber> {
    ["facesets", "reserved"]
        .iter()
        .filter_map(|key| top.get(*key)?.as_array())
        .flatten()
        .filter_map(|entry| canonical_faceset_number(entry.get("name")?.as_str()?))
        .collect()
}

/// A content hash and a box in tenths of a pixel.
type FaceId = (ContentHash, [i32; 4]);

/// Embeddings of one person, by face, and how many faces no cache has.
#[derive(Debug, Default)]
pub(crate) struct PersonFaces<'c> {
    /// Embedding and capture time.
    found: BTreeMap<FaceId, (&'c [f32], &'c str)>,
    pub(crate) keys: Vec<FaceKey>,
    missing: BTreeSet<FaceId>,
    /// Entries without a content hash, and photos, that no cache knows.
    n_unknown: usize,
}

impl<'c> PersonFaces<'c> {
    fn add(&mut self, key: &FaceKey, caches: &[&'c Cache]) {
        let id = key.id();
        if self.found.contains_key(&id) {
            return;
        }
        match caches.iter().find_map(|cache| cache.face(key)) {
            Some((file, at)) => {
                let embedding = file.faces()[at].embedding.as_slice();
                self.found.insert(id, (embedding, &file.taken));
                self.keys.push(file.key(&file.faces()[at]));
            }
            None => {
                self.missing.insert(id);
            }
        }
    }

    /// Embedding and capture time of each face, in the order of their ids.
    pub(crate) fn dated(&self) -> Vec<(&'c [f32], &'c str)> {
        self.found.values().copied().collect()
    }

    /// Known faces (or photos, where only those are listed) that no cache has.
    pub(crate) fn n_missing(&self) -> usize {
        self.missing.len() + self.n_unknown
    }

    /// The faces that a set's manifest names, or, when it names photos only,
    /// those of the person most present on them.
    fn add_set(&mut self, set: &Value, caches: &[&'c Cache]) -> Result<(), PipelineError> {
        let list = |key: &str| set.get(key).and_then(Value::as_array).map(Vec::as_slice);
        let hash_of = |path: &SourcePath| caches.iter().find_map(|c| Some(c.resolve(path)?.sha256));
        let faces = list("faces").unwrap_or_default();
        let mut n_named = 0;
        for face in faces {
            if let Some(key) = face_key(face, &hash_of) {
                n_named += 1;
                self.add(&key, caches);
            } else if face.get("bbox").is_some() || face.get("key").is_some() {
                n_named += 1;
                self.n_unknown += 1;
            }
        }
        if n_named > 0 {
            return Ok(());
        }
        // The original tool listed photos; also as names in `faces`.
        let photos = faces.iter().chain(list("images").unwrap_or_default());
        let mut rows: Vec<(FaceKey, &'c [f32], &'c str)> = Vec::new();
        let mut seen = BTreeSet::new();
        for photo in photos {
            let path = photo.as_str().or_else(|| photo.get("source")?.as_str());
            let Some(path) = path.map(SourcePath::from) else {
                continue;
            };
            let Some(file) = caches.iter().find_map(|c| c.resolve(&path)) else {
                self.n_unknown += 1;
                continue;
            };
            if seen.insert(file.sha256) {
                let faces = file.faces().iter();
                rows.extend(faces.map(|f| (file.key(f), &*f.embedding, &*file.taken)));
            }
        }
        let matrix = matching::matrix(rows.iter().map(|(_, e, _)| *e))?;
        let vectors = Vectors::new(matrix.view())?;
        let all: Vec<u32> = (0..rows.len() as u32).collect();
        for row in centroid::two_pass_members(&vectors, &all, FIRST_PASS, SECOND_PASS).kept {
            let (key, embedding, taken) = &rows[row as usize];
            if self.found.insert(key.id(), (embedding, taken)).is_none() {
                self.keys.push(key.clone());
            }
        }
        Ok(())
    }
}

/// The faces of one person: those of the canonical sets of their numbers, or,
/// with `all`, also every face that the registry has of them.
pub(crate) fn faces_of<'c>(
    number: FacesetNumber,
    registry: &Registry,
    top: &Map<String, Value>,
    caches: &[&'c Cache],
    all: bool,
) -> Result<PersonFaces<'c>, PipelineError> {
    let root = registry.root(number);
    let mut faces = PersonFaces::default();
    for (of_set, set) in canonical_sets(top) {
        if registry.root(of_set) == root {
            faces.add_set(set, caches)?;
        }
    }
    if (all || faces.found.is_empty()) && registry.identity(root).is_some() {
        for key in registry.faces_of(root).iter() {
            faces.add(key, caches);
        }
    }
    Ok(faces)
}

/// Everybody who can be recognised with the faces in `caches`, by these looks. Hidden people
/// are known, too: they must not be found again. The forgotten are not.
pub fn known(
    registry: &Registry,
    top: &Map<String, Value>,
    caches: &[&Cache],
    looks: LooksBy,
) -> Result<Known, PipelineError> {
    let mut numbers: BTreeSet<FacesetNumber> =
        canonical_sets(top).map(|(n, _)| registry.root(n)).collect();
    numbers.extend(registry.identities().map(|i| registry.root(i.number)));
    let mut known = Known::default();
    for number in numbers {
        if registry
            .identity(number)
            .is_some_and(|i| i.state == State::Forgotten)
        {
            continue;
        }
        let faces = faces_of(number, registry, top, caches, true)?;
        let name = number.folder_name();
        let looks = looks.of(&faces.dated())?;
        if !looks.is_empty() {
            known.people.push(Person {
                name,
                number: Some(number),
                looks,
            });
        } else if faces.n_missing() > 0 {
            known.notes.push(format!(
                "{name} can't be recognised: none of its {} faces is in the caches given; name the cache that holds them as well",
                faces.n_missing()
            ));
        }
        // Else a reserved number: nobody to recognise.
    }
    Ok(known)
}

/// Refuses caches whose embeddings can't be compared.
pub fn check_same_pack(main: &Cache, other: &Cache, path: &Path) -> Result<(), PipelineError> {
    let (a, b) = (&main.meta().pack, &other.meta().pack);
    if a.digest == b.digest && a.dim == b.dim {
        return Ok(());
    }
    Err(PipelineError::Options(format!(
        "{} was made with another model pack ({} instead of {}): embeddings of different packs can't be compared; embed again with the same pack",
        path.display(),
        b.name,
        a.name
    )))
}
