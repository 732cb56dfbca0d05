//! One photo taken of another: which part, how large, how tilted.

use image::{Rgb, RgbImage};

use super::rng::Rng;
use super::sources::Face;

/// An affine view of a source photo.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shot {
    /// Point of the source that lies in the middle of the shot, pixels.
    pub(crate) centre: [f32; 2],
    /// Output pixels per source pixel.
    pub(crate) scale: f32,
    /// Width and height of the shot, pixels.
    pub(crate) size: [u32; 2],
    /// Tilt in degrees.
    pub(crate) rotation_deg: f32,
    /// Horizontal stretch; 1 leaves faces as they are.
    pub(crate) squeeze: f32,
    /// Horizontal shift per vertical pixel; 0 leaves faces as they are.
    pub(crate) shear: f32,
    /// Left and right exchanged.
    pub(crate) mirrored: bool,
}

/// Least share of a face's box that makes the face part of the shot.
const VISIBLE: f32 = 0.7;
/// Largest share of a face's box that may show when the face is no part of it:
/// nobody can say whether half a face counts.
const HIDDEN: f32 = 0.04;
/// Largest enlargement: beyond it the pixels of the source show.
const MAX_SCALE: f32 = 2.3;
/// Views tried before a face is said to have no room.
const ATTEMPTS: usize = 5000;

/// Wishes for a portrait, the limits of what is drawn at random.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portrait {
    /// Height of the face in the shot, pixels, from and to.
    pub(crate) face_px: [f32; 2],
    /// Height of the shot in heights of the face, from and to.
    pub(crate) room: [f32; 2],
    /// Widths per height to choose from.
    pub(crate) aspects: &'static [f32],
}

impl Portrait {
    /// A photo with one face as its subject.
    pub(crate) const SINGLE: Self = Self {
        face_px: [210.0, 420.0],
        room: [1.7, 4.2],
        aspects: &[0.667, 0.75, 1.0, 1.333, 1.5],
    };
    /// One of several prints on a wall.
    pub(crate) const PRINT: Self = Self {
        face_px: [200.0, 270.0],
        room: [1.9, 2.6],
        aspects: &[0.75, 0.8],
    };
}

impl Shot {
    /// A portrait of `faces[subject]`. Every face is wholly in it or wholly out
    /// of it. `None` when the source has no room for one.
    pub(crate) fn portrait(
        source: [u32; 2],
        faces: &[Face],
        subject: usize,
        wish: Portrait,
        rng: &mut Rng,
    ) -> Option<Self> {
        let centre = faces[subject].centre();
        let face_height = faces[subject].height();
        (0..ATTEMPTS).find_map(|_| {
            let scale =
                (rng.between(wish.face_px[0], wish.face_px[1]) / face_height).min(MAX_SCALE);
            let height = face_height * scale * rng.between(wish.room[0], wish.room[1]);
            let width = height * rng.pick(wish.aspects);
            let mut shot = Self {
                centre: [0.0, 0.0],
                scale,
                size: [width.round() as u32, height.round() as u32],
                rotation_deg: rng.between(-8.0, 8.0),
                squeeze: rng.between(0.93, 1.07),
                shear: rng.between(-0.06, 0.06),
                mirrored: rng.one_in(9),
            };
            let place = [
                width * rng.between(0.3, 0.7),
                height * rng.between(0.32, 0.6),
            ];
            let away = shot.to_source(place);
            shot.centre = [centre[0] - away[0], centre[1] - away[1]];
            (shot.lies_within(source) && shot.present(faces)?.contains(&subject)).then_some(shot)
        })
    }

    /// Nearly the whole source, for group photos.
    pub(crate) fn whole(source: [u32; 2], faces: &[Face], rng: &mut Rng) -> Option<Self> {
        let [width, height] = source.map(|v| v as f32);
        (0..ATTEMPTS).find_map(|_| {
            let scale = rng.between(1.0, 1.45);
            let share = rng.between(0.9, 0.99);
            let shot = Self {
                centre: [
                    width * rng.between(0.45, 0.55),
                    height * rng.between(0.42, 0.55),
                ],
                scale,
                size: [
                    (width * share * scale) as u32,
                    (height * share * rng.between(0.75, 1.0) * scale) as u32,
                ],
                rotation_deg: rng.between(-2.0, 2.0),
                squeeze: rng.between(0.97, 1.03),
                shear: rng.between(-0.02, 0.02),
                mirrored: rng.one_in(4),
            };
            (shot.lies_within(source) && shot.present(faces)?.len() == faces.len()).then_some(shot)
        })
    }

