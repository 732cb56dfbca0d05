//! HEIC through `heifer`.

use heifer::Options;
use image::RgbImage;

use crate::decode::{DecodeLimits, Decoded};
use crate::{Format, MediaError};

/// Decodes the primary picture. `heifer` applies the container's own rotation
/// and mirroring; the EXIF orientation repeats it and must not be applied again.
pub(crate) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, MediaError> {
    let options = Options {
        // Callers run one picture per core; a pool here would only compete.
        max_threads: 1,
        max_pixels: limits.max_pixels,
    };
    let picture = heifer::decode_rgba8(bytes, &options).map_err(explain)?;
    limits.check(
        Format::Heic,
        u64::from(picture.width),
        u64::from(picture.height),
        4 + 3,
    )?;
    let mut rgb = Vec::with_capacity(picture.data.len() / 4 * 3);
    for px in picture.data.chunks_exact(4) {
        rgb.extend_from_slice(&px[..3]);
    }
    let rgb = RgbImage::from_raw(picture.width, picture.height, rgb).ok_or_else(|| {
        MediaError::damaged(Format::Heic, "fewer pixels than the header promises")
    })?;
    Ok(Decoded {
        rgb,
        frames: None,
        truncated: false,
    })
}

fn explain(error: heifer::Error) -> MediaError {
    match error {
        heifer::Error::Unsupported(reason) => MediaError::Unsupported {
            format: Format::Heic,
            reason,
        },
        other => MediaError::damaged(Format::Heic, other),
    }
}
