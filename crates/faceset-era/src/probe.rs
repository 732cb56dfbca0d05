//! Is a person age-sortable? Distances, sub-clusters and years, and a verdict.

use faceset_cluster::{ClusterError, Vectors};
use faceset_core::{CancelToken, CosineDistance, Progress};
use serde::Serialize;

use crate::split::{ANCHOR_MIN, ERA_THRESHOLD, sub_clusters};
use crate::years::YearCounts;

/// Cuts that the probe tries, the original's 0.30 to 0.50.
pub const PROBE_THRESHOLDS: [CosineDistance; 5] = [
    CosineDistance::constant(0.30),
    ERA_THRESHOLD,
    CosineDistance::constant(0.40),
    CosineDistance::constant(0.45),
    CosineDistance::constant(0.50),
];
/// Lower edges of the histogram's bins, the original's; a bin reaches to the
/// next edge, which is not in it, the last one to 2.
pub const PROBE_EDGES: [f64; 9] = [0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0];
/// Faces of a sub-cluster that is counted as big; equal is. The original's.
pub const BIG_CLUSTER: usize = 10;
/// Rows whose pairs are all measured: 12.5 million pairs, 50 MB and some
/// seconds. Of more rows every k-th takes part. A choice of ours.
pub const PAIR_ROWS: usize = 5000;
/// Part of the variance of the years that big sub-clusters must explain for a
/// person to count as age-sortable: half. A choice of ours.
pub const SORTABLE_SHARE: f64 = 0.5;
/// Part of the faces that must be dated for a verdict. A choice of ours.
const DATED_SHARE: f64 = 0.5;
/// Sub-clusters listed by size, the original's.
const TOP: usize = 5;

/// Pairs whose distance lies in `from..to`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// Lower edge, in the bin.
    pub from: f64,
    /// Upper edge, not in the bin (2 is in the last one).
    pub to: f64,
    /// Pairs.
    pub n_pairs: u64,
}

/// Sub-clusters at one threshold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sweep {
    /// The threshold.
    pub threshold: CosineDistance,
    /// All sub-clusters.
    pub n_clusters: usize,
    /// Those of [`BIG_CLUSTER`] faces or more.
    pub n_big: usize,
    /// The five largest sizes.
    pub top: Vec<usize>,
}

/// A sub-cluster at [`ERA_THRESHOLD`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SubCluster {
    /// Its rows, ascending.
    pub rows: Vec<u32>,
    /// Its years.
    pub years: YearCounts,
}

/// What the numbers say.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Fewer faces than one anchor needs.
    TooFewFaces,
    /// Fewer than two big sub-clusters: one look.
    OneLook,
    /// Less than half of the faces have a date.
    TooFewDates,
    /// Looks line up with years: splitting makes sense.
    AgeSortable {
        /// Part of the variance of the years that the looks explain, 0 to 1.
        explained: f64,
    },
    /// There are looks, and they are not of different years (glasses, light,
    /// a costume).
    NotByYear {
        /// As above.
        explained: f64,
    },
}

/// The probe of one person.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Probe {
    /// Faces.
    pub n_faces: usize,
    /// Rows whose pairs were measured; fewer than `n_faces` above
    /// [`PAIR_ROWS`].
    pub n_sampled: usize,
    /// Pairs by distance, by [`PROBE_EDGES`].
    pub bins: Vec<Bin>,
    /// Mean distance of the pairs; `None` with fewer than two faces.
    pub mean: Option<f64>,
    /// Median distance, the lower of two.
    pub median: Option<f64>,
    /// Largest distance.
    pub max: Option<f64>,
    /// Sub-clusters by threshold.
    pub sweeps: Vec<Sweep>,
    /// Sub-clusters at [`ERA_THRESHOLD`], by size, then first row.
    pub clusters: Vec<SubCluster>,
    /// Years of all faces.
    pub years: YearCounts,
    /// What it comes to.
    pub verdict: Verdict,
}

