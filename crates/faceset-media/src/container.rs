//! What a file's structure says before anything is decoded: its stated size,
//! its EXIF block, how many pictures it holds.
//!
//! A bomb is refused by its header, and one in frame two must not matter when
//! only frame one is used. No length found in a file is trusted.

use crate::Format;

/// Width and height that the header states, for the formats whose libraries
/// would otherwise see them first; `None` when the header is cut or of another
/// format.
pub(crate) fn stated_size(format: Format, bytes: &[u8]) -> Option<(u64, u64)> {
    let u16_at = |at: usize| Some(u64::from(le16(bytes, at)?));
    match format {
        Format::Png if bytes.get(12..16)? == b"IHDR" => {
            Some((be32(bytes, 16)?.into(), be32(bytes, 20)?.into()))
        }
        Format::Gif => Some((u16_at(6)?, u16_at(8)?)),
        // The oldest header has 16-bit sizes.
        Format::Bmp if le32(bytes, 14)? == 12 => Some((u16_at(18)?, u16_at(20)?)),
        Format::Bmp => {
            // Signed: a negative height means that the first row is on top.
            let edge = |at| Some(u64::from(le32(bytes, at)?.cast_signed().unsigned_abs()));
            Some((edge(18)?, edge(22)?))
        }
        _ => None,
    }
}

/// The EXIF block of a PNG or WebP file, without any `Exif` signature that some
/// writers leave in front of it.
pub(crate) fn exif_block(format: Format, bytes: &[u8]) -> Option<&[u8]> {
    let block = match format {
        Format::Png => chunks(bytes, 8, Endian::Big)
            .find(|(kind, _)| kind == b"eXIf")
            .map(|(_, data)| data),
        Format::WebP => chunks(bytes, 12, Endian::Little)
            .find(|(kind, _)| kind == b"EXIF")
            .map(|(_, data)| data),
        _ => None,
    }?;
    Some(block.strip_prefix(b"Exif\0\0").unwrap_or(block))
}

/// Number of pictures, at least 1; `None` for formats that hold only one and
/// for files too damaged to count.
pub(crate) fn count(format: Format, bytes: &[u8]) -> Option<u32> {
    match format {
        Format::Gif => gif(bytes),
        Format::Png => apng(bytes),
        Format::WebP => webp(bytes),
        Format::Tiff => tiff(bytes),
        _ => None,
    }
    .filter(|n| *n > 0)
}

fn gif(bytes: &[u8]) -> Option<u32> {
    let colour_table = |flags: u8| {
        if flags & 0x80 == 0 {
            0
        } else {
            3usize << ((flags & 7) + 1)
        }
    };
    let mut at = 13 + colour_table(*bytes.get(10)?);
    let mut n = 0;
    loop {
        match bytes.get(at) {
            Some(0x2C) => {
                let Some(flags) = bytes.get(at + 9) else {
                    return Some(n);
                };
                n += 1;
                // Descriptor, local colours, code size, then data blocks.
                at = skip_blocks(bytes, at + 10 + colour_table(*flags) + 1);
            }
            Some(0x21) => at = skip_blocks(bytes, at + 2),
            _ => return Some(n),
        }
    }
}

/// Past a chain of length-prefixed blocks and its zero terminator.
fn skip_blocks(bytes: &[u8], mut at: usize) -> usize {
    while let Some(len) = bytes.get(at) {
        at += 1 + usize::from(*len);
        if *len == 0 {
            break;
        }
    }
    at
}

fn apng(bytes: &[u8]) -> Option<u32> {
    chunks(bytes, 8, Endian::Big)
        .take_while(|(kind, _)| kind != b"IDAT")
        .find(|(kind, _)| kind == b"acTL")
        .and_then(|(_, data)| be32(data, 0))
}

fn webp(bytes: &[u8]) -> Option<u32> {
    let n = chunks(bytes, 12, Endian::Little)
        .filter(|(kind, _)| kind == b"ANMF")
        .count();
    u32::try_from(n).ok().filter(|n| *n > 0)
}

#[derive(Clone, Copy)]
enum Endian {
    /// PNG: length, kind, data, checksum.
    Big,
    /// RIFF: kind, length, data, padding to an even length.
    Little,
}

/// The chunks from `at` on; ends at the first that is cut off.
fn chunks(bytes: &[u8], mut at: usize, endian: Endian) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let first: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        let second: [u8; 4] = bytes.get(at + 4..at.checked_add(8)?)?.try_into().ok()?;
        let (kind, len) = match endian {
            Endian::Big => (second, u32::from_be_bytes(first) as usize),
            Endian::Little => (first, u32::from_le_bytes(second) as usize),
        };
        let end = (at + 8).checked_add(len)?;
        let data = bytes.get(at + 8..end)?;
        at = match endian {
            Endian::Big => end + 4,
            Endian::Little => end + (len & 1),
        };
        Some((kind, data))
    })
}

/// Directories of a classic TIFF; BigTIFF is not counted.
fn tiff(bytes: &[u8]) -> Option<u32> {
    /// More directories than this are a loop or an attack.
    const MAX_PAGES: u32 = 65_536;
    let little = match bytes.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let u16_at = |at| {
        if little {
            le16(bytes, at)
        } else {
            be16(bytes, at)
        }
    };
    let u32_at = |at| {
        if little {
            le32(bytes, at)
        } else {
            be32(bytes, at)
        }
    };
    let mut ifd = u32_at(4)? as usize;
    let mut n = 0;
    while ifd != 0 && n < MAX_PAGES {
        let Some(n_entries) = u16_at(ifd) else { break };
        n += 1;
        let next = u32_at(ifd + 2 + 12 * usize::from(n_entries)).unwrap_or(0) as usize;
        if next <= ifd {
            break;
        }
        ifd = next;
    }
    (n > 1).then_some(n)
}

pub(crate) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes_at(bytes, at).map(u16::from_be_bytes)
}

pub(crate) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes_at(bytes, at).map(u32::from_be_bytes)
}

pub(crate) fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes_at(bytes, at).map(u16::from_le_bytes)
}

pub(crate) fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes_at(bytes, at).map(u32::from_le_bytes)
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}
