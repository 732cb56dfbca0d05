//! The capture year of every photo, from the file as it is now.
//!
//! Owns the file beside a cache that remembers what was read, so that another
//! run with other limits reads no photo again, and an edited photo is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use faceset_cache::Cache;
use faceset_core::manifest::check_version_upto;
use faceset_core::{ContentHash, FileEntry, SourcePath, capture_year};
use faceset_fs::{read_json, to_json_bytes, write_atomic};
use faceset_media::{DateFlaw, capture_time, mtime_ns};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::photo::{self, place_of};
use crate::{Ctx, PipelineError};

/// Version of the file of capture dates.
pub const YEARS_VERSION: u32 = 1;
/// Photos read between two looks at the cancel token.
const BATCH: usize = 64;
/// Photos read between two savings of the file.
const SAVE_EVERY: usize = 2048;

/// The file of capture dates: `<cache>.years.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct YearFile {
    /// Format version.
    pub version: u32,
    /// One entry a path, in order of path.
    pub files: Vec<YearEntry>,
}

/// What one file said when it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct YearEntry {
    /// Where it lay.
    pub path: SourcePath,
    /// Its size in bytes then.
    pub size: u64,
    /// Its modification time then, nanoseconds since 1970 UTC.
    pub mtime_ns: i64,
    /// Its content then.
    pub sha256: ContentHash,
    /// Capture time, `YYYY-MM-DDTHH:MM:SS`; absent without a date of 1990 or
    /// later. Dates in the future are kept here and refused when they are used,
    /// so that the file does not depend on the day it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<String>,
    /// Why there is no date although the file has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flaw: Option<YearFlaw>,
}

/// Why a date is not believed, whatever the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum YearFlaw {
    /// Before 1990.
    TooEarly,
    /// No date of the calendar.
    Garbled,
}

/// Photos by what their date came to; each is in exactly one of the first six.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct YearReport {
    /// With a believable date.
    pub dated: usize,
    /// Without any date.
    pub no_date: usize,
    /// Dated before 1990.
    pub too_early: usize,
    /// Dated after this year.
    pub future: usize,
    /// With something in the date's place that is no date.
    pub garbled: usize,
    /// At none of their places, and without a date in the cache.
    pub unreadable: usize,
    /// Of all: taken from the record in the cache, since no place is readable.
    pub from_record: usize,
    /// Of all: with other bytes than when they were embedded.
    pub changed: usize,
    /// Of all: files read by this run.
    pub read: usize,
}

impl YearReport {
    /// For people.
    pub fn in_words(&self) -> String {
        let total = self.dated
            + self.no_date
            + self.too_early
            + self.future
            + self.garbled
            + self.unreadable;
        let flaws = [
            (self.no_date, "without one".to_owned()),
            (
                self.too_early,
                format!("dated before {}", faceset_media::MIN_CAPTURE_YEAR),
            ),
            (self.future, "dated in the future".to_owned()),
            (self.garbled, "garbled".to_owned()),
            (self.unreadable, "not readable".to_owned()),
        ];
        let flaws: Vec<String> = flaws
            .iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, what)| format!("{n} {what}"))
            .collect();
        let text = match flaws.as_slice() {
            [] => format!("all {total} photos have a believable date"),
            flaws => format!(
                "{} of {total} photos have a believable date; {}",
                self.dated,
                flaws.join(", ")
            ),
        };
        if self.changed == 0 {
            return text;
        }
        format!(
            "{text}; {} changed since embedding: their new dates count (embed again to see their faces as they are now)",
            self.changed
        )
    }
}

/// Capture years by canonical path.
#[derive(Debug, Clone, Default)]
pub struct Years {
    /// The year, `None` where there is no believable one.
    pub by_photo: BTreeMap<SourcePath, Option<i32>>,
    /// Counts.
    pub report: YearReport,
}

impl Years {
    /// The year of a photo; `None` for one that was not asked for.
    pub fn of(&self, photo: &SourcePath) -> Option<i32> {
        self.by_photo.get(photo).copied().flatten()
    }
}

/// Where the dates of a cache's photos are remembered.
pub fn years_path(cache: &Path) -> PathBuf {
    let mut name = cache.as_os_str().to_owned();
    name.push(".years.json");
    PathBuf::from(name)
}

/// The capture years of these photos of a cache.
///
/// A photo is looked at where it lies: at the first of its places that can be
/// found. What `file` remembers of that place counts as long as size and
/// modification time are the same; else the record of the cache counts, when it
/// holds a date and size and time are those of the record; else the file is
/// read. `file` is replaced when `save` is set and something new was read.
pub fn years<'a>(
    cache: &Cache,
    photos: impl IntoIterator<Item = &'a FileEntry>,
    file: &Path,
    save: bool,
    ctx: Ctx<'_>,
) -> Result<Years, PipelineError> {
    let mut known = load(file)?;
    let photos: Vec<&FileEntry> = photos.into_iter().collect();
    ctx.progress
        .start("capture dates", Some(photos.len() as u64));
    let mut years = Years::default();
    let mut n_unsaved = 0;
    for batch in photos.chunks(BATCH) {
        ctx.check()?;
        let found: Vec<Found> = batch
            .par_iter()
            .map(|entry| look_up(cache, entry, &known))
            .collect();
        for (entry, found) in batch.iter().zip(found) {
            let year = years.report.count(&found, entry, ctx.current_year);
            years.by_photo.insert(entry.path.clone(), year);
            if let Found::Read(entry) = found {
                n_unsaved += 1;
                known.insert(entry.path.clone(), entry);
            }
        }
        ctx.progress.advance(batch.len() as u64);
        if save && n_unsaved >= SAVE_EVERY {
            store(file, &known)?;
            n_unsaved = 0;
        }
    }
    if save && n_unsaved > 0 {
        store(file, &known)?;
    }
    ctx.progress.finish();
    Ok(years)
}

