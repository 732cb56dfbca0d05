//! The whole way from a plan to a tree on disk, on drawn photos.

#![allow(clippy::unwrap_used, clippy::wildcard_imports, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use faceset_core::manifest::{SwapReadyManifest, SwapSet};
use faceset_core::{CancelToken, NoProgress, Progress, hash_bytes};
use faceset_export::*;
use image::{Rgb, RgbImage};
use serde_json::{Value, json};
use support::*;

fn try_run(plan: &ExportPlan, pixels: &Drawn, out: &Path) -> Result<ExportReport, ExportError> {
    apply(
        plan,
        pixels,
        &Squares::default(),
        out,
        &NoProgress,
        &CancelToken::default(),
    )
}

fn run(plan: &ExportPlan, pixels: &Drawn, out: &Path) -> ExportReport {
    try_run(plan, pixels, out).unwrap()
}

fn set_of(out: &Path, name: &str) -> SwapSet {
    faceset_fs::read_json(&out.join(name).join("manifest.json")).unwrap()
}

fn top_of(out: &Path) -> SwapReadyManifest {
    faceset_fs::read_json(&out.join("manifest.json")).unwrap()
}

/// Small PNGs keep the tests quick.
fn small() -> ExportOptions {
    options(|s| s.out_size = 128)
}

/// ANNA's four photos and BERT's three, as two sets.
fn two_sets() -> (Library, ExportPlan) {
    let mut library = Library::new();
    let anna = library.solos("anna", ANNA, 4);
    let bert = library.solos("bert", BERT, 3);
    let sets = vec![
        library.set("faceset_001", &anna),
        library.set("faceset_002", &bert),
    ];
    let plan = plain_plan(&library, sets, &small());
    (library, plan)
}

