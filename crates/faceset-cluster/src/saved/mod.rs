//! Carrying a finished run on when rows are added.
//!
//! [`average_linkage_saved`] keeps what a run has learnt; [`SavedRun::extend`]
//! takes the old rows with new ones behind them and gives exactly what a full
//! run on all of them gives, comparing only pairs with a group that is new or
//! has changed. [`mod@format`] turns a saved run into bytes and back.

#![allow(
    clippy::inline_always,
    reason = "the loops must be compiled with the caller's target features"
)]

pub mod format;

use faceset_core::{CancelToken, CosineDistance, Progress};
use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::engine::extend::{self, Old};
use crate::engine::replay::OldMerge;
use crate::engine::{self, SavedRung};
use crate::grid::GridSim;
use crate::kernel::wide::{Work, with_widest_vectors};
use crate::{ClusterError, Clustering, LinkageOptions, Vectors};

/// Pairs held in memory at a time, per row, by a run that is saved: they all
/// go into the saved run at eight bytes a direction.
const SAVED_EDGES_PER_ROW: usize = 40;

/// What a finished run has learnt.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedRun {
    dim: usize,
    threshold: CosineDistance,
    /// One number per row, of its bits.
    prints: Vec<u64>,
    /// In dendrogram order; nodes as in [`crate::Merge`].
    merges: Vec<OldMerge>,
    rungs: Vec<SavedRung>,
}

/// How much of a full run an extension had to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recomputed {
    /// Pairs of groups compared, of those that a full run on the same rungs
    /// compares; 0 to 1.
    pub pairs: f64,
    /// Groups whose nearest neighbour was looked for, of all; 0 to 1.
    pub groups: f64,
}

/// Result of [`SavedRun::extend`].
#[derive(Debug)]
pub struct Extended {
    /// What a full run gives.
    pub clustering: Clustering,
    /// The run to carry on next time.
    pub saved: SavedRun,
    /// The work that was needed.
    pub recomputed: Recomputed,
}

