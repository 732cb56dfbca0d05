//! What is known before a run fetches anything: what earlier runs decided, which bytes
//! are here already, which names are taken.
//!
//! Filled from the queue folder (and those of other labels, and caches) at the start,
//! kept up to date while the run goes on. About 100 bytes an asset, 200 a staged file.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use faceset_cache::{FileTable, Found};
use faceset_core::ContentHash;
use faceset_queue::{
    AliasRow, NameBook, PortablePath, QueueItem, RootPaths, Sha1Hash, StageStatus, StateRow,
    read_rows,
};

use crate::StagingError;
use crate::options::Places;

/// Failures of one photo, in as many runs, after which it no longer stands in the way of
/// its duplicates: the file is probably gone on the server's disk.
const LASTING_FAILURES: u8 = 3;

/// Sixteen bytes of an asset's id: a UUID is exactly that.
pub(crate) type AssetKey = [u8; 16];

pub(crate) fn asset_key(id: &str) -> AssetKey {
    let mut digits = id.bytes().filter(|b| *b != b'-');
    let mut key = [0; 16];
    for byte in &mut key {
        let mut half = || {
            digits
                .next()
                .and_then(|b| char::from(b).to_digit(16))
                .map(|d| d as u8)
        };
        match half().zip(half()) {
            Some((high, low)) => *byte = high << 4 | low,
            None => return hashed(id),
        }
    }
    if digits.next().is_some() {
        return hashed(id);
    }
    key
}

fn hashed(id: &str) -> AssetKey {
    let digest = faceset_core::hash_bytes(id.as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&digest.0[..16]);
    key
}

/// What an earlier run, or this one, decided on an asset.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) status: StageStatus,
    /// The server's checksum then.
    pub(crate) sha1: Option<Sha1Hash>,
    n_failures: u8,
}

impl Known {
    /// The asset failed so often that its duplicates need not wait for it.
    pub(crate) fn fails_lastingly(self) -> bool {
        self.n_failures >= LASTING_FAILURES
    }
}

/// A staged file.
#[derive(Debug, Clone)]
pub(crate) struct Staged {
    pub(crate) rel: PortablePath,
    pub(crate) size: u64,
    /// The server rendered it.
    rendered: bool,
}

/// Whose bytes of one SHA-1 are kept.
#[derive(Debug)]
pub(crate) enum Claim<W> {
    /// An asset of this run that is not here yet, and who waits for it.
    Coming(Vec<W>),
    /// The asset of this run that came first could not be fetched; the others try in the
    /// next run.
    Failed,
    /// Here, under this logical path.
    Here(Here),
}

/// A photo that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Here {
    /// Its logical path.
    pub(crate) path: Arc<str>,
    /// It is of the collection that was compared with, or of another label's queue.
    pub(crate) canonical: bool,
}

/// Which contents are here, by sha256. Shared with the downloads, so that of two equal
/// files one is kept.
#[derive(Debug, Default)]
pub(crate) struct Contents(Mutex<HashMap<[u8; 32], Here>>);

impl Contents {
    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Here>> {
        self.0
            .lock()
            .expect("no code panics while it holds this lock")
    }

    /// Marks the content as kept here, unless it is kept elsewhere: then says where.
    pub(crate) fn claim(&self, sha256: [u8; 32], here: &Here) -> Option<Here> {
        match self.lock().entry(sha256) {
            std::collections::hash_map::Entry::Occupied(kept) if kept.get().path != here.path => {
                Some(kept.get().clone())
            }
            std::collections::hash_map::Entry::Occupied(_) => None,
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(here.clone());
                None
            }
        }
    }

    /// Takes back a claim whose file did not come to be.
    pub(crate) fn release(&self, sha256: &[u8; 32], path: &str) {
        let mut contents = self.lock();
        if contents.get(sha256).is_some_and(|kept| &*kept.path == path) {
            contents.remove(sha256);
        }
    }
}

