//! Append-only files of one JSON object a line.
//!
//! The first line names the format and its version. A line that is not whole at
//! the end of the file is what a kill left: readers pass over it, the next
//! writer cuts it off. A bad line elsewhere is counted and costs only itself.
//! One writer at a time (the caller holds a lock); readers at any time.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use faceset_fs::sync_folder_of;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::QueueError;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Bytes that an appender gathers before it writes: some hundred rows.
const WRITE_FROM_BYTES: usize = 64 << 10;

/// Longest line that is looked at. A row takes a few hundred bytes; a longer
/// one is damage, and must not fill the memory.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// What a line holds.
pub trait Row: Serialize + DeserializeOwned {
    /// Name of the format, in the first line.
    const FORMAT: &'static str;
    /// Version that is written; older ones are read.
    const VERSION: u32;
}

#[derive(Serialize, Deserialize)]
struct Head {
    format: String,
    version: u64,
}

/// A line that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DamagedLine {
    /// Which, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// What a pass over a file found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LineReport {
    /// Good rows.
    pub n_rows: u64,
    /// Bad lines before the end.
    pub damaged: Vec<DamagedLine>,
    /// Bytes of an unfinished last line.
    pub torn_bytes: u64,
}

/// Reads every row in order: `each` gets the line's number, from 1, and the
/// row. A missing file has no rows.
pub fn read_rows<R: Row>(
    path: &Path,
    mut each: impl FnMut(u64, R),
) -> Result<LineReport, QueueError> {
    let mut report = LineReport::default();
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(report),
        other => other.map_err(QueueError::io("read", path))?,
    };
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut line = Vec::new();
    let mut nth = 0;
    let mut has_head = false;
    while let Some(ending) =
        read_line(&mut reader, &mut line).map_err(QueueError::io("read", path))?
    {
        nth += 1;
        let text = text_of(&line, nth);
        if text.is_empty() {
            continue;
        }
        if !has_head {
            match serde_json::from_slice::<Head>(text) {
                Ok(head) => check_head::<R>(path, &head)?,
                Err(_) if ending == Ending::EndOfFile => {
                    report.torn_bytes = line.len() as u64;
                    return Ok(report);
                }
                Err(_) => return Err(not_this_format::<R>(path, text)),
            }
            has_head = true;
            continue;
        }
        let row = match ending {
            Ending::TooLong => Err("longer than any row".to_owned()),
            _ => serde_json::from_slice::<R>(text).map_err(|e| e.to_string()),
        };
        match row {
            Ok(row) => {
                report.n_rows += 1;
                each(nth, row);
            }
            Err(_) if ending == Ending::EndOfFile && !is_object(text) => {
                report.torn_bytes = line.len() as u64;
            }
            Err(reason) => report.damaged.push(DamagedLine { line: nth, reason }),
        }
    }
    Ok(report)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Newline,
    EndOfFile,
    TooLong,
}

/// One line without its newline; `None` at the end of the file. Of a line that
/// is too long, only the start is kept.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<Ending>> {
    line.clear();
    let n = reader
        .by_ref()
        .take(MAX_LINE_BYTES)
        .read_until(b'\n', line)?;
    if n == 0 {
        return Ok(None);
    }
    if line.pop_if(|b| *b == b'\n').is_some() {
        return Ok(Some(Ending::Newline));
    }
    if (n as u64) < MAX_LINE_BYTES {
        return Ok(Some(Ending::EndOfFile));
    }
    let ended = skip_to_newline(reader)?;
    Ok(Some(if ended {
        Ending::TooLong
    } else {
        Ending::EndOfFile
    }))
}

/// Whether there was a newline.
fn skip_to_newline(reader: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            return Ok(false);
        }
        let newline = chunk.iter().position(|b| *b == b'\n');
        let used = newline.map_or(chunk.len(), |at| at + 1);
        reader.consume(used);
        if newline.is_some() {
            return Ok(true);
        }
    }
}

/// Without the mark and the line end that editors on Windows add.
fn text_of(line: &[u8], nth: u64) -> &[u8] {
    let line = match line.strip_prefix(BOM) {
        Some(rest) if nth == 1 => rest,
        _ => line,
    };
    line.trim_ascii()
}

/// A cut row never is one: its closing brace is the last byte.
fn is_object(text: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(text).is_ok()
}

fn check_head<R: Row>(path: &Path, head: &Head) -> Result<(), QueueError> {
    if head.format != R::FORMAT {
        return Err(QueueError::NotThisFormat {
            path: path.to_path_buf(),
            reason: format!("expected `{}`, found `{}`", R::FORMAT, head.format),
        });
    }
    if head.version > u64::from(R::VERSION) {
        return Err(QueueError::TooNew {
            path: path.to_path_buf(),
            found: head.version,
            supported: R::VERSION,
        });
    }
    Ok(())
}

fn not_this_format<R: Row>(path: &Path, text: &[u8]) -> QueueError {
    let reason = if text.starts_with(b"\xFF\xFE") || text.starts_with(b"\xFE\xFF") {
        "it is UTF-16; save it as UTF-8".to_owned()
    } else {
        format!("its first line does not name the format `{}`", R::FORMAT)
    };
    QueueError::NotThisFormat {
        path: path.to_path_buf(),
        reason,
    }
}

