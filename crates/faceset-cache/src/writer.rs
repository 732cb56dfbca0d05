//! The one writer of a cache: put, flush, compact, forget.
//!
//! Owns the order of writes that makes a kill at any moment harmless:
//! a flush appends to the journal and syncs; a compaction writes the new npz
//! beside the old one, seals the journal with the new one's digest, replaces
//! the npz, and empties the journal.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use faceset_core::{ContentHash, Enrichment, FileEntry, SourcePath};
use faceset_fs::{AtomicFile, LockFile, sync_folder_of};

use crate::change::{Change, unread_hash};
use crate::journal::{JournalReader, JournalWriter, change_frame, keep_tail};
use crate::load::{JournalReport, Loaded, journal_path, load_locked, lock_path};
use crate::npz_write::write_npz;
use crate::validate::{check_enrichment, check_entry, check_path};
use crate::{Cache, CacheError, CacheMeta, ForgetPlan, ForgetReport, LoadReport, SCHEMA};

/// New files after which a run should flush: the promise that a crash costs at
/// most the work on so many (the original tool's number).
pub const FLUSH_EVERY: usize = 50;

/// When a flush also compacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compaction {
    /// Only when [`CacheWriter::compact`] or [`CacheWriter::finish`] says so.
    #[default]
    OnDemand,
    /// When the journal has at least `min_bytes` and at least half the size of
    /// the npz: everything is then written at most about three times over the
    /// life of a cache, however long it grows.
    WhenLarge {
        /// Below this a journal is left alone.
        min_bytes: u64,
    },
}

/// What a flush did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlushReport {
    /// Changes made durable.
    pub records: usize,
    /// Bytes that cost.
    pub bytes: u64,
    /// What the automatic compaction did, if one was due.
    pub compacted: Option<CompactReport>,
}

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompactReport {
    /// False when the npz was up to date already and was left untouched.
    pub rewritten: bool,
    /// Size of the npz.
    pub bytes: u64,
}

/// Exclusive access to a cache. Dropped without a flush, what was put since the
/// last one is lost, as in a crash.
#[derive(Debug)]
pub struct CacheWriter {
    cache: Cache,
    report: LoadReport,
    path: PathBuf,
    journal: JournalWriter<File>,
    /// Frames not flushed yet, and their number.
    pending: Vec<u8>,
    n_pending: usize,
    /// The npz lacks something that only memory or the journal has.
    npz_is_stale: bool,
    npz_bytes: u64,
    compaction: Compaction,
    _lock: LockFile,
}

impl CacheWriter {
    /// Takes `<path>.lock` and loads the cache; a missing one begins empty, and
    /// nothing but the lock is on disk until the first flush.
    ///
    /// `holder` tells a second run who is there. Refuses a cache of another
    /// pack, pipeline or detector setting; roots, provider and extra are united
    /// with what is stored. An unfinished record at the end of the journal is
    /// cut off; an end that is damaged is kept in a file beside it first (see
    /// [`CacheWriter::load_report`]).
    pub fn open(path: &Path, meta: &CacheMeta, holder: &str) -> Result<Self, CacheError> {
        let lock = LockFile::acquire(&lock_path(path), holder)?;
        let loaded = match load_locked(path) {
            Err(CacheError::Missing { .. }) => None,
            other => Some(other?),
        };
        AtomicFile::remove_leftover(path)?;
        let is_new = loaded.is_none();
        let Loaded {
            mut cache,
            mut report,
            journal_end,
        } = loaded.unwrap_or_else(|| Loaded {
            cache: Cache::new(meta.clone()),
            report: LoadReport::default(),
            journal_end: 0,
        });
        cache.meta.check_accepts(meta, path)?;
        let united = cache.meta.clone().union(meta);
        let meta_changed = united != cache.meta;
        cache.meta = united;

        let journal_path = journal_path(path);
        if is_new && let Some(mut journal) = JournalReader::open(&journal_path)? {
            let found = JournalReport::from(&journal.scan(None)?);
            report.journal = Some(found).filter(|found| found.damaged_bytes > 0);
        }
        if report.journal.is_some_and(|found| found.damaged_bytes > 0) {
            report.kept_aside = Some(keep_tail(&journal_path, journal_end)?);
        }
        let journal = open_journal(&journal_path, journal_end)?;
        let mut writer = Self {
            npz_is_stale: is_new || journal_end > 0 || report.schema != Some(SCHEMA),
            npz_bytes: std::fs::metadata(path).map_or(0, |m| m.len()),
            cache,
            report,
            path: path.to_path_buf(),
            journal,
            pending: Vec::new(),
            n_pending: 0,
            compaction: Compaction::OnDemand,
            _lock: lock,
        };
        if meta_changed {
            writer.remember(&Change::Meta(writer.cache.meta.clone()));
        }
        Ok(writer)
    }

