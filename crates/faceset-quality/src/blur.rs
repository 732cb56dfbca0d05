//! Sharpness as the variance of the Laplacian, number for number as OpenCV
//! computes it: the gate of 40 and every figure of the original tool are on
//! that scale.

use faceset_core::BBox;
use image::RgbImage;

/// OpenCV's 8-bit RGB to grey weights in 1/32768: 0.299, 0.587, 0.114.
const GREY_WEIGHTS: [u32; 3] = [9798, 19235, 3735];
/// Fraction bits of [`GREY_WEIGHTS`].
const GREY_SHIFT: u32 = 15;

/// Grey value of one pixel, rounded as OpenCV's `COLOR_RGB2GRAY` rounds.
pub(crate) fn grey([r, g, b]: [u8; 3]) -> u8 {
    let sum = u32::from(r) * GREY_WEIGHTS[0]
        + u32::from(g) * GREY_WEIGHTS[1]
        + u32::from(b) * GREY_WEIGHTS[2];
    ((sum + (1 << (GREY_SHIFT - 1))) >> GREY_SHIFT) as u8
}

/// Variance of the 3×3 Laplacian (0 1 0 / 1 −4 1 / 0 1 0) of the grey face box
/// at native size; sharper is larger, no upper bound.
///
/// `bbox` is in upright pixels and may leave the picture: its edges are cut to
/// whole pixels towards zero and clamped. Border pixels are mirrored without
/// repeating the edge (`BORDER_REFLECT_101`). A box without a pixel on the
/// picture, or with an edge that is no number, has sharpness 0.
pub fn blur(rgb: &RgbImage, bbox: &BBox) -> f32 {
    if !bbox.is_finite() {
        return 0.0;
    }
    let (width, height) = (i64::from(rgb.width()), i64::from(rgb.height()));
    // `as` saturates, so boxes far outside stay far outside.
    let [x1, x2] = [bbox.x1, bbox.x2].map(|x| (x as i64).clamp(0, width));
    let [y1, y2] = [bbox.y1, bbox.y2].map(|y| (y as i64).clamp(0, height));
    if x2 <= x1 || y2 <= y1 {
        return 0.0;
    }
    let (w, h) = ((x2 - x1) as usize, (y2 - y1) as usize);
    let mut pixels = Vec::with_capacity(w * h);
    for y in y1..y2 {
        for x in x1..x2 {
            pixels.push(i32::from(grey(rgb.get_pixel(x as u32, y as u32).0)));
        }
    }
    laplacian_variance(&pixels, w, h) as f32
}

/// Population variance of the Laplacian of a `w`×`h` picture, row by row.
fn laplacian_variance(pixels: &[i32], w: usize, h: usize) -> f64 {
    let mut sum = 0_i64;
    let mut sum_of_squares = 0_i64;
    for y in 0..h {
        let (above, below) = mirrored_neighbours(y, h);
        for x in 0..w {
            let (left, right) = mirrored_neighbours(x, w);
            let value = pixels[above * w + x]
                + pixels[below * w + x]
                + pixels[y * w + left]
                + pixels[y * w + right]
                - 4 * pixels[y * w + x];
            sum += i64::from(value);
            sum_of_squares += i64::from(value) * i64::from(value);
        }
    }
    // |value| <= 1020, so the sums are exact in i64 for any picture that fits
    // in memory; only the two divisions round.
    let n = (w * h) as f64;
    let mean = sum as f64 / n;
    (sum_of_squares as f64 / n - mean * mean).max(0.0)
}

