//! Bytes to an upright RGB picture, within limits.

use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat, RgbImage};

use crate::guard::caught;
use crate::{Content, Format, MediaError, exif, heic, jpeg, psd, raster, sniff, spare};

/// Default limit on width × height: 2^28, a 16,384-pixel square. The largest
/// phone pictures have 2 x 10^8; at three bytes each this is 768 MiB.
pub const DEFAULT_MAX_PIXELS: u64 = 1 << 28;

/// Default limit on each edge in pixels: what a JPEG header can say at most.
/// Long panoramas pass, a GIF or BMP header with nonsense does not.
pub const DEFAULT_MAX_EDGE_PX: u32 = 65_535;

/// Default limit on the memory of one decode, bytes: 3 GiB, so that a picture
/// of 2^28 pixels in the widest layout (8 bytes and our 3) just fits.
pub const DEFAULT_MAX_ALLOC_BYTES: u64 = 3 << 30;

/// What one picture may cost, and which capture years are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Width × height above this is refused before anything is allocated;
    /// equal is kept. Default [`DEFAULT_MAX_PIXELS`].
    pub max_pixels: u64,
    /// A longer edge is refused; equal is kept. Default [`DEFAULT_MAX_EDGE_PX`].
    pub max_edge_px: u32,
    /// Estimated bytes of pixel buffers above this are refused; equal is kept.
    /// Default [`DEFAULT_MAX_ALLOC_BYTES`].
    pub max_alloc_bytes: u64,
    /// Capture times after this year are refused; equal is kept. Default
    /// `None`, which believes any: this crate knows no clock, so the caller
    /// says what year it is.
    pub latest_year: Option<i32>,
    /// JPEGs may be decoded at a half, a quarter or an eighth of their size
    /// while the long edge keeps this many pixels; equal is kept. Cheaper for
    /// big photos, and not the same pixels: a variant of its own (docs/analysis/embed.md).
    /// Default `None`, which decodes every photo whole.
    pub jpeg_long_edge_px: Option<u32>,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self {
            max_pixels: DEFAULT_MAX_PIXELS,
            max_edge_px: DEFAULT_MAX_EDGE_PX,
            max_alloc_bytes: DEFAULT_MAX_ALLOC_BYTES,
            latest_year: None,
            jpeg_long_edge_px: None,
        }
    }
}

impl DecodeLimits {
    /// Checks a header's promise. `bytes_per_px` is the decoder's estimate of
    /// all buffers alive at once.
    pub(crate) fn check(
        &self,
        format: Format,
        width: u64,
        height: u64,
        bytes_per_px: u64,
    ) -> Result<(), MediaError> {
        let max_edge = u64::from(self.max_edge_px);
        let n_pixels = width.saturating_mul(height);
        if n_pixels > self.max_pixels || width > max_edge || height > max_edge {
            return Err(MediaError::TooLarge {
                format,
                width,
                height,
                max_pixels: self.max_pixels,
                max_edge_px: self.max_edge_px,
            });
        }
        if n_pixels == 0 {
            return Err(MediaError::NoPixels { format });
        }
        let need = n_pixels.saturating_mul(bytes_per_px);
        if need > self.max_alloc_bytes {
            return Err(MediaError::TooMuchMemory {
                format,
                need,
                limit: self.max_alloc_bytes,
            });
        }
        Ok(())
    }
}

/// A decoded picture.
#[derive(Debug, Clone)]
pub struct Picture {
    /// Upright 8-bit RGB: the orientation below is already applied. No colour
    /// management, alpha dropped and not blended, 16 bits cut to the high byte:
    /// what OpenCV's colour reader gives.
    pub rgb: RgbImage,
    /// Upright width of the stored picture: that of `rgb`, unless it was
    /// decoded smaller (see [`DecodeLimits::jpeg_long_edge_px`]).
    pub full_width: u32,
    /// Upright height of the stored picture.
    pub full_height: u32,
    /// What the content is, whatever the file was called.
    pub format: Format,
    /// EXIF orientation that was applied, 1 to 8; 1 for none. Always 1 for
    /// HEIC, whose container carries its own rotation.
    pub orientation: u8,
    /// How many pictures the file holds when it is animated or has pages; the
    /// first is used. `None` for a plain picture.
    pub frames: Option<u32>,
    /// Capture time as `YYYY-MM-DDTHH:MM:SS`, see [`crate::capture_time`].
    pub taken: Option<String>,
    /// What is wrong with the capture time, if anything.
    pub taken_problem: Option<String>,
    /// The file ends early or is damaged in the middle; the pixels from there
    /// on are grey, black or smeared.
    pub truncated: bool,
}

