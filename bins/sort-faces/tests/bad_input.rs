//! Bad photos are counted, bad files are refused with one clear line.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;

use common::{failure, report, run, some_samples, text};
use faceset_testkit::{home, repo_root};

/// A PNG header that promises 60,000 × 60,000 pixels and holds none.
fn giant_png() -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    bytes.extend(60_000u32.to_be_bytes());
    bytes.extend(60_000u32.to_be_bytes());
    bytes.extend([8, 2, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef]);
    bytes
}

fn messy_folder(folder: &Path) {
    fs::create_dir_all(folder.join("sub")).unwrap();
    fs::write(folder.join("empty.jpg"), b"").unwrap();
    fs::write(folder.join("noise.jpg"), [0xA5; 400]).unwrap();
    fs::write(folder.join("letter.jpg"), b"Dear all, this is no picture.").unwrap();
    fs::write(folder.join("giant.png"), giant_png()).unwrap();
    fs::write(folder.join("film.mp4"), b"\0\0\0\x18ftypmp42").unwrap();
    image::RgbImage::from_fn(80, 40, |x, y| image::Rgb([x as u8, y as u8, 90]))
        .save(folder.join("sub/plain.png"))
        .unwrap();
    fs::copy(
        folder.join("sub/plain.png"),
        folder.join("sub/copy of plain.jpg"),
    )
    .unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(folder, folder.join("sub/loop")).unwrap();
        std::os::unix::fs::symlink(folder.join("gone.jpg"), folder.join("dangling.jpg")).unwrap();
    }
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(b"caf\xe9.jpg");
        fs::write(folder.join(name), b"x").unwrap();
    }
}

#[test]
fn a_cache_that_is_not_there_is_not_made_by_enriching_it() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("fcaes.npz");
    let words = failure(&["enrich", text(&cache)], 1);
    assert!(words.contains("fcaes.npz"), "{words}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn every_bad_file_is_counted_once_and_the_good_ones_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let photos = dir.path().join("photos");
    messy_folder(&photos);
    let cache = dir.path().join("c.npz");
    let first = report(&["embed", text(&photos), text(&cache)]);
    let n = |key: &str| {
        first[key]
            .as_u64()
            .unwrap_or_else(|| first[key].as_array().unwrap().len() as u64)
    };
    assert_eq!(
        n("seen"),
        n("known")
            + n("embedded")
            + n("noface")
            + n("duplicates")
            + n("failed")
            + n("skipped_paths")
    );
    assert_eq!((n("noface"), n("duplicates")), (1, 1));
    let failed: Vec<String> = first["failed"]
        .as_array()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    for (name, word) in [
        ("empty.jpg", "empty"),
        ("noise.jpg", ""),
        ("letter.jpg", "not a picture"),
        ("giant.png", "60000"),
    ] {
        let line = failed
            .iter()
            .find(|f| f.contains(name))
            .unwrap_or_else(|| panic!("{name} in {failed:?}"));
        assert!(line.contains(word), "{line}");
    }
    assert_eq!(first["skipped"]["video"], 1);
    if cfg!(target_os = "linux") {
        assert_eq!(first["skipped"]["name_not_utf8"], 1);
        assert_eq!(
            first["skipped"]["link"].as_u64().unwrap()
                + first["skipped"]["dangling_link"].as_u64().unwrap_or(0),
            2
        );
    }
    // The next run tries the failed ones again and knows the rest.
    let second = report(&["embed", text(&photos), text(&cache)]);
    assert_eq!(second["failed"], first["failed"]);
    assert_eq!(second["known"].as_u64(), Some(2));
}

#[test]
fn caches_that_do_not_fit_are_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let photos = dir.path().join("photos");
    some_samples(&photos, 40);
    let cache = dir.path().join("c.npz");
    report(&["embed", text(&photos), text(&cache)]);
    let good = fs::read(&cache).unwrap();

    // Another pack: the same files, another threshold.
    let builtin =
        fs::read_to_string(repo_root().join("crates/faceset-infer/packs/faceplugin.toml")).unwrap();
    let other = builtin
        .replace("\nscore_threshold = 0.65", "\nscore_threshold = 0.7")
        .replace("name = \"faceplugin\"", "name = \"stricter\"");
    let pack = dir.path().join("stricter.toml");
    fs::write(&pack, other).unwrap();
    let models = home().join("models").join("faceplugin");
    let arguments = [
        "embed",
        text(&photos),
        text(&cache),
        "--pack",
        text(&pack),
        "--model-root",
        text(&models),
    ];
    let message = failure(&arguments, 1);
    assert!(
        message.contains("faceplugin") && message.contains("stricter"),
        "{message}"
    );
    assert!(fs::read(&cache).unwrap() == good);

    // A newer version.
    let newer = repo_root().join("fixtures/cache/newer.npz");
    let message = failure(&["cluster", text(&newer), text(&dir.path().join("o"))], 1);
    assert!(message.contains("newer.npz"), "{message}");

    // A cut cache, and one that is not there.
    let cut = dir.path().join("cut.npz");
    fs::write(&cut, &good[..good.len() / 2]).unwrap();
    assert!(failure(&["cluster", text(&cut), text(&dir.path().join("o"))], 1).contains("cut.npz"));
    assert!(
        failure(
            &[
                "cluster",
                text(&dir.path().join("no.npz")),
                text(&dir.path().join("o"))
            ],
            1
        )
        .contains("no.npz")
    );

    // A journal with a torn tail keeps what is whole.
    let journal = dir.path().join("c.npz.journal");
    fs::write(&journal, b"torn").unwrap();
    let output = run(&["cluster", text(&cache), text(&dir.path().join("o"))]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(fs::read(&cache).unwrap() == good);
    assert!(
        output.status.success() || stderr.contains("journal"),
        "{stderr}"
    );

    // An output that cannot be written.
    fs::remove_file(&journal).unwrap();
    let file = dir.path().join("plain-file");
    fs::write(&file, b"").unwrap();
    assert!(failure(&["cluster", text(&cache), text(&file.join("out"))], 1).contains("plain-file"));
}

