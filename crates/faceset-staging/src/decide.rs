//! What becomes of one asset: counted, recorded, or fetched.
//!
//! Which of several equal photos is fetched is decided here, in the listing's order and
//! before any download, by the server's SHA-1: the first claims the content, the others
//! wait for it and become its aliases. When the first cannot be fetched they wait for the
//! next run, so that the result is the same as without the failure; only when it has
//! failed in several runs does it step behind them.

use faceset_core::ContentHash;
use faceset_queue::{AliasRow, QueueItem, Sha1Hash, StageStatus, StateRow};
use immich_client::{Asset, Error, ErrorKind, Face, UserId};

use crate::StagingError;
use crate::fetch::{Fetched, Job};
use crate::index::{Claim, Here, Known};
use crate::judge::{BoxSource, Keep, Verdict, judge};
use crate::names::wished_name;
use crate::report::Bucket;
use crate::run::Run;
use crate::source::Source;

/// An asset whose bytes are on their way under another asset's name.
#[derive(Debug)]
pub(crate) struct Waiter {
    asset_id: String,
    owner: String,
    original_path: String,
    n_faces: u32,
    max_short_px: Option<f64>,
}

impl Waiter {
    fn of(asset: &Asset, verdict: Verdict) -> Self {
        Self {
            asset_id: asset.id.to_string(),
            owner: owner(asset),
            original_path: original_path(asset).to_owned(),
            n_faces: verdict.n_faces,
            max_short_px: verdict.max_short_px,
        }
    }
}

fn owner(asset: &Asset) -> String {
    asset
        .owner_id
        .as_ref()
        .map(UserId::to_string)
        .unwrap_or_default()
}

fn original_path(asset: &Asset) -> &str {
    let path = asset.original_path.as_deref().filter(|p| !p.is_empty());
    path.or(asset.original_file_name.as_deref())
        .unwrap_or_default()
}