#[test]
fn a_set_becomes_pngs_bundles_a_name_file_and_manifests() {
    let (library, plan) = two_sets();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let report = run(&plan, &Drawn::of(&library), &out);
    assert_eq!(report.count(Outcome::Written), 2, "{report:?}");
    assert_eq!(report.n_exported(), 7);
    let files: Vec<String> = tree(&out.join("faceset_001")).into_keys().collect();
    assert_eq!(
        files,
        [
            "NAME.txt",
            "faces/0001.png",
            "faces/0002.png",
            "faces/0003.png",
            "faces/0004.png",
            "faceset_001_all.fsz",
            "faceset_001_top30.fsz",
            "manifest.json",
        ]
    );
    let set = set_of(&out, "faceset_001");
    assert_eq!(
        top_of(&out).facesets,
        [set.clone(), set_of(&out, "faceset_002")]
    );
    assert_eq!(
        set.faces.iter().map(|f| f.rank).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    for (face, planned) in set.faces.iter().zip(&plan.sets[0].faces) {
        assert_eq!(face.key, planned.key);
        assert_eq!(face.places, planned.places);
        let png = fs::read(out.join("faceset_001/faces").join(&face.png)).unwrap();
        assert_eq!(hash_bytes(&png), face.png_sha256);
        let passes: Vec<_> = face
            .verified
            .iter()
            .map(|p| (p.det_size, p.n_faces))
            .collect();
        assert_eq!(passes, [(640, 1), (320, 1)]);
        assert!(!face.masked && face.pad_ratio == 0.5);
    }
}

#[test]
fn the_face_is_in_the_middle_of_a_512_px_png_at_half_its_edge() {
    let mut library = Library::new();
    // 160×200: crop 400 px around (480, 340), enlarged by 1.28.
    let photo = library.photo("/a.jpg", &[([400.0, 240.0, 560.0, 440.0], ANNA)]);
    let plan = plain_plan(
        &library,
        vec![library.set("faceset_001", &[photo])],
        &options(|_| {}),
    );
    let dir = tempfile::tempdir().unwrap();
    run(&plan, &Drawn::of(&library), dir.path());
    let face = set_of(dir.path(), "faceset_001").faces.remove(0);
    assert_eq!(face.crop, [280.0, 140.0, 680.0, 540.0].into());
    assert_eq!(face.upscale, 1.28);
    let png = image::open(dir.path().join("faceset_001/faces/0001.png"))
        .unwrap()
        .into_rgb8();
    assert_eq!(png.dimensions(), (512, 512));
    let found = Squares::default().find(&png, 640).unwrap();
    let expected = [153.6, 128.0, 358.4, 384.0];
    for (a, b) in <[f32; 4]>::from(found[0]).iter().zip(expected) {
        assert!((a - b).abs() <= 2.0, "{found:?}");
    }
}

#[test]
fn bundles_are_stored_flat_zips_without_a_path_of_this_computer() {
    let mut library = Library::new();
    let photos = library.solos("anna", ANNA, 4);
    let set = library.set("faceset_001", &photos);
    let dir = tempfile::tempdir().unwrap();
    for (top_n, in_top) in [(3, 3), (4, 4), (5, 4)] {
        let options = options(|s| {
            s.out_size = 128;
            s.top_n = top_n;
        });
        let plan = plain_plan(&library, vec![set.clone()], &options);
        let out = dir.path().join(format!("top{top_n}"));
        run(&plan, &Drawn::of(&library), &out);
        let set = set_of(&out, "faceset_001");
        let listed: Vec<_> = set
            .bundles
            .iter()
            .map(|b| (b.file.as_str(), b.n_faces))
            .collect();
        let top = format!("faceset_001_top{top_n}.fsz");
        assert_eq!(listed, [(top.as_str(), in_top), ("faceset_001_all.fsz", 4)]);
        for bundle in &set.bundles {
            let path = out.join("faceset_001").join(&bundle.file);
            let bytes = fs::read(&path).unwrap();
            assert_eq!(
                (bytes.len() as u64, hash_bytes(&bytes)),
                (bundle.bytes, bundle.sha256)
            );
            let mut zip = zip::ZipArchive::new(fs::File::open(&path).unwrap()).unwrap();
            assert_eq!(zip.len(), bundle.n_faces as usize + 1);
            for i in 0..bundle.n_faces as usize {
                let mut entry = zip.by_index(i).unwrap();
                assert_eq!(entry.name().unwrap(), format!("{:04}.png", i + 1));
                assert_eq!(entry.compression(), zip::CompressionMethod::Stored);
                assert_eq!(entry.last_modified(), Some(zip::DateTime::default()));
                let mut png = Vec::new();
                entry.read_to_end(&mut png).unwrap();
                assert_eq!(hash_bytes(&png), set.faces[i].png_sha256);
            }
            let mut text = String::new();
            zip.by_name("manifest.json")
                .unwrap()
                .read_to_string(&mut text)
                .unwrap();
            assert!(!text.contains("/p/"), "{text}");
        }
    }
}

#[test]
fn a_set_of_one_face_is_still_emitted() {
    let mut library = Library::new();
    let photos = library.solos("anna", ANNA, 1);
    let plan = plain_plan(
        &library,
        vec![library.set("faceset_001", &photos)],
        &small(),
    );
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(
        run(&plan, &Drawn::of(&library), dir.path()).count(Outcome::Written),
        1
    );
}

/// One photo of ANNA at 400..560 × 240..440 and another square beside her.
fn with_neighbour(neighbour: [f32; 4]) -> (Library, ExportPlan) {
    let mut library = Library::new();
    let anna = ([400.0, 240.0, 560.0, 440.0], ANNA);
    let photo = library.photo("/two.jpg", &[anna, (neighbour, BERT)]);
    let plan = plain_plan(
        &library,
        vec![library.set("faceset_001", &[photo])],
        &options(|_| {}),
    );
    (library, plan)
}

fn only_face(
    plan: &ExportPlan,
    pixels: &Drawn,
) -> Result<faceset_core::manifest::ExportedFace, String> {
    let dir = tempfile::tempdir().unwrap();
    let report = run(plan, pixels, dir.path());
    if report.count(Outcome::Written) == 1 {
        let face = set_of(dir.path(), "faceset_001").faces.remove(0);
        let png = dir.path().join("faceset_001/faces/0001.png");
        let png = image::open(png).unwrap().into_rgb8();
        for det_size in VERIFY_DET_SIZES {
            assert_eq!(Squares::default().find(&png, det_size).unwrap().len(), 1);
        }
        Ok(face)
    } else {
        let reserved = top_of(dir.path()).reserved.remove(0);
        Err(reserved.extra["dropped"].to_string())
    }
}

#[test]
fn a_neighbour_in_the_corner_makes_the_crop_tighter() {
    // The full crop ends at x = 680; at pad 0.375 it ends at 655.
    let (library, plan) = with_neighbour([660.0, 250.0, 780.0, 400.0]);
    let face = only_face(&plan, &Drawn::of(&library)).unwrap();
    assert_eq!((face.pad_ratio, face.masked), (0.375, false));
    assert_eq!(face.crop, [305.0, 165.0, 655.0, 515.0].into());
}

#[test]
fn a_neighbour_that_no_pad_avoids_is_painted_over_outside_the_face() {
    let (library, plan) = with_neighbour([570.0, 250.0, 780.0, 400.0]);
    let dir = tempfile::tempdir().unwrap();
    run(&plan, &Drawn::of(&library), dir.path());
    let face = set_of(dir.path(), "faceset_001").faces.remove(0);
    assert!(face.masked && face.pad_ratio == 0.5, "{face:?}");
    assert!(face.verified.iter().all(|p| p.n_faces == 1));
    let png = image::open(dir.path().join("faceset_001/faces/0001.png"))
        .unwrap()
        .into_rgb8();
    // Crop 280..680 enlarged by 1.28: the neighbour is black, ANNA is not, up
    // to her own edge at 560, although the painted box was grown past it.
    let at = |x: f32, y: f32| {
        png.get_pixel((1.28 * (x - 280.0)) as u32, (1.28 * (y - 140.0)) as u32)
            .0
    };
    assert_eq!(at(600.0, 300.0), [0, 0, 0]);
    assert!(at(555.0, 300.0)[0] > 150);
}

#[test]
fn a_second_face_inside_the_box_of_the_first_is_left_out() {
    // ANNA's square is a frame with another square inside: never separable.
    let (library, plan) = with_neighbour([900.0, 600.0, 990.0, 690.0]);
    let mut drawn = Drawn::of(&library);
    drawn.edit("/two.jpg", |picture| {
        fill(picture, &[430.0, 280.0, 530.0, 400.0].into(), BACKGROUND);
        fill(
            picture,
            &[450.0, 300.0, 510.0, 380.0].into(),
            face_colour(3),
        );
    });
    assert_eq!(
        only_face(&plan, &drawn).unwrap_err(),
        r#"{"other_face_in_crop":1,"outlier":1}"#
    );
}

#[test]
fn a_face_that_is_not_found_again_is_left_out() {
    let (library, plan) = with_neighbour([900.0, 600.0, 990.0, 690.0]);
    let mut drawn = Drawn::of(&library);
    drawn.edit("/two.jpg", |picture| {
        fill(picture, &[400.0, 240.0, 560.0, 440.0].into(), BACKGROUND);
    });
    assert_eq!(
        only_face(&plan, &drawn).unwrap_err(),
        r#"{"not_found_again":1,"outlier":1}"#
    );
}

#[test]
fn a_neighbour_seen_only_at_640_counts_too() {
    struct CoarseAt320(Squares);
    impl FaceFinder for CoarseAt320 {
        fn find(&self, picture: &RgbImage, size: u32) -> Result<Vec<faceset_core::BBox>, String> {
            let mut boxes = self.0.find(picture, size)?;
            let scale = size as f32 / picture.width() as f32;
            boxes.retain(|b| b.short_edge_px() * scale >= 60.0);
            Ok(boxes)
        }
    }
    // 60 px in a 400 px crop: 96 px at 640, and 48 px, too few, at 320.
    let (library, plan) = with_neighbour([600.0, 250.0, 660.0, 310.0]);
    let dir = tempfile::tempdir().unwrap();
    let finder = CoarseAt320(Squares::default());
    apply(
        &plan,
        &Drawn::of(&library),
        &finder,
        dir.path(),
        &NoProgress,
        &CancelToken::default(),
    )
    .unwrap();
    let face = set_of(dir.path(), "faceset_001").faces.remove(0);
    // Clean at 320 alone is not clean.
    assert_ne!(face.pad_ratio, 0.5);
}

#[test]
fn running_again_reads_no_photo_and_changes_no_byte() {
    let (library, plan) = two_sets();
    let dir = tempfile::tempdir().unwrap();
    run(&plan, &Drawn::of(&library), dir.path());
    let before = tree(dir.path());
    let again = Drawn::of(&library);
    let report = run(&plan, &again, dir.path());
    assert_eq!(report.count(Outcome::Unchanged), 2);
    assert_eq!(report.n_exported(), 7);
    assert_eq!(again.reads.into_inner(), 0);
    assert_eq!(tree(dir.path()), before);
    assert!(!dir.path().join("_dropped").exists());
    assert_eq!(top_of(dir.path()).runs.len(), 1);
}

#[test]
fn two_runs_into_two_places_give_the_same_bytes() {
    let (library, plan) = two_sets();
    let dir = tempfile::tempdir().unwrap();
    run(&plan, &Drawn::of(&library), &dir.path().join("a"));
    run(&plan, &Drawn::of(&library), &dir.path().join("b"));
    assert_eq!(tree(&dir.path().join("a")), tree(&dir.path().join("b")));
}

#[test]
fn what_is_replaced_is_moved_aside_and_the_name_a_person_wrote_stays() {
    let (library, plan) = two_sets();
    let dir = tempfile::tempdir().unwrap();
    run(&plan, &Drawn::of(&library), dir.path());
    let name = dir.path().join("faceset_001/NAME.txt");
    assert!(
        fs::read_to_string(&name)
            .unwrap()
            .starts_with("faceset_001:")
    );
    fs::write(&name, "Anna Åberg\n").unwrap();
    let old = tree(&dir.path().join("faceset_001"));
    let mut changed = plan.clone();
    changed.sets[0].faces.pop();
    let report = run(&changed, &Drawn::of(&library), dir.path());
    assert_eq!(report.sets[0].outcome, Outcome::Written);
    assert_eq!(report.sets[1].outcome, Outcome::Unchanged);
    assert_eq!(tree(&dir.path().join("_dropped/faceset_001")), old);
    assert_eq!(fs::read_to_string(&name).unwrap(), "Anna Åberg\n");
    assert_eq!(set_of(dir.path(), "faceset_001").faces.len(), 3);
    assert_eq!(top_of(dir.path()).facesets[0].faces.len(), 3);
    assert!(
        report.warnings.iter().any(|w| w.contains("_dropped")),
        "{report:?}"
    );
}

#[test]
fn damage_to_a_finished_set_is_found_and_mended() {
    let (library, plan) = two_sets();
    let dir = tempfile::tempdir().unwrap();
    run(&plan, &Drawn::of(&library), dir.path());
    let whole = tree(dir.path());
    let set = dir.path().join("faceset_001");
    let damages: [&dyn Fn(); 6] = [
        &|| fs::write(set.join("faces/0002.png"), b"x").unwrap(),
        &|| fs::remove_file(set.join("faces/0003.png")).unwrap(),
        &|| fs::write(set.join("faces/0009.png"), b"x").unwrap(),
        &|| fs::write(set.join("faceset_001_all.fsz"), b"x").unwrap(),
        &|| fs::write(set.join("manifest.json"), b"{").unwrap(),
        &|| fs::remove_dir_all(&set).unwrap(),
    ];
    for damage in damages {
        damage();
        let report = run(&plan, &Drawn::of(&library), dir.path());
        assert_eq!(report.sets[0].outcome, Outcome::Written);
        assert_eq!(tree(dir.path()), whole);
    }
}

#[test]
fn an_emptied_set_is_reserved_moved_aside_and_can_come_back() {
    let (library, plan) = two_sets();
    let dir = tempfile::tempdir().unwrap();
    run(&plan, &Drawn::of(&library), dir.path());
    let mut emptied = plan.clone();
    emptied.sets[0].faces.clear();
    let report = run(&emptied, &Drawn::of(&library), dir.path());
    assert_eq!(report.sets[0].outcome, Outcome::Empty);
    assert_eq!(report.sets[0].n_exported, 0);
    assert!(!dir.path().join("faceset_001").exists());
    assert!(
        dir.path()
            .join("_dropped/faceset_001/manifest.json")
            .is_file()
    );
    let top = top_of(dir.path());
    assert_eq!(top.facesets.len(), 1);
    assert_eq!(top.reserved.len(), 1);
    assert_eq!(top.reserved[0].name, "faceset_001");
    assert_eq!(top.reserved[0].reason, "empty after filter");
    assert_eq!(top.reserved[0].extra["n_input"], 4);
    run(&plan, &Drawn::of(&library), dir.path());
    let top = top_of(dir.path());
    assert!(top.reserved.is_empty());
    let names: Vec<_> = top.facesets.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["faceset_001", "faceset_002"]);
}

