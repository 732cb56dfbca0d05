//! JPEG: the segments before the pixels, then the pixels.

use image::RgbImage;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::container::be16;
use crate::decode::{DecodeLimits, Decoded};
use crate::{Format, MediaError, spare};

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

    // Whatever libjpeg refuses or leaves to the caller is the other decoder's.
    let scale = scale(frame, limits.jpeg_long_edge_px);
    let decoded = libjpeg(bytes, frame, scale)
        .map_or_else(|| pixels(bytes, limits, frame), |rgb| Ok((rgb, false)));
    let (rgb, cut) = match decoded {
        // Readers made for cameras' mistakes ignore segments they do not need.
        Err(MediaError::Damaged { source, .. }) => {
            let lean = without_metadata(bytes);
            pixels(&lean, limits, frame).map_err(|_| MediaError::damaged(Format::Jpeg, source))?
        }
        other => other?,
    };
    let n_filler = filler_rows(&rgb);
    let cut = cut || !header.ended;
    if cut && too_little(n_filler, rgb.height()) {
        return Err(MediaError::NoPixels {
            format: Format::Jpeg,
        });
    }
    Ok(Decoded {
        truncated: cut || (n_filler >= FILLER_ROWS && n_filler < rgb.height()),
        rgb,
        frames: None,
        full: Some([width, height]),
    })
}

/// Eighths of a picture decoded whole.
const FULL_SCALE: u8 = 8;

/// The least of 1, 2, 4 and 8 eighths at which the long edge keeps
/// `long_edge_px`.
fn scale(frame: Frame, long_edge_px: Option<u32>) -> u8 {
    let Some(least) = long_edge_px else {
        return FULL_SCALE;
    };
    let long = u32::from(frame.width.max(frame.height));
    [1, 2, 4]
        .into_iter()
        .find(|eighths| (long * u32::from(*eighths)).div_ceil(8) >= least)
        .unwrap_or(FULL_SCALE)
}

/// Name of the decoder that whole JPEGs go through, for caches: embeddings from
/// pixels of another decoder differ in the third digit.
pub const JPEG_DECODER: &str = "libjpeg";

/// Whether that decoder was built with its vector code, which gives the same
/// pixels in less time. It takes an assembler to build.
pub const JPEG_VECTOR_CODE: bool = cfg!(jpeg_vector_code);

/// Pixels as libjpeg gives them, bit for bit what OpenCV and Pillow read: the
/// models were trained on such pixels, and a few levels' difference moves boxes
/// and embeddings measurably (docs/analysis/accuracy.md).
///
/// `scale` eighths of the size are decoded.
///
/// `None` for anything but plain grey and three-component pictures, and for
/// whatever libjpeg refuses; its own complaints are panics, caught here.
fn libjpeg(bytes: &[u8], frame: Frame, scale: u8) -> Option<RgbImage> {
    if !matches!(frame.n_components, 1 | 3) {
        return None;
    }
    let decode = || {
        let mut decoder = mozjpeg::Decompress::new_mem(bytes).ok()?;
        if decoder.size() != (usize::from(frame.width), usize::from(frame.height)) {
            return None;
        }
        if scale < FULL_SCALE {
            decoder.scale(scale);
        }
        let mut started = decoder.rgb().ok()?;
        let (width, height) = (started.width() as u32, started.height() as u32);
        let mut pixels = spare::buffer(width as usize * height as usize * 3);
        let n_read = started.read_scanlines_into(&mut pixels).ok()?.len();
        started.finish().ok()?;
        // The buffer may have held another picture.
        (n_read == pixels.len()).then_some(())?;
        RgbImage::from_raw(width, height, pixels)
    };
    std::panic::catch_unwind(decode).ok().flatten()
}

/// The pixels, and whether the decoder stopped before their end.
fn pixels(
    bytes: &[u8],
    limits: &DecodeLimits,
    frame: Frame,
) -> Result<(RgbImage, bool), MediaError> {
    let damaged = |e| MediaError::damaged(Format::Jpeg, e);
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(frame.width.into())
        .set_max_height(frame.height.into())
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(damaged)?;
    let (width, height) = decoder.dimensions().ok_or(MediaError::NoPixels {
        format: Format::Jpeg,
    })?;
    // The options cap both edges at what was checked above; this repeats the
    // check for the case that the decoder found a different frame header.
    limits.check(Format::Jpeg, width as u64, height as u64, 3)?;
    let mut rgb = RgbImage::new(width as u32, height as u32);
    match decoder.decode_into(&mut rgb) {
        Ok(()) => Ok((rgb, false)),
        Err(_) if rgb.iter().any(|v| *v != 0) => Ok((rgb, true)),
        Err(e) => Err(damaged(e)),
    }
}

/// Rows of exact mid-grey at the bottom that betray a decoder that gave up and
/// said nothing: one row of blocks. A picture that really ends so is called
/// truncated by mistake, which costs it a remark and nothing else.
const FILLER_ROWS: u32 = 8;

/// A cut picture of which at most one row in this many was decoded counts as
/// having none: no face fits into that. Our choice.
const MIN_DECODED_SHARE: u32 = 50;

