//! Broken, foreign and hostile caches: one clear error, never a panic, never
//! other records than were written.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;
#[path = "common/npz.rs"]
mod npz;

use common::{DIM, content, content_at, meta, photo, written};
use faceset_cache::{CacheError, CacheWriter, journal_path, load, peek};
use std::path::{Path, PathBuf};

fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.npz");
    (dir, path)
}

/// The message of the error and of everything that caused it.
fn refusal(path: &Path) -> String {
    let error = load(path).unwrap_err();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    assert!(text.contains("c.npz"), "{text}");
    assert!(!text.contains('\n'), "{text}");
    text
}

/// The error after replacing one array of a good cache.
fn refusal_with(member: &str, bytes: Option<Vec<u8>>) -> String {
    let (_dir, path) = place();
    written(&path, 12);
    npz::replace(&path, member, bytes);
    refusal(&path)
}

#[test]
fn an_npz_cut_anywhere_is_refused() {
    let (_dir, path) = place();
    written(&path, 6);
    let whole = std::fs::read(&path).unwrap();
    for len in (0..whole.len()).step_by(61).chain([whole.len() - 1]) {
        std::fs::write(&path, &whole[..len]).unwrap();
        let error = load(&path).unwrap_err();
        assert!(
            matches!(error, CacheError::Corrupt { .. }),
            "{len}: {error}"
        );
        assert!(CacheWriter::open(&path, &meta(), "t").is_err());
        assert_eq!(std::fs::read(&path).unwrap().len(), len, "it was touched");
    }
}

#[test]
fn a_flipped_bit_is_found_or_harmless() {
    let (_dir, path) = place();
    written(&path, 4);
    let good = content_at(&path);
    let whole = std::fs::read(&path).unwrap();
    let mut n_refused = 0;
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&path, &bytes).unwrap();
        match load(&path) {
            Ok((cache, _)) => assert_eq!(content(&cache), good, "byte {at}"),
            Err(_) => n_refused += 1,
        }
    }
    assert!(n_refused * 2 > whole.len() / 7, "{n_refused}");
}

