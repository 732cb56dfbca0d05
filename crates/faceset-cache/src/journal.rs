//! The append-only file beside a cache: what happened since the npz was written.
//!
//! Layout: 12 bytes of head (magic, version), then frames of `u32` payload
//! length, `u32` crc32 of length and payload, payload; little endian. A payload
//! is one kind byte and MessagePack. The first frame is the cache's meta.
//!
//! A *seal* says: the npz with this content digest includes everything before
//! me. It is written before that npz replaces the old one, so a crash between
//! the replacement and the clearing of the journal replays nothing twice.
//!
//! Owns frames and damage. What a change does to a cache is in `change`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use faceset_fs::AtomicFile;

use crate::change::Change;
use crate::{CacheError, CacheMeta};

const MAGIC: &[u8; 8] = b"fsjrnl\r\n";
const VERSION: u32 = 1;
const HEAD_BYTES: u64 = 12;
const FRAME_HEAD_BYTES: u64 = 8;
/// A photo of a thousand enriched faces takes 6 MB; a longer frame is damage.
const MAX_PAYLOAD_BYTES: u64 = 1 << 28;

/// Bytes from which a frame is told from anything else: its head, the kind, and
/// the MessagePack map of one key of at most 31 bytes.
const LOOK_BYTES: usize = FRAME_HEAD_BYTES as usize + 1 + 2 + 31;
/// Offsets looked at per read when the next frame is searched.
const SEARCH_BYTES: usize = 1 << 16;
/// Bytes that a search may checksum in vain, per byte of the journal: ends the
/// search in a file that is made to look full of frames.
const MAX_CHECKED: u64 = 8;
/// A file that got its length but not all its data reads as zeros from the
/// border of a block on; the smallest in use.
const BLOCK_BYTES: u64 = 512;
/// 64 hexadecimal digits and the kind.
const SEAL_BYTES: u64 = 65;

const KIND_CHANGE: u8 = 0;
const KIND_SEAL: u8 = 1;
const KIND_META: u8 = 2;

/// The frame of a change.
pub(crate) fn change_frame(change: &Change) -> Vec<u8> {
    let kind = match change {
        Change::Meta(_) => KIND_META,
        _ => KIND_CHANGE,
    };
    let mut payload = vec![kind];
    rmp_serde::encode::write_named(&mut payload, change).expect("our own types serialise");
    frame(&payload)
}

fn seal_frame(npz_digest: &str) -> Vec<u8> {
    let mut payload = vec![KIND_SEAL];
    payload.extend_from_slice(npz_digest.as_bytes());
    frame(&payload)
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_le_bytes();
    let mut bytes = Vec::with_capacity(payload.len() + FRAME_HEAD_BYTES as usize);
    bytes.extend_from_slice(&len);
    bytes.extend_from_slice(&checksum(len, payload).to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The length is part of it, so that a run of zeros is no valid frame.
fn checksum(len: [u8; 4], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&len);
    crc.update(payload);
    crc.finalize()
}

/// What a pass over a journal found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Changes to replay.
    pub(crate) n_changes: u64,
    /// Changes that the npz includes already.
    pub(crate) n_sealed: u64,
    /// Damaged places between good frames: at least one frame each.
    pub(crate) n_damaged: u64,
    /// End of the last good frame; 0 when even the head is incomplete.
    pub(crate) good_end: u64,
    /// Bytes after that.
    pub(crate) dropped_bytes: u64,
    /// All of those when they can't be what a killed save leaves, else 0.
    pub(crate) damaged_bytes: u64,
    /// Where replay starts.
    replay_from: u64,
}

/// Reads a journal that nobody else changes, or whose end may grow.
pub(crate) struct JournalReader {
    file: BufReader<File>,
    path: PathBuf,
    len: u64,
}

