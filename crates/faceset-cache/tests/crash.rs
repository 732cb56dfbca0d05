//! A crash leaves a prefix: the journal cut at any byte, in any history.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{content, content_at, enrichment, meta, photo, written};
use faceset_cache::{Cache, CacheWriter, journal_path, load};
use faceset_core::{FileEntry, SourcePath, hash_bytes};
use proptest::prelude::*;
use std::path::Path;

/// One call of a writer.
#[derive(Debug, Clone)]
enum Call {
    Put(u64),
    /// The photo edited: the same path with another content.
    Edit(u64),
    Alias(u64, u64),
    Remove(u64),
    Touch(u64, i64),
    Enrich(u64),
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        4 => (0..9u64).prop_map(Call::Put),
        1 => (0..9u64).prop_map(Call::Edit),
        2 => ((0..9u64), (0..12u64)).prop_map(|(a, b)| Call::Alias(a, b)),
        1 => (0..12u64).prop_map(Call::Remove),
        1 => ((0..12u64), (1..9i64)).prop_map(|(a, t)| Call::Touch(a, t)),
        1 => (0..9u64).prop_map(Call::Enrich),
    ]
}

/// Does the call; calls that the writer refuses (an unknown photo) change
/// nothing.
fn perform(writer: &mut CacheWriter, call: &Call) {
    let path = |i: u64| -> SourcePath { photo(i).path };
    let _ = match call {
        Call::Put(i) => writer.put(photo(*i)),
        Call::Edit(i) => writer.put(FileEntry {
            sha256: hash_bytes(b"edited"),
            ..photo(*i)
        }),
        Call::Alias(a, b) => writer.add_alias(&path(*a), path(*b), 5),
        Call::Remove(i) => writer.remove(&path(*i)),
        Call::Touch(i, t) => writer.touch(&path(*i), *t),
        Call::Enrich(i) => writer.enrich(&path(*i), 0, enrichment(*i, i % 2 == 0)),
    };
}

/// Runs the calls with a flush after each. Returns the journal's length and the
/// cache's content after each flush, the start included.
fn history(path: &Path, calls: &[Call]) -> Vec<(u64, String)> {
    let mut writer = CacheWriter::open(path, &meta(), "test").unwrap();
    let mut states = vec![(0, content(writer.cache()))];
    for call in calls {
        perform(&mut writer, call);
        writer.flush().unwrap();
        let len = std::fs::metadata(journal_path(path)).unwrap().len();
        states.push((len, content(writer.cache())));
    }
    states
}

fn assert_prefix(path: &Path, journal: &[u8], len: usize, states: &[(u64, String)]) {
    std::fs::write(journal_path(path), &journal[..len]).unwrap();
    let expected = &states
        .iter()
        .rev()
        .find(|(end, _)| *end <= len as u64)
        .unwrap()
        .1;
    let (cache, report) = load(path).unwrap();
    assert_eq!(&content(&cache), expected, "cut at {len}");
    let is_whole = ends_of_frames(journal).contains(&len);
    assert_eq!(report.notes(path).is_empty(), is_whole, "cut at {len}");
}

/// Where a cut leaves nothing unfinished; see docs/formats/cache.md.
fn ends_of_frames(journal: &[u8]) -> Vec<usize> {
    let mut ends = vec![0];
    let mut at = 12;
    while at < journal.len() {
        let len: [u8; 4] = journal[at..at + 4].try_into().unwrap();
        at += 8 + u32::from_le_bytes(len) as usize;
        ends.push(at);
    }
    ends
}

#[test]
fn a_journal_cut_at_every_byte_is_a_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.npz");
    written(&path, 3);
    let calls: Vec<Call> = (2..8).map(Call::Put).chain([Call::Alias(2, 11)]).collect();
    let states = history(&path, &calls);
    let journal = std::fs::read(journal_path(&path)).unwrap();
    for len in 0..=journal.len() {
        assert_prefix(&path, &journal, len, &states);
    }
}