    /// Positions in `faces` of those in the shot; `None` when one is cut.
    pub(crate) fn present(&self, faces: &[Face]) -> Option<Vec<usize>> {
        let mut present = Vec::new();
        for (position, face) in faces.iter().enumerate() {
            let share = self.visible_share(face);
            if share >= VISIBLE {
                present.push(position);
            } else if share > HIDDEN {
                return None;
            }
        }
        Some(present)
    }

    /// Share of a face's box inside the shot, 0 to 1, on a grid of 144 points.
    fn visible_share(&self, face: &Face) -> f32 {
        const SIDE: u16 = 12;
        let [left, top, right, bottom] = face.bbox.map(|v| v as f32);
        let at = |i: u16, low: f32, high: f32| {
            low + (high - low) * (f32::from(i) + 0.5) / f32::from(SIDE)
        };
        let inside = (0..SIDE)
            .flat_map(|y| (0..SIDE).map(move |x| (x, y)))
            .filter(|&(x, y)| {
                let [x, y] = self.to_shot([at(x, left, right), at(y, top, bottom)]);
                x >= 0.0 && y >= 0.0 && x < self.size[0] as f32 && y < self.size[1] as f32
            })
            .count();
        inside as f32 / f32::from(SIDE * SIDE)
    }

    fn lies_within(&self, source: [u32; 2]) -> bool {
        let [width, height] = self.size.map(|v| v as f32);
        [[0.0, 0.0], [width, 0.0], [0.0, height], [width, height]]
            .into_iter()
            .all(|corner| {
                let [x, y] = self.to_source(corner);
                x >= 0.0 && y >= 0.0 && x <= source[0] as f32 && y <= source[1] as f32
            })
    }

    /// Rows of the matrix that takes shot offsets to source offsets, unscaled.
    fn matrix(&self) -> [[f32; 2]; 2] {
        let (sin, cos) = self.rotation_deg.to_radians().sin_cos();
        let flip = if self.mirrored { -1.0 } else { 1.0 };
        let (across, along) = (self.squeeze * flip, self.shear);
        [
            [cos * across, cos * along - sin],
            [sin * across, sin * along + cos],
        ]
    }

    fn to_source(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let m = self.matrix();
        let dx = (x - self.size[0] as f32 / 2.0) / self.scale;
        let dy = (y - self.size[1] as f32 / 2.0) / self.scale;
        [
            self.centre[0] + m[0][0] * dx + m[0][1] * dy,
            self.centre[1] + m[1][0] * dx + m[1][1] * dy,
        ]
    }

    /// Where a point of the source lies in the shot, pixels.
    pub(crate) fn to_shot(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let m = self.matrix();
        let determinant = m[0][0] * m[1][1] - m[0][1] * m[1][0];
        let (dx, dy) = (x - self.centre[0], y - self.centre[1]);
        [
            (m[1][1] * dx - m[0][1] * dy) / determinant * self.scale + self.size[0] as f32 / 2.0,
            (m[0][0] * dy - m[1][0] * dx) / determinant * self.scale + self.size[1] as f32 / 2.0,
        ]
    }

    /// Takes the shot: several samples per pixel when it shrinks, cubic
    /// interpolation when it enlarges.
    pub(crate) fn take(&self, source: &RgbImage) -> RgbImage {
        let per_side = (1.0 / self.scale).ceil().max(1.0) as u32;
        let samples = (per_side * per_side) as f32;
        let sample = if per_side == 1 { cubic } else { linear };
        RgbImage::from_fn(self.size[0], self.size[1], |x, y| {
            let mut sum = [0.0_f32; 3];
            for j in 0..per_side {
                for i in 0..per_side {
                    let within = |k: u32| (k as f32 + 0.5) / per_side as f32;
                    let at = self.to_source([x as f32 + within(i), y as f32 + within(j)]);
                    let colour = sample(source, at);
                    for (total, part) in sum.iter_mut().zip(colour) {
                        *total += part;
                    }
                }
            }
            Rgb(sum.map(|total| (total / samples).round().clamp(0.0, 255.0) as u8))
        })
    }
}

/// Colour at a place by the four pixels around it, the edge's beyond it.
fn linear(picture: &RgbImage, at: [f32; 2]) -> [f32; 3] {
    weighted(picture, at, 0, |t| [1.0 - t, t])
}

