//! Other ways to look: variants, and a second look at photos without a face.

#![allow(clippy::unwrap_used, reason = "helpers of a test")]

#[allow(dead_code, reason = "each test file uses a part of it")]
mod support;

use std::fs;
use std::io::Write as _;

use faceset_infer::{Analyzer, FREE_PACK, InferError, Pack, Purpose, RescueWay, Variant};
use faceset_testkit::repo_root;
use image::imageops::{rotate90, rotate270};
use support::{Reference, SCRFD_PACK, free_analyzer, free_model, free_models, runtime};

#[test]
fn a_photo_on_its_side_gives_the_faces_of_the_upright_one() {
    let mut free = free_analyzer(Purpose::Embed);
    let mut n_turned = 0;
    for picture in &Reference::load().pictures {
        let upright = picture.pixels();
        let side = rotate90(&upright);
        assert_eq!(rotate270(&side), upright);
        if !free.analyze(&side).unwrap().faces.is_empty() {
            continue;
        }
        let Some((RescueWay::Turned(270), found)) = free.rescue(&side).unwrap() else {
            continue;
        };
        n_turned += 1;
        // The same pixels were looked at in the end, so the same face is found.
        let expected = free.analyze(&upright).unwrap().faces;
        for face in &found.faces {
            let same = expected.iter().find(|e| e.embedding == face.embedding);
            let same = same.unwrap_or_else(|| panic!("{}: another face", picture.file));
            // In pixels of the photo on its side: (x, y) was (y, height - 1 - x) upright.
            let [nose_x, nose_y] = same.kps[2];
            let turned = [upright.height() as f32 - 1.0 - nose_y, nose_x];
            let off = (face.kps[2][0] - turned[0]).hypot(face.kps[2][1] - turned[1]);
            assert!(off < 1e-3, "{}: {off} px", picture.file);
        }
    }
    assert!(n_turned >= 1, "no photo on its side needed a second look");
}

#[test]
fn a_picture_of_nothing_stays_without_a_face() {
    let mut free = free_analyzer(Purpose::Embed);
    let stripes = image::RgbImage::from_fn(400, 300, |x, y| image::Rgb([x as u8, y as u8, 77]));
    assert!(free.analyze(&stripes).unwrap().faces.is_empty());
    assert_eq!(free.rescue(&stripes).unwrap(), None);
}

#[test]
fn a_detector_of_one_size_takes_no_variant_and_says_which_packs_do() {
    for name in ["rect", "two-sizes"] {
        let pack = Pack::built_in(FREE_PACK).unwrap();
        let pack = pack.locate(&[free_models()]).unwrap();
        let error = pack.with_variant(name.parse().unwrap()).unwrap_err();
        assert!(matches!(error, InferError::Variant { .. }));
        assert!(error.to_string().contains("SCRFD"), "{error}");
    }
}

/// In addition: the detector is nothing that set-up brings.
#[test]
fn variants_of_scrfd_find_the_same_faces_under_another_identity() {
    let scrfd = repo_root().join("../shared/models/scrfd_2.5g_kps.onnx");
    if !scrfd.is_file() {
        writeln!(
            std::io::stderr(),
            "not run, for want of {}: variants of SCRFD",
            scrfd.display()
        )
        .unwrap();
        return;
    }
    let models = tempfile::tempdir().unwrap();
    fs::copy(&scrfd, models.path().join("scrfd_2.5g_kps.onnx")).unwrap();
    let recognizer = models.path().join("fr_feature.onnx");
    fs::copy(free_model("fr_feature.onnx"), recognizer).unwrap();
    let located = |variant: &str| {
        Pack::parse(SCRFD_PACK, "reference")
            .unwrap()
            .locate(&[models.path().to_path_buf()])
            .unwrap()
            .with_variant(variant.parse::<Variant>().unwrap())
            .unwrap()
    };
    let plain = located("plain");
    let mut reference = Analyzer::new(&runtime(), &plain, Purpose::Detect).unwrap();
    for variant in ["rect", "two-sizes", "rect+two-sizes"] {
        let pack = located(variant);
        assert_ne!(pack.digest(), plain.digest());
        assert!(pack.pipeline().ends_with(&format!("variant={variant}")));
        let mut other = Analyzer::new(&runtime(), &pack, Purpose::Detect).unwrap();
        let mut n_faces = 0;
        for picture in &Reference::load().pictures {
            let pixels = picture.pixels();
            let (a, b) = (
                reference.detect(&pixels).unwrap(),
                other.detect(&pixels).unwrap(),
            );
            n_faces += a.len();
            for face in &a {
                let best = b.iter().map(|d| d.bbox.iou(&face.bbox)).fold(0.0, f32::max);
                assert!(best >= 0.75, "{variant}, {}: IoU {best}", picture.file);
            }
        }
        assert!(n_faces >= 10, "{n_faces} faces were compared");
    }
}
