//! What a file is, by its first bytes.
//!
//! Names lie: photos arrive as `.jpg` that are HEIC inside. The extension only
//! decides which files are worth opening (`scan`); this module decides what
//! they are.

use std::fmt;

use crate::container::{be16, be32, le16, le32};

/// Bytes from the start of a file that [`sniff`] needs to see everything.
pub const SNIFF_BYTES: usize = 512;

/// A picture format, whether or not this build decodes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// JPEG, also the first picture of an MPO.
    Jpeg,
    /// PNG and animated PNG.
    Png,
    /// WebP, still or animated.
    WebP,
    /// TIFF and BigTIFF.
    Tiff,
    /// Windows bitmap.
    Bmp,
    /// GIF.
    Gif,
    /// Portable bitmap, greymap, pixmap, anymap.
    Pnm,
    /// HEIF coded with HEVC.
    Heic,
    /// Photoshop document, version 1.
    Psd,
    /// Photoshop large document. Not decoded.
    Psb,
    /// HEIF coded with AV1. Not decoded.
    Avif,
    /// JPEG XL. Not decoded.
    Jxl,
    /// JPEG 2000. Not decoded.
    Jpeg2000,
    /// Camera raw of any maker. Not decoded.
    Raw,
}

impl Format {
    /// Short name for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Tiff => "TIFF",
            Self::Bmp => "BMP",
            Self::Gif => "GIF",
            Self::Pnm => "PNM",
            Self::Heic => "HEIC",
            Self::Psd => "PSD",
            Self::Psb => "PSB",
            Self::Avif => "AVIF",
            Self::Jxl => "JPEG XL",
            Self::Jpeg2000 => "JPEG 2000",
            Self::Raw => "camera raw",
        }
    }

    /// Lower-case extensions that fit the format.
    pub fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Jpeg => &["jpg", "jpeg", "jpe", "jfif", "jif", "mpo", "jps", "thm"],
            Self::Png => &["png", "apng"],
            Self::WebP => &["webp"],
            Self::Tiff => &["tif", "tiff"],
            Self::Bmp => &["bmp", "dib"],
            Self::Gif => &["gif"],
            Self::Pnm => &["pbm", "pgm", "ppm", "pnm", "pam"],
            Self::Heic => &["heic", "heif", "heics", "heifs", "hif"],
            Self::Psd => &["psd"],
            Self::Psb => &["psb"],
            Self::Avif => &["avif", "avifs"],
            Self::Jxl => &["jxl"],
            Self::Jpeg2000 => &["jp2", "j2k", "jpf", "jpx", "jpm", "j2c", "jpc"],
            Self::Raw => &[
                "3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "iiq", "kdc", "mef", "mos",
                "mrw", "nef", "nrw", "orf", "pef", "raf", "raw", "rw2", "rwl", "sr2", "srf", "srw",
                "x3f",
            ],
        }
    }

    /// Every format, in report order.
    pub const ALL: [Self; 14] = [
        Self::Jpeg,
        Self::Png,
        Self::WebP,
        Self::Tiff,
        Self::Bmp,
        Self::Gif,
        Self::Pnm,
        Self::Heic,
        Self::Psd,
        Self::Psb,
        Self::Avif,
        Self::Jxl,
        Self::Jpeg2000,
        Self::Raw,
    ];
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a file is when it is no picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OtherKind {
    /// Moving pictures or sound.
    Video,
    /// Text, PDF, office files, mark-up.
    Document,
    /// Archives and packages.
    Archive,
    /// Nothing that is known here.
    Unknown,
}

impl fmt::Display for OtherKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Video => "a video or sound file",
            Self::Document => "a document",
            Self::Archive => "an archive",
            Self::Unknown => "unknown content",
        })
    }
}

/// What the first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A picture.
    Picture(Format),
    /// Something else.
    Other(OtherKind),
    /// No bytes at all.
    Empty,
}

