//! The duplicates report of version 1 is read for ever.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use faceset_pipeline::dedup::{DUPLICATES_VERSION, Duplicates, summarize};

#[test]
fn the_frozen_report_is_read_and_counts_what_could_go() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/manifests/duplicates.v1.json");
    let value: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let read: Duplicates = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(read.version, DUPLICATES_VERSION);
    assert_eq!(serde_json::to_value(&read).unwrap(), value);
    let report = summarize(&read, Vec::new(), "x.json".into());
    assert_eq!((report.byte_copies, report.visual_copies), (1, 1));
}
