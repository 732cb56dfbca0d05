//! The frozen samples load for ever, and today's build still writes them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;
#[path = "common/npz.rs"]
mod npz;
#[path = "common/sample.rs"]
mod sample;

use common::content;
use faceset_cache::{CacheError, SCHEMA, journal_path, load};
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/cache")
        .join(name)
}

#[test]
fn the_sample_of_schema_1_loads_with_its_journal() {
    let dir = tempfile::tempdir().unwrap();
    let expected = sample::write(&dir.path().join("v1.npz"));
    let (cache, report) = load(&fixture("v1.npz")).unwrap();
    assert_eq!(content(&cache), content(&expected));
    assert_eq!(report.schema, Some(1));
    assert_eq!(report.journal.unwrap().records, 5);
    assert_eq!((cache.n_files(), cache.aliases().count()), (11, 2));
    assert_eq!(report.notes(&fixture("v1.npz")), [""; 0]);
}

#[test]
fn todays_build_writes_the_sample_of_its_schema() {
    let dir = tempfile::tempdir().unwrap();
    let name = format!("v{SCHEMA}.npz");
    let path = dir.path().join(&name);
    sample::write(&path);
    // Arrays and not archive bytes: a compressor may learn new tricks.
    assert_eq!(npz::members(&path), npz::members(&fixture(&name)));
    assert_eq!(
        std::fs::read(journal_path(&path)).unwrap(),
        std::fs::read(journal_path(&fixture(&name))).unwrap()
    );
}

#[test]
fn the_sample_of_a_later_schema_is_refused() {
    let error = load(&fixture("newer.npz")).unwrap_err();
    assert!(
        matches!(error, CacheError::TooNew { found: 99, .. }),
        "{error}"
    );
}