#[test]
fn a_manifest_of_other_faces_or_of_the_future_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let photos = dir.path().join("photos");
    some_samples(&photos, 30);
    let cache = dir.path().join("c.npz");
    report(&["embed", text(&photos), text(&cache), "--with-landmarks"]);
    let manifest = dir.path().join("refine_manifest.json");
    let sha = "0".repeat(64);
    let foreign = format!(
        r#"{{"version": 1, "facesets": [{{"name": "faceset_001", "faces": [{{"path": "/elsewhere.jpg", "sha256": "{sha}", "bbox": [0, 0, 9, 9]}}]}}]}}"#
    );
    fs::write(&manifest, foreign).unwrap();
    let out = dir.path().join("out");
    let message = failure(
        &["export-swap", text(&cache), text(&manifest), text(&out)],
        1,
    );
    assert!(
        message.contains("/elsewhere.jpg") && message.contains("refine_manifest.json"),
        "{message}"
    );
    fs::write(&manifest, r#"{"version": 99, "facesets": []}"#).unwrap();
    let message = failure(
        &["export-swap", text(&cache), text(&manifest), text(&out)],
        1,
    );
    assert!(message.contains("99"), "{message}");
    fs::write(&manifest, "{").unwrap();
    assert!(
        failure(
            &["export-swap", text(&cache), text(&manifest), text(&out)],
            1
        )
        .contains("JSON")
    );
    assert!(!out.join("faceset_001").exists());
}

#[test]
fn wrong_usage_is_64_and_help_shows_the_original_defaults() {
    assert!(failure(&["refine"], 64).contains("Usage"));
    assert!(failure(&["cluster", "a", "b", "--threshold", "3"], 64).contains("0 to 2"));
    let bad_weights = ["export-swap", "a", "b", "c", "--weights", "1,0,0"];
    assert!(failure(&bad_weights, 64).contains("expected five"));
    let help = |command: &str| String::from_utf8(run(&[command, "--help"]).stdout).unwrap();
    let refine = help("refine");
    for default in ["0.55", "0.40", "15", "90", "40", "0.6"] {
        assert!(
            refine.contains(&format!("[default: {default}]")),
            "{default} in\n{refine}"
        );
    }
    let export = help("export-swap");
    for default in ["0.45", "0.5", "512", "30", "100", "0.55", "0.4"] {
        assert!(
            export.contains(&format!("[default: {default}]")),
            "{default} in\n{export}"
        );
    }
    for command in [
        "embed",
        "cluster",
        "dedup",
        "enrich",
        "sort",
        "why",
        "doctor",
        "completions",
    ] {
        assert!(run(&[command, "--help"]).status.success(), "{command}");
    }
}

#[test]
fn a_dry_run_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let photos = dir.path().join("photos");
    some_samples(&photos, 40);
    let out = dir.path().join("out");
    let plan = report(&["sort", text(&photos), text(&out), "--dry-run"]);
    assert_eq!(
        plan["to_read"].as_array().map(Vec::len),
        Some(fs::read_dir(&photos).unwrap().count())
    );
    assert!(!out.exists());
}

#[test]
fn a_renamed_photo_keeps_its_record_when_another_takes_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let photos = dir.path().join("photos");
    fs::create_dir_all(&photos).unwrap();
    let picture = |name: &str, shade: u8| {
        image::RgbImage::from_pixel(90, 60, image::Rgb([shade, 10, 200]))
            .save(photos.join(name))
            .unwrap();
    };
    picture("a.png", 1);
    let cache = dir.path().join("c.npz");
    report(&["embed", text(&photos), text(&cache)]);
    fs::rename(photos.join("a.png"), photos.join("b.png")).unwrap();
    picture("a.png", 200);
    let second = report(&["embed", text(&photos), text(&cache)]);
    assert_eq!(second["photos_in_cache"], 2, "{second}");
    assert_eq!(second["seen"], 2);
    let third = report(&["embed", text(&photos), text(&cache)]);
    assert_eq!(third["known"], 2, "{third}");
}
