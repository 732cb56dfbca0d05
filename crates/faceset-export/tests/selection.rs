//! Which faces a plan exports, and why it drops the others.

#![allow(clippy::unwrap_used, clippy::wildcard_imports, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use faceset_core::manifest::{DroppedFace, RawManifest, RefineManifest, RefinedSet};
use faceset_core::{CancelToken, CosineDistance, NoProgress, Progress, Score};
use faceset_export::*;
use faceset_quality::{NearDuplicateLimits, Weights};
use proptest::prelude::*;
use serde_json::json;
use support::*;

/// A box of the usual size, 160×200.
const BOX: [f32; 4] = [300.0, 200.0, 460.0, 400.0];

/// Unit vector at this cosine distance from ANNA, turned towards BERT.
fn at_distance(d: f32) -> [f32; 3] {
    [1.0 - d, (1.0 - (1.0 - d) * (1.0 - d)).sqrt(), 0.0]
}

fn drop_of(set: &SetPlan, path: &str) -> DroppedFace {
    let found: Vec<_> = set
        .dropped
        .iter()
        .filter(|d| d.key.path.as_str() == path)
        .collect();
    assert_eq!(found.len(), 1, "{path}: {:?}", set.dropped);
    found[0].clone()
}

fn exported(set: &SetPlan) -> Vec<&str> {
    set.faces.iter().map(|f| f.key.path.as_str()).collect()
}

/// Three photos of exactly ANNA that make the centroid, and a probe photo.
fn with_probe(probe: [f32; 3]) -> (Library, RefinedSet) {
    let mut library = Library::new();
    let known: Vec<usize> = (0..3)
        .map(|i| library.photo(&format!("/k{i}.jpg"), &[(BOX, ANNA)]))
        .collect();
    let probe = library.photo("/probe.jpg", &[(BOX, probe)]);
    let mut set = library.set("faceset_001", &known);
    set.images.push(library.entries[probe].path.clone());
    (library, set)
}

#[test]
fn the_outlier_threshold_is_0_45_and_equal_is_kept() {
    for (d, kept) in [(0.449_99, true), (0.450_01, false)] {
        let (library, set) = with_probe(at_distance(d));
        let plan = plain_plan(&library, vec![set], &options(|_| {}));
        assert_eq!(exported(&plan.sets[0]).contains(&"/probe.jpg"), kept, "{d}");
    }
    let (library, set) = with_probe(at_distance(0.46));
    let plan = plain_plan(&library, vec![set.clone()], &options(|_| {}));
    let drop = drop_of(&plan.sets[0], "/probe.jpg");
    assert_eq!((drop.reason.as_str(), drop.limit), ("outlier", Some(0.45)));
    let exact = drop.value.unwrap();
    assert!((exact - 0.46).abs() < 1e-6);
    for (threshold, kept) in [(exact, true), (exact.next_down(), false)] {
        let options = options(|s| s.outlier_threshold = CosineDistance::new(threshold).unwrap());
        let plan = plain_plan(&library, vec![set.clone()], &options);
        assert_eq!(exported(&plan.sets[0]).contains(&"/probe.jpg"), kept);
    }
}

#[test]
fn the_short_edge_limit_is_100_px_and_equal_is_kept() {
    for (short, kept) in [(100.0, true), (100_f32.next_down(), false)] {
        let (mut library, set) = with_probe(ANNA);
        library.faces_mut(3)[0].face_short = short;
        let plan = plain_plan(&library, vec![set], &options(|_| {}));
        assert_eq!(
            exported(&plan.sets[0]).contains(&"/probe.jpg"),
            kept,
            "{short}"
        );
        if !kept {
            let drop = drop_of(&plan.sets[0], "/probe.jpg");
            assert_eq!(
                (drop.reason.as_str(), drop.limit),
                ("min_face_short", Some(100.0))
            );
        }
    }
}

#[test]
fn every_face_on_every_photo_enters_and_bystanders_leave_as_outliers() {
    let mut library = Library::new();
    let right = [700.0, 200.0, 860.0, 400.0];
    let photos: Vec<usize> = (0..3)
        .map(|i| library.photo(&format!("/{i}.jpg"), &[(BOX, ANNA), (right, BERT)]))
        .collect();
    let plan = plain_plan(
        &library,
        vec![library.set("faceset_001", &photos)],
        &options(|_| {}),
    );
    let set = &plan.sets[0];
    assert_eq!((set.n_input, set.faces.len(), set.dropped.len()), (6, 3, 3));
    assert!(
        set.dropped
            .iter()
            .all(|d| d.reason == "outlier" && d.key.bbox == right.into())
    );
    assert!((set.dropped[0].value.unwrap() - 1.0).abs() < 1e-6);
}

#[test]
fn a_face_that_refine_had_dropped_can_come_back_through_its_photo() {
    // The manifest names one face; the other photo's face is the same person.
    let mut library = Library::new();
    let a = library.photo("/a.jpg", &[(BOX, ANNA)]);
    library.photo("/b.jpg", &[(BOX, at_distance(0.1))]);
    let mut set = library.set("faceset_001", &[a]);
    set.images.push("/b.jpg".into());
    let plan = plain_plan(&library, vec![set], &options(|_| {}));
    assert_eq!(plan.sets[0].faces.len(), 2);
}

