//! The header of a numpy array, read and written.
//!
//! Written by hand because the crates at hand do not read or write arrays of
//! unicode, and because a header from outside must never decide how much memory
//! is taken. Only what a cache uses is understood: C order, little endian,
//! plain numbers, booleans and unicode.

use std::io::{self, Read, Write};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Longest header accepted: ours have under 128 bytes, numpy's own limit for
/// headers it does not trust is 10,000.
const MAX_HEADER_BYTES: usize = 10_000;
/// The array data starts at a multiple of this, as numpy writes it.
const ALIGNMENT: usize = 64;

/// Element type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    F32,
    F64,
    I32,
    I64,
    U32,
    U64,
    /// Fixed-width unicode of so many code points of 4 bytes.
    Str(u64),
}

impl Kind {
    pub(crate) fn item_bytes(self) -> u64 {
        match self {
            Self::Bool => 1,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::Str(width) => width.saturating_mul(4),
        }
    }

    fn descr(self) -> String {
        match self {
            Self::Bool => "|b1".into(),
            Self::F32 => "<f4".into(),
            Self::F64 => "<f8".into(),
            Self::I32 => "<i4".into(),
            Self::I64 => "<i8".into(),
            Self::U32 => "<u4".into(),
            Self::U64 => "<u8".into(),
            Self::Str(width) => format!("<U{width}"),
        }
    }

    fn parse(descr: &str) -> Option<Self> {
        Some(match descr {
            "|b1" => Self::Bool,
            "<f4" => Self::F32,
            "<f8" => Self::F64,
            "<i4" => Self::I32,
            "<i8" => Self::I64,
            "<u4" => Self::U32,
            "<u8" => Self::U64,
            _ => Self::Str(descr.strip_prefix("<U")?.parse().ok()?),
        })
    }
}

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) shape: Vec<u64>,
}

impl Header {
    /// Bytes of array data; saturates, so that a lie never wraps to a small
    /// number.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.shape
            .iter()
            .fold(self.kind.item_bytes(), |n, &d| n.saturating_mul(d))
    }

    /// The header's bytes, format version 1.0.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let dims: Vec<String> = self.shape.iter().map(u64::to_string).collect();
        let shape = match dims.as_slice() {
            [one] => format!("({one},)"),
            many => format!("({})", many.join(", ")),
        };
        let mut dict = format!(
            "{{'descr': '{}', 'fortran_order': False, 'shape': {shape}, }}",
            self.kind.descr()
        );
        let used = MAGIC.len() + 4 + dict.len() + 1;
        let padding = used.next_multiple_of(ALIGNMENT) - used;
        dict.push_str(&" ".repeat(padding));
        dict.push('\n');
        let mut bytes = Vec::with_capacity(MAGIC.len() + 4 + dict.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[1, 0]);
        let len = u16::try_from(dict.len()).expect("a header of ours is under 200 bytes");
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(dict.as_bytes());
        bytes
    }
}

/// Why a header was not understood.
#[derive(Debug)]
pub(crate) enum HeaderError {
    /// The stream ended or broke.
    Io(io::Error),
    /// It is an array of Python objects.
    Pickled,
    /// Anything else, for people.
    Other(String),
}

impl From<io::Error> for HeaderError {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

/// Reads a header and leaves the reader at the data. Returns its length too.
pub(crate) fn read_header(reader: &mut impl Read) -> Result<(Header, u64), HeaderError> {
    let mut start = [0u8; 8];
    reader.read_exact(&mut start)?;
    if &start[..6] != MAGIC {
        return Err(HeaderError::Other("is not a numpy array".into()));
    }
    let (len, prefix) = match start[6] {
        1 => {
            let mut len = [0u8; 2];
            reader.read_exact(&mut len)?;
            (usize::from(u16::from_le_bytes(len)), 10)
        }
        2 | 3 => {
            let mut len = [0u8; 4];
            reader.read_exact(&mut len)?;
            (u32::from_le_bytes(len) as usize, 12)
        }
        v => return Err(HeaderError::Other(format!("has npy format version {v}"))),
    };
    if len > MAX_HEADER_BYTES {
        return Err(HeaderError::Other(format!("has a header of {len} bytes")));
    }
    let mut dict = vec![0u8; len];
    reader.read_exact(&mut dict)?;
    let dict = String::from_utf8(dict)
        .map_err(|_| HeaderError::Other("has a header that is not text".into()))?;
    parse_dict(&dict).map(|header| (header, (prefix + len) as u64))
}

fn parse_dict(dict: &str) -> Result<Header, HeaderError> {
    let unclear = || HeaderError::Other(format!("has an unclear header: {}", dict.trim()));
    let descr = value_of(dict, "descr").ok_or_else(unclear)?;
    if descr.starts_with('[') {
        return Err(if descr.contains("O'") {
            HeaderError::Pickled
        } else {
            HeaderError::Other("is a structured array, expected plain numbers or text".into())
        });
    }
    let descr = quoted(descr).ok_or_else(unclear)?;
    if descr.ends_with('O') {
        return Err(HeaderError::Pickled);
    }
    let kind = Kind::parse(descr).ok_or_else(|| {
        HeaderError::Other(format!(
            "has the unsupported element type {descr} (little-endian numbers and unicode are read)"
        ))
    })?;
    let column_major = value_of(dict, "fortran_order").ok_or_else(unclear)?;
    let shape = value_of(dict, "shape")
        .and_then(|v| v.strip_prefix('(')?.split_once(')'))
        .ok_or_else(unclear)?
        .0;
    let shape: Vec<u64> = shape
        .split(',')
        .map(str::trim)
        .filter(|d| !d.is_empty())
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|_| unclear())?;
    // Column-major order is the same thing for arrays of one dimension.
    if !column_major.starts_with("False") && shape.len() > 1 {
        return Err(HeaderError::Other(
            "is column-major; save it with numpy.ascontiguousarray".into(),
        ));
    }
    Ok(Header { kind, shape })
}