/// Tells what a file is from its first bytes; [`SNIFF_BYTES`] are enough.
///
/// Never reads past `start`; a start that is too short for a decision is
/// `Other(Unknown)`.
pub fn sniff(start: &[u8]) -> Content {
    use Content::{Other, Picture};
    if start.is_empty() {
        return Content::Empty;
    }
    if let Some(content) = iso_media(start) {
        return content;
    }
    if let Some(content) = tiff_like(start) {
        return content;
    }
    if let Some(content) = riff(start) {
        return content;
    }
    let picture = PICTURE_MAGIC
        .iter()
        .find(|(magic, _)| start.starts_with(magic));
    if let Some((_, format)) = picture {
        return Picture(*format);
    }
    if is_pnm(start) {
        return Picture(Format::Pnm);
    }
    if is_bmp(start) {
        return Picture(Format::Bmp);
    }
    let other = OTHER_MAGIC
        .iter()
        .find(|(magic, _)| start.starts_with(magic));
    if let Some((_, kind)) = other {
        return Other(*kind);
    }
    if is_text(start) {
        return Other(OtherKind::Document);
    }
    Other(OtherKind::Unknown)
}

/// Whether a file name's extension fits the format that was found inside.
///
/// No extension fits everything: it promises nothing.
pub fn extension_fits(path: &std::path::Path, format: Format) -> bool {
    match lower_extension(path) {
        Some(extension) => format.extensions().contains(&extension.as_str()),
        None => true,
    }
}

/// The extension in lower case; `None` when there is none.
pub(crate) fn lower_extension(path: &std::path::Path) -> Option<String> {
    path.extension()
        .map(|e| e.to_string_lossy().to_ascii_lowercase())
}

const PICTURE_MAGIC: &[(&[u8], Format)] = &[
    (b"\xFF\xD8\xFF", Format::Jpeg),
    (b"\x89PNG\r\n\x1A\n", Format::Png),
    (b"GIF87a", Format::Gif),
    (b"GIF89a", Format::Gif),
    (b"8BPS\x00\x01", Format::Psd),
    (b"8BPS\x00\x02", Format::Psb),
    (b"\xFF\x0A", Format::Jxl),
    (b"\0\0\0\x0CJXL \r\n\x87\n", Format::Jxl),
    (b"\0\0\0\x0CjP  \r\n\x87\n", Format::Jpeg2000),
    (b"\xFF\x4F\xFF\x51", Format::Jpeg2000),
    (b"FUJIFILMCCD-RAW", Format::Raw),
    (b"FOVb", Format::Raw),
    (b"\0MRM", Format::Raw),
];