/// Adds rows at the end of a file.
///
/// Rows are gathered and written in blocks; [`Appender::sync`] makes them last.
/// A write that fails half-way (a full disk) is taken back, so that the file
/// never holds half a row before a whole one, and the rows stay gathered for
/// the next try.
#[derive(Debug)]
pub struct Appender<R: Row> {
    file: File,
    path: PathBuf,
    /// Length of the file without anything half-written.
    len: u64,
    gathered: Vec<u8>,
    cut_bytes: u64,
    is_poisoned: bool,
    row: PhantomData<fn(R)>,
}

impl<R: Row> Appender<R> {
    /// Opens or creates the file and cuts off an unfinished last line.
    pub fn open(path: &Path) -> Result<Self, QueueError> {
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(QueueError::io("create the folder", folder))?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(QueueError::io("open", path))?;
        let mut appender = Self {
            file,
            path: path.to_path_buf(),
            len: 0,
            gathered: Vec::new(),
            cut_bytes: 0,
            is_poisoned: false,
            row: PhantomData,
        };
        appender.start()?;
        Ok(appender)
    }

    /// Bytes of an unfinished line that opening cut off.
    pub fn cut_bytes(&self) -> u64 {
        self.cut_bytes
    }

    /// Adds a row; a later [`Appender::sync`] makes it last.
    pub fn append(&mut self, row: &R) -> Result<(), QueueError> {
        serde_json::to_writer(&mut self.gathered, row).expect("our own types serialise");
        self.gathered.push(b'\n');
        if self.gathered.len() >= WRITE_FROM_BYTES {
            self.write_gathered()?;
        }
        Ok(())
    }

    /// Writes what is gathered without waiting for the disk: a kill of this
    /// process loses nothing of it, a power cut may.
    pub fn flush(&mut self) -> Result<(), QueueError> {
        self.write_gathered()
    }

    /// Writes what is gathered and waits until the disk has it.
    pub fn sync(&mut self) -> Result<(), QueueError> {
        self.write_gathered()?;
        self.file
            .sync_data()
            .map_err(QueueError::io("write", &self.path))
    }

    fn start(&mut self) -> Result<(), QueueError> {
        let path = self.path.clone();
        let read = || QueueError::io("read", &path);
        let len = self.file.metadata().map_err(read())?.len();
        let (line_end, tail) = last_line(&mut self.file, len).map_err(read())?;
        // An editor may have left out the last newline.
        let tail_is_whole = is_object(text_of(&tail, u64::from(line_end == 0)));
        self.len = if tail_is_whole { len } else { line_end };
        self.cut_bytes = len - self.len;
        if self.len == 0 {
            let head = Head {
                format: R::FORMAT.to_owned(),
                version: u64::from(R::VERSION),
            };
            serde_json::to_writer(&mut self.gathered, &head).expect("our own types serialise");
            self.gathered.push(b'\n');
        } else {
            // Before anything is written: a file of another kind stays as it is.
            self.check_existing_head()?;
        }
        if tail_is_whole {
            self.gathered.push(b'\n');
        }
        if self.cut_bytes > 0 {
            self.file
                .set_len(self.len)
                .map_err(QueueError::io("cut", &path))?;
        }
        self.file.seek(SeekFrom::Start(self.len)).map_err(read())?;
        self.sync()?;
        sync_folder_of(&self.path);
        Ok(())
    }

    fn check_existing_head(&mut self) -> Result<(), QueueError> {
        let path = self.path.clone();
        let read = || QueueError::io("read", &path);
        self.file.rewind().map_err(read())?;
        let mut reader = BufReader::new(&self.file);
        let (mut line, mut nth) = (Vec::new(), 0);
        while read_line(&mut reader, &mut line).map_err(read())?.is_some() {
            nth += 1;
            let text = text_of(&line, nth);
            if !text.is_empty() {
                return match serde_json::from_slice::<Head>(text) {
                    Ok(head) => check_head::<R>(&path, &head),
                    Err(_) => Err(not_this_format::<R>(&path, text)),
                };
            }
        }
        Err(not_this_format::<R>(&path, b""))
    }

    fn write_gathered(&mut self) -> Result<(), QueueError> {
        if self.is_poisoned {
            return Err(QueueError::Poisoned {
                path: self.path.clone(),
            });
        }
        if let Err(source) = self.file.write_all(&self.gathered) {
            let taken_back = self
                .file
                .set_len(self.len)
                .and_then(|()| self.file.seek(SeekFrom::Start(self.len)));
            self.is_poisoned = taken_back.is_err();
            return Err(QueueError::io("write", &self.path)(source));
        }
        self.len += self.gathered.len() as u64;
        self.gathered.clear();
        Ok(())
    }
}

impl<R: Row> Drop for Appender<R> {
    /// What nobody asked to last is still written where that works.
    fn drop(&mut self) {
        let _ = self.write_gathered();
    }
}

/// Where the last whole line ends, and what follows it.
fn last_line(file: &mut File, len: u64) -> io::Result<(u64, Vec<u8>)> {
    let mut start = len;
    let mut tail = Vec::new();
    while start > 0 {
        let step = start.min(MAX_LINE_BYTES);
        start -= step;
        file.seek(SeekFrom::Start(start))?;
        let mut chunk = vec![0; step as usize];
        file.read_exact(&mut chunk)?;
        if let Some(at) = chunk.iter().rposition(|b| *b == b'\n') {
            let mut found = chunk.split_off(at + 1);
            found.append(&mut tail);
            return Ok((start + at as u64 + 1, found));
        }
        // A tail longer than a line is damage whatever it holds.
        chunk.append(&mut tail);
        chunk.truncate(2 * MAX_LINE_BYTES as usize);
        tail = chunk;
    }
    Ok((0, tail))
}