#[test]
fn a_refused_set_is_reserved_and_an_earlier_export_of_it_is_moved_aside() {
    let (library, plan) = two_sets();
    let dir = tempfile::tempdir().unwrap();
    run(&plan, &Drawn::of(&library), dir.path());
    let mut refused = plan.clone();
    refused.sets.remove(0);
    refused.refused.push(RefusedSet {
        name: "faceset_001".to_owned(),
        reason: REFUSED_DENIED.to_owned(),
    });
    // A name that is not ours to touch stays untouched.
    fs::create_dir(dir.path().join("_keep")).unwrap();
    refused.refused.push(RefusedSet {
        name: "_keep".to_owned(),
        reason: "the name is not a plain folder name".to_owned(),
    });
    let report = run(&refused, &Drawn::of(&library), dir.path());
    assert_eq!(report.count(Outcome::Refused), 2);
    assert!(
        report
            .warnings
            .contains(&"faceset_001: refused, consent denied".to_owned())
    );
    assert!(!dir.path().join("faceset_001").exists());
    assert!(dir.path().join("_keep").exists());
    let top = top_of(dir.path());
    assert_eq!(top.facesets.len(), 1);
    assert_eq!(top.reserved.len(), 1);
    assert_eq!(top.reserved[0].reason, "consent denied");
}

