//! Arrays out of an npz, one after another, each checked against its header.
//!
//! Owns damage: a truncated archive, a wrong checksum, an array longer or
//! shorter than it says. What the arrays mean is in `load`.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

use crate::CacheError;
use crate::npy::{Header, HeaderError, Kind, read_header, str_from};
use crate::npz_write::{COMMENT, ContentDigest};

/// At most so many rows are reserved on the word of a header.
const MAX_RESERVED_ROWS: usize = 1 << 16;
const BUFFER_BYTES: usize = 1 << 16;
/// Longest single row accepted. The longest of ours is one text; the meta with
/// its aliases is the largest of those.
const MAX_ROW_BYTES: u64 = 1 << 32;

pub(crate) struct Npz {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
}

impl Npz {
    /// Opens the archive; `None` when there is no such file.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>, CacheError> {
        let file = match File::open(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(CacheError::io("open", path))?,
        };
        if file.metadata().is_ok_and(|m| m.is_dir()) {
            return Err(CacheError::Corrupt {
                path: path.to_path_buf(),
                what: "it is a folder, not an npz archive".into(),
                source: None,
            });
        }
        let archive =
            ZipArchive::new(BufReader::with_capacity(BUFFER_BYTES, file)).map_err(|e| match e {
                ZipError::Io(source) if source.kind() != ErrorKind::UnexpectedEof => {
                    CacheError::io("read", path)(source)
                }
                other => CacheError::Corrupt {
                    path: path.to_path_buf(),
                    what: "it is truncated or not an npz archive".into(),
                    source: Some(Box::new(other)),
                },
            })?;
        Ok(Some(Self {
            path: path.to_path_buf(),
            archive,
        }))
    }

    /// See [`ContentDigest`].
    pub(crate) fn digest(&mut self) -> Result<String, CacheError> {
        let mut digest = ContentDigest::default();
        for i in 0..self.archive.len() {
            let member = self
                .archive
                .by_index_raw(i)
                .map_err(|e| damaged(&self.path, "its directory", e))?;
            let name = String::from_utf8_lossy(member.name_raw()).into_owned();
            digest.member(&name, member.size(), member.crc32());
        }
        Ok(digest.finish())
    }

    /// True when this crate wrote it, whatever was damaged since.
    pub(crate) fn is_ours(&self) -> bool {
        self.archive.comment() == COMMENT.as_bytes()
    }

    /// Errors when any array holds Python objects, whether it is one that would
    /// be read or not: what the reader needs is then likely inside.
    pub(crate) fn refuse_pickles(&mut self) -> Result<(), CacheError> {
        for i in 0..self.archive.len() {
            let Ok(mut member) = self.archive.by_index(i) else {
                continue;
            };
            let name = String::from_utf8_lossy(member.name_raw()).into_owned();
            if let Err(HeaderError::Pickled) = read_header(&mut member) {
                return Err(CacheError::Pickled {
                    path: self.path.clone(),
                    member: name.trim_end_matches(".npy").to_owned(),
                });
            }
        }
        Ok(())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.archive
            .index_for_name(&format!("{name}.npy"))
            .is_some()
    }

    /// Calls `row(index, bytes)` for each row of an array whose rows have the
    /// shape `row_shape`; returns the element type and the number of rows.
    ///
    /// `kinds` are the element types accepted. `n` is the number of rows
    /// expected, where known. The checksum of the whole array is checked.
    fn rows(
        &mut self,
        name: &str,
        n: Option<u64>,
        row_shape: RowShape<'_>,
        kinds: impl Fn(Kind) -> bool,
        mut row: impl FnMut(&Header, usize, &[u8]) -> Result<(), String>,
    ) -> Result<Header, CacheError> {
        let path = &self.path;
        let bad = |what: String| CacheError::BadArray {
            path: path.clone(),
            member: name.to_owned(),
            what,
        };
        let member = match self.archive.by_name(&format!("{name}.npy")) {
            Err(ZipError::FileNotFound) => {
                return Err(CacheError::NoArray {
                    path: path.clone(),
                    member: name.to_owned(),
                });
            }
            other => other.map_err(|e| damaged(path, name, e))?,
        };
        let stored_bytes = member.size();
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, member);
        let (header, header_bytes) = read_header(&mut reader).map_err(|e| match e {
            HeaderError::Io(source) => damaged(path, name, source.into()),
            HeaderError::Pickled => CacheError::Pickled {
                path: path.clone(),
                member: name.to_owned(),
            },
            HeaderError::Other(what) => bad(what),
        })?;
        if !kinds(header.kind) {
            return Err(bad(format!(
                "holds {:?}, which is not expected",
                header.kind
            )));
        }
        let (n_rows, inner) = match (row_shape, header.shape.as_slice()) {
            (RowShape::Scalar, []) => (1, [].as_slice()),
            (RowShape::Exactly(wanted), [n_rows, inner @ ..]) if inner == wanted => {
                (*n_rows, inner)
            }
            (RowShape::Vectors, [n_rows, dim]) if *dim > 0 => (*n_rows, std::slice::from_ref(dim)),
            (wanted, found) => {
                return Err(bad(format!("has shape {found:?}, expected {wanted}")));
            }
        };
        if let Some(n) = n.filter(|&n| n != n_rows) {
            return Err(bad(format!("has {n_rows} rows, other arrays have {n}")));
        }
        if header_bytes.saturating_add(header.data_bytes()) != stored_bytes {
            return Err(bad(format!(
                "has {stored_bytes} bytes, its header promises {}",
                header_bytes.saturating_add(header.data_bytes())
            )));
        }
        let row_bytes = inner
            .iter()
            .fold(header.kind.item_bytes(), |n, &d| n.saturating_mul(d));
        if row_bytes > MAX_ROW_BYTES {
            return Err(bad(format!("has rows of {row_bytes} bytes")));
        }
        let mut buffer = Vec::new();
        for i in 0..n_rows as usize {
            buffer.clear();
            let got = reader
                .by_ref()
                .take(row_bytes)
                .read_to_end(&mut buffer)
                .map_err(|e| damaged(path, name, e.into()))?;
            if got as u64 != row_bytes {
                return Err(damaged(
                    path,
                    name,
                    ZipError::Io(ErrorKind::UnexpectedEof.into()),
                ));
            }
            row(&header, i, &buffer).map_err(&bad)?;
        }
        // Reading the end is what makes the archive compare the checksum.
        let rest = reader
            .read(&mut [0])
            .map_err(|e| damaged(path, name, e.into()))?;
        if rest != 0 {
            return Err(bad("is longer than its header promises".into()));
        }
        Ok(header)
    }

    /// Numbers as f32, row by row.
    pub(crate) fn floats(
        &mut self,
        name: &str,
        n: Option<u64>,
        row_shape: RowShape<'_>,
        mut row: impl FnMut(usize, &[f32]) -> Result<(), String>,
    ) -> Result<Header, CacheError> {
        let mut values: Vec<f32> = Vec::new();
        let number = |k| !matches!(k, Kind::Str(_) | Kind::Bool);
        self.rows(name, n, row_shape, number, |header, i, bytes| {
            values.clear();
            match header.kind {
                Kind::F32 => {
                    values.extend(bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)));
                }
                Kind::F64 => {
                    values.extend(
                        bytes
                            .as_chunks()
                            .0
                            .iter()
                            .map(|&b| f64::from_le_bytes(b) as f32),
                    );
                }
                kind => values.extend(integers(kind, bytes).map(|v| v as f32)),
            }
            row(i, &values)
        })
    }

    /// One integer per row.
    pub(crate) fn integers(&mut self, name: &str, n: u64) -> Result<Vec<i64>, CacheError> {
        let mut all = Vec::with_capacity(reserve(n));
        self.rows(
            name,
            Some(n),
            RowShape::Exactly(&[]),
            is_integer,
            |header, _, bytes| {
                all.extend(integers(header.kind, bytes));
                Ok(())
            },
        )?;
        Ok(all)
    }

    /// Pairs of u32.
    pub(crate) fn pairs(&mut self, name: &str, n: u64) -> Result<Vec<[u32; 2]>, CacheError> {
        let mut all = Vec::with_capacity(reserve(n));
        self.rows(
            name,
            Some(n),
            RowShape::Exactly(&[2]),
            is_integer,
            |header, i, bytes| {
                let mut pair = integers(header.kind, bytes).map(u32::try_from);
                let (Some(Ok(first)), Some(Ok(second))) = (pair.next(), pair.next()) else {
                    return Err(format!("row {i} is out of range"));
                };
                all.push([first, second]);
                Ok(())
            },
        )?;
        Ok(all)
    }

    /// One truth value per row.
    pub(crate) fn bools(&mut self, name: &str, n: u64) -> Result<Vec<bool>, CacheError> {
        let mut all = Vec::with_capacity(reserve(n));
        let is_bool = |k| k == Kind::Bool;
        self.rows(
            name,
            Some(n),
            RowShape::Exactly(&[]),
            is_bool,
            |_, _, bytes| {
                all.push(bytes[0] != 0);
                Ok(())
            },
        )?;
        Ok(all)
    }

    /// One text per row.
    pub(crate) fn strings(
        &mut self,
        name: &str,
        n: Option<u64>,
    ) -> Result<Vec<String>, CacheError> {
        let mut all = Vec::with_capacity(reserve(n.unwrap_or(0)));
        self.rows(name, n, RowShape::Exactly(&[]), is_text, |_, i, bytes| {
            all.push(str_from(bytes).ok_or_else(|| format!("row {i} is not valid unicode"))?);
            Ok(())
        })?;
        Ok(all)
    }

    /// A single text without dimensions.
    pub(crate) fn text(&mut self, name: &str) -> Result<String, CacheError> {
        let mut text = String::new();
        self.rows(name, None, RowShape::Scalar, is_text, |_, _, bytes| {
            text = str_from(bytes).ok_or("is not valid unicode")?;
            Ok(())
        })?;
        Ok(text)
    }
}

