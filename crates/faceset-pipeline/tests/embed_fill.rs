//! Embedding without models: the same cache whatever the workers, the order of
//! the sources or of the queue; every input in one bucket.

#![allow(clippy::unwrap_used, reason = "helpers of a test")]

mod finder;

use std::path::{Path, PathBuf};
use std::time::Duration;

use faceset_cache::load;
use faceset_core::{CancelToken, hash_bytes};
use faceset_pipeline::PipelineError;
use faceset_pipeline::embed::queue::{self, QueueOptions, QueueReport};
use faceset_pipeline::embed::{EmbedOptions, EmbedReport, run_with};
use faceset_queue::{
    Derivative, PathStyle, PortablePath, QueueDir, QueueHead, QueueItem, RootId, RootPaths, Shard,
};
use finder::{Drawn, ctx, library, meta, quick, save};

fn embed(sources: &[&Path], cache: &Path, n_workers: usize) -> EmbedReport {
    embed_with(sources, cache, n_workers, false)
}

fn embed_with(sources: &[&Path], cache: &Path, n_workers: usize, verify: bool) -> EmbedReport {
    let sources: Vec<PathBuf> = sources.iter().map(|s| s.to_path_buf()).collect();
    let options = EmbedOptions {
        flush_every: 7,
        verify,
        ..EmbedOptions::new(sources, cache.to_path_buf())
    };
    let cancel = CancelToken::default();
    let report = run_with(&options, &meta(), || Ok(quick()), ctx(&cancel, n_workers)).unwrap();
    assert_eq!(report.accounted(), report.seen, "{report:?}");
    report
}

#[test]
fn the_number_of_workers_changes_no_byte() {
    let dir = tempfile::tempdir().unwrap();
    let photos = dir.path().join("photos");
    library(&photos, 60);
    let caches: Vec<Vec<u8>> = [1, 2, 5, 16]
        .into_iter()
        .map(|n_workers| {
            let cache = dir.path().join(format!("{n_workers}.npz"));
            let report = embed(&[&photos], &cache, n_workers);
            assert_eq!((report.seen, report.duplicates), (67, 6));
            assert_eq!((report.noface, report.embedded), (20, 40));
            assert_eq!(report.failed.len(), 1);
            std::fs::read(cache).unwrap()
        })
        .collect();
    assert!(caches.iter().all(|bytes| *bytes == caches[0]));
}

#[test]
fn the_order_of_sources_changes_no_byte_and_nothing_is_seen_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    library(&a, 20);
    library(&b, 30);
    let (ab, ba) = (dir.path().join("ab.npz"), dir.path().join("ba.npz"));
    let report = embed(&[&a, &b, &a.join("01")], &ab, 2);
    embed(&[&b, &a], &ba, 3);
    assert_eq!(report.seen, 23 + 34);
    let strip = |path: &Path| {
        let (cache, _) = load(path).unwrap();
        let files: Vec<_> = cache.files().cloned().collect();
        let aliases: Vec<_> = cache
            .aliases()
            .map(|(a, c)| (a.clone(), c.clone()))
            .collect();
        (files, aliases)
    };
    assert_eq!(strip(&ab), strip(&ba));
}

/// M18 of the original tool: sources one after the other, aliases kept.
#[test]
fn sources_embedded_one_after_another_keep_their_aliases() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("z_first"), dir.path().join("a_second"));
    library(&first, 12);
    library(&second, 15);
    let cache = dir.path().join("faces.npz");
    embed(&[&first], &cache, 2);
    let report = embed(&[&second], &cache, 2);
    // 12 known contents, one of them (3) also as a copy; a copy of a new one (13).
    assert_eq!((report.known, report.duplicates), (0, 12 + 1 + 1));
    assert_eq!(report.embedded + report.noface, 3);
    let (loaded, _) = load(&cache).unwrap();
    let canonical = loaded
        .by_hash(&hash_bytes(
            &std::fs::read(first.join("03/0003.png")).unwrap(),
        ))
        .unwrap();
    // The first run's canonical path stays, though the second sorts before it.
    assert!(canonical.path.as_str().contains("z_first"));
    assert_eq!(loaded.places(&canonical.path).len(), 4);
    assert_eq!(loaded.meta().src_roots.len(), 2);
    let before = std::fs::read(&cache).unwrap();
    let again = embed(&[&first], &cache, 2);
    assert_eq!(again.known, 12 + 1, "{again:?}");
    embed(&[&second], &cache, 2);
    assert_eq!(std::fs::read(&cache).unwrap(), before);
}

