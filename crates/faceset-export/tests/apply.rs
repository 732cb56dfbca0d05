//! The whole way from a plan to a tree on disk, on drawn photos.

mod support;

use faceset_core::{CancelToken, NoProgress};
use faceset_export::{ExportPlan, ExportReport, Outcome, apply};
use support::*;

fn run(plan: &ExportPlan, pixels: &Drawn, out: &std::path::Path) -> ExportReport {
    apply(
        plan,
        pixels,
        &Squares::default(),
        out,
        &NoProgress,
        &CancelToken::default(),
    )
    .unwrap()
}

#[test]
fn a_set_becomes_pngs_bundles_a_name_file_and_manifests() {
    let mut library = Library::new();
    let photos = library.solos("anna", ANNA, 4);
    let plan = plain_plan(
        &library,
        vec![library.set("faceset_001", &photos)],
        &options(|_| {}),
    );
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let report = run(&plan, &Drawn::of(&library), &out);
    assert_eq!(report.count(Outcome::Written), 1, "{report:?}");
    let files: Vec<String> = tree(&out).into_keys().collect();
    assert_eq!(
        files,
        [
            "faceset_001/NAME.txt",
            "faceset_001/faces/0001.png",
            "faceset_001/faces/0002.png",
            "faceset_001/faces/0003.png",
            "faceset_001/faces/0004.png",
            "faceset_001/faceset_001_all.fsz",
            "faceset_001/faceset_001_top30.fsz",
            "faceset_001/manifest.json",
            "manifest.json",
        ]
    );
}
