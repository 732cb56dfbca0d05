//! `merge-caches`: nothing lost, nothing doubled, nothing written by a plan.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod planar;

use faceset_cache::CacheError;
use faceset_pipeline::PipelineError;
use faceset_pipeline::merge_caches::{apply, plan};
use planar::{at, cache_of, photo, with_ctx};

#[test]
fn shards_that_overlap_become_the_cache_of_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [at(&dir, "one.npz"), at(&dir, "two.npz")];
    let all = || {
        ["/p/a.jpg", "/p/b.jpg", "/p/c.jpg"]
            .into_iter()
            .enumerate()
            .map(|(n, path)| photo(path, &[10.0 * n as f64, 100.0][..n.min(2)]))
            .collect::<Vec<_>>()
    };
    // Photo b is in both.
    cache_of(&paths[0], "drawn", all().drain(..2).collect());
    cache_of(&paths[1], "drawn", all().drain(1..).collect());
    let whole = cache_of(&at(&dir, "whole.npz"), "drawn", all());

    for inputs in [
        vec![paths[0].clone(), paths[1].clone()],
        // Another order, and one of them named twice in different words.
        vec![
            paths[1].clone(),
            paths[0].clone(),
            dir.path().join(".").join("one.npz"),
        ],
    ] {
        let out = at(&dir, "sub/merged.npz");
        let planned = with_ctx(|ctx| plan(&inputs, &out, ctx)).unwrap();
        assert!(!out.exists() && !planned.report().written);
        let report = with_ctx(|ctx| apply(planned, ctx)).unwrap();
        assert_eq!((report.files, report.faces), (3, 3));
        assert_eq!((report.shared, report.dropped), (1, 0));
        assert_eq!(report.inputs.len(), 2);
        assert_eq!(report.repeated.len(), inputs.len() - 2);
        let (merged, _) = faceset_cache::load(&out).unwrap();
        assert!(merged.files().eq(whole.files()));
        // A second merge does not replace the first.
        let again = with_ctx(|ctx| plan(&inputs, &out, ctx)).unwrap_err();
        assert!(matches!(
            again,
            PipelineError::Cache(CacheError::Exists { .. })
        ));
        std::fs::remove_dir_all(out.parent().unwrap()).unwrap();
    }
}

#[test]
fn a_photo_that_was_edited_between_the_runs_is_taken_in_its_later_state() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [at(&dir, "old.npz"), at(&dir, "new.npz")];
    cache_of(&paths[0], "drawn", vec![photo("/p/a.jpg", &[0.0, 50.0])]);
    let mut edited = photo("/p/a.jpg", &[7.0]);
    edited.sha256 = faceset_core::hash_bytes(b"other bytes");
    edited.mtime_ns = 2;
    cache_of(&paths[1], "drawn", vec![edited]);
    let out = at(&dir, "out.npz");
    let planned = with_ctx(|ctx| plan(&paths, &out, ctx)).unwrap();
    let report = planned.report();
    assert_eq!((report.files, report.faces, report.dropped), (1, 1, 1));
    assert_eq!(report.superseded, ["/p/a.jpg"]);
}

#[test]
fn caches_of_other_packs_and_missing_ones_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (at(&dir, "ours.npz"), at(&dir, "theirs.npz"));
    cache_of(&ours, "drawn", vec![photo("/p/a.jpg", &[0.0])]);
    cache_of(&theirs, "painted", vec![photo("/p/b.jpg", &[0.0])]);
    let out = at(&dir, "out.npz");
    let refused = |inputs: &[std::path::PathBuf]| {
        with_ctx(|ctx| plan(inputs, &out, ctx))
            .unwrap_err()
            .to_string()
    };
    let text = refused(&[ours.clone(), theirs]);
    for part in ["theirs.npz", "drawn", "painted"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(refused(&[ours, at(&dir, "none.npz")]).contains("none.npz"));
    assert!(!out.exists());
}
