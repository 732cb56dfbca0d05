//! What was decided in face-fix comes into the registry, is told first, and is taken back
//! by one undo.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;

use common::{failure, report, text};
use serde_json::{Value, json};

/// The frozen file: photo 1 is Berta's and not Anna's, 2 is Anna's and not Berta's, 3 is
/// neither's, 4 is no face.
fn decisions() -> Value {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/face-fix/v1.decisions.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn decisions_are_told_taken_in_and_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let swap = dir.path().join("swap");
    fs::create_dir(&swap).unwrap();
    let said = decisions();
    let face = |photo: u32| {
        let path = format!("/photos/{photo}.jpg");
        let faces = said["faces"].as_array().unwrap();
        let row = faces
            .iter()
            .find(|row| row["face"]["path"] == path.as_str());
        row.unwrap()["face"].clone()
    };
    // Anna has the faces of photos 1 and 4, and bears the name; Berta is called otherwise.
    let registry = json!({"version": 1, "highest_number": 2, "journal_entry": 0, "identities": [
        {"number": 1, "name": "anna", "state": "active", "consent": "unknown",
            "faces": [face(1), face(4)]},
        {"number": 2, "name": "Bertha", "state": "active", "consent": "unknown"},
    ]});
    fs::write(swap.join("registry.json"), registry.to_string()).unwrap();
    let file = dir.path().join("said.json");
    fs::write(&file, said.to_string()).unwrap();

    let people = |arguments: &[&str]| {
        let whole = [&["people"], arguments, &["--in", text(&swap)]].concat();
        let lines = report(&whole)["lines"].as_array().unwrap().clone();
        let lines: Vec<String> = lines
            .iter()
            .map(|l| l.as_str().unwrap().to_owned())
            .collect();
        lines.join("\n")
    };
    let import = ["import-decisions", text(&file)];
    let link = ["--link", "Berta=Bertha"];
    let dry = people(&[&import[..], &["--dry-run"]].concat());
    assert!(dry.contains("Anna (anna) is faceset_001"), "{dry}");
    assert!(dry.contains("--link berta=NUMBER"), "{dry}");
    assert!(dry.contains("nothing was changed"), "{dry}");
    let dry = people(&[&import[..], &link, &["-n"]].concat());
    assert!(dry.contains("Berta (berta) is faceset_002"), "{dry}");
    assert!(
        dry.contains("of 4 decided faces 4 change something"),
        "{dry}"
    );
    assert!(!swap.join("registry.journal.jsonl").exists());

    let done = people(&[&import[..], &link].concat());
    assert!(done.contains("(entry "), "{done}");
    let anna = people(&["show", "anna"]);
    assert!(anna.contains("not this person: /photos/1.jpg"), "{anna}");
    assert!(people(&["show", "2", "--faces"]).contains("/photos/1.jpg"));
    let written: Value =
        serde_json::from_slice(&fs::read(swap.join("registry.json")).unwrap()).unwrap();
    assert_eq!(written["no_faces"], json!([face(4)]));
    let again = people(&[&import[..], &link].concat());
    assert!(again.contains("4 are known already"), "{again}");
    assert!(again.contains("nothing to change"), "{again}");
    people(&["undo"]);
    assert!(!people(&["show", "anna"]).contains("not this person"));

    let wrong = [
        "people",
        "import-decisions",
        text(&file),
        "--in",
        text(&swap),
    ];
    let nobody = failure(&[&wrong[..], &["--link", "Zoe=1"]].concat(), 1);
    assert!(nobody.contains("Zoe"), "{nobody}");
    failure(&[&wrong[..], &["--link", "Zoe"]].concat(), 64);
}