#[test]
fn work_redone_after_a_cut_gives_the_bytes_of_an_undisturbed_run() {
    let dir = tempfile::tempdir().unwrap();
    let calm = dir.path().join("calm.npz");
    written(&calm, 12);
    let calm = std::fs::read(&calm).unwrap();
    let path = dir.path().join("c.npz");
    let calls: Vec<Call> = (0..12).map(Call::Put).collect();
    history(&path, &calls);
    let journal = std::fs::read(journal_path(&path)).unwrap();
    for len in (0..journal.len()).step_by(37) {
        std::fs::write(journal_path(&path), &journal[..len]).unwrap();
        let mut writer = CacheWriter::open(&path, &meta(), "test").unwrap();
        for call in &calls {
            let Call::Put(i) = call else {
                unreachable!("puts alone")
            };
            if writer.cache().file(&photo(*i).path).is_none() {
                perform(&mut writer, call);
            }
        }
        writer.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), calm, "cut at {len}");
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn the_unfinished_file_of_a_killed_compaction_is_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.npz");
    written(&path, 3);
    let leftover = faceset_fs::AtomicFile::leftover(&path);
    std::fs::write(&leftover, b"half an npz").unwrap();
    drop(CacheWriter::open(&path, &meta(), "test").unwrap());
    assert!(!leftover.exists());
    assert_eq!(load(&path).unwrap().0.n_files(), 3);
}

/// The rules of places, told as slowly as possible: no path in two places, no
/// content twice, every alias of something.
fn assert_consistent(cache: &Cache) {
    let mut places = std::collections::BTreeSet::new();
    let mut hashes = std::collections::BTreeSet::new();
    for file in cache.files() {
        assert!(hashes.insert(file.sha256), "{} twice", file.path);
        assert_eq!(cache.by_hash(&file.sha256).unwrap().path, file.path);
        assert!(file.faces().iter().all(|face| face.path == file.path));
        for place in cache.places(&file.path) {
            assert!(places.insert(place.clone()), "{place} twice");
            assert_eq!(cache.resolve(place).unwrap().path, file.path);
        }
    }
    assert_eq!(places.len(), cache.n_files() + cache.aliases().count());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_history_cut_anywhere_is_a_prefix(
        before in 0..4u64,
        calls in prop::collection::vec(call(), 1..14),
        cuts in prop::collection::vec(0.0..=1.0f64, 8),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.npz");
        if before > 0 {
            written(&path, before);
        }
        let states = history(&path, &calls);
        let journal = std::fs::read(journal_path(&path)).unwrap();
        for cut in cuts {
            let len = (cut * journal.len() as f64) as usize;
            if before > 0 || states.iter().skip(1).any(|(end, _)| *end > 0 && *end <= len as u64) {
                assert_prefix(&path, &journal, len, &states);
            }
        }
        std::fs::write(journal_path(&path), &journal).unwrap();
        if before > 0 || !journal.is_empty() {
            let writer = CacheWriter::open(&path, &meta(), "test").unwrap();
            assert_consistent(writer.cache());
            let last = content(writer.cache());
            prop_assert_eq!(&last, &states.last().unwrap().1);
            writer.finish().unwrap();
            prop_assert_eq!(content_at(&path), last);
        }
    }

    #[test]
    fn compacted_bytes_do_not_depend_on_the_order_of_arrival(
        order in Just((0..12u64).collect::<Vec<_>>()).prop_shuffle(),
        flushes in prop::collection::vec(any::<bool>(), 12),
        compactions in prop::collection::vec(prop::bool::weighted(0.2), 12),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let sorted = dir.path().join("sorted.npz");
        written(&sorted, 12);
        let path = dir.path().join("c.npz");
        let mut writer = CacheWriter::open(&path, &meta(), "test").unwrap();
        for ((i, flush), compact) in order.into_iter().zip(flushes).zip(compactions) {
            writer.put(photo(i)).unwrap();
            if flush {
                writer.flush().unwrap();
            }
            if compact {
                writer.compact().unwrap();
            }
        }
        writer.finish().unwrap();
        prop_assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&sorted).unwrap());
    }
}