#[test]
fn of_two_faces_of_the_person_on_one_photo_the_larger_box_is_kept() {
    let mut library = Library::new();
    let small = [700.0, 200.0, 830.0, 350.0];
    let photo = library.photo("/mirror.jpg", &[(small, ANNA), (BOX, at_distance(0.2))]);
    let plan = plain_plan(
        &library,
        vec![library.set("faceset_001", &[photo])],
        &options(|_| {}),
    );
    let set = &plan.sets[0];
    assert_eq!(set.faces[0].key.bbox, BOX.into());
    let drop = drop_of(set, "/mirror.jpg");
    assert_eq!(drop.reason, "smaller_on_photo");
    assert_eq!((drop.value, drop.limit), (Some(19_500.0), Some(32_000.0)));
}

#[test]
fn equal_boxes_on_one_photo_are_decided_by_distance_whatever_their_order() {
    let right = [600.0, 200.0, 760.0, 400.0];
    for swapped in [false, true] {
        let mut library = Library::new();
        let mut faces = [(BOX, at_distance(0.3)), (right, ANNA)];
        if swapped {
            faces.reverse();
        }
        library.photo("/two.jpg", &faces);
        let solo = library.photo("/solo.jpg", &[(BOX, ANNA)]);
        let mut set = library.set("faceset_001", &[solo]);
        set.images.push("/two.jpg".into());
        let plan = plain_plan(&library, vec![set], &options(|_| {}));
        let drop = drop_of(&plan.sets[0], "/two.jpg");
        assert_eq!(drop.key.bbox, BOX.into(), "swapped {swapped}");
    }
}

#[test]
fn a_face_too_small_to_ship_displaces_nobody() {
    // Wide but low: the larger area, yet below 100 px.
    let mut library = Library::new();
    let low = [100.0, 500.0, 900.0, 590.0];
    let photo = library.photo("/a.jpg", &[(low, ANNA), (BOX, ANNA)]);
    let plan = plain_plan(
        &library,
        vec![library.set("faceset_001", &[photo])],
        &options(|_| {}),
    );
    assert_eq!(plan.sets[0].faces[0].key.bbox, BOX.into());
    assert_eq!(plan.sets[0].dropped[0].reason, "min_face_short");
}

/// Four photos of ANNA, each with two bystanders who differ from photo to photo.
fn crowd() -> (Library, Vec<usize>) {
    let mut library = Library::new();
    let left = [20.0, 200.0, 180.0, 400.0];
    let right = [700.0, 200.0, 860.0, 400.0];
    let others = [
        [-0.2, 1.0, 0.0],
        [-0.2, -1.0, 0.1],
        [-0.2, 0.1, 1.0],
        [-0.2, 0.0, -1.0],
        [-1.0, 0.4, 0.4],
        [-0.1, 0.7, -0.7],
        [-0.1, -0.7, 0.7],
        [-0.1, -0.6, -0.7],
    ];
    let photos = (0..4)
        .map(|i| {
            let faces = [
                (left, others[2 * i]),
                (BOX, ANNA),
                (right, others[2 * i + 1]),
            ];
            library.photo(&format!("/{i}.jpg"), &faces)
        })
        .collect();
    (library, photos)
}

#[test]
fn image_only_sets_find_their_person_by_two_passes() {
    let (library, photos) = crowd();
    let set = library.image_set("faceset_020", &photos);
    let plan = plain_plan(&library, vec![set], &options(|_| {}));
    let set = &plan.sets[0];
    assert_eq!(
        (set.n_input, set.faces.len(), set.dropped.len()),
        (12, 4, 8)
    );
    assert!(
        set.faces
            .iter()
            .all(|f| f.key.bbox == BOX.into() && f.distance < 1e-6)
    );
}

#[test]
fn the_second_pass_moves_the_centroid_to_the_person() {
    // Mean of all: ANNA twice, 0.5 away twice: the first pass keeps all four,
    // the second keeps all four too, so the centroid lies between.
    let mut library = Library::new();
    let photos: Vec<usize> = [
        ANNA,
        ANNA,
        at_distance(0.5),
        at_distance(0.5),
        [-1.0, -0.2, 0.0],
    ]
    .iter()
    .enumerate()
    .map(|(i, e)| library.photo(&format!("/{i}.jpg"), &[(BOX, *e)]))
    .collect();
    let set = library.image_set("faceset_001", &photos);
    let plan = plain_plan(&library, vec![set], &options(|_| {}));
    let set = &plan.sets[0];
    assert_eq!(exported(set).len(), 4);
    // The far face pulled the mean of all; it has no part in the last one, in
    // which both directions weigh the same: half of 60 degrees.
    let half_angle = 1.0 - 30_f64.to_radians().cos();
    for face in &set.faces {
        assert!(
            (face.distance - half_angle).abs() < 1e-6,
            "{}",
            face.distance
        );
    }
}

