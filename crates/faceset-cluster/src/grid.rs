//! Similarities on a fixed grid, so that "equal" has a meaning.
//!
//! Two distances that are equal on paper come out of floating-point sums one
//! rounding apart, and which one is smaller would then depend on the order of
//! the additions. Every decision of this crate is therefore made on
//! similarities rounded to a multiple of 2^-40 (9.1e-13), as integers. A ratio
//! of small integers (what duplicates and lattices produce) never lies within
//! rounding of the middle between two grid points, so such ties are always
//! seen as ties, and a stated rule breaks them.

use faceset_core::CosineDistance;

/// Similarity 1 on the grid.
const ONE: i64 = 1 << 40;

/// A cosine similarity in -1..=1 as a multiple of 2^-40; larger is closer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GridSim(i64);

impl GridSim {
    /// Below every similarity of two vectors.
    pub const NONE: Self = Self(i64::MIN);

    /// Nearest grid point; rounding noise outside -1..=1 is clamped.
    #[inline]
    pub fn new(similarity: f64) -> Self {
        let scaled = (similarity * ONE as f64).round_ties_even() as i64;
        Self(scaled.clamp(-ONE, ONE))
    }

    /// The smallest similarity that belongs to a distance **below** `t`.
    ///
    /// This is scikit-learn's cut: clusters at distance `t` or above stay
    /// apart.
    pub fn least_below(t: CosineDistance) -> Self {
        Self(Self::at(t).0 + 1)
    }

    /// The similarity at distance `t`: the smallest that belongs to a distance
    /// of **at most** `t`.
    pub fn at(t: CosineDistance) -> Self {
        Self(ONE - (t.get() * ONE as f64).round_ties_even() as i64)
    }

    /// The distance, exactly.
    pub fn distance(self) -> CosineDistance {
        CosineDistance::from_similarity(self.value())
    }

    /// The similarity as a number; exact.
    #[inline]
    pub fn value(self) -> f64 {
        self.0 as f64 / ONE as f64
    }

    /// The grid number, for files.
    pub fn to_bits(self) -> i64 {
        self.0
    }

    /// Back from [`Self::to_bits`]; `None` outside -1..=1.
    pub fn from_bits(bits: i64) -> Option<Self> {
        (-ONE..=ONE).contains(&bits).then_some(Self(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_distance_is_not_below_but_is_at_most() {
        for t in [0.1, 0.35, 0.55, 1.0, 2.0] {
            let distance = CosineDistance::new(t).unwrap();
            let same = GridSim::new(1.0 - t);
            assert!(same < GridSim::least_below(distance), "{t}");
            assert!(same >= GridSim::at(distance), "{t}");
            let nearer = GridSim::new(1.0 - (t - 1e-12));
            assert!(nearer >= GridSim::least_below(distance), "{t}");
        }
    }

    #[test]
    fn rounding_noise_does_not_separate_equal_similarities() {
        let third = 1.0 / 3.0;
        assert_eq!(GridSim::new(third), GridSim::new(third + f64::EPSILON));
        assert_eq!(GridSim::new(1.0 + 1e-15), GridSim::new(1.0));
        assert_eq!(GridSim::new(1.0).distance().get(), 0.0);
    }

    #[test]
    fn bits_round_trip_inside_the_range_only() {
        let sim = GridSim::new(-0.25);
        assert_eq!(GridSim::from_bits(sim.to_bits()), Some(sim));
        assert_eq!(GridSim::from_bits(ONE + 1), None);
    }
}
