//! Resizing, warping and planes, with OpenCV's arithmetic.
//!
//! Detectors and recognisers were trained on pictures resized by OpenCV, and
//! caches of the original tool were made with it. Its 8-bit bilinear resize
//! works in fixed point (11 fractional bits), its affine warp on a grid of 1/32
//! pixel (OpenCV 4.x); both are reproduced here from that description, checked
//! against cv2 by fixtures/parity. Pictures are interleaved RGB.

use image::RgbImage;
use ndarray::Array4;

use crate::pack::{ColorOrder, Normalization};

/// Fractional bits of the resize coefficients.
const RESIZE_BITS: u32 = 11;
/// Sub-pixel steps of the warp.
const WARP_STEPS: i64 = 32;
/// Fractional bits of the warp's coordinates.
const WARP_COORD_BITS: u32 = 10;

/// A 2×3 affine map `[x', y'] = m · [x, y, 1]`.
pub type Affine = [[f64; 3]; 2];

/// Per output position: source index, and the two weights in 1/2048.
fn resize_axis(source: usize, target: usize, clamp_weights: bool) -> Vec<(isize, i32, i32)> {
    let scale = source as f64 / target as f64;
    (0..target)
        .map(|at| {
            let mut position = ((at as f64 + 0.5) * scale - 0.5) as f32;
            let mut index = position.floor() as isize;
            position -= index as f32;
            if clamp_weights {
                if index < 0 {
                    (index, position) = (0, 0.0);
                }
                if index + 1 >= source as isize {
                    (index, position) = (source as isize - 1, 0.0);
                }
            }
            let one = (1 << RESIZE_BITS) as f32;
            let weight = |w: f32| (w * one).round_ties_even() as i32;
            (index, weight(1.0 - position), weight(position))
        })
        .collect()
}

/// Per output column: where in a row its two neighbours begin, in bytes, and
/// their weights. The last column counts as the right neighbour of the one
/// before it, so that two are always there, but for rows of one pixel.
fn pairs_of_columns(source: usize, target: usize) -> Vec<(usize, i32, i32)> {
    resize_axis(source, target, true)
        .into_iter()
        .map(|(index, w0, w1)| {
            let index = index as usize;
            if index + 1 < source || source == 1 {
                (index * 3, w0, w1)
            } else {
                // At the border the whole weight is on the last pixel.
                ((index - 1) * 3, w1, w0)
            }
        })
        .collect()
}

/// Bilinear resize as `cv2.resize(..., INTER_LINEAR)` on 8 bits: no
/// antialiasing, half-pixel centres; exactly halving averages 2×2 blocks.
///
/// `width` and `height` must be positive, the picture must not be empty.
pub fn resize_linear(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (sw, sh) = (picture.width() as usize, picture.height() as usize);
    let (tw, th) = (width as usize, height as usize);
    if (sw, sh) == (tw, th) {
        return picture.clone();
    }
    let pixels = picture.as_raw();
    if (sw, sh) == (2 * tw, 2 * th) {
        return halve(pixels, sw, width, height);
    }
    let columns = pairs_of_columns(sw, tw);
    let rows = resize_axis(sh, th, false);
    let horizontal = |y: usize, out: &mut [i32]| {
        let line = &pixels[y * sw * 3..(y + 1) * sw * 3];
        for ((left, w0, w1), out) in columns.iter().zip(out.as_chunks_mut::<3>().0) {
            // Both neighbours at once: one look at the bounds.
            let (first, second) = match line[*left..].first_chunk::<6>() {
                Some([a, b, c, d, e, f]) => ([*a, *b, *c], [*d, *e, *f]),
                None => {
                    let only = [line[0], line[1], line[2]];
                    (only, only)
                }
            };
            for c in 0..3 {
                out[c] = i32::from(first[c]) * w0 + i32::from(second[c]) * w1;
            }
        }
    };
    let mut cached: [(usize, Vec<i32>); 2] =
        [(usize::MAX, vec![0; tw * 3]), (usize::MAX, vec![0; tw * 3])];
    let mut out = vec![0u8; tw * th * 3];
    for ((index, w0, w1), line) in rows.iter().zip(out.chunks_exact_mut(tw * 3)) {
        let clip = |y: isize| y.clamp(0, sh as isize - 1) as usize;
        let (upper, lower) = (clip(*index), clip(index + 1));
        // Rows advance downwards: the last lower row is often the next upper.
        if cached[0].0 != upper {
            cached.swap(0, 1);
            if cached[0].0 != upper {
                cached[0].0 = upper;
                horizontal(upper, &mut cached[0].1);
            }
        }
        if cached[1].0 != lower {
            cached[1].0 = lower;
            let (_, second) = cached.split_at_mut(1);
            horizontal(lower, &mut second[0].1);
        }
        for ((value, above), below) in line.iter_mut().zip(&cached[0].1).zip(&cached[1].1) {
            let mixed = ((w0 * (above >> 4)) >> 16) + ((w1 * (below >> 4)) >> 16);
            *value = ((mixed + 2) >> 2).clamp(0, 255) as u8;
        }
    }
    RgbImage::from_raw(width, height, out).expect("the buffer has the size of the picture")
}

