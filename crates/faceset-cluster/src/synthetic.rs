//! Made-up face embeddings for tests and benchmarks.
//!
//! Shaped after what face collections look like: a fifth of the faces are
//! strangers seen once, group sizes follow a power law up to 6 % of all faces
//! ("the child of the house"), large groups have eras, some people are
//! relatives, 4 % of the crops are blurry and drift to common directions, some
//! photos are there twice or nearly twice. All pairs at most 0.55 apart form
//! one giant component, as in real collections.
//!
//! Only integer arithmetic, and IEEE additions, products, quotients and square
//! roots in a fixed order are used, so `benches/compare/synthetic.py` makes the
//! same bits and the peers are measured on the same data.

use ndarray::{Array2, ArrayViewMut1, Axis};
use rayon::prelude::*;

/// Dimension of the rows, a power of two.
pub const DIM: usize = 512;

/// What to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A collection as described above.
    Collection,
    /// Every face shows the same person.
    OnePerson,
}

/// Streams of random numbers; one for each use.
mod stream {
    pub(super) const SIZE: u64 = 1;
    pub(super) const SHUFFLE: u64 = 2;
    pub(super) const CENTRE: u64 = 3;
    pub(super) const FAMILY: u64 = 4;
    pub(super) const PARENT: u64 = 5;
    pub(super) const ERA: u64 = 6;
    pub(super) const FACE: u64 = 7;
    pub(super) const NOISE: u64 = 8;
    pub(super) const BLUR: u64 = 9;
    pub(super) const COPY: u64 = 10;
    pub(super) const SIGN: u64 = 11;
}

/// SplitMix64's finaliser (Steele, Lea, Flood 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Debug, Clone, Copy)]
struct Random {
    key: u64,
}

impl Random {
    fn new(seed: u64, stream: u64) -> Self {
        let key = mix(mix(seed.wrapping_add(GOLDEN)).wrapping_add(stream.wrapping_mul(GOLDEN)));
        Self { key }
    }

    fn bits(self, at: u64) -> u64 {
        mix(self
            .key
            .wrapping_add((at.wrapping_add(1)).wrapping_mul(GOLDEN)))
    }

