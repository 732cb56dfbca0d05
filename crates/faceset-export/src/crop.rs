//! Where a face is cut and how the cut becomes a square picture.

use faceset_core::BBox;
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

/// A square of whole upright pixels; may reach beyond the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SquareCrop {
    pub(crate) left: i64,
    pub(crate) top: i64,
    pub(crate) side: u32,
}

/// No sensible crop is larger; beyond it a box is a broken record.
const MAX_SIDE_PX: f64 = 1_000_000.0;

impl SquareCrop {
    /// The square around a face: the box's centre, its longer edge times
    /// `1 + 2·pad_ratio`, shifted back inside the picture where that is
    /// possible. Where the picture is smaller than the square, the square holds
    /// the whole picture on that axis and the rest is padded.
    ///
    /// `None` for a box without an edge or with one that is no number.
    pub(crate) fn around(bbox: &BBox, pad_ratio: f64, dims: [u32; 2]) -> Option<Self> {
        if !bbox.is_finite() {
            return None;
        }
        let edge = f64::from(bbox.width().max(bbox.height()));
        let side = (edge * (1.0 + 2.0 * pad_ratio)).round();
        if edge <= 0.0 || !(1.0..=MAX_SIDE_PX).contains(&side) {
            return None;
        }
        let start = |center: f32, limit: u32| {
            let slack = i64::from(limit) - side as i64;
            let wanted = (f64::from(center) - side / 2.0).round() as i64;
            wanted.clamp(slack.min(0), slack.max(0))
        };
        let [cx, cy] = bbox.center();
        Some(Self {
            left: start(cx, dims[0]),
            top: start(cy, dims[1]),
            side: side as u32,
        })
    }

    /// The square as a box in upright pixels.
    pub(crate) fn bbox(&self) -> BBox {
        let side = i64::from(self.side);
        [self.left, self.top, self.left + side, self.top + side]
            .map(|v| v as f32)
            .into()
    }

    /// A box of the photo in pixels of the PNG of edge `out_size`.
    pub(crate) fn map(&self, bbox: &BBox, out_size: u32) -> BBox {
        let scale = f64::from(out_size) / f64::from(self.side);
        let x = |v: f32| ((f64::from(v) - self.left as f64) * scale) as f32;
        let y = |v: f32| ((f64::from(v) - self.top as f64) * scale) as f32;
        [x(bbox.x1), y(bbox.y1), x(bbox.x2), y(bbox.y2)].into()
    }

    /// Output edge divided by crop edge; above 1 the face is enlarged.
    pub(crate) fn upscale(&self, out_size: u32) -> f64 {
        f64::from(out_size) / f64::from(self.side)
    }

    /// Cuts and resizes to `out_size`×`out_size`: by area when shrinking, cubic
    /// when enlarging. What lies outside the picture is black.
    pub(crate) fn render(&self, picture: &RgbImage, out_size: u32) -> RgbImage {
        if self.side > out_size {
            return self.shrink(picture, out_size);
        }
        let cut = RgbImage::from_fn(self.side, self.side, |x, y| {
            let (x, y) = (self.left + i64::from(x), self.top + i64::from(y));
            match (u32::try_from(x), u32::try_from(y)) {
                (Ok(x), Ok(y)) if x < picture.width() && y < picture.height() => {
                    *picture.get_pixel(x, y)
                }
                _ => Rgb([0; 3]),
            }
        });
        if self.side == out_size {
            cut
        } else {
            imageops::resize(&cut, out_size, out_size, FilterType::CatmullRom)
        }
    }

    /// Mean over the area of each output pixel, exact to rounding.
    fn shrink(&self, picture: &RgbImage, out_size: u32) -> RgbImage {
        let columns: Vec<_> = (0..out_size)
            .map(|i| coverage(self.left, self.side, i, out_size, picture.width()))
            .collect();
        let mut out = RgbImage::new(out_size, out_size);
        // Neighbouring output rows share at most one source row.
        let mut last: Option<(u32, Vec<[f64; 3]>)> = None;
        let mut sums = vec![[0.0_f64; 3]; out_size as usize];
        for out_y in 0..out_size {
            sums.fill([0.0; 3]);
            for (y, weight_y) in coverage(self.top, self.side, out_y, out_size, picture.height()) {
                let row = match last.take() {
                    Some((at, row)) if at == y => row,
                    _ => columns.iter().map(|c| row_mean(picture, y, c)).collect(),
                };
                for (sum, value) in sums.iter_mut().zip(&row) {
                    for (s, v) in sum.iter_mut().zip(value) {
                        *s += weight_y * v;
                    }
                }
                last = Some((y, row));
            }
            for (out_x, sum) in sums.iter().enumerate() {
                let pixel = sum.map(|v| v.round().clamp(0.0, 255.0) as u8);
                out.put_pixel(out_x as u32, out_y, Rgb(pixel));
            }
        }
        out
    }
}

/// The pixels of the picture that output position `i` of `n` covers, each with
/// its share. Shares of pixels beyond the picture are missing: black.
fn coverage(start: i64, side: u32, i: u32, n: u32, limit: u32) -> Vec<(u32, f64)> {
    let cell = f64::from(side) / f64::from(n);
    let from = start as f64 + f64::from(i) * cell;
    let to = start as f64 + f64::from(i + 1) * cell;
    let first = from.max(0.0).floor() as u32;
    let end = to.min(f64::from(limit)).ceil().max(0.0) as u32;
    (first..end)
        .map(|p| {
            let part = to.min(f64::from(p) + 1.0) - from.max(f64::from(p));
            (p, part / cell)
        })
        .filter(|(_, share)| *share > 0.0)
        .collect()
}