#[test]
fn verify_finds_what_size_and_time_hide() {
    let dir = tempfile::tempdir().unwrap();
    let photos = dir.path().join("photos");
    // BMP: other pixels, the same number of bytes.
    let photo = photos.join("a.bmp");
    save(&photo, 4);
    let cache = dir.path().join("faces.npz");
    embed(&[&photos], &cache, 1);
    let time = std::fs::metadata(&photo).unwrap().modified().unwrap();
    save(&photo, 5);
    std::fs::File::options()
        .write(true)
        .open(&photo)
        .unwrap()
        .set_modified(time)
        .unwrap();
    assert_eq!(embed(&[&photos], &cache, 1).known, 1);
    let report = embed_with(&[&photos], &cache, 1, true);
    assert_eq!((report.known, report.faces), (0, 2));
    assert_eq!(embed_with(&[&photos], &cache, 1, true).known, 1);
}

/// Size and time as before, and another file.
#[test]
fn another_file_in_a_photos_place_is_found_by_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let photos = dir.path().join("photos");
    let photo = photos.join("a.bmp");
    save(&photo, 4);
    save(&photos.join("b.bmp"), 7);
    let cache = dir.path().join("faces.npz");
    embed(&[&photos], &cache, 1);
    let numbers = dir.path().join("faces.npz.numbers");
    let first = std::fs::read(&numbers).unwrap();
    let time = std::fs::metadata(&photo).unwrap().modified().unwrap();
    // Made beside it, so that it can't get the same number.
    let other = dir.path().join("other.bmp");
    save(&other, 5);
    std::fs::File::options()
        .write(true)
        .open(&other)
        .unwrap()
        .set_modified(time)
        .unwrap();
    std::fs::rename(&other, &photo).unwrap();
    let options = EmbedOptions::new(vec![photos.clone()], cache.clone());
    let cancel = CancelToken::default();
    let plan = faceset_pipeline::embed::plan(&options, ctx(&cancel, 1)).unwrap();
    assert_eq!((plan.known, plan.to_read.len()), (1, 1));
    let report = embed(&[&photos], &cache, 1);
    assert_eq!((report.known, report.faces), (1, 2));
    assert_ne!(std::fs::read(&numbers).unwrap(), first);
    assert_eq!(embed(&[&photos], &cache, 1).known, 2);

    // Without the numbers, size and time decide; they are noted again.
    std::fs::remove_file(&numbers).unwrap();
    assert_eq!(embed(&[&photos], &cache, 1).known, 2);
    assert!(numbers.exists());
    std::fs::write(&numbers, b"fsfnum\r\nscrap").unwrap();
    assert_eq!(embed(&[&photos], &cache, 1).known, 2);
}

#[test]
fn a_second_look_takes_up_photos_without_a_face_once() {
    let dir = tempfile::tempdir().unwrap();
    let photos = dir.path().join("photos");
    // 0, 3, 6, 9 have no face at first; 3 and 9 show one to a second look, and
    // 3 has a copy that sorts before it.
    library(&photos, 10);
    let look = |cache: &Path, look_again| {
        let options = EmbedOptions {
            look_again,
            ..EmbedOptions::new(vec![photos.clone()], cache.to_path_buf())
        };
        let cancel = CancelToken::default();
        let finder = || {
            Ok(Drawn {
                look_again,
                ..quick()
            })
        };
        let report = run_with(&options, &meta(), finder, ctx(&cancel, 3)).unwrap();
        assert_eq!(report.accounted(), report.seen, "{report:?}");
        report
    };
    let (later, at_once) = (dir.path().join("later.npz"), dir.path().join("once.npz"));
    let first = look(&later, false);
    assert_eq!((first.embedded, first.noface, first.duplicates), (6, 4, 1));
    assert_eq!(first.second_looks(), None);
    let second = look(&later, true);
    assert_eq!((second.embedded, second.noface), (2, 2));
    assert_eq!(second.rescued, [("turned-90".to_owned(), 2)].into());
    assert_eq!((second.rescued_in_vain, second.faces), (2, 2));
    assert_eq!(
        second.second_looks().unwrap(),
        "photos looked at again: 4, with faces now: 2 (turned-90 2)"
    );
    let third = look(&later, true);
    assert_eq!(third.rescued_in_vain + third.embedded + third.noface, 0);

    // Looking again in the first run makes the same cache.
    let report = look(&at_once, true);
    assert_eq!((report.embedded, report.noface), (8, 2));
    let records = |path: &Path| -> Vec<_> { load(path).unwrap().0.files().cloned().collect() };
    assert_eq!(records(&later), records(&at_once));
    let sources: Vec<String> = records(&later).into_iter().map(|f| f.source).collect();
    let n_of = |what: &str| sources.iter().filter(|s| *s == what).count();
    assert_eq!(n_of("original+rescue:turned-90"), 2);
    assert_eq!(n_of("original+rescue:none"), 2);
    // Six with faces, one that is no picture.
    assert_eq!(n_of("original"), 7);
}

