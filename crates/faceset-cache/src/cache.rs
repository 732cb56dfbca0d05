//! A cache in memory: files by canonical path, and every way to look one up.
//!
//! Questions only; what changes a cache is in `change`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use faceset_core::{BBox, ContentHash, FaceKey, FaceRecord, FileEntry, FileStatus, SourcePath};
use ndarray::Array2;

use crate::{CacheError, CacheMeta};

/// Another place of a content: the canonical path it belongs to, and the
/// modification time of the file there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Alias {
    pub(crate) canonical: SourcePath,
    pub(crate) mtime_ns: i64,
}

/// Every record of a cache.
///
/// Each distinct content is one [`FileEntry`] under its canonical path; the
/// other paths with the same bytes are its aliases. A path is a place of at
/// most one content, a hash belongs to at most one entry.
#[derive(Debug, Clone)]
pub struct Cache {
    pub(crate) meta: CacheMeta,
    pub(crate) files: BTreeMap<SourcePath, FileEntry>,
    pub(crate) aliases: BTreeMap<SourcePath, Alias>,
    pub(crate) aliases_of: BTreeMap<SourcePath, BTreeSet<SourcePath>>,
    pub(crate) by_hash: BTreeMap<ContentHash, SourcePath>,
}

/// One face with its place in the cache.
#[derive(Debug, Clone, Copy)]
pub struct FaceRow<'a> {
    /// Row of this face in [`Cache::embeddings`] and in the npz arrays.
    pub row: usize,
    /// The photo.
    pub file: &'a FileEntry,
    /// Position among the photo's faces, in detector order.
    pub face_idx: usize,
    /// The face.
    pub face: &'a FaceRecord,
}

impl FaceRow<'_> {
    /// The face's key.
    pub fn key(&self) -> FaceKey {
        self.file.key(self.face)
    }
}

/// What a cache knows of a file on disk, by its path, size and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// The path is not in the cache.
    New,
    /// The path is there with another size or modification time, or with
    /// unknown ones: hash it again.
    Changed,
    /// The path is there as it was: nothing to do.
    Unchanged,
    /// It could not be read last time: try again.
    Failed,
}

impl Cache {
    /// A cache without records.
    pub fn new(meta: CacheMeta) -> Self {
        Self {
            meta,
            files: BTreeMap::new(),
            aliases: BTreeMap::new(),
            aliases_of: BTreeMap::new(),
            by_hash: BTreeMap::new(),
        }
    }

    /// What made it.
    pub fn meta(&self) -> &CacheMeta {
        &self.meta
    }

    /// States which pack and settings made a cache that does not say so (one of
    /// schema 0). Only the caller can know; the dimension is checked.
    pub fn assume_made_by(mut self, meta: &CacheMeta) -> Result<Self, CacheError> {
        let path = Path::new("without a pack").to_path_buf();
        if !self.meta.pack.is_unknown() || self.meta.pack.dim != meta.pack.dim {
            return Err(CacheError::OtherPack {
                path,
                found: self.meta.pack.describe(),
                wanted: meta.pack.describe(),
            });
        }
        let imported = std::mem::replace(&mut self.meta, meta.clone());
        self.meta.src_roots.extend(imported.src_roots);
        Ok(self)
    }

    /// Number of distinct contents: with faces, without, and failed.
    pub fn n_files(&self) -> usize {
        self.files.len()
    }

    /// Number of faces.
    pub fn n_faces(&self) -> usize {
        self.files.values().map(|file| file.faces().len()).sum()
    }

    /// Every distinct content in order of canonical path.
    pub fn files(&self) -> impl Iterator<Item = &FileEntry> {
        self.files.values()
    }

    /// Photos that were read and have no face.
    pub fn noface(&self) -> impl Iterator<Item = &FileEntry> {
        self.files()
            .filter(|file| matches!(&file.status, FileStatus::Faces(faces) if faces.is_empty()))
    }

    /// Files that could not be read, with the reason.
    pub fn failed(&self) -> impl Iterator<Item = (&FileEntry, &str)> {
        self.files().filter_map(|file| match &file.status {
            FileStatus::Failed(reason) => Some((file, reason.as_str())),
            FileStatus::Faces(_) => None,
        })
    }

    /// Every alias with its canonical path, in order of alias.
    pub fn aliases(&self) -> impl Iterator<Item = (&SourcePath, &SourcePath)> {
        self.aliases
            .iter()
            .map(|(path, alias)| (path, &alias.canonical))
    }

    /// The entry under exactly this canonical path.
    pub fn file(&self, canonical: &SourcePath) -> Option<&FileEntry> {
        self.files.get(canonical)
    }

    /// The entry of which `path` is a place, canonical or alias.
    pub fn resolve(&self, path: &SourcePath) -> Option<&FileEntry> {
        self.files.get(self.canonical(path)?)
    }