/// Measures one person's faces; `years` holds the capture year of each row.
///
/// # Errors
/// Those of the clustering; [`ClusterError::Cancelled`].
///
/// # Panics
/// When `years` is shorter than `vectors`.
pub fn probe(
    vectors: &Vectors<'_>,
    years: &[Option<i32>],
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Probe, ClusterError> {
    let rows: Vec<u32> = (0..vectors.len() as u32).collect();
    let mut sweeps = Vec::new();
    let mut clusters = Vec::new();
    for threshold in PROBE_THRESHOLDS {
        let groups = sub_clusters(vectors, &rows, threshold, progress, cancel)?;
        sweeps.push(Sweep {
            threshold,
            n_clusters: groups.len(),
            n_big: groups.iter().filter(|g| g.len() >= BIG_CLUSTER).count(),
            top: groups.iter().map(Vec::len).take(TOP).collect(),
        });
        if threshold == ERA_THRESHOLD {
            clusters = groups
                .into_iter()
                .map(|rows| SubCluster {
                    years: rows.iter().map(|row| years[*row as usize]).collect(),
                    rows,
                })
                .collect();
        }
    }
    let step = vectors.len().div_ceil(PAIR_ROWS).max(1);
    let sampled: Vec<usize> = (0..vectors.len()).step_by(step).collect();
    let pairs = Pairs::measure(vectors, &sampled, cancel)?;
    let all: YearCounts = years[..vectors.len()].iter().copied().collect();
    let verdict = judge(vectors.len(), &all, &clusters);
    Ok(Probe {
        n_faces: vectors.len(),
        n_sampled: sampled.len(),
        bins: pairs.bins,
        mean: pairs.mean,
        median: pairs.median,
        max: pairs.max,
        sweeps,
        clusters,
        years: all,
        verdict,
    })
}

struct Pairs {
    bins: Vec<Bin>,
    mean: Option<f64>,
    median: Option<f64>,
    max: Option<f64>,
}

impl Pairs {
    fn measure(
        vectors: &Vectors<'_>,
        rows: &[usize],
        cancel: &CancelToken,
    ) -> Result<Self, ClusterError> {
        let mut distances = Vec::with_capacity(rows.len() * rows.len().saturating_sub(1) / 2);
        for (at, a) in rows.iter().enumerate() {
            if cancel.is_cancelled() {
                return Err(ClusterError::Cancelled);
            }
            for b in &rows[at + 1..] {
                distances.push(vectors.similarity(*a, *b).distance().get() as f32);
            }
        }
        let mut bins: Vec<Bin> = PROBE_EDGES
            .iter()
            .enumerate()
            .map(|(at, from)| Bin {
                from: *from,
                to: PROBE_EDGES.get(at + 1).copied().unwrap_or(2.0),
                n_pairs: 0,
            })
            .collect();
        for distance in &distances {
            // Single precision on both sides: 0.3 belongs to the bin from 0.3.
            let bin = PROBE_EDGES.partition_point(|edge| *edge as f32 <= *distance) - 1;
            bins[bin].n_pairs += 1;
        }
        let n = distances.len();
        let mean = (n > 0).then(|| distances.iter().map(|d| f64::from(*d)).sum::<f64>() / n as f64);
        let max = distances.iter().copied().max_by(f32::total_cmp);
        let median = (n > 0).then(|| {
            let (_, middle, _) = distances.select_nth_unstable_by((n - 1) / 2, f32::total_cmp);
            f64::from(*middle)
        });
        Ok(Self {
            bins,
            mean,
            median,
            max: max.map(f64::from),
        })
    }
}

fn judge(n_faces: usize, years: &YearCounts, clusters: &[SubCluster]) -> Verdict {
    if n_faces < ANCHOR_MIN {
        return Verdict::TooFewFaces;
    }
    let big: Vec<&YearCounts> = clusters
        .iter()
        .filter(|c| c.rows.len() >= BIG_CLUSTER)
        .map(|c| &c.years)
        .collect();
    if big.len() < 2 {
        return Verdict::OneLook;
    }
    if (years.n_dated() as f64) < DATED_SHARE * n_faces as f64 {
        return Verdict::TooFewDates;
    }
    let dominant: std::collections::BTreeSet<i32> =
        big.iter().filter_map(|y| y.dominant()).collect();
    let explained = explained_share(&big);
    if dominant.len() >= 2 && explained >= SORTABLE_SHARE {
        Verdict::AgeSortable { explained }
    } else {
        Verdict::NotByYear { explained }
    }
}

/// Part of the variance of the years that lies between the groups (eta
/// squared); 0 when all years are equal.
fn explained_share(groups: &[&YearCounts]) -> f64 {
    let faces = |y: &YearCounts| {
        y.by_year
            .iter()
            .map(|(year, n)| (f64::from(*year), *n as f64))
            .collect::<Vec<_>>()
    };
    let all: Vec<Vec<(f64, f64)>> = groups.iter().map(|g| faces(g)).collect();
    let mean = |f: &[(f64, f64)]| {
        let n: f64 = f.iter().map(|(_, n)| n).sum();
        f.iter().map(|(year, n)| year * n).sum::<f64>() / n
    };
    let spread = |f: &[(f64, f64)], around: f64| {
        f.iter()
            .map(|(year, n)| n * (year - around).powi(2))
            .sum::<f64>()
    };
    let together: Vec<(f64, f64)> = all.concat();
    let total = spread(&together, mean(&together));
    // Also false for NaN, the mean of no dated face.
    if !(total > 0.0) {
        return 0.0;
    }
    let within: f64 = all
        .iter()
        .filter(|f| !f.is_empty())
        .map(|f| spread(f, mean(f)))
        .sum();
    1.0 - within / total
}

impl Probe {
    /// The verdict as a sentence.
    pub fn in_words(&self) -> String {
        let percent = |share: f64| (share * 100.0).round();
        match &self.verdict {
            Verdict::TooFewFaces => format!(
                "Too few faces to split: {} here, and an era needs {ANCHOR_MIN}.",
                self.n_faces
            ),
            Verdict::OneLook => format!(
                "One look: fewer than two sub-clusters of {BIG_CLUSTER} or more faces at {ERA_THRESHOLD}. \
                 There is nothing to split."
            ),
            Verdict::TooFewDates => format!(
                "There are several looks, but only {} of {} faces have a believable date, so nobody \
                 can say whether they are of different years.",
                self.years.n_dated(),
                self.n_faces
            ),
            Verdict::AgeSortable { explained } => format!(
                "Age-sortable: sub-clusters at {ERA_THRESHOLD} line up with distinct years and explain {} % \
                 of the spread of the years (at least {} % are asked for).",
                percent(*explained),
                percent(SORTABLE_SHARE)
            ),
            Verdict::NotByYear { explained } => format!(
                "Not age-sortable: there are several looks, but they explain only {} % of the spread \
                 of the years (at least {} % and two different dominant years are asked for). Look \
                 for glasses, light or another person instead.",
                percent(*explained),
                percent(SORTABLE_SHARE)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use faceset_core::NoProgress;
    use ndarray::{Array2, array};

    use super::*;

    fn run(rows: &Array2<f32>, years: &[Option<i32>]) -> Probe {
        let vectors = Vectors::new(rows.view()).unwrap();
        probe(&vectors, years, &NoProgress, &CancelToken::default()).unwrap()
    }

    /// `n` equal faces for each direction.
    fn looks(directions: &[([f32; 2], usize)]) -> Array2<f32> {
        let flat = directions.iter().flat_map(|(d, n)| d.repeat(*n)).collect();
        let n = directions.iter().map(|(_, n)| n).sum();
        Array2::from_shape_vec((n, 2), flat).unwrap()
    }

    #[test]
    fn a_distance_on_an_edge_belongs_to_the_upper_bin() {
        // Pairs: right angles (1.0), and (3, 4) against them: 0.4 and 0.2.
        let p = run(&array![[1.0_f32, 0.0], [0.0, 1.0], [3.0, 4.0]], &[None; 3]);
        let counts: Vec<u64> = p.bins.iter().map(|b| b.n_pairs).collect();
        assert_eq!(counts, [0, 1, 0, 1, 0, 0, 0, 0, 1]);
        assert!((p.mean.unwrap() - 1.6 / 3.0).abs() < 1e-6);
        assert!((p.median.unwrap() - 0.4).abs() < 1e-6);
        assert_eq!(p.max, Some(1.0));
    }

    #[test]
    fn two_looks_of_two_times_are_age_sortable() {
        let rows = looks(&[([1.0, 0.0], 12), ([0.0, 1.0], 11)]);
        let years: Vec<_> = (0..23)
            .map(|i| Some(if i < 12 { 2003 } else { 2018 }))
            .collect();
        let p = run(&rows, &years);
        assert_eq!(p.verdict, Verdict::AgeSortable { explained: 1.0 });
        assert!(p.in_words().starts_with("Age-sortable"), "{}", p.in_words());
        assert_eq!(p.sweeps[1].top, [12, 11]);
        assert_eq!(p.sweeps[1].n_big, 2);
    }

    #[test]
    fn two_looks_of_the_same_times_are_not() {
        let rows = looks(&[([1.0, 0.0], 12), ([0.0, 1.0], 12)]);
        let years: Vec<_> = (0..24).map(|i| Some(2003 + i % 4)).collect();
        assert!(
            matches!(run(&rows, &years).verdict, Verdict::NotByYear { explained } if explained < 0.01)
        );
        let all_equal = vec![Some(2003); 24];
        assert_eq!(
            run(&rows, &all_equal).verdict,
            Verdict::NotByYear { explained: 0.0 }
        );
    }

    #[test]
    fn half_of_the_explained_share_is_enough() {
        let y = |v: &[i32]| v.iter().map(|y| Some(*y)).collect::<YearCounts>();
        // Means 1 and 3 around 2: between 4 × 1, within 4 × 1: exactly one half.
        let (a, b) = (y(&[2000, 2002]), y(&[2002, 2004]));
        assert_eq!(explained_share(&[&a, &b]), 0.5);
    }

    #[test]
    fn without_faces_dates_or_looks_the_verdict_says_so() {
        let nobody = run(&Array2::zeros((0, 2)), &[]);
        assert_eq!((nobody.verdict, nobody.mean), (Verdict::TooFewFaces, None));
        let few = run(&looks(&[([1.0, 0.0], 19)]), &[None; 19]);
        assert_eq!(few.verdict, Verdict::TooFewFaces);
        let one = run(&looks(&[([1.0, 0.0], 20)]), &[None; 20]);
        assert_eq!(one.verdict, Verdict::OneLook);
        let rows = looks(&[([1.0, 0.0], 10), ([0.0, 1.0], 10)]);
        let mut years = vec![None; 20];
        assert_eq!(run(&rows, &years).verdict, Verdict::TooFewDates);
        years[..10].fill(Some(2001));
        assert_eq!(
            run(&rows, &years).verdict,
            Verdict::NotByYear { explained: 0.0 },
            "half is enough"
        );
    }
}
