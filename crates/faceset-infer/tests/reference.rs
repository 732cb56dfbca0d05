//! Faces and embeddings against the frozen reference of insightface
//! (fixtures/parity/make_reference.py), and the free pack end to end, on the
//! sample pictures and models that set-up brings.

#![allow(clippy::unwrap_used, reason = "helpers of a test")]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use faceset_core::{BBox, hash_bytes};
use faceset_infer::align::{ALIGNED_EDGE, ARCFACE_TEMPLATE};
use faceset_infer::pack::Repair;
use faceset_infer::prelu::split_prelu;
use faceset_infer::repair::{apply, zero_tiny_weights};
use faceset_infer::{AUTO_ORDER, AnalyzedFace, Analyzer, Pack, Provider, Purpose, self_test};
use faceset_testkit::repo_root;
use image::{Rgb, RgbImage};
use support::{
    Reference, ReferenceFace, ReferencePicture, SCRFD_PACK, analyzer, cosine, free_analyzer,
    free_model, free_models,
};

/// Same points, another decoder and another warp: what is left is rounding.
const SAME_POINTS_COSINE: f64 = 0.9999;
/// Same detector on the same picture.
const SAME_DETECTOR_IOU: f32 = 0.999;
/// Same detector on the same picture, largest distance on either axis.
const SAME_DETECTOR_POINT_PX: f32 = 0.05;
/// Another detector: its boxes are drawn tighter or wider around the same face.
const OTHER_DETECTOR_IOU: f32 = 0.4;
/// Smallest face, by its short edge, that the free pack must find.
const LEAST_SHORT_EDGE_PX: f32 = 60.0;
/// Landmarks lie in the box grown to this many times its size.
const LANDMARK_REACH: f32 = 1.5;
/// A portrait looks into the camera; degrees.
const FRONTAL_YAW_DEG: f32 = 25.0;
/// A landmark model is not symmetric itself; degrees.
const MIRROR_TOLERANCE_DEG: f32 = 8.0;

/// The faces of a reference picture that the free pack must find, each with the
/// free pack's face.
fn found_by_free_pack(
    picture: &ReferencePicture,
    pixels: &RgbImage,
    free: &mut Analyzer,
) -> Vec<AnalyzedFace> {
    let ours = free.analyze(pixels).unwrap().faces;
    let wanted = picture
        .faces
        .iter()
        .filter(|f| f.bbox.short_edge_px() >= LEAST_SHORT_EDGE_PX);
    wanted
        .map(|face| {
            let best = best_match(face, &ours, |f| f.bbox);
            let iou = face.bbox.iou(&best.bbox);
            assert!(
                iou >= OTHER_DETECTOR_IOU,
                "{}: the free pack misses the face at {:?} (best overlap {iou})",
                picture.file,
                face.bbox
            );
            best.clone()
        })
        .collect()
}

fn best_match<'a, T>(face: &ReferenceFace, among: &'a [T], bbox: impl Fn(&T) -> BBox) -> &'a T {
    among
        .iter()
        .max_by(|a, b| {
            let iou = |t| face.bbox.iou(&bbox(t));
            iou(a).total_cmp(&iou(b))
        })
        .expect("the picture has faces")
}

#[test]
fn embeddings_at_the_reference_points_are_insightfaces() {
    let reference = Reference::load();
    let mut free = free_analyzer(Purpose::Embed);
    assert_eq!(
        free.pack().models["recognizer"].sha256.to_string(),
        reference.recognizer_sha256
    );
    for picture in &reference.pictures {
        let pixels = picture.pixels();
        for face in &picture.faces {
            let (ours, _) = free.embed(&pixels, &face.kps).unwrap().unwrap();
            let cosine = cosine(&ours, &face.embedding());
            assert!(
                cosine >= SAME_POINTS_COSINE,
                "{} at {:?}: cosine {cosine}",
                picture.file,
                face.bbox
            );
        }
    }
}