    /// The canonical path of a place.
    pub fn canonical<'a>(&'a self, path: &'a SourcePath) -> Option<&'a SourcePath> {
        match self.aliases.get(path) {
            Some(alias) => Some(&alias.canonical),
            None => self.files.get_key_value(path).map(|(path, _)| path),
        }
    }

    /// The entry with this content.
    pub fn by_hash(&self, sha256: &ContentHash) -> Option<&FileEntry> {
        self.files.get(self.by_hash.get(sha256)?)
    }

    /// Modification time of the file at a place, canonical or alias, as it was
    /// when it was last looked at; 0 when that was never known.
    pub fn mtime_ns(&self, place: &SourcePath) -> Option<i64> {
        match self.aliases.get(place) {
            Some(alias) => Some(alias.mtime_ns),
            None => self.files.get(place).map(|file| file.mtime_ns),
        }
    }

    /// What is known of the file at `path`, without reading it.
    ///
    /// A modification time of 0 means unknown, in the cache or on disk, and is
    /// never [`Known::Unchanged`].
    pub fn known(&self, path: &SourcePath, size: u64, mtime_ns: i64) -> Known {
        let (Some(file), Some(stored_ns)) = (self.resolve(path), self.mtime_ns(path)) else {
            return Known::New;
        };
        if matches!(file.status, FileStatus::Failed(_)) {
            Known::Failed
        } else if file.size == size && stored_ns == mtime_ns && mtime_ns != 0 {
            Known::Unchanged
        } else {
            Known::Changed
        }
    }

    /// Every face, by canonical path and then in detector order: the row order
    /// of [`Cache::embeddings`] and of the npz arrays.
    pub fn faces(&self) -> impl Iterator<Item = FaceRow<'_>> {
        self.files
            .values()
            .flat_map(|file| {
                file.faces()
                    .iter()
                    .enumerate()
                    .map(move |(face_idx, face)| (file, face_idx, face))
            })
            .enumerate()
            .map(|(row, (file, face_idx, face))| FaceRow {
                row,
                file,
                face_idx,
                face,
            })
    }

    /// Unit embeddings, one row per face in the order of [`Cache::faces`].
    /// A copy: `n_faces * dim * 4` bytes.
    pub fn embeddings(&self) -> Array2<f32> {
        let (n, dim) = (self.n_faces(), self.meta.pack.dim as usize);
        let mut flat = Vec::with_capacity(n * dim);
        for row in self.faces() {
            flat.extend_from_slice(&row.face.embedding);
        }
        Array2::from_shape_vec((n, dim), flat)
            .expect("every record was checked to have the pack's dimension")
    }

    /// The face with this key's content and box, wherever the photo is now.
    pub fn face(&self, key: &FaceKey) -> Option<(&FileEntry, usize)> {
        face_in(self.by_hash(&key.sha256)?, &key.bbox)
    }

    /// The face with this box on the photo at `path` (canonical or alias), for
    /// lists that name no content hash.
    pub fn face_at(&self, path: &SourcePath, bbox: &BBox) -> Option<(&FileEntry, usize)> {
        face_in(self.resolve(path)?, bbox)
    }

    /// Every place of a content, sorted: the canonical path and its aliases.
    /// Empty when the path is not canonical here.
    pub fn places(&self, canonical: &SourcePath) -> Vec<&SourcePath> {
        let Some((canonical, _)) = self.files.get_key_value(canonical) else {
            return Vec::new();
        };
        let mut places: Vec<&SourcePath> = self
            .aliases_of
            .get(canonical)
            .into_iter()
            .flatten()
            .chain([canonical])
            .collect();
        places.sort();
        places
    }

    /// The entries of which at least one place lies in the folder `root`, in
    /// order of canonical path.
    ///
    /// Whole path components count: `/a/b` does not hold `/a/bc.jpg`. `/` and
    /// `\` both separate; nothing else is normalised. A root that is itself a
    /// photo's path holds that photo.
    pub fn under<'a>(&'a self, root: &'a str) -> impl Iterator<Item = &'a FileEntry> {
        self.files()
            .filter(move |file| self.is_under(&file.path, root))
    }

    /// True when one of the places of a canonical path lies in `root`, by the
    /// rule of [`Cache::under`].
    pub fn is_under(&self, canonical: &SourcePath, root: &str) -> bool {
        is_within(canonical.as_str(), root)
            || self
                .aliases_of
                .get(canonical)
                .is_some_and(|paths| paths.iter().any(|path| is_within(path.as_str(), root)))
    }
}

fn face_in<'a>(file: &'a FileEntry, bbox: &BBox) -> Option<(&'a FileEntry, usize)> {
    let wanted = bbox.tenths();
    let face_idx = file
        .faces()
        .iter()
        .position(|face| face.bbox.tenths() == wanted)?;
    Some((file, face_idx))
}