/// Everything known.
#[derive(Debug)]
pub(crate) struct Index<W> {
    known: HashMap<AssetKey, Known>,
    staged: HashMap<AssetKey, Staged>,
    /// Logical paths of staged photos that a worker could not read.
    unread: HashSet<Box<str>>,
    photos: RootPaths,
    pub(crate) claims: HashMap<[u8; 20], Claim<W>>,
    pub(crate) contents: Arc<Contents>,
    pub(crate) names: NameBook,
    /// Items and aliases whose state row a kill prevented.
    pub(crate) unrecorded: Vec<StateRow>,
    /// Lines for people about what was not as it should be.
    pub(crate) notes: Vec<String>,
}

impl<W> Index<W> {
    /// Reads the queue of the label, the queues of the other labels beside it, and the
    /// caches.
    pub(crate) fn load(
        places: &Places,
        caches: &[std::path::PathBuf],
        unread_in: &[std::path::PathBuf],
    ) -> Result<Self, StagingError> {
        let mut index = Self {
            known: HashMap::new(),
            staged: HashMap::new(),
            unread: HashSet::new(),
            photos: places.root_paths.clone(),
            claims: HashMap::new(),
            contents: Arc::default(),
            names: NameBook::new(),
            unrecorded: Vec::new(),
            notes: Vec::new(),
        };
        index.read_states(&places.queue.state_path())?;
        index.read_own(places)?;
        index.read_others(places)?;
        for cache in caches {
            index.read_cache(cache)?;
        }
        for cache in unread_in {
            index.read_unread(cache)?;
        }
        Ok(index)
    }

    /// What is known of an asset.
    pub(crate) fn known(&self, id: &str) -> Option<Known> {
        self.known.get(&asset_key(id)).copied()
    }

    /// The staged file of an asset.
    pub(crate) fn staged(&self, id: &str) -> Option<&Staged> {
        self.staged.get(&asset_key(id))
    }

    /// True when the asset's original is staged and a worker could not read it.
    pub(crate) fn is_unread(&self, id: &str) -> bool {
        let staged = self.staged(id).filter(|staged| !staged.rendered);
        staged.is_some_and(|staged| {
            let path = self.photos.logical(&staged.rel);
            self.unread.contains(path.as_str())
        })
    }

    /// Remembers a decision.
    pub(crate) fn remember(&mut self, row: &StateRow) {
        let known = self.known.entry(asset_key(&row.asset_id)).or_insert(Known {
            status: row.status,
            sha1: row.checksum,
            n_failures: 0,
        });
        known.status = row.status;
        known.sha1 = row.checksum;
        known.n_failures = match row.status {
            StageStatus::DownloadError => known.n_failures.saturating_add(1),
            StageStatus::FacesError => known.n_failures,
            _ => 0,
        };
    }

    /// Remembers a staged file.
    pub(crate) fn remember_item(&mut self, item: &QueueItem) {
        let staged = Staged {
            rel: item.rel.clone(),
            size: item.size,
            rendered: item.rendered.is_some(),
        };
        self.staged.insert(asset_key(&item.asset_id), staged);
    }

    fn read_states(&mut self, path: &Path) -> Result<(), StagingError> {
        let report = read_rows(path, |_, row: StateRow| self.remember(&row))?;
        self.note_damage(path, &report);
        Ok(())
    }