/// In addition: the detector is nothing that set-up brings.
#[test]
fn scrfd_finds_the_faces_that_insightface_finds() {
    let pack = Pack::parse(SCRFD_PACK, "reference").unwrap();
    let scrfd = repo_root().join("../shared/models/scrfd_2.5g_kps.onnx");
    if !scrfd.is_file() {
        // Past the test harness, which keeps the lines of passed tests to itself.
        writeln!(
            std::io::stderr(),
            "not run, for want of {}: comparison with insightface's SCRFD",
            scrfd.display()
        )
        .unwrap();
        return;
    }
    let reference = Reference::load();
    let models = tempfile::tempdir().unwrap();
    fs::copy(&scrfd, models.path().join("scrfd_2.5g_kps.onnx")).unwrap();
    fs::copy(
        free_model("fr_feature.onnx"),
        models.path().join("fr_feature.onnx"),
    )
    .unwrap();
    let mut detector = analyzer(pack, models.path(), Purpose::Detect);
    assert_eq!(
        detector.pack().models["detector"].sha256.to_string(),
        reference.detector_sha256
    );
    for picture in &reference.pictures {
        let found = detector.detect(&picture.pixels()).unwrap();
        assert_eq!(found.len(), picture.faces.len(), "{}", picture.file);
        for face in &picture.faces {
            let ours = best_match(face, &found, |d| d.bbox);
            let iou = face.bbox.iou(&ours.bbox);
            let points = ours.kps.unwrap();
            let off = points.as_flattened().iter().zip(face.kps.as_flattened());
            let off = off.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(iou >= SAME_DETECTOR_IOU, "{}: {iou}", picture.file);
            assert!(off <= SAME_DETECTOR_POINT_PX, "{}: {off} px", picture.file);
            assert!((ours.score - face.score).abs() <= 1e-3, "{}", picture.file);
        }
    }
}

#[test]
fn the_free_pack_finds_every_face_and_tells_people_apart() {
    let mut free = free_analyzer(Purpose::Embed);
    let cut = 1.0 - free.thresholds().cluster.get();
    let mut faces = Vec::new();
    for picture in &Reference::load().pictures {
        let found = found_by_free_pack(picture, &picture.pixels(), &mut free);
        for (i, face) in found.into_iter().enumerate() {
            // One man's three pictures; every other face is another person's.
            let person = match picture.file.strip_prefix("obama") {
                Some(_) => "obama".to_owned(),
                None => format!("{} {i}", picture.file),
            };
            faces.push((person, face.embedding));
        }
    }
    let mut n_same = 0;
    for (i, (a, left)) in faces.iter().enumerate() {
        for (b, right) in &faces[..i] {
            let cosine = cosine(left, right);
            if a == b {
                n_same += 1;
                assert!(cosine > cut, "{a}: distance {}", 1.0 - cosine);
            } else {
                assert!(cosine < cut, "{a}, {b}: distance {}", 1.0 - cosine);
            }
        }
    }
    assert_eq!(n_same, 3);
}

#[test]
fn a_tight_crop_shows_its_face_once_at_either_input_size() {
    let mut free = free_analyzer(Purpose::Detect);
    for picture in &Reference::load().pictures {
        let pixels = picture.pixels();
        for face in &picture.faces {
            let crop = tight_crop(&pixels, &face.bbox);
            let whole = BBox {
                x1: 0.0,
                y1: 0.0,
                x2: crop.width() as f32,
                y2: crop.height() as f32,
            };
            for edge in [640, 320] {
                let found = free.detect_as_seen_at(&crop, edge).unwrap();
                let what = format!("{} at {:?}, seen at {edge}", picture.file, face.bbox);
                assert_eq!(found.len(), 1, "{what}");
                // The answer is in the crop's own pixels, whatever the input size.
                let iou = found[0].bbox.iou(&whole);
                assert!(iou >= OTHER_DETECTOR_IOU, "{what}: overlap {iou}");
            }
        }
    }
}

/// The box and nothing around it.
fn tight_crop(pixels: &RgbImage, bbox: &BBox) -> RgbImage {
    let (x, y) = (bbox.x1.max(0.0) as u32, bbox.y1.max(0.0) as u32);
    let w = (bbox.x2 as u32).min(pixels.width()) - x;
    let h = (bbox.y2 as u32).min(pixels.height()) - y;
    image::imageops::crop_imm(pixels, x, y, w, h).to_image()
}

