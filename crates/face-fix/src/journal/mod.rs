//! The journal: every decision, on the disk before it is sent.
//!
//! Owns the file: appending durably, one writer at a time, reading what a kill left.
//! What the lines say is `entry`, what they add up to is `past`. The format is
//! described in docs/formats/face-fix-journal.md.

mod entry;
mod past;

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use faceset_fs::LockFile;

pub use entry::{
    End, Entry, Feature, FeatureRestored, JOURNAL_VERSION, NewPersonFor, PersonRemoved, Restored,
    Settled, TransactionId,
};
pub(crate) use past::Sending;
pub use past::{CreatedPerson, PairStats, Past, PastTransaction, PastUndo, Standing};

use crate::Error;
use entry::{JOURNAL_NAME, LineProblem};

/// An open journal. One writer at a time: a second one, in this program or another, is
/// told who holds it; looking on needs no leave.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// `None` when it is only looked at.
    pen: Option<Pen>,
    /// Length of what counts: what follows was torn by a kill or a full disk.
    good_len: u64,
    past: Past,
    torn_bytes: u64,
}

/// The right to write.
#[derive(Debug)]
struct Pen {
    file: File,
    _lock: LockFile,
}

/// What a file holds.
#[derive(Debug, Default)]
struct Contents {
    past: Past,
    good_len: u64,
    torn_bytes: u64,
}

impl Journal {
    /// Opens the journal, creating it when missing; `holder` is shown to a second
    /// writer, e.g. `face-fix serve, process 4711`. The lock is `PATH.lock`.
    ///
    /// A last line that a kill left unfinished is dropped: it was not sent yet.
    ///
    /// # Errors
    /// [`Error::TooNew`], [`Error::NotOurs`], [`Error::Damaged`] for damage before the
    /// last line, [`Error::File`] when locked by another or not to be read.
    pub fn open(path: &Path, holder: &str) -> Result<Self, Error> {
        let lock = LockFile::acquire(&lock_path(path), holder)?;
        let contents = read_file(path)?;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(Error::io("open", path))?;
        let mut journal = Self {
            path: path.to_path_buf(),
            pen: Some(Pen { file, _lock: lock }),
            good_len: contents.good_len,
            past: contents.past,
            torn_bytes: contents.torn_bytes,
        };
        if journal.good_len == 0 {
            journal.write(&header_line())?;
            faceset_fs::sync_folder_of(path);
        }
        Ok(journal)
    }

    /// Opens the journal as it is at this moment, to be looked at: without its lock, so
    /// that another program may go on writing it, and without creating it. Nothing can
    /// be appended ([`Error::ReadOnly`]).
    ///
    /// # Errors
    /// As [`Journal::open`], but for locks.
    pub fn open_to_look(path: &Path) -> Result<Self, Error> {
        let contents = read_file(path)?;
        Ok(Self {
            path: path.to_path_buf(),
            pen: None,
            good_len: contents.good_len,
            past: contents.past,
            // What another program is writing just now is nothing to report.
            torn_bytes: 0,
        })
    }

    /// What a journal tells, without locking or changing it; a missing one tells
    /// nothing. For looking on while another program writes.
    ///
    /// # Errors
    /// As [`Journal::open`], but for locks.
    pub fn read(path: &Path) -> Result<Past, Error> {
        Ok(read_file(path)?.past)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it tells.
    pub fn past(&self) -> &Past {
        &self.past
    }

    /// Bytes of an unfinished last line that were dropped on opening.
    pub fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// Appends entries with one sync. When it returns they are on the disk; after an
    /// error none of them counts.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let text: String = entries.iter().map(Entry::to_line).collect();
        self.write(&text)?;
        for entry in entries {
            self.past
                .take(entry)
                .expect("the engine writes entries in their order");
        }
        Ok(())
    }

    fn write(&mut self, text: &str) -> Result<(), Error> {
        let file = &mut self.pen.as_mut().ok_or(Error::ReadOnly)?.file;
        file.set_len(self.good_len)
            .and_then(|()| file.seek(SeekFrom::Start(self.good_len)))
            .and_then(|_| file.write_all(text.as_bytes()))
            .and_then(|()| file.sync_data())
            .map_err(Error::io("append to", &self.path))?;
        self.good_len += text.len() as u64;
        Ok(())
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn read_file(path: &Path) -> Result<Contents, Error> {
    match std::fs::read(path) {
        Ok(bytes) => read_bytes(&bytes, path),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Contents::default()),
        Err(e) => Err(Error::io("read", path)(e)),
    }
}

fn read_bytes(bytes: &[u8], path: &Path) -> Result<Contents, Error> {
    let mut found = Contents::default();
    for (i, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        let Some(text) = line.strip_suffix(b"\n") else {
            if i == 0 && !header_line().as_bytes().starts_with(line) {
                return Err(not_ours(path));
            }
            found.torn_bytes = line.len() as u64;
            break;
        };
        let entry = Entry::from_line(text);
        if i == 0 {
            check_header(text, entry, path)?;
        } else {
            entry
                .map_err(|problem| problem.to_string())
                .and_then(|entry| found.past.take(&entry))
                .map_err(|what| Error::Damaged {
                    path: path.to_path_buf(),
                    line: i + 1,
                    what,
                })?;
        }
        found.good_len += line.len() as u64;
    }
    Ok(found)
}

fn header_line() -> String {
    let header = Entry::Header {
        format: JOURNAL_NAME.to_owned(),
        version: JOURNAL_VERSION,
    };
    header.to_line()
}

fn not_ours(path: &Path) -> Error {
    Error::NotOurs {
        path: path.to_path_buf(),
        expected: "journal",
    }
}

/// The header of a newer version may hold anything but must say so.
fn check_header(text: &[u8], entry: Result<Entry, LineProblem>, path: &Path) -> Result<(), Error> {
    let raw: Option<serde_json::Value> = serde_json::from_slice(text).ok();
    let line = raw.as_ref().and_then(|raw| raw.get("line"));
    let format = line.and_then(|line| line.get("format")?.as_str());
    let version = line.and_then(|line| line.get("version")?.as_u64());
    match (format, version) {
        (Some(JOURNAL_NAME), Some(found)) if found > u64::from(JOURNAL_VERSION) => {
            Err(Error::TooNew {
                path: path.to_path_buf(),
                found,
                supported: JOURNAL_VERSION,
            })
        }
        (Some(JOURNAL_NAME), Some(_)) => match entry {
            Ok(_) => Ok(()),
            Err(problem) => Err(Error::Damaged {
                path: path.to_path_buf(),
                line: 1,
                what: problem.to_string(),
            }),
        },
        _ => Err(not_ours(path)),
    }
}

#[cfg(test)]
mod tests;
