//! Full disks, torn tails and damage, on the level of frames.

use std::io::Cursor;

use super::*;
use crate::testing::{entry, faces, meta};

/// A disk with so much room left.
struct Disk {
    data: Cursor<Vec<u8>>,
    room: usize,
    can_cut: bool,
}

impl Write for Disk {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.room == 0 && !buf.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let n = buf.len().min(self.room);
        self.room -= n;
        self.data.write(&buf[..n])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Disk {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.data.seek(to)
    }
}

impl Storage for Disk {
    fn cut(&mut self, len: u64) -> io::Result<()> {
        if !self.can_cut {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.data.get_mut().truncate(len as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn put(path: &str) -> Vec<u8> {
    change_frame(&Change::Put(entry(path, faces(1))))
}

/// A journal on an endless disk after appending these frames, one flush each.
fn journal_of(frames: &[Vec<u8>]) -> JournalWriter<Disk> {
    let disk = Disk {
        data: Cursor::new(Vec::new()),
        room: usize::MAX,
        can_cut: true,
    };
    let mut journal = JournalWriter::new(disk, 0).unwrap();
    for frame in frames {
        journal.append(&meta(4), frame).unwrap();
    }
    journal
}

struct Found {
    scan: Scan,
    paths: Vec<String>,
}

fn found_in(bytes: &[u8], npz_digest: Option<&str>) -> Found {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.npz.journal");
    std::fs::write(&path, bytes).unwrap();
    let mut reader = JournalReader::open(&path).unwrap().unwrap();
    let scan = reader.scan(npz_digest).unwrap();
    let mut paths = Vec::new();
    reader
        .replay(&scan, |change| {
            if let Change::Put(entry) = change {
                paths.push(entry.path.0);
            }
            Ok(())
        })
        .unwrap();
    Found { scan, paths }
}

#[test]
fn a_disk_that_fills_at_any_byte_loses_nothing_saved_and_nothing_pending() {
    let second = put("/b.jpg");
    for can_cut in [true, false] {
        for room in 0..second.len() {
            let mut journal = journal_of(&[put("/a.jpg")]);
            let saved = journal.bytes();
            journal.storage.room = room;
            journal.storage.can_cut = can_cut;
            let error = journal.append(&meta(4), &second).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);

            let found = found_in(journal.storage.data.get_ref(), None);
            assert_eq!(found.paths, ["/a.jpg"], "room {room}");
            assert_eq!(found.scan.good_end, saved);
            assert_eq!(
                found.scan.dropped_bytes,
                if can_cut { 0 } else { room as u64 }
            );

            journal.storage.room = usize::MAX;
            journal.append(&meta(4), &second).unwrap();
            let found = found_in(journal.storage.data.get_ref(), None);
            assert_eq!(found.paths, ["/a.jpg", "/b.jpg"]);
        }
    }
}

#[test]
fn a_disk_that_fills_at_the_first_flush_leaves_a_journal_to_begin_anew() {
    let whole = journal_of(&[put("/a.jpg")]).bytes() as usize;
    for room in 0..whole {
        let mut journal = journal_of(&[]);
        journal.storage.room = room;
        journal.storage.can_cut = false;
        journal.append(&meta(4), &put("/a.jpg")).unwrap_err();
        let found = found_in(journal.storage.data.get_ref(), None);
        assert!(found.paths.is_empty());
        assert!(found.scan.good_end == 0 || found.scan.good_end > HEAD_BYTES);
    }
}

#[test]
fn zeros_at_the_end_are_dropped() {
    let mut bytes = journal_of(&[put("/a.jpg")]).storage.data.into_inner();
    bytes.extend([0; 4096]);
    let found = found_in(&bytes, None);
    assert_eq!(found.paths, ["/a.jpg"]);
    assert_eq!((found.scan.dropped_bytes, found.scan.n_damaged), (4096, 0));
    let found = found_in(&[0; 100], None);
    assert_eq!((found.scan.good_end, found.scan.dropped_bytes), (0, 100));
}

#[test]
fn a_flipped_bit_costs_one_record_and_not_those_after_it() {
    let frames = [put("/a.jpg"), put("/b.jpg"), put("/c.jpg")];
    let journal = journal_of(&frames);
    let good = journal.storage.data.into_inner();
    let start_b = good.len() - frames[1].len() - frames[2].len();
    for at in start_b + FRAME_HEAD_BYTES as usize..start_b + frames[1].len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        let found = found_in(&bytes, None);
        assert_eq!(found.paths, ["/a.jpg", "/c.jpg"], "byte {at}");
        assert_eq!((found.scan.n_damaged, found.scan.dropped_bytes), (1, 0));
    }
    // In the last record nothing follows; a whole record is no torn save.
    let mut bytes = good.clone();
    *bytes.last_mut().unwrap() ^= 1;
    let found = found_in(&bytes, None);
    assert_eq!(found.paths, ["/a.jpg", "/b.jpg"]);
    let n = frames[2].len() as u64;
    assert_eq!((found.scan.dropped_bytes, found.scan.damaged_bytes), (n, n));
}

#[test]
fn no_damage_between_good_records_costs_one_behind_it() {
    let frames = [put("/a.jpg"), put("/b.jpg"), put("/c.jpg"), put("/d.jpg")];
    let good = journal_of(&frames).storage.data.into_inner();
    let start_b = good.len() - frames[1..].iter().map(Vec::len).sum::<usize>();
    let start_c = start_b + frames[1].len();
    let start_d = start_c + frames[2].len();
    let found_after = |damage: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        damage(&mut bytes);
        let found = found_in(&bytes, None);
        assert_eq!(found.scan.good_end, bytes.len() as u64);
        (found.paths, found.scan.n_damaged)
    };
    let paths = |names: &[&str]| {
        names
            .iter()
            .map(|n| format!("/{n}.jpg"))
            .collect::<Vec<_>>()
    };
    // Every bit of the length: it gets longer, shorter, 0, or beyond the end.
    for bit in 0..32 {
        let flip = |bytes: &mut Vec<u8>| bytes[start_b + bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            found_after(&flip),
            (paths(&["a", "c", "d"]), 1),
            "bit {bit}"
        );
    }
    let zero = |bytes: &mut Vec<u8>| bytes[start_b..start_b + 4].fill(0);
    assert_eq!(found_after(&zero), (paths(&["a", "c", "d"]), 1));
    // Two records in a row, and a hole over their border.
    let two = |bytes: &mut Vec<u8>| {
        bytes[start_c - 1] ^= 1;
        bytes[start_c + 9] ^= 1;
    };
    assert_eq!(found_after(&two), (paths(&["a", "d"]), 1));
    let hole = |bytes: &mut Vec<u8>| bytes[start_c - 20..start_c + 20].fill(0xff);
    assert_eq!(found_after(&hole), (paths(&["a", "d"]), 1));
    // Bytes lost and bytes added.
    let cut = |bytes: &mut Vec<u8>| drop(bytes.drain(start_b + 30..start_c + 3));
    assert_eq!(found_after(&cut), (paths(&["a", "d"]), 1));
    let more = |bytes: &mut Vec<u8>| drop(bytes.splice(start_d..start_d, vec![7; 100_000]));
    assert_eq!(found_after(&more), (paths(&["a", "b", "c", "d"]), 1));
    // The very first frame: the meta.
    let first = |bytes: &mut Vec<u8>| bytes[HEAD_BYTES as usize] ^= 0x40;
    assert_eq!(found_after(&first), (paths(&["a", "b", "c", "d"]), 1));
}

#[test]
fn every_kind_of_frame_is_found_behind_damage() {
    let changes = [
        Change::Meta(meta(4)),
        Change::Alias {
            path: "/x".into(),
            canonical: "/y".into(),
            mtime_ns: 1,
        },
        Change::Remove { path: "/x".into() },
        Change::Touch {
            path: "/x".into(),
            mtime_ns: 1,
        },
        Change::Identify {
            path: "/x".into(),
            sha256: faceset_core::hash_bytes(b""),
            size: 1,
            mtime_ns: 1,
        },
        Change::Enrich {
            path: "/x".into(),
            face_idx: 0,
            enrichment: faceset_core::Enrichment::default(),
        },
    ];
    let mut frames: Vec<_> = changes.iter().map(change_frame).collect();
    frames.push(put("/x"));
    frames.push(seal_frame(&"0123456789abcdef".repeat(4)));
    for frame in frames {
        let n = looks_like_frame(&frame, frame.len() as u64);
        assert_eq!(n, Some(frame.len() as u64 - FRAME_HEAD_BYTES));
        assert_eq!(looks_like_frame(&frame, frame.len() as u64 - 1), None);
    }
}

#[test]
fn a_search_in_a_file_full_of_false_frames_ends() {
    // Each offset a multiple of 12 claims a frame of a megabyte.
    let mut bytes = journal_of(&[put("/a.jpg")]).storage.data.into_inner();
    let good_end = bytes.len() as u64;
    let mut claim = (1_u32 << 20).to_le_bytes().to_vec();
    claim.extend([0, 0, 0, 0, KIND_CHANGE, 0x81, 0xa1, b'p']);
    bytes.extend(claim.repeat(250_000));
    let found = found_in(&bytes, None);
    assert_eq!(found.scan.good_end, good_end);
    assert_eq!(found.scan.damaged_bytes, 3_000_000);
}

#[test]
fn only_an_end_that_no_killed_save_leaves_is_damage() {
    let large = change_frame(&Change::Put(entry("/b.jpg", faces(20))));
    let frames = [put("/a.jpg"), large];
    let good = journal_of(&frames).storage.data.into_inner();
    let end_a = good.len() - frames[1].len();
    for len in (0..good.len()).step_by(7) {
        let scan = found_in(&good[..len], None).scan;
        assert_eq!(scan.damaged_bytes, 0, "cut at {len}");
    }
    // With its whole length, but blocks that never got their data.
    let borders: Vec<usize> = (0..good.len())
        .step_by(512)
        .filter(|b| *b > end_a)
        .collect();
    assert!(borders.len() > 1, "{borders:?} of {}", good.len());
    for border in borders {
        let mut bytes = good.clone();
        bytes[border..].fill(0);
        let scan = found_in(&bytes, None).scan;
        assert_eq!((scan.good_end, scan.damaged_bytes), (end_a as u64, 0));
    }
    // A whole frame that is wrong, and one that no save begins with.
    let damaged = |bytes: &[u8]| found_in(bytes, None).scan.damaged_bytes;
    let mut bytes = good.clone();
    bytes[end_a + 10] ^= 1;
    assert_eq!(damaged(&bytes), frames[1].len() as u64);
    let mut bytes = good.clone();
    bytes[end_a + 3] = 0xff;
    assert_eq!(damaged(&bytes), frames[1].len() as u64);
    let mut bytes = good[..end_a].to_vec();
    bytes.extend([0; 9]);
    bytes.push(1);
    assert_eq!(damaged(&bytes), 10);
    // The head itself.
    let mut bytes = good.clone();
    bytes[..12].fill(0);
    assert_eq!(damaged(&bytes), good.len() as u64);
}

#[test]
fn only_what_follows_the_seal_of_this_very_npz_is_replayed() {
    let mut journal = journal_of(&[put("/a.jpg"), put("/b.jpg")]);
    journal.seal(&meta(4), "new-npz").unwrap();
    journal.append(&meta(4), &put("/c.jpg")).unwrap();
    let bytes = journal.storage.data.into_inner();

    let found = found_in(&bytes, Some("new-npz"));
    assert_eq!(found.paths, ["/c.jpg"]);
    assert_eq!((found.scan.n_sealed, found.scan.n_changes), (2, 1));
    for digest in [Some("old-npz"), None] {
        let found = found_in(&bytes, digest);
        assert_eq!(found.paths, ["/a.jpg", "/b.jpg", "/c.jpg"]);
        assert_eq!((found.scan.n_sealed, found.scan.n_changes), (0, 3));
    }
}

#[test]
fn another_file_or_a_later_version_is_refused_and_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.npz.journal");
    let scan = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        JournalReader::open(&path).unwrap().unwrap().scan(None)
    };
    assert!(matches!(
        scan(b"a text of the user"),
        Err(CacheError::Corrupt { .. })
    ));
    let mut later = journal_of(&[put("/a.jpg")]).storage.data.into_inner();
    later[8] = 9;
    assert!(matches!(
        scan(&later),
        Err(CacheError::TooNew { found: 9, .. })
    ));
}
