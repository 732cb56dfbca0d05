//! HEIC through `heifer`.

use heifer::Options;
use heifer::heifer_isobmff::HeifFile;
use image::RgbImage;

use crate::decode::{DecodeLimits, Decoded};
use crate::{Format, MediaError};

/// Buffers alive at once: the coded planes (up to three 16-bit samples), the
/// decoder's RGBA and our RGB.
const BYTES_PER_PX: u64 = 6 + 4 + 3;

/// Decodes the primary picture. `heifer` applies the container's own rotation
/// and mirroring; the EXIF orientation repeats it and must not be applied again.
pub(crate) fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Decoded, MediaError> {
    let options = Options {
        // Callers run one picture per core; a pool here would only compete.
        max_threads: 1,
        max_pixels: limits.max_pixels.min(limits.max_alloc_bytes / BYTES_PER_PX),
    };
    let check = |(width, height): (u32, u32)| {
        limits.check(Format::Heic, width.into(), height.into(), BYTES_PER_PX)
    };
    stated_size(bytes).map_err(explain)?.map_or(Ok(()), check)?;
    let picture = heifer::decode_rgba8(bytes, &options).map_err(explain)?;
    check((picture.width, picture.height))?;
    let mut rgb = Vec::with_capacity(picture.data.len() / 4 * 3);
    for px in picture.data.chunks_exact(4) {
        rgb.extend_from_slice(&px[..3]);
    }
    let rgb = RgbImage::from_raw(picture.width, picture.height, rgb).ok_or_else(|| {
        MediaError::damaged(Format::Heic, "fewer pixels than the header promises")
    })?;
    Ok(Decoded {
        full: None,
        rgb,
        frames: None,
        truncated: false,
    })
}

/// The size property of the primary picture, before rotation and cropping;
/// `None` when there is none (the decoder then finds its own limit).
fn stated_size(bytes: &[u8]) -> Result<Option<(u32, u32)>, heifer::Error> {
    let file = HeifFile::parse(bytes)?;
    Ok(file.image_size(file.primary_id)?)
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