/// Where a photo's date comes from.
enum Found {
    /// Remembered.
    Known(YearEntry),
    /// From the record in the cache: the file is as it was.
    Record,
    /// Read just now.
    Read(YearEntry),
    /// No place could be read.
    Nowhere,
}

fn look_up(cache: &Cache, entry: &FileEntry, known: &BTreeMap<SourcePath, YearEntry>) -> Found {
    // The canonical path first: most photos lie there.
    let others = cache.places(&entry.path).into_iter();
    let places = std::iter::once(&entry.path).chain(others.filter(|p| **p != entry.path));
    for place in places {
        let Ok(about) = std::fs::metadata(place_of(place)) else {
            continue;
        };
        if !about.is_file() {
            continue;
        }
        let (size, mtime) = (about.len(), mtime_ns(&about));
        if let Some(held) = known.get(place)
            && (held.size, held.mtime_ns) == (size, mtime)
            && mtime != 0
        {
            return Found::Known(held.clone());
        }
        let as_recorded = size == entry.size && cache.mtime_ns(place) == Some(mtime) && mtime != 0;
        if as_recorded && !entry.taken.is_empty() {
            return Found::Record;
        }
        // Size and time were asked for first: a file that changes while it is
        // read looks changed to the next run.
        let Ok(file) = photo::read(place) else {
            continue;
        };
        let time = capture_time(&file.bytes, None);
        return Found::Read(YearEntry {
            path: place.clone(),
            size,
            mtime_ns: mtime,
            sha256: file.sha256,
            taken: time.taken,
            flaw: time.flaw.map(|flaw| match flaw {
                DateFlaw::TooEarly => YearFlaw::TooEarly,
                // Nothing is in the future of no year.
                DateFlaw::Garbled | DateFlaw::Future => YearFlaw::Garbled,
            }),
        });
    }
    Found::Nowhere
}

impl YearReport {
    fn count(&mut self, found: &Found, entry: &FileEntry, current_year: i32) -> Option<i32> {
        let (taken, flaw, sha256) = match found {
            Found::Known(e) | Found::Read(e) => (e.taken.as_deref(), e.flaw, Some(e.sha256)),
            Found::Record | Found::Nowhere => (
                Some(entry.taken.as_str()).filter(|t| !t.is_empty()),
                None,
                None,
            ),
        };
        self.read += usize::from(matches!(found, Found::Read(_)));
        self.changed += usize::from(sha256.is_some_and(|h| h != entry.sha256));
        let nowhere = matches!(found, Found::Nowhere);
        self.from_record += usize::from(nowhere && taken.is_some());
        let year = taken.and_then(capture_year);
        match (year, flaw) {
            (Some(year), _) if year > current_year => self.future += 1,
            (Some(year), _) if year < faceset_media::MIN_CAPTURE_YEAR => self.too_early += 1,
            (Some(year), _) => {
                self.dated += 1;
                return Some(year);
            }
            (None, Some(YearFlaw::TooEarly)) => self.too_early += 1,
            (None, Some(YearFlaw::Garbled)) => self.garbled += 1,
            (None, None) if nowhere => self.unreadable += 1,
            // A record whose date is no date is one of another tool.
            (None, None) if taken.is_some() => self.garbled += 1,
            (None, None) => self.no_date += 1,
        }
        None
    }
}

fn load(file: &Path) -> Result<BTreeMap<SourcePath, YearEntry>, PipelineError> {
    if !file.is_file() {
        return Ok(BTreeMap::new());
    }
    let value: Value = read_json(file)?;
    check_version_upto(&value, YEARS_VERSION).map_err(|found| PipelineError::TooNew {
        path: file.to_path_buf(),
        found,
        supported: YEARS_VERSION,
    })?;
    let read: YearFile = serde_json::from_value(value).map_err(|source| {
        PipelineError::Fs(faceset_fs::FsError::Json {
            path: file.to_path_buf(),
            source,
        })
    })?;
    Ok(read
        .files
        .into_iter()
        .map(|entry| (entry.path.clone(), entry))
        .collect())
}

fn store(file: &Path, known: &BTreeMap<SourcePath, YearEntry>) -> Result<(), PipelineError> {
    let all = YearFile {
        version: YEARS_VERSION,
        files: known.values().cloned().collect(),
    };
    Ok(write_atomic(file, &to_json_bytes(&all))?)
}
