//! Eras and capture dates of version 1 are read for ever.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use faceset_pipeline::era::{ERAS_VERSION, EraFile, YEARS_VERSION, YearFile};

fn fixture(name: &str) -> serde_json::Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/manifests");
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

#[test]
fn frozen_eras_are_read_and_written_the_same() {
    let value = fixture("eras.v1.json");
    let read: EraFile = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(read.version, ERAS_VERSION);
    assert!(read.people[0].eras[0].faces[0].anchor);
    assert_eq!(serde_json::to_value(&read).unwrap(), value);
}

#[test]
fn frozen_capture_dates_are_read_and_written_the_same() {
    let value = fixture("years.v1.json");
    let read: YearFile = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(read.version, YEARS_VERSION);
    assert_eq!(serde_json::to_value(&read).unwrap(), value);
}

#[test]
fn newer_eras_are_refused_by_number() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("eras.json"),
        r#"{"version": 2, "people": []}"#,
    )
    .unwrap();
    let error = EraFile::load(dir.path()).unwrap_err().to_string();
    assert!(
        error.contains("version 2") && error.contains("up to 1"),
        "{error}"
    );
}