    fn read_own(&mut self, places: &Places) -> Result<(), StagingError> {
        let path = places.queue.items_path();
        let report = read_rows(&path, |_, item: QueueItem| {
            let logical = places.root_paths.logical(&item.rel);
            let here = Here {
                path: logical.as_str().into(),
                canonical: false,
            };
            // Its own name again, whatever the book would give to another.
            let _ = self.names.claim(&item.rel, &item.asset_id);
            // Of a rendered picture the server's checksum is of the original.
            let original = self.known(&item.asset_id).and_then(|known| known.sha1);
            self.know_bytes(original, None, here.clone());
            self.know_bytes(item.sha1, Some(item.sha256), here);
            self.remember_item(&item);
            self.expect_state(&item.asset_id, StageStatus::Staged, |ts| StateRow {
                asset_id: item.asset_id.clone(),
                status: StageStatus::Staged,
                checksum: item.sha1.filter(|_| item.rendered.is_none()),
                n_faces: 0,
                max_short: None,
                root: Some(item.root.clone()),
                rel: Some(item.rel.clone()),
                reason: None,
                ts,
            });
        })?;
        self.note_damage(&path, &report);
        let path = places.queue.aliases_path();
        let photos = format!("{}/", places.root_paths.posix());
        let report = read_rows(&path, |_, alias: AliasRow| {
            let canonical = !alias.canonical.starts_with(&photos);
            let status = if canonical {
                StageStatus::DupCanonical
            } else {
                StageStatus::DupInternal
            };
            self.expect_state(&alias.asset_id, status, |ts| StateRow {
                asset_id: alias.asset_id.clone(),
                status,
                checksum: alias.sha1,
                n_faces: 0,
                max_short: None,
                root: None,
                rel: None,
                reason: None,
                ts,
            });
            let here = Here {
                path: alias.canonical.into(),
                canonical,
            };
            self.know_bytes(alias.sha1, alias.sha256, here);
        })?;
        self.note_damage(&path, &report);
        Ok(())
    }

    /// An item or alias is written before its state: a kill may have come between.
    fn expect_state(
        &mut self,
        asset_id: &str,
        status: StageStatus,
        row: impl FnOnce(String) -> StateRow,
    ) {
        let known = self.known(asset_id);
        if known.is_none_or(|known| known.status != status && !known.status.is_final()) {
            let row = row(String::new());
            self.remember(&row);
            self.unrecorded.push(row);
        }
    }

    fn read_others(&mut self, places: &Places) -> Result<(), StagingError> {
        let own = places.queue.folder();
        let Ok(entries) = std::fs::read_dir(&places.all_queues) else {
            return Ok(());
        };
        let mut folders: Vec<_> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|folder| folder != own && folder.is_dir())
            .collect();
        folders.sort();
        for folder in folders {
            let queue = faceset_queue::QueueDir::new(&folder);
            if !queue.head_path().is_file() {
                continue;
            }
            let head = queue.read_head()?;
            read_rows(&queue.items_path(), |_, item: QueueItem| {
                if let Some(root) = head.roots.get(&item.root) {
                    let here = Here {
                        path: root.logical(&item.rel).as_str().into(),
                        canonical: true,
                    };
                    self.know_bytes(item.sha1, Some(item.sha256), here);
                }
            })?;
        }
        Ok(())
    }

    fn read_cache(&mut self, path: &Path) -> Result<(), StagingError> {
        let (table, report) = FileTable::load(path)?;
        self.notes.extend(report.notes(path));
        for file in table.files() {
            let here = Here {
                path: file.path.as_str().into(),
                canonical: true,
            };
            // Our own queue may have gone into that cache already: its photos are ours.
            self.know_bytes(None, Some(*file.sha256), here);
        }
        Ok(())
    }

    fn read_unread(&mut self, path: &Path) -> Result<(), StagingError> {
        let (table, report) = FileTable::load(path)?;
        self.notes.extend(report.notes(path));
        let failed = table
            .under(self.photos.posix())
            .filter(|row| matches!(row.found, Found::Failed(_)));
        self.unread
            .extend(failed.map(|row| row.path.as_str().into()));
        Ok(())
    }

    fn know_bytes(&mut self, sha1: Option<Sha1Hash>, sha256: Option<ContentHash>, here: Here) {
        if let Some(sha256) = sha256 {
            self.contents.claim(sha256.0, &here);
        }
        if let Some(sha1) = sha1 {
            self.claims.entry(sha1.0).or_insert(Claim::Here(here));
        }
    }

    fn note_damage(&mut self, path: &Path, report: &faceset_queue::LineReport) {
        if report.torn_bytes > 0 {
            self.notes.push(format!(
                "{}: a run was killed while it wrote; {} bytes of an unfinished line dropped",
                path.display(),
                report.torn_bytes
            ));
        }
        for damaged in &report.damaged {
            self.notes.push(format!(
                "{}: line {} cannot be read ({}) and is left out",
                path.display(),
                damaged.line,
                damaged.reason
            ));
        }
    }
}