#[test]
fn eras_leave_with_the_set_of_who_withdraws_consent() {
    let (library, mut plan) = two_sets();
    let dir = tempfile::tempdir().unwrap();
    let era = |of: usize, name: &str, kind| SetPlan {
        name: name.to_owned(),
        kind,
        ..plan.sets[of].clone()
    };
    let eras = [
        era(0, "faceset_001_2018", SetKind::Set),
        era(0, "faceset_001_2020", SetKind::Thin),
        era(1, "faceset_002_2018", SetKind::Set),
    ];
    plan.sets.extend(eras);
    run(&plan, &Drawn::of(&library), dir.path());
    let mut refused = plan.clone();
    refused
        .sets
        .retain(|set| !set.name.starts_with("faceset_001"));
    refused.refused.push(RefusedSet {
        name: "faceset_001".to_owned(),
        reason: REFUSED_DENIED.to_owned(),
    });
    run(&refused, &Drawn::of(&library), dir.path());
    let top = top_of(dir.path());
    let names: Vec<_> = top.facesets.iter().map(|set| set.name.as_str()).collect();
    assert_eq!(names, ["faceset_002", "faceset_002_2018"]);
    assert!(top.thin_eras.is_empty());
    assert!(!dir.path().join("_thin/faceset_001_2020").exists());
    for name in ["faceset_001", "faceset_001_2018", "faceset_001_2020"] {
        assert!(!dir.path().join(name).exists(), "{name}");
        assert!(dir.path().join("_dropped").join(name).is_dir(), "{name}");
    }
}

#[test]
fn a_thin_persons_set_stays_where_it_was_put() {
    let (library, plan) = two_sets();
    let dir = tempfile::tempdir().unwrap();
    run(&plan, &Drawn::of(&library), dir.path());
    let mut tree = Tree::open(dir.path(), "test").unwrap();
    tree.set_aside("faceset_001", Bin::Thin).unwrap();
    tree.finish().unwrap();
    let mut refused = plan.clone();
    refused.sets.remove(0);
    refused.refused.push(RefusedSet {
        name: "faceset_001".to_owned(),
        reason: REFUSED_THIN.to_owned(),
    });
    run(&refused, &Drawn::of(&library), dir.path());
    assert!(dir.path().join("_thin/faceset_001/manifest.json").is_file());
    let top = top_of(dir.path());
    assert_eq!((top.facesets.len(), top.reserved.len()), (1, 0));
    assert_eq!(top.extra["thin"][0]["folder"], "_thin/faceset_001");
}

#[test]
fn an_unreadable_photo_costs_its_face_and_is_tried_again() {
    let (library, plan) = two_sets();
    let dir = tempfile::tempdir().unwrap();
    let mut drawn = Drawn::of(&library);
    drawn.missing.insert("/p/anna01.jpg".to_owned());
    let report = run(&plan, &drawn, dir.path());
    assert_eq!(
        report.sets[0].dropped,
        BTreeMap::from([("unreadable".to_owned(), 1)])
    );
    assert_eq!((report.sets[0].n_exported, report.sets[0].n_input), (3, 4));
    assert!(
        report.warnings[0].contains("/p/anna01.jpg: no such file"),
        "{report:?}"
    );
    // Still missing: tried, found equal, nothing moved.
    let before = tree(dir.path());
    let report = run(&plan, &drawn, dir.path());
    assert_eq!(report.sets[0].outcome, Outcome::Unchanged);
    assert_eq!(tree(dir.path()), before);
    assert!(!dir.path().join("_dropped").exists());
    // Back again: the same tree as an undisturbed run makes.
    run(&plan, &Drawn::of(&library), dir.path());
    let undisturbed = tempfile::tempdir().unwrap();
    run(&plan, &Drawn::of(&library), undisturbed.path());
    assert_eq!(tree(dir.path()), tree(undisturbed.path()));
}

#[test]
fn a_photo_is_read_from_its_copy_when_the_first_place_is_gone() {
    let mut library = Library::new();
    let photos = library.solos("anna", ANNA, 2);
    library.places[0].push("/copies/anna.jpg".into());
    let plan = plain_plan(
        &library,
        vec![library.set("faceset_001", &photos)],
        &small(),
    );
    let mut drawn = Drawn::of(&library);
    drawn.missing.insert("/p/anna00.jpg".to_owned());
    let dir = tempfile::tempdir().unwrap();
    let report = run(&plan, &drawn, dir.path());
    assert_eq!(report.n_exported(), 2);
    let set = set_of(dir.path(), "faceset_001");
    assert!(set.faces.iter().any(|f| f.places.len() == 2));
}

