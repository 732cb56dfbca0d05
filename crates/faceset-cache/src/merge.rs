//! Several caches of one pack made one: nothing lost, nothing doubled.
//!
//! The result does not depend on the order of the inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use faceset_core::{ContentHash, FileEntry, FileStatus, SourcePath};

use crate::change::{moved_to, unread_hash};
use crate::{Cache, CacheError};

/// What merging had to decide.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MergeReport {
    /// Contents in the result.
    pub n_files: usize,
    /// Faces in the result.
    pub n_faces: usize,
    /// Contents that were in more than one input.
    pub n_shared: usize,
    /// Paths for which the inputs name different contents: the photo was
    /// edited between the runs; the later modification time has won.
    pub superseded: Vec<SourcePath>,
    /// Readable contents of which every path is superseded: their records are
    /// gone.
    pub n_dropped: usize,
}

/// Who says what about a path; the greatest claim wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    /// Somebody could read it.
    was_read: bool,
    mtime_ns: i64,
    sha256: ContentHash,
}

/// Merges caches; each comes with the path that errors should name.
///
/// Contents are told apart by sha256. One content keeps all its places; its
/// canonical path is the first in path order among those that were canonical in
/// an input. Of two records of one content the one that was read wins over the
/// failed one, then the one with more enriched faces.
pub fn merge(caches: Vec<(PathBuf, Cache)>) -> Result<(Cache, MergeReport), CacheError> {
    let mut report = MergeReport::default();
    let mut meta = None;
    for (path, cache) in &caches {
        meta = Some(match meta {
            None => cache.meta.clone(),
            Some(meta) => {
                cache.meta.check_accepts(&meta, path)?;
                meta.union(&cache.meta)
            }
        });
    }
    let Some(meta) = meta else {
        return Err(CacheError::Missing {
            path: PathBuf::from("to merge"),
        });
    };

    let mut claims: BTreeMap<SourcePath, Claim> = BTreeMap::new();
    let mut canonical: BTreeMap<ContentHash, BTreeSet<SourcePath>> = BTreeMap::new();
    let mut superseded = BTreeSet::new();
    for (_, cache) in &caches {
        for file in cache.files() {
            canonical
                .entry(file.sha256)
                .or_default()
                .insert(file.path.clone());
            for place in cache.places(&file.path) {
                let claim = Claim {
                    was_read: file.sha256 != unread_hash(&file.path),
                    mtime_ns: cache
                        .aliases
                        .get(place)
                        .map_or(file.mtime_ns, |a| a.mtime_ns),
                    sha256: file.sha256,
                };
                let best = claims.entry(place.clone()).or_insert(claim);
                if best.sha256 != claim.sha256 && best.was_read && claim.was_read {
                    superseded.insert(place.clone());
                }
                *best = (*best).max(claim);
            }
        }
    }

    let mut records: BTreeMap<ContentHash, FileEntry> = BTreeMap::new();
    for (_, cache) in caches {
        for (_, file) in cache.files {
            match records.remove(&file.sha256) {
                None => {
                    records.insert(file.sha256, file);
                }
                Some(other) => {
                    report.n_shared += 1;
                    records.insert(file.sha256, better(other, file));
                }
            }
        }
    }

    let mut places: BTreeMap<ContentHash, Vec<(SourcePath, i64)>> = BTreeMap::new();
    for (path, claim) in claims {
        places
            .entry(claim.sha256)
            .or_default()
            .push((path, claim.mtime_ns));
    }
    let mut merged = Cache::new(meta);
    for (sha256, record) in records {
        let Some(places) = places.remove(&sha256) else {
            report.n_dropped += usize::from(matches!(record.status, FileStatus::Faces(_)));
            continue;
        };
        let was_canonical = &canonical[&sha256];
        let (home, mtime_ns) = places
            .iter()
            .find(|(path, _)| was_canonical.contains(path))
            .unwrap_or(&places[0])
            .clone();
        merged.insert(FileEntry {
            mtime_ns,
            ..moved_to(record, home.clone())
        });
        for (path, mtime_ns) in places {
            if path != home {
                merged.add_alias(&home, path, mtime_ns);
            }
        }
    }
    report.n_files = merged.n_files();
    report.n_faces = merged.n_faces();
    report.superseded = superseded.into_iter().collect();
    Ok((merged, report))
}

/// The record to keep of two of one content, whichever comes first.
fn better(a: FileEntry, b: FileEntry) -> FileEntry {
    let rank = |file: &FileEntry| {
        let n_enriched = file
            .faces()
            .iter()
            .filter(|f| f.enrichment.is_some())
            .count();
        let was_decoded = matches!(file.status, FileStatus::Faces(_));
        // The last tie-break only has to be the same from both sides.
        let bytes = rmp_serde::to_vec(file).expect("our own types serialise");
        (was_decoded, n_enriched, bytes)
    };
    if rank(&a) >= rank(&b) { a } else { b }
}