fn row_mean(picture: &RgbImage, y: u32, column: &[(u32, f64)]) -> [f64; 3] {
    let mut sum = [0.0; 3];
    for (x, share) in column {
        let pixel = picture.get_pixel(*x, y).0;
        for (s, v) in sum.iter_mut().zip(pixel) {
            *s += share * f64::from(v);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn crop(left: i64, top: i64, side: u32) -> SquareCrop {
        SquareCrop { left, top, side }
    }

    #[test]
    fn the_square_is_centred_and_padded_per_side() {
        // 60×100 around (130, 250): side 100·(1 + 2·0.5) = 200.
        let found = SquareCrop::around(&[100.0, 200.0, 160.0, 300.0].into(), 0.5, [1000, 800]);
        assert_eq!(found, Some(crop(30, 150, 200)));
        let tight = SquareCrop::around(&[100.0, 200.0, 160.0, 300.0].into(), 0.0, [1000, 800]);
        assert_eq!(tight, Some(crop(80, 200, 100)));
    }

    #[test]
    fn at_the_border_the_square_is_shifted_inside() {
        let found = SquareCrop::around(&[-10.0, 5.0, 40.0, 85.0].into(), 0.5, [400, 300]).unwrap();
        assert_eq!(found, crop(0, 0, 160));
        let found = SquareCrop::around(&[350.0, 250.0, 400.0, 300.0].into(), 0.5, [400, 300]);
        assert_eq!(found, Some(crop(300, 200, 100)));
    }

    #[test]
    fn a_square_larger_than_the_picture_holds_all_of_it() {
        // Wide enough, too low: 200 px square on 300×120; the face is at the
        // bottom, so the padding goes below it.
        let found = SquareCrop::around(&[100.0, 20.0, 200.0, 120.0].into(), 0.5, [300, 120]);
        assert_eq!(found, Some(crop(50, -30, 200)));
        let found = SquareCrop::around(&[100.0, 60.0, 200.0, 160.0].into(), 0.5, [300, 120]);
        assert_eq!(found, Some(crop(50, 0, 200)));
    }

    #[test]
    fn broken_boxes_have_no_crop() {
        let around = |b: [f32; 4]| SquareCrop::around(&b.into(), 0.5, [100, 100]);
        assert_eq!(around([5.0, 5.0, 5.0, 5.0]), None);
        assert_eq!(around([9.0, 9.0, 1.0, 1.0]), None);
        assert_eq!(around([f32::NAN, 0.0, 1.0, 1.0]), None);
        assert_eq!(around([0.0, 0.0, 1e9, 1.0]), None);
    }

    #[test]
    fn boxes_map_into_the_png() {
        let c = crop(30, 150, 200);
        let mapped = c.map(&[100.0, 200.0, 160.0, 300.0].into(), 512);
        assert_eq!(<[f32; 4]>::from(mapped), [179.2, 128.0, 332.8, 384.0]);
        assert_eq!(c.upscale(512), 2.56);
        assert_eq!(<[f32; 4]>::from(c.bbox()), [30.0, 150.0, 230.0, 350.0]);
    }

    #[test]
    fn outside_is_black_and_colours_stay_in_their_channels() {
        let picture = RgbImage::from_pixel(64, 64, Rgb([200, 100, 50]));
        // The right half of the crop lies outside.
        for side in [64, 96, 32] {
            let half = i64::from(side / 2);
            let out = crop(64 - half, 0, side).render(&picture, 64);
            assert_eq!(out.get_pixel(4, 4).0, [200, 100, 50], "side {side}");
            assert_eq!(out.get_pixel(60, 4).0, [0, 0, 0], "side {side}");
        }
    }

    #[test]
    fn shrinking_by_two_averages_four_pixels() {
        let picture = RgbImage::from_fn(4, 4, |x, y| Rgb([(x * 10) as u8, (y * 20) as u8, 7]));
        let out = crop(0, 0, 4).render(&picture, 2);
        assert_eq!(out.get_pixel(0, 0).0, [5, 10, 7]);
        assert_eq!(out.get_pixel(1, 0).0, [25, 10, 7]);
        assert_eq!(out.get_pixel(0, 1).0, [5, 50, 7]);
    }

    proptest! {
        #[test]
        fn shrinking_keeps_the_mean_brightness(
            side in 65_u32..150, seed in 0_u32..1000
        ) {
            let picture = RgbImage::from_fn(side, side, |x, y| {
                Rgb([((x * 31 + y * 17 + seed) % 256) as u8; 3])
            });
            let out = crop(0, 0, side).render(&picture, 64);
            let mean = |p: &RgbImage| {
                p.pixels().map(|v| f64::from(v.0[1])).sum::<f64>() / f64::from(p.width() * p.height())
            };
            prop_assert!((mean(&picture) - mean(&out)).abs() < 0.3);
        }

        #[test]
        fn crops_stay_inside_when_they_fit(
            x in -50.0_f32..450.0, y in -50.0_f32..350.0, w in 1.0_f32..120.0, h in 1.0_f32..120.0
        ) {
            let c = SquareCrop::around(&[x, y, x + w, y + h].into(), 0.5, [400, 300]).unwrap();
            prop_assert!(c.side <= 240 && c.left >= 0 && c.top >= 0);
            prop_assert!(c.left + i64::from(c.side) <= 400 && c.top + i64::from(c.side) <= 300);
        }
    }
}
