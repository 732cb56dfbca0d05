//! Scanning and reading: nothing seen is lost, nothing special is opened.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests stop the test like the tests do"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use faceset_core::{CancelToken, hash_bytes};
use faceset_media::{MediaError, Scan, ScanOptions, read_bytes, scan};
use support::{lopsided, png};
use tempfile::TempDir;

fn scanned(root: &Path, exclude: &[&str], follow: bool) -> Scan {
    let options = ScanOptions::new(exclude, follow).unwrap();
    scan(root, &options, &CancelToken::default()).unwrap()
}

fn put(root: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = root.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

/// Names below the root, so that assertions fit on a line.
fn files(found: &Scan, root: &TempDir) -> Vec<String> {
    let root = root.path().to_str().unwrap();
    found
        .files
        .iter()
        .map(|f| below(f.path.as_str(), root))
        .collect()
}

fn skipped(found: &Scan, root: &TempDir) -> BTreeMap<String, &'static str> {
    let root = root.path().to_str().unwrap();
    found
        .skipped
        .iter()
        .map(|s| (below(&s.path, root), s.reason.key()))
        .collect()
}

fn below(path: &str, root: &str) -> String {
    let rest = path.strip_prefix(root).unwrap();
    rest.trim_start_matches(['/', '\\']).replace('\\', "/")
}

#[test]
fn pictures_are_found_by_name_or_content_and_the_rest_is_counted() {
    let root = TempDir::new().unwrap();
    let picture = png(&lopsided(), None);
    for name in [
        "b/two.JPG",
        "b/.hidden/three.heic",
        "a.png",
        "B.webp",
        "no_extension",
        "odd.jpg_original",
        "wrong.xyz",
    ] {
        put(&root, name, &picture);
    }
    put(&root, "empty.jpg", b"");
    put(&root, "film.MOV", &picture);
    put(&root, "notes.json", b"{}");
    put(&root, "raw.NEF", b"II*\0");
    put(&root, "letter", b"Dear all,\n");
    put(&root, "bundle", b"PK\x03\x04rest");
    put(&root, "empty_without_extension", b"");
    put(&root, ".gitignore", b"*.png\n");
    put(&root, ".ignore", b"*\n");
    let found = scanned(root.path(), &[], false);
    assert_eq!(
        files(&found, &root),
        [
            "B.webp",
            "a.png",
            "b/.hidden/three.heic",
            "b/two.JPG",
            "empty.jpg",
            "no_extension",
            "odd.jpg_original",
            "wrong.xyz"
        ]
    );
    let expected: BTreeMap<String, &str> = [
        (".gitignore", "document"),
        (".ignore", "document"),
        ("bundle", "archive"),
        ("empty_without_extension", "not_a_picture"),
        ("film.MOV", "video"),
        ("letter", "document"),
        ("notes.json", "document"),
        ("raw.NEF", "unsupported"),
    ]
    .map(|(name, key)| (name.to_owned(), key))
    .into();
    assert_eq!(skipped(&found, &root), expected);
    assert_eq!(found.files.len() + found.skipped.len(), 16);
    assert_eq!(scanned(root.path(), &[], false), found);
}

#[test]
fn size_and_time_are_those_of_the_file() {
    let root = TempDir::new().unwrap();
    let path = put(&root, "a.png", b"12345");
    // In steps of 100 ns, the finest that NTFS keeps.
    for (time, expected) in [
        (
            std::time::Duration::new(1_500_000_000, 123_456_700),
            1_500_000_000_123_456_700,
        ),
        (std::time::Duration::new(1, 500), 1_000_000_500),
    ] {
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + time).unwrap();
        let found = scanned(root.path(), &[], false);
        assert_eq!(
            (found.files[0].size, found.files[0].mtime_ns),
            (5, expected)
        );
    }
    let file = fs::File::options().write(true).open(&path).unwrap();
    let before = std::time::UNIX_EPOCH - std::time::Duration::new(2, 0);
    file.set_modified(before).unwrap();
    assert_eq!(
        scanned(root.path(), &[], false).files[0].mtime_ns,
        -2_000_000_000
    );
}

