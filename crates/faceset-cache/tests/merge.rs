//! Shards of one pack become one cache; forgotten and imported ones too.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{content, enrichment, face, meta, photo, written};
use faceset_cache::{Cache, CacheError, CacheWriter, load, merge, save_new, unread_hash};
use faceset_core::{ContentHash, FileEntry, FileStatus, SourcePath, hash_bytes};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn cache_of(entries: &[FileEntry], aliases: &[(&SourcePath, &str, i64)]) -> Cache {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = CacheWriter::open(&dir.path().join("c.npz"), &meta(), "test").unwrap();
    for entry in entries {
        writer.put(entry.clone()).unwrap();
    }
    for (canonical, alias, mtime_ns) in aliases {
        writer
            .add_alias(canonical, (*alias).into(), *mtime_ns)
            .unwrap();
    }
    writer.cache().clone()
}

fn merged(caches: &[Cache]) -> (Cache, faceset_cache::MergeReport) {
    let named = caches
        .iter()
        .enumerate()
        .map(|(i, cache)| (PathBuf::from(format!("shard{i}.npz")), cache.clone()))
        .collect();
    merge(named).unwrap()
}

fn at(path: &str, content: &str, mtime_ns: i64) -> FileEntry {
    let path: SourcePath = path.into();
    FileEntry {
        sha256: hash_bytes(content.as_bytes()),
        mtime_ns,
        status: FileStatus::Faces(vec![face(&path, 7, common::DIM)]),
        path,
        ..photo(0)
    }
}

fn places(cache: &Cache, canonical: &str) -> Vec<String> {
    cache
        .places(&canonical.into())
        .iter()
        .map(|p| p.0.clone())
        .collect()
}

#[test]
fn shards_make_the_cache_of_one_run_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole.npz");
    written(&whole, 20);
    let shards: Vec<Cache> = (0..3)
        .map(|shard| {
            let mine: Vec<_> = (0..20).filter(|i| i % 3 == shard).map(photo).collect();
            cache_of(&mine, &[])
        })
        .collect();
    let (cache, report) = merged(&shards);
    assert_eq!(
        (report.n_files, report.n_shared, report.n_dropped),
        (20, 0, 0)
    );
    let path = dir.path().join("merged.npz");
    save_new(&path, &cache, "test").unwrap();
    assert_eq!(
        std::fs::read(&path).unwrap(),
        std::fs::read(&whole).unwrap()
    );
    assert!(matches!(
        save_new(&path, &cache, "test"),
        Err(CacheError::Exists { .. })
    ));
}

#[test]
fn one_content_in_two_caches_is_one_with_all_its_places() {
    let a = at("/b.jpg", "same", 1);
    let c = at("/c.jpg", "same", 2);
    let shards = [
        cache_of(std::slice::from_ref(&a), &[(&a.path, "/z.jpg", 3)]),
        cache_of(std::slice::from_ref(&c), &[(&c.path, "/a.jpg", 4)]),
    ];
    let (cache, report) = merged(&shards);
    assert_eq!((report.n_files, report.n_faces, report.n_shared), (1, 1, 1));
    // "/a.jpg" was nowhere canonical, so it does not become it.
    assert_eq!(
        places(&cache, "/b.jpg"),
        ["/a.jpg", "/b.jpg", "/c.jpg", "/z.jpg"]
    );
    let times: Vec<_> = ["/a.jpg", "/b.jpg", "/c.jpg", "/z.jpg"]
        .map(|p| cache.mtime_ns(&p.into()).unwrap())
        .to_vec();
    assert_eq!(times, [4, 1, 2, 3]);
}

#[test]
fn the_enriched_and_the_readable_record_wins() {
    let plain = at("/a.jpg", "same", 1);
    let mut enriched = plain.clone();
    let FileStatus::Faces(faces) = &mut enriched.status else {
        unreachable!("made with a face")
    };
    faces[0].enrichment = Some(enrichment(1, true));
    let mut failed = plain.clone();
    failed.status = FileStatus::Failed("out of memory".into());
    let (cache, _) = merged(&[
        cache_of(&[failed], &[]),
        cache_of(&[enriched], &[]),
        cache_of(&[plain], &[]),
    ]);
    assert!(cache.faces().next().unwrap().face.enrichment.is_some());
}

