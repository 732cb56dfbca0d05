//! The files of a cache without their faces: for whoever only asks which photos
//! are known.
//!
//! A face takes about 4 kB in a loaded cache, its place in this table 200 bytes.
//! The rules of the journal and of canonical paths are those of a whole cache,
//! because it is one, with blank faces.

use std::path::Path;

use faceset_core::{ContentHash, FileStatus, SourcePath};

use crate::arrays::Depth;
use crate::load::load_to;
use crate::{Cache, CacheError, CacheMeta, LoadReport};

/// Which photos a cache knows. No boxes, embeddings, sizes or times.
#[derive(Debug, Clone)]
pub struct FileTable(Cache);

/// One content of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRow<'a> {
    /// Its canonical path.
    pub path: &'a SourcePath,
    /// The sha256 of its bytes; of one that could not be read, what
    /// [`crate::unread_hash`] says.
    pub sha256: &'a ContentHash,
    /// What was found on it.
    pub found: Found<'a>,
}

/// What was found on a photo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// So many faces; 0 is a photo without.
    Faces(usize),
    /// It could not be read, with the reason.
    Failed(&'a str),
}

impl FileTable {
    /// Reads the table, with what the journal adds. Takes no lock, as
    /// [`crate::load`].
    ///
    /// The arrays of faces are not looked at: a cache that is damaged there only
    /// gives a table. A cache of schema 0 has no hashes but those it names.
    pub fn load(path: &Path) -> Result<(Self, LoadReport), CacheError> {
        let (cache, report) = load_to(path, Depth::Files)?;
        Ok((Self(cache), report))
    }

    /// What made the cache.
    pub fn meta(&self) -> &CacheMeta {
        self.0.meta()
    }

    /// Every distinct content in order of canonical path.
    pub fn files(&self) -> impl Iterator<Item = FileRow<'_>> {
        self.0.files().map(row)
    }

    /// The contents of which a place lies in the folder `root`, by the rule of
    /// [`Cache::under`].
    pub fn under<'a>(&'a self, root: &'a str) -> impl Iterator<Item = FileRow<'a>> {
        self.0.under(root).map(row)
    }
}

fn row(file: &faceset_core::FileEntry) -> FileRow<'_> {
    FileRow {
        path: &file.path,
        sha256: &file.sha256,
        found: match &file.status {
            FileStatus::Faces(faces) => Found::Faces(faces.len()),
            FileStatus::Failed(reason) => Found::Failed(reason),
        },
    }
}