impl Run<'_> {
    /// Settles an asset that needs no look at its faces: left out, away, or known.
    pub(crate) fn settle_at_sight(&mut self, asset: &Asset) -> Result<bool, StagingError> {
        let id = asset.id.as_str();
        let known = self.index.known(id);
        let pattern = self.options.excludes.matching(original_path(asset));
        if let Some(pattern) = pattern.map(str::to_owned) {
            *self.report.excluded_by.entry(pattern.clone()).or_insert(0) += 1;
            if known.is_none_or(|known| known.status != StageStatus::Excluded) {
                let row = StateRow {
                    reason: Some(pattern),
                    ..self.row(id, StageStatus::Excluded, asset.expected_sha1())
                };
                self.record(&row)?;
            }
            self.settle(Bucket::Excluded);
            return Ok(true);
        }
        if asset.is_offline {
            self.settle(Bucket::Offline);
            return Ok(true);
        }
        let Some(known) = known.filter(|known| is_unchanged(*known, asset)) else {
            return Ok(false);
        };
        let faces_are_free = asset.unassigned_faces.is_some();
        let bucket = match known.status {
            StageStatus::Staged if self.index.is_unread(id) => return Ok(false),
            StageStatus::Staged if self.is_in_place(id) => Bucket::StagedBefore,
            StageStatus::Staged => {
                self.report.refetched += 1;
                return Ok(false);
            }
            StageStatus::DupCanonical => Bucket::DupCanonical,
            StageStatus::DupInternal => Bucket::DupInternal,
            // The server may have looked for faces since, and the limit may be another.
            StageStatus::NoFace if !faces_are_free && !self.options.recheck_faces => Bucket::NoFace,
            StageStatus::SmallFace if !faces_are_free && !self.options.recheck_faces => {
                Bucket::SmallFace
            }
            _ => return Ok(false),
        };
        self.settle(bucket);
        Ok(true)
    }

    fn is_in_place(&self, id: &str) -> bool {
        let Some(staged) = self.index.staged(id) else {
            return false;
        };
        let path = self.options.places.photos.join(staged.rel.as_str());
        std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == staged.size)
    }

    /// Decides on an asset whose faces are known.
    pub(crate) fn decide(
        &mut self,
        asset: Box<Asset>,
        faces: &[Face],
        source: BoxSource,
    ) -> Result<(), StagingError> {
        let verdict = judge(&asset, faces, source, self.options.min_face_short_px);
        let (status, bucket) = match verdict.keep {
            Keep::Yes => return self.survives(asset, verdict),
            Keep::NoFace => (StageStatus::NoFace, Bucket::NoFace),
            Keep::TooSmall => (StageStatus::SmallFace, Bucket::SmallFace),
        };
        let known = self.index.known(asset.id.as_str());
        if known.is_none_or(|known| known.status != status) {
            let row = StateRow {
                n_faces: verdict.n_faces,
                max_short: verdict.max_short_px,
                ..self.row(asset.id.as_str(), status, asset.expected_sha1())
            };
            self.record(&row)?;
        }
        self.settle(bucket);
        Ok(())
    }

    fn survives(&mut self, asset: Box<Asset>, verdict: Verdict) -> Result<(), StagingError> {
        let Some(sha1) = asset.expected_sha1() else {
            self.queue_download(&asset, verdict);
            return Ok(());
        };
        let own = self.index.staged(asset.id.as_str()).map(|staged| {
            let logical = self.options.places.root_paths.logical(&staged.rel);
            logical.as_str().to_owned()
        });
        match self.index.claims.get_mut(&sha1) {
            // Staged before and lost since: its own claim is no duplicate.
            Some(Claim::Here(here)) if own.as_deref() == Some(&*here.path) => {}
            Some(Claim::Here(here)) => {
                let here = here.clone();
                return self.alias(Waiter::of(&asset, verdict), &here, Some(sha1), None);
            }
            Some(Claim::Coming(waiting)) => {
                waiting.push(Waiter::of(&asset, verdict));
                return Ok(());
            }
            Some(Claim::Failed) => {
                self.settle(Bucket::Waiting);
                return Ok(());
            }
            None => {
                let known = self.index.known(asset.id.as_str());
                if known.is_some_and(Known::fails_lastingly) {
                    self.last.push_back((asset, verdict));
                    return Ok(());
                }
            }
        }
        self.index.claims.insert(sha1, Claim::Coming(Vec::new()));
        self.queue_download(&asset, verdict);
        Ok(())
    }

    /// The turn of a photo that failed in several runs: after all others, unless its
    /// bytes have come under another asset's name.
    pub(crate) fn try_at_last(
        &mut self,
        asset: &Asset,
        verdict: Verdict,
    ) -> Result<(), StagingError> {
        let sha1 = asset.expected_sha1();
        let here = match sha1.and_then(|sha1| self.index.claims.get(&sha1)) {
            Some(Claim::Here(here)) => here.clone(),
            _ => {
                if let Some(sha1) = sha1 {
                    self.index.claims.insert(sha1, Claim::Coming(Vec::new()));
                }
                self.queue_download(asset, verdict);
                return Ok(());
            }
        };
        self.alias(Waiter::of(asset, verdict), &here, sha1, None)
    }

    fn queue_download(&mut self, asset: &Asset, verdict: Verdict) {
        if self.recorder.is_none() {
            self.plan_download(asset);
            return;
        }
        let source = if self.index.is_unread(asset.id.as_str()) {
            Source::RenderedOnly
        } else {
            Source::choose(asset, self.options.render_heic)
        };
        let render = (source == Source::Render).then_some("jpg");
        let wish = wished_name(asset, &self.options.library_roots, render);
        let staged = self.index.staged(asset.id.as_str());
        let rel = match staged {
            Some(staged) => staged.rel.clone(),
            None => self.index.names.claim(&wish, asset.id.as_str()),
        };
        let places = &self.options.places;
        let logical = places.root_paths.logical(&rel);
        let taken = asset.local_date_time.or(asset.file_created_at);
        self.downloads.push_back(Box::new(Job {
            owner: owner(asset),
            original_path: original_path(asset).to_owned(),
            sha1: asset.expected_sha1(),
            source,
            thumbnail: self.options.excludes.is_thumbnail(original_path(asset)),
            dest: places.photos.join(rel.as_str()),
            here: Here {
                path: logical.as_str().into(),
                canonical: false,
            },
            rel,
            n_faces: verdict.n_faces,
            max_short_px: verdict.max_short_px,
            taken_at: taken.map(|at| at.strftime("%Y-%m-%dT%H:%M:%S").to_string()),
            size_px: asset.upright_size().unwrap_or((0, 0)),
            asset: asset.id.clone(),
        }));
    }

    /// In a plan the file counts as here at once.
    fn plan_download(&mut self, asset: &Asset) {
        let exif = asset.exif_info.as_ref();
        self.report.bytes += exif.and_then(|e| e.file_size_in_byte).unwrap_or(0);
        if let Some(sha1) = asset.expected_sha1() {
            let here = Here {
                path: original_path(asset).into(),
                canonical: false,
            };
            self.index.claims.insert(sha1, Claim::Here(here));
        }
        self.settle(Bucket::WouldFetch);
    }

    /// A download is done: an item, or an alias when its bytes were here under another
    /// name that no checksum told before.
    pub(crate) fn accept(&mut self, job: &Job, fetched: &Fetched) -> Result<(), StagingError> {
        let sha256 = Some(fetched.sha256);
        let here = match &fetched.same {
            Some(same) => {
                let waiter = Waiter {
                    asset_id: job.asset.to_string(),
                    owner: job.owner.clone(),
                    original_path: job.original_path.clone(),
                    n_faces: job.n_faces,
                    max_short_px: job.max_short_px,
                };
                let sha1 = job.sha1.or(Some(fetched.sha1.0));
                self.alias(waiter, same, sha1, sha256)?;
                same.clone()
            }
            None => {
                self.accept_file(job, fetched)?;
                job.here.clone()
            }
        };
        // What others call this content: the server's checksum, and that of the bytes.
        let mut waiting = Vec::new();
        for sha1 in [job.sha1, Some(fetched.sha1.0)].into_iter().flatten() {
            match self.index.claims.insert(sha1, Claim::Here(here.clone())) {
                Some(Claim::Coming(waiters)) if job.sha1 == Some(sha1) => {
                    waiting.extend(waiters.into_iter().map(|w| (w, sha1)));
                }
                // Another asset's download of the same bytes is under way: it will find
                // them here itself.
                Some(coming @ Claim::Coming(_)) => {
                    self.index.claims.insert(sha1, coming);
                }
                _ => {}
            }
        }
        for (waiter, sha1) in waiting {
            self.alias(waiter, &here, Some(sha1), sha256)?;
        }
        Ok(())
    }

    fn accept_file(&mut self, job: &Job, fetched: &Fetched) -> Result<(), StagingError> {
        let places = &self.options.places;
        let item = QueueItem {
            root: places.root_id.clone(),
            rel: job.rel.clone(),
            sha256: fetched.sha256,
            sha1: Some(fetched.sha1),
            size: fetched.size,
            asset_id: job.asset.to_string(),
            owner_id: job.owner.clone(),
            original_path: job.original_path.clone(),
            taken_at: job.taken_at.clone(),
            width: job.size_px.0,
            height: job.size_px.1,
            rendered: fetched.rendered,
        };
        if let Some(recorder) = &mut self.recorder {
            recorder.item(&item)?;
        }
        self.index.remember_item(&item);
        let row = StateRow {
            n_faces: job.n_faces,
            max_short: job.max_short_px,
            root: Some(item.root),
            rel: Some(item.rel),
            ..self.row(job.asset.as_str(), StageStatus::Staged, job.sha1)
        };
        self.record(&row)?;
        let report = &mut self.report;
        report.bytes += fetched.size;
        report.adopted += u64::from(fetched.adopted);
        if job.thumbnail {
            report.thumbnails += 1;
        } else {
            report.rendered += u64::from(fetched.rendered.is_some());
        }
        self.settle(Bucket::Staged);
        Ok(())
    }

    /// Records an asset whose bytes are here under another name.
    fn alias(
        &mut self,
        waiter: Waiter,
        here: &Here,
        sha1: Option<[u8; 20]>,
        sha256: Option<ContentHash>,
    ) -> Result<(), StagingError> {
        let (status, bucket) = if here.canonical {
            (StageStatus::DupCanonical, Bucket::DupCanonical)
        } else {
            (StageStatus::DupInternal, Bucket::DupInternal)
        };
        let alias = AliasRow {
            asset_id: waiter.asset_id.clone(),
            owner_id: waiter.owner,
            path: waiter.original_path,
            canonical: here.path.to_string(),
            sha256,
            sha1: sha1.map(Sha1Hash),
        };
        if let Some(recorder) = &mut self.recorder {
            recorder.alias(&alias)?;
        }
        let row = StateRow {
            n_faces: waiter.n_faces,
            max_short: waiter.max_short_px,
            ..self.row(&waiter.asset_id, status, sha1)
        };
        self.record(&row)?;
        self.settle(bucket);
        Ok(())
    }

    /// A photo could not be fetched. Its duplicates wait for the next run with it.
    pub(crate) fn download_failed(&mut self, job: &Job, error: &Error) -> Result<(), StagingError> {
        let bucket = match error {
            Error::NotReady { .. } => Bucket::NotReady,
            _ => Bucket::DownloadError,
        };
        let id = job.asset.as_str();
        if let Some(sha1) = job.sha1
            && let Some(Claim::Coming(waiting)) = self.index.claims.insert(sha1, Claim::Failed)
        {
            for _ in waiting {
                self.settle(Bucket::Waiting);
            }
        }
        self.note_failure(id, &job.original_path, error, job.sha1, bucket)
    }

    /// The faces of a photo could not be had. It keeps its place before its duplicates.
    pub(crate) fn faces_failed(
        &mut self,
        asset: &Asset,
        error: &Error,
    ) -> Result<(), StagingError> {
        let id = asset.id.as_str();
        let sha1 = asset.expected_sha1();
        let wish = wished_name(asset, &self.options.library_roots, None);
        let _ = self.index.names.claim(&wish, id);
        if let Some(sha1) = sha1 {
            self.index.claims.entry(sha1).or_insert(Claim::Failed);
        }
        self.note_failure(id, original_path(asset), error, sha1, Bucket::FacesError)
    }

    fn note_failure(
        &mut self,
        id: &str,
        path: &str,
        error: &Error,
        sha1: Option<[u8; 20]>,
        bucket: Bucket,
    ) -> Result<(), StagingError> {
        // An outage says nothing of this photo, and a picture that is not ready is no
        // failure: neither counts against it in later runs.
        let is_its_own = error.kind() != ErrorKind::Outage && bucket != Bucket::NotReady;
        if is_its_own {
            let status = match bucket {
                Bucket::FacesError => StageStatus::FacesError,
                _ => StageStatus::DownloadError,
            };
            let row = StateRow {
                reason: Some(format!("failed to {error}")),
                ..self.row(id, status, sha1)
            };
            self.record(&row)?;
        }
        if bucket != Bucket::NotReady {
            self.report.fail(id, path, format!("failed to {error}"));
        }
        self.settle(bucket);
        Ok(())
    }

    fn row(&self, asset_id: &str, status: StageStatus, sha1: Option<[u8; 20]>) -> StateRow {
        StateRow {
            asset_id: asset_id.to_owned(),
            status,
            checksum: sha1.map(Sha1Hash),
            n_faces: 0,
            max_short: None,
            root: None,
            rel: None,
            reason: None,
            ts: (self.ctx.now)().to_string(),
        }
    }

    fn record(&mut self, row: &StateRow) -> Result<(), StagingError> {
        self.index.remember(row);
        match &mut self.recorder {
            Some(recorder) => recorder.state(row),
            None => Ok(()),
        }
    }

    /// States of items and aliases that a kill kept from being written.
    pub(crate) fn record_leftovers(&mut self) -> Result<(), StagingError> {
        for row in std::mem::take(&mut self.index.unrecorded) {
            let ts = (self.ctx.now)().to_string();
            if let Some(recorder) = &mut self.recorder {
                recorder.state(&StateRow { ts, ..row })?;
            }
        }
        Ok(())
    }
}

/// Whether the server still has the bytes that were decided on. A checksum that was not
/// known then or is not known now tells nothing.
fn is_unchanged(known: Known, asset: &Asset) -> bool {
    match (known.sha1, asset.expected_sha1()) {
        (Some(then), Some(now)) => then.0 == now,
        _ => true,
    }
}
