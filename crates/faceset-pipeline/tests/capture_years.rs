//! Capture years: from files as they are, remembered, and read again once they
//! change.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::path::Path;

use faceset_core::hash_bytes;
use faceset_pipeline::era::{YEARS_VERSION, YearFile, years, years_path};
use support::{Photo, cache, photo, with_ctx};

/// The smallest JPEG that EXIF is read from: one directory, one date.
fn dated(text: &str) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0".to_vec();
    // DateTimeOriginal, ASCII, 20 bytes at offset 26 of the block.
    exif.extend([0x03, 0x90, 2, 0, 20, 0, 0, 0, 26, 0, 0, 0, 0, 0, 0, 0]);
    exif.extend(text.as_bytes());
    exif.resize(6 + 26 + 20, 0);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&[0xFF, 0xD8, 0xFF, 0xE1], &length[..], &exif, &[0xFF, 0xD9]].concat()
}

fn at(dir: &Path, name: &str, bytes: &[u8]) -> Photo {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    photo(path.to_str().unwrap(), None, 1.0)
}

#[test]
fn every_date_is_counted_for_what_it_is_and_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    let mut photos = vec![
        at(d, "good.jpg", &dated("2015:03:04 05:06:07")),
        at(d, "zero.jpg", &dated("0000:00:00 00:00:00")),
        at(d, "late.jpg", &dated("2107:12:31 23:59:58")),
        at(d, "early.jpg", &dated("1989:12:31 23:59:59")),
        at(d, "none.jpg", &[0xFF, 0xD8, 0xFF, 0xD9]),
    ];
    photos.push(photo("/nowhere/gone.jpg", None, 1.0));
    photos.push(photo("/nowhere/recorded.jpg", Some(2001), 1.0));
    let path = d.join("c.npz");
    let cache = cache(&path, &photos);
    let file = years_path(&path);
    let run = |save| with_ctx(|ctx| years(&cache, cache.files(), &file, save, ctx).unwrap());

    let dry = run(false);
    assert!(!file.exists());
    let first = run(true);
    assert_eq!(dry.report, first.report);
    let r = first.report;
    assert_eq!(
        (
            r.dated,
            r.no_date,
            r.too_early,
            r.future,
            r.garbled,
            r.unreadable
        ),
        (2, 1, 1, 1, 1, 1)
    );
    let words = r.in_words();
    let expected = "2 of 7 photos have a believable date; 1 without one, 1 dated before 1990, \
                    1 dated in the future, 1 garbled, 1 not readable";
    assert!(words.starts_with(expected), "{words}");
    // The records were made up: none has the bytes of its file.
    assert_eq!((r.read, r.from_record, r.changed), (5, 1, 5));
    let of = |name: &str| first.of(&d.join(name).to_str().unwrap().into());
    assert_eq!(
        (of("good.jpg"), of("late.jpg"), of("zero.jpg")),
        (Some(2015), None, None)
    );
    assert_eq!(first.of(&"/nowhere/recorded.jpg".into()), Some(2001));

    let held: YearFile = faceset_fs::read_json(&file).unwrap();
    assert_eq!((held.version, held.files.len()), (YEARS_VERSION, 5));
    let second = run(true);
    assert_eq!(second.report.read, 0);
    assert_eq!(second.by_photo, first.by_photo);
}

#[test]
fn an_edited_photo_is_read_again_and_the_others_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path();
    let photos = [
        at(d, "a.jpg", &dated("2015:03:04 05:06:07")),
        at(d, "b.jpg", &dated("2016:03:04 05:06:07")),
    ];
    let path = d.join("c.npz");
    let cache = cache(&path, &photos);
    let file = years_path(&path);
    let run = || with_ctx(|ctx| years(&cache, cache.files(), &file, true, ctx).unwrap());
    run();
    // Same length, so only the time tells; it is set by hand, since two writes
    // may fall into one tick of the clock.
    let b = d.join("b.jpg");
    let before = std::fs::metadata(&b).unwrap().modified().unwrap();
    let edited = dated("2009:03:04 05:06:07");
    std::fs::write(&b, &edited).unwrap();
    let later = before + std::time::Duration::from_secs(2);
    std::fs::File::options()
        .write(true)
        .open(&b)
        .unwrap()
        .set_modified(later)
        .unwrap();
    let again = run();
    assert_eq!(again.report.read, 1);
    assert_eq!(again.of(&b.to_str().unwrap().into()), Some(2009));
    let held: YearFile = faceset_fs::read_json(&file).unwrap();
    assert_eq!(held.files[1].sha256, hash_bytes(&edited));
}

#[test]
fn a_damaged_or_newer_file_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.npz");
    let cache = cache(&path, &[photo("/p/a.jpg", None, 1.0)]);
    let file = years_path(&path);
    for (text, word) in [
        ("{", "not valid JSON"),
        (r#"{"version": 9, "files": []}"#, "version 9"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = with_ctx(|ctx| years(&cache, cache.files(), &file, true, ctx).unwrap_err());
        let text = error.to_string();
        assert!(text.contains(word) && text.contains("years.json"), "{text}");
    }
}