#[test]
fn a_lost_device_ends_the_run_and_costs_no_photo() {
    let dir = tempfile::tempdir().unwrap();
    let photos = dir.path().join("photos");
    for n in 0..9 {
        save(&photos.join(format!("{n}.png")), n);
    }
    let (cache, calm) = (dir.path().join("faces.npz"), dir.path().join("calm.npz"));
    let options = EmbedOptions::new(vec![photos.clone()], cache.clone());
    let cancel = CancelToken::default();
    let fragile = || {
        Ok(Drawn {
            lost_at: Some(4),
            ..quick()
        })
    };
    let error = run_with(&options, &meta(), fragile, ctx(&cancel, 2)).unwrap_err();
    assert!(matches!(error, PipelineError::DeviceLost { .. }), "{error}");
    assert!(error.to_string().contains("--provider cpu"));
    let (half, _) = load(&cache).unwrap();
    assert_eq!(half.n_files(), 4);
    assert_eq!(half.failed().count(), 0);
    embed(&[&photos], &cache, 2);
    embed(&[&photos], &calm, 1);
    assert_eq!(std::fs::read(cache).unwrap(), std::fs::read(calm).unwrap());
}

/// A queue over the photos of a folder, in the order given.
struct Staged {
    _dir: tempfile::TempDir,
    root: PathBuf,
    queue: QueueDir,
}

/// Its root names photos as if they were staged on another machine.
fn head() -> QueueHead {
    let paths = RootPaths::new("/mnt/x/alice".to_owned(), None).unwrap();
    QueueHead::new("Alice", RootId::new("alice").unwrap(), paths)
}

fn item(root: &Path, rel: &str) -> QueueItem {
    let bytes = std::fs::read(root.join(rel)).unwrap();
    QueueItem {
        root: RootId::new("alice").unwrap(),
        rel: PortablePath::new(rel).unwrap(),
        sha256: hash_bytes(&bytes),
        sha1: None,
        size: bytes.len() as u64,
        asset_id: String::new(),
        owner_id: String::new(),
        original_path: String::new(),
        taken_at: Some("2019-05-06T07:08:09".to_owned()),
        width: 0,
        height: 0,
        rendered: None,
    }
}

fn staged(order: impl IntoIterator<Item = u32>) -> Staged {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("photos");
    let queue = QueueDir::new(dir.path().join("queue"));
    queue.write_head(&head()).unwrap();
    let mut items = queue.append_items().unwrap();
    for n in order {
        let rel = format!("{}/{n}.png", n % 3);
        // 100 and 200 are the same photo.
        save(&root.join(&rel), if n == 200 { 100 } else { n });
        items.append(&item(&root, &rel)).unwrap();
    }
    drop(items);
    Staged {
        _dir: dir,
        root,
        queue,
    }
}

fn options(staged: &Staged, cache: &Path) -> QueueOptions {
    let said = format!("alice={}", staged.root.display());
    QueueOptions {
        roots: [said.parse().unwrap()].into_iter().collect(),
        flush_every: 3,
        ..QueueOptions::new(staged.queue.clone(), cache.to_path_buf())
    }
}

