//! Sets of fresh runs and who they are; exports and imports.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use faceset_core::manifest::{CacheRef, RefineManifest, Reserved};
use faceset_core::{Consent, FaceKey, SourcePath, hash_bytes};
use faceset_identity::{Matched, RegistryWriter, names_on_disk, numbers_on_disk};
use serde_json::{Map, Value, json};
use support::*;

fn matched(w: &RegistryWriter, label: Option<&str>, faces: &[FaceKey]) -> Matched {
    w.registry().match_set("any", label, faces).matched
}

#[test]
fn half_of_the_smaller_side_is_enough_and_less_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let w = three_people(dir.path());
    // Six faces, three of Ana's ten.
    let mut six = faces(0..3);
    six.extend(faces(100..103));
    assert_eq!(matched(&w, None, &six), Matched::Faces(number(1)));
    six.push(face(103, 10));
    assert_eq!(matched(&w, None, &six), Matched::New);
    // The identity is the smaller side: two of its four faces among thirty.
    let mut many = faces(16..18);
    many.extend(faces(200..228));
    assert_eq!(matched(&w, None, &many), Matched::Faces(number(3)));
}

#[test]
fn the_label_decides_before_the_faces_and_several_candidates_decide_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let w = three_people(dir.path());
    assert_eq!(
        matched(&w, Some("Bob"), &faces(0..10)),
        Matched::Label(number(2))
    );
    assert_eq!(
        matched(&w, Some("bob"), &faces(0..10)),
        Matched::Faces(number(1))
    );
    assert_eq!(
        matched(&w, None, &faces(0..16)),
        Matched::Ambiguous(vec![number(1), number(2)])
    );
    assert_eq!(matched(&w, None, &[]), Matched::New);
}

#[test]
fn moved_photos_and_moved_boxes_are_recognised_once_each() {
    let dir = tempfile::tempdir().unwrap();
    let w = three_people(dir.path());
    let mut moved: Vec<FaceKey> = faces(0..4);
    for key in &mut moved {
        key.path = "/elsewhere/renamed.jpg".into();
        key.bbox.x1 += 3.0;
    }
    // A second box on the same face adds nothing to what is shared.
    moved.push(face(0, 14));
    let set = w.registry().match_set("x", None, &moved);
    assert_eq!(set.shared, [(number(1), 4)]);
    assert_eq!(set.n_faces, 5);
    assert_eq!(set.matched, Matched::Faces(number(1)));
}

#[test]
fn a_set_gets_the_facts_of_its_person_and_a_mixed_one_the_strictest() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    run(&mut w, |r| r.plan_consent(number(1), Consent::Granted)).unwrap();
    run(&mut w, |r| r.plan_consent(number(2), Consent::Denied)).unwrap();
    for (n, birth) in [(1, "1990-01-02"), (2, "2001-03-04")] {
        run(&mut w, |r| {
            r.plan_birth_date(number(n), Some(birth.parse().unwrap()), today())
        })
        .unwrap();
    }
    let r = w.registry();
    let of_ana = refined("faceset_009", None, &faces(0..9));
    assert_eq!(r.facts_for(&of_ana).unwrap().number, number(1));
    assert_eq!(r.export_facts(&of_ana).consent, Consent::Granted);
    let mixed = refined("faceset_001", None, &faces(0..16));
    assert!(r.facts_for(&mixed).is_none());
    let facts = r.export_facts(&mixed);
    assert_eq!(facts.consent, Consent::Denied);
    assert_eq!(facts.birth.unwrap().to_string(), "2001-03-04");
    // A label of one over the faces of the other.
    let mislabelled = refined("faceset_001", Some("Ana"), &faces(10..16));
    assert_eq!(r.export_facts(&mislabelled).consent, Consent::Denied);
    // Granted by one and unknown of the other is not granted.
    let mut with_third = faces(0..10);
    with_third.extend(faces(16..20));
    let with_third = refined("faceset_001", None, &with_third);
    assert_eq!(r.export_facts(&with_third).consent, Consent::Unknown);
    let stranger = refined("faceset_001", None, &faces(500..510));
    assert!(r.facts_for(&stranger).is_none());
    assert_eq!(r.export_facts(&stranger).consent, Consent::Unknown);
}

