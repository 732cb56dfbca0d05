//! The formats that the `image` crate decodes behind one interface.

use std::io::Cursor;

use image::error::{ImageError, LimitErrorKind};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use crate::decode::{DecodeLimits, Decoded};
use crate::{Format, MediaError, container, pixels};

/// Decodes the first picture of the file, not yet upright.
pub(crate) fn decode(
    format: Format,
    kind: ImageFormat,
    bytes: &[u8],
    limits: &DecodeLimits,
) -> Result<Decoded, MediaError> {
    if let Some((width, height)) = container::stated_size(format, bytes) {
        limits.check(format, width, height, 3)?;
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), kind);
    reader.limits(image_limits(limits));
    let mut decoder = reader
        .into_decoder()
        .map_err(|e| explain(format, limits, e))?;
    let (width, height) = decoder.dimensions();
    // The decoder's own buffer, and ours when the layout differs.
    let bytes_per_px = u64::from(decoder.color_type().bytes_per_pixel()) + 3;
    limits.check(format, u64::from(width), u64::from(height), bytes_per_px)?;
    decoder
        .set_limits(image_limits(limits))
        .map_err(|e| explain(format, limits, e))?;
    let picture = DynamicImage::from_decoder(decoder).map_err(|e| explain(format, limits, e))?;
    Ok(Decoded {
        full: None,
        rgb: pixels::to_rgb8(picture),
        frames: container::count(format, bytes),
        truncated: false,
    })
}

/// Memory only: edges and pixels are checked here, where the refusal can name
/// the numbers.
fn image_limits(limits: &DecodeLimits) -> Limits {
    let mut own = Limits::no_limits();
    own.max_alloc = Some(limits.max_alloc_bytes);
    own
}

fn explain(format: Format, limits: &DecodeLimits, error: ImageError) -> MediaError {
    match error {
        ImageError::Unsupported(e) => MediaError::Unsupported {
            format,
            reason: e.to_string(),
        },
        ImageError::Limits(e) if e.kind() == LimitErrorKind::InsufficientMemory => {
            MediaError::TooMuchMemory {
                format,
                need: limits.max_alloc_bytes.saturating_add(1),
                limit: limits.max_alloc_bytes,
            }
        }
        other => MediaError::damaged(format, other),
    }
}
