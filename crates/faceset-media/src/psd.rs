//! The merged picture of a Photoshop document.
//!
//! Layers are not composed: Photoshop stores the finished picture at the end of
//! the file, and that is what is read. Written here because the available
//! crates misread or refuse common variants; docs/decisions/0004 has the cases.

use image::RgbImage;

use crate::container::{be16, be32};
use crate::decode::{DecodeLimits, Decoded};
use crate::{Format, MediaError};

/// Resource that says whether the merged picture is a real one.
const RESOURCE_VERSION_INFO: u16 = 0x0421;
/// Resource that holds an EXIF block.
const RESOURCE_EXIF: u16 = 0x0422;

/// Decodes the merged picture: grey, duotone (as grey), indexed, RGB or CMYK,
/// 8 or 16 bits, raw or run-length coded. Further channels are ignored.
pub(crate) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, MediaError> {
    let document = Document::read(bytes).ok_or_else(cut_off)?;
    let (width, height) = (document.width, document.height);
    // Three bytes of result and at most one plane more.
    limits.check(Format::Psd, u64::from(width), u64::from(height), 3 + 1)?;
    if document.has_merged_picture() == Some(false) {
        return Err(unsupported(
            "it was saved without a merged picture; save it again with \"maximise compatibility\""
                .to_owned(),
        ));
    }
    let ink = document.ink()?;
    if document.n_channels < ink.n_planes() {
        return Err(MediaError::damaged(
            Format::Psd,
            format!(
                "{} channels where the colour mode needs {}",
                document.n_channels,
                ink.n_planes()
            ),
        ));
    }
    let mut planes = Planes::new(&document)?;
    let n_pixels = width as usize * height as usize;
    let mut rgb = vec![0u8; n_pixels * 3];
    match ink {
        Ink::Grey => planes.each(0, |idx, v| rgb[idx * 3..][..3].fill(v))?,
        Ink::Indexed(palette) => planes.each(0, |idx, v| {
            for (c, out) in rgb[idx * 3..][..3].iter_mut().enumerate() {
                *out = palette[c * 256 + usize::from(v)];
            }
        })?,
        Ink::Rgb => {
            for c in 0..3 {
                planes.each(c, |idx, v| rgb[idx * 3 + c] = v)?;
            }
        }
        Ink::Cmyk => {
            for c in 0..3 {
                planes.each(c, |idx, v| rgb[idx * 3 + c] = v)?;
            }
            // Stored as light, not as ink: 255 is blank paper.
            planes.each(3, |idx, light| {
                for out in &mut rgb[idx * 3..][..3] {
                    *out = (u16::from(*out) * u16::from(light) / 255) as u8;
                }
            })?;
        }
    }
    let rgb = RgbImage::from_raw(width, height, rgb).expect("three bytes for each pixel");
    Ok(Decoded {
        full: None,
        rgb,
        frames: None,
        truncated: false,
    })
}

/// The EXIF block among the image resources.
pub(crate) fn exif_block(bytes: &[u8]) -> Option<&[u8]> {
    Document::read(bytes)?.resource(RESOURCE_EXIF)
}

enum Ink<'a> {
    Grey,
    /// 256 reds, 256 greens, 256 blues.
    Indexed(&'a [u8]),
    Rgb,
    Cmyk,
}

impl Ink<'_> {
    fn n_planes(&self) -> u16 {
        match self {
            Self::Grey | Self::Indexed(_) => 1,
            Self::Rgb => 3,
            Self::Cmyk => 4,
        }
    }
}

/// The five sections of the file, none of them interpreted yet.
struct Document<'a> {
    n_channels: u16,
    height: u32,
    width: u32,
    depth: u16,
    mode: u16,
    palette: &'a [u8],
    resources: &'a [u8],
    /// Compression code and planes.
    picture: &'a [u8],
}

impl<'a> Document<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (palette, rest) = section(bytes.get(26..)?)?;
        let (resources, rest) = section(rest)?;
        let (_layers, picture) = section(rest)?;
        Some(Self {
            n_channels: be16(bytes, 12)?,
            height: be32(bytes, 14)?,
            width: be32(bytes, 18)?,
            depth: be16(bytes, 22)?,
            mode: be16(bytes, 24)?,
            palette,
            resources,
            picture,
        })
    }

    fn ink(&self) -> Result<Ink<'a>, MediaError> {
        if !matches!(self.depth, 8 | 16) {
            return Err(unsupported(format!(
                "{} bits per channel; save as 8 or 16 bits",
                self.depth
            )));
        }
        match self.mode {
            1 | 8 => Ok(Ink::Grey),
            2 if self.depth == 8 && self.palette.len() >= 768 => Ok(Ink::Indexed(self.palette)),
            2 => Err(MediaError::damaged(
                Format::Psd,
                "indexed colours without their palette",
            )),
            3 => Ok(Ink::Rgb),
            4 => Ok(Ink::Cmyk),
            0 | 7 | 9 => Err(unsupported(
                "bitmap, multichannel and Lab colours are not read; save as RGB".to_owned(),
            )),
            other => Err(MediaError::damaged(
                Format::Psd,
                format!("unknown colour mode {other}"),
            )),
        }
    }

    /// What the file itself says about its merged picture; old files say
    /// nothing.
    fn has_merged_picture(&self) -> Option<bool> {
        let info = self.resource(RESOURCE_VERSION_INFO)?;
        info.get(4).map(|flag| *flag != 0)
    }

    fn resource(&self, wanted: u16) -> Option<&'a [u8]> {
        let mut rest = self.resources;
        while rest.get(..4)? == b"8BIM" {
            let id = be16(rest, 4)?;
            // A Pascal string padded to an even length with its length byte.
            let name_len = usize::from(*rest.get(6)?) + 1;
            let at = 6 + name_len + (name_len & 1);
            let (data, after) = section(rest.get(at..)?)?;
            if id == wanted {
                return Some(data);
            }
            rest = after.get(data.len() & 1..)?;
        }
        None
    }
}

