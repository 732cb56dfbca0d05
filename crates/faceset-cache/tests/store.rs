//! What a cache keeps, over flushes, compactions and crashes.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{content, content_at, enrichment, meta, photo, written};
use faceset_cache::{Cache, CacheError, CacheWriter, Compaction, journal_path, load, peek};
use faceset_core::FileStatus;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

struct Place {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("work/cache/nl_full.npz");
    Place { _dir: dir, path }
}

fn open(path: &std::path::Path) -> CacheWriter {
    CacheWriter::open(path, &meta(), "test").unwrap()
}

#[test]
fn everything_put_comes_back_from_journal_and_from_npz() {
    let at = place();
    let mut writer = open(&at.path);
    for i in 0..30 {
        writer.put(photo(i)).unwrap();
    }
    let known = photo(0);
    writer
        .add_alias(&known.path, "/other/copy.jpg".into(), 7)
        .unwrap();
    writer
        .enrich(&photo(1).path, 0, enrichment(1, true))
        .unwrap();
    writer
        .enrich(&photo(1).path, 1, enrichment(2, false))
        .unwrap();
    let before = content(writer.cache());
    let report = writer.flush().unwrap();
    assert_eq!(report.records, 33);
    assert!(!at.path.exists(), "a flush writes the journal alone");
    assert_eq!(content_at(&at.path), before);

    let cache = writer.finish().unwrap();
    assert_eq!(content(&cache), before);
    let (back, report) = load(&at.path).unwrap();
    assert_eq!(content(&back), before);
    assert_eq!((report.schema, report.journal), (Some(1), None));
    assert_eq!(peek(&at.path).unwrap(), meta());
    assert!(!journal_path(&at.path).exists());
}

#[test]
fn an_empty_cache_round_trips() {
    let at = place();
    open(&at.path).finish().unwrap();
    let (cache, _) = load(&at.path).unwrap();
    assert_eq!((cache.n_files(), cache.n_faces()), (0, 0));
    assert_eq!(cache.embeddings().dim(), (0, common::DIM));
}

#[test]
fn a_second_run_adds_to_the_first() {
    let at = place();
    written(&at.path, 10);
    let mut writer = open(&at.path);
    assert_eq!(writer.cache().n_files(), 10);
    for i in 10..20 {
        writer.put(photo(i)).unwrap();
    }
    writer.finish().unwrap();
    let fresh = place();
    written(&fresh.path, 20);
    assert_eq!(
        std::fs::read(&at.path).unwrap(),
        std::fs::read(&fresh.path).unwrap()
    );
}

#[test]
fn a_run_without_news_leaves_the_file_alone() {
    let at = place();
    written(&at.path, 5);
    let old = std::fs::metadata(&at.path).unwrap().modified().unwrap();
    let mut writer = open(&at.path);
    assert!(!writer.compact().unwrap().rewritten);
    writer.finish().unwrap();
    assert_eq!(
        std::fs::metadata(&at.path).unwrap().modified().unwrap(),
        old
    );
}

#[test]
fn a_flush_costs_what_is_new() {
    let at = place();
    written(&at.path, 200);
    let mut writer = open(&at.path);
    writer.put(photo(1000)).unwrap();
    let first = writer.flush().unwrap().bytes;
    writer.put(photo(1000)).unwrap();
    let second = writer.flush().unwrap().bytes;
    let npz = std::fs::metadata(&at.path).unwrap().len();
    // The first also begins the journal with the meta.
    assert!(second <= first && second < 4000, "{first} {second} {npz}");
    assert_eq!(writer.flush().unwrap().bytes, 0);
}

#[test]
fn a_large_journal_is_compacted_when_asked_for() {
    let at = place();
    let mut writer = open(&at.path).with_compaction(Compaction::WhenLarge { min_bytes: 3000 });
    writer.put(photo(4)).unwrap();
    assert_eq!(writer.flush().unwrap().compacted, None);
    for i in 0..20 {
        writer.put(photo(i)).unwrap();
    }
    let compacted = writer.flush().unwrap().compacted.unwrap();
    assert!(compacted.rewritten && compacted.bytes > 0);
    assert_eq!(std::fs::metadata(journal_path(&at.path)).unwrap().len(), 0);
    writer.put(photo(21)).unwrap();
    writer.flush().unwrap();
    let before = content(writer.cache());
    drop(writer);
    assert_eq!(content_at(&at.path), before);
}

#[test]
fn the_second_writer_is_told_who_holds_it_and_readers_are_not_stopped() {
    let at = place();
    let mut writer = CacheWriter::open(&at.path, &meta(), "embed, process 7").unwrap();
    writer.put(photo(0)).unwrap();
    writer.flush().unwrap();
    let error = CacheWriter::open(&at.path, &meta(), "second").unwrap_err();
    assert!(error.to_string().contains("nl_full.npz.lock"), "{error}");
    if cfg!(unix) {
        assert!(error.to_string().contains("embed, process 7"), "{error}");
    }
    assert_eq!(load(&at.path).unwrap().0.n_files(), 1);
    drop(writer);
    open(&at.path);
}

