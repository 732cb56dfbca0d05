//! `search`, `merge-caches` and the rules of `cluster`, as a user runs them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{failure, report, some_samples, text, tree};

#[test]
fn shards_are_merged_searched_and_grouped_by_every_rule() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    // Every third photo, split into two folders by parity.
    let photos = at("photos");
    let n = some_samples(&photos, 3);
    let mut names: Vec<_> = std::fs::read_dir(&photos)
        .unwrap()
        .flatten()
        .map(|e| e.path())
        .collect();
    names.sort();
    for half in ["even", "odd"] {
        std::fs::create_dir_all(photos.join(half)).unwrap();
    }
    for (number, path) in names.iter().enumerate() {
        let half = ["even", "odd"][number % 2];
        std::fs::rename(path, photos.join(half).join(path.file_name().unwrap())).unwrap();
    }
    for half in ["even", "odd"] {
        let cache = at(&format!("{half}.npz"));
        report(&["embed", text(&photos.join(half)), text(&cache)]);
    }
    let whole = report(&["embed", text(&photos), text(&at("whole.npz"))]);

    let (even, odd, merged) = (at("even.npz"), at("odd.npz"), at("merged.npz"));
    let arguments = ["merge-caches", text(&merged), text(&even), text(&odd)];
    let before = tree(dir.path());
    let planned = report(&[&arguments[..], &["--dry-run"]].concat());
    assert_eq!(tree(dir.path()), before, "a dry run writes nothing");
    let done = report(&arguments);
    assert_eq!(done["written"], true);
    assert_eq!(planned["faces"], done["faces"]);
    assert_eq!(done["faces"], whole["faces_in_cache"]);
    assert_eq!(done["files"], whole["photos_in_cache"]);
    assert!(n > 4 && done["faces"].as_u64().unwrap() > 4);
    let refused = failure(&arguments, 1);
    assert!(refused.contains("exists already"), "{refused}");

    // The whole chain gives the registry that search names people by.
    let out = at("result");
    report(&["sort", text(&faceset_testkit::sample_library()), text(&out)]);
    let swap = out.join("facesets_swap_ready");
    let cache = out.join("work").join("cache").join("faces.npz");
    let manifest: serde_json::Value = serde_json::from_slice(
        &std::fs::read(out.join("facesets_full/refine_manifest.json")).unwrap(),
    )
    .unwrap();
    let face = &manifest["facesets"][0]["faces"][0];
    let photo = face["path"].as_str().unwrap();
    let known = report(&["search", text(&cache), photo, "--in", text(&swap)]);
    assert_eq!(known["in_cache"], true);
    let people: Vec<&serde_json::Value> = known["faces"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|f| f["people"].as_array().unwrap())
        .collect();
    assert!(
        people
            .iter()
            .any(|p| p["set"] == manifest["facesets"][0]["name"]),
        "{known}"
    );

    // A picture that the cache does not hold: the same one, in other bytes.
    let mut bytes = std::fs::read(photo).unwrap();
    bytes.extend_from_slice(b"appended");
    let stranger = at("stranger.jpg");
    std::fs::write(&stranger, bytes).unwrap();
    let new = report(&["search", text(&cache), text(&stranger), "-k", "1"]);
    assert_eq!(new["in_cache"], false);
    let nearest = &new["faces"][0]["nearest"];
    assert_eq!(nearest.as_array().unwrap().len(), 1);
    assert!(nearest[0]["distance"].as_f64().unwrap() < 1e-3, "{new}");

    for (rule, flags) in [
        ("linkage", vec!["--threshold", "0.5"]),
        ("dbscan", vec!["--preset", "immich"]),
        ("immich", vec!["--eps", "0.5", "--min-points", "2"]),
    ] {
        let folder = at(rule);
        let head = [
            "cluster",
            text(&cache),
            text(&folder),
            "--link",
            "none",
            "--algorithm",
            rule,
        ];
        let grouped = report(&[&head[..], &flags].concat());
        let sum = ["grouped_faces", "singletons"].map(|k| grouped[k].as_u64().unwrap());
        assert_eq!(grouped["faces"].as_u64(), Some(sum[0] + sum[1]), "{rule}");
        assert!(
            grouped["persons"].as_u64().unwrap() >= 3,
            "{rule}: {grouped}"
        );
        let wrong = if rule == "linkage" {
            ["--eps", "0.5"]
        } else {
            ["--threshold", "0.5"]
        };
        failure(&[&head[..], &wrong].concat(), 1);
    }
}