fn work(options: &QueueOptions, n_workers: usize) -> Result<QueueReport, PipelineError> {
    let cancel = CancelToken::default();
    let report = queue::run_with(options, &meta(), || Ok(quick()), ctx(&cancel, n_workers))?;
    assert_eq!(report.embed.accounted(), report.embed.seen, "{report:?}");
    Ok(report)
}

#[test]
fn the_order_of_a_queue_and_its_workers_change_no_byte() {
    let dir = tempfile::tempdir().unwrap();
    let mut caches = Vec::new();
    let all = [100, 5, 31, 200, 8, 2, 7, 40];
    let mut reversed = all;
    reversed.reverse();
    for (nth, (order, n_workers)) in [(all, 1), (reversed, 3), (all, 4)].into_iter().enumerate() {
        let staged = staged(order);
        let cache = dir.path().join(format!("{nth}.npz"));
        let report = work(&options(&staged, &cache), n_workers).unwrap();
        assert_eq!(report.embed.duplicates, 1);
        assert_eq!(report.embed.embedded + report.embed.noface, 7);
        caches.push(std::fs::read(&cache).unwrap());
        let again = work(&options(&staged, &cache), n_workers).unwrap();
        assert_eq!(again.embed.known, 8);
        assert_eq!(std::fs::read(&cache).unwrap(), caches[nth]);
    }
    assert!(caches.iter().all(|bytes| *bytes == caches[0]));
    let (cache, _) = load(&dir.path().join("0.npz")).unwrap();
    let first = cache.files().next().unwrap();
    assert_eq!(first.path.as_str(), "/mnt/x/alice/1/100.png");
    assert_eq!(first.mtime_ns, 0, "no time of this machine");
    assert_eq!(first.taken, "", "an original says its own time or none");
    let roots: Vec<_> = cache.meta().src_roots.iter().collect();
    assert_eq!(roots, ["/mnt/x/alice"]);
}

#[test]
fn parts_of_a_queue_are_together_the_whole_and_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let staged = staged(0..40);
    let mut hashes = Vec::new();
    for index in 1..=3 {
        let cache = dir.path().join(format!("{index}.npz"));
        let report = work(
            &QueueOptions {
                shard: Shard::new(index, 3).unwrap(),
                ..options(&staged, &cache)
            },
            2,
        )
        .unwrap();
        assert_eq!(report.embed.seen + report.other_parts, 40);
        assert!(report.embed.seen > 0);
        let (cache, _) = load(&cache).unwrap();
        hashes.extend(cache.files().map(|f| f.sha256));
    }
    assert_eq!(hashes.len(), 40);
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), 40);
}

#[test]
fn bytes_that_are_not_those_staged_are_stale_and_never_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let staged = staged([1, 2, 4, 5]);
    // Other bytes of the same length, other length, gone.
    let mut same_size = std::fs::read(staged.root.join("1/1.png")).unwrap();
    let last = same_size.len() - 1;
    same_size[last] ^= 1;
    std::fs::write(staged.root.join("1/1.png"), same_size).unwrap();
    std::fs::write(staged.root.join("2/2.png"), b"short").unwrap();
    std::fs::remove_file(staged.root.join("1/4.png")).unwrap();
    let cache = dir.path().join("faces.npz");
    let report = work(&options(&staged, &cache), 2).unwrap();
    assert_eq!(report.embed.seen, 4);
    let stale: Vec<_> = report.embed.stale.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(stale, ["/mnt/x/alice/1/1.png", "/mnt/x/alice/2/2.png"]);
    assert!(report.embed.stale[1].reason.contains("5 bytes"));
    assert_eq!(report.embed.failed.len(), 1);
    assert_eq!(report.embed.embedded, 1);
    // Staged again: the next run takes it, and the one that came back.
    save(&staged.root.join("1/1.png"), 1);
    save(&staged.root.join("2/2.png"), 2);
    save(&staged.root.join("1/4.png"), 4);
    let report = work(&options(&staged, &cache), 2).unwrap();
    assert_eq!((report.embed.known, report.embed.embedded), (1, 3));
    let calm = dir.path().join("calm.npz");
    work(&options(&staged, &calm), 1).unwrap();
    assert_eq!(std::fs::read(cache).unwrap(), std::fs::read(calm).unwrap());
}

