//! Every file below the folders of ours, and which of them are originals.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::error::IdentityError;
use crate::store::{JOURNAL_FILE, LOCK_FILE, REGISTRY_FILE};

/// Files and folders below the roots, sorted, each once. Links are files and
/// are not followed. The registry's own files are left out.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) files: BTreeSet<PathBuf>,
    pub(crate) folders: BTreeSet<PathBuf>,
}

impl Tree {
    pub(crate) fn walk(roots: &[PathBuf], registry_dir: &Path) -> Result<Self, IdentityError> {
        let mut tree = Self::default();
        let own: Vec<PathBuf> = [REGISTRY_FILE, JOURNAL_FILE, LOCK_FILE]
            .iter()
            .map(|f| absolute(&registry_dir.join(f)))
            .collect();
        let mut todo: Vec<PathBuf> = roots.iter().map(|r| absolute(r)).collect();
        while let Some(folder) = todo.pop() {
            if !tree.folders.insert(folder.clone()) {
                continue;
            }
            let list = || IdentityError::io("list", &folder);
            for entry in std::fs::read_dir(&folder).map_err(list())? {
                let entry = entry.map_err(list())?;
                let path = entry.path();
                if entry.file_type().map_err(list())?.is_dir() {
                    todo.push(path);
                } else if !own.contains(&path) {
                    tree.files.insert(path);
                }
            }
        }
        Ok(tree)
    }

    /// The files of a folder and of those below it.
    pub(crate) fn below<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = &'a PathBuf> {
        self.files
            .range(folder.to_path_buf()..)
            .take_while(move |f| f.starts_with(folder))
    }
}

/// Resolved where the system can: two spellings of one place are equal.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    let (folder, name) = (path.parent(), path.file_name());
    let resolved = match (folder, name) {
        // The last part may be a link of ours: it stays itself.
        (Some(folder), Some(name)) if path.is_symlink() => {
            folder.canonicalize().map(|f| f.join(name))
        }
        (Some(folder), Some(name)) if !path.exists() => folder.canonicalize().map(|f| f.join(name)),
        _ => path.canonicalize(),
    };
    resolved.unwrap_or_else(|_| path.to_path_buf())
}

/// Known photos by file name, to recognise originals below our own folders.
#[derive(Debug, Default)]
pub(crate) struct Originals(BTreeMap<String, Vec<String>>);

impl Originals {
    pub(crate) fn add(&mut self, photo: &str) {
        let name = photo.rsplit(['/', '\\']).next().unwrap_or(photo);
        let list = self.0.entry(name.to_owned()).or_default();
        if !list.iter().any(|p| p == photo) {
            list.push(photo.to_owned());
        }
    }

    /// True when this very file is a photo that was embedded. `file` is as
    /// [`Tree`] lists it. A link to a photo is not the photo.
    pub(crate) fn has(&self, file: &Path) -> bool {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        self.0.get(name.as_ref()).is_some_and(|photos| {
            photos
                .iter()
                .any(|p| Path::new(p) == file || absolute(Path::new(p)) == file)
        })
    }
}