fn halve(pixels: &[u8], source_width: usize, width: u32, height: u32) -> RgbImage {
    let at = |x: usize, y: usize, c: usize| u16::from(pixels[(y * source_width + x) * 3 + c]);
    RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (x as usize * 2, y as usize * 2);
        image::Rgb(std::array::from_fn(|c| {
            ((at(x, y, c) + at(x + 1, y, c) + at(x, y + 1, c) + at(x + 1, y + 1, c) + 2) >> 2) as u8
        }))
    })
}

/// The inverse map; a map without area has none and gives zeros, as in OpenCV.
pub fn invert(m: &Affine) -> Affine {
    let [[a, b, c], [d, e, f]] = *m;
    let determinant = a * e - b * d;
    let scale = if determinant == 0.0 {
        0.0
    } else {
        1.0 / determinant
    };
    let (ia, ib, id, ie) = (e * scale, -b * scale, -d * scale, a * scale);
    [[ia, ib, -ia * c - ib * f], [id, ie, -id * c - ie * f]]
}

/// `cv2.warpAffine(picture, m, (width, height))` of OpenCV 4.x: bilinear on a
/// 1/32-pixel grid, black outside the picture. `m` maps source to target.
pub fn warp_affine(picture: &RgbImage, m: &Affine, width: u32, height: u32) -> RgbImage {
    let inverse = invert(m);
    let one = f64::from(1u32 << WARP_COORD_BITS);
    let fixed = |v: f64| (v * one).round_ties_even() as i64;
    let half_step = (1i64 << WARP_COORD_BITS) / WARP_STEPS / 2;
    let shift = WARP_COORD_BITS - WARP_STEPS.ilog2();
    let (sw, sh) = (i64::from(picture.width()), i64::from(picture.height()));
    let pixels = picture.as_raw();
    let mut out = RgbImage::new(width, height);
    for (y, row) in out.chunks_exact_mut(width as usize * 3).enumerate() {
        let x_start = fixed(inverse[0][1] * y as f64 + inverse[0][2]) + half_step;
        let y_start = fixed(inverse[1][1] * y as f64 + inverse[1][2]) + half_step;
        for (x, target) in row.chunks_exact_mut(3).enumerate() {
            let source_x = (x_start + fixed(inverse[0][0] * x as f64)) >> shift;
            let source_y = (y_start + fixed(inverse[1][0] * x as f64)) >> shift;
            let (left, top) = (
                source_x.div_euclid(WARP_STEPS),
                source_y.div_euclid(WARP_STEPS),
            );
            let (fx, fy) = (
                source_x.rem_euclid(WARP_STEPS),
                source_y.rem_euclid(WARP_STEPS),
            );
            let weights = [
                (WARP_STEPS - fx) * (WARP_STEPS - fy),
                fx * (WARP_STEPS - fy),
                (WARP_STEPS - fx) * fy,
                fx * fy,
            ]
            .map(|weight| weight as u32);
            let mut sum = [0u32; 3];
            let is_inside = (0..sw - 1).contains(&left) && (0..sh - 1).contains(&top);
            if is_inside {
                for (row, weights) in weights.as_chunks::<2>().0.iter().enumerate() {
                    let at = (((top + row as i64) * sw + left) * 3) as usize;
                    let pair = &pixels[at..at + 6];
                    for c in 0..3 {
                        sum[c] +=
                            weights[0] * u32::from(pair[c]) + weights[1] * u32::from(pair[c + 3]);
                    }
                }
            } else {
                for (corner, weight) in weights.into_iter().enumerate() {
                    let (px, py) = (left + corner as i64 % 2, top + corner as i64 / 2);
                    if weight > 0 && (0..sw).contains(&px) && (0..sh).contains(&py) {
                        let at = ((py * sw + px) * 3) as usize;
                        for c in 0..3 {
                            sum[c] += weight * u32::from(pixels[at + c]);
                        }
                    }
                }
            }
            let steps = (WARP_STEPS * WARP_STEPS) as u32;
            for c in 0..3 {
                target[c] = ((sum[c] + steps / 2) / steps) as u8;
            }
        }
    }
    out
}