#[test]
fn a_single_file_may_be_the_root() {
    let root = TempDir::new().unwrap();
    let path = put(&root, "a.png", b"x");
    let found = scanned(&path, &[], false);
    assert_eq!(found.files[0].path.as_path(), path);
    assert_eq!(found.files.len() + found.skipped.len(), 1);
    // A file that was asked for by name is judged like any other.
    let text = put(&root, "a.txt", b"x");
    assert_eq!(scanned(&text, &[], false).skipped.len(), 1);
}

#[test]
fn patterns_leave_out_files_and_whole_folders_and_each_counts_once() {
    let root = TempDir::new().unwrap();
    for name in [
        "x/thumbs/1.jpg",
        "x/thumbs/2.jpg",
        "x/Thumbs.jpg",
        "y/a.PNG",
        "y/z/b.jpg",
    ] {
        put(&root, name, b"x");
    }
    let found = scanned(root.path(), &["**/thumbs", "**/*.png"], false);
    assert_eq!(files(&found, &root), ["x/Thumbs.jpg", "y/z/b.jpg"]);
    let expected: BTreeMap<String, &str> = [("x/thumbs", "excluded"), ("y/a.PNG", "excluded")]
        .map(|(name, key)| (name.to_owned(), key))
        .into();
    assert_eq!(skipped(&found, &root), expected);
    // One star stays within a part of the path.
    let found = scanned(root.path(), &["y/*.jpg"], false);
    assert_eq!(found.files.len(), 5);
    assert!(matches!(
        ScanOptions::new(&["a[", "b"], false),
        Err(MediaError::Pattern { pattern, .. }) if pattern == "a["
    ));
}

#[test]
fn the_root_is_absolute_without_dots_and_a_missing_one_is_an_error() {
    let root = TempDir::new().unwrap();
    put(&root, "in/a.png", b"x");
    let given = root.path().join("in/.././in//");
    let found = scanned(&given, &[], false);
    assert_eq!(found.files[0].path.as_path(), root.path().join("in/a.png"));
    let missing = root.path().join("nowhere");
    for bad in [missing.as_path(), Path::new("")] {
        let outcome = scan(bad, &ScanOptions::default(), &CancelToken::default());
        assert!(matches!(outcome, Err(MediaError::Root { .. })));
    }
}

#[test]
fn a_cancelled_scan_says_so() {
    let root = TempDir::new().unwrap();
    let cancel = CancelToken::default();
    cancel.cancel();
    let outcome = scan(root.path(), &ScanOptions::default(), &cancel);
    assert!(matches!(outcome, Err(MediaError::Cancelled)));
}

#[test]
fn bytes_and_hash_come_from_one_read_and_the_limit_keeps_the_equal() {
    let root = TempDir::new().unwrap();
    // More than one chunk, and no two chunks alike.
    let content: Vec<u8> = (0..700_000u32)
        .map(|i| (i.wrapping_mul(i) >> 7) as u8)
        .collect();
    let path = put(&root, "a.jpg", &content);
    let file = read_bytes(&path, 700_000).unwrap();
    assert!(file.bytes == content);
    assert_eq!(file.sha256, hash_bytes(&content));
    assert!(matches!(
        read_bytes(&path, 699_999),
        Err(MediaError::FileTooBig { limit: 699_999, .. })
    ));
    let empty = put(&root, "empty.jpg", b"");
    assert_eq!(read_bytes(&empty, 0).unwrap().sha256, hash_bytes(b""));
}