fn too_little(n_filler: u32, height: u32) -> bool {
    n_filler * MIN_DECODED_SHARE >= (MIN_DECODED_SHARE - 1) * height
}

/// How many rows at the bottom are exact mid-grey, the decoder's filler.
fn filler_rows(rgb: &RgbImage) -> u32 {
    let is_filler = |row: &&[u8]| row.iter().all(|v| *v == 128);
    rgb.as_raw()
        .chunks_exact(3 * rgb.width() as usize)
        .rev()
        .take_while(is_filler)
        .count() as u32
}

/// The file without comments and application segments: nothing that the pixels
/// need, except that a whole Adobe segment says how colours are coded.
fn without_metadata(bytes: &[u8]) -> Vec<u8> {
    let mut lean = bytes.get(..2).unwrap_or_default().to_vec();
    for segment in segments(bytes) {
        let adobe = segment.marker == 0xEE
            && segment.payload.len() >= 12
            && segment.payload.starts_with(b"Adobe");
        let needed = adobe || !matches!(segment.marker, 0xE0..=0xEF | 0xFE);
        if needed {
            lean.extend_from_slice(&bytes[segment.start..segment.end]);
        }
        if segment.marker == 0xDA {
            lean.extend_from_slice(&bytes[segment.end..]);
        }
    }
    lean
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
        for Segment {
            marker,
            payload,
            end,
            ..
        } in segments(bytes)
        {
            match marker {
                0xDA => {
                    let scan = &bytes[end..];
                    // An end marker alone is no picture data.
                    header.scan_len = if scan.starts_with(&[0xFF, 0xD9]) {
                        0
                    } else {
                        scan.len()
                    };
                    // Usually at the very end.
                    header.ended = scan.windows(2).rev().any(|w| w == [0xFF, 0xD9]);
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
        }
        header
    }
}

/// A marker with a body.
struct Segment<'a> {
    marker: u8,
    /// Where the marker begins and the body ends, clamped to the file.
    start: usize,
    end: usize,
    payload: &'a [u8],
}

/// The segments up to and with the first start-of-scan. Stray bytes between
/// them are skipped, as every reader does; no length is trusted.
fn segments(bytes: &[u8]) -> impl Iterator<Item = Segment<'_>> {
    let mut at = 2;
    let mut over = false;
    std::iter::from_fn(move || {
        loop {
            let rest = bytes.get(at..).filter(|_| !over)?;
            let found = rest
                .windows(2)
                .position(|w| w[0] == 0xFF && !matches!(w[1], 0x00 | 0xFF))?;
            let start = at + found;
            let marker = bytes[start + 1];
            let body = start + 2;
            match marker {
                // Markers without a body.
                0x01 | 0xD0..=0xD8 => {
                    at = body;
                    continue;
                }
                0xD9 => return None,
                _ => {}
            }
            let len = usize::from(be16(bytes, body)?).max(2);
            let end = (body + len).min(bytes.len());
            at = end;
            over = marker == 0xDA;
            return Some(Segment {
                marker,
                start,
                end,
                payload: bytes.get(body + 2..end).unwrap_or_default(),
            });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn the_smallest_scale_that_keeps_the_edge_is_taken() {
        let frame = |width, height| Frame {
            width,
            height,
            n_components: 3,
            progressive: false,
        };
        assert_eq!(scale(frame(3000, 4000), None), 8);
        assert_eq!(scale(frame(3000, 4000), Some(1000)), 2);
        assert_eq!(scale(frame(3000, 4000), Some(1001)), 4);
        assert_eq!(scale(frame(4000, 10), Some(500)), 1);
        assert_eq!(scale(frame(1000, 900), Some(501)), 8);
    }

    #[test]
    fn one_row_in_fifty_is_too_little_and_more_is_kept() {
        assert!(too_little(98, 100));
        assert!(!too_little(97, 100));
        assert!(too_little(65_535, 65_535));
    }

    #[test]
    fn filler_is_counted_from_the_bottom_and_must_be_exact() {
        let picture = |clear_from: u32| {
            RgbImage::from_fn(5, 20, |x, y| {
                let green = if y < clear_from && x == 4 { 127 } else { 128 };
                Rgb([128, green, 128])
            })
        };
        assert_eq!(filler_rows(&picture(13)), 7);
        assert_eq!(filler_rows(&picture(0)), 20);
        assert_eq!(filler_rows(&picture(20)), 0);
    }

    #[test]
    fn markers_with_absurd_lengths_are_clamped_to_the_file() {
        let bytes = b"\xFF\xD8\xFF\xE1\xFF\xFFExif\0\0II*\0";
        assert_eq!(exif_blocks(bytes), [b"II*\0"]);
        let zero_length = b"\xFF\xD8\xFF\xE1\0\0\xFF\xC0\0\x0B\x08\0\x07\0\x05\x01\x01\x11\0";
        let frame = Header::read(zero_length).frame.unwrap();
        assert_eq!((frame.width, frame.height, frame.n_components), (5, 7, 1));
    }
}