#[test]
fn named_faces_make_the_centroid_even_where_others_outnumber_them() {
    // BERT is on every photo and larger; the manifest names ANNA.
    let mut library = Library::new();
    let large = [500.0, 100.0, 900.0, 600.0];
    let faces = [([100.0, 200.0, 260.0, 400.0], ANNA), (large, BERT)];
    let both: Vec<usize> = (0..2)
        .map(|i| library.photo(&format!("/{i}.jpg"), &faces))
        .collect();
    let extra: Vec<usize> = (2..5)
        .map(|i| library.photo(&format!("/{i}.jpg"), &[(large, BERT)]))
        .collect();
    let mut named = library.set("faceset_001", &both);
    named
        .images
        .extend(extra.iter().map(|&p| library.entries[p].path.clone()));
    let mut unnamed = named.clone();
    unnamed.name = "faceset_002".to_owned();
    unnamed.faces.clear();
    let plan = plain_plan(&library, vec![named, unnamed], &options(|_| {}));
    assert!(plan.sets[0].faces.iter().all(|f| f.key.bbox.x1 == 100.0));
    assert_eq!(plan.sets[0].faces.len(), 2);
    assert!(
        plan.sets[1]
            .faces
            .iter()
            .all(|f| f.key.bbox == large.into())
    );
}

#[test]
fn faces_and_photos_that_the_cache_lacks_are_counted_and_the_rest_is_exported() {
    let mut library = Library::new();
    let photos = library.solos("anna", ANNA, 3);
    let mut set = library.set("faceset_001", &photos);
    library.entries.remove(2);
    library.places.remove(2);
    let plan = plain_plan(&library, vec![set.clone()], &options(|_| {}));
    assert_eq!(plan.sets[0].faces.len(), 2);
    let notes = plan.notes.join("\n");
    assert!(
        notes.contains("faceset_001: 1 of 3 photos are not in the cache"),
        "{notes}"
    );
    assert!(
        notes.contains("faceset_001: 1 of 3 faces are not in the cache"),
        "{notes}"
    );
    // When no named face is known, the photos still say who it is.
    for key in &mut set.faces {
        key.bbox.x1 -= 50.0;
    }
    let plan = plain_plan(&library, vec![set], &options(|_| {}));
    assert_eq!(plan.sets[0].faces.len(), 2);
}

#[test]
fn a_copy_of_a_photo_leads_to_it_and_is_listed() {
    let mut library = Library::new();
    let photo = library.photo("/b.jpg", &[(BOX, ANNA)]);
    library.places[photo] = vec!["/z/copy.jpg".into(), "/b.jpg".into(), "/a/copy.jpg".into()];
    let mut set = library.image_set("faceset_001", &[photo]);
    set.images = vec!["/z/copy.jpg".into(), "/a/copy.jpg".into()];
    let plan = plain_plan(&library, vec![set], &options(|_| {}));
    let face = &plan.sets[0].faces[0];
    assert_eq!(plan.sets[0].n_input, 1);
    let places: Vec<&str> = face
        .places
        .iter()
        .map(faceset_core::SourcePath::as_str)
        .collect();
    assert_eq!(places, ["/b.jpg", "/a/copy.jpg", "/z/copy.jpg"]);
    assert!(plan.notes.is_empty(), "{:?}", plan.notes);
}

#[test]
fn faces_are_ranked_by_composite_and_equal_ones_by_path() {
    let mut library = Library::new();
    let photos: Vec<usize> = ["/c.jpg", "/a.jpg", "/b.jpg"]
        .iter()
        .map(|path| library.photo(path, &[(BOX, ANNA)]))
        .collect();
    library.faces_mut(photos[2])[0].blur = 900.0;
    let set = library.set("faceset_001", &photos);
    let plan = plain_plan(&library, vec![set], &options(|_| {}));
    assert_eq!(exported(&plan.sets[0]), ["/b.jpg", "/a.jpg", "/c.jpg"]);
    let best = &plan.sets[0].faces[0];
    // Frontality (1 - 6/60), confidence 0.8, size 160/256, sharpness by log;
    // symmetry as the quality crate has it.
    let sharp = (900.0_f64 / 40.0).ln() / 25_f64.ln();
    let expected =
        0.30 * 0.9 + 0.20 * 0.8 + 0.20 * best.parts.landmark_symmetry + 0.15 * 0.625 + 0.15 * sharp;
    assert!(
        (best.composite - expected).abs() < 1e-6,
        "{}",
        best.composite
    );
}

#[test]
fn the_weights_decide_the_order() {
    let mut library = Library::new();
    let photos: Vec<usize> = (0..2)
        .map(|i| library.photo(&format!("/{i}.jpg"), &[(BOX, ANNA)]))
        .collect();
    library.faces_mut(0)[0].blur = 1000.0;
    library.faces_mut(1)[0].det_score = 1.0;
    let set = library.set("faceset_001", &photos);
    let first = |weights: serde_json::Value| {
        let weights: Weights = serde_json::from_value(weights).unwrap();
        let plan = plain_plan(
            &library,
            vec![set.clone()],
            &options(|s| s.weights = weights),
        );
        plan.sets[0].faces[0].key.path.to_string()
    };
    let weights = |sharpness: f64, det_score: f64| {
        json!({"frontality": 0, "det_score": det_score, "landmark_symmetry": 0,
               "face_size": 0, "sharpness": sharpness})
    };
    assert_eq!(first(weights(1.0, 0.0)), "/0.jpg");
    assert_eq!(first(weights(0.0, 1.0)), "/1.jpg");
}