fn is_within(path: &str, root: &str) -> bool {
    let separators = ['/', '\\'];
    path.strip_prefix(root.trim_end_matches(separators))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(separators))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cache_of, entry, faces, meta};

    #[test]
    fn rows_run_by_path_and_then_in_detector_order() {
        let cache = cache_of([entry("/b.jpg", faces(2)), entry("/a.jpg", faces(1))]);
        let rows: Vec<_> = cache
            .faces()
            .map(|r| (r.row, r.file.path.as_str(), r.face_idx))
            .collect();
        assert_eq!(rows, [(0, "/a.jpg", 0), (1, "/b.jpg", 0), (2, "/b.jpg", 1)]);
        let embeddings = cache.embeddings();
        assert_eq!(embeddings.dim(), (3, 4));
        for row in cache.faces() {
            assert_eq!(
                embeddings.row(row.row).to_vec(),
                row.face.embedding,
                "row {}",
                row.row
            );
        }
    }

    #[test]
    fn a_root_holds_whole_components_and_aliases() {
        let mut cache = cache_of([entry("/z/a.jpg", faces(1)), entry("/pho/b.jpg", faces(0))]);
        cache.add_alias(&"/z/a.jpg".into(), "/photos/2019/a.jpg".into(), 5);
        let under =
            |root: &str| -> Vec<String> { cache.under(root).map(|f| f.path.0.clone()).collect() };
        assert_eq!(under("/photos"), ["/z/a.jpg"]);
        assert_eq!(under("/photos/"), ["/z/a.jpg"]);
        assert_eq!(under("/pho"), ["/pho/b.jpg"]);
        assert_eq!(under("/"), ["/pho/b.jpg", "/z/a.jpg"]);
        assert_eq!(under("/z/a.jpg"), ["/z/a.jpg"]);
        assert!(is_within("C:\\x\\a.jpg", "C:\\x"));
    }

    #[test]
    fn known_compares_size_and_time_of_that_very_place() {
        let mut cache = cache_of([entry("/a.jpg", faces(1))]);
        let (size, mtime) = {
            let file = cache.file(&"/a.jpg".into()).unwrap();
            (file.size, file.mtime_ns)
        };
        cache.add_alias(&"/a.jpg".into(), "/b.jpg".into(), 77);
        cache.put(entry("/broken.jpg", FileStatus::Failed("why".into())));
        let known = |path: &str, size, mtime| cache.known(&path.into(), size, mtime);
        assert_eq!(known("/a.jpg", size, mtime), Known::Unchanged);
        assert_eq!(known("/a.jpg", size + 1, mtime), Known::Changed);
        assert_eq!(known("/a.jpg", size, mtime + 1), Known::Changed);
        assert_eq!(known("/b.jpg", size, 77), Known::Unchanged);
        assert_eq!(known("/b.jpg", size, mtime), Known::Changed);
        assert_eq!(known("/broken.jpg", size, mtime), Known::Failed);
        assert_eq!(known("/c.jpg", size, mtime), Known::New);
    }

    #[test]
    fn an_unknown_time_is_never_unchanged() {
        let mut file = entry("/a.jpg", faces(1));
        file.mtime_ns = 0;
        let size = file.size;
        let cache = cache_of([file]);
        assert_eq!(cache.known(&"/a.jpg".into(), size, 0), Known::Changed);
    }

    #[test]
    fn a_face_is_found_by_content_and_box_whatever_the_path() {
        let cache = cache_of([entry("/a.jpg", faces(2))]);
        let file = cache.file(&"/a.jpg".into()).unwrap();
        let mut key = file.key(&file.faces()[1]);
        key.path = "/moved.jpg".into();
        key.bbox.x1 += 0.01;
        assert_eq!(cache.face(&key).unwrap().1, 1);
        assert!(cache.face_at(&key.path, &key.bbox).is_none());
        assert_eq!(cache.face_at(&"/a.jpg".into(), &key.bbox).unwrap().1, 1);
        key.bbox.x1 += 0.2;
        assert!(cache.face(&key).is_none());
    }

    #[test]
    fn the_pack_of_an_imported_cache_is_stated_once() {
        let mut imported = meta(4);
        imported.pack = crate::PackIdentity::unknown(4);
        imported.src_roots = ["/old".to_owned()].into();
        let named = Cache::new(imported.clone())
            .assume_made_by(&meta(4))
            .unwrap();
        assert_eq!(named.meta().pack, meta(4).pack);
        assert!(named.meta().src_roots.contains("/old"));
        assert!(named.assume_made_by(&meta(4)).is_err());
        assert!(Cache::new(imported).assume_made_by(&meta(5)).is_err());
    }
}
