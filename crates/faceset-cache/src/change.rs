//! Every change to a cache, as a value: what the journal holds and what replay
//! applies.
//!
//! Owns the rules of canonical paths and aliases. Values are checked before
//! they come here (`validate`, `writer`); applying never fails, so that replay
//! does not either.

use faceset_core::{ContentHash, Enrichment, FileEntry, FileStatus, SourcePath, hash_bytes};
use serde::{Deserialize, Serialize};

use crate::cache::Alias;
use crate::{Cache, CacheMeta};

/// One step of a cache's history.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// The meta, whole.
    Meta(CacheMeta),
    /// A content was looked at.
    Put(FileEntry),
    /// A path holds a known content.
    Alias {
        path: SourcePath,
        canonical: SourcePath,
        mtime_ns: i64,
    },
    /// A path holds nothing any more.
    Remove { path: SourcePath },
    /// A path's modification time changed, its content did not.
    Touch { path: SourcePath, mtime_ns: i64 },
    /// The content of an unread entry became known.
    Identify {
        path: SourcePath,
        sha256: ContentHash,
        size: u64,
        mtime_ns: i64,
    },
    /// Landmarks and pose of one face.
    Enrich {
        path: SourcePath,
        face_idx: u32,
        enrichment: Enrichment,
    },
}

/// The hash that stands for a content nobody could read (a failed file) or
/// nobody hashed (an imported cache): it depends on the path alone, so it never
/// makes two files one.
pub fn unread_hash(path: &SourcePath) -> ContentHash {
    hash_bytes(format!("face-sets: unread file\0{path}").as_bytes())
}

impl Cache {
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Meta(meta) => self.meta = meta,
            Change::Put(entry) => self.put(entry),
            Change::Alias {
                path,
                canonical,
                mtime_ns,
            } => self.add_alias(&canonical, path, mtime_ns),
            Change::Remove { path } => self.release(&path),
            Change::Touch { path, mtime_ns } => self.touch(&path, mtime_ns),
            Change::Identify {
                path,
                sha256,
                size,
                mtime_ns,
            } => self.identify(&path, sha256, size, mtime_ns),
            Change::Enrich {
                path,
                face_idx,
                enrichment,
            } => self.enrich(&path, face_idx as usize, enrichment),
        }
    }

    /// Stores what was found on a content.
    ///
    /// A hash that another path holds already makes `entry.path` its alias; the
    /// canonical path stays, and a failed outcome there is replaced by a good
    /// one. A path that held another content leaves that one to its aliases.
    pub(crate) fn put(&mut self, entry: FileEntry) {
        let holder = self.by_hash.get(&entry.sha256);
        if holder == Some(&entry.path) {
            self.files.insert(entry.path.clone(), entry);
            return;
        }
        self.release(&entry.path);
        let Some(holder) = self.by_hash.get(&entry.sha256).cloned() else {
            self.insert(entry);
            return;
        };
        let known = self.files.get_mut(&holder).expect(INDEXED);
        let (path, mtime_ns) = (entry.path.clone(), entry.mtime_ns);
        if matches!(known.status, FileStatus::Failed(_))
            && matches!(entry.status, FileStatus::Faces(_))
        {
            *known = FileEntry {
                mtime_ns: known.mtime_ns,
                ..moved_to(entry, holder.clone())
            };
        }
        self.add_alias(&holder, path, mtime_ns);
    }

    /// Says that `path` holds the content of `canonical` (or of the canonical
    /// path behind it). Nothing happens when that is unknown.
    pub(crate) fn add_alias(&mut self, canonical: &SourcePath, path: SourcePath, mtime_ns: i64) {
        let Some(canonical) = self.canonical(canonical).cloned() else {
            return;
        };
        if canonical == path {
            self.touch(&path, mtime_ns);
            return;
        }
        self.release(&path);
        self.aliases_of
            .entry(canonical.clone())
            .or_default()
            .insert(path.clone());
        self.aliases.insert(
            path,
            Alias {
                canonical,
                mtime_ns,
            },
        );
    }

    /// Says that nothing is at `path` any more. A canonical path hands its
    /// records to the first of its aliases; without one they go.
    pub(crate) fn release(&mut self, path: &SourcePath) {
        if let Some(alias) = self.aliases.remove(path) {
            let rest = self.aliases_of.get_mut(&alias.canonical).expect(INDEXED);
            rest.remove(path);
            if rest.is_empty() {
                self.aliases_of.remove(&alias.canonical);
            }
            return;
        }
        let Some(entry) = self.files.remove(path) else {
            return;
        };
        self.by_hash.remove(&entry.sha256);
        let Some(mut heirs) = self.aliases_of.remove(path) else {
            return;
        };
        let heir = heirs.pop_first().expect("an empty set is removed at once");
        let mtime_ns = self.aliases.remove(&heir).expect(INDEXED).mtime_ns;
        for alias in &heirs {
            let alias = self.aliases.get_mut(alias).expect(INDEXED);
            alias.canonical = heir.clone();
        }
        if !heirs.is_empty() {
            self.aliases_of.insert(heir.clone(), heirs);
        }
        let sha256 = if entry.sha256 == unread_hash(path) {
            unread_hash(&heir)
        } else {
            entry.sha256
        };
        self.insert(FileEntry {
            sha256,
            mtime_ns,
            ..moved_to(entry, heir)
        });
    }

    pub(crate) fn touch(&mut self, path: &SourcePath, mtime_ns: i64) {
        if let Some(alias) = self.aliases.get_mut(path) {
            alias.mtime_ns = mtime_ns;
        } else if let Some(file) = self.files.get_mut(path) {
            file.mtime_ns = mtime_ns;
        }
    }

    pub(crate) fn identify(
        &mut self,
        path: &SourcePath,
        sha256: ContentHash,
        size: u64,
        mtime_ns: i64,
    ) {
        let Some(mut entry) = self.files.remove(path) else {
            return;
        };
        self.by_hash.remove(&entry.sha256);
        (entry.sha256, entry.size, entry.mtime_ns) = (sha256, size, mtime_ns);
        let places = self.aliases_of.remove(path).unwrap_or_default();
        let times: Vec<_> = places
            .into_iter()
            .map(|alias| {
                let mtime_ns = self.aliases.remove(&alias).expect(INDEXED).mtime_ns;
                (alias, mtime_ns)
            })
            .collect();
        self.put(entry);
        for (alias, mtime_ns) in times {
            self.add_alias(path, alias, mtime_ns);
        }
    }

    pub(crate) fn enrich(&mut self, path: &SourcePath, face_idx: usize, enrichment: Enrichment) {
        if let Some(FileEntry {
            status: FileStatus::Faces(faces),
            ..
        }) = self.files.get_mut(path)
            && let Some(face) = faces.get_mut(face_idx)
        {
            face.enrichment = Some(enrichment);
        }
    }

    /// Adds an entry whose path and hash are both free.
    pub(crate) fn insert(&mut self, entry: FileEntry) {
        self.by_hash.insert(entry.sha256, entry.path.clone());
        self.files.insert(entry.path.clone(), entry);
    }
}