#[test]
fn an_edited_photo_counts_as_it_was_last() {
    let old = at("/a.jpg", "old", 10);
    let new = at("/a.jpg", "new", 11);
    let shards = [
        cache_of(&[new], &[]),
        cache_of(
            std::slice::from_ref(&old),
            &[(&old.path, "/copy-of-old.jpg", 5)],
        ),
    ];
    let (cache, report) = merged(&shards);
    assert_eq!(report.superseded, ["/a.jpg".into()]);
    assert_eq!((report.n_files, report.n_dropped), (2, 0));
    assert_eq!(
        cache.file(&"/a.jpg".into()).unwrap().sha256,
        hash_bytes(b"new")
    );
    let old = cache.file(&"/copy-of-old.jpg".into()).unwrap();
    assert_eq!((old.sha256, old.mtime_ns), (hash_bytes(b"old"), 5));
    assert_eq!(old.faces()[0].path, old.path);
}

#[test]
fn a_file_read_by_one_shard_is_not_failed_because_of_another() {
    let mut failed = at("/a.jpg", "", 99);
    failed.sha256 = unread_hash(&failed.path);
    failed.status = FileStatus::Failed("permission denied".into());
    let (cache, report) = merged(&[
        cache_of(&[failed], &[]),
        cache_of(&[at("/a.jpg", "content", 1)], &[]),
    ]);
    assert_eq!((cache.n_files(), cache.n_faces()), (1, 1));
    assert!(report.superseded.is_empty());
    assert_eq!(report.n_dropped, 0);
}

#[test]
fn other_packs_do_not_merge_and_nothing_does_not_either() {
    let mut theirs = meta();
    theirs.pack.name = "antelopev2".into();
    theirs.pack.digest = "ff".into();
    let named = vec![
        (PathBuf::from("ours.npz"), cache_of(&[], &[])),
        (PathBuf::from("theirs.npz"), Cache::new(theirs)),
    ];
    let text = merge(named).unwrap_err().to_string();
    assert!(
        text.contains("theirs.npz") && text.contains("antelopev2"),
        "{text}"
    );
    assert!(merge(Vec::new()).is_err());
}

/// Up to a few photos of few contents at few paths and times, in up to three
/// caches: collisions of every kind.
fn shards() -> impl Strategy<Value = Vec<Vec<(u8, u8, i64)>>> {
    let photo = (0..5u8, 0..5u8, 1..4i64);
    prop::collection::vec(prop::collection::vec(photo, 0..6), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn merging_loses_and_doubles_nothing_in_any_order(shards in shards(), turn in 0..3usize) {
        let mut caches: Vec<Cache> = shards
            .iter()
            .map(|photos| {
                let entries: Vec<_> = photos
                    .iter()
                    .map(|(path, text, time)| at(&format!("/{path}.jpg"), &format!("c{text}"), *time))
                    .collect();
                cache_of(&entries, &[])
            })
            .collect();
        let (one, _) = merged(&caches);

        // The slow oracle: each path holds the content of its latest claim.
        let mut latest: BTreeMap<String, (i64, ContentHash)> = BTreeMap::new();
        for cache in &caches {
            for file in cache.files() {
                for place in cache.places(&file.path) {
                    let claim = (cache.mtime_ns(place).unwrap(), file.sha256);
                    let best = latest.entry(place.0.clone()).or_insert(claim);
                    *best = (*best).max(claim);
                }
            }
        }
        for (path, (time, sha256)) in &latest {
            let place = SourcePath(path.clone());
            prop_assert_eq!(one.resolve(&place).unwrap().sha256, *sha256);
            prop_assert_eq!(one.mtime_ns(&place), Some(*time));
        }
        let contents: BTreeSet<_> = latest.values().map(|(_, sha256)| *sha256).collect();
        prop_assert_eq!(one.n_files(), contents.len());
        prop_assert_eq!(one.n_files() + one.aliases().count(), latest.len());

        let n = caches.len();
        caches.rotate_left(turn % n);
        caches.reverse();
        prop_assert_eq!(content(&merged(&caches).0), content(&one));
    }
}

#[test]
fn a_merged_cache_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let path: &Path = &dir.path().join("m.npz");
    let a = at("/b.jpg", "same", 1);
    let (cache, _) = merged(&[cache_of(
        std::slice::from_ref(&a),
        &[(&a.path, "/z.jpg", 3)],
    )]);
    save_new(path, &cache, "test").unwrap();
    assert_eq!(content(&load(path).unwrap().0), content(&cache));
}
