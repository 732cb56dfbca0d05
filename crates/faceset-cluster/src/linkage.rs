//! Average linkage (UPGMA) by cosine distance, cut as scikit-learn cuts.
//!
//! The result is that of the textbook algorithm: start with every row alone;
//! as long as two groups are nearer than the threshold, merge the nearest two.
//! The distance of two groups is the average over all pairs of rows, which for
//! unit rows is `1 - S_A·S_B / (|A| |B|)` with `S` the sum of a group's rows:
//! that is why `O(rows × dimension)` memory is enough.
//!
//! **Threshold.** Groups at exactly the threshold stay apart, as in
//! scikit-learn's `distance_threshold`.
//!
//! **Ties.** Distances are compared on a grid of 2^-40 ([`crate::grid`]). Among
//! pairs of equal distance, the one holding the canonically first row is
//! merged first, then the one whose other side holds the canonically first
//! row. Canonical order is by the content of the rows (bit patterns of the
//! values, first to last), so the groups do not depend on the order of the
//! input. An average is never smaller than all it averages, so this total
//! order makes the dendrogram unique: threads, kernels and the way the work is
//! cut into pieces can't change it.
//!
//! **Cost.** Beside the input, memory is about one byte a value for the codes,
//! eight bytes a value for groups of several rows, and up to 24 bytes for each
//! pair of the edge budget; time grows with the square of the rows, at the
//! speed of the [`KernelKind`].

use faceset_core::{CancelToken, CosineDistance, Progress};
use ndarray::ArrayView2;

use crate::{ClusterError, Clustering, KernelKind, Vectors, engine};

/// Pairs held in memory at a time, per row, unless told otherwise. Measured at
/// 100,000 rows (AMX / AVX2): a tenth of it costs 27 % more time, 40 a row 0 / 12 %
/// more, and 400 a row cost 25 % more and twice the memory.
const EDGES_PER_ROW: usize = 100;

/// Default budget of a small input: 24 MB of pairs.
const LEAST_EDGES: usize = 1_000_000;

/// Default budget of a huge one: 1.5 GB of pairs.
const MOST_EDGES: usize = 64_000_000;

/// How to run [`average_linkage`]. Only the threshold changes the result.
#[derive(Debug, Clone)]
pub struct LinkageOptions {
    threshold: CosineDistance,
    edge_budget: Option<usize>,
    ladder: Vec<CosineDistance>,
    kernel: Option<KernelKind>,
}

impl LinkageOptions {
    /// Merges groups nearer than `threshold`; equal stays apart.
    pub fn new(threshold: CosineDistance) -> Self {
        Self {
            threshold,
            edge_budget: None,
            ladder: Vec::new(),
            kernel: None,
        }
    }

    /// The threshold.
    pub fn threshold(&self) -> CosineDistance {
        self.threshold
    }

    /// Pairs of groups held in memory at a time, 24 bytes each. Default: 100 a
    /// row, at least 1 million and at most 64 million. When single groups have
    /// more neighbours than that at nearly the same distance, it is exceeded.
    #[must_use]
    pub fn with_edge_budget(mut self, n_pairs: usize) -> Self {
        self.edge_budget = Some(n_pairs);
        self
    }

    /// Distances at which the work is cut, whatever the budget; for tests and
    /// measurements. Values at or above the threshold are not used.
    #[must_use]
    pub fn with_ladder(mut self, mut rungs: Vec<CosineDistance>) -> Self {
        rungs.sort_unstable();
        self.ladder = rungs;
        self
    }

    /// The kernel that multiplies. Default: [`KernelKind::best`].
    #[must_use]
    pub fn with_kernel(mut self, kernel: KernelKind) -> Self {
        self.kernel = Some(kernel);
        self
    }

    /// The options for a run of `n_rows`, checked against this machine.
    pub(crate) fn plan(&self, n_rows: usize) -> Result<engine::Plan<'_>, ClusterError> {
        self.plan_with_budget_per_row(n_rows, EDGES_PER_ROW)
    }

    /// The same, with another default budget.
    pub(crate) fn plan_with_budget_per_row(
        &self,
        n_rows: usize,
        edges_per_row: usize,
    ) -> Result<engine::Plan<'_>, ClusterError> {
        let kind = self.kernel.unwrap_or_else(KernelKind::best);
        let budget = (edges_per_row * n_rows).clamp(LEAST_EDGES, MOST_EDGES);
        Ok(engine::Plan {
            threshold: self.threshold,
            edge_budget: self.edge_budget.unwrap_or(budget),
            ladder: &self.ladder,
            kernel: kind
                .kernel()
                .ok_or(ClusterError::KernelUnavailable { kernel: kind })?,
        })
    }
}