const INDEXED: &str = "the indexes name only what is there";

/// The entry under another path.
pub(crate) fn moved_to(mut entry: FileEntry, path: SourcePath) -> FileEntry {
    if let FileStatus::Faces(faces) = &mut entry.status {
        for face in faces {
            face.path.clone_from(&path);
        }
    }
    entry.path = path;
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{cache_of, entry, faces, with_content};

    fn places(cache: &Cache, canonical: &str) -> Vec<String> {
        cache
            .places(&canonical.into())
            .into_iter()
            .map(|p| p.0.clone())
            .collect()
    }

    #[test]
    fn the_same_content_elsewhere_becomes_an_alias() {
        let mut cache = cache_of([with_content(entry("/b.jpg", faces(1)), "same")]);
        cache.put(with_content(entry("/a.jpg", faces(1)), "same"));
        assert_eq!(cache.n_files(), 1);
        assert_eq!(places(&cache, "/b.jpg"), ["/a.jpg", "/b.jpg"]);
        assert_eq!(
            cache.resolve(&"/a.jpg".into()).unwrap().path.as_str(),
            "/b.jpg"
        );
    }

    #[test]
    fn a_success_elsewhere_heals_a_failure_of_the_same_content() {
        let failed = FileStatus::Failed("no memory".into());
        let mut cache = cache_of([with_content(entry("/b.jpg", failed), "same")]);
        cache.put(with_content(entry("/a.jpg", faces(2)), "same"));
        let healed = cache.file(&"/b.jpg".into()).unwrap();
        assert_eq!(healed.faces().len(), 2);
        assert!(healed.faces().iter().all(|f| f.path.as_str() == "/b.jpg"));
    }

    #[test]
    fn an_edited_photo_leaves_its_old_content_to_the_aliases() {
        let mut cache = cache_of([with_content(entry("/a.jpg", faces(1)), "old")]);
        cache.add_alias(&"/a.jpg".into(), "/c.jpg".into(), 3);
        cache.add_alias(&"/a.jpg".into(), "/b.jpg".into(), 2);
        cache.put(with_content(entry("/a.jpg", faces(2)), "new"));
        assert_eq!(cache.file(&"/a.jpg".into()).unwrap().faces().len(), 2);
        let old = cache.file(&"/b.jpg".into()).unwrap();
        assert_eq!((old.faces().len(), old.mtime_ns), (1, 2));
        assert_eq!(old.faces()[0].path.as_str(), "/b.jpg");
        assert_eq!(places(&cache, "/b.jpg"), ["/b.jpg", "/c.jpg"]);
        assert_eq!(places(&cache, "/a.jpg"), ["/a.jpg"]);
    }

    #[test]
    fn an_edited_photo_without_copies_replaces_its_record() {
        let mut cache = cache_of([with_content(entry("/a.jpg", faces(1)), "old")]);
        cache.put(with_content(entry("/a.jpg", faces(2)), "new"));
        assert_eq!((cache.n_files(), cache.n_faces()), (1, 2));
        assert!(cache.by_hash(&hash_bytes(b"old")).is_none());
    }

    #[test]
    fn a_photo_overwritten_by_a_copy_of_another_changes_sides() {
        let mut cache = cache_of([entry("/a.jpg", faces(1)), entry("/b.jpg", faces(1))]);
        cache.add_alias(&"/a.jpg".into(), "/b.jpg".into(), 9);
        assert_eq!(cache.n_files(), 1);
        assert_eq!(places(&cache, "/a.jpg"), ["/a.jpg", "/b.jpg"]);
    }

    #[test]
    fn a_moved_photo_is_an_alias_and_then_the_canonical_path() {
        let mut cache = cache_of([entry("/old.jpg", faces(1))]);
        cache.add_alias(&"/old.jpg".into(), "/new.jpg".into(), 9);
        cache.release(&"/old.jpg".into());
        assert_eq!(places(&cache, "/new.jpg"), ["/new.jpg"]);
        assert_eq!(cache.n_faces(), 1);
        cache.release(&"/new.jpg".into());
        assert_eq!((cache.n_files(), cache.by_hash.len()), (0, 0));
    }

    #[test]
    fn identifying_an_imported_photo_joins_it_to_the_same_content() {
        let mut imported = entry("/b.jpg", faces(1));
        imported.sha256 = unread_hash(&imported.path);
        let mut cache = cache_of([with_content(entry("/a.jpg", faces(1)), "same"), imported]);
        cache.add_alias(&"/b.jpg".into(), "/c.jpg".into(), 1);
        cache.identify(&"/b.jpg".into(), hash_bytes(b"same"), 7, 8);
        assert_eq!(places(&cache, "/a.jpg"), ["/a.jpg", "/b.jpg", "/c.jpg"]);
        assert_eq!(cache.n_files(), 1);
    }

    #[test]
    fn an_heir_of_an_unread_entry_is_unread_too() {
        let mut imported = entry("/b.jpg", faces(1));
        imported.sha256 = unread_hash(&imported.path);
        let mut cache = cache_of([imported]);
        cache.add_alias(&"/b.jpg".into(), "/c.jpg".into(), 1);
        cache.release(&"/b.jpg".into());
        let heir: SourcePath = "/c.jpg".into();
        assert_eq!(cache.file(&heir).unwrap().sha256, unread_hash(&heir));
    }

    #[test]
    fn changes_to_what_is_not_there_change_nothing() {
        let mut cache = cache_of([entry("/a.jpg", faces(1))]);
        cache.add_alias(&"/no.jpg".into(), "/b.jpg".into(), 1);
        cache.touch(&"/no.jpg".into(), 1);
        cache.release(&"/no.jpg".into());
        cache.identify(&"/no.jpg".into(), hash_bytes(b"x"), 1, 1);
        cache.enrich(&"/a.jpg".into(), 1, Enrichment::default());
        assert_eq!((cache.n_files(), cache.aliases.len()), (1, 0));
        assert!(cache.faces().all(|row| row.face.enrichment.is_none()));
    }
}
