//! Dot products in f64 with one fixed order of additions.
//!
//! Every decision of the clustering rests on these numbers, so they must come
//! out with the same bits on every processor: sixteen running sums, no fused
//! multiply-add, one fixed tree at the end.

#![allow(
    clippy::inline_always,
    reason = "the loops must be compiled with the caller's target features"
)]

use crate::kernel::wide::{Work, with_widest_vectors};

const LANES: usize = 16;

/// A value that a dot product can take.
pub(crate) trait Element: Copy + Send + Sync {
    /// The value in double precision; exact.
    fn wide(self) -> f64;
}

impl Element for f32 {
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Element for f64 {
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
}

/// Dot product of two slices of equal length. Symmetric in its bits, and the
/// same bits on every processor.
#[inline]
pub(crate) fn dot<A: Element, B: Element>(a: &[A], b: &[B]) -> f64 {
    with_widest_vectors(Dot(a, b))
}

struct Dot<'a, A, B>(&'a [A], &'a [B]);

impl<A: Element, B: Element> Work for Dot<'_, A, B> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        lanes(self.0, self.1)
    }
}

#[inline(always)]
fn lanes<A: Element, B: Element>(a: &[A], b: &[B]) -> f64 {
    debug_assert_eq!(a.len(), b.len());
    let mut sums = [0.0f64; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (x, y) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += x[lane].wide() * y[lane].wide();
        }
    }
    for (lane, (x, y)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] += x.wide() * y.wide();
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_around_the_lane_count_add_up() {
        for n in [0usize, 1, 15, 16, 17, 33] {
            let a: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let b: Vec<f64> = (0..n).map(|i| (i * 2) as f64).collect();
            let expected: usize = (0..n).map(|i| i * i * 2).sum();
            assert_eq!(dot(&a, &b), expected as f64, "{n}");
            assert_eq!(dot(&a, &b).to_bits(), dot(&b, &a).to_bits());
        }
    }

    #[test]
    fn wide_vectors_give_the_bits_of_plain_code() {
        let a: Vec<f32> = (0..515).map(|i| (i as f32 * 0.37).sin()).collect();
        let b: Vec<f64> = (0..515).map(|i| (f64::from(i) * 0.11).cos()).collect();
        assert_eq!(dot(&a, &b).to_bits(), lanes(&a, &b).to_bits());
        assert_eq!(dot(&a, &a).to_bits(), lanes(&a, &a).to_bits());
        assert_eq!(dot(&b, &b).to_bits(), lanes(&b, &b).to_bits());
    }
}