#[test]
fn landmarks_lie_on_the_face_and_yaw_and_roll_change_sign_in_the_mirror() {
    let mut free = free_analyzer(Purpose::All);
    let mut n_turned = 0;
    for picture in &Reference::load().pictures {
        let pixels = picture.pixels();
        let mirrored = image::imageops::flip_horizontal(&pixels);
        let width = pixels.width() as f32;
        for face in found_by_free_pack(picture, &pixels, &mut free) {
            let bbox = face.bbox;
            let mirrored_bbox = BBox {
                x1: width - bbox.x2,
                x2: width - bbox.x1,
                ..bbox
            };
            let seen = free.enrich(&pixels, &bbox).unwrap();
            let turned = free.enrich(&mirrored, &mirrored_bbox).unwrap();

            let [cx, cy] = bbox.center();
            let points = seen.landmark_3d_68.unwrap();
            assert_eq!(points.len(), 68);
            let reach = LANDMARK_REACH / 2.0;
            for [x, y, _] in points {
                assert!(
                    (x - cx).abs() <= reach * bbox.width()
                        && (y - cy).abs() <= reach * bbox.height(),
                    "{}: [{x}, {y}] is far off {bbox:?}",
                    picture.file
                );
            }

            let (pose, other) = (seen.pose.unwrap(), turned.pose.unwrap());
            let what = format!("{}: {pose:?}, mirrored {other:?}", picture.file);
            let near = |a: f32, b: f32| (a - b).abs() <= MIRROR_TOLERANCE_DEG;
            assert!(near(pose.yaw_deg, -other.yaw_deg), "{what}");
            assert!(near(pose.roll_deg, -other.roll_deg), "{what}");
            assert!(near(pose.pitch_deg, other.pitch_deg), "{what}");
            // Beyond the tolerance the sign is settled, not left to noise.
            n_turned += usize::from(pose.yaw_deg.abs() > MIRROR_TOLERANCE_DEG);
            // The people around the table look at each other.
            if picture.file != "table.jpg" {
                assert!(pose.yaw_deg.abs() < FRONTAL_YAW_DEG, "{what}");
            }
        }
    }
    assert!(n_turned >= 3, "{n_turned} faces are turned enough to tell");
}

/// Lopsided on purpose: a plain oval with eyes, nose and mouth near the template.
fn drawn_face() -> RgbImage {
    RgbImage::from_fn(ALIGNED_EDGE, ALIGNED_EDGE, |x, y| {
        let (fx, fy) = (x as f32, y as f32);
        let near = |[px, py]: [f32; 2], rx: f32, ry: f32| {
            ((fx - px) / rx).powi(2) + ((fy - py) / ry).powi(2) <= 1.0
        };
        let [left, right, nose, mouth, _] = ARCFACE_TEMPLATE;
        if near(left, 8.0, 4.0) || near(right, 8.0, 4.0) {
            Rgb([40, 50, 90])
        } else if near([mouth[0] + 14.0, mouth[1]], 16.0, 4.0) {
            Rgb([170, 60, 70])
        } else if near(nose, 5.0, 9.0) {
            Rgb([190, 140, 120])
        } else if near([56.0, 64.0], 42.0, 56.0) {
            Rgb([215, 170, 140 + x as u8 / 4])
        } else {
            Rgb([30, 60 + y as u8, 40])
        }
    })
}

#[test]
fn zeroing_tiny_weights_changes_no_embedding() {
    let mut bytes = fs::read(free_model("fr_feature.onnx")).unwrap();
    assert!(
        zero_tiny_weights(&mut bytes).unwrap() > 0,
        "the recogniser has weights to repair"
    );
    let text =
        fs::read_to_string(repo_root().join("crates/faceset-infer/packs/faceplugin.toml")).unwrap();
    // Both without the gate against what is no face: a drawing may be none.
    let without = |keys: &[&str]| {
        let lines = text
            .lines()
            .filter(|line| !keys.iter().any(|k| line.starts_with(k)));
        let text = lines.collect::<Vec<_>>().join("\n");
        Pack::parse(&text, "a changed free pack").unwrap()
    };
    let repaired = without(&["min_embedding_norm"]);
    let plain = without(&["min_embedding_norm", "repair"]);
    assert!(!repaired.recognizer.repair.is_empty() && plain.recognizer.repair.is_empty());

    let picture = drawn_face();
    let raw = |pack| {
        let mut analyzer = analyzer(pack, &free_models(), Purpose::Embed);
        let (unit, length) = analyzer
            .embed(&picture, &ARCFACE_TEMPLATE)
            .unwrap()
            .unwrap();
        unit.into_iter()
            .map(move |v| v * length)
            .collect::<Vec<f32>>()
    };
    let (repaired, plain) = (raw(repaired), raw(plain));
    let off = repaired
        .iter()
        .zip(&plain)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(off <= 1e-5, "off by {off}");
    assert!(
        plain.iter().any(|v| v.abs() > 0.01),
        "the embedding is not empty"
    );
}

