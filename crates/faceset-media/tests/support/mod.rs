//! Pictures made in code: lopsided, tiny, and built byte by byte where no
//! encoder makes the case that a test needs.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary includes this module and uses its own part of it"
)]

use std::fmt::Write;
use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder, ImageFormat, Rgb, RgbImage};

/// 40 x 24 with another colour in each quarter and a notch, so that no turn,
/// flip or channel swap maps it to itself.
pub fn lopsided() -> RgbImage {
    RgbImage::from_fn(40, 24, |x, y| match (x < 16, y < 16) {
        (true, true) if x < 8 && y < 8 => Rgb([10, 20, 30]),
        (true, true) => Rgb([220, 30, 20]),
        (false, true) => Rgb([30, 200, 60]),
        (true, false) => Rgb([20, 60, 230]),
        (false, false) => Rgb([240, 230, 120]),
    })
}

/// The picture as a camera stores it when `orientation` brings it upright,
/// written out from the EXIF table: where does upright pixel (x, y) lie?
pub fn stored_as(upright: &RgbImage, orientation: u8) -> RgbImage {
    let (w, h) = upright.dimensions();
    let (sw, sh) = if orientation >= 5 { (h, w) } else { (w, h) };
    let mut stored = RgbImage::new(sw, sh);
    for (x, y, px) in upright.enumerate_pixels() {
        let (sx, sy) = match orientation {
            1 => (x, y),
            2 => (w - 1 - x, y),
            3 => (w - 1 - x, h - 1 - y),
            4 => (x, h - 1 - y),
            5 => (y, x),
            6 => (y, sh - 1 - x),
            7 => (sw - 1 - y, sh - 1 - x),
            8 => (sw - 1 - y, x),
            other => panic!("no orientation {other}"),
        };
        stored.put_pixel(sx, sy, *px);
    }
    stored
}

/// A little-endian EXIF block: orientation and texts in the main directory,
/// texts in the Exif directory.
pub fn exif_block(orientation: Option<u16>, main: &[(u16, &str)], exif: &[(u16, &str)]) -> Vec<u8> {
    const EXIF_POINTER: u16 = 0x8769;
    let n_main = usize::from(orientation.is_some()) + main.len() + usize::from(!exif.is_empty());
    let main_at = 8;
    let exif_at = main_at + 2 + 12 * n_main + 4;
    let exif_size = if exif.is_empty() {
        0
    } else {
        2 + 12 * exif.len() + 4
    };
    let mut texts_at = exif_at + exif_size;
    let mut tail = Vec::new();
    let mut text_entry = |tag: u16, text: &str| {
        let mut entry = Vec::new();
        let with_nul = [text.as_bytes(), b"\0"].concat();
        entry.extend(tag.to_le_bytes());
        entry.extend(2u16.to_le_bytes());
        entry.extend((with_nul.len() as u32).to_le_bytes());
        if with_nul.len() <= 4 {
            let mut inline = with_nul;
            inline.resize(4, 0);
            entry.extend(inline);
        } else {
            entry.extend((texts_at as u32).to_le_bytes());
            texts_at += with_nul.len();
            tail.extend(with_nul);
        }
        entry
    };
    let number_entry = |tag: u16, kind: u16, value: u32| {
        let mut entry = Vec::new();
        entry.extend(tag.to_le_bytes());
        entry.extend(kind.to_le_bytes());
        entry.extend(1u32.to_le_bytes());
        entry.extend(value.to_le_bytes());
        entry
    };
    let mut out = b"II*\0\x08\0\0\0".to_vec();
    out.extend((n_main as u16).to_le_bytes());
    if let Some(orientation) = orientation {
        out.extend(number_entry(0x0112, 3, orientation.into()));
    }
    for (tag, text) in main {
        out.extend(text_entry(*tag, text));
    }
    if !exif.is_empty() {
        out.extend(number_entry(EXIF_POINTER, 4, exif_at as u32));
    }
    out.extend(0u32.to_le_bytes());
    if !exif.is_empty() {
        out.extend((exif.len() as u16).to_le_bytes());
        for (tag, text) in exif {
            out.extend(text_entry(*tag, text));
        }
        out.extend(0u32.to_le_bytes());
    }
    out.extend(tail);
    out
}

pub fn png(picture: &RgbImage, exif: Option<Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = PngEncoder::new(&mut out);
    if let Some(exif) = exif {
        encoder.set_exif_metadata(exif).unwrap();
    }
    write_rgb(encoder, picture);
    out
}

pub fn webp(picture: &RgbImage, exif: Option<Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = WebPEncoder::new_lossless(&mut out);
    if let Some(exif) = exif {
        encoder.set_exif_metadata(exif).unwrap();
    }
    write_rgb(encoder, picture);
    out
}

pub fn jpeg(picture: &RgbImage, exif: Option<Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::new();
    write_rgb(JpegEncoder::new_with_quality(&mut out, 95), picture);
    if let Some(exif) = exif {
        let segment = segment(0xE1, &[b"Exif\0\0", exif.as_slice()].concat());
        out.splice(2..2, segment);
    }
    out
}

fn write_rgb(encoder: impl ImageEncoder, picture: &RgbImage) {
    encoder
        .write_image(
            picture.as_raw(),
            picture.width(),
            picture.height(),
            ExtendedColorType::Rgb8,
        )
        .unwrap();
}

