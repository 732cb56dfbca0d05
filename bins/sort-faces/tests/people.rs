//! What people said of a person is respected, and forgetting leaves nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;

use common::{failure, report, some_samples, text, tree};
use serde_json::Value;

#[test]
fn consent_is_respected_and_forgetting_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let photos = dir.path().join("photos");
    some_samples(&photos, 3);
    let out = dir.path().join("out");
    let sort = ["sort", text(&photos), text(&out), "--min-faces", "4"];
    let first = report(&sort);
    let n_faces = first["embed"]["faces_in_cache"].as_u64().unwrap();
    let swap = out.join("facesets_swap_ready");
    let people = |arguments: &[&str]| {
        let whole = [&["people"], arguments, &["--in", text(&swap)]].concat();
        report(&whole)["lines"].as_array().unwrap().clone()
    };
    assert!(people(&["list"]).len() >= 2);

    people(&["name", "1", "Zora Quill"]);
    let said = people(&["consent", "Zora Quill", "denied"]);
    let entry = said
        .iter()
        .filter_map(Value::as_str)
        .find_map(|line| line.split_once("(entry ")?.1.strip_suffix(')'))
        .expect("a change says its entry")
        .to_owned();
    assert!(
        people(&["list"])[0]
            .as_str()
            .unwrap()
            .contains("Zora Quill")
    );
    let again = report(&sort);
    let refused = again["export"]["sets"]
        .as_array()
        .unwrap()
        .iter()
        .find(|s| s["name"] == "faceset_001")
        .unwrap();
    assert_eq!(refused["outcome"], "refused", "{refused}");
    assert!(!swap.join("faceset_001").exists());

    // Undone, the set comes back under its number and name.
    people(&["undo", &entry]);
    let third = report(&sort);
    let set = third["export"]["sets"]
        .as_array()
        .unwrap()
        .iter()
        .find(|s| s["name"] == "faceset_001")
        .unwrap();
    assert_eq!(set["outcome"], "written", "{set}");
    assert!(failure(&["people", "name", "77", "x", "--in", text(&swap)], 1).contains("77"));

    // The photos that only this person is on must be named nowhere afterwards.
    let manifest: Value =
        serde_json::from_slice(&fs::read(swap.join("faceset_001/manifest.json")).unwrap()).unwrap();
    let n_png = manifest["faces"].as_array().unwrap().len() as u64;
    let dry = [
        "forget",
        "Zora Quill",
        "--in",
        text(&swap),
        "--root",
        text(&out),
    ];
    report(&dry);
    assert!(swap.join("faceset_001").exists(), "a plan erases nothing");
    report(&[&dry[..], &["--yes"]].concat());
    assert!(!swap.join("faceset_001").exists());
    let shown = people(&["list", "--all"]);
    assert!(
        shown
            .iter()
            .filter_map(Value::as_str)
            .any(|line| line.contains("forgotten")),
        "{shown:?}"
    );
    for (name, bytes) in tree(&out) {
        assert!(
            !String::from_utf8_lossy(&bytes).contains("Zora Quill"),
            "{name}"
        );
    }
    let cache = out.join("work/cache/faces.npz");
    let dry_enrich = report(&["dedup", text(&cache), "--dry-run"]);
    assert!(dry_enrich["failed"].as_array().unwrap().is_empty());
    let after = report(&["embed", text(&photos), text(&cache)]);
    let left = after["faces_in_cache"].as_u64().unwrap();
    assert!(
        left + n_png <= n_faces,
        "{left} of {n_faces} faces left after {n_png} and more were forgotten"
    );
}
