//! How many pictures an animated or many-paged file holds.
//!
//! Counted from the structure, never by decoding: a bomb in frame two must not
//! matter when only frame one is used.

use crate::Format;

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
    let mut at = 8;
    loop {
        let len = be32(bytes, at)? as usize;
        match bytes.get(at + 4..at + 8)? {
            b"acTL" => return be32(bytes, at + 8),
            b"IDAT" | b"IEND" => return None,
            _ => at = at.checked_add(12)?.checked_add(len)?,
        }
    }
}

fn webp(bytes: &[u8]) -> Option<u32> {
    let mut at = 12usize;
    let mut n = 0;
    while let Some(kind) = bytes.get(at..at + 4) {
        let len = u32::from_le_bytes(bytes.get(at + 4..at + 8)?.try_into().ok()?) as usize;
        n += u32::from(kind == b"ANMF");
        at = at.checked_add(8 + (len & 1))?.checked_add(len)?;
    }
    (n > 0).then_some(n)
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
    let u16_at = |at: usize| {
        let b: [u8; 2] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little {
            u16::from_le_bytes(b)
        } else {
            u16::from_be_bytes(b)
        })
    };
    let u32_at = |at: usize| {
        let b: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if little {
            u32::from_le_bytes(b)
        } else {
            u32::from_be_bytes(b)
        })
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

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let b = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(b.try_into().ok()?))
}