/// Plans one set with hashes of these bits.
fn with_hashes(library: &Library, hashes: &[u64], limits: NearDuplicateLimits) -> SetPlan {
    let photos = library.photos();
    let all: Vec<usize> = (0..library.entries.len()).collect();
    let refined = refined(vec![library.set("faceset_001", &all)]);
    let inputs = PlanInputs {
        photos: &photos,
        refined: &refined,
        raw: None,
        facts: &nobody_known,
        bounds: &NoBounds,
        group_orphans: &no_groups,
        provenance: &json!(null),
    };
    let mut known = FaceHashes::default();
    for (i, hash) in hashes.iter().enumerate() {
        known.insert(&library.key(i, 0), *hash);
    }
    let options = options(|s| s.near_duplicates = limits);
    plan(&inputs, &options, &known).unwrap().sets.remove(0)
}

#[test]
fn near_duplicates_collapse_to_the_best_at_6_bits_and_0_95() {
    let mut library = Library::new();
    for i in 0..3 {
        library.photo(&format!("/{i}.jpg"), &[(BOX, ANNA)]);
    }
    library.faces_mut(1)[0].blur = 900.0;
    let limits = NearDuplicateLimits::default();
    let set = with_hashes(&library, &[0b11_1111, 0, 0b111_1111 << 20], limits);
    assert_eq!(exported(&set), ["/1.jpg", "/2.jpg"]);
    let drop = drop_of(&set, "/0.jpg");
    assert_eq!(drop.reason, "near_duplicate");
    assert_eq!((drop.value, drop.limit), (Some(1.0), Some(0.95)));
    // Faces without a hash are nobody's duplicate.
    assert_eq!(with_hashes(&library, &[0], limits).faces.len(), 3);
}

#[test]
fn look_alikes_of_less_than_0_95_do_not_collapse() {
    for (d, kept) in [(0.0499, 1), (0.0501, 2)] {
        let mut library = Library::new();
        library.photo("/0.jpg", &[(BOX, ANNA)]);
        library.photo("/1.jpg", &[(BOX, at_distance(d))]);
        let set = with_hashes(&library, &[5, 5], NearDuplicateLimits::default());
        assert_eq!(set.faces.len(), kept, "{d}");
    }
}

#[test]
fn only_look_alikes_by_embedding_are_hashed_and_each_photo_is_read_once() {
    let mut library = Library::new();
    let a = library.photo("/a.jpg", &[(BOX, ANNA)]);
    let b = library.photo("/b.jpg", &[(BOX, at_distance(0.01))]);
    let c = library.photo("/c.jpg", &[(BOX, at_distance(0.3))]);
    let photos = library.photos();
    let refined = refined(vec![library.set("faceset_001", &[a, b, c])]);
    let inputs = PlanInputs {
        photos: &photos,
        refined: &refined,
        raw: None,
        facts: &nobody_known,
        bounds: &NoBounds,
        group_orphans: &no_groups,
        provenance: &json!(null),
    };
    let targets = faces_to_hash(&inputs, &options(|_| {}));
    let paths: Vec<&str> = targets.iter().map(|t| t.key.path.as_str()).collect();
    assert_eq!(paths, ["/a.jpg", "/b.jpg"]);
    let mut drawn = Drawn::of(&library);
    drawn.missing.insert("/b.jpg".to_owned());
    let hashed = hash_faces(&targets, &drawn, &NoProgress, &CancelToken::default());
    assert_eq!(hashed.hashes.len(), 1);
    assert!(hashed.hashes.of(&library.key(a, 0)).is_some());
    assert_eq!(
        hashed.failed,
        [("/b.jpg".into(), "no such file".to_owned())]
    );
    let stop = CancelToken::default();
    stop.cancel();
    let hashed = hash_faces(&targets, &drawn, &NoProgress, &stop);
    assert!(hashed.cancelled && hashed.hashes.is_empty());
}

#[test]
fn faces_without_landmarks_are_an_error_with_a_hint_unless_allowed() {
    let mut library = Library::new();
    let photos = library.solos("anna", ANNA, 3);
    library.faces_mut(photos[1])[0].enrichment = None;
    let refined = refined(vec![library.set("faceset_001", &photos)]);
    let photos = library.photos();
    let inputs = PlanInputs {
        photos: &photos,
        refined: &refined,
        raw: None,
        facts: &nobody_known,
        bounds: &NoBounds,
        group_orphans: &no_groups,
        provenance: &json!(null),
    };
    let error = plan(&inputs, &options(|_| {}), &FaceHashes::default()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("1 of 3 faces") && text.contains("run enrich"),
        "{text}"
    );
    let allowed = options(|s| s.allow_unenriched = true);
    let plan = plan(&inputs, &allowed, &FaceHashes::default()).unwrap();
    assert_eq!(plan.sets[0].faces.len(), 3);
}

