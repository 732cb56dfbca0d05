//! A cache from disk: the npz, then what its journal adds.
//!
//! Owns the reading side of the crash promise and what is reported about it.
//! What the arrays mean is in `arrays`, what a frame is in `journal`, what the
//! files of a cache are without their faces in `table`.

use std::path::{Path, PathBuf};

use faceset_core::{Enrichment, FileStatus};

use crate::arrays::{Depth, blank, peek_npz, read_npz};
use crate::change::{Change, unread_hash};
use crate::journal::{JournalReader, Scan};
use crate::npz_read::Npz;
use crate::{Cache, CacheError, CacheMeta};

/// How often a reader looks again when a writer compacts under its eyes.
const READ_ATTEMPTS: usize = 5;

/// What loading found, beyond the records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Schema of the npz; `None` when there was only a journal so far.
    pub schema: Option<u32>,
    /// Distinct contents.
    pub n_files: usize,
    /// Faces.
    pub n_faces: usize,
    /// Contents that an imported cache named without a hash.
    pub n_unread: usize,
    /// What the journal added; `None` when there was none.
    pub journal: Option<JournalReport>,
    /// Where the writer has put a damaged end of the journal before cutting it.
    pub kept_aside: Option<PathBuf>,
}

/// What was found in a journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JournalReport {
    /// Changes replayed.
    pub records: u64,
    /// Changes that a compaction had taken into the npz before it was cut short.
    pub already_compacted: u64,
    /// Damaged places between good records; at least one record each is lost.
    pub damaged_records: u64,
    /// Bytes at the end that were no whole record: the work of a run that was
    /// killed while it saved.
    pub dropped_bytes: u64,
    /// All of those when they can't be what a killed run leaves, else 0. The
    /// next writer keeps them in a file of their own.
    pub damaged_bytes: u64,
}

impl LoadReport {
    /// Lines for people about what was not as it should be; empty when all was
    /// well.
    pub fn notes(&self, path: &Path) -> Vec<String> {
        let mut notes = Vec::new();
        let journal = journal_path(path);
        let journal = journal.display();
        let found = self.journal.unwrap_or_default();
        if found.damaged_bytes > 0 {
            let place = match &self.kept_aside {
                Some(place) => format!("they were moved to {}", place.display()),
                None => format!("the next run that saves moves them to {journal}.damaged"),
            };
            notes.push(format!(
                "the end of {journal} is damaged: {} records kept, {} bytes behind them can't be \
                 read; {place}; run `embed` again to redo them",
                found.records + found.already_compacted,
                found.damaged_bytes
            ));
        } else if found.dropped_bytes > 0 {
            notes.push(format!(
                "{journal} was cut short: {} records kept, {} bytes of an unfinished save dropped; \
                 run the same command again to redo them",
                found.records + found.already_compacted,
                found.dropped_bytes
            ));
        }
        if found.damaged_records > 0 {
            notes.push(format!(
                "{journal} is damaged in {} places: what was saved there was left out; run `embed` \
                 again to redo it",
                found.damaged_records
            ));
        }
        if self.n_unread > 0 {
            notes.push(format!(
                "{} has {} photos without a content hash; `embed` fills them in",
                path.display(),
                self.n_unread
            ));
        }
        notes
    }
}

impl From<&Scan> for JournalReport {
    fn from(scan: &Scan) -> Self {
        Self {
            records: scan.n_changes,
            already_compacted: scan.n_sealed,
            damaged_records: scan.n_damaged,
            dropped_bytes: scan.dropped_bytes,
            damaged_bytes: scan.damaged_bytes,
        }
    }
}

/// `<cache>.journal`.
pub fn journal_path(cache: &Path) -> PathBuf {
    beside(cache, ".journal")
}

/// `<cache>.lock`.
pub fn lock_path(cache: &Path) -> PathBuf {
    beside(cache, ".lock")
}