#[test]
fn a_provider_that_the_library_lacks_is_refused_with_what_it_has() {
    let runtime = support::runtime();
    let available = runtime.available();
    assert_eq!(available.last(), Some(&Provider::Cpu));
    let lacking = AUTO_ORDER.iter().find(|p| !available.contains(p)).unwrap();
    let error = runtime.with_provider(*lacking, 0).unwrap_err().to_string();
    assert!(
        error.contains(lacking.name()) && error.contains("cpu"),
        "{error}"
    );
}

#[test]
fn the_processor_passes_its_own_self_test() {
    let pack = Pack::built_in(faceset_infer::FREE_PACK).unwrap();
    let pack = pack.locate(&[free_models()]).unwrap();
    let ticks = std::cell::Cell::new(0u64);
    // A clock of its own: each look is 5 ms later.
    let clock = || {
        ticks.set(ticks.get() + 5);
        Duration::from_millis(ticks.get())
    };
    let test = self_test(&support::runtime(), &pack, &clock).unwrap();
    assert_eq!(test.problems(), [""; 0]);
    assert_eq!((test.cpu_ms, test.provider_ms), (5.0, 5.0));
    assert!(test.worst_cosine > 0.999_999 && test.n_faces == 8, "{test}");
}

#[test]
fn the_repaired_recogniser_is_the_one_that_the_pack_names_and_changes_no_embedding() {
    let pack = Pack::built_in(faceset_infer::FREE_PACK).unwrap();
    let spec = &pack.recognizer;
    assert!(spec.repair.contains(&Repair::SplitPrelu));
    let bytes = fs::read(free_model("fr_feature.onnx")).unwrap();
    let repaired = apply(bytes.clone(), &spec.repair).unwrap();
    assert_eq!(Some(hash_bytes(&repaired)), spec.repaired_sha256);
    let (_, n_split) = split_prelu(&bytes).unwrap();
    assert_eq!(n_split, 33);

    // The same bits with and without the split, on every face of the reference.
    let text =
        fs::read_to_string(repo_root().join("crates/faceset-infer/packs/faceplugin.toml")).unwrap();
    let text = text
        .replace(", \"split-prelu\"", "")
        .lines()
        .filter(|l| !l.starts_with("repaired_sha256"))
        .collect::<Vec<_>>()
        .join("\n");
    let unsplit = Pack::parse(&text, "the free pack without the split").unwrap();
    assert_eq!(unsplit.recognizer.repair, [Repair::ZeroTinyWeights]);
    let mut plain = analyzer(unsplit, &free_models(), Purpose::Embed);
    let mut split = free_analyzer(Purpose::Embed);
    assert_eq!(
        plain.pack().digest(),
        split.pack().digest(),
        "one cache serves both"
    );
    for picture in &Reference::load().pictures {
        let pixels = picture.pixels();
        for face in &picture.faces {
            let before = plain.embed(&pixels, &face.kps).unwrap();
            assert_eq!(split.embed(&pixels, &face.kps).unwrap(), before);
        }
    }
}

#[test]
fn another_repaired_file_than_the_pack_names_is_refused() {
    let mut pack = Pack::built_in(faceset_infer::FREE_PACK).unwrap();
    pack.recognizer.repaired_sha256 = Some(hash_bytes(b"another"));
    let located = pack.locate(&[free_models()]).unwrap();
    let error = Analyzer::new(&support::runtime(), &located, Purpose::Embed).unwrap_err();
    assert!(error.to_string().contains("after repair"), "{error}");
}