#[test]
fn an_unplugged_disk_empties_no_set() {
    let (library, plan) = two_sets();
    let dir = tempfile::tempdir().unwrap();
    run(&plan, &Drawn::of(&library), dir.path());
    let before = tree(dir.path());
    let mut changed = plan.clone();
    changed.sets[0].faces.pop();
    let mut drawn = Drawn::of(&library);
    drawn.missing = (0..4).map(|i| format!("/p/anna{i:02}.jpg")).collect();
    let report = run(&changed, &drawn, dir.path());
    assert_eq!(report.sets[0].outcome, Outcome::Unreadable);
    assert_eq!(tree(&dir.path().join("faceset_001")).len(), 8);
    let sets = |files: &BTreeMap<String, Vec<u8>>| {
        files
            .iter()
            .filter(|(k, _)| k.contains('/'))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(sets(&tree(dir.path())), sets(&before));
    assert!(top_of(dir.path()).reserved.is_empty());
}

#[test]
fn a_disk_that_is_off_makes_no_intact_set_smaller() {
    let (library, plan) = two_sets();
    let dir = tempfile::tempdir().unwrap();
    run(&plan, &Drawn::of(&library), dir.path());
    let before = tree(&dir.path().join("faceset_001"));
    // Without the hashes of photos that are off, the plan is another one.
    let mut changed = plan.clone();
    let gone = changed.sets[0].faces.pop().unwrap();
    let mut drawn = Drawn::of(&library);
    let off = &changed.sets[0].faces[1].key.path;
    drawn.missing.insert(off.to_string());
    for _ in 0..2 {
        let report = run(&changed, &drawn, dir.path());
        let set = &report.sets[0];
        assert_eq!((set.outcome, set.n_exported), (Outcome::Unreadable, 4));
        assert!(set.reason.as_ref().unwrap().contains("stays as it is"));
        assert!(report.warnings.iter().any(|w| w.contains("stays as it is")));
        assert_eq!(tree(&dir.path().join("faceset_001")), before);
        assert!(!dir.path().join("_dropped").exists());
        assert_eq!(top_of(dir.path()).facesets[0].faces.len(), 4);
    }
    // A photo that is off and has no PNG in the set costs it nothing.
    let mut other = changed.clone();
    other.sets[0].faces.push(gone.clone());
    run(&changed, &Drawn::of(&library), dir.path());
    let mut drawn = Drawn::of(&library);
    drawn.missing.insert(gone.key.path.to_string());
    let report = run(&other, &drawn, dir.path());
    assert_eq!(report.sets[0].outcome, Outcome::Written);
    assert_eq!(report.sets[0].n_exported, 3);
}

#[test]
fn a_face_that_was_refused_leaves_a_set_whose_photos_are_off() {
    for reason in ["not_this_person", "under_age", "undated_and_under_age"] {
        let (library, plan) = two_sets();
        let dir = tempfile::tempdir().unwrap();
        run(&plan, &Drawn::of(&library), dir.path());
        let mut changed = plan.clone();
        let refused = changed.sets[0].faces.remove(0).key;
        let worse = changed.sets[0].faces.pop().unwrap().key;
        let dropped =
            |key: &faceset_core::FaceKey, reason: &str| faceset_core::manifest::DroppedFace {
                key: key.clone(),
                reason: reason.to_owned(),
                value: None,
                limit: None,
            };
        changed.sets[0].dropped =
            vec![dropped(&refused, reason), dropped(&worse, "near_duplicate")];
        let mut drawn = Drawn::of(&library);
        drawn.missing = (0..4).map(|i| format!("/p/anna{i:02}.jpg")).collect();
        let report = run(&changed, &drawn, dir.path());
        let set = &report.sets[0];
        assert_eq!((set.outcome, set.n_exported), (Outcome::Unreadable, 3));
        let there = set_of(dir.path(), "faceset_001");
        assert_eq!(there.faces.len(), 3);
        assert!(there.faces.iter().all(|f| f.key != refused));
        assert!(there.faces.iter().any(|f| f.key == worse));
        assert_eq!(there.dropped[0].key, refused);
        assert_eq!(there.dropped[0].reason, reason);
        assert_eq!(top_of(dir.path()).facesets[0], there);
        assert_eq!(tree(&dir.path().join("faceset_001/faces")).len(), 3);
        // Once is enough, and the photos bring back what the plan says.
        let before = tree(dir.path());
        run(&changed, &drawn, dir.path());
        assert_eq!(tree(dir.path()), before);
        let report = run(&changed, &Drawn::of(&library), dir.path());
        assert_eq!(report.sets[0].outcome, Outcome::Written);
        assert_eq!(set_of(dir.path(), "faceset_001").faces.len(), 2);
    }
}

#[test]
fn an_era_that_changes_sides_keeps_its_pngs_while_a_disk_is_off() {
    let (library, mut plan) = two_sets();
    let dir = tempfile::tempdir().unwrap();
    plan.sets[0].kind = SetKind::Thin;
    run(&plan, &Drawn::of(&library), dir.path());
    let mut grown = plan.clone();
    grown.sets[0].kind = SetKind::Set;
    let mut drawn = Drawn::of(&library);
    drawn.missing.insert("/p/anna02.jpg".to_owned());
    let report = run(&grown, &drawn, dir.path());
    assert_eq!(report.sets[0].outcome, Outcome::Unreadable);
    assert_eq!(report.sets[0].kind, SetKind::Thin);
    assert!(!dir.path().join("faceset_001").exists());
    assert_eq!(tree(&dir.path().join("_thin/faceset_001/faces")).len(), 4);
    let report = run(&grown, &Drawn::of(&library), dir.path());
    assert_eq!(report.sets[0].outcome, Outcome::Written);
    assert!(!dir.path().join("_thin/faceset_001").exists());
}

#[test]
fn a_photo_of_another_size_than_embedded_is_not_cut() {
    let (library, plan) = two_sets();
    let mut drawn = Drawn::of(&library);
    drawn.replace("/p/anna00.jpg", RgbImage::from_pixel(700, 1000, BACKGROUND));
    let dir = tempfile::tempdir().unwrap();
    let report = run(&plan, &drawn, dir.path());
    assert_eq!(
        report.sets[0].dropped,
        BTreeMap::from([("photo_changed".to_owned(), 1)])
    );
}

#[test]
fn a_broken_detector_ends_the_run_and_leaves_every_set_as_it_was() {
    let (library, plan) = two_sets();
    let dir = tempfile::tempdir().unwrap();
    run(&plan, &Drawn::of(&library), dir.path());
    let before = tree(dir.path());
    let mut changed = plan.clone();
    changed.sets[1].faces.pop();
    let broken = Squares {
        broken: true,
        ..Squares::default()
    };
    let stop = CancelToken::default();
    let error = apply(
        &changed,
        &Drawn::of(&library),
        &broken,
        dir.path(),
        &NoProgress,
        &stop,
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("faceset_002") && error.contains("damaged"),
        "{error}"
    );
    assert_eq!(tree(dir.path()), before);
}

/// Asks for a stop after this many photos were cut.
struct StopAfter(u64, std::sync::atomic::AtomicU64, CancelToken);

impl Progress for StopAfter {
    fn start(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, n: u64) {
        let done = self.1.fetch_add(n, std::sync::atomic::Ordering::SeqCst) + n;
        if done >= self.0 {
            self.2.cancel();
        }
    }
    fn finish(&self) {}
    fn note(&self, _: &str) {}
}

#[test]
fn a_stop_keeps_finished_sets_and_the_same_command_goes_on() {
    let (library, plan) = two_sets();
    let undisturbed = tempfile::tempdir().unwrap();
    run(&plan, &Drawn::of(&library), undisturbed.path());
    let dir = tempfile::tempdir().unwrap();
    let cancel = CancelToken::default();
    let progress = StopAfter(4, 0.into(), cancel.clone());
    let drawn = Drawn::of(&library);
    let report = apply(
        &plan,
        &drawn,
        &Squares::default(),
        dir.path(),
        &progress,
        &cancel,
    )
    .unwrap();
    assert!(report.cancelled);
    assert_eq!(report.sets.len(), 1);
    assert_eq!(top_of(dir.path()).facesets.len(), 1);
    assert!(top_of(dir.path()).runs.is_empty());
    let rest = Drawn::of(&library);
    let report = run(&plan, &rest, dir.path());
    assert!(!report.cancelled);
    assert_eq!(rest.reads.into_inner(), 3);
    assert_eq!(tree(dir.path()), tree(undisturbed.path()));
}

#[test]
fn a_run_killed_at_any_photo_resumes_to_the_same_bytes() {
    let (library, plan) = two_sets();
    let undisturbed = tempfile::tempdir().unwrap();
    run(&plan, &Drawn::of(&library), undisturbed.path());
    let dir = tempfile::tempdir().unwrap();
    for read in 0..7 {
        let out = dir.path().join(format!("{read}"));
        let mut drawn = Drawn::of(&library);
        drawn.panic_at = Some(read);
        let killed =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&plan, &drawn, &out)));
        assert!(killed.is_err());
        run(&plan, &Drawn::of(&library), &out);
        assert_eq!(
            tree(&out),
            tree(undisturbed.path()),
            "killed at photo {read}"
        );
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for (name, bytes) in tree(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Makes one state of a folder.
type Make<'a> = &'a dyn Fn(&Path);

/// Every state that a kill can leave between two steps of putting a set in
/// place, made by hand.
#[test]
fn every_half_done_state_of_a_swap_is_finished() {
    let (library, old_plan) = two_sets();
    let mut plan = old_plan.clone();
    plan.sets[0].faces.pop();
    let dir = tempfile::tempdir().unwrap();
    let undisturbed = dir.path().join("undisturbed");
    run(&old_plan, &Drawn::of(&library), &undisturbed);
    let old = dir.path().join("old");
    copy_tree(&undisturbed, &old);
    run(&plan, &Drawn::of(&library), &undisturbed);
    let new_set = undisturbed.join("faceset_001");
    let states: [(&str, Make<'_>); 6] = [
        ("empty partial", &|out| {
            fs::create_dir(out.join(".faceset-partial-faceset_001")).unwrap();
        }),
        ("half partial", &|out| {
            let partial = out.join(".faceset-partial-faceset_001");
            copy_tree(&new_set, &partial);
            fs::remove_file(partial.join("manifest.json")).unwrap();
            fs::write(partial.join("faces/0001.png"), b"\x89PN").unwrap();
        }),
        ("whole partial", &|out| {
            copy_tree(&new_set, &out.join(".faceset-partial-faceset_001"));
        }),
        ("ready beside the old", &|out| {
            copy_tree(&new_set, &out.join(".faceset-ready-faceset_001"));
        }),
        ("ready, old moved aside", &|out| {
            copy_tree(&new_set, &out.join(".faceset-ready-faceset_001"));
            fs::create_dir_all(out.join("_dropped")).unwrap();
            fs::rename(out.join("faceset_001"), out.join("_dropped/faceset_001")).unwrap();
        }),
        ("ready but torn by the file system", &|out| {
            let ready = out.join(".faceset-ready-faceset_001");
            copy_tree(&new_set, &ready);
            fs::write(ready.join("faces/0002.png"), b"").unwrap();
        }),
    ];
    for (state, make) in states {
        let out = dir.path().join(state);
        copy_tree(&old, &out);
        make(&out);
        run(&plan, &Drawn::of(&library), &out);
        assert_eq!(tree(&out), tree(&undisturbed), "{state}");
        assert_eq!(
            fs::read_dir(out.join("_dropped")).unwrap().count(),
            1,
            "{state}: the old set was moved aside once"
        );
    }
}

#[test]
fn whoever_opens_a_tree_finishes_what_was_left_half_done_anywhere_in_it() {
    let (library, mut plan) = two_sets();
    plan.sets[0].kind = SetKind::Thin;
    let dir = tempfile::tempdir().unwrap();
    let undisturbed = dir.path().join("undisturbed");
    run(&plan, &Drawn::of(&library), &undisturbed);
    let half_done = |out: &Path| {
        copy_tree(&undisturbed, out);
        fs::remove_file(out.join("manifest.json")).unwrap();
        for set in ["_thin/{}faceset_001", "{}faceset_002"] {
            let (place, ready) = (set.replace("{}", ""), set.replace("{}", ".faceset-ready-"));
            let partial = set.replace("{}", ".faceset-partial-");
            fs::rename(out.join(place), out.join(ready)).unwrap();
            fs::create_dir_all(out.join(partial).join("faces")).unwrap();
        }
    };
    let by_tree = dir.path().join("tree");
    half_done(&by_tree);
    Tree::open(&by_tree, "test").unwrap().finish().unwrap();
    let by_export = dir.path().join("export");
    half_done(&by_export);
    let mut nothing = plan.clone();
    nothing.sets.clear();
    run(&nothing, &Drawn::of(&library), &by_export);
    for out in [by_tree, by_export] {
        let mut files = tree(&out);
        let mut expected = tree(&undisturbed);
        // The runs in it are another matter.
        files.remove("manifest.json").unwrap();
        expected.remove("manifest.json").unwrap();
        assert_eq!(files, expected);
        let (top, whole) = (top_of(&out), top_of(&undisturbed));
        assert_eq!(top.facesets, whole.facesets);
        assert_eq!(top.thin_eras, whole.thin_eras);
        for folder in [out.clone(), out.join("_thin")] {
            let names = faceset_fs::folder_names(&folder).unwrap();
            assert!(
                names.iter().all(|n| !n.starts_with(".faceset-")),
                "{names:?}"
            );
        }
    }
}

#[test]
fn merging_keeps_what_this_run_does_not_know() {
    let (library, plan) = two_sets();
    let dir = tempfile::tempdir().unwrap();
    let before = json!({
        "version": 1,
        "masked": [{"name": "faceset_009"}],
        "facesets": [
            {"name": "faceset_001_2018-19", "pngs": 12, "faces": "another tool's"},
            {"name": "faceset_002", "mood": "good", "faces": [], "label": "old"},
            {"name": "faceset_007", "images": ["/x.jpg"]}
        ],
        "thin_eras": [{"name": "faceset_001_2001", "n": 3}],
        "reserved": [{"name": "faceset_001", "reason": "r"}, {"name": "faceset_005", "reason": "r"}],
        "runs": [{"by": "hand"}]
    });
    faceset_fs::write_json(&dir.path().join("manifest.json"), &before).unwrap();
    run(&plan, &Drawn::of(&library), dir.path());
    let after: Value = faceset_fs::read_json(&dir.path().join("manifest.json")).unwrap();
    assert_eq!(after["masked"], before["masked"]);
    assert_eq!(after["thin_eras"], before["thin_eras"]);
    assert_eq!(
        after["reserved"],
        json!([{"name": "faceset_005", "reason": "r"}])
    );
    assert_eq!(after["runs"].as_array().unwrap().len(), 2);
    assert_eq!(after["runs"][0], before["runs"][0]);
    let sets = after["facesets"].as_array().unwrap();
    let names: Vec<_> = sets.iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "faceset_001_2018-19",
            "faceset_001",
            "faceset_002",
            "faceset_007"
        ]
    );
    assert_eq!(sets[0], before["facesets"][0]);
    assert_eq!(sets[3], before["facesets"][2]);
    assert_eq!(sets[2]["mood"], "good");
    assert_eq!(sets[2]["faces"].as_array().unwrap().len(), 3);
    assert!(sets[2].get("label").is_none());
    let keys: Vec<_> = after.as_object().unwrap().keys().collect();
    assert_eq!(keys[..2], ["version", "masked"]);
}

