//! Other ways to look at photos, as a user asks for them: a second look, other
//! providers, no runtime library, variants.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;

use common::{failure, report, sort_faces, text};
use faceset_testkit::home;
use image::imageops::rotate90;

/// The sample pictures that show a face, on their side, as PNG.
fn turned(to: &Path) -> usize {
    let sources = home().join("samples").join("sources");
    fs::create_dir_all(to).unwrap();
    let names = ["biden.jpg", "obama.jpg", "obama2.jpg", "obama3.jpg"];
    for name in names {
        let picture = image::open(sources.join(name)).unwrap().into_rgb8();
        let small = image::imageops::thumbnail(&picture, picture.width() / 2, picture.height() / 2);
        rotate90(&small)
            .save(to.join(name).with_extension("png"))
            .unwrap();
        small
            .save(to.join(format!("upright-{name}")).with_extension("png"))
            .unwrap();
    }
    2 * names.len()
}

#[test]
fn a_second_look_finds_faces_on_turned_photos_and_marks_them() {
    let dir = tempfile::tempdir().unwrap();
    let (photos, cache) = (dir.path().join("photos"), dir.path().join("faces.npz"));
    let n_photos = turned(&photos);
    let embed = ["embed", text(&photos), text(&cache)];
    let first = report(&embed);
    let n_without = first["noface"].as_u64().unwrap();
    assert!(n_without >= 1, "every photo on its side showed its face");
    let again = report(&[&embed[..], &["--rescue"]].concat());
    let n_rescued = again["rescued"]["turned-270"].as_u64().unwrap();
    assert!(n_rescued >= 1, "{again}");
    assert_eq!(
        again["embedded"].as_u64().unwrap() + again["rescued_in_vain"].as_u64().unwrap(),
        n_without
    );
    let third = report(&[&embed[..], &["--rescue"]].concat());
    assert_eq!(third["known"], n_photos, "no photo is looked at twice");

    // The face on its side is the face of the upright photo.
    let (cache, _) = faceset_cache::load(&cache).unwrap();
    let rescued: Vec<_> = cache
        .files()
        .filter(|file| file.source == "original+rescue:turned-270")
        .collect();
    assert_eq!(rescued.len() as u64, n_rescued);
    for file in rescued {
        let name = file.path.as_path().file_name().unwrap().to_string_lossy();
        let upright = photos.join(format!("upright-{name}"));
        let upright = cache.file(&text(&upright).into()).unwrap();
        for face in file.faces() {
            let best = upright
                .faces()
                .iter()
                .map(|other| {
                    let pairs = face.embedding.iter().zip(&other.embedding);
                    pairs.map(|(a, b)| a * b).sum::<f32>()
                })
                .fold(-1.0, f32::max);
            assert!(best > 0.99, "{name}: cosine {best}");
        }
    }
}

#[test]
fn without_a_library_the_compiled_in_kernels_serve_and_it_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let bare = dir.path().join("home");
    let models = bare.join("models").join("faceplugin");
    fs::create_dir_all(&models).unwrap();
    for model in fs::read_dir(home().join("models").join("faceplugin")).unwrap() {
        let model = model.unwrap();
        fs::copy(model.path(), models.join(model.file_name())).unwrap();
    }
    let photo = home().join("samples").join("sources").join("obama.jpg");
    let run = |cache: &str, more: &[&str]| {
        sort_faces()
            .env("FACE_SETS_HOME", &bare)
            .env_remove("FACE_SETS_ORT")
            .args([
                "embed",
                text(&photo),
                text(&dir.path().join(cache)),
                "--json",
            ])
            .args(more)
            .output()
            .unwrap()
    };
    let output = run("a.npz", &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("no ONNX Runtime library"), "{said}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&json["device"]["provider"], &json["faces"]),
        (&"rten".into(), &1.into())
    );

    // Who names the runtime's own kernels does not get others.
    let output = run("b.npz", &["--provider", "cpu"]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("no ONNX Runtime library; run"), "{said}");

    // With the library the same faces come out, and both may fill one cache.
    let cache = dir.path().join("c.npz");
    let with = report(&["embed", text(&photo), text(&cache)]);
    assert_eq!(with["device"]["provider"], "cpu");
    let other = home().join("samples").join("sources").join("obama2.jpg");
    let rten = ["--provider", "rten"];
    let more = report(&[&["embed", text(&other), text(&cache)][..], &rten].concat());
    assert_eq!(more["device"]["provider"], "rten");
    let (cache, _) = faceset_cache::load(&cache).unwrap();
    assert_eq!(cache.meta().provider, "cpu+rten");
}

#[test]
fn openvino_by_name_uses_the_library_that_xtask_brought() {
    let dir = tempfile::tempdir().unwrap();
    let photo = home().join("samples").join("sources").join("obama.jpg");
    let cache = dir.path().join("faces.npz");
    let embed = [
        "embed",
        text(&photo),
        text(&cache),
        "--provider",
        "openvino",
    ];
    if !home().join("openvino").is_dir() {
        let said = failure(&embed, 3);
        assert!(said.contains("built without it"), "{said}");
        return;
    }
    let there = report(&embed);
    assert_eq!(there["device"]["provider"], "openvino");
    assert!(
        there["device"]["self_test"]["worst_cosine"]
            .as_f64()
            .unwrap()
            >= 0.999
    );
    assert_eq!(there["faces"], 1);
}

#[test]
fn a_provider_or_variant_that_cannot_be_had_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let photo = home().join("samples").join("sources").join("obama.jpg");
    let cache = dir.path().join("faces.npz");
    let embed = ["embed", text(&photo), text(&cache)];
    // No library of set-up has it on these systems.
    let missing = if cfg!(windows) { "coreml" } else { "directml" };
    let said = failure(&[&embed[..], &["--provider", missing]].concat(), 3);
    assert!(
        said.contains(missing) && said.contains("built without it"),
        "{said}"
    );
    let said = failure(&[&embed[..], &["--variant", "rect"]].concat(), 1);
    assert!(said.contains("rect") && said.contains("SCRFD"), "{said}");
    let said = failure(&[&embed[..], &["--variant", "fast"]].concat(), 64);
    assert!(said.contains("rect+two-sizes"), "{said}");
    assert!(!cache.exists());
}