/// Pixels as a `[1, planes, canvas_height, canvas_width]` tensor of
/// `(value - mean) / std`. The picture lies top-left; the rest of the canvas is
/// black, which is `-mean / std`.
pub fn to_tensor(
    picture: &RgbImage,
    canvas_width: u32,
    canvas_height: u32,
    norm: Normalization,
) -> Array4<f32> {
    let planes = if norm.color == ColorOrder::Grey { 1 } else { 3 };
    let scale = 1.0 / norm.std;
    let black = (0.0 - norm.mean) * scale;
    let (cw, ch) = (canvas_width as usize, canvas_height as usize);
    let mut tensor = Array4::from_elem((1, planes, ch, cw), black);
    let values = tensor.as_slice_mut().expect("a fresh array is contiguous");
    let plane = cw * ch;
    for (y, row) in picture
        .chunks_exact(picture.width() as usize * 3)
        .take(ch)
        .enumerate()
    {
        for (x, pixel) in row.chunks_exact(3).take(cw).enumerate() {
            let at = y * cw + x;
            let value = |v: u8| (f32::from(v) - norm.mean) * scale;
            match norm.color {
                ColorOrder::Rgb => (0..3).for_each(|c| values[c * plane + at] = value(pixel[c])),
                ColorOrder::Bgr => {
                    (0..3).for_each(|c| values[c * plane + at] = value(pixel[2 - c]));
                }
                ColorOrder::Grey => values[at] = value(grey(pixel)),
            }
        }
    }
    tensor
}