/// Colour at a place by the sixteen pixels around it (Catmull-Rom).
fn cubic(picture: &RgbImage, at: [f32; 2]) -> [f32; 3] {
    weighted(picture, at, -1, |t| {
        let (t2, t3) = (t * t, t * t * t);
        [
            0.5 * (-t3 + 2.0 * t2 - t),
            0.5 * (3.0 * t3 - 5.0 * t2 + 2.0),
            0.5 * (-3.0 * t3 + 4.0 * t2 + t),
            0.5 * (t3 - t2),
        ]
    })
}

fn weighted<const N: usize>(
    picture: &RgbImage,
    at: [f32; 2],
    first: i64,
    weights: impl Fn(f32) -> [f32; N],
) -> [f32; 3] {
    // Pixel centres lie at halves.
    let [x, y] = at.map(|v| v - 0.5);
    let (wx, wy) = (weights(x - x.floor()), weights(y - y.floor()));
    let (x0, y0) = (x.floor() as i64 + first, y.floor() as i64 + first);
    let clamp = |v: i64, n: u32| v.clamp(0, i64::from(n) - 1) as u32;
    let mut sum = [0.0; 3];
    for (j, wy) in (0_i64..).zip(wy) {
        let row = clamp(y0 + j, picture.height());
        for (i, wx) in (0_i64..).zip(wx) {
            let pixel = picture.get_pixel(clamp(x0 + i, picture.width()), row);
            for (total, part) in sum.iter_mut().zip(pixel.0) {
                *total += f32::from(part) * wx * wy;
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACES: &[Face] = &[
        Face {
            person: "a",
            bbox: [60, 40, 100, 90],
        },
        Face {
            person: "b",
            bbox: [220, 50, 255, 95],
        },
    ];

    fn plain(centre: [f32; 2], size: [u32; 2]) -> Shot {
        Shot {
            centre,
            scale: 1.0,
            size,
            rotation_deg: 0.0,
            squeeze: 1.0,
            shear: 0.0,
            mirrored: false,
        }
    }

    #[test]
    fn an_unscaled_shot_is_the_part_itself() {
        let source = RgbImage::from_fn(9, 7, |x, y| Rgb([x as u8 * 20, y as u8 * 30, 7]));
        // Left upper corner at (3, 2).
        let shot = plain([5.0, 3.5], [4, 3]).take(&source);
        assert_eq!(shot.dimensions(), (4, 3));
        assert_eq!(shot.get_pixel(0, 0), &Rgb([60, 60, 7]));
        assert_eq!(shot.get_pixel(3, 2), &Rgb([120, 120, 7]));
    }

    #[test]
    fn mirroring_exchanges_left_and_right_only() {
        let source = RgbImage::from_fn(9, 7, |x, y| Rgb([x as u8 * 20, y as u8 * 30, 7]));
        let mut shot = plain([5.0, 3.5], [4, 3]);
        shot.mirrored = true;
        let shot = shot.take(&source);
        assert_eq!(shot.get_pixel(0, 0), &Rgb([120, 60, 7]));
        assert_eq!(shot.get_pixel(3, 2), &Rgb([60, 120, 7]));
    }

    #[test]
    fn both_directions_of_the_mapping_agree() {
        let shot = Shot {
            centre: [40.0, 25.0],
            scale: 1.7,
            size: [120, 90],
            rotation_deg: 7.0,
            squeeze: 0.95,
            shear: 0.05,
            mirrored: true,
        };
        let back = shot.to_shot(shot.to_source([13.0, 71.0]));
        assert!((back[0] - 13.0).abs() < 1e-3 && (back[1] - 71.0).abs() < 1e-3);
    }

    #[test]
    fn a_cut_face_spoils_a_shot() {
        // Shows x from 20 to 140: face a whole, face b out.
        assert_eq!(
            plain([80.0, 70.0], [120, 140]).present(FACES),
            Some(vec![0])
        );
        // Shows x from 20 to 240: half of face b.
        assert_eq!(plain([130.0, 70.0], [220, 140]).present(FACES), None);
        // Shows x from 20 to 280.
        assert_eq!(
            plain([150.0, 70.0], [260, 140]).present(FACES),
            Some(vec![0, 1])
        );
    }

    #[test]
    fn portraits_show_their_subject_within_the_source() {
        let source = [300, 200];
        for seed in 0..20 {
            let mut rng = Rng::new(seed, "portrait");
            let shot = Shot::portrait(source, FACES, 1, Portrait::SINGLE, &mut rng).unwrap();
            assert!(shot.present(FACES).unwrap().contains(&1));
            assert!(shot.lies_within(source));
            assert!(shot.scale <= MAX_SCALE);
        }
    }
}