/// Plans two sets, ANNA's and BERT's, with facts by set name.
fn plan_with_facts(
    facts: &BTreeMap<&str, PersonFacts>,
    options: &ExportOptions,
    edit: impl FnOnce(&mut Library),
) -> ExportPlan {
    let mut library = Library::new();
    let anna = library.solos("anna", ANNA, 3);
    let bert = library.solos("bert", BERT, 3);
    edit(&mut library);
    let refined = refined(vec![
        library.set("faceset_001", &anna),
        library.set("faceset_002", &bert),
    ]);
    let photos = library.photos();
    let facts_of = |set: &RefinedSet| facts.get(set.name.as_str()).copied().unwrap_or_default();
    let inputs = PlanInputs {
        photos: &photos,
        refined: &refined,
        raw: None,
        facts: &facts_of,
        bounds: &NoBounds,
        group_orphans: &no_groups,
        provenance: &json!(null),
    };
    plan(&inputs, options, &FaceHashes::default()).unwrap()
}

fn facts(consent: Consent, birth: Option<&str>) -> PersonFacts {
    PersonFacts {
        consent,
        birth: birth.map(|b| b.parse().unwrap()),
    }
}

#[test]
fn a_denied_set_is_refused_and_the_rest_goes_on() {
    let known = BTreeMap::from([("faceset_001", facts(Consent::Denied, None))]);
    let plan = plan_with_facts(&known, &options(|_| {}), |_| {});
    assert_eq!(plan.refused.len(), 1);
    assert_eq!(plan.refused[0].name, "faceset_001");
    assert_eq!(plan.refused[0].reason, REFUSED_DENIED);
    assert_eq!(plan.sets.len(), 1);
    assert_eq!(
        (plan.sets[0].name.as_str(), plan.sets[0].faces.len()),
        ("faceset_002", 3)
    );
    assert!(
        plan.summary()
            .contains(&"faceset_001: refused, consent denied".to_owned())
    );
}

#[test]
fn unknown_consent_is_refused_only_when_consent_is_required() {
    let known = BTreeMap::from([("faceset_001", facts(Consent::Granted, None))]);
    let plan = plan_with_facts(&known, &options(|_| {}), |_| {});
    assert_eq!((plan.sets.len(), plan.refused.len()), (2, 0));
    let plan = plan_with_facts(&known, &options(|s| s.require_consent = true), |_| {});
    assert_eq!((plan.sets.len(), plan.refused.len()), (1, 1));
    assert_eq!(plan.refused[0].reason, REFUSED_UNKNOWN);
}

#[test]
fn faces_under_18_are_refused_to_the_day() {
    let known = BTreeMap::from([("faceset_001", facts(Consent::Granted, Some("1990-03-10")))]);
    let plan = plan_with_facts(&known, &options(|_| {}), |library| {
        library.entries[0].taken = "2008-03-09T23:59:59".to_owned();
        library.entries[1].taken = "2008-03-10T00:00:00".to_owned();
        library.entries[2].taken = String::new();
    });
    let set = &plan.sets[0];
    assert_eq!((set.faces.len(), set.dropped.len()), (2, 1));
    let drop = &set.dropped[0];
    assert_eq!(drop.key.path.as_str(), "/p/anna00.jpg");
    assert_eq!(
        (drop.reason.as_str(), drop.value, drop.limit),
        ("under_age", Some(17.0), Some(18.0))
    );
    assert_eq!(
        plan.sets[1].faces.len(),
        3,
        "another person's date is not theirs"
    );
}

#[test]
fn an_undated_face_is_refused_when_the_whole_library_is_older_than_the_person_s_18th_birthday() {
    let known = BTreeMap::from([("faceset_001", facts(Consent::Granted, Some("2005-01-01")))]);
    let plan = plan_with_facts(&known, &options(|_| {}), |library| {
        library.entries[0].taken = String::new();
    });
    let set = &plan.sets[0];
    assert!(set.faces.is_empty());
    assert_eq!(
        drop_of(set, "/p/anna00.jpg").reason,
        "undated_and_under_age"
    );
}

#[test]
fn names_that_lead_out_of_the_folder_or_come_twice_are_refused() {
    let mut library = Library::new();
    let photos = library.solos("anna", ANNA, 2);
    let names = [
        "../faceset_001",
        "/faceset_001",
        "a/b",
        "_candidates",
        ".hidden",
        "",
        "..",
        "a\\b",
        "faceset_003",
        "Faceset_003",
    ];
    let sets = names
        .iter()
        .map(|name| library.set(name, &photos))
        .collect();
    let plan = plain_plan(&library, sets, &options(|_| {}));
    let made: Vec<&str> = plan.sets.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(made, ["faceset_003"]);
    assert_eq!(plan.refused.len(), names.len() - 1);
    assert!(plan.refused[8].reason.contains("twice"));
}