#[test]
fn another_packs_cache_is_refused_and_untouched() {
    let at = place();
    written(&at.path, 3);
    let bytes = std::fs::read(&at.path).unwrap();
    let mut theirs = meta();
    theirs.pack.name = "antelopev2".into();
    theirs.pack.digest = "fedcba".into();
    let text = CacheWriter::open(&at.path, &theirs, "t")
        .unwrap_err()
        .to_string();
    for part in [
        "synthetic",
        "antelopev2",
        "nl_full.npz",
        "another cache path",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(std::fs::read(&at.path).unwrap(), bytes);
}

#[test]
fn a_bad_record_is_refused_and_the_rest_goes_on() {
    let at = place();
    let mut writer = open(&at.path);
    let mut bad = photo(0);
    let FileStatus::Faces(faces) = &mut bad.status else {
        unreachable!("photo 0 has faces")
    };
    faces[0].embedding[2] = f32::NAN;
    assert!(matches!(writer.put(bad), Err(CacheError::BadRecord { .. })));
    writer.put(photo(1)).unwrap();
    let unknown = "/no.jpg".into();
    assert!(writer.add_alias(&unknown, "/a.jpg".into(), 0).is_err());
    assert!(writer.touch(&unknown, 1).is_err());
    assert!(writer.remove(&unknown).is_err());
    let n = writer.cache().file(&photo(1).path).unwrap().faces().len();
    assert!(
        writer
            .enrich(&photo(1).path, n, enrichment(1, true))
            .is_err()
    );
    assert_eq!(writer.n_pending(), 1);
    assert_eq!(writer.finish().unwrap().n_files(), 1);
}

#[test]
fn what_is_forgotten_leaves_no_bytes_behind() {
    let at = place();
    written(&at.path, 6);
    let mut writer = open(&at.path);
    // The secret is in the npz and in the journal: put it again.
    writer.put(photo(1)).unwrap();
    writer.put(photo(7)).unwrap();
    writer.flush().unwrap();
    let secret = photo(1);
    let key = secret.key(&secret.faces()[0]);
    let plan = writer.cache().plan_forget(&[key], &[photo(7).path]);
    let report = writer.forget(&plan).unwrap();
    assert_eq!(
        (report.n_faces, report.n_files),
        (1 + photo(7).faces().len(), 1)
    );
    drop(writer);

    let (cache, report) = load(&at.path).unwrap();
    assert_eq!(
        cache.file(&secret.path).unwrap().faces().len(),
        secret.faces().len() - 1
    );
    assert!(cache.file(&photo(7).path).is_none());
    assert_eq!(report.journal.unwrap().records, 0);
    let needle: Vec<u8> = secret.faces()[0]
        .embedding
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    for entry in std::fs::read_dir(at.path.parent().unwrap()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(needle.len()).any(|w| w == needle));
    }
}

#[test]
fn a_missing_cache_says_how_to_make_one() {
    let at = place();
    let text = load(&at.path).unwrap_err().to_string();
    assert!(
        text.contains("nl_full.npz") && text.contains("embed"),
        "{text}"
    );
    assert!(matches!(peek(&at.path), Err(CacheError::Missing { .. })));
}

#[test]
fn cache_is_usable_across_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Cache>();
}

#[test]
fn readers_see_a_prefix_while_a_writer_flushes_and_compacts() {
    const N: u64 = 120;
    let at = place();
    let mut writer = open(&at.path);
    writer.put(photo(0)).unwrap();
    writer.flush().unwrap();
    let writing = AtomicBool::new(true);
    std::thread::scope(|scope| {
        // A writer that panics ends the reader too.
        let _ends_the_reader = OnDrop(&writing);
        let reader = scope.spawn(|| {
            let (mut n_before, mut n_loads) = (1, 0);
            while n_before < N && writing.load(Ordering::Relaxed) {
                let cache = match load(&at.path) {
                    Ok((cache, _)) => cache,
                    // Said so and asked to try again; this writer never rests.
                    Err(CacheError::Changing { .. }) => continue,
                    Err(e) => panic!("failed to {e}"),
                };
                let n = cache.n_files() as u64;
                assert!(n >= n_before, "{n} after {n_before}");
                for i in 0..n {
                    assert_eq!(cache.file(&photo(i).path), Some(&photo(i)));
                }
                (n_before, n_loads) = (n, n_loads + 1);
            }
            n_loads
        });
        for i in 1..N {
            writer.put(photo(i)).unwrap();
            writer.flush().unwrap();
            if i % 3 == 0 {
                writer.compact().unwrap();
            }
        }
        assert!(reader.join().unwrap() > 3);
    });
}

struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