#[test]
fn what_a_server_rendered_says_so_and_takes_its_time_from_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let staged = staged([1]);
    let mut items = staged.queue.append_items().unwrap();
    items
        .append(&QueueItem {
            rendered: Some(Derivative::Preview),
            ..item(&staged.root, "1/1.png")
        })
        .unwrap();
    drop(items);
    let cache = dir.path().join("faces.npz");
    let report = work(&options(&staged, &cache), 1).unwrap();
    assert_eq!((report.embed.seen, report.replaced), (1, 1));
    let (cache, _) = load(&cache).unwrap();
    let file = cache.files().next().unwrap();
    assert_eq!(file.source, "preview");
    assert_eq!(file.taken, "2019-05-06T07:08:09");
}

#[test]
fn a_root_that_is_nowhere_stops_the_run_before_anything_is_counted_as_bad() {
    let dir = tempfile::tempdir().unwrap();
    let staged = staged([1]);
    let cache = dir.path().join("faces.npz");
    let with = |roots: &[&str], style| QueueOptions {
        roots: roots.iter().map(|r| r.parse().unwrap()).collect(),
        style,
        ..options(&staged, &cache)
    };
    let error = work(&with(&[], PathStyle::Posix), 1)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/mnt/x/alice") && error.contains("--root alice=PATH"),
        "{error}"
    );
    let error = work(&with(&[], PathStyle::Windows), 1)
        .unwrap_err()
        .to_string();
    assert!(error.contains(r"X:\alice"), "{error}");
    let error = work(&with(&["bob=/x"], PathStyle::Posix), 1)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("bob") && error.contains("queue.json"),
        "{error}"
    );
    assert!(!cache.exists());
}

#[test]
fn a_stop_file_ends_the_run_with_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let staged = staged(0..60);
    let (cache, calm) = (dir.path().join("faces.npz"), dir.path().join("calm.npz"));
    let options_ = options(&staged, &cache);
    let cancel = CancelToken::default();
    let stop = staged.queue.stop_path();
    let slow = || {
        std::fs::write(&stop, "").unwrap();
        Ok(Drawn {
            pause: Duration::from_millis(2),
            ..quick()
        })
    };
    let error = queue::run_with(&options_, &meta(), slow, ctx(&cancel, 2)).unwrap_err();
    assert!(error.is_interruption(), "{error}");
    let (half, _) = load(&cache).unwrap();
    assert!((1..60).contains(&half.n_files()), "{}", half.n_files());
    // It stays until somebody removes it.
    let error = work(&options_, 2).unwrap_err();
    assert!(error.to_string().contains("embed.stop"), "{error}");
    std::fs::remove_file(&stop).unwrap();
    work(&options_, 2).unwrap();
    work(&options(&staged, &calm), 1).unwrap();
    assert_eq!(std::fs::read(cache).unwrap(), std::fs::read(calm).unwrap());
}

#[test]
fn a_second_worker_of_the_same_part_learns_who_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let staged = staged([1]);
    let _held = staged
        .queue
        .lock_embedding(Shard::ALL, "embed-worker, process 7")
        .unwrap();
    let error = work(&options(&staged, &dir.path().join("faces.npz")), 1).unwrap_err();
    assert!(error.to_string().contains("embed.lock"), "{error}");
}

#[test]
fn rows_that_cannot_be_used_are_counted_and_cost_only_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let staged = staged([1, 2]);
    let mut items = staged.queue.append_items().unwrap();
    items
        .append(&QueueItem {
            rel: PortablePath::new("1/1.PNG").unwrap(),
            ..item(&staged.root, "1/1.png")
        })
        .unwrap();
    drop(items);
    let path = staged.queue.items_path();
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str("{\"root\": \"alice\", \"rel\": \"../../etc/passwd\"}\n{\"half\": ");
    std::fs::write(&path, text).unwrap();
    let report = work(&options(&staged, &dir.path().join("faces.npz")), 1).unwrap();
    assert_eq!(report.embed.seen, 2);
    let reasons: Vec<_> = report.refused.iter().map(|p| p.reason.as_str()).collect();
    assert!(reasons[0].contains("../../etc/passwd"), "{reasons:?}");
    assert!(reasons[1].contains("case only"), "{reasons:?}");
}
