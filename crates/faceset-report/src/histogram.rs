//! How far faces are from their own group and from the nearest other one: the
//! picture that answers whether a threshold fits.

use faceset_core::CosineDistance;
use serde::Serialize;

use crate::options::CutLine;

/// Width of a bin, in cosine distance.
const BIN: f64 = 0.02;
/// Number of bins: 0 to 1.2. Larger distances count in the last one.
const N_BINS: usize = 60;

/// One bin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Bin {
    /// Faces this far from their own group.
    pub own: usize,
    /// Faces this far from the nearest other group.
    pub other: usize,
}

/// Counts left of a line; equal is left.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cut {
    /// The line.
    pub line: CutLine,
    /// Faces at most this far from their own group.
    pub own_within: usize,
    /// Faces at most this far from another group.
    pub other_within: usize,
}

/// Both distributions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Histogram {
    /// Bins of 0.02 from distance 0; the last one also takes all beyond.
    pub bins: Vec<Bin>,
    /// Faces whose distance to their own group is known.
    pub n_own: usize,
    /// Faces whose distance to another group is known.
    pub n_other: usize,
    /// The lines, by distance, then label.
    pub cuts: Vec<Cut>,
}

impl Histogram {
    /// `None` when no distance is known.
    pub(crate) fn of(
        own: &[CosineDistance],
        other: &[CosineDistance],
        lines: &[CutLine],
    ) -> Option<Self> {
        if own.is_empty() && other.is_empty() {
            return None;
        }
        let mut bins = vec![Bin::default(); N_BINS];
        for d in own {
            bins[bin_of(*d)].own += 1;
        }
        for d in other {
            bins[bin_of(*d)].other += 1;
        }
        let within = |of: &[CosineDistance], line: &CutLine| {
            of.iter().filter(|d| **d <= line.distance).count()
        };
        let mut lines = lines.to_vec();
        lines.sort_by(|a, b| (a.distance, &a.label).cmp(&(b.distance, &b.label)));
        let cuts = lines
            .into_iter()
            .map(|line| Cut {
                own_within: within(own, &line),
                other_within: within(other, &line),
                line,
            })
            .collect();
        Some(Self {
            bins,
            n_own: own.len(),
            n_other: other.len(),
            cuts,
        })
    }

    /// Lower edge of a bin.
    pub(crate) fn edge(bin: usize) -> f64 {
        bin as f64 * BIN
    }

    /// Place of a distance on the axis, 0..=1.
    pub(crate) fn position(distance: CosineDistance) -> f64 {
        (distance.get() / (BIN * N_BINS as f64)).min(1.0)
    }
}

fn bin_of(distance: CosineDistance) -> usize {
    // The small addend puts 0.14 = 7 × 0.02 into bin 7 despite binary fractions.
    ((distance.get() / BIN + 1e-9) as usize).min(N_BINS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d(v: f64) -> CosineDistance {
        CosineDistance::new(v).unwrap()
    }

    #[test]
    fn every_distance_is_in_one_bin_and_far_ones_in_the_last() {
        let own = [d(0.0), d(0.0199), d(0.02), d(0.14), d(2.0)];
        let h = Histogram::of(&own, &[d(1.19)], &[]).unwrap();
        assert_eq!((h.bins[0].own, h.bins[1].own, h.bins[7].own), (2, 1, 1));
        assert_eq!(h.bins[59], Bin { own: 1, other: 1 });
        assert_eq!(h.bins.iter().map(|b| b.own).sum::<usize>(), h.n_own);
    }

    #[test]
    fn equal_to_a_line_counts_as_within() {
        let line = |label: &str, at| CutLine {
            label: label.into(),
            distance: d(at),
        };
        let lines = [line("b", 0.55), line("a", 0.45)];
        let h = Histogram::of(&[d(0.45), d(0.451)], &[d(0.55)], &lines).unwrap();
        assert_eq!(h.cuts[0].line.label, "a");
        assert_eq!((h.cuts[0].own_within, h.cuts[0].other_within), (1, 0));
        assert_eq!((h.cuts[1].own_within, h.cuts[1].other_within), (2, 1));
    }

    #[test]
    fn nothing_known_is_no_histogram() {
        assert_eq!(Histogram::of(&[], &[], &[]), None);
    }
}