/// OpenCV's 8-bit grey: 0.299 R + 0.587 G + 0.114 B in 14-bit fixed point.
fn grey(pixel: &[u8]) -> u8 {
    let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
    ((r * 4899 + g * 9617 + b * 1868 + (1 << 13)) >> 14) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    /// Wider than high, another ramp on each axis and channel.
    fn lopsided(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            Rgb([(x * 20) as u8, (y * 30) as u8, (x + 5 * y) as u8])
        })
    }

    #[test]
    fn doubling_interpolates_between_pixel_centres() {
        let picture = RgbImage::from_fn(2, 1, |x, _| Rgb([if x == 0 { 0 } else { 100 }, 7, 9]));
        let wide = resize_linear(&picture, 4, 1);
        let reds: Vec<u8> = wide.pixels().map(|p| p[0]).collect();
        assert_eq!(reds, [0, 25, 75, 100]);
        assert!(wide.pixels().all(|p| p[1] == 7 && p[2] == 9));
    }

    #[test]
    fn the_last_column_is_reached_and_a_single_one_is_enough() {
        let picture = lopsided(7, 1);
        let last = |width| {
            *resize_linear(&picture, width, 1)
                .pixels()
                .next_back()
                .unwrap()
        };
        assert_eq!([last(13), last(29)], [*picture.get_pixel(6, 0); 2]);
        // The third of three lies at 2.5 * 7 / 3 - 0.5: a third between 100 and 120.
        let third = resize_linear(&picture, 3, 1);
        assert_eq!(third.get_pixel(2, 0)[0], 107);
        let narrow = RgbImage::from_fn(1, 2, |_, y| Rgb([10, 50 * y as u8, 3]));
        let wide = resize_linear(&narrow, 3, 2);
        for x in 0..3 {
            assert_eq!(wide.get_pixel(x, 0), &Rgb([10, 0, 3]));
            assert_eq!(wide.get_pixel(x, 1), &Rgb([10, 50, 3]));
        }
    }

    #[test]
    fn halving_averages_blocks() {
        let picture = RgbImage::from_fn(4, 2, |x, y| Rgb([(x * 10 + y) as u8, 0, 200]));
        let small = resize_linear(&picture, 2, 1);
        // (0 + 10 + 1 + 11 + 2) >> 2 and (20 + 30 + 21 + 31 + 2) >> 2
        assert_eq!(small.pixels().map(|p| p[0]).collect::<Vec<_>>(), [6, 26]);
    }

    #[test]
    fn the_identity_warp_changes_nothing_and_axes_are_not_swapped() {
        let picture = lopsided(9, 6);
        let identity = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
        assert_eq!(warp_affine(&picture, &identity, 9, 6), picture);
        let shifted = warp_affine(&picture, &[[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]], 9, 6);
        assert_eq!(shifted.get_pixel(5, 3), picture.get_pixel(3, 2));
        assert_eq!(shifted.get_pixel(0, 0), &Rgb([0, 0, 0]));
    }

    #[test]
    fn a_half_pixel_shift_mixes_two_neighbours() {
        let picture = RgbImage::from_fn(3, 1, |x, _| Rgb([x as u8 * 100, 0, 0]));
        let moved = warp_affine(&picture, &[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]], 3, 1);
        assert_eq!(
            moved.pixels().map(|p| p[0]).collect::<Vec<_>>(),
            [0, 50, 150]
        );
    }

    #[test]
    fn inverse_undoes_the_map() {
        let m = [[0.8, -0.3, 5.0], [0.2, 1.1, -7.0]];
        let inverse = invert(&m);
        let [x, y] = [3.0, 4.0];
        let forward = [
            m[0][0] * x + m[0][1] * y + m[0][2],
            m[1][0] * x + m[1][1] * y + m[1][2],
        ];
        let back = inverse.map(|r| r[0] * forward[0] + r[1] * forward[1] + r[2]);
        assert!((back[0] - x).abs() < 1e-12 && (back[1] - y).abs() < 1e-12);
        assert_eq!(invert(&[[0.0; 3]; 2]), [[0.0; 3]; 2]);
    }

    #[test]
    fn planes_follow_the_colour_order_and_padding_is_black() {
        let picture = RgbImage::from_pixel(2, 1, Rgb([10, 20, 30]));
        let norm = |color| Normalization {
            color,
            mean: 10.0,
            std: 2.0,
        };
        let rgb = to_tensor(&picture, 3, 2, norm(ColorOrder::Rgb));
        assert_eq!((rgb[[0, 0, 0, 1]], rgb[[0, 2, 0, 1]]), (0.0, 10.0));
        let bgr = to_tensor(&picture, 3, 2, norm(ColorOrder::Bgr));
        assert_eq!((bgr[[0, 0, 0, 1]], bgr[[0, 2, 0, 1]]), (10.0, 0.0));
        assert_eq!((rgb[[0, 1, 0, 2]], rgb[[0, 1, 1, 0]]), (-5.0, -5.0));
        let grey = to_tensor(&picture, 2, 1, norm(ColorOrder::Grey));
        // 0.299 * 10 + 0.587 * 20 + 0.114 * 30 = 18.15
        assert_eq!((grey.shape()[1], grey[[0, 0, 0, 0]]), (1, 4.0));
    }
}