#[test]
fn a_fresh_run_is_renumbered_so_that_people_keep_their_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let w = three_people(dir.path());
    let fresh = RefineManifest {
        version: 1,
        params: Value::Null,
        cache: CacheRef::default(),
        facesets: vec![
            refined("faceset_001", None, &faces(300..340)),
            refined("faceset_002", None, &faces(10..12)),
            refined("faceset_003", None, &faces(0..10)),
            refined("faceset_004", None, &faces(12..16)),
        ],
        rejected: Vec::new(),
        extra: Map::new(),
    };
    let taken = BTreeSet::from([number(7)]);
    let renumbering = w.registry().renumber(&fresh, &taken).unwrap();
    let numbers: Vec<u32> = renumbering.numbers.iter().map(|(_, n)| n.get()).collect();
    // Bob was split: the larger half keeps his number.
    assert_eq!(numbers, [8, 9, 1, 2]);
    assert_eq!(renumbering.notes.len(), 1);
    let renamed = renumbering.applied_to(&fresh, w.registry());
    let names: Vec<(&str, Option<&str>)> = renamed
        .facesets
        .iter()
        .map(|s| (s.name.as_str(), s.label.as_deref()))
        .collect();
    assert_eq!(
        names,
        [
            ("faceset_001", Some("Ana")),
            ("faceset_002", Some("Bob")),
            ("faceset_008", None),
            ("faceset_009", None)
        ]
    );
}

#[test]
fn recording_twice_changes_nothing_and_faces_only_accumulate() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    let before = w.registry().clone();
    let again = record(
        &mut w,
        vec![swap_set("faceset_001", Some("Ana"), &faces(0..10))],
    );
    assert!(again.is_empty());
    record(&mut w, vec![swap_set("faceset_001", None, &faces(5..7))]);
    assert_eq!(*w.registry(), before);
    let mut more = faces(5..7);
    more.push(face(50, 10));
    let plan = record(&mut w, vec![swap_set("faceset_001", None, &more)]);
    assert_eq!(
        plan.what,
        "recorded an export: 0 new, 1 updated, 0 reserved"
    );
    assert_eq!(w.registry().faces_of(number(1)).len(), 11);
}

#[test]
fn an_export_takes_no_face_from_another_person() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    let mut greedy = faces(0..10);
    greedy.extend(faces(14..16));
    let plan = record(&mut w, vec![swap_set("faceset_001", None, &greedy)]);
    assert!(
        plan.notes[0].contains("2 faces belong to other people"),
        "{plan:?}"
    );
    assert_eq!(w.registry().faces_of(number(2)).len(), 6);
}

#[test]
fn sets_whose_number_is_somebody_elses_are_not_taken_in() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    let plan = record(
        &mut w,
        vec![
            swap_set("faceset_001", None, &faces(10..16)),
            swap_set("faceset_002", None, &faces(600..606)),
            swap_set("faceset_008", None, &faces(0..10)),
        ],
    );
    assert!(
        plan.notes[0].contains("those of faceset_002 (Bob)"),
        "{plan:?}"
    );
    assert!(plan.notes[1].contains("none of its faces"), "{plan:?}");
    // A new number is used up all the same.
    assert!(w.registry().identity(number(8)).unwrap().faces.is_empty());
    assert_eq!(w.registry().faces_of(number(1)).len(), 10);
    assert_eq!(w.registry().faces_of(number(2)).len(), 6);
}