const OTHER_MAGIC: &[(&[u8], OtherKind)] = &[
    (b"\x1A\x45\xDF\xA3", OtherKind::Video),
    (b"OggS", OtherKind::Video),
    (b"ID3", OtherKind::Video),
    (b"fLaC", OtherKind::Video),
    (b"FLV\x01", OtherKind::Video),
    (b"\0\0\x01\xBA", OtherKind::Video),
    (b"\0\0\x01\xB3", OtherKind::Video),
    (b"\x30\x26\xB2\x75\x8E\x66\xCF\x11", OtherKind::Video),
    (b"%PDF-", OtherKind::Document),
    (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", OtherKind::Document),
    (b"PK\x03\x04", OtherKind::Archive),
    (b"PK\x05\x06", OtherKind::Archive),
    (b"\x1F\x8B", OtherKind::Archive),
    (b"Rar!", OtherKind::Archive),
    (b"7z\xBC\xAF\x27\x1C", OtherKind::Archive),
    (b"\xFD7zXZ\0", OtherKind::Archive),
    (b"\x28\xB5\x2F\xFD", OtherKind::Archive),
    (b"BZh", OtherKind::Archive),
];

/// HEIF, AVIF, CR3 and the videos share one container; the brands tell.
fn iso_media(start: &[u8]) -> Option<Content> {
    if start.get(4..8)? != b"ftyp" {
        return None;
    }
    let size = u32::from_be_bytes(start[..4].try_into().expect("four bytes")) as usize;
    let end = size.clamp(12, start.len().max(12)).min(start.len());
    // Major brand, four bytes of version, then compatible brands.
    let major = start.get(8..12)?;
    let compatible = start.get(16..end).unwrap_or_default();
    let has = |wanted: &[&[u8; 4]]| {
        std::iter::once(major)
            .chain(compatible.chunks_exact(4))
            .any(|brand| wanted.iter().any(|w| w.as_slice() == brand))
    };
    let picture = |format| Some(Content::Picture(format));
    if has(&[b"avif", b"avis"]) {
        picture(Format::Avif)
    } else if has(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"]) {
        picture(Format::Heic)
    } else if has(&[b"crx "]) {
        picture(Format::Raw)
    } else if has(&[b"mif1", b"mif2", b"msf1"]) {
        // A HEIF of another codec: the HEIC decoder names what it cannot do.
        picture(Format::Heic)
    } else {
        Some(Content::Other(OtherKind::Video))
    }
}

/// TIFF and the camera raws built on it.
fn tiff_like(start: &[u8]) -> Option<Content> {
    let picture = |format| Some(Content::Picture(format));
    let little = match start.get(..2)? {
        b"II" => true,
        b"MM" => false,
        _ => return None,
    };
    match (little, start.get(2..4)?) {
        (true, b"*\0") | (false, b"\0*") => {}
        (true, b"+\0") | (false, b"\0+") => return picture(Format::Tiff),
        (true, b"RO" | b"RS" | b"U\0") => return picture(Format::Raw),
        _ => return None,
    }
    if start.get(8..10) == Some(b"CR") || start.get(6..14) == Some(b"HEAPCCDR") {
        return picture(Format::Raw);
    }
    if first_ifd_is_a_preview(start, little) {
        return picture(Format::Raw);
    }
    picture(Format::Tiff)
}

/// DNG, NEF and ARW put a thumbnail first and the sensor data in sub-folders:
/// decoding "the first picture" would quietly give a postage stamp.
fn first_ifd_is_a_preview(start: &[u8], little: bool) -> bool {
    const NEW_SUBFILE_TYPE: u16 = 0x00FE;
    const DNG_VERSION: u16 = 0xC612;
    let u16_at = |at| {
        if little {
            le16(start, at)
        } else {
            be16(start, at)
        }
    };
    let u32_at = |at| {
        if little {
            le32(start, at)
        } else {
            be32(start, at)
        }
    };
    let Some(ifd) = u32_at(4).map(|o| o as usize) else {
        return false;
    };
    let n_entries = u16_at(ifd).unwrap_or(0);
    (0..usize::from(n_entries)).any(|idx| {
        let at = ifd + 2 + idx * 12;
        match u16_at(at) {
            Some(NEW_SUBFILE_TYPE) => u32_at(at + 8).is_some_and(|flags| flags & 1 == 1),
            Some(DNG_VERSION) => true,
            _ => false,
        }
    })
}

fn riff(start: &[u8]) -> Option<Content> {
    if start.get(..4)? != b"RIFF" {
        return None;
    }
    Some(match start.get(8..12) {
        Some(b"WEBP") => Content::Picture(Format::WebP),
        Some(b"AVI " | b"WAVE") => Content::Other(OtherKind::Video),
        _ => Content::Other(OtherKind::Unknown),
    })
}

fn is_pnm(start: &[u8]) -> bool {
    matches!(start, [b'P', b'1'..=b'7', next, ..] if next.is_ascii_whitespace())
}

/// `BM` alone begins many texts; the header size that follows is the check.
fn is_bmp(start: &[u8]) -> bool {
    start.starts_with(b"BM")
        && matches!(
            start.get(14..18),
            Some([12 | 16 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0])
        )
}

fn is_text(start: &[u8]) -> bool {
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // A cut in the middle of the last character is still text.
        Err(e) if e.error_len().is_none() && e.valid_up_to() > 0 => {
            std::str::from_utf8(&start[..e.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}' | '\u{feff}'))
}