impl JournalReader {
    /// `None` when there is no journal.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, CacheError> {
        let file = match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(CacheError::io("open", path))?,
        };
        let len = file.metadata().map_err(CacheError::io("read", path))?.len();
        Ok(Some(Self {
            file: BufReader::with_capacity(1 << 16, file),
            path: path.to_path_buf(),
            len,
        }))
    }

    /// Finds the good part, and where replay starts for an npz of this digest.
    pub(crate) fn scan(&mut self, npz_digest: Option<&str>) -> Result<Scan, CacheError> {
        let mut scan = Scan::default();
        if !self.read_head()? {
            scan.dropped_bytes = self.len;
            if !self.is_torn(0)? {
                scan.damaged_bytes = self.len;
            }
            return Ok(scan);
        }
        scan.replay_from = HEAD_BYTES;
        scan.good_end = HEAD_BYTES;
        let (end, n_damaged) = self.walk(HEAD_BYTES, self.len, |payload, end| {
            match payload.split_first() {
                Some((&KIND_SEAL, digest))
                    if npz_digest.is_some_and(|d| d.as_bytes() == digest) =>
                {
                    scan.replay_from = end;
                    scan.n_sealed += std::mem::take(&mut scan.n_changes);
                }
                Some((&KIND_CHANGE, _)) => scan.n_changes += 1,
                _ => {}
            }
            Ok(())
        })?;
        scan.n_damaged = n_damaged;
        // A head alone is begun anew: the meta belongs right behind it.
        scan.good_end = if end == HEAD_BYTES { 0 } else { end };
        scan.dropped_bytes = self.len - scan.good_end;
        if !self.is_torn(end)? {
            scan.damaged_bytes = scan.dropped_bytes;
        }
        Ok(scan)
    }

    /// Hands over every change that `scan` counted for replay, in order.
    pub(crate) fn replay(
        &mut self,
        scan: &Scan,
        mut apply: impl FnMut(Change) -> Result<(), CacheError>,
    ) -> Result<(), CacheError> {
        let path = self.path.clone();
        let unreadable = |source: rmp_serde::decode::Error| CacheError::Corrupt {
            path: path.clone(),
            what: "a record of this journal is of an unknown form".into(),
            source: Some(Box::new(source)),
        };
        self.walk(
            scan.replay_from,
            scan.good_end,
            |payload, _| match payload.split_first() {
                Some((&(KIND_CHANGE | KIND_META), body)) => {
                    apply(rmp_serde::from_slice(body).map_err(unreadable)?)
                }
                _ => Ok(()),
            },
        )?;
        Ok(())
    }

    /// The newest meta in it.
    pub(crate) fn meta(&mut self) -> Result<Option<CacheMeta>, CacheError> {
        let mut meta = None;
        if self.read_head()? {
            self.walk(HEAD_BYTES, self.len, |payload, _| {
                if let Some((&KIND_META, body)) = payload.split_first()
                    && let Ok(Change::Meta(found)) = rmp_serde::from_slice(body)
                {
                    meta = Some(found);
                }
                Ok(())
            })?;
        }
        Ok(meta)
    }

    /// False when the head is incomplete: a crash at the very first flush.
    fn read_head(&mut self) -> Result<bool, CacheError> {
        let io = |e| CacheError::io("read", &self.path)(e);
        self.file.seek(SeekFrom::Start(0)).map_err(io)?;
        let mut head = Vec::new();
        self.file
            .by_ref()
            .take(HEAD_BYTES.min(self.len))
            .read_to_end(&mut head)
            .map_err(|e| CacheError::io("read", &self.path)(e))?;
        let torn = head.len() < HEAD_BYTES as usize;
        // A file that got its length but not its data reads as zeros.
        let known =
            head.iter().all(|&b| b == 0) || head.starts_with(&MAGIC[..head.len().min(MAGIC.len())]);
        if !known {
            return Err(CacheError::Corrupt {
                path: self.path.clone(),
                what: "it is not a cache journal".into(),
                source: None,
            });
        }
        if torn || head[0] == 0 {
            return Ok(false);
        }
        let version = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        if version > VERSION {
            return Err(CacheError::TooNew {
                path: self.path.clone(),
                found: version.into(),
                supported: VERSION,
            });
        }
        Ok(true)
    }

    /// Visits the good frames between two offsets with the offset of their end.
    /// Returns the end of the last one and the number of damaged places before
    /// it. What is between two good frames is skipped, whatever it is.
    fn walk(
        &mut self,
        from: u64,
        until: u64,
        mut visit: impl FnMut(&[u8], u64) -> Result<(), CacheError>,
    ) -> Result<(u64, u64), CacheError> {
        let path = self.path.clone();
        let io = |e| CacheError::io("read", &path)(e);
        self.file.seek(SeekFrom::Start(from)).map_err(io)?;
        let (mut end, mut at, mut n_damaged) = (from, from, 0);
        let mut budget = MAX_CHECKED.saturating_mul(self.len);
        let mut payload = Vec::new();
        loop {
            if self.frame(at, until, &mut payload).map_err(io)? {
                at += FRAME_HEAD_BYTES + payload.len() as u64;
                visit(&payload, at)?;
                end = at;
                continue;
            }
            let Some(next) = self.search(at + 1, until, &mut budget).map_err(io)? else {
                return Ok((end, n_damaged));
            };
            n_damaged += 1;
            at = next;
            self.file.seek(SeekFrom::Start(at)).map_err(io)?;
        }
    }

    /// The next offset from `at` on where a whole frame with a right checksum
    /// begins. Gives up when `budget` bytes were checksummed in vain.
    fn search(&mut self, mut at: u64, until: u64, budget: &mut u64) -> io::Result<Option<u64>> {
        let (mut window, mut payload) = (Vec::new(), Vec::new());
        while at + FRAME_HEAD_BYTES < until {
            self.file.seek(SeekFrom::Start(at))?;
            window.clear();
            let n_wanted = (until - at).min((SEARCH_BYTES + LOOK_BYTES) as u64);
            self.file.by_ref().take(n_wanted).read_to_end(&mut window)?;
            for i in 0..window.len().min(SEARCH_BYTES) {
                let here = at + i as u64;
                let Some(n) = looks_like_frame(&window[i..], until - here) else {
                    continue;
                };
                let Some(left) = budget.checked_sub(n) else {
                    return Ok(None);
                };
                *budget = left;
                self.file.seek(SeekFrom::Start(here))?;
                if self.frame(here, until, &mut payload)? {
                    return Ok(Some(here));
                }
            }
            at += SEARCH_BYTES as u64;
        }
        Ok(None)
    }

    /// Whether what follows the last good frame can be the beginning of a save
    /// that was cut short: less than a frame, or a frame that goes on beyond
    /// the end of the data. Data that never arrived reads as zeros.
    fn is_torn(&mut self, from: u64) -> Result<bool, CacheError> {
        let end = self
            .data_end(from)
            .map_err(CacheError::io("read", &self.path))?;
        if end.saturating_sub(from) < FRAME_HEAD_BYTES {
            return Ok(true);
        }
        let io = |e| CacheError::io("read", &self.path)(e);
        let mut len = [0u8; 4];
        self.file.seek(SeekFrom::Start(from)).map_err(io)?;
        match self.file.read_exact(&mut len) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(true),
            read => read.map_err(|e| CacheError::io("read", &self.path)(e))?,
        }
        let n = u64::from(u32::from_le_bytes(len));
        Ok((1..=MAX_PAYLOAD_BYTES).contains(&n) && from + FRAME_HEAD_BYTES + n > end)
    }

    /// Where the zeros begin that blocks without data leave at the end of the
    /// file; its length when there are none.
    fn data_end(&mut self, from: u64) -> io::Result<u64> {
        self.file.seek(SeekFrom::Start(from))?;
        let (mut at, mut after_data) = (from, from);
        loop {
            let buffer = self.file.fill_buf()?;
            if buffer.is_empty() {
                break;
            }
            if let Some(last) = buffer.iter().rposition(|&b| b != 0) {
                after_data = at + last as u64 + 1;
            }
            let n = buffer.len();
            at += n as u64;
            self.file.consume(n);
        }
        if after_data == from {
            return Ok(from);
        }
        Ok(after_data.next_multiple_of(BLOCK_BYTES).min(at))
    }

    /// Reads the frame at the reader's position, `at`. False when no whole frame
    /// with a right checksum is there.
    fn frame(&mut self, at: u64, until: u64, payload: &mut Vec<u8>) -> io::Result<bool> {
        if until.saturating_sub(at) < FRAME_HEAD_BYTES {
            return Ok(false);
        }
        let mut head = [0u8; FRAME_HEAD_BYTES as usize];
        let (len, crc) = match self.file.read_exact(&mut head) {
            Ok(()) => (
                [head[0], head[1], head[2], head[3]],
                u32::from_le_bytes([head[4], head[5], head[6], head[7]]),
            ),
            // Somebody truncated it under our eyes; the caller looks again.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(e) => return Err(e),
        };
        let n = u64::from(u32::from_le_bytes(len));
        if n == 0 || n > MAX_PAYLOAD_BYTES || at + FRAME_HEAD_BYTES + n > until {
            return Ok(false);
        }
        payload.clear();
        if self.file.by_ref().take(n).read_to_end(payload)? as u64 != n {
            return Ok(false);
        }
        Ok(checksum(len, payload) == crc)
    }
}

