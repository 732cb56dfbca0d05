//! The files of a queue folder: order, damage, kills, versions, editors.

#![allow(clippy::unwrap_used, reason = "helpers of a test")]

use std::path::PathBuf;

use faceset_core::hash_bytes;
#[cfg(target_os = "linux")]
use faceset_queue::Appender;
use faceset_queue::{
    AliasRow, Derivative, PathStyle, PortablePath, QueueDir, QueueError, QueueHead, QueueItem,
    RootId, RootOverrides, RootPaths, StageStatus, StateRow, latest_states, read_rows, read_users,
    write_users,
};
use faceset_testkit::repo_root;

fn root_id() -> RootId {
    RootId::new("alice").unwrap()
}

fn head() -> QueueHead {
    let root = RootPaths::from_local("/mnt/x/alice", PathStyle::Posix).unwrap();
    QueueHead::new("Alice", root_id(), root)
}

fn item(rel: &str, bytes: &[u8]) -> QueueItem {
    QueueItem {
        root: root_id(),
        rel: PortablePath::new(rel).unwrap(),
        sha256: hash_bytes(bytes),
        sha1: None,
        size: bytes.len() as u64,
        asset_id: format!("asset of {rel}"),
        owner_id: String::new(),
        original_path: String::new(),
        taken_at: None,
        width: 0,
        height: 0,
        rendered: None,
    }
}

fn state(asset_id: &str, status: StageStatus) -> StateRow {
    StateRow {
        asset_id: asset_id.to_owned(),
        status,
        checksum: None,
        n_faces: 0,
        max_short: None,
        root: None,
        rel: None,
        reason: None,
        ts: "2026-01-02T03:04:05Z".to_owned(),
    }
}

struct Folder {
    _temp: tempfile::TempDir,
    dir: QueueDir,
}

fn folder() -> Folder {
    let temp = tempfile::tempdir().unwrap();
    let dir = QueueDir::new(temp.path().join("queue"));
    dir.write_head(&head()).unwrap();
    Folder { _temp: temp, dir }
}

fn rels(dir: &QueueDir) -> Vec<String> {
    let queue = dir.load().unwrap();
    queue.items.iter().map(|i| i.rel.to_string()).collect()
}

#[test]
fn items_come_back_in_the_order_they_were_staged() {
    let Folder { dir, _temp } = folder();
    let mut items = dir.append_items().unwrap();
    items.append(&item("b.jpg", b"1")).unwrap();
    items.append(&item("a.jpg", b"2")).unwrap();
    items.sync().unwrap();
    drop(items);
    let mut items = dir.append_items().unwrap();
    let full = QueueItem {
        sha1: Some("a9993e364706816aba3e25717850c26c9cd0d89d".parse().unwrap()),
        owner_id: "me".to_owned(),
        original_path: r"C:\x\ä.heic".to_owned(),
        taken_at: Some("2020-02-29T23:59:58".to_owned()),
        width: 4000,
        height: 3000,
        rendered: Some(Derivative::Preview),
        ..item("日本/ä.jpg", b"3")
    };
    items.append(&full).unwrap();
    items.sync().unwrap();
    let queue = dir.load().unwrap();
    assert_eq!(queue.items.len(), 3);
    assert_eq!(queue.items[0], item("b.jpg", b"1"));
    assert_eq!(queue.items[2], full);
    assert_eq!(
        queue.logical(&queue.items[2]).as_str(),
        "/mnt/x/alice/日本/ä.jpg"
    );
    assert_eq!(queue.report.n_rows, 3);
    let places = queue.places(&RootOverrides::default(), PathStyle::Windows);
    assert_eq!(
        places[0].1.as_ref().unwrap().file(&full.rel),
        r"X:\alice\日本\ä.jpg"
    );
}

#[test]
fn staging_again_replaces_and_a_clash_in_case_is_refused() {
    let Folder { dir, _temp } = folder();
    let mut items = dir.append_items().unwrap();
    for (rel, bytes) in [("a.jpg", b"1"), ("b.jpg", b"2"), ("a.jpg", b"3")] {
        items.append(&item(rel, bytes)).unwrap();
    }
    items.append(&item("B.JPG", b"4")).unwrap();
    items
        .append(&QueueItem {
            root: RootId::new("bob").unwrap(),
            ..item("c.jpg", b"5")
        })
        .unwrap();
    drop(items);
    let queue = dir.load().unwrap();
    assert_eq!(queue.items, [item("b.jpg", b"2"), item("a.jpg", b"3")]);
    assert_eq!(queue.refused.len(), 2);
    assert_eq!(queue.refused[0].line, 5, "line 1 is the head");
    assert!(queue.refused[0].reason.contains("case only"));
    assert!(queue.refused[1].reason.contains("`bob`"));
    // Every row is in one bucket: kept, refused, or replaced by a later one.
    assert_eq!(queue.report.n_rows, 2 + 2 + 1);
}

