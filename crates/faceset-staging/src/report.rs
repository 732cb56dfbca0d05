//! What a staging run counted, for people and programs.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// Where an asset that was seen ended. Each ends in exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bucket {
    /// Fetched in this run.
    Staged,
    /// Fetched in an earlier run.
    StagedBefore,
    /// Its bytes are in the cache that was compared with, or in another label's queue.
    DupCanonical,
    /// Its bytes are in this queue under another asset.
    DupInternal,
    /// No face on it.
    NoFace,
    /// No face that is big enough.
    SmallFace,
    /// Left out by a pattern.
    Excluded,
    /// Its file is away on the server.
    Offline,
    /// Asking for its faces failed; the next run tries again.
    FacesError,
    /// Fetching it failed; the next run tries again.
    DownloadError,
    /// The server has not rendered it yet; the next run tries again.
    NotReady,
    /// It waits for the equal file of an asset that failed; the next run tries again.
    Waiting,
    /// The run ended before its turn; the next run goes on.
    NotReached,
    /// It would be fetched: only in plans.
    WouldFetch,
}

impl Bucket {
    /// Every bucket, in the order of reports.
    pub const ALL: [Self; 14] = [
        Self::Staged,
        Self::StagedBefore,
        Self::WouldFetch,
        Self::DupCanonical,
        Self::DupInternal,
        Self::NoFace,
        Self::SmallFace,
        Self::Excluded,
        Self::Offline,
        Self::FacesError,
        Self::DownloadError,
        Self::NotReady,
        Self::Waiting,
        Self::NotReached,
    ];

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::StagedBefore => "staged before",
            Self::DupCanonical => "the same as a known photo",
            Self::DupInternal => "the same as another of them",
            Self::NoFace => "without a face",
            Self::SmallFace => "with small faces only",
            Self::Excluded => "left out by pattern",
            Self::Offline => "offline on the server",
            Self::FacesError => "failed when asked for faces (tried again next time)",
            Self::DownloadError => "failed to download (tried again next time)",
            Self::NotReady => "not rendered by the server yet (tried again next time)",
            Self::Waiting => "waiting for an equal file that failed (tried again next time)",
            Self::NotReached => "not reached",
            Self::WouldFetch => "to fetch",
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The whole library was seen.
    Done,
    /// The server went away; the same command resumes.
    Outage(String),
    /// Somebody asked to stop; the same command resumes.
    Interrupted,
}

/// A failure with one photo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its id.
    pub asset_id: String,
    /// Its path on the server.
    pub path: String,
    /// What went wrong, one line.
    pub reason: String,
}

/// Failures named in a report; all are counted.
pub(crate) const MAX_NAMED_FAILURES: usize = 100;

/// What a run did. The buckets add up to `seen`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    /// The user's label.
    pub label: String,
    /// True for a plan: nothing was fetched or written.
    pub dry_run: bool,
    /// Assets that the server listed for this user, each once.
    pub seen: u64,
    /// By bucket; empty ones are left out.
    pub counts: BTreeMap<Bucket, u64>,
    /// Assets left out by each pattern.
    pub excluded_by: BTreeMap<String, u64>,
    /// Of the staged: pictures that the server rendered because the original is of a
    /// format that is not decoded here.
    pub rendered: u64,
    /// Of the staged: Immich's own thumbnails.
    pub thumbnails: u64,
    /// Of the staged: found in their place, whole, after a run that was killed.
    pub adopted: u64,
    /// Photos staged before whose file was gone or of another size: fetched again.
    pub refetched: u64,
    /// Bytes of the files staged in this run.
    pub bytes: u64,
    /// Bytes that came over the network as pictures, repetitions included.
    pub bytes_received: u64,
    /// Listings that failed and were repeated, besides the failures with single photos.
    pub listing_errors: u64,
    /// Requests that were repeated.
    pub retried: u64,
    /// Entries of partners, left out.
    pub foreign: u64,
    /// Entries of the listing that could not be read.
    pub unreadable: u64,
    /// Assets that the listing found only by catching up on changes.
    pub found_late: u64,
    /// The server could only be listed by page numbers; passes were repeated until one
    /// found nothing new.
    pub by_pages: bool,
    /// The library kept changing until catching up was given up: another run may find more.
    pub unsettled: bool,
    /// Requests at once at the end.
    pub workers: usize,
    /// How long it took.
    pub seconds: f64,
    /// The first failures.
    pub failures: Vec<Failure>,
    /// How it ended.
    pub ended: Ended,
    /// All photos in the queue after this run.
    pub queued: u64,
}