/// What a format's decoder hands over: pixels as stored, not yet upright.
pub(crate) struct Decoded {
    pub(crate) rgb: RgbImage,
    /// Stored width and height, where `rgb` may be smaller.
    pub(crate) full: Option<[u32; 2]>,
    pub(crate) frames: Option<u32>,
    pub(crate) truncated: bool,
}

/// Decodes a picture by its content and turns it upright.
///
/// Nothing is allocated for pixels before the header passed the limits. A panic
/// in a decoder is caught and is this file's error; see [`crate::is_decoding`]
/// for keeping its message off the terminal.
///
/// # Errors
/// Never one of the path or run errors of [`MediaError`]: `Empty`,
/// `NotAPicture`, `Unsupported`, `TooLarge`, `TooMuchMemory`, `NoPixels`,
/// `Damaged` or `Panicked`.
pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Picture, MediaError> {
    let format = match sniff(bytes) {
        Content::Picture(format) => format,
        Content::Other(kind) => return Err(MediaError::NotAPicture(kind)),
        Content::Empty => return Err(MediaError::Empty),
    };
    if format != Format::Jpeg {
        spare::free();
    }
    let decoded = caught(|| decode_as(format, bytes, limits))
        .map_err(|message| MediaError::Panicked { format, message })??;
    let metadata = exif::read(format, bytes);
    let orientation = match format {
        Format::Heic | Format::Psd => 1,
        _ => metadata.orientation(),
    };
    let time = metadata.capture_time(limits.latest_year);
    let rgb = upright(decoded.rgb, orientation);
    // Orientations from 5 on change the sides.
    let (full_width, full_height) = match decoded.full {
        Some([w, h]) if orientation >= 5 => (h, w),
        Some([w, h]) => (w, h),
        None => rgb.dimensions(),
    };
    Ok(Picture {
        rgb,
        full_width,
        full_height,
        format,
        orientation,
        frames: decoded.frames,
        taken: time.taken,
        taken_problem: time.problem,
        truncated: decoded.truncated,
    })
}

fn decode_as(format: Format, bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, MediaError> {
    let raster = |kind| raster::decode(format, kind, bytes, limits);
    match format {
        Format::Jpeg => jpeg::decode(bytes, limits),
        Format::Png => raster(ImageFormat::Png),
        Format::WebP => raster(ImageFormat::WebP),
        Format::Tiff => raster(ImageFormat::Tiff),
        Format::Bmp => raster(ImageFormat::Bmp),
        Format::Gif => raster(ImageFormat::Gif),
        Format::Pnm => raster(ImageFormat::Pnm),
        Format::Heic => heic::decode(bytes, limits),
        Format::Psd => psd::decode(bytes, limits),
        Format::Psb | Format::Avif | Format::Jxl | Format::Jpeg2000 | Format::Raw => {
            Err(MediaError::Unsupported {
                format,
                reason: why_unsupported(format).to_owned(),
            })
        }
    }
}

/// Why a recognised format is not decoded; one clause, with the way out.
pub(crate) fn why_unsupported(format: Format) -> &'static str {
    match format {
        Format::Avif => "no AV1 decoder without C code is mature enough; convert to JPEG or PNG",
        Format::Jxl => "no JPEG XL decoder is built in; convert to JPEG or PNG",
        Format::Jpeg2000 => "no JPEG 2000 decoder is built in; convert to JPEG or PNG",
        Format::Raw => "camera raw needs the maker's colour rendering; export to JPEG or TIFF",
        Format::Psb => "large Photoshop documents are not read; save as PSD or JPEG",
        _ => "this variant of the format is not read; convert to JPEG or PNG",
    }
}

fn upright(rgb: RgbImage, orientation: u8) -> RgbImage {
    match Orientation::from_exif(orientation) {
        None | Some(Orientation::NoTransforms) => rgb,
        Some(turn) => {
            let mut picture = DynamicImage::ImageRgb8(rgb);
            picture.apply_orientation(turn);
            picture.into_rgb8()
        }
    }
}