    /// Sets when a flush also compacts.
    #[must_use]
    pub fn with_compaction(mut self, compaction: Compaction) -> Self {
        self.compaction = compaction;
        self
    }

    /// The records, with everything that was put so far.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// What was found on opening.
    pub fn load_report(&self) -> &LoadReport {
        &self.report
    }

    /// Changes that the next flush will write.
    pub fn n_pending(&self) -> usize {
        self.n_pending
    }

    /// Records what was found on one content.
    ///
    /// When another path holds this hash already, `entry.path` becomes its
    /// alias. A path that held another content leaves that one to its aliases.
    /// For a file that could not even be read, pass [`unread_hash`] as its hash.
    pub fn put(&mut self, entry: FileEntry) -> Result<(), CacheError> {
        check_entry(&entry, self.cache.meta.pack.dim)?;
        self.record(Change::Put(entry));
        Ok(())
    }

    /// Records that `path` holds the same bytes as `canonical`, with the
    /// modification time it has there (0: unknown).
    pub fn add_alias(
        &mut self,
        canonical: &SourcePath,
        path: SourcePath,
        mtime_ns: i64,
    ) -> Result<(), CacheError> {
        check_path(&path)?;
        let Some(canonical) = self.cache.canonical(canonical).cloned() else {
            return Err(unknown(
                canonical,
                "it is not in the cache, so it has no aliases",
            ));
        };
        let is_there = self
            .cache
            .aliases
            .get(&path)
            .is_some_and(|alias| alias.canonical == canonical && alias.mtime_ns == mtime_ns);
        if !is_there {
            self.record(Change::Alias {
                path,
                canonical,
                mtime_ns,
            });
        }
        Ok(())
    }

    /// Records that nothing is at `path` any more. Its records pass to the
    /// first of its aliases; without one they leave the cache. For a moved
    /// photo: first [`CacheWriter::add_alias`] of the new place, then this.
    pub fn remove(&mut self, path: &SourcePath) -> Result<(), CacheError> {
        if self.cache.canonical(path).is_none() {
            return Err(unknown(path, "it is not in the cache"));
        }
        self.record(Change::Remove { path: path.clone() });
        Ok(())
    }

    /// Records a new modification time of a file whose bytes are the same.
    pub fn touch(&mut self, path: &SourcePath, mtime_ns: i64) -> Result<(), CacheError> {
        if self.cache.canonical(path).is_none() {
            return Err(unknown(path, "it is not in the cache"));
        }
        self.record(Change::Touch {
            path: path.clone(),
            mtime_ns,
        });
        Ok(())
    }

    /// Fills in the hash of an entry that has none yet (one of an imported
    /// cache: its hash is [`unread_hash`] of its path). When the content turns
    /// out to be known, the two become one.
    pub fn identify(
        &mut self,
        path: &SourcePath,
        sha256: ContentHash,
        size: u64,
        mtime_ns: i64,
    ) -> Result<(), CacheError> {
        match self.cache.file(path) {
            Some(file) if file.sha256 == unread_hash(path) => {}
            Some(_) => return Err(unknown(path, "its content is known already")),
            None => return Err(unknown(path, "it is not in the cache")),
        }
        if i64::try_from(size).is_err() {
            return Err(CacheError::BadRecord {
                path: path.clone(),
                what: format!("its size of {size} bytes is impossible"),
            });
        }
        self.record(Change::Identify {
            path: path.clone(),
            sha256,
            size,
            mtime_ns,
        });
        Ok(())
    }

    /// Adds landmarks and pose to a face of a canonical path.
    pub fn enrich(
        &mut self,
        path: &SourcePath,
        face_idx: usize,
        enrichment: Enrichment,
    ) -> Result<(), CacheError> {
        let n_faces = self.cache.file(path).map_or(0, |file| file.faces().len());
        if face_idx >= n_faces {
            return Err(unknown(path, &format!("it has no face {face_idx} here")));
        }
        check_enrichment(&enrichment).map_err(|what| CacheError::BadRecord {
            path: path.clone(),
            what: format!("face {face_idx}: {what}"),
        })?;
        self.record(Change::Enrich {
            path: path.clone(),
            face_idx: u32::try_from(face_idx).expect("below the number of faces"),
            enrichment,
        });
        Ok(())
    }