/// Groups rows by average linkage.
///
/// `rows` holds one vector a row, of any length but zero. No rows give an
/// empty result, one row gives one group.
///
/// # Errors
/// [`ClusterError::UnusableRow`] and the other errors of [`Vectors::new`];
/// [`ClusterError::KernelUnavailable`]; [`ClusterError::Cancelled`].
pub fn average_linkage(
    rows: ArrayView2<'_, f32>,
    options: &LinkageOptions,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Clustering, ClusterError> {
    let vectors = Vectors::new(rows)?;
    let order = vectors.canonical_order();
    let plan = options.plan(vectors.len())?;
    let found = engine::run(&vectors, &order, &plan, None, progress, cancel)?;
    Ok(Clustering::from_found(&order, &found, options.threshold).0)
}

#[cfg(test)]
mod tests {
    use faceset_core::NoProgress;
    use ndarray::{Array2, Axis, array};
    use proptest::prelude::*;

    use super::*;
    use crate::dot::dot;

    fn run(rows: ArrayView2<'_, f32>, threshold: f64) -> Clustering {
        let options = LinkageOptions::new(CosineDistance::new(threshold).unwrap());
        average_linkage(rows, &options, &NoProgress, &CancelToken::default()).unwrap()
    }

    /// The definition: average of all pairs, nearest pair first, every time
    /// from scratch. Returns the groups as sorted lists of rows.
    fn oracle(rows: ArrayView2<'_, f32>, threshold: f64) -> Vec<Vec<u32>> {
        let vectors = Vectors::new(rows).unwrap();
        let mut groups: Vec<Vec<u32>> = (0..rows.nrows() as u32).map(|r| vec![r]).collect();
        loop {
            let mut best = (threshold, 0, 0);
            for i in 0..groups.len() {
                for j in i + 1..groups.len() {
                    let mut sum = 0.0;
                    for &a in &groups[i] {
                        for &b in &groups[j] {
                            let scale =
                                vectors.inverse_norm(a as usize) * vectors.inverse_norm(b as usize);
                            sum +=
                                1.0 - dot(vectors.row(a as usize), vectors.row(b as usize)) * scale;
                        }
                    }
                    let distance = sum / (groups[i].len() * groups[j].len()) as f64;
                    if distance < best.0 {
                        best = (distance, i, j);
                    }
                }
            }
            if best.2 == 0 {
                for group in &mut groups {
                    group.sort_unstable();
                }
                groups.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then(a[0].cmp(&b[0])));
                return groups;
            }
            let taken = groups.remove(best.2);
            groups[best.1].extend(taken);
        }
    }

    fn groups_of(found: &Clustering) -> Vec<Vec<u32>> {
        found.clusters().map(<[u32]>::to_vec).collect()
    }

    #[test]
    fn no_rows_and_one_row_are_results_not_errors() {
        assert_eq!(run(Array2::zeros((0, 3)).view(), 0.5).n_clusters(), 0);
        let one = run(array![[3.0f32, 4.0]].view(), 0.5);
        assert_eq!(one.labels(), [0]);
        assert!(one.merges().is_empty());
    }

    #[test]
    fn equal_distance_is_not_merged() {
        // Right angles are exactly 1 apart.
        let rows = array![[1.0f32, 0.0], [0.0, 7.0]];
        assert_eq!(run(rows.view(), 1.0).n_clusters(), 2);
        assert_eq!(run(rows.view(), 1.0 + 1e-11).n_clusters(), 1);
    }

    #[test]
    fn averages_decide_not_single_links() {
        // a at 0, b at 30 and c at 60 degrees: a-b merge first (the canonically
        // first row is the one with the smallest first value, c: so b-c is
        // merged), and the third is (1 + cos 60 ...) away on average.
        let degrees = |d: f64| [d.to_radians().cos() as f32, d.to_radians().sin() as f32];
        let rows = Array2::from(vec![degrees(0.0), degrees(29.0), degrees(60.0)]);
        let found = run(rows.view(), 0.4);
        let heights: Vec<f64> = found.merges().iter().map(|m| m.distance.get()).collect();
        let cos = |d: f64| d.to_radians().cos();
        assert!((heights[0] - (1.0 - cos(29.0))).abs() < 1e-7);
        assert!((heights[1] - (1.0 - f64::midpoint(cos(31.0), cos(60.0)))).abs() < 1e-7);
        assert_eq!(run(rows.view(), 0.3).labels(), [0, 0, 1]);
    }

    #[test]
    fn length_of_rows_does_not_matter() {
        let rows = array![[1.0f32, 0.2], [0.3, 1.0], [1.0, 0.1]];
        let mut scaled = rows.clone();
        scaled.row_mut(1).mapv_inplace(|v| v * 1e-20);
        scaled.row_mut(2).mapv_inplace(|v| v * 3e15);
        assert_eq!(
            run(rows.view(), 0.4).labels(),
            run(scaled.view(), 0.4).labels()
        );
    }

    #[test]
    fn ties_follow_content_not_position() {
        // A square: all four sides tie. The canonically first row is [0, 1]
        // (smallest bits first); its tie is broken towards [1, 0].
        let rows = array![[1.0f32, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]];
        let found = run(rows.view(), 1.1);
        assert_eq!(found.labels(), [0, 0, 1, 1]);
        let turned = rows.select(Axis(0), &[2, 3, 1, 0]);
        assert_eq!(run(turned.view(), 1.1).labels(), [0, 0, 1, 1]);
        let mixed = rows.select(Axis(0), &[2, 0, 3, 1]);
        assert_eq!(run(mixed.view(), 1.1).labels(), [0, 1, 0, 1]);
    }

    #[test]
    fn a_cancelled_run_says_so() {
        let cancel = CancelToken::default();
        cancel.cancel();
        let options = LinkageOptions::new(CosineDistance::constant(0.5));
        let rows = array![[1.0f32, 0.0], [0.0, 1.0]];
        assert!(matches!(
            average_linkage(rows.view(), &options, &NoProgress, &cancel),
            Err(ClusterError::Cancelled)
        ));
    }

    fn random_rows(max: usize) -> impl Strategy<Value = Array2<f32>> {
        (1..max, 2usize..6).prop_flat_map(|(n, d)| {
            prop::collection::vec(-1.0f32..1.0, n * d)
                .prop_map(move |v| Array2::from_shape_vec((n, d), v).unwrap())
                .prop_filter("rows have a direction", |a| {
                    a.outer_iter().all(|r| r.iter().any(|&v| v.abs() > 1e-3))
                })
        })
    }

    /// Few distinct values: many exact ties and duplicates.
    fn lattice_rows(max: usize) -> impl Strategy<Value = Array2<f32>> {
        (1..max).prop_flat_map(|n| {
            prop::collection::vec(prop::sample::select(vec![-1.0f32, 1.0]), n * 4)
                .prop_map(move |v| Array2::from_shape_vec((n, 4), v).unwrap())
        })
    }

    proptest! {
        #[test]
        fn groups_are_those_of_the_definition(rows in random_rows(24), t in 0.05..1.2f64) {
            prop_assert_eq!(groups_of(&run(rows.view(), t)), oracle(rows.view(), t));
        }

        #[test]
        fn a_cut_equals_a_run_at_that_height(rows in random_rows(24), t in 0.1..1.2f64, f in 0.0..1.0f64) {
            let high = run(rows.view(), t);
            let low = CosineDistance::new(t * f).unwrap();
            prop_assert_eq!(high.cut(low).unwrap(), run(rows.view(), t * f));
        }

        #[test]
        fn order_of_rows_does_not_matter_even_with_ties(rows in lattice_rows(16), seed in 0usize..1000) {
            let n = rows.nrows();
            // A permutation: multiples of a number coprime to n, shifted.
            let step = (1..=n + 8).map(|k| k + seed % 7).find(|s| gcd(*s, n) == 1).unwrap();
            let moved: Vec<usize> = (0..n).map(|i| (i * step + seed) % n).collect();
            let shuffled = rows.select(Axis(0), &moved);
            let content = |r: &Array2<f32>, c: &Clustering| {
                let mut sets: Vec<Vec<Vec<u32>>> = c.clusters().map(|g| {
                    let mut set: Vec<Vec<u32>> = g.iter()
                        .map(|&i| r.row(i as usize).iter().map(|v| v.to_bits()).collect())
                        .collect();
                    set.sort();
                    set
                }).collect();
                sets.sort();
                sets
            };
            let (a, b) = (run(rows.view(), 0.8), run(shuffled.view(), 0.8));
            prop_assert_eq!(content(&rows, &a), content(&shuffled, &b));
        }

        #[test]
        fn heights_never_fall(rows in random_rows(30)) {
            let found = run(rows.view(), 2.0);
            prop_assert!(found.merges().windows(2).all(|w| w[0].distance <= w[1].distance));
            prop_assert!(found.merges().iter().all(|m| m.distance < found.threshold()));
        }
    }

    fn gcd(a: usize, b: usize) -> usize {
        if b == 0 { a } else { gcd(b, a % b) }
    }
}