#[test]
fn other_files_are_refused() {
    let (dir, path) = place();
    for bytes in [b"".as_slice(), b"PK", b"not an archive at all"] {
        std::fs::write(&path, bytes).unwrap();
        assert!(refusal(&path).contains("not an npz"));
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(load(&path).is_err());
    drop(dir);
}

#[test]
fn a_newer_schema_is_refused_by_number() {
    let (_dir, path) = place();
    written(&path, 3);
    let mut all = npz::members(&path);
    all[0].1 = npz::text(r#"{"schema": 2, "what": "we cannot know"}"#);
    npz::write(&path, &all);
    let text = refusal(&path);
    assert!(
        text.contains("schema 2") && text.contains("up to 1"),
        "{text}"
    );
    assert!(peek(&path).is_err());
    let bytes = std::fs::read(&path).unwrap();
    assert!(CacheWriter::open(&path, &meta(), "t").is_err());
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn pickled_arrays_are_never_read_and_the_converter_is_named() {
    for member in ["paths", "meta", "embeddings"] {
        let pickled = npz::npy("'|O'", "(2,)", b"\x80\x04\x95cposix\nsystem\n");
        let text = refusal_with(member, Some(pickled));
        assert!(text.contains("convert_pickled_cache.py"), "{text}");
        assert!(text.contains(member), "{text}");
    }
}

#[test]
fn a_missing_array_is_named() {
    for member in ["embeddings", "paths", "kps", "file_dims", "noface_paths"] {
        let text = refusal_with(member, None);
        assert!(text.contains(&format!("`{member}`")), "{text}");
    }
}

#[test]
fn arrays_of_unequal_length_are_refused() {
    for (member, bytes) in [
        ("det_score", npz::floats("(2,)", &[0.5, 0.6])),
        ("bbox", npz::floats("(1, 4)", &[1.0, 2.0, 3.0, 4.0])),
        ("file_sha256", npz::texts(&["00"])),
        ("failed_reasons", npz::texts(&["a", "b", "c"])),
    ] {
        let text = refusal_with(member, Some(bytes));
        assert!(
            text.contains(member) && text.contains("other arrays have"),
            "{text}"
        );
    }
}

#[test]
fn arrays_of_another_shape_or_type_are_refused() {
    let text = refusal_with("bbox", Some(npz::floats("(4,)", &[1.0; 4])));
    assert!(text.contains("expected [N, 4]"), "{text}");
    let text = refusal_with("paths", Some(npz::floats("(1,)", &[1.0])));
    assert!(text.contains("paths"), "{text}");
    let text = refusal_with("embeddings", Some(npz::floats("(1, 0)", &[])));
    assert!(text.contains("[N, D]"), "{text}");
}

#[test]
fn a_header_that_promises_more_than_there_is_takes_no_memory() {
    let huge = npz::floats("(1000000000000, 512)", &[1.0]);
    let text = refusal_with("embeddings", Some(huge));
    assert!(text.contains("embeddings"), "{text}");
    let huge = npz::npy("'<U4000000000'", "(1000000000,)", b"abcd");
    assert!(refusal_with("paths", Some(huge)).contains("promises"));
}

#[test]
fn embeddings_that_are_not_unit_vectors_are_refused_by_row() {
    let n = {
        let (_dir, path) = place();
        written(&path, 12).n_faces()
    };
    let mut rows = vec![0.0; n * DIM];
    for row in rows.chunks_mut(DIM) {
        row[1] = 1.0;
    }
    let shape = format!("({n}, {DIM})");
    rows[2 * DIM] = f32::NAN;
    let text = refusal_with("embeddings", Some(npz::floats(&shape, &rows)));
    assert!(
        text.contains("row 2") && text.contains("not finite"),
        "{text}"
    );
    rows[2 * DIM] = 0.5;
    let text = refusal_with("embeddings", Some(npz::floats(&shape, &rows)));
    assert!(
        text.contains("row 2") && text.contains("length 1.118"),
        "{text}"
    );
    let text = refusal_with(
        "embeddings",
        Some(npz::floats(&format!("({n}, 2)"), &rows[..n * 2])),
    );
    assert!(text.contains("2 numbers"), "{text}");
}

#[test]
fn contradictions_between_arrays_are_refused() {
    let text = refusal_with("noface_paths", Some(npz::texts(&["/unknown.jpg"])));
    assert!(text.contains("disagrees with paths"), "{text}");
    let noface: Vec<String> = [4, 9].map(|i| photo(i).path.0).to_vec();
    let listed = npz::texts(&[&noface[0], &noface[1], "/unknown.jpg"]);
    assert!(refusal_with("noface_paths", Some(listed)).contains("/unknown.jpg"));
    let failed = npz::texts(&["/unknown.jpg"]);
    assert!(refusal_with("failed_paths", Some(failed)).contains("/unknown.jpg"));
    let meta = npz::text(r#"{"schema": 1}"#);
    assert!(refusal_with("meta", Some(meta)).contains("pack"));
    assert!(refusal_with("meta", Some(npz::text("{"))).contains("JSON"));
    assert!(refusal_with("meta", Some(npz::text(r#"{"schema": "x"}"#))).contains("schema"));
}

#[test]
fn a_journal_of_another_pack_is_not_replayed() {
    let (_dir, path) = place();
    let other = path.with_file_name("other.npz");
    written(&path, 3);
    let mut theirs = meta();
    theirs.pack.name = "antelopev2".into();
    theirs.pack.digest = "ff".into();
    let mut writer = CacheWriter::open(&other, &theirs, "t").unwrap();
    writer.put(photo(5)).unwrap();
    writer.flush().unwrap();
    drop(writer);
    std::fs::rename(journal_path(&other), journal_path(&path)).unwrap();
    let text = refusal(&path);
    assert!(text.contains("antelopev2"), "{text}");
}

#[test]
fn a_journal_whose_cache_vanished_says_so() {
    let (_dir, path) = place();
    let mut writer = CacheWriter::open(&path, &meta(), "t").unwrap();
    writer.put(photo(0)).unwrap();
    writer.flush().unwrap();
    drop(writer);
    // The meta is the first record; break it.
    let mut bytes = std::fs::read(journal_path(&path)).unwrap();
    bytes[30] ^= 1;
    std::fs::write(journal_path(&path), bytes).unwrap();
    let text = refusal(&path);
    assert!(
        text.contains("c.npz.journal") && text.contains("missing"),
        "{text}"
    );
}

/// A cache of photo 0 with a journal of photos 1 to 4, one flush each; the
/// journal's bytes and where each of its last four records begins.
fn with_journal(path: &Path) -> (Vec<u8>, Vec<usize>) {
    written(path, 1);
    let mut writer = CacheWriter::open(path, &meta(), "t").unwrap();
    let mut starts = Vec::new();
    for i in 1..5 {
        let len = std::fs::metadata(journal_path(path)).map_or(0, |m| m.len());
        starts.push(len as usize);
        writer.put(photo(i)).unwrap();
        writer.flush().unwrap();
    }
    drop(writer);
    (std::fs::read(journal_path(path)).unwrap(), starts)
}

fn kept_aside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = journal_path(path).into_os_string();
    name.push(suffix);
    name.into()
}

#[test]
fn records_behind_damage_survive_the_next_writer() {
    let (_dir, path) = place();
    let (mut bytes, starts) = with_journal(&path);
    // A length beyond the end, and the next record damaged as well.
    bytes[starts[1] + 3] = 0x0f;
    bytes[starts[2] + 20] ^= 1;
    std::fs::write(journal_path(&path), &bytes).unwrap();
    let writer = CacheWriter::open(&path, &meta(), "t").unwrap();
    let notes = writer.load_report().notes(&path);
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("damaged in 1 places"), "{notes:?}");
    assert!(writer.load_report().kept_aside.is_none());
    let cache = writer.finish().unwrap();
    let there = |i| cache.file(&photo(i).path).is_some();
    assert_eq!([0, 1, 2, 3, 4].map(there), [true, true, false, false, true]);
}

#[test]
fn an_end_that_no_kill_leaves_is_kept_before_it_is_cut() {
    let (_dir, path) = place();
    let (mut bytes, starts) = with_journal(&path);
    bytes[starts[3] + 20] ^= 1;
    for suffix in [".damaged", ".damaged-2"] {
        std::fs::write(journal_path(&path), &bytes).unwrap();
        let notes = load(&path).unwrap().1.notes(&path);
        assert!(notes[0].contains("is damaged"), "{notes:?}");
        let writer = CacheWriter::open(&path, &meta(), "t").unwrap();
        let kept = kept_aside(&path, suffix);
        assert_eq!(writer.load_report().kept_aside.as_ref(), Some(&kept));
        let notes = writer.load_report().notes(&path);
        assert!(notes[0].contains(suffix), "{notes:?}");
        assert_eq!(writer.cache().n_files(), 4);
        assert_eq!(std::fs::read(&kept).unwrap(), bytes[starts[3]..]);
        let len = std::fs::metadata(journal_path(&path)).unwrap().len();
        assert_eq!(len, starts[3] as u64);
    }
}

#[test]
fn a_torn_end_is_cut_without_a_trace() {
    let (dir, path) = place();
    let (bytes, starts) = with_journal(&path);
    for len in [starts[3] + 1, starts[3] + 9, bytes.len() - 1] {
        std::fs::write(journal_path(&path), &bytes[..len]).unwrap();
        let writer = CacheWriter::open(&path, &meta(), "t").unwrap();
        assert!(writer.load_report().kept_aside.is_none());
        let notes = writer.load_report().notes(&path);
        assert!(notes[0].contains("was cut short"), "{notes:?}");
        drop(writer);
        let names = std::fs::read_dir(dir.path()).unwrap();
        let damaged = names.filter(|e| {
            let name = e.as_ref().unwrap().file_name();
            name.to_string_lossy().contains("damaged")
        });
        assert_eq!(damaged.count(), 0);
    }
}

#[test]
fn a_damaged_journal_without_a_cache_is_kept_before_it_is_begun_anew() {
    let (_dir, path) = place();
    let mut writer = CacheWriter::open(&path, &meta(), "t").unwrap();
    writer.put(photo(0)).unwrap();
    writer.flush().unwrap();
    drop(writer);
    let mut bytes = std::fs::read(journal_path(&path)).unwrap();
    bytes[..12].fill(0);
    std::fs::write(journal_path(&path), &bytes).unwrap();
    let writer = CacheWriter::open(&path, &meta(), "t").unwrap();
    let kept = kept_aside(&path, ".damaged");
    assert_eq!(std::fs::read(&kept).unwrap(), bytes);
    assert_eq!(writer.load_report().kept_aside.as_ref(), Some(&kept));
    assert!(!writer.load_report().notes(&path).is_empty());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]

    /// Whatever is overwritten, what lies wholly outside is there afterwards.
    #[test]
    fn overwritten_bytes_cost_only_the_records_they_are_in(
        from in 0.0..1.0f64,
        garbage in proptest::collection::vec(proptest::prelude::any::<u8>(), 1..300),
    ) {
        let (_dir, path) = place();
        let (mut bytes, mut bounds) = with_journal(&path);
        bounds[0] = 12;
        bounds.push(bytes.len());
        let from = 12 + (from * (bytes.len() - 12) as f64) as usize;
        let to = (from + garbage.len()).min(bytes.len());
        bytes[from..to].copy_from_slice(&garbage[..to - from]);
        std::fs::write(journal_path(&path), &bytes).unwrap();
        let cache = CacheWriter::open(&path, &meta(), "t").unwrap().finish().unwrap();
        for (i, range) in (1..5).zip(bounds.windows(2)) {
            let is_hit = from < range[1] && to > range[0];
            let found = cache.file(&photo(i).path);
            proptest::prop_assert!(is_hit || found == Some(&photo(i)), "photo {i}");
            proptest::prop_assert!(found.is_none() || found == Some(&photo(i)));
        }
    }
}

#[cfg(unix)]
#[test]
fn an_unwritable_place_is_named() {
    let (dir, _) = place();
    let plain = dir.path().join("plain");
    std::fs::write(&plain, b"").unwrap();
    let text = CacheWriter::open(&plain.join("c.npz"), &meta(), "t")
        .unwrap_err()
        .to_string();
    assert!(text.contains("plain"), "{text}");
}