fn value_of<'a>(dict: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = dict
        .split_once(&format!("'{key}'"))
        .or_else(|| dict.split_once(&format!("\"{key}\"")))?;
    Some(rest.trim_start().strip_prefix(':')?.trim_start())
}

fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| ['\'', '"'].contains(c))?;
    text[1..].split_once(quote).map(|(value, _)| value)
}

/// Writes `text` as `width` code points, padded with NUL.
pub(crate) fn write_str(out: &mut dyn Write, text: &str, width: u64) -> io::Result<()> {
    let mut written = 0;
    for c in text.chars() {
        out.write_all(&u32::from(c).to_le_bytes())?;
        written += 1;
    }
    for _ in written..width {
        out.write_all(&[0; 4])?;
    }
    Ok(())
}

/// Reads back what [`write_str`] or numpy wrote; `None` when a code point is
/// not one, such as the lone surrogates by which Python marks undecodable names.
pub(crate) fn str_from(bytes: &[u8]) -> Option<String> {
    let points: Vec<u32> = bytes
        .chunks_exact(4)
        .map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]]))
        .collect();
    let end = points.iter().rposition(|&p| p != 0).map_or(0, |i| i + 1);
    points[..end].iter().map(|&p| char::from_u32(p)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(dict: &str) -> Result<Header, HeaderError> {
        parse_dict(dict)
    }

    #[test]
    fn headers_read_back_and_end_at_a_multiple_of_64() {
        for (kind, shape) in [
            (Kind::F32, vec![3, 512]),
            (Kind::Str(17), vec![]),
            (Kind::Bool, vec![0]),
            (Kind::U32, vec![1_000_000, 2]),
        ] {
            let header = Header { kind, shape };
            let bytes = header.to_bytes();
            assert_eq!(bytes.len() % ALIGNMENT, 0);
            let (back, len) = read_header(&mut bytes.as_slice()).unwrap();
            assert_eq!((back, len), (header, bytes.len() as u64));
        }
    }

    #[test]
    fn the_header_is_written_as_numpy_does() {
        let bytes = Header {
            kind: Kind::F32,
            shape: vec![7],
        }
        .to_bytes();
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (7,), }";
        assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00");
        assert_eq!(std::str::from_utf8(&bytes[10..]).unwrap().trim_end(), text);
    }

    #[test]
    fn objects_are_told_from_other_unsupported_types() {
        let with = |d: &str| format!("{{'descr': {d}, 'fortran_order': False, 'shape': (2,), }}");
        assert!(matches!(parse(&with("'|O'")), Err(HeaderError::Pickled)));
        assert!(matches!(
            parse(&with("[('a', '|O')]")),
            Err(HeaderError::Pickled)
        ));
        for other in ["'>f4'", "'|S12'", "[('a', '<f4')]", "'<Ux'", "3"] {
            assert!(
                matches!(parse(&with(other)), Err(HeaderError::Other(_))),
                "{other}"
            );
        }
    }

    #[test]
    fn column_major_is_refused_only_where_it_matters() {
        let with = |s: &str| format!("{{'descr': '<f4', 'fortran_order': True, 'shape': {s}, }}");
        assert!(parse(&with("(4,)")).is_ok());
        assert!(parse(&with("(4, 2)")).is_err());
    }

    #[test]
    fn an_absurd_shape_saturates() {
        let header = Header {
            kind: Kind::F64,
            shape: vec![u64::MAX, 3],
        };
        assert_eq!(header.data_bytes(), u64::MAX);
    }

    #[test]
    fn text_round_trips_beyond_the_basic_plane() {
        let mut bytes = Vec::new();
        write_str(&mut bytes, "å🙂", 4).unwrap();
        assert_eq!(bytes.len(), 16);
        assert_eq!(str_from(&bytes).as_deref(), Some("å🙂"));
        assert_eq!(str_from(&0xDC80_u32.to_le_bytes()), None);
        assert_eq!(str_from(&[]).as_deref(), Some(""));
    }
}