pub fn encoded(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// An uncompressed one-strip RGB TIFF with an orientation.
pub fn tiff(picture: &RgbImage, orientation: u16) -> Vec<u8> {
    let (w, h) = picture.dimensions();
    let n_entries = 10u16;
    let after = 8 + 2 + 12 * u32::from(n_entries) + 4;
    let mut out = b"II*\0\x08\0\0\0".to_vec();
    out.extend(n_entries.to_le_bytes());
    for (tag, kind, count, value) in [
        (256u16, 4u16, 1u32, w),
        (257, 4, 1, h),
        (258, 3, 3, after),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, after + 6),
        (274, 3, 1, u32::from(orientation)),
        (277, 3, 1, 3),
        (278, 4, 1, h),
        (279, 4, 1, w * h * 3),
    ] {
        out.extend(tag.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend(count.to_le_bytes());
        out.extend(value.to_le_bytes());
    }
    out.extend(0u32.to_le_bytes());
    out.extend([8, 0, 8, 0, 8, 0]);
    out.extend(picture.as_raw());
    out
}

/// A JPEG segment: marker, length, payload.
pub fn segment(marker: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0xFF, marker];
    out.extend((payload.len() as u16 + 2).to_be_bytes());
    out.extend(payload);
    out
}

/// An 8 x 8 JPEG of one colour, given as stored component values. Only DC
/// coefficients, so that every value survives exactly. `sof` is the frame
/// marker (0xC0 baseline, 0xC2 progressive), `adobe` the colour transform of an
/// Adobe segment.
pub fn flat_jpeg(values: &[u8], sof: u8, adobe: Option<u8>) -> Vec<u8> {
    let n = values.len() as u8;
    let mut out = vec![0xFF, 0xD8];
    if let Some(transform) = adobe {
        let mut payload = b"Adobe\0\x64\0\0\0\0".to_vec();
        payload.push(transform);
        out.extend(segment(0xEE, &payload));
    }
    // Quantiser 8 throughout: a DC of d is exactly d above mid-grey.
    out.extend(segment(0xDB, &[&[0u8][..], &[8; 64]].concat()));
    let mut frame = vec![8, 0, 8, 0, 8, n];
    for id in 1..=n {
        frame.extend([id, 0x11, 0]);
    }
    out.extend(segment(sof, &frame));
    // DC: symbols 0..=11, all with 4-bit codes. AC: "0" is end of block.
    let mut dc = vec![0x00, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    dc.extend(0..12);
    out.extend(segment(0xC4, &dc));
    let mut ac = vec![0x10, 1];
    ac.extend([0; 15]);
    ac.push(0);
    out.extend(segment(0xC4, &ac));
    let progressive = sof == 0xC2;
    let mut scan = vec![n];
    for id in 1..=n {
        scan.extend([id, 0x00]);
    }
    scan.extend([0, if progressive { 0 } else { 63 }, 0]);
    out.extend(segment(0xDA, &scan));
    let mut bits = String::new();
    for value in values {
        let d = i32::from(*value) - 128;
        let size = (32 - d.unsigned_abs().leading_zeros()) as usize;
        write!(bits, "{size:04b}").unwrap();
        if size > 0 {
            let code = if d > 0 { d } else { d + (1 << size) - 1 };
            write!(bits, "{code:0size$b}").unwrap();
        }
        if !progressive {
            bits.push('0');
        }
    }
    while !bits.len().is_multiple_of(8) {
        bits.push('1');
    }
    for byte in bits.as_bytes().chunks(8) {
        let value = byte.iter().fold(0u8, |v, b| v << 1 | (b - b'0'));
        out.push(value);
        if value == 0xFF {
            out.push(0);
        }
    }
    out.extend([0xFF, 0xD9]);
    out
}

/// A PNG chunk with its checksum.
pub fn png_chunk(kind: &[u8], data: &[u8]) -> Vec<u8> {
    let mut out = (data.len() as u32).to_be_bytes().to_vec();
    out.extend(kind);
    out.extend(data);
    let mut crc = crc32fast::Hasher::new();
    crc.update(kind);
    crc.update(data);
    out.extend(crc.finalize().to_be_bytes());
    out
}

/// A PSD file: planes of big-endian samples, already in the given compression.
pub struct Psd<'a> {
    pub channels: u16,
    pub size: (u32, u32),
    pub depth: u16,
    pub mode: u16,
    pub palette: &'a [u8],
    pub resources: &'a [u8],
    pub compression: u16,
    pub data: &'a [u8],
}

impl Psd<'_> {
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = b"8BPS\0\x01\0\0\0\0\0\0".to_vec();
        out.extend(self.channels.to_be_bytes());
        out.extend(self.size.1.to_be_bytes());
        out.extend(self.size.0.to_be_bytes());
        out.extend(self.depth.to_be_bytes());
        out.extend(self.mode.to_be_bytes());
        for section in [self.palette, self.resources, &[]] {
            out.extend((section.len() as u32).to_be_bytes());
            out.extend(section);
        }
        out.extend(self.compression.to_be_bytes());
        out.extend(self.data);
        out
    }
}

/// A Photoshop image resource.
pub fn psd_resource(id: u16, data: &[u8]) -> Vec<u8> {
    let mut out = b"8BIM".to_vec();
    out.extend(id.to_be_bytes());
    out.extend([0, 0]);
    out.extend((data.len() as u32).to_be_bytes());
    out.extend(data);
    out.resize(out.len() + (data.len() & 1), 0);
    out
}

/// A RIFF chunk of a WebP file.
pub fn riff_chunk(kind: &[u8], data: &[u8]) -> Vec<u8> {
    let mut out = kind.to_vec();
    out.extend((data.len() as u32).to_le_bytes());
    out.extend(data);
    out.resize(out.len() + (data.len() & 1), 0);
    out
}