/// Length of the payload when `bytes` may begin a frame that ends within
/// `room`. What it looks at is in every frame, and hardly ever anywhere else.
fn looks_like_frame(bytes: &[u8], room: u64) -> Option<u64> {
    let (head, body) = bytes.split_at_checked(FRAME_HEAD_BYTES as usize)?;
    let n = u64::from(u32::from_le_bytes([head[0], head[1], head[2], head[3]]));
    if n == 0 || n > MAX_PAYLOAD_BYTES || n > room - FRAME_HEAD_BYTES {
        return None;
    }
    let is_one = match *body {
        [KIND_SEAL, digit, ..] => n == SEAL_BYTES && digit.is_ascii_hexdigit(),
        // A map of one key, a short text: the name of the change.
        [
            KIND_CHANGE | KIND_META,
            0x81,
            key @ 0xa1..=0xbf,
            ref name @ ..,
        ] => {
            let len = usize::from(key & 0x1f);
            let name = name.get(..len)?;
            name.iter().all(u8::is_ascii_lowercase)
        }
        _ => false,
    };
    is_one.then_some(n)
}

/// Copies what follows `from` to a place beside the journal and returns that
/// place. Nothing that is there is overwritten.
pub(crate) fn keep_tail(journal: &Path, from: u64) -> Result<PathBuf, CacheError> {
    let read = || CacheError::io("read", journal);
    let mut name = journal.as_os_str().to_owned();
    name.push(".damaged");
    let mut place = PathBuf::from(&name);
    for n in 2.. {
        if place.symlink_metadata().is_err() {
            break;
        }
        let mut name = name.clone();
        name.push(format!("-{n}"));
        place = PathBuf::from(name);
    }
    let mut file = File::open(journal).map_err(read())?;
    file.seek(SeekFrom::Start(from)).map_err(read())?;
    let mut kept = AtomicFile::create(&place)?;
    io::copy(&mut file, &mut kept).map_err(CacheError::io("write", &place))?;
    kept.commit()?;
    Ok(place)
}