#[test]
fn a_kill_at_any_byte_costs_at_most_the_row_it_hit() {
    let Folder { dir, _temp } = folder();
    let mut items = dir.append_items().unwrap();
    let all = ["a.jpg", "é.jpg", "c.jpg"];
    for rel in all {
        items.append(&item(rel, rel.as_bytes())).unwrap();
    }
    drop(items);
    let whole = std::fs::read(dir.items_path()).unwrap();
    let ends: Vec<usize> = (1..=whole.len())
        .filter(|n| whole[n - 1] == b'\n')
        .collect();
    for cut in 0..=whole.len() {
        std::fs::write(dir.items_path(), &whole[..cut]).unwrap();
        // A row without its newline is whole too; its head has to be.
        let n_kept = ends[1..].iter().filter(|end| cut + 1 >= **end).count();
        assert_eq!(rels(&dir), &all[..n_kept], "reading at {cut}");
        drop(dir.append_items().unwrap());
        assert_eq!(rels(&dir), &all[..n_kept], "after mending at {cut}");
        let mut items = dir.append_items().unwrap();
        assert_eq!(items.cut_bytes(), 0, "mended once at {cut}");
        for rel in &all[n_kept..] {
            items.append(&item(rel, rel.as_bytes())).unwrap();
        }
        drop(items);
        assert_eq!(
            std::fs::read(dir.items_path()).unwrap(),
            whole,
            "resumed at {cut}"
        );
    }
}