impl StageReport {
    pub(crate) fn new(label: &str, dry_run: bool) -> Self {
        Self {
            label: label.to_owned(),
            dry_run,
            seen: 0,
            counts: BTreeMap::new(),
            excluded_by: BTreeMap::new(),
            rendered: 0,
            thumbnails: 0,
            adopted: 0,
            refetched: 0,
            bytes: 0,
            bytes_received: 0,
            listing_errors: 0,
            retried: 0,
            foreign: 0,
            unreadable: 0,
            found_late: 0,
            by_pages: false,
            unsettled: false,
            workers: 0,
            seconds: 0.0,
            failures: Vec::new(),
            ended: Ended::Done,
            queued: 0,
        }
    }

    /// Assets in a bucket.
    pub fn count(&self, bucket: Bucket) -> u64 {
        self.counts.get(&bucket).copied().unwrap_or(0)
    }

    pub(crate) fn add(&mut self, bucket: Bucket) {
        *self.counts.entry(bucket).or_insert(0) += 1;
    }

    pub(crate) fn fail(&mut self, asset_id: &str, path: &str, reason: String) {
        if self.failures.len() < MAX_NAMED_FAILURES {
            self.failures.push(Failure {
                asset_id: asset_id.to_owned(),
                path: path.to_owned(),
                reason,
            });
        }
    }

    /// Photos skipped because of their faces.
    pub fn without_big_face(&self) -> u64 {
        self.count(Bucket::NoFace) + self.count(Bucket::SmallFace)
    }

    /// Failures with single photos: of faces and of downloads.
    pub fn transient_errors(&self) -> u64 {
        self.count(Bucket::FacesError) + self.count(Bucket::DownloadError)
    }

    /// Assets that the next run would try.
    pub fn open(&self) -> u64 {
        self.transient_errors()
            + self.count(Bucket::NotReady)
            + self.count(Bucket::Waiting)
            + self.count(Bucket::NotReached)
    }