/// What a journal is written to: a file, or a test's idea of a full disk.
pub(crate) trait Storage: Write + Seek {
    /// Cuts to this length.
    fn cut(&mut self, len: u64) -> io::Result<()>;
    /// Waits until it is on the medium.
    fn sync(&mut self) -> io::Result<()>;
}

impl Storage for File {
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Appends to a journal; all or nothing per call.
#[derive(Debug)]
pub(crate) struct JournalWriter<S> {
    storage: S,
    end: u64,
}

impl<S: Storage> JournalWriter<S> {
    /// Continues after `end`, the good part that a scan found. What follows is
    /// cut off.
    pub(crate) fn new(mut storage: S, end: u64) -> io::Result<Self> {
        storage.cut(end)?;
        Ok(Self { storage, end })
    }

    /// Bytes written so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.end
    }

    /// Appends frames durably. `meta` begins a new journal. After an error the
    /// journal is as before, or is cut back to that when it is opened next.
    pub(crate) fn append(&mut self, meta: &CacheMeta, frames: &[u8]) -> io::Result<()> {
        let mut head = Vec::new();
        if self.end == 0 {
            head.extend_from_slice(MAGIC);
            head.extend_from_slice(&VERSION.to_le_bytes());
            head.extend(change_frame(&Change::Meta(meta.clone())));
        }
        let appended = (|| {
            self.storage.seek(SeekFrom::Start(self.end))?;
            self.storage.write_all(&head)?;
            self.storage.write_all(frames)?;
            self.storage.sync()
        })();
        match appended {
            Ok(()) => {
                self.end += (head.len() + frames.len()) as u64;
                Ok(())
            }
            Err(e) => {
                // Best effort: the checksums keep a torn tail harmless anyway.
                let _ = self.storage.cut(self.end);
                Err(e)
            }
        }
    }

    /// Says that the npz of this digest includes everything so far.
    pub(crate) fn seal(&mut self, meta: &CacheMeta, npz_digest: &str) -> io::Result<()> {
        self.append(meta, &seal_frame(npz_digest))
    }

    /// Empties it, once the npz includes everything.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.storage.cut(0)?;
        self.end = 0;
        self.storage.sync()
    }
}

#[cfg(test)]
mod tests;