#[test]
fn a_manifest_that_cannot_be_merged_stops_the_run_before_it_writes() {
    let (library, plan) = two_sets();
    for (text, expected) in [
        (r#"{"version": 2}"#, "version 2"),
        ("[]", "not a JSON object"),
        (r#"{"version": 1, "facesets": {}}"#, "must be lists"),
        ("{", "not valid JSON"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("manifest.json"), text).unwrap();
        let error = try_run(&plan, &Drawn::of(&library), dir.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{text}: {error}");
        assert_eq!(tree(dir.path()).len(), 1);
    }
}

#[test]
fn a_second_run_at_the_same_time_is_told_so() {
    let (library, plan) = two_sets();
    let dir = tempfile::tempdir().unwrap();
    let _lock = faceset_fs::DirLock::acquire(dir.path(), "another export").unwrap();
    let error = try_run(&plan, &Drawn::of(&library), dir.path())
        .unwrap_err()
        .to_string();
    assert!(error.contains("in use by another run"), "{error}");
}

#[test]
fn an_output_place_that_is_a_file_is_named() {
    let (library, plan) = two_sets();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("taken");
    fs::write(&file, "x").unwrap();
    let error = try_run(&plan, &Drawn::of(&library), &file)
        .unwrap_err()
        .to_string();
    assert!(error.contains("taken"), "{error}");
}

#[test]
fn names_in_any_script_reach_files_and_manifests() {
    let mut library = Library::new();
    let bbox = [400.0, 240.0, 560.0, 440.0];
    let photo = library.photo("/фото/Žofie & Søren/写真 1.jpg", &[(bbox, ANNA)]);
    let mut set = library.set("faceset_001", &[photo]);
    set.label = Some("Žofie 写真".to_owned());
    let mut plan = plain_plan(&library, vec![set], &small());
    plan.sets[0].bundle_stem = "Žofie 写真".to_owned();
    plan.sets[0].markers.push(Marker {
        file: "Žofie.txt".to_owned(),
        text: "from a folder\n".to_owned(),
    });
    let dir = tempfile::tempdir().unwrap();
    run(&plan, &Drawn::of(&library), dir.path());
    let folder = dir.path().join("faceset_001");
    assert_eq!(
        fs::read_to_string(folder.join("NAME.txt")).unwrap(),
        "Žofie 写真\n"
    );
    assert_eq!(
        fs::read_to_string(folder.join("Žofie.txt")).unwrap(),
        "from a folder\n"
    );
    assert!(folder.join("Žofie 写真_top30.fsz").is_file());
    assert_eq!(
        set_of(dir.path(), "faceset_001").faces[0].key.path,
        library.entries[0].path
    );
}

#[test]
fn a_plan_whose_names_lead_elsewhere_is_refused() {
    let (library, plan) = two_sets();
    let edits: [&dyn Fn(&mut SetPlan); 4] = [
        &|s| s.name = "../x".to_owned(),
        &|s| s.bundle_stem = "a/b".to_owned(),
        &|s| {
            s.markers = vec![Marker {
                file: "/etc/x".to_owned(),
                text: String::new(),
            }];
        },
        &|s| {
            s.markers = vec![Marker {
                file: "manifest.json".to_owned(),
                text: String::new(),
            }];
        },
    ];
    for edit in edits {
        let mut bad = plan.clone();
        edit(&mut bad.sets[0]);
        let dir = tempfile::tempdir().unwrap();
        assert!(try_run(&bad, &Drawn::of(&library), dir.path()).is_err());
        assert!(tree(dir.path()).is_empty());
    }
}

#[test]
fn candidates_are_pngs_for_review_and_stale_ones_are_moved_aside() {
    let (library, mut plan) = two_sets();
    let bert = plan.sets.remove(1);
    let candidate = |name: &str| SetPlan {
        name: name.to_owned(),
        kind: SetKind::Candidate,
        bundle_stem: name.to_owned(),
        ..bert.clone()
    };
    plan.candidates = Some(vec![candidate("to_faceset_001"), candidate("new_001")]);
    let dir = tempfile::tempdir().unwrap();
    let report = run(&plan, &Drawn::of(&library), dir.path());
    assert_eq!(report.count(Outcome::Written), 3);
    let files: Vec<String> = tree(&dir.path().join("_candidates/new_001"))
        .into_keys()
        .collect();
    assert_eq!(
        files,
        [
            "faces/0001.png",
            "faces/0002.png",
            "faces/0003.png",
            "manifest.json"
        ]
    );
    assert_eq!(top_of(dir.path()).facesets.len(), 1);
    // A folder of the operator's stays; a candidate of ours goes.
    fs::create_dir(dir.path().join("_candidates/new_mine")).unwrap();
    plan.candidates = Some(vec![candidate("to_faceset_001")]);
    let report = run(&plan, &Drawn::of(&library), dir.path());
    assert_eq!(report.count(Outcome::Unchanged), 2);
    assert!(!dir.path().join("_candidates/new_001").exists());
    assert!(dir.path().join("_dropped/new_001/manifest.json").is_file());
    assert!(dir.path().join("_candidates/new_mine").is_dir());
    // Without candidates in the plan the folder is not looked at, and the sets
    // stay what they are.
    plan.candidates = None;
    assert_eq!(
        run(&plan, &Drawn::of(&library), dir.path()).count(Outcome::Unchanged),
        1
    );
    assert!(dir.path().join("_candidates/to_faceset_001").is_dir());
}

#[test]
fn asking_for_candidates_later_leaves_the_sets_alone() {
    let (library, plan) = two_sets();
    let dir = tempfile::tempdir().unwrap();
    run(&plan, &Drawn::of(&library), dir.path());
    let mut settings = ExportSettings::from(plan.options.clone());
    settings.candidates = true;
    let mut with = plan.clone();
    with.options = ExportOptions::try_from(settings).unwrap();
    with.candidates = Some(Vec::new());
    assert_eq!(
        run(&with, &Drawn::of(&library), dir.path()).count(Outcome::Unchanged),
        2
    );
}

#[test]
fn a_crop_beyond_the_picture_is_padded_black() {
    let mut library = Library::new();
    // 500 px high on a 700 px photo: the crop is 1000 px.
    let photo = library.photo("/close.jpg", &[([300.0, 100.0, 700.0, 600.0], ANNA)]);
    let plan = plain_plan(
        &library,
        vec![library.set("faceset_001", &[photo])],
        &small(),
    );
    let dir = tempfile::tempdir().unwrap();
    run(&plan, &Drawn::of(&library), dir.path());
    let face = set_of(dir.path(), "faceset_001").faces.remove(0);
    assert_eq!(face.crop, [0.0, -150.0, 1000.0, 850.0].into());
    let png = image::open(dir.path().join("faceset_001/faces/0001.png"))
        .unwrap()
        .into_rgb8();
    assert_eq!(png.get_pixel(64, 5), &Rgb([0, 0, 0]));
    assert_eq!(png.get_pixel(10, 64), &BACKGROUND);
}
