//! JPEG: the segments before the pixels, then the pixels.

use image::RgbImage;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::decode::{DecodeLimits, Decoded};
use crate::{Format, MediaError};

/// Decodes the first picture of a JPEG or MPO file, not yet upright.
///
/// A file that ends early gives the rows that are there and is marked
/// `truncated`; one that ends before any row is `NoPixels`.
pub(crate) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, MediaError> {
    let header = Header::read(bytes);
    let Some(frame) = header.frame else {
        return Err(MediaError::NoPixels {
            format: Format::Jpeg,
        });
    };
    let (width, height) = (u32::from(frame.width), u32::from(frame.height));
    // A progressive picture holds every coefficient (two bytes) until the end.
    let coefficients = if frame.progressive {
        2 * u64::from(frame.n_components)
    } else {
        0
    };
    limits.check(
        Format::Jpeg,
        u64::from(width),
        u64::from(height),
        3 + coefficients,
    )?;
    if header.scan_len == 0 {
        return Err(MediaError::NoPixels {
            format: Format::Jpeg,
        });
    }

    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(width as usize)
        .set_max_height(height as usize)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder
        .decode_headers()
        .map_err(|e| MediaError::damaged(Format::Jpeg, e))?;
    let (width, height) = decoder.dimensions().ok_or(MediaError::NoPixels {
        format: Format::Jpeg,
    })?;
    limits.check(Format::Jpeg, width as u64, height as u64, 3 + coefficients)?;
    let mut rgb = RgbImage::new(width as u32, height as u32);
    let truncated = match decoder.decode_into(&mut rgb) {
        Ok(()) => !header.ended,
        Err(_) if rgb.iter().any(|v| *v != 0) => true,
        Err(e) => return Err(MediaError::damaged(Format::Jpeg, e)),
    };
    Ok(Decoded {
        rgb,
        frames: None,
        truncated,
    })
}

/// The payloads of all EXIF segments, in file order, without their signature.
pub(crate) fn exif_blocks(bytes: &[u8]) -> Vec<&[u8]> {
    Header::read(bytes).exif
}

/// Start-of-frame: what the picture will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    width: u16,
    height: u16,
    n_components: u8,
    progressive: bool,
}

/// What the segments say, read without trusting any length.
#[derive(Debug, Default)]
struct Header<'a> {
    frame: Option<Frame>,
    exif: Vec<&'a [u8]>,
    /// Bytes that follow the first start-of-scan segment.
    scan_len: usize,
    /// Whether an end-of-image marker follows the scan.
    ended: bool,
}

impl<'a> Header<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        let mut header = Self::default();
        let mut at = 2;
        while let Some(found) = next_marker(bytes, at) {
            let (marker, body) = found;
            // Markers without a body.
            if matches!(marker, 0x01 | 0xD0..=0xD8) {
                at = body;
                continue;
            }
            let Some(len) = bytes
                .get(body..body + 2)
                .map(|b| usize::from(u16::from_be_bytes([b[0], b[1]])))
            else {
                break;
            };
            let end = (body + len.max(2)).min(bytes.len());
            let payload = bytes.get(body + 2..end).unwrap_or_default();
            match marker {
                0xD9 => break,
                0xDA => {
                    header.scan_len = bytes.len() - end;
                    header.ended = bytes[end..].windows(2).any(|w| w == [0xFF, 0xD9]);
                    // Two bytes of end marker are no picture data.
                    if bytes[end..].starts_with(&[0xFF, 0xD9]) {
                        header.scan_len = 0;
                    }
                    break;
                }
                0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                    if let [_, h1, h0, w1, w0, n_components, ..] = *payload {
                        header.frame.get_or_insert(Frame {
                            width: u16::from_be_bytes([w1, w0]),
                            height: u16::from_be_bytes([h1, h0]),
                            n_components,
                            progressive: matches!(marker, 0xC2 | 0xC6 | 0xCA | 0xCE),
                        });
                    }
                }
                0xE1 => header.exif.extend(payload.strip_prefix(b"Exif\0\0")),
                _ => {}
            }
            at = end;
        }
        header
    }
}

/// The next marker code at or after `at` and where its body begins; stray bytes
/// between segments are skipped, as every reader does.
fn next_marker(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let rest = bytes.get(at..)?;
    let found = rest
        .windows(2)
        .position(|w| w[0] == 0xFF && !matches!(w[1], 0x00 | 0xFF))?;
    Some((rest[found + 1], at + found + 2))
}