/// Neighbours of position `i` in a line of `n`, reflected at the ends; a line
/// of one is its own neighbour.
fn mirrored_neighbours(i: usize, n: usize) -> (usize, usize) {
    let before = if i == 0 { 1.min(n - 1) } else { i - 1 };
    let after = if i + 1 == n {
        n.saturating_sub(2)
    } else {
        i + 1
    };
    (before, after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;
    use serde_json::Value;

    fn whole(rgb: &RgbImage) -> BBox {
        [0.0, 0.0, rgb.width() as f32, rgb.height() as f32].into()
    }

    #[test]
    fn one_bright_pixel_by_hand() {
        // 3×2, grey 10 at (1, 0). Both ends of row 0 see it twice, once
        // mirrored, and so does the pixel below it: 20 -40 20 / 0 20 0. Sum 20,
        // sum of squares 2800.
        let mut rgb = RgbImage::new(3, 2);
        rgb.put_pixel(1, 0, Rgb([10, 10, 10]));
        let expected: f64 = 2800.0 / 6.0 - (20.0_f64 / 6.0).powi(2);
        assert!((blur(&rgb, &whole(&rgb)) - expected as f32).abs() < 1e-3);
    }

    #[test]
    fn grey_weights_tell_the_channels_apart() {
        assert_eq!(grey([255, 0, 0]), 76);
        assert_eq!(grey([0, 255, 0]), 150);
        assert_eq!(grey([0, 0, 255]), 29);
        assert_eq!(grey([255, 255, 255]), 255);
    }

    #[test]
    fn only_the_box_counts_and_it_is_clamped() {
        let mut rgb = RgbImage::new(40, 20);
        for (x, y, pixel) in rgb.enumerate_pixels_mut() {
            if x >= 20 {
                *pixel = Rgb([((x * 37 + y * 91) % 256) as u8; 3]);
            }
        }
        assert_eq!(blur(&rgb, &[0.0, 0.0, 19.0, 20.0].into()), 0.0);
        let inside = blur(&rgb, &[22.0, 0.0, 40.0, 20.0].into());
        assert!(inside > 1000.0);
        assert_eq!(inside, blur(&rgb, &[22.9, -7.5, 400.0, 20.9].into()));
    }

    #[test]
    fn boxes_without_pixels_have_no_sharpness() {
        let rgb = RgbImage::from_pixel(4, 4, Rgb([9, 8, 7]));
        for bbox in [
            [5.0, 0.0, 9.0, 4.0],
            [-9.0, -9.0, -1.0, -1.0],
            [3.0, 1.0, 1.0, 3.0],
            [1.2, 1.2, 1.9, 3.0],
            [f32::NAN, 0.0, 2.0, 2.0],
        ] {
            assert_eq!(blur(&rgb, &bbox.into()), 0.0, "{bbox:?}");
        }
        assert_eq!(
            blur(&RgbImage::new(0, 0), &[0.0, 0.0, 1.0, 1.0].into()),
            0.0
        );
    }

    /// Pixels of case `seed`, as fixtures/quality/make_blur_fixture.py draws
    /// them: a linear congruential generator over a colour ramp.
    fn drawn(w: u32, h: u32, seed: u32) -> RgbImage {
        let mut state = seed;
        let mut rgb = RgbImage::new(w, h);
        for y in 0..h {
            for x in 0..w {
                let mut channel = [0_u8; 3];
                for (c, value) in channel.iter_mut().enumerate() {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let noise = (state >> 24) % 64;
                    *value = ((x * (3 + c as u32) + y * (7 - 2 * c as u32) + noise) % 256) as u8;
                }
                rgb.put_pixel(x, y, Rgb(channel));
            }
        }
        rgb
    }

    /// Tolerance: both sides are exact up to the rounding to single precision
    /// and the order of OpenCV's double sums, so one part in 100,000.
    #[test]
    fn equals_opencv_on_drawn_crops() {
        let text = include_str!("../../../fixtures/quality/blur.json");
        let cases: Value = serde_json::from_str(text).unwrap();
        let cases = cases["cases"].as_array().unwrap();
        assert!(cases.len() >= 10);
        for case in cases {
            let number = |key: &str| case[key].as_u64().unwrap() as u32;
            let rgb = drawn(number("width"), number("height"), number("seed"));
            let bbox: BBox = serde_json::from_value(case["bbox"].clone()).unwrap();
            let expected = case["blur"].as_f64().unwrap() as f32;
            let found = blur(&rgb, &bbox);
            assert!(
                (found - expected).abs() <= expected.abs() * 1e-5,
                "{case}: {found}"
            );
        }
    }
}