/// The channels of the merged picture, each read once and in order.
struct Planes<'a> {
    width: usize,
    height: usize,
    bytes_per_sample: usize,
    /// Byte lengths of all run-length coded rows; `None` for raw rows.
    row_lens: Option<&'a [u8]>,
    data: &'a [u8],
    row: Vec<u8>,
}

impl<'a> Planes<'a> {
    fn new(document: &Document<'a>) -> Result<Self, MediaError> {
        let compression = be16(document.picture, 0).ok_or_else(cut_off)?;
        let data = &document.picture[2..];
        let (width, height) = (document.width as usize, document.height as usize);
        let bytes_per_sample = usize::from(document.depth / 8);
        let (row_lens, data) = match compression {
            0 => (None, data),
            1 => {
                let table = 2 * height * usize::from(document.n_channels);
                let (lens, data) = data.split_at_checked(table).ok_or_else(cut_off)?;
                (Some(lens), data)
            }
            2 | 3 => {
                return Err(unsupported(
                    "ZIP-compressed merged picture; save it again with Photoshop".to_owned(),
                ));
            }
            other => {
                return Err(MediaError::damaged(
                    Format::Psd,
                    format!("unknown compression {other}"),
                ));
            }
        };
        Ok(Self {
            width,
            height,
            bytes_per_sample,
            row_lens,
            data,
            row: Vec::with_capacity(width * bytes_per_sample),
        })
    }

    /// Gives the next plane's samples, cut to 8 bits, with their pixel index.
    /// `plane` must count up from 0.
    fn each(&mut self, plane: usize, mut pixel: impl FnMut(usize, u8)) -> Result<(), MediaError> {
        let row_bytes = self.width * self.bytes_per_sample;
        for y in 0..self.height {
            let row = match self.row_lens {
                None => self.take(row_bytes)?,
                Some(lens) => {
                    let len = be16(lens, 2 * (plane * self.height + y)).ok_or_else(cut_off)?;
                    let packed = self.take(usize::from(len))?;
                    self.row.clear();
                    unpack(packed, row_bytes, &mut self.row).ok_or_else(|| {
                        MediaError::damaged(Format::Psd, "a row does not unpack to its width")
                    })?;
                    &self.row
                }
            };
            // Big-endian samples: the first byte is the high one.
            for (x, sample) in row.chunks_exact(self.bytes_per_sample).enumerate() {
                pixel(y * self.width + x, sample[0]);
            }
        }
        Ok(())
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], MediaError> {
        let (taken, rest) = self.data.split_at_checked(n).ok_or_else(cut_off)?;
        self.data = rest;
        Ok(taken)
    }
}

/// PackBits: a count below 128 copies that many plus one bytes, above 128 it
/// repeats the next byte 257 minus count times, 128 does nothing. `None` unless
/// exactly `row_bytes` come out.
fn unpack(mut packed: &[u8], row_bytes: usize, row: &mut Vec<u8>) -> Option<()> {
    while row.len() < row_bytes {
        let (count, rest) = packed.split_first()?;
        packed = match *count {
            128 => rest,
            n @ 0..=127 => {
                let (literal, rest) = rest.split_at_checked(usize::from(n) + 1)?;
                row.extend_from_slice(literal);
                rest
            }
            n => {
                let (value, rest) = rest.split_first()?;
                row.resize(row.len() + 257 - usize::from(n), *value);
                rest
            }
        };
    }
    (row.len() == row_bytes).then_some(())
}

/// A block with its length in front, and what follows it.
fn section(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = be32(bytes, 0)? as usize;
    bytes[4..].split_at_checked(len)
}

fn cut_off() -> MediaError {
    MediaError::damaged(Format::Psd, "the file ends before its picture does")
}

fn unsupported(reason: String) -> MediaError {
    MediaError::Unsupported {
        format: Format::Psd,
        reason,
    }
}