    /// Makes everything put so far durable. The cost is what is new. After an
    /// error nothing saved is lost and nothing pending is forgotten: call it
    /// again, e.g. when there is room on the disk.
    pub fn flush(&mut self) -> Result<FlushReport, CacheError> {
        let mut report = FlushReport::default();
        if self.n_pending > 0 {
            let before = self.journal.bytes();
            self.journal
                .append(&self.cache.meta, &self.pending)
                .map_err(CacheError::io("write", &journal_path(&self.path)))?;
            if before == 0 {
                sync_folder_of(&self.path);
            }
            report.records = self.n_pending;
            report.bytes = self.journal.bytes() - before;
            self.pending.clear();
            self.n_pending = 0;
        }
        if let Compaction::WhenLarge { min_bytes } = self.compaction
            && self.journal.bytes() >= min_bytes.max(1)
            && self.journal.bytes() >= self.npz_bytes / 2
        {
            report.compacted = Some(self.compact()?);
        }
        Ok(report)
    }

    /// Flushes, then writes everything into the npz and empties the journal.
    /// Does not touch an npz that is up to date. After an error the journal
    /// still has what the npz lacks.
    pub fn compact(&mut self) -> Result<CompactReport, CacheError> {
        let compaction = std::mem::take(&mut self.compaction);
        let flushed = self.flush();
        self.compaction = compaction;
        flushed?;
        let rewritten = self.npz_is_stale;
        if rewritten {
            self.write_npz()?;
        }
        Ok(CompactReport {
            rewritten,
            bytes: self.npz_bytes,
        })
    }

    /// Erases what a plan names: compacts first, so that no journal can bring
    /// it back, then rewrites the npz without it. When this returns, neither
    /// the npz nor the journal holds those bytes; after a crash in between,
    /// nothing was erased and the same plan can be applied again.
    pub fn forget(&mut self, plan: &ForgetPlan) -> Result<ForgetReport, CacheError> {
        if plan.is_empty() {
            return Ok(ForgetReport::default());
        }
        self.compact()?;
        let report = self.cache.erase(plan);
        self.npz_is_stale = true;
        self.write_npz()?;
        Ok(report)
    }

    /// Compacts and gives the lock back. Returns the cache.
    pub fn finish(mut self) -> Result<Cache, CacheError> {
        self.compact()?;
        let path = journal_path(&self.path);
        drop(self.journal);
        // An empty journal is harmless where it cannot be removed.
        if std::fs::metadata(&path).is_ok_and(|m| m.len() == 0) {
            let _ = std::fs::remove_file(&path);
        }
        Ok(self.cache)
    }

    fn record(&mut self, change: Change) {
        self.remember(&change);
        self.cache.apply(change);
    }

    fn remember(&mut self, change: &Change) {
        self.pending.extend(change_frame(change));
        self.n_pending += 1;
        self.npz_is_stale = true;
    }

    fn write_npz(&mut self) -> Result<(), CacheError> {
        let mut file = AtomicFile::create_exclusive(&self.path)?;
        let digest =
            write_npz(&self.cache, &mut file).map_err(CacheError::io("write", &self.path))?;
        if self.journal.bytes() > 0 {
            self.journal
                .seal(&self.cache.meta, &digest)
                .map_err(CacheError::io("write", &journal_path(&self.path)))?;
        }
        file.commit()?;
        self.npz_is_stale = false;
        self.npz_bytes = std::fs::metadata(&self.path).map_or(0, |m| m.len());
        self.journal
            .clear()
            .map_err(CacheError::io("empty", &journal_path(&self.path)))
    }
}

/// Writes a cache to a path that holds none, e.g. the result of
/// [`merge`](crate::merge) or of an import.
pub fn save_new(path: &Path, cache: &Cache, holder: &str) -> Result<(), CacheError> {
    let _lock = LockFile::acquire(&lock_path(path), holder)?;
    let journal_bytes = std::fs::metadata(journal_path(path)).map_or(0, |m| m.len());
    if path.symlink_metadata().is_ok() || journal_bytes > 0 {
        return Err(CacheError::Exists {
            path: path.to_path_buf(),
        });
    }
    let mut file = AtomicFile::create_exclusive(path)?;
    write_npz(cache, &mut file).map_err(CacheError::io("write", path))?;
    file.commit()?;
    Ok(())
}

fn open_journal(path: &Path, end: u64) -> Result<JournalWriter<File>, CacheError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .and_then(|file| JournalWriter::new(file, end))
        .map_err(CacheError::io("open", path))
}

