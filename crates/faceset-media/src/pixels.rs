//! Any pixel layout to 8-bit RGB, the way OpenCV's colour reader does it.

use image::{DynamicImage, RgbImage};

/// Grey becomes three equal channels, alpha is dropped and **not** blended,
/// 16 bits lose their low byte, floats are clamped to 0..=1 and scaled.
pub(crate) fn to_rgb8(picture: DynamicImage) -> RgbImage {
    let (width, height) = (picture.width(), picture.height());
    let bytes = match picture {
        DynamicImage::ImageRgb8(rgb) => return rgb,
        DynamicImage::ImageLuma8(p) => grey(p.as_raw(), 1, |v| v),
        DynamicImage::ImageLumaA8(p) => grey(p.as_raw(), 2, |v| v),
        DynamicImage::ImageRgba8(p) => colour(p.as_raw(), 4, |v| v),
        DynamicImage::ImageLuma16(p) => grey(p.as_raw(), 1, high_byte),
        DynamicImage::ImageLumaA16(p) => grey(p.as_raw(), 2, high_byte),
        DynamicImage::ImageRgb16(p) => colour(p.as_raw(), 3, high_byte),
        DynamicImage::ImageRgba16(p) => colour(p.as_raw(), 4, high_byte),
        DynamicImage::ImageRgb32F(p) => colour(p.as_raw(), 3, unit_float),
        DynamicImage::ImageRgba32F(p) => colour(p.as_raw(), 4, unit_float),
        // `DynamicImage` may grow variants: let its own conversion handle them.
        other => return other.to_rgb8(),
    };
    RgbImage::from_raw(width, height, bytes).expect("three bytes were written for each pixel")
}

fn high_byte(v: u16) -> u8 {
    (v >> 8) as u8
}

fn unit_float(v: f32) -> u8 {
    (v.clamp(0.0, 1.0) * 255.0).round() as u8
}

fn grey<T: Copy>(samples: &[T], step: usize, to_u8: impl Fn(T) -> u8) -> Vec<u8> {
    samples
        .chunks_exact(step)
        .flat_map(|px| [to_u8(px[0]); 3])
        .collect()
}

fn colour<T: Copy>(samples: &[T], step: usize, to_u8: impl Fn(T) -> u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(samples.len() / step * 3);
    for px in samples.chunks_exact(step) {
        bytes.extend([to_u8(px[0]), to_u8(px[1]), to_u8(px[2])]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageBuffer, LumaA, Rgb, Rgba};

    #[test]
    fn sixteen_bits_lose_their_low_byte_without_rounding() {
        let p = ImageBuffer::from_pixel(1, 1, Rgb([0x12FFu16, 0xFF00, 0x00FF]));
        assert_eq!(
            to_rgb8(DynamicImage::ImageRgb16(p)).as_raw(),
            &[0x12, 0xFF, 0x00]
        );
    }

    #[test]
    fn alpha_is_dropped_not_blended() {
        let p = ImageBuffer::from_pixel(1, 1, Rgba([200u8, 100, 50, 0]));
        assert_eq!(
            to_rgb8(DynamicImage::ImageRgba8(p)).as_raw(),
            &[200, 100, 50]
        );
        let p = ImageBuffer::from_pixel(2, 1, LumaA([0x4711u16, 3]));
        assert_eq!(to_rgb8(DynamicImage::ImageLumaA16(p)).as_raw(), &[0x47; 6]);
    }

    #[test]
    fn floats_are_clamped_and_rounded() {
        let p = ImageBuffer::from_pixel(1, 1, Rgb([-0.5f32, 0.5, 7.0]));
        assert_eq!(
            to_rgb8(DynamicImage::ImageRgb32F(p)).as_raw(),
            &[0, 128, 255]
        );
    }
}