#[test]
fn a_moved_box_replaces_the_old_one_and_the_feature_follows() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    run(&mut w, |r| r.plan_feature(number(1), Some(&face(0, 10)))).unwrap();
    let mut fresh = faces(1..10);
    fresh.push(face(0, 13));
    // A second face on the photo of the first is another face.
    fresh.push(face(1, 12));
    record(&mut w, vec![swap_set("faceset_001", None, &fresh)]);
    let ana = w.registry().identity(number(1)).unwrap();
    assert_eq!(ana.feature, Some(face(0, 13)));
    assert_eq!(ana.faces.len(), 11);
    assert!(!ana.faces.contains(&face(0, 10).id()));
    let mut renamed = face(5, 10);
    renamed.path = "/new/place.jpg".into();
    record(
        &mut w,
        vec![swap_set("faceset_001", None, &[renamed.clone()])],
    );
    assert_eq!(
        w.registry()
            .owner(&face(5, 10))
            .unwrap()
            .faces
            .of_id(&renamed.id()),
        Some(&renamed)
    );
}

#[test]
fn numbers_without_a_set_are_kept_with_the_reason_until_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut w = three_people(dir.path());
    let reserved = |name: &str| Reserved {
        name: name.to_owned(),
        reason: "empty after filter".to_owned(),
        extra: Map::new(),
    };
    let mut export = manifest(vec![swap_set("faceset_001_2018-19", None, &faces(0..3))]);
    export.reserved = vec![
        reserved("faceset_002"),
        reserved("faceset_012"),
        reserved("_thin"),
    ];
    let plan = w.registry().plan_record_export(&export, &Value::Null);
    w.apply(&plan, at(1)).unwrap();
    let reason = |w: &RegistryWriter, n| w.registry().identity(number(n)).unwrap().reserved.clone();
    assert_eq!(reason(&w, 12).as_deref(), Some("empty after filter"));
    assert_eq!(reason(&w, 2).as_deref(), Some("empty after filter"));
    assert_eq!(w.registry().identities().count(), 4);
    record(
        &mut w,
        vec![swap_set("faceset_012", None, &faces(700..704))],
    );
    assert_eq!(reason(&w, 12), None);
}

#[test]
fn a_tree_of_the_original_tool_is_imported_with_what_it_knew() {
    let dir = tempfile::tempdir().unwrap();
    for (folder, text) in [
        ("faceset_001", "Ana\n"),
        (
            "faceset_002",
            "faceset_002: replace this line by the person's name\n",
        ),
        ("faceset_003", "todo\n"),
        ("faceset_004", "todo\n"),
        ("faceset_001_2018-19", "Ana 2018\n"),
        ("_thin/faceset_031", "x"),
        ("_dropped/faceset_040-2", "x"),
    ] {
        std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        std::fs::write(dir.path().join(folder).join("NAME.txt"), text).unwrap();
    }
    let names = names_on_disk(dir.path()).unwrap();
    assert_eq!(names, BTreeMap::from([(number(1), "Ana".to_owned())]));
    let taken: Vec<u32> = numbers_on_disk(dir.path())
        .unwrap()
        .iter()
        .map(|n| n.get())
        .collect();
    assert_eq!(taken, [1, 2, 3, 4, 31, 40]);

    let original = json!({
        "facesets": [
            {"name": "faceset_001", "era_of": "x", "faces": [
                {"source": "/a.jpg", "bbox": [1.0, 2.0, 30.5, 40.0]},
                {"source": "/gone.jpg", "bbox": [1.0, 2.0, 30.5, 40.0]}]},
            {"name": "faceset_002", "images": ["/b.jpg"]},
            {"name": "faceset_001_2018-19", "faces": []}],
        "thin_eras": [{"name": "faceset_001_2020"}],
        "masked": [1]
    });
    let hash_of = |p: &SourcePath| (p.as_str() == "/a.jpg").then(|| hash_bytes(b"a"));
    let mut w = writer(dir.path());
    let plan = w.registry().plan_import(&original, &names, &hash_of);
    assert!(
        plan.notes[0].starts_with("1 faces of the manifest"),
        "{plan:?}"
    );
    w.apply(&plan, at(0)).unwrap();
    let ana = w.registry().identity(number(1)).unwrap();
    assert_eq!(ana.name.as_deref(), Some("Ana"));
    assert_eq!(ana.provenance["imported"]["era_of"], "x");
    assert_eq!(
        ana.faces.iter().next().unwrap().bbox.tenths(),
        [10, 20, 305, 400]
    );
    assert_eq!(w.registry().identities().count(), 2);
}