/// [`crate::average_linkage`], with what is needed to carry the run on. Its
/// default edge budget is 40 pairs a row.
///
/// # Errors
/// Those of [`crate::average_linkage`].
pub fn average_linkage_saved(
    rows: ArrayView2<'_, f32>,
    options: &LinkageOptions,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<(Clustering, SavedRun), ClusterError> {
    let vectors = Vectors::new(rows)?;
    let order = vectors.canonical_order();
    let plan = options.plan_with_budget_per_row(vectors.len(), SAVED_EDGES_PER_ROW)?;
    let mut rungs = Vec::new();
    let found = engine::run(&vectors, &order, &plan, Some(&mut rungs), progress, cancel)?;
    let (clustering, made) = Clustering::from_found(&order, &found, options.threshold());
    let saved = SavedRun::new(&vectors, &order, &clustering, &made, rungs);
    Ok((clustering, saved))
}

impl SavedRun {
    fn new(
        vectors: &Vectors<'_>,
        order: &[u32],
        clustering: &Clustering,
        made: &[u32],
        mut rungs: Vec<SavedRung>,
    ) -> Self {
        for node in rungs.iter_mut().flat_map(|rung| &mut rung.nodes) {
            *node = match (*node as usize).checked_sub(order.len()) {
                Some(merge) => made[merge],
                None => order[*node as usize],
            };
        }
        let merges = clustering.merges().iter().map(|merge| OldMerge {
            a: merge.a,
            b: merge.b,
            similarity: GridSim::new(1.0 - merge.distance.get()),
        });
        Self {
            dim: vectors.dim(),
            threshold: clustering.threshold(),
            prints: prints(vectors),
            merges: merges.collect(),
            rungs,
        }
    }

    /// Rows of the run.
    pub fn n_rows(&self) -> usize {
        self.prints.len()
    }

    /// Distance below which the run merged groups.
    pub fn threshold(&self) -> CosineDistance {
        self.threshold
    }

    /// Carries the run on: `rows` are its rows, unchanged and in order, with
    /// any number of new ones behind them. The groups and the dendrogram are
    /// those of a full run on `rows`; of `options` the kernel is used.
    ///
    /// # Errors
    /// [`ClusterError::RowsChanged`], [`ClusterError::Dimension`],
    /// [`ClusterError::Option`] for another threshold, and those of
    /// [`crate::average_linkage`].
    pub fn extend(
        &self,
        rows: ArrayView2<'_, f32>,
        options: &LinkageOptions,
        progress: &dyn Progress,
        cancel: &CancelToken,
    ) -> Result<Extended, ClusterError> {
        let vectors = Vectors::new(rows)?;
        if vectors.dim() != self.dim && self.n_rows() > 0 && !vectors.is_empty() {
            return Err(ClusterError::Dimension {
                expected: self.dim,
                found: vectors.dim(),
            });
        }
        if options.threshold() != self.threshold {
            return Err(ClusterError::Option {
                name: "threshold",
                expected: "that of the saved run",
            });
        }
        let new_prints = prints(&vectors);
        let differs = |row: &usize| new_prints.get(*row) != Some(&self.prints[*row]);
        if let Some(row) = (0..self.n_rows()).find(differs) {
            let n_saved = self.n_rows();
            return Err(ClusterError::RowsChanged { row, n_saved });
        }
        let order = vectors.canonical_order();
        let old = Old {
            n_rows: self.n_rows(),
            merges: &self.merges,
            rungs: &self.rungs,
            goal: GridSim::least_below(self.threshold),
        };
        let kernel = options.plan(vectors.len())?.kernel;
        let done = extend::extend(&vectors, &order, &old, kernel, progress, cancel)?;
        let (clustering, made) = Clustering::from_found(&order, &done.found, self.threshold);
        let share = |(part, all): (u64, u64)| part as f64 / (all as f64).max(1.0);
        Ok(Extended {
            saved: Self::new(&vectors, &order, &clustering, &made, done.rungs),
            clustering,
            recomputed: Recomputed {
                pairs: share(done.compared_pairs),
                groups: share(done.dirty_groups),
            },
        })
    }
}

/// One number per row of its bits: two rows that differ agree by accident
/// about once in 2^64, unless made to.
fn prints(vectors: &Vectors<'_>) -> Vec<u64> {
    (0..vectors.len())
        .into_par_iter()
        .with_min_len(256)
        .map(|row| with_widest_vectors(Print(vectors.row(row))))
        .collect()
}

/// Fingerprint of a row; part of the format.
struct Print<'a>(&'a [f32]);

impl Work for Print<'_> {
    type Output = u64;

    #[inline(always)]
    fn run(self) -> u64 {
        const LANES: usize = 16;
        const ODD: u32 = 0x9e37_79b1;
        let mut lanes = [ODD; LANES];
        let step = |lane: u32, value: f32| {
            let mixed = (lane ^ value.to_bits()).wrapping_mul(ODD);
            mixed ^ (mixed >> 15)
        };
        let (chunks, rest) = self.0.as_chunks::<LANES>();
        for chunk in chunks {
            for at in 0..LANES {
                lanes[at] = step(lanes[at], chunk[at]);
            }
        }
        for (lane, &value) in lanes.iter_mut().zip(rest) {
            *lane = step(*lane, value);
        }
        let mix = |sum: u64, lane: u32| {
            (sum.rotate_left(23) ^ u64::from(lane)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        };
        lanes.into_iter().fold(self.0.len() as u64, mix)
    }
}

#[cfg(test)]
mod tests {
    use faceset_core::NoProgress;
    use ndarray::{Array2, array, s};
    use proptest::prelude::*;

    use super::*;
    use crate::average_linkage;
    use crate::synthetic::{Shape, embeddings};

    fn options(threshold: f64) -> LinkageOptions {
        LinkageOptions::new(CosineDistance::new(threshold).unwrap())
    }