#[test]
fn a_plan_is_a_value_that_survives_json_and_says_what_it_will_do() {
    let (library, photos) = crowd();
    let mut set = library.set("faceset_007", &photos);
    set.faces = photos.iter().map(|&p| library.key(p, 1)).collect();
    set.label = Some("Zoë Åström".to_owned());
    let plan = plain_plan(&library, vec![set], &options(|_| {}));
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<ExportPlan>(&text).unwrap(), plan);
    assert_eq!(
        plan.summary(),
        ["faceset_007 (Zoë Åström): 12 faces in, 4 to export, 8 outlier"]
    );
    let strict = options(|s| s.min_face_short = 1000.0);
    let set = library.image_set("faceset_001", &photos);
    let empty = plain_plan(&library, vec![set], &strict);
    assert!(empty.summary()[0].ends_with("not emitted, number reserved"));
}

/// A few photos with up to three faces each, anywhere in embedding space.
fn any_photos() -> impl Strategy<Value = Vec<Vec<([f32; 4], [f32; 3])>>> {
    let coordinate = -1.0_f32..1.0;
    let face = (
        (
            0.0_f32..600.0,
            0.0_f32..400.0,
            60.0_f32..300.0,
            60.0_f32..300.0,
        )
            .prop_map(|(x, y, w, h)| [x, y, x + w, y + h]),
        [coordinate.clone(), coordinate.clone(), coordinate],
    );
    prop::collection::vec(prop::collection::vec(face, 0..4), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_face_is_listed_exactly_once_and_the_order_of_input_does_not_matter(
        photos in any_photos(), named in any::<bool>()
    ) {
        let build = |reversed: bool| {
            let mut library = Library::new();
            let mut numbered: Vec<_> = photos.iter().enumerate().collect();
            if reversed {
                numbered.reverse();
            }
            for (i, faces) in numbered {
                library.photo(&format!("/{i}.jpg"), faces);
            }
            let all: Vec<usize> = (0..photos.len()).collect();
            let mut set = library.image_set("faceset_001", &all);
            set.images.sort();
            if named {
                for p in all.into_iter().filter(|&p| !library.entries[p].faces().is_empty()) {
                    set.faces.push(library.key(p, 0));
                }
            }
            plain_plan(&library, vec![set], &options(|_| {}))
        };
        let plan = build(false);
        let set = &plan.sets[0];
        let mut listed: Vec<_> = set
            .faces
            .iter()
            .map(|f| &f.key)
            .chain(set.dropped.iter().map(|d| &d.key))
            .map(|k| (k.path.to_string(), k.bbox.tenths()))
            .collect();
        listed.sort();
        let mut expected: Vec<_> = photos
            .iter()
            .enumerate()
            .flat_map(|(i, faces)| {
                faces.iter().map(move |(b, _)| (format!("/{i}.jpg"), faceset_core::BBox::from(*b).tenths()))
            })
            .collect();
        expected.sort();
        prop_assert_eq!(&listed, &expected);
        prop_assert_eq!(set.n_input, expected.len());
        if !named {
            // Centroid sums run in path order, whatever the order of the cache.
            prop_assert_eq!(&build(true).sets, &plan.sets);
        }
    }
}

/// Plans candidates: ANNA's set of three, BERT's of three, and singletons.
fn candidates(
    singletons: &[(&str, [f32; 3])],
    group: &GroupOrphans<'_>,
    facts_of_bert: PersonFacts,
    edit: impl FnOnce(&mut Library),
    settings: impl FnOnce(&mut ExportSettings),
) -> ExportPlan {
    let mut library = Library::new();
    let anna: Vec<usize> = (0..3)
        .map(|i| library.photo(&format!("/a{i}.jpg"), &[(BOX, ANNA)]))
        .collect();
    let bert: Vec<usize> = (0..3)
        .map(|i| library.photo(&format!("/b{i}.jpg"), &[(BOX, BERT)]))
        .collect();
    let alone: Vec<usize> = singletons
        .iter()
        .map(|(path, e)| library.photo(path, &[(BOX, *e)]))
        .collect();
    edit(&mut library);
    let refined = refined(vec![
        library.set("faceset_001", &anna),
        library.set("faceset_002", &bert),
    ]);
    let mut keys: Vec<_> = alone.iter().map(|&p| library.key(p, 0)).collect();
    keys.reverse();
    let raw = raw(keys);
    let photos = library.photos();
    let facts = |set: &RefinedSet| match set.name.as_str() {
        "faceset_002" => facts_of_bert,
        _ => PersonFacts::default(),
    };
    let inputs = PlanInputs {
        photos: &photos,
        refined: &refined,
        raw: Some(&raw),
        facts: &facts,
        bounds: &NoBounds,
        group_orphans: group,
        provenance: &json!(null),
    };
    let options = options(|s| {
        s.candidates = true;
        settings(s);
    });
    plan(&inputs, &options, &FaceHashes::default()).unwrap()
}

fn folders(plan: &ExportPlan) -> Vec<(&str, Vec<&str>)> {
    let candidates = plan.candidates.as_ref().unwrap();
    candidates
        .iter()
        .map(|s| (s.name.as_str(), exported(s)))
        .collect()
}

fn reason(plan: &ExportPlan, path: &str) -> String {
    let found = plan
        .candidates_dropped
        .iter()
        .find(|d| d.key.path.as_str() == path);
    found
        .unwrap_or_else(|| panic!("{path}: {:?}", plan.candidates_dropped))
        .reason
        .clone()
}

#[test]
fn singletons_become_candidates_up_to_a_distance_of_0_55() {
    let near = at_distance(0.549_99);
    // Turned away from BERT, so that ANNA stays the nearest.
    let near = [near[0], 0.0, near[1]];
    let far = at_distance(0.550_01);
    let far = [far[0], 0.0, far[1]];
    let plan = candidates(
        &[("/near.jpg", near), ("/far.jpg", far)],
        &no_groups,
        PersonFacts::default(),
        |_| {},
        |_| {},
    );
    assert_eq!(folders(&plan), [("to_faceset_001", vec!["/near.jpg"])]);
    assert_eq!(reason(&plan, "/far.jpg"), "matches_nobody");
    let drop = &plan.candidates_dropped[0];
    assert_eq!(drop.limit, Some(0.55));
    let exact = drop.value.unwrap();
    for (limit, n) in [(exact, 1), (exact.next_down(), 0)] {
        let plan = candidates(
            &[("/far.jpg", far)],
            &no_groups,
            PersonFacts::default(),
            |_| {},
            |s| {
                s.candidate_match_threshold = CosineDistance::new(limit).unwrap();
            },
        );
        assert_eq!(folders(&plan).len(), n);
    }
}

#[test]
fn candidates_need_a_composite_of_0_40_and_equal_is_kept() {
    let at = [("/s.jpg", at_distance(0.2))];
    let low = |library: &mut Library| {
        let face = &mut library.faces_mut(6)[0];
        face.blur = 0.0;
        face.det_score = 0.3;
        face.enrichment.as_mut().unwrap().pose = Some([40.0, 50.0, 0.0].into());
    };
    let known = PersonFacts::default();
    let plan = candidates(&at, &no_groups, known, low, |_| {});
    assert_eq!(reason(&plan, "/s.jpg"), "candidate_min_score");
    let drop = &plan.candidates_dropped[0];
    assert_eq!(drop.limit, Some(0.40));
    let exact = drop.value.unwrap();
    for (limit, n) in [(exact, 1), (exact.next_up(), 0)] {
        let plan = candidates(&at, &no_groups, known, low, |s| {
            s.candidate_min_score = Score::new(limit).unwrap();
        });
        assert_eq!(folders(&plan).len(), n, "{limit}");
    }
}

#[test]
fn orphans_are_grouped_largest_first_and_bad_groupings_are_passed_over() {
    let orphan = |x: f32| [x, x, -1.0];
    let singles = [
        ("/s0.jpg", orphan(0.0)),
        ("/s1.jpg", orphan(0.1)),
        ("/s2.jpg", orphan(0.2)),
        ("/s3.jpg", orphan(-0.1)),
        ("/s4.jpg", orphan(-0.2)),
        ("/s5.jpg", orphan(-0.3)),
    ];
    let group = |embeddings: &[&[f32]]| {
        assert_eq!(embeddings.len(), 6);
        // 99 does not exist, 0 comes twice, and a group of one is none.
        vec![vec![4, 0], vec![0, 2, 1, 3, 99, 2], vec![5]]
    };
    let plan = candidates(&singles, &group, PersonFacts::default(), |_| {}, |_| {});
    let names: Vec<(&str, usize)> = folders(&plan)
        .into_iter()
        .map(|(name, faces)| (name, faces.len()))
        .collect();
    assert_eq!(names, [("new_001", 3), ("new_002", 2)]);
    assert_eq!(reason(&plan, "/s5.jpg"), "matches_nobody");
}

#[test]
fn singletons_of_refused_or_under_age_people_are_no_candidates() {
    let single = [("/s.jpg", [0.2, 1.0, 0.0])];
    let denied = facts(Consent::Denied, None);
    let plan = candidates(&single, &no_groups, denied, |_| {}, |_| {});
    assert_eq!(reason(&plan, "/s.jpg"), "set_refused");
    let child = facts(Consent::Granted, Some("1997-01-01"));
    let plan = candidates(
        &single,
        &no_groups,
        child,
        |l| l.entries[6].taken = "2010-01-01".to_owned(),
        |_| {},
    );
    assert_eq!(reason(&plan, "/s.jpg"), "under_age");
    let plan = candidates(&single, &no_groups, PersonFacts::default(), |_| {}, |_| {});
    assert_eq!(folders(&plan), [("to_faceset_002", vec!["/s.jpg"])]);
}

#[test]
fn a_singleton_that_its_photo_brought_into_a_set_is_no_candidate() {
    let mut library = Library::new();
    let photos: Vec<usize> = (0..2)
        .map(|i| library.photo(&format!("/{i}.jpg"), &[(BOX, ANNA)]))
        .collect();
    let mut set = library.set("faceset_001", &photos[..1]);
    set.images.push("/1.jpg".into());
    let refined = refined(vec![set]);
    let mut unknown = library.key(1, 0);
    unknown.bbox.x1 = 1.0;
    let raw = raw(vec![library.key(1, 0), unknown]);
    let view = library.photos();
    let inputs = PlanInputs {
        photos: &view,
        refined: &refined,
        raw: Some(&raw),
        facts: &nobody_known,
        bounds: &NoBounds,
        group_orphans: &no_groups,
        provenance: &json!(null),
    };
    let options = options(|s| s.candidates = true);
    let plan = plan(&inputs, &options, &FaceHashes::default()).unwrap();
    assert_eq!(reason(&plan, "/1.jpg"), "already_in_a_set");
    assert!(folders(&plan).is_empty());
    assert!(
        plan.notes[0].contains("1 of 2 singletons"),
        "{:?}",
        plan.notes
    );
    let without = PlanInputs {
        raw: None,
        ..inputs
    };
    let error = faceset_export::plan(&without, &options, &FaceHashes::default()).unwrap_err();
    assert!(error.to_string().contains("raw manifest"), "{error}");
}

/// 2600 singletons around ANNA and BERT, more than are judged at a time.
fn many_singletons() -> (Library, RefineManifest, RawManifest) {
    let mut library = Library::new();
    let anna = library.photo("/a.jpg", &[(BOX, ANNA)]);
    let bert = library.photo("/b.jpg", &[(BOX, BERT)]);
    let keys = (0..2600_u16)
        .map(|i| {
            // Cosines 0.01 to 0.99 with one of them, 0 with the other.
            let cosine = f32::from(i % 99 + 1) / 100.0;
            let rest = (1.0 - cosine * cosine).sqrt();
            let e = if i % 3 == 0 {
                [0.0, cosine, rest]
            } else {
                [cosine, 0.0, rest]
            };
            let photo = library.photo(&format!("/s{i:04}.jpg"), &[(BOX, e)]);
            library.key(photo, 0)
        })
        .collect();
    let sets = vec![
        library.set("faceset_001", &[anna]),
        library.set("faceset_002", &[bert]),
    ];
    (library, refined(sets), raw(keys))
}

fn plan_many(progress: &dyn Progress, cancel: &CancelToken) -> Option<ExportPlan> {
    let (library, refined, raw) = many_singletons();
    let photos = library.photos();
    let inputs = PlanInputs {
        photos: &photos,
        refined: &refined,
        raw: Some(&raw),
        facts: &nobody_known,
        bounds: &NoBounds,
        group_orphans: &no_groups,
        provenance: &json!(null),
    };
    let options = options(|s| s.candidates = true);
    plan_watched(&inputs, &options, &FaceHashes::default(), progress, cancel).unwrap()
}

#[test]
fn candidates_are_the_same_by_any_number_of_threads() {
    let never = CancelToken::default();
    let by = |n| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build();
        pool.unwrap()
            .install(|| plan_many(&NoProgress, &never).unwrap())
    };
    let plan = by(1);
    assert_eq!(by(5), plan);
    let mut expected = [Vec::new(), Vec::new(), Vec::new()];
    for i in 0..2600_u16 {
        let path = format!("/s{i:04}.jpg");
        // Distances of 0.01 to 0.99; 0.55 itself is rounding's to decide.
        match (i % 99 + 1, i % 3) {
            (45, _) => {}
            (0..45, _) => expected[2].push(path),
            (_, 0) => expected[1].push(path),
            _ => expected[0].push(path),
        }
    }
    let sure = |paths: Vec<&str>| {
        let number = |p: &str| p[2..6].parse::<u16>().unwrap();
        let mut paths: Vec<_> = paths.into_iter().map(str::to_owned).collect();
        paths.retain(|p| number(p) % 99 + 1 != 45);
        paths.sort();
        paths
    };
    let [(one, anna), (two, bert)] = folders(&plan).try_into().unwrap();
    assert_eq!((one, sure(anna)), ("to_faceset_001", expected[0].clone()));
    assert_eq!((two, sure(bert)), ("to_faceset_002", expected[1].clone()));
    let others = plan.candidates_dropped.iter();
    let others = others.map(|d| d.key.path.as_str()).collect();
    assert_eq!(sure(others), expected[2]);
}

/// Counts, and asks for a stop after so many.
struct Counts(AtomicU64, u64, CancelToken);

impl Progress for Counts {
    fn start(&self, _: &str, total: Option<u64>) {
        assert_eq!(total, Some(2600));
    }
    fn advance(&self, n: u64) {
        if self.0.fetch_add(n, Ordering::SeqCst) + n >= self.1 {
            self.2.cancel();
        }
    }
    fn finish(&self) {}
    fn note(&self, _: &str) {}
}

#[test]
fn planning_candidates_says_how_far_it_is_and_stops_when_asked() {
    let cancel = CancelToken::default();
    let counts = Counts(0.into(), u64::MAX, cancel.clone());
    assert!(plan_many(&counts, &cancel).is_some());
    assert_eq!(counts.0.into_inner(), 2600);
    let counts = Counts(0.into(), 1, cancel.clone());
    assert!(plan_many(&counts, &cancel).is_none());
    assert!((1..2600).contains(&counts.0.into_inner()));
}