#[test]
fn a_file_that_vanished_and_a_folder_are_outcomes() {
    let root = TempDir::new().unwrap();
    let path = put(&root, "a.jpg", b"x");
    let found = scanned(root.path(), &[], false);
    fs::remove_file(&path).unwrap();
    let error = read_bytes(found.files[0].path.as_path(), 10).unwrap_err();
    assert!(matches!(&error, MediaError::Vanished { path: p } if *p == path));
    assert!(matches!(
        read_bytes(root.path(), 10),
        Err(MediaError::NotAFile { .. })
    ));
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use faceset_media::SkipReason;

    fn fifo(path: &Path) {
        let status = std::process::Command::new("mkfifo").arg(path).status();
        assert!(status.unwrap().success());
    }

    #[test]
    fn pipes_and_sockets_are_not_opened() {
        let root = TempDir::new().unwrap();
        // Opening a pipe without a writer would hang this test.
        fifo(&root.path().join("pipe.jpg"));
        fifo(&root.path().join("pipe"));
        let _socket = UnixListener::bind(root.path().join("socket.png")).unwrap();
        put(&root, "a.png", b"x");
        let found = scanned(root.path(), &[], false);
        assert_eq!(files(&found, &root), ["a.png"]);
        assert!(
            found
                .skipped
                .iter()
                .all(|s| s.reason == SkipReason::Special)
        );
        assert_eq!(found.skipped.len(), 3);
        assert!(matches!(
            read_bytes(&root.path().join("pipe.jpg"), 10),
            Err(MediaError::NotAFile { .. })
        ));
    }

    #[test]
    fn names_that_are_not_utf8_are_listed_with_advice() {
        let root = TempDir::new().unwrap();
        let name = OsStr::from_bytes(b"caf\xE9.jpg");
        fs::write(root.path().join(name), b"x").unwrap();
        let folder = root.path().join(OsStr::from_bytes(b"\xFFold"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("b.jpg"), b"x").unwrap();
        put(&root, "ok.jpg", b"x");
        let found = scanned(root.path(), &[], false);
        assert_eq!(files(&found, &root), ["ok.jpg"]);
        assert_eq!(found.skipped.len(), 2);
        for skipped in &found.skipped {
            assert_eq!(skipped.reason, SkipReason::NameNotUtf8);
            assert!(skipped.path.contains('\u{FFFD}'));
            assert!(skipped.reason.to_string().contains("rename it"));
        }
        let outcome = scan(&folder, &ScanOptions::default(), &CancelToken::default());
        assert!(matches!(outcome, Err(MediaError::Root { .. })));
    }

    #[test]
    fn links_are_counted_or_followed_and_loops_end() {
        let root = TempDir::new().unwrap();
        put(&root, "real/a.jpg", b"x");
        symlink(root.path().join("real/a.jpg"), root.path().join("link.jpg")).unwrap();
        symlink(root.path().join("real"), root.path().join("folder")).unwrap();
        symlink(root.path(), root.path().join("real/up")).unwrap();
        symlink("nowhere", root.path().join("dangling.jpg")).unwrap();
        let still = scanned(root.path(), &[], false);
        assert_eq!(files(&still, &root), ["real/a.jpg"]);
        assert!(still.skipped.iter().all(|s| s.reason == SkipReason::Link));
        assert_eq!(still.skipped.len(), 4);

        let followed = scanned(root.path(), &[], true);
        assert_eq!(
            files(&followed, &root),
            ["folder/a.jpg", "link.jpg", "real/a.jpg"]
        );
        let reasons = skipped(&followed, &root);
        assert_eq!(reasons["dangling.jpg"], "dangling_link");
        assert_eq!(reasons["real/up"], "link_loop");
        assert_eq!(reasons["folder/up"], "link_loop");
        assert_eq!(reasons.len(), 3);
    }

    #[test]
    fn a_locked_folder_is_counted_and_the_rest_is_found() {
        let root = TempDir::new().unwrap();
        put(&root, "locked/a.jpg", b"x");
        put(&root, "open/b.jpg", b"x");
        let locked = root.path().join("locked");
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
        // The superuser may look inside all the same.
        let may_look = fs::read_dir(&locked).is_ok();
        let found = scanned(root.path(), &[], false);
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(files(&found, &root).contains(&"open/b.jpg".to_owned()));
        if may_look {
            assert_eq!((found.files.len(), found.skipped.len()), (2, 0));
        } else {
            assert_eq!(skipped(&found, &root)["locked"], "unreadable");
        }
    }

    #[test]
    fn a_link_in_front_of_two_dots_keeps_them() {
        let root = TempDir::new().unwrap();
        put(&root, "far/away/x.jpg", b"x");
        put(&root, "far/y.jpg", b"x");
        symlink(root.path().join("far/away"), root.path().join("near")).unwrap();
        // near/.. is far, not the root: text alone would get it wrong.
        let given = root.path().join("near/../y.jpg");
        let found = scanned(&given, &[], false);
        assert_eq!(found.files[0].path.as_path(), given);
    }
}