    fn with_ladder(threshold: f64, rungs: &[f64]) -> LinkageOptions {
        let rungs = rungs.iter().map(|&t| CosineDistance::new(t).unwrap());
        options(threshold).with_ladder(rungs.collect())
    }

    fn saved(rows: ArrayView2<'_, f32>, options: &LinkageOptions) -> (Clustering, SavedRun) {
        average_linkage_saved(rows, options, &NoProgress, &CancelToken::default()).unwrap()
    }

    fn extend(run: &SavedRun, rows: ArrayView2<'_, f32>) -> Extended {
        let options = LinkageOptions::new(run.threshold());
        run.extend(rows, &options, &NoProgress, &CancelToken::default())
            .unwrap()
    }

    fn full(rows: ArrayView2<'_, f32>, options: &LinkageOptions) -> Clustering {
        average_linkage(rows, options, &NoProgress, &CancelToken::default()).unwrap()
    }

    fn bytes(run: &SavedRun) -> Vec<u8> {
        let mut bytes = Vec::new();
        run.write_to(&mut bytes).unwrap();
        bytes
    }

    fn read(bytes: &[u8]) -> Result<SavedRun, ClusterError> {
        SavedRun::read_from(&mut &*bytes)
    }

    #[test]
    fn a_saved_run_gives_the_groups_of_a_plain_one() {
        let rows = embeddings(600, 4, Shape::Collection);
        let options = with_ladder(0.55, &[0.3, 0.45]);
        let (found, run) = saved(rows.view(), &options);
        assert_eq!(found, full(rows.view(), &options));
        assert_eq!(run.n_rows(), 600);
    }

    #[test]
    fn rows_added_in_several_steps_give_the_full_run() {
        let rows = embeddings(3_000, 5, Shape::Collection);
        let options = with_ladder(0.55, &[0.25, 0.35, 0.45]);
        let (_, mut run) = saved(rows.slice(s![..2_000, ..]), &options);
        for n in [2_001, 2_030, 2_500, 3_000] {
            let part = rows.slice(s![..n, ..]);
            let extended = extend(&read(&bytes(&run)).unwrap(), part);
            assert!(extended.clustering == full(part, &options), "{n} rows");
            assert!(extended.recomputed.pairs < 0.6, "{:?}", extended.recomputed);
            run = extended.saved;
        }
    }

    #[test]
    fn nothing_new_recomputes_nothing() {
        let rows = embeddings(500, 6, Shape::Collection);
        let (found, run) = saved(rows.view(), &options(0.5));
        let extended = extend(&run, rows.view());
        assert_eq!(extended.clustering, found);
        assert_eq!(
            extended.recomputed,
            Recomputed {
                pairs: 0.0,
                groups: 0.0
            }
        );
        assert_eq!(extended.saved, run);
    }

    #[test]
    fn a_run_of_no_rows_can_be_carried_on() {
        let (_, run) = saved(Array2::zeros((0, 512)).view(), &options(0.55));
        let rows = embeddings(200, 7, Shape::Collection);
        let extended = extend(&read(&bytes(&run)).unwrap(), rows.view());
        assert_eq!(extended.clustering, full(rows.view(), &options(0.55)));
        assert_eq!(extended.recomputed.pairs, 1.0);
    }