/// What the dimensions after the first must be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RowShape<'a> {
    /// No dimension at all.
    Scalar,
    /// N rows of exactly this shape; of single values when empty.
    Exactly(&'a [u64]),
    /// N rows of vectors of any one length.
    Vectors,
}

impl std::fmt::Display for RowShape<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Scalar => f.write_str("no dimension"),
            Self::Exactly(inner) => {
                f.write_str("[N")?;
                inner.iter().try_for_each(|d| write!(f, ", {d}"))?;
                f.write_str("]")
            }
            Self::Vectors => f.write_str("[N, D]"),
        }
    }
}

fn damaged(path: &Path, member: &str, e: ZipError) -> CacheError {
    CacheError::Corrupt {
        path: path.to_path_buf(),
        what: format!("the archive is damaged at `{member}`"),
        source: Some(Box::new(e)),
    }
}

fn reserve(n: u64) -> usize {
    usize::try_from(n)
        .unwrap_or(usize::MAX)
        .min(MAX_RESERVED_ROWS)
}

fn is_text(kind: Kind) -> bool {
    matches!(kind, Kind::Str(_))
}

fn is_integer(kind: Kind) -> bool {
    matches!(kind, Kind::I32 | Kind::I64 | Kind::U32 | Kind::U64)
}

/// Little-endian integers of a kind; an unsigned one beyond i64 saturates.
fn integers(kind: Kind, bytes: &[u8]) -> impl Iterator<Item = i64> + '_ {
    let width = kind.item_bytes() as usize;
    bytes.chunks_exact(width).map(move |chunk| {
        let mut wide = [0u8; 8];
        wide[..width].copy_from_slice(chunk);
        match kind {
            Kind::I32 => i64::from(u32::from_le_bytes([wide[0], wide[1], wide[2], wide[3]]) as i32),
            Kind::I64 => i64::from_le_bytes(wide),
            _ => i64::try_from(u64::from_le_bytes(wide)).unwrap_or(i64::MAX),
        }
    })
}