    /// One line on where a run is.
    pub(crate) fn progress_line(&self, total: Option<u64>, seconds: f64) -> String {
        let settled: u64 = self.counts.values().sum();
        let rate = settled as f64 / seconds.max(1e-3);
        let mut line = match total {
            Some(total) => format!("{settled} of about {total} assets"),
            None => format!("{settled} assets"),
        };
        let _ = write!(
            line,
            ": {} staged ({}), {} duplicates, {} without a big face, {} left out, {} failed; {rate:.0}/s",
            self.count(Bucket::Staged),
            bytes_words(self.bytes),
            self.count(Bucket::DupCanonical) + self.count(Bucket::DupInternal),
            self.without_big_face(),
            self.count(Bucket::Excluded),
            self.transient_errors(),
        );
        if let Some(total) = total.filter(|total| rate > 0.0 && *total > settled) {
            let _ = write!(
                line,
                ", {} left",
                duration_words((total - settled) as f64 / rate)
            );
        }
        line
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut lines = vec![format!("{} assets seen in {}:", self.seen, self.label)];
        for bucket in Bucket::ALL {
            let n = self.count(bucket);
            if n == 0 {
                continue;
            }
            let mut line = format!("  {n:>8} {}", bucket.words());
            let is_weighed = bucket == Bucket::WouldFetch && self.bytes > 0;
            if bucket == Bucket::Staged || is_weighed {
                let _ = write!(line, " ({})", bytes_words(self.bytes));
            }
            lines.push(line);
        }
        for (pattern, n) in &self.excluded_by {
            lines.push(format!("left out by {pattern}: {n}"));
        }
        let mut also = |n: u64, words: &str| {
            if n > 0 {
                lines.push(format!("{n} {words}"));
            }
        };
        also(
            self.rendered,
            "of the staged are pictures that the server rendered (original not decodable here)",
        );
        also(
            self.thumbnails,
            "of the staged are Immich's own thumbnails (low resolution)",
        );
        also(
            self.adopted,
            "of the staged lay there already after a run that was killed",
        );
        also(
            self.refetched,
            "were staged before but their file was gone or changed; fetched again",
        );
        also(
            self.foreign,
            "photos of partners are visible to this key and left out",
        );
        also(self.unreadable, "entries of the listing could not be read");
        also(
            self.found_late,
            "found by catching up on changes made meanwhile",
        );
        also(self.listing_errors, "listings failed and were repeated");
        if self.by_pages {
            lines.push(
                "this server can only be listed by pages; passes were repeated until one found nothing new"
                    .to_owned(),
            );
        }
        if self.unsettled {
            lines.push(
                "the library changed all the time; run the same command again for what came last"
                    .to_owned(),
            );
        }
        for failure in &self.failures {
            lines.push(format!("failed: {} ({})", failure.reason, failure.path));
        }
        let hidden = self
            .transient_errors()
            .saturating_sub(self.failures.len() as u64);
        if hidden > 0 {
            lines.push(format!("... and {hidden} more failures"));
        }
        if !self.dry_run {
            lines.push(format!(
                "{} photos in the queue; {:.1} s, {} requests at once in the end",
                self.queued, self.seconds, self.workers
            ));
        }
        match &self.ended {
            Ended::Done => {}
            Ended::Outage(why) => lines.push(format!(
                "paused: {why}; nothing is lost, the same command goes on"
            )),
            Ended::Interrupted => {
                lines.push("stopped; nothing is lost, the same command goes on".to_owned());
            }
        }
        lines.join("\n")
    }
}

/// `3.4 GB`.
pub(crate) fn bytes_words(bytes: u64) -> String {
    let units = ["kB", "MB", "GB", "TB"];
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

fn duration_words(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_tells_the_rate_and_the_time_left() {
        let mut report = StageReport::new("anna", false);
        report.counts = [
            (Bucket::Staged, 30),
            (Bucket::NoFace, 60),
            (Bucket::SmallFace, 10),
        ]
        .into();
        report.bytes = 1_250_000;
        assert_eq!(
            report.progress_line(Some(700), 10.0),
            "100 of about 700 assets: 30 staged (1.2 MB), 0 duplicates, 70 without a big face, \
             0 left out, 0 failed; 10/s, 60 s left"
        );
        assert!(!report.progress_line(None, 10.0).contains("left,"));
    }

    #[test]
    fn every_bucket_is_in_the_order_of_reports() {
        let mut all = Bucket::ALL.to_vec();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), Bucket::ALL.len());
        assert_eq!(*all.last().unwrap(), Bucket::WouldFetch);
    }

    #[test]
    fn the_text_names_failures_and_how_it_ended() {
        let mut report = StageReport::new("anna", false);
        report.seen = 2;
        report.counts = [(Bucket::DownloadError, 1), (Bucket::NotReached, 1)].into();
        report.fail("id", "/a.jpg", "status 500".to_owned());
        report.ended = Ended::Outage("the server is away".to_owned());
        let text = report.text();
        assert!(text.contains("failed: status 500 (/a.jpg)"), "{text}");
        assert!(text.contains("the same command goes on"), "{text}");
        assert_eq!(report.open(), 2);
    }

    #[test]
    fn sizes_and_times_are_readable() {
        assert_eq!(bytes_words(999), "1.0 kB");
        assert_eq!(bytes_words(10_260_000_000), "10.3 GB");
        assert_eq!(duration_words(89.0), "89 s");
        assert_eq!(duration_words(600.0), "10 min");
        assert_eq!(duration_words(9000.0), "2.5 h");
    }
}