#[test]
fn damage_between_rows_costs_only_itself_and_is_named() {
    let Folder { dir, _temp } = folder();
    let mut items = dir.append_items().unwrap();
    items.append(&item("a.jpg", b"1")).unwrap();
    drop(items);
    let mut bytes = std::fs::read(dir.items_path()).unwrap();
    bytes.extend_from_slice(b"\0\0\0\0\n");
    bytes.extend_from_slice(br#"{"root": "alice", "rel": "../evil.jpg"}"#);
    bytes.push(b'\n');
    bytes.extend(std::iter::repeat_n(b'x', (1 << 20) + 7));
    bytes.push(b'\n');
    std::fs::write(dir.items_path(), bytes).unwrap();
    let mut items = dir.append_items().unwrap();
    items.append(&item("b.jpg", b"2")).unwrap();
    drop(items);
    let queue = dir.load().unwrap();
    assert_eq!(queue.items.len(), 2);
    let damaged = &queue.report.damaged;
    assert_eq!(
        damaged.iter().map(|d| d.line).collect::<Vec<_>>(),
        [3, 4, 5]
    );
    assert!(damaged[1].reason.contains("../evil.jpg"), "{damaged:?}");
    assert!(damaged[2].reason.contains("longer"));
}

#[test]
fn a_torn_end_longer_than_a_line_is_cut_too() {
    let Folder { dir, _temp } = folder();
    let mut items = dir.append_items().unwrap();
    items.append(&item("a.jpg", b"1")).unwrap();
    drop(items);
    let whole = std::fs::read(dir.items_path()).unwrap();
    let mut bytes = whole.clone();
    bytes.extend(std::iter::repeat_n(b'{', (3 << 20) + 11));
    std::fs::write(dir.items_path(), &bytes).unwrap();
    assert_eq!(rels(&dir), ["a.jpg"]);
    let items = dir.append_items().unwrap();
    assert_eq!(items.cut_bytes(), (3 << 20) + 11);
    drop(items);
    assert_eq!(std::fs::read(dir.items_path()).unwrap(), whole);
}

#[test]
fn files_that_went_through_a_windows_editor_are_read_and_continued() {
    let Folder { dir, _temp } = folder();
    let mut items = dir.append_items().unwrap();
    items.append(&item("a.jpg", b"1")).unwrap();
    items.append(&item("b.jpg", b"2")).unwrap();
    drop(items);
    let text = std::fs::read_to_string(dir.items_path()).unwrap();
    let edited = format!("\u{FEFF}{}", text.replace('\n', "\r\n"));
    // Some editors drop the last line end.
    for edited in [edited.as_str(), edited.trim_end()] {
        std::fs::write(dir.items_path(), edited).unwrap();
        assert_eq!(rels(&dir), ["a.jpg", "b.jpg"]);
        let mut items = dir.append_items().unwrap();
        assert_eq!(items.cut_bytes(), 0);
        items.append(&item("c.jpg", b"3")).unwrap();
        drop(items);
        assert_eq!(rels(&dir), ["a.jpg", "b.jpg", "c.jpg"]);
    }
    let head = std::fs::read_to_string(dir.head_path()).unwrap();
    std::fs::write(
        dir.head_path(),
        format!("\u{FEFF}{}", head.replace('\n', "\r\n")),
    )
    .unwrap();
    assert_eq!(dir.load().unwrap().items.len(), 3);
}

#[test]
fn newer_and_foreign_files_are_refused_and_left_alone() {
    let Folder { dir, _temp } = folder();
    let newer = "{\"format\":\"faceset-queue-items\",\"version\":2}\n{\"new\":1}";
    std::fs::write(dir.items_path(), newer).unwrap();
    for error in [dir.load().unwrap_err(), dir.append_items().unwrap_err()] {
        assert!(
            matches!(
                error,
                QueueError::TooNew {
                    found: 2,
                    supported: 1,
                    ..
                }
            ),
            "{error}"
        );
    }
    assert_eq!(std::fs::read_to_string(dir.items_path()).unwrap(), newer);
    std::fs::copy(dir.items_path(), dir.state_path()).unwrap();
    let error = dir.append_state().unwrap_err().to_string();
    assert!(
        error.contains("faceset-queue-state") && error.contains("faceset-queue-items"),
        "{error}"
    );
    std::fs::write(dir.items_path(), "[1]\n").unwrap();
    assert!(matches!(
        dir.load().unwrap_err(),
        QueueError::NotThisFormat { .. }
    ));
    std::fs::write(dir.items_path(), b"\xFF\xFE{\0\n\0").unwrap();
    assert!(dir.load().unwrap_err().to_string().contains("UTF-16"));
    std::fs::write(dir.head_path(), "{\"version\": 9}").unwrap();
    let error = dir.load().unwrap_err().to_string();
    assert!(
        error.contains("version 9") && error.contains("queue.json"),
        "{error}"
    );
}

#[test]
fn what_a_head_holds_beside_is_kept() {
    let Folder { dir, _temp } = folder();
    let text = std::fs::read_to_string(dir.head_path()).unwrap();
    std::fs::write(
        dir.head_path(),
        text.replacen('{', "{\"note\": \"mine\",", 1),
    )
    .unwrap();
    let head = dir.read_head().unwrap();
    dir.write_head(&head).unwrap();
    assert_eq!(dir.read_head().unwrap().extra["note"], "mine");
}

#[test]
fn the_last_state_of_an_asset_counts_and_errors_are_not_final() {
    let Folder { dir, _temp } = folder();
    let mut states = dir.append_state().unwrap();
    states
        .append(&state("x", StageStatus::DownloadError))
        .unwrap();
    states.append(&state("y", StageStatus::NoFace)).unwrap();
    states.append(&state("x", StageStatus::Staged)).unwrap();
    drop(states);
    let (latest, report) = latest_states(&dir.state_path()).unwrap();
    assert_eq!(report.n_rows, 3);
    assert_eq!(latest["x"].status, StageStatus::Staged);
    assert!(latest["y"].status.is_final());
    assert!(!StageStatus::FacesError.is_final() && !StageStatus::DownloadError.is_final());
}

#[test]
fn users_are_read_in_the_old_form_and_written_in_ours() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("users.json");
    assert!(read_users(&path).unwrap().is_empty());
    std::fs::write(&path, r#"{"user A": "11-22", "version": "33"}"#).unwrap();
    let users = read_users(&path).unwrap();
    assert_eq!(users["user A"], "11-22");
    assert_eq!(users["version"], "33", "a user may be called so");
    write_users(&path, &users).unwrap();
    assert_eq!(read_users(&path).unwrap(), users);
    std::fs::write(&path, r#"{"version": 2, "users": {}}"#).unwrap();
    assert!(matches!(
        read_users(&path).unwrap_err(),
        QueueError::TooNew { .. }
    ));
    std::fs::write(&path, r#"{"user A": 7}"#).unwrap();
    assert!(
        read_users(&path)
            .unwrap_err()
            .to_string()
            .contains("users.json")
    );
}

#[test]
fn one_stager_at_a_time() {
    let Folder { dir, _temp } = folder();
    let _first = dir.lock_staging("immich-stage, process 7").unwrap();
    assert!(dir.lock_staging("second").is_err());
}

#[test]
fn a_queue_is_named_by_its_folder_or_its_head() {
    let Folder { dir, _temp } = folder();
    assert_eq!(QueueDir::named(dir.folder()), dir);
    assert_eq!(QueueDir::named(&dir.head_path()), dir);
    assert_eq!(
        QueueDir::named("queue.json".as_ref()).items_path(),
        PathBuf::from("./queue.items.jsonl")
    );
}

/// The frozen sample of version 1; see docs/formats/queue.md.
#[test]
fn the_sample_of_version_1_stays_readable() {
    let dir = QueueDir::new(repo_root().join("fixtures/queue/v1"));
    let queue = dir.load().unwrap();
    assert_eq!(queue.head.label, "Alice");
    assert_eq!(queue.report.damaged, []);
    let rels: Vec<_> = queue.items.iter().map(|i| i.rel.as_str()).collect();
    assert_eq!(rels, ["2019/IMG_0001.jpg", "2020/été.jpg"]);
    assert_eq!(queue.items[1].rendered, Some(Derivative::Preview));
    assert_eq!(
        queue.logical(&queue.items[0]).as_str(),
        "/mnt/x/immich/alice/2019/IMG_0001.jpg"
    );
    let (states, report) = latest_states(&dir.state_path()).unwrap();
    assert_eq!(report.damaged, []);
    assert_eq!(states.len(), 7);
    assert_eq!(
        states["0005"].status,
        StageStatus::DupInternal,
        "the later row counts"
    );
    let mut aliases = Vec::new();
    read_rows(&dir.aliases_path(), |_, row: AliasRow| aliases.push(row)).unwrap();
    assert_eq!(
        aliases[0].canonical,
        "/mnt/x/immich/alice/2019/IMG_0001.jpg"
    );
    assert_eq!(read_users(&dir.users_path()).unwrap()["Alice"], "0a1b2c3d");
}

/// A place that refuses the first byte.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_takes_nothing_is_an_error_with_its_name() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("items.jsonl");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let error = Appender::<QueueItem>::open(&path).unwrap_err();
    assert!(error.to_string().contains("items.jsonl"), "{error}");
}

#[cfg(target_os = "linux")]
const FULL_DISK: &str = "FACESET_QUEUE_TEST_FULL_DISK";

/// The child of the next test: appends until the limit on file sizes stops it
/// in the middle of a block.
#[cfg(target_os = "linux")]
#[test]
fn child_that_fills_its_disk() {
    let Some(path) = std::env::var_os(FULL_DISK).map(PathBuf::from) else {
        return;
    };
    let mut rows = Appender::open(&path).unwrap();
    rows.append(&item("first.jpg", b"1")).unwrap();
    rows.flush().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let failed = (0..10_000).find_map(|n| rows.append(&item(&format!("{n}.jpg"), b"2")).err());
    assert!(matches!(failed, Some(QueueError::Fs(_))), "{failed:?}");
    assert_eq!(
        std::fs::read(&path).unwrap(),
        whole,
        "half a block was taken back"
    );
    // Still full: the rows wait, and the file stays whole.
    assert!(matches!(rows.sync(), Err(QueueError::Fs(_))));
    assert_eq!(std::fs::read(&path).unwrap(), whole);
    std::fs::write(path.with_extension("done"), "").unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_write_that_fails_half_way_is_taken_back() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("items.jsonl");
    // 32 blocks of 512 or 1024 bytes: less than the 64 KiB that are written at once.
    let status = std::process::Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 32; exec \"$0\" --exact child_that_fills_its_disk",
        ])
        .arg(std::env::current_exe().unwrap())
        .env(FULL_DISK, &path)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    assert!(path.with_extension("done").exists(), "the child ran");
    let mut rows = Appender::open(&path).unwrap();
    rows.append(&item("later.jpg", b"3")).unwrap();
    drop(rows);
    let mut rels = Vec::new();
    read_rows(&path, |_, row: QueueItem| rels.push(row.rel.to_string())).unwrap();
    assert_eq!(rels, ["first.jpg", "later.jpg"]);
}
