//! Pictures without faces, and the walls that prints hang on.

use image::{Rgb, RgbImage};

use super::rng::Rng;

/// A motif without a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Motif {
    /// Sky, hills one behind the other, and a meadow.
    Hills,
    /// Dark lines on paper, like a photographed page.
    Page,
    /// Coloured tiles.
    Tiles,
    /// Waves under an even sky.
    Sea,
}

impl Motif {
    pub(crate) const ALL: [Self; 4] = [Self::Hills, Self::Page, Self::Tiles, Self::Sea];

    /// Draws the motif; the seed varies it.
    pub(crate) fn draw(self, [width, height]: [u32; 2], seed: u64) -> RgbImage {
        let mut rng = Rng::new(seed, "motif");
        match self {
            Self::Hills => hills(width, height, &mut rng),
            Self::Page => page(width, height, &mut rng),
            Self::Tiles => tiles(width, height, &mut rng),
            Self::Sea => sea(width, height, &mut rng),
        }
    }
}

fn mix(a: [f32; 3], b: [f32; 3], t: f32) -> Rgb<u8> {
    let mut colour = [0; 3];
    for ((out, a), b) in colour.iter_mut().zip(a).zip(b) {
        *out = (a + (b - a) * t).round().clamp(0.0, 255.0) as u8;
    }
    Rgb(colour)
}

fn hills(width: u32, height: u32, rng: &mut Rng) -> RgbImage {
    let ridges: Vec<[f32; 4]> = (0_u8..4)
        .map(|i| {
            [
                0.45 + 0.13 * f32::from(i),
                rng.between(0.02, 0.06),
                rng.between(3.0, 9.0),
                rng.between(0.0, 6.0),
            ]
        })
        .collect();
    RgbImage::from_fn(width, height, |x, y| {
        let (u, v) = (x as f32 / width as f32, y as f32 / height as f32);
        let depth = ridges
            .iter()
            .filter(|[base, swing, waves, phase]| v > base + swing * (u * waves + phase).sin())
            .count();
        match depth {
            0 => mix([90.0, 140.0, 215.0], [225.0, 230.0, 235.0], v * 2.0),
            n => mix(
                [130.0, 160.0, 150.0],
                [40.0, 80.0, 30.0],
                n as f32 / 4.0 + (v - 0.5) * 0.2,
            ),
        }
    })
}

fn page(width: u32, height: u32, rng: &mut Rng) -> RgbImage {
    let line = height / 34;
    let ends: Vec<f32> = (0..34).map(|_| rng.between(0.55, 0.9)).collect();
    let gaps: Vec<u32> = (0..34).map(|_| 5 + rng.below(9) as u32).collect();
    RgbImage::from_fn(width, height, |x, y| {
        let row = (y / line.max(1)).min(33) as usize;
        let u = x as f32 / width as f32;
        let inked = row > 2
            && row < 31
            && y % line.max(1) > line / 2
            && u > 0.1
            && u < ends[row]
            && !(x / (width / 160).max(1)).is_multiple_of(gaps[row]);
        if inked {
            Rgb([52, 50, 58])
        } else {
            mix([238.0, 234.0, 222.0], [205.0, 200.0, 190.0], u)
        }
    })
}

fn tiles(width: u32, height: u32, rng: &mut Rng) -> RgbImage {
    let colours: Vec<[f32; 3]> = (0..96)
        .map(|_| {
            [
                rng.between(20.0, 230.0),
                rng.between(20.0, 230.0),
                rng.between(20.0, 230.0),
            ]
        })
        .collect();
    RgbImage::from_fn(width, height, |x, y| {
        let (column, row) = (x * 12 / width, y * 8 / height);
        let colour = colours[(row * 12 + column) as usize];
        mix(colour, [0.0; 3], y as f32 / height as f32 * 0.2)
    })
}

fn sea(width: u32, height: u32, rng: &mut Rng) -> RgbImage {
    let phase = rng.between(0.0, 6.0);
    let horizon = rng.between(0.3, 0.5);
    RgbImage::from_fn(width, height, |x, y| {
        let (u, v) = (x as f32 / width as f32, y as f32 / height as f32);
        if v < horizon {
            return mix([170.0, 195.0, 225.0], [240.0, 225.0, 200.0], v / horizon);
        }
        let near = (v - horizon) / (1.0 - horizon);
        let wave = 0.5 + 0.5 * (near.sqrt() * 60.0 + phase + (u * 9.0).sin()).sin();
        mix(
            [20.0, 70.0, 110.0],
            [70.0, 140.0, 170.0],
            wave * 0.6 + near * 0.2,
        )
    })
}

/// A plastered wall for `prints`, hung side by side with white borders.
pub(crate) fn wall(prints: &[RgbImage], seed: u64) -> RgbImage {
    const BORDER: u32 = 14;
    const GAP: u32 = 60;
    let mut rng = Rng::new(seed, "wall");
    let tint = [
        rng.between(110.0, 190.0),
        rng.between(110.0, 180.0),
        rng.between(100.0, 180.0),
    ];
    let height = prints.iter().map(RgbImage::height).max().unwrap_or(0) + 4 * GAP;
    let width = prints
        .iter()
        .map(|p| p.width() + 2 * BORDER + GAP)
        .sum::<u32>()
        + GAP;
    let mut wall = RgbImage::from_fn(width, height, |_, y| {
        let shade = y as f32 / height as f32 * 0.3;
        let rough = rng.between(-6.0, 6.0);
        mix(tint.map(|c| c + rough), [30.0, 30.0, 35.0], shade)
    });
    let mut left = GAP;
    for print in prints {
        let top = GAP + rng.below(GAP as usize) as u32;
        let frame = RgbImage::from_pixel(
            print.width() + 2 * BORDER,
            print.height() + 2 * BORDER,
            Rgb([244, 242, 236]),
        );
        image::imageops::replace(&mut wall, &frame, left.into(), top.into());
        let inner = (i64::from(left + BORDER), i64::from(top + BORDER));
        image::imageops::replace(&mut wall, print, inner.0, inner.1);
        left += frame.width() + GAP;
    }
    wall
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn motifs_repeat_by_seed_and_differ_by_motif() {
        let size = [60, 40];
        for motif in Motif::ALL {
            assert_eq!(motif.draw(size, 3), motif.draw(size, 3), "{motif:?}");
            for other in Motif::ALL.iter().filter(|m| **m != motif) {
                assert_ne!(motif.draw(size, 3), other.draw(size, 3));
            }
        }
    }

    #[test]
    fn prints_hang_side_by_side_whole() {
        let red = RgbImage::from_pixel(30, 50, Rgb([255, 0, 0]));
        let blue = RgbImage::from_pixel(40, 20, Rgb([0, 0, 255]));
        let wall = wall(&[red, blue], 7);
        let count = |colour: [u8; 3]| wall.pixels().filter(|p| p.0 == colour).count();
        assert_eq!(count([255, 0, 0]), 30 * 50);
        assert_eq!(count([0, 0, 255]), 40 * 20);
        let mean_x = |colour: [u8; 3]| {
            let xs: Vec<u32> = wall
                .enumerate_pixels()
                .filter(|(_, _, p)| p.0 == colour)
                .map(|(x, _, _)| x)
                .collect();
            xs.iter().sum::<u32>() / xs.len() as u32
        };
        assert!(mean_x([255, 0, 0]) < mean_x([0, 0, 255]));
    }
}