    /// In 0..1.
    fn unit(self, at: u64) -> f64 {
        (self.bits(at) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(self, at: u64, n: u64) -> u64 {
        self.bits(at) % n
    }

    /// Four 16-bit numbers added: nearly a normal variable of deviation 1.
    fn normal(self, at: u64) -> f64 {
        let bits = self.bits(at);
        let sum: u64 = (0..4).map(|k| (bits >> (16 * k)) & 0xffff).sum();
        // The deviation of the sum is 65536 / sqrt(3).
        (sum as f64 - 131_070.0) * (3f64.sqrt() / 65_536.0)
    }
}

/// Axis weights: a spectrum that falls, of squared length 1.
fn spectrum() -> [f64; DIM] {
    let mut weights: [f64; DIM] = std::array::from_fn(|k| 1.0 / (1.0 + k as f64 / 50.0).sqrt());
    let mut square = 0.0;
    for w in weights {
        square += w * w;
    }
    let length = square.sqrt();
    for w in &mut weights {
        *w /= length;
    }
    weights
}

struct Maker {
    seed: u64,
    spectrum: [f64; DIM],
    /// Size and number of people.
    sizes: Vec<u64>,
    /// Which person each face shows, before shuffling.
    person: Vec<u32>,
    /// Families to share relatives among.
    n_families: u64,
}

impl Maker {
    fn random(&self, stream: u64) -> Random {
        Random::new(self.seed, stream)
    }

    fn direction(&self, stream: u64, at: u64) -> [f64; DIM] {
        let random = self.random(stream);
        std::array::from_fn(|k| random.normal(at * DIM as u64 + k as u64) * self.spectrum[k])
    }

    /// Centre of a person, possibly pulled to a parent.
    fn centre(&self, person: u64) -> [f64; DIM] {
        let own = self.direction(stream::CENTRE, person);
        let family = self.random(stream::FAMILY);
        if family.unit(4 * person) >= 0.12 {
            return own;
        }
        let which = family.below(4 * person + 1, self.n_families);
        let share = 0.2 + 0.35 * family.unit(4 * person + 2);
        let parent = self.direction(stream::PARENT, which);
        blend(share.sqrt(), &parent, (1.0 - share).sqrt(), &own)
    }

    /// A face before the rotation. `face` is its number before shuffling.
    fn face(&self, face: u64) -> [f64; DIM] {
        let person = u64::from(self.person[face as usize]);
        let random = self.random(stream::FACE);
        let mut centre = self.centre(person);
        let size = self.sizes[person as usize];
        let n_eras = if size < 8 { 1 } else { (1 + size / 12).min(8) };
        if n_eras > 1 {
            let era = person * 8 + random.below(8 * face, n_eras);
            let near = 0.86 + 0.11 * self.random(stream::ERA).unit(era);
            let drift = self.direction(stream::ERA, era + (1 << 32));
            centre = blend(near, &centre, (1.0 - near * near).sqrt(), &drift);
        }
        let best_of = |at: u64| {
            random
                .unit(8 * face + at)
                .max(random.unit(8 * face + at + 1))
        };
        let quality = 0.56 + 0.18 * (best_of(1) + best_of(3));
        let noise = self.direction(stream::NOISE, face);
        let mut values = blend(quality, &centre, (1.0 - quality * quality).sqrt(), &noise);
        if random.unit(8 * face + 5) < 0.04 {
            let pull = 0.45 + 0.35 * random.unit(8 * face + 6);
            let blur = self.direction(stream::BLUR, random.below(8 * face + 7, 3));
            values = blend((1.0 - pull * pull).sqrt(), &values, pull, &blur);
        }
        values
    }

    /// A face or a copy of another, rotated.
    fn row(&self, face: u64, mut row: ArrayViewMut1<'_, f32>) {
        let copy = self.random(stream::COPY);
        let kind = copy.unit(2 * face);
        let n = self.person.len() as u64;
        let source = copy.below(2 * face + 1, n);
        let mut values = if kind < 0.005 {
            self.face(source)
        } else if kind < 0.01 {
            // Saved again at another quality: 0.005 away.
            let noise = self.direction(stream::NOISE, face + n);
            blend(0.995, &self.face(source), 0.1, &noise)
        } else {
            self.face(face)
        };
        rotate(&mut values, self.random(stream::SIGN));
        for (to, value) in row.iter_mut().zip(values) {
            *to = value as f32;
        }
    }
}

fn blend(a: f64, x: &[f64; DIM], b: f64, y: &[f64; DIM]) -> [f64; DIM] {
    std::array::from_fn(|k| a * x[k] + b * y[k])
}

/// Signs, then a Walsh-Hadamard transform, which spreads the falling spectrum
/// over all axes. The length grows by sqrt(512); lengths don't matter.
fn rotate(values: &mut [f64; DIM], signs: Random) {
    for (k, value) in values.iter_mut().enumerate() {
        if signs.bits(k as u64) & 1 == 1 {
            *value = -*value;
        }
    }
    let mut half = 1;
    while half < DIM {
        for pair in values.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
}

/// Sizes of people for `n` faces: strangers last.
fn people(n: usize, shape: Shape, seed: u64) -> Vec<u64> {
    if shape == Shape::OnePerson {
        return vec![n as u64];
    }
    let n_strangers = (22 * n / 100) as u64;
    let largest = (6 * n as u64 / 100).max(20);
    let random = Random::new(seed, stream::SIZE);
    let mut sizes = Vec::new();
    let mut left = n as u64 - n_strangers;
    while left > 0 {
        let power_law = 2.0 / (1.0 - random.unit(sizes.len() as u64));
        let size = (power_law as u64).min(largest).min(left);
        sizes.push(size);
        left -= size;
    }
    sizes.extend(std::iter::repeat_n(1, n_strangers as usize));
    sizes
}

/// `n` rows of 512 values, of lengths around 22 (not 1), in shuffled order.
/// The same `n`, `seed` and `shape` always give the same bits.
pub fn embeddings(n: usize, seed: u64, shape: Shape) -> Array2<f32> {
    let sizes = people(n, shape, seed);
    let person = sizes
        .iter()
        .enumerate()
        .flat_map(|(person, &size)| std::iter::repeat_n(person as u32, size as usize))
        .collect();
    let n_families = (sizes.len() as u64 * 12 / 350).max(1);
    let spectrum = spectrum();
    let maker = Maker {
        seed,
        spectrum,
        sizes,
        person,
        n_families,
    };
    let mut order: Vec<u64> = (0..n as u64).collect();
    let shuffle = maker.random(stream::SHUFFLE);
    for at in (1..n).rev() {
        order.swap(at, shuffle.below(at as u64, at as u64 + 1) as usize);
    }
    let mut rows = Array2::zeros((n, DIM));
    rows.axis_iter_mut(Axis(0))
        .into_par_iter()
        .zip(order)
        .for_each(|(row, face)| maker.row(face, row));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Vectors;

    #[test]
    fn the_same_seed_gives_the_same_rows_and_another_does_not() {
        let rows = embeddings(50, 1, Shape::Collection);
        assert_eq!(rows, embeddings(50, 1, Shape::Collection));
        assert_ne!(rows, embeddings(50, 2, Shape::Collection));
    }

    #[test]
    fn faces_of_one_person_are_near_and_strangers_are_far() {
        let mean = |shape| {
            let rows = embeddings(60, 3, shape);
            let vectors = Vectors::new(rows.view()).unwrap();
            let mut sum = 0.0;
            for i in 0..60 {
                for j in 0..i {
                    sum += vectors.similarity(i, j).distance().get();
                }
            }
            sum / (60.0 * 59.0 / 2.0)
        };
        assert!((0.3..0.65).contains(&mean(Shape::OnePerson)));
        assert!(mean(Shape::Collection) > 0.85);
    }
}