    #[test]
    fn changed_missing_or_reordered_rows_are_refused() {
        let rows = embeddings(20, 8, Shape::Collection);
        let (_, run) = saved(rows.view(), &options(0.55));
        let refused = |rows: ArrayView2<'_, f32>| {
            let result = run.extend(rows, &options(0.55), &NoProgress, &CancelToken::default());
            match result {
                Err(ClusterError::RowsChanged { row, n_saved: 20 }) => row,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(refused(rows.slice(s![..19, ..])), 19);
        let mut changed = rows.clone();
        changed[[7, 500]] += 1e-3;
        assert_eq!(refused(changed.view()), 7);
        let order: Vec<usize> = (0..20).map(|i| i ^ 1).collect();
        assert_eq!(refused(rows.select(ndarray::Axis(0), &order).view()), 0);
        let other = run.extend(
            rows.view(),
            &options(0.5),
            &NoProgress,
            &CancelToken::default(),
        );
        assert!(matches!(
            other,
            Err(ClusterError::Option {
                name: "threshold",
                ..
            })
        ));
    }

    #[test]
    fn damaged_and_newer_states_are_refused() {
        let rows = embeddings(60, 9, Shape::OnePerson);
        let (_, run) = saved(rows.view(), &options(0.55));
        let good = bytes(&run);
        assert_eq!(read(&good).unwrap(), run);
        for cut in [0, 7, 11, 40, good.len() / 2, good.len() - 1] {
            assert!(
                matches!(read(&good[..cut]), Err(ClusterError::State { .. })),
                "{cut}"
            );
        }
        // Every byte matters; the checksum or an earlier check notices.
        for at in (0..good.len()).step_by(7) {
            let mut bad = good.clone();
            bad[at] ^= 0x41;
            assert!(read(&bad).is_err(), "byte {at}");
        }
        let mut newer = good.clone();
        newer[8] = 2;
        let error = read(&newer).unwrap_err();
        assert!(matches!(
            error,
            ClusterError::StateTooNew {
                found: 2,
                supported: 1
            }
        ));
    }

    #[test]
    fn version_1_stays_readable() {
        // Two rows at 0.4 of each other, threshold 0.5; made by version 1.
        let sample = include_bytes!("../../tests/fixtures/cluster-state-v1.bin");
        let rows = array![[1.0f32, 0.0], [3.0, 4.0]];
        // Bounds depend on the kernel's codes.
        let portable = options(0.5).with_kernel(crate::KernelKind::Portable);
        let (_, run) = saved(rows.view(), &portable);
        let old = read(sample).unwrap();
        assert_eq!(old, run);
        let more = array![[1.0f32, 0.0], [3.0, 4.0], [0.0, 2.0]];
        assert_eq!(
            extend(&old, more.view()).clustering,
            full(more.view(), &options(0.5))
        );
    }

    /// Rows with many ties and equal rows.
    fn lattice(n: usize) -> impl Strategy<Value = Array2<f32>> {
        prop::collection::vec(prop::sample::select(vec![-1.0f32, 1.0, 2.0]), n * 4)
            .prop_map(move |v| Array2::from_shape_vec((n, 4), v).unwrap())
    }

    fn smooth(n: usize) -> impl Strategy<Value = Array2<f32>> {
        prop::collection::vec(0.01f32..1.0, n * 5)
            .prop_map(move |v| Array2::from_shape_vec((n, 5), v).unwrap())
    }

    fn check(rows: &Array2<f32>, n_old: usize, threshold: f64, rungs: &[f64]) {
        let options = with_ladder(threshold, rungs);
        let (_, run) = saved(rows.slice(s![..n_old, ..]), &options);
        let middle = n_old.midpoint(rows.nrows());
        let once = extend(&run, rows.slice(s![..middle, ..]));
        let twice = extend(&once.saved, rows.view());
        let expected = full(rows.view(), &options);
        assert_eq!(twice.clustering.labels(), expected.labels());
        assert_eq!(twice.clustering.merges(), expected.merges());
    }

    proptest! {
        #[test]
        fn extending_equals_a_full_run(
            rows in smooth(40), n_old in 0usize..41, t in 0.02..0.5f64, a in 0.1..0.9f64
        ) {
            check(&rows, n_old, t, &[t * a * a, t * a]);
        }

        #[test]
        fn extending_equals_a_full_run_with_ties_and_equal_rows(
            rows in lattice(24), n_old in 0usize..25, t in 0.1..1.2f64, a in 0.1..0.9f64
        ) {
            check(&rows, n_old, t, &[t * a]);
        }
    }
}