fn beside(cache: &Path, suffix: &str) -> PathBuf {
    let mut name = cache.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Reads a cache with what its journal adds. Takes no lock and changes nothing:
/// it may run while another process writes.
pub fn load(path: &Path) -> Result<(Cache, LoadReport), CacheError> {
    load_to(path, Depth::All)
}

pub(crate) fn load_to(path: &Path, depth: Depth) -> Result<(Cache, LoadReport), CacheError> {
    for _ in 0..READ_ATTEMPTS {
        let before = npz_digest(path)?;
        let found = load_quiet(path, depth);
        // A compaction meanwhile could have emptied the journal between our
        // looks at the two files, which errors could come from, too.
        if npz_digest(path)? == before {
            return found.map(|loaded| (loaded.cache, loaded.report));
        }
    }
    Err(CacheError::Changing {
        path: path.to_path_buf(),
    })
}

/// What made a cache, without reading its records.
pub fn peek(path: &Path) -> Result<CacheMeta, CacheError> {
    if let Some(mut npz) = Npz::open(path)? {
        return peek_npz(&mut npz, path);
    }
    match JournalReader::open(&journal_path(path))? {
        Some(mut journal) => journal.meta()?.ok_or_else(|| no_meta(path)),
        None => Err(CacheError::Missing {
            path: path.to_path_buf(),
        }),
    }
}

/// A loaded cache and what a writer needs to go on from there.
pub(crate) struct Loaded {
    pub(crate) cache: Cache,
    pub(crate) report: LoadReport,
    /// End of the good part of the journal.
    pub(crate) journal_end: u64,
}

fn npz_digest(path: &Path) -> Result<Option<String>, CacheError> {
    Npz::open(path)?.map(|mut npz| npz.digest()).transpose()
}

/// [`load`] for whoever holds the lock: nobody compacts meanwhile.
pub(crate) fn load_locked(path: &Path) -> Result<Loaded, CacheError> {
    load_quiet(path, Depth::All)
}

fn load_quiet(path: &Path, depth: Depth) -> Result<Loaded, CacheError> {
    let mut npz = Npz::open(path)?;
    let digest = npz.as_mut().map(Npz::digest).transpose()?;
    let mut journal = JournalReader::open(&journal_path(path))?;
    if npz.is_none() && journal.is_none() {
        return Err(CacheError::Missing {
            path: path.to_path_buf(),
        });
    }
    let scan = match &mut journal {
        Some(journal) => journal.scan(digest.as_deref())?,
        None => Scan::default(),
    };
    let (mut cache, schema) = match &mut npz {
        Some(npz) => {
            let (cache, schema) = read_npz(npz, path, depth)?;
            (Some(cache), Some(schema))
        }
        None => (None, None),
    };
    if let Some(journal) = &mut journal {
        let shorten = |change| match depth {
            Depth::All => change,
            Depth::Files => without_numbers(change),
        };
        journal.replay(&scan, |change| match (&mut cache, shorten(change)) {
            (None, Change::Meta(meta)) => {
                cache = Some(Cache::new(meta));
                Ok(())
            }
            (None, _) => Err(no_meta(path)),
            (Some(cache), Change::Meta(meta)) => {
                cache.meta.check_accepts(&meta, path)?;
                cache.meta = meta;
                Ok(())
            }
            (Some(cache), change) => {
                cache.apply(change);
                Ok(())
            }
        })?;
    }
    // A journal that died at its first byte is no cache yet.
    let cache = cache.ok_or_else(|| CacheError::Missing {
        path: path.to_path_buf(),
    })?;
    let report = LoadReport {
        schema,
        n_files: cache.n_files(),
        n_faces: cache.n_faces(),
        n_unread: cache
            .files()
            .filter(|f| {
                !matches!(f.status, FileStatus::Failed(_)) && f.sha256 == unread_hash(&f.path)
            })
            .count(),
        journal: journal.is_some().then(|| JournalReport::from(&scan)),
        kept_aside: None,
    };
    Ok(Loaded {
        cache,
        report,
        journal_end: scan.good_end,
    })
}

/// The change, with blank faces.
fn without_numbers(change: Change) -> Change {
    match change {
        Change::Put(mut entry) => {
            if let FileStatus::Faces(faces) = &mut entry.status {
                for face in faces {
                    *face = blank();
                }
            }
            Change::Put(entry)
        }
        Change::Enrich { path, face_idx, .. } => Change::Enrich {
            path,
            face_idx,
            enrichment: Enrichment::default(),
        },
        other => other,
    }
}

fn no_meta(path: &Path) -> CacheError {
    CacheError::Corrupt {
        path: journal_path(path),
        what: "its beginning is damaged and the cache beside it is missing".into(),
        source: None,
    }
}