fn unknown(path: &SourcePath, what: &str) -> CacheError {
    CacheError::Unknown {
        path: path.clone(),
        what: what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::load;
    use crate::testing::{entry, faces, meta};

    /// A cache with an npz of one photo, and a journal that adds another.
    fn unfinished(folder: &Path) -> CacheWriter {
        let path = folder.join("c.npz");
        let mut writer = CacheWriter::open(&path, &meta(4), "test").unwrap();
        writer.put(entry("/a.jpg", faces(1))).unwrap();
        writer.compact().unwrap();
        writer.put(entry("/b.jpg", faces(2))).unwrap();
        writer.flush().unwrap();
        writer
    }

    #[test]
    fn a_kill_at_each_step_of_a_compaction_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = unfinished(dir.path());
        let path = writer.path.clone();
        let found = || {
            let (cache, report) = load(&path).unwrap();
            let found = report.journal.unwrap();
            (cache.n_faces(), found.records, found.already_compacted)
        };
        assert_eq!(found(), (3, 1, 0));
        let mut npz = Cursor::new(Vec::new());
        let digest = write_npz(&writer.cache, &mut npz).unwrap();
        // Killed while the new npz is written beside the old one.
        std::fs::write(AtomicFile::leftover(&path), &npz.get_ref()[..100]).unwrap();
        assert_eq!(found(), (3, 1, 0));
        // Killed when the journal is sealed and the npz not yet replaced.
        writer.journal.seal(&meta(4), &digest).unwrap();
        assert_eq!(found(), (3, 1, 0));
        // Killed when the npz is replaced and the journal not yet emptied.
        std::fs::write(&path, npz.get_ref()).unwrap();
        assert_eq!(found(), (3, 0, 1));
        // What is appended after that is replayed, and nothing else.
        writer.put(entry("/c.jpg", faces(1))).unwrap();
        writer.flush().unwrap();
        assert_eq!(found(), (4, 1, 1));
    }

    #[test]
    fn a_compaction_that_cannot_replace_the_npz_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = unfinished(dir.path());
        // A folder in the place of the temporary file stands for any reason.
        let leftover = AtomicFile::leftover(&writer.path);
        std::fs::create_dir_all(leftover.join("x")).unwrap();
        assert!(writer.compact().is_err());
        assert_eq!(load(&writer.path).unwrap().0.n_faces(), 3);
        writer.put(entry("/c.jpg", faces(1))).unwrap();
        writer.flush().unwrap();
        std::fs::remove_dir_all(&leftover).unwrap();
        assert!(writer.compact().unwrap().rewritten);
        assert_eq!(load(&writer.path).unwrap().0.n_faces(), 4);
        assert_eq!(writer.journal.bytes(), 0);
    }

    #[test]
    fn a_forget_whose_journal_still_held_the_face_cannot_be_undone_by_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = unfinished(dir.path());
        let plan = writer.cache.plan_forget(&[], &["/b.jpg".into()]);
        writer.forget(&plan).unwrap();
        let path = writer.path.clone();
        drop(writer);
        assert_eq!(std::fs::metadata(journal_path(&path)).unwrap().len(), 0);
        assert_eq!(load(&path).unwrap().0.n_faces(), 1);
        assert_eq!(
            CacheWriter::open(&path, &meta(4), "test")
                .unwrap()
                .forget(&plan)
                .unwrap(),
            ForgetReport::default()
        );
    }

    #[test]
    fn an_empty_plan_touches_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = unfinished(dir.path());
        let before = writer.journal.bytes();
        let plan = writer.cache.plan_forget(&[], &["/no.jpg".into()]);
        assert_eq!(writer.forget(&plan).unwrap(), ForgetReport::default());
        assert_eq!(writer.journal.bytes(), before);
    }

    #[test]
    fn a_new_root_is_remembered_and_an_old_one_costs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.npz");
        let open = |root: &str| {
            let mut meta = meta(4);
            meta.src_roots = [root.to_owned()].into();
            CacheWriter::open(&path, &meta, "test").unwrap()
        };
        open("/first").finish().unwrap();
        assert_eq!(open("/second").n_pending(), 1);
        open("/second").finish().unwrap();
        assert_eq!(open("/first").n_pending(), 0);
        let roots = load(&path).unwrap().0.meta().src_roots.clone();
        assert_eq!(roots.into_iter().collect::<Vec<_>>(), ["/first", "/second"]);
    }
}
