//! Dot products in f64 with one fixed order of additions.
//!
//! Every decision of the clustering rests on these numbers, so they must come
//! out with the same bits on every processor: sixteen running sums, no fused
//! multiply-add, one fixed tree at the end.

#![allow(
    clippy::inline_always,
    reason = "the loops must be compiled with the caller's target features"
)]

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

/// Dot product of two slices of equal length. Symmetric in its bits.
#[inline(always)]
pub(crate) fn dot<A: Element, B: Element>(a: &[A], b: &[B]) -> f64 {
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
}
