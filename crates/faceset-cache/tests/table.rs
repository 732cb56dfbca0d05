//! The file table says of every photo what the whole cache says, whatever the
//! journal holds, and looks at no array of faces.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::path::Path;

use common::{DIM, enrichment, face, meta, photo, written};
use faceset_cache::{CacheError, CacheWriter, FileTable, Found, load};
use faceset_core::{FileEntry, FileStatus, hash_bytes};
use proptest::prelude::*;

/// One line a content: path, hash, faces or reason.
fn by_table(path: &Path) -> Vec<String> {
    let (table, _) = FileTable::load(path).unwrap();
    table
        .files()
        .map(|row| match row.found {
            Found::Faces(n) => format!("{} {} {n}", row.path, row.sha256),
            Found::Failed(why) => format!("{} {} {why}", row.path, row.sha256),
        })
        .collect()
}

/// The same, from the whole cache.
fn by_cache(path: &Path) -> Vec<String> {
    let (cache, _) = load(path).unwrap();
    cache
        .files()
        .map(|file| match &file.status {
            FileStatus::Faces(faces) => {
                format!("{} {} {}", file.path, file.sha256, faces.len())
            }
            FileStatus::Failed(why) => format!("{} {} {why}", file.path, file.sha256),
        })
        .collect()
}

#[test]
fn the_table_has_every_photo_with_its_hash_and_number_of_faces() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.npz");
    written(&path, 23);
    let rows = by_table(&path);
    assert_eq!(rows.len(), 23);
    assert_eq!(rows, by_cache(&path));
    // By hand: photo 2 has three faces, 4 none, 10 failed.
    let (table, report) = FileTable::load(&path).unwrap();
    let found = |i: u64| {
        let wanted = photo(i).path;
        let row = table.files().find(|row| *row.path == wanted).unwrap();
        assert_eq!(*row.sha256, hash_bytes(wanted.as_str().as_bytes()));
        row.found
    };
    assert_eq!(found(2), Found::Faces(3));
    assert_eq!(found(4), Found::Faces(0));
    assert_eq!(found(10), Found::Failed("decode: bad marker 10"));
    assert_eq!((report.n_files, table.meta()), (23, &meta()));
}

#[test]
fn a_folder_holds_photos_that_lie_there_under_another_name_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.npz");
    let mut writer = CacheWriter::open(&path, &meta(), "test").unwrap();
    writer.put(photo(0)).unwrap();
    writer.put(photo(1)).unwrap();
    let copy = "/elsewhere/copy.jpg".into();
    writer.add_alias(&photo(1).path, copy, 7).unwrap();
    writer.finish().unwrap();
    let (table, _) = FileTable::load(&path).unwrap();
    let under: Vec<_> = table.under("/elsewhere").map(|row| row.path).collect();
    assert_eq!(under, [&photo(1).path]);
}

#[test]
fn damaged_arrays_of_faces_do_not_matter_and_a_missing_cache_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.npz");
    written(&path, 5);
    let whole = std::fs::read(&path).unwrap();
    // Embeddings are stored as they are: the first number of the first one.
    let first = &load(&path).unwrap().0.embeddings()[[0, 0]].to_le_bytes();
    let at = whole.windows(4).position(|four| four == first).unwrap();
    let mut damaged = whole.clone();
    damaged[at] ^= 0x55;
    std::fs::write(&path, damaged).unwrap();
    assert!(load(&path).is_err(), "the whole cache is refused");
    assert_eq!(by_table(&path).len(), 5);
    let missing = FileTable::load(&dir.path().join("no.npz")).unwrap_err();
    assert!(matches!(missing, CacheError::Missing { .. }));
}

/// A step of a run, on one of a few photos so that they meet.
#[derive(Debug, Clone)]
enum Step {
    Put {
        photo: u64,
        content: u64,
        n_faces: Option<u64>,
    },
    Alias {
        of: u64,
        path: u64,
    },
    Remove(u64),
    Enrich(u64),
    Flush,
    Compact,
}

fn step() -> impl Strategy<Value = Step> {
    let few = 0..5_u64;
    prop_oneof![
        4 => (few.clone(), few.clone(), proptest::option::of(0..3_u64))
            .prop_map(|(photo, content, n_faces)| Step::Put { photo, content, n_faces }),
        2 => (few.clone(), few.clone()).prop_map(|(of, path)| Step::Alias { of, path }),
        1 => few.clone().prop_map(Step::Remove),
        1 => few.prop_map(Step::Enrich),
        1 => Just(Step::Flush),
        1 => Just(Step::Compact),
    ]
}

fn entry(i: u64, content: u64, n_faces: Option<u64>) -> FileEntry {
    let mut entry = photo(i);
    entry.sha256 = hash_bytes(&content.to_le_bytes());
    entry.status = match n_faces {
        None => FileStatus::Failed("damaged".into()),
        Some(n) => FileStatus::Faces((0..n).map(|k| face(&entry.path, i * 9 + k, DIM)).collect()),
    };
    entry
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_table_agrees_with_the_cache_after_any_history(
        steps in proptest::collection::vec(step(), 1..24),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.npz");
        let mut writer = CacheWriter::open(&path, &meta(), "test").unwrap();
        writer.put(photo(9)).unwrap();
        for step in steps {
            match step {
                Step::Put { photo: i, content, n_faces } => {
                    writer.put(entry(i, content, n_faces)).unwrap();
                }
                Step::Alias { of, path } => {
                    // Refused where nothing is there to be an alias of.
                    let _ = writer.add_alias(&photo(of).path, photo(path).path, 5);
                }
                Step::Remove(i) => {
                    let _ = writer.remove(&photo(i).path);
                }
                Step::Enrich(i) => {
                    let _ = writer.enrich(&photo(i).path, 0, enrichment(i, true));
                }
                Step::Flush => {
                    writer.flush().unwrap();
                }
                Step::Compact => {
                    writer.compact().unwrap();
                }
            }
        }
        writer.flush().unwrap();
        // With a journal, then without.
        prop_assert_eq!(by_table(&path), by_cache(&path));
        writer.finish().unwrap();
        prop_assert_eq!(by_table(&path), by_cache(&path));
    }
}
