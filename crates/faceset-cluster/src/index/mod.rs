//! Exact search by cosine distance: the nearest rows, all rows within a radius.
//!
//! Nothing is approximate. Many queries are first compared on 8-bit codes with
//! a proven bound (`blocked`), few are compared with every row
//! (`scan`); exact f64 arithmetic decides in both, so which way was taken
//! can't be seen in the result.

mod blocked;
mod scan;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use faceset_core::{CancelToken, CosineDistance, Progress};

use self::blocked::Panels;
use crate::centroid::check_dim;
use crate::engine::pairs;
use crate::engine::quant::Quantised;
use crate::grid::GridSim;
use crate::kernel::Kernel;
use crate::{ClusterError, KernelKind, Vectors, dot::dot};

/// A row and how far it is from a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// Row of the index.
    pub row: u32,
    /// Its distance, to 2^-40.
    pub distance: CosineDistance,
}

/// What a search is for.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    /// The nearest so many rows.
    Nearest(usize),
    /// All rows at least this similar.
    Within(GridSim),
}

/// From so many queries on, coding all rows costs less than it saves: coding a
/// row takes as long as a few exact comparisons with it.
const MANY_QUERIES: usize = 16;

/// Rows to search.
#[derive(Debug)]
pub struct Index<'a> {
    rows: &'a Vectors<'a>,
    /// `None`: every row is compared exactly.
    kernel: Option<&'static dyn Kernel>,
    /// Made by the first search with many queries; a byte a value.
    panels: OnceLock<Panels>,
}

impl<'a> Index<'a> {
    /// An index over checked rows, on the fastest kernel of this machine.
    pub fn new(rows: &'a Vectors<'a>) -> Self {
        Self::on(rows, Some(KernelKind::best_kernel()))
    }

    /// The same on a given kernel. The results do not depend on it.
    ///
    /// # Errors
    /// [`ClusterError::KernelUnavailable`].
    pub fn with_kernel(rows: &'a Vectors<'a>, kernel: KernelKind) -> Result<Self, ClusterError> {
        let found = kernel
            .kernel()
            .ok_or(ClusterError::KernelUnavailable { kernel })?;
        Ok(Self::on(rows, Some(found)))
    }

    /// An index that compares every query with every row in double precision
    /// and keeps no codes: for measuring the others, and for the smallest
    /// memory.
    pub fn scanning(rows: &'a Vectors<'a>) -> Self {
        Self::on(rows, None)
    }

    fn on(rows: &'a Vectors<'a>, kernel: Option<&'static dyn Kernel>) -> Self {
        Self {
            rows,
            kernel,
            panels: OnceLock::new(),
        }
    }

    /// For every query the `k` nearest rows, nearest first; equally near rows
    /// by row number. Fewer when the index holds fewer. A query that is a row
    /// of the index finds itself.
    ///
    /// # Errors
    /// [`ClusterError::Dimension`], [`ClusterError::Cancelled`].
    pub fn top_k(
        &self,
        queries: &Vectors<'_>,
        k: usize,
        cancel: &CancelToken,
    ) -> Result<Vec<Vec<Neighbour>>, ClusterError> {
        if k == 0 {
            return Ok(vec![Vec::new(); queries.len()]);
        }
        self.search(queries, Wanted::Nearest(k), cancel)
    }

    /// For every query all rows at most `radius` away, nearest first; equally
    /// near rows by row number. Equal distance is found.
    ///
    /// # Errors
    /// [`ClusterError::Dimension`], [`ClusterError::Cancelled`].
    pub fn within(
        &self,
        queries: &Vectors<'_>,
        radius: CosineDistance,
        cancel: &CancelToken,
    ) -> Result<Vec<Vec<Neighbour>>, ClusterError> {
        self.search(queries, Wanted::Within(GridSim::at(radius)), cancel)
    }

    /// For every row of the index whether another row is at most `radius` away;
    /// equal distance counts. Half the comparisons of [`Self::within`] on the
    /// rows themselves, and nothing stored of the pairs.
    ///
    /// # Errors
    /// [`ClusterError::Cancelled`].
    pub fn has_neighbour(
        &self,
        radius: CosineDistance,
        progress: &dyn Progress,
        cancel: &CancelToken,
    ) -> Result<Vec<bool>, ClusterError> {
        let n = self.rows.len();
        let least = GridSim::at(radius);
        let has: Vec<AtomicBool> = (0..n).map(|_| AtomicBool::new(false)).collect();
        let known = |row: u32| has[row as usize].load(Ordering::Relaxed);
        let look = |(a, b): (u32, u32)| {
            // Flags only ever rise, so the order of the pairs can't be seen.
            if known(a) && known(b) {
                return;
            }
            if self.rows.similarity(a as usize, b as usize) >= least {
                has[a as usize].store(true, Ordering::Relaxed);
                has[b as usize].store(true, Ordering::Relaxed);
            }
        };
        progress.start("looking for neighbours", Some(n as u64));
        if let Some(kernel) = self.kernel {
            let codes = Quantised::new(&blocked::singles(n), self.rows, kernel.max_code());
            pairs::candidates(&codes, least, kernel, progress, cancel, &|pairs| {
                pairs.into_iter().for_each(look);
            })?;
        } else {
            for a in 0..n as u32 {
                if cancel.is_cancelled() {
                    return Err(ClusterError::Cancelled);
                }
                (a + 1..n as u32).for_each(|b| look((a, b)));
                progress.advance(1);
            }
        }
        progress.finish();
        Ok(has.into_iter().map(AtomicBool::into_inner).collect())
    }

    fn search(
        &self,
        queries: &Vectors<'_>,
        wanted: Wanted,
        cancel: &CancelToken,
    ) -> Result<Vec<Vec<Neighbour>>, ClusterError> {
        if queries.is_empty() || self.rows.is_empty() {
            return Ok(vec![Vec::new(); queries.len()]);
        }
        check_dim(self.rows.dim(), queries.dim())?;
        let pays = queries.len() >= MANY_QUERIES || self.panels.get().is_some();
        match self.kernel {
            Some(kernel) if pays => self
                .panels
                .get_or_init(|| Panels::new(self.rows, kernel))
                .search(self.rows, queries, wanted, cancel),
            _ => scan::search(self.rows, queries, wanted, cancel),
        }
    }
}

/// Exact similarity of a query and a row.
fn similarity(queries: &Vectors<'_>, query: usize, rows: &Vectors<'_>, row: usize) -> GridSim {
    let scale = queries.inverse_norm(query) * rows.inverse_norm(row);
    GridSim::new(dot(queries.row(query), rows.row(row)) * scale)
}

#[cfg(test)]
mod tests {
    use faceset_core::NoProgress;
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_distance_is_found_and_ordered_by_row() {
        let rows = array![[0.0f32, 2.0], [3.0, 4.0], [1.0, 0.0], [0.0, 1.0]];
        let rows = Vectors::new(rows.view()).unwrap();
        let query = array![[0.0f32, 1.0]];
        let query = Vectors::new(query.view()).unwrap();
        let cancel = CancelToken::default();
        let index = Index::new(&rows);
        let radius = |t| {
            let found = index
                .within(&query, CosineDistance::new(t).unwrap(), &cancel)
                .unwrap();
            found[0].iter().map(|n| n.row).collect::<Vec<_>>()
        };
        // Row 1 is 1 - 0.8 = 0.2 away.
        assert_eq!(radius(0.2), [0, 3, 1]);
        assert_eq!(radius(0.19), [0, 3]);
        let top = |k| {
            let found = index.top_k(&query, k, &cancel).unwrap();
            found[0].iter().map(|n| n.row).collect::<Vec<_>>()
        };
        assert_eq!(top(1), [0]);
        assert_eq!(top(9), [0, 3, 1, 2]);
        assert!(top(0).is_empty());
    }

    #[test]
    fn threads_and_the_number_of_queries_do_not_matter() {
        use crate::synthetic::{Shape, embeddings};
        let rows = embeddings(1_500, 3, Shape::Collection);
        let vectors = Vectors::new(rows.view()).unwrap();
        let cancel = CancelToken::default();
        let all = Index::new(&vectors).top_k(&vectors, 5, &cancel).unwrap();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(3)
            .build()
            .unwrap();
        let threads = pool.install(|| Index::new(&vectors).top_k(&vectors, 5, &cancel));
        assert_eq!(threads.unwrap(), all);
        // Fifteen queries are answered by the scan, sixteen by the codes.
        for n in [15, 16] {
            let queries = rows.slice(ndarray::s![..n, ..]);
            let queries = Vectors::new(queries).unwrap();
            let index = Index::new(&vectors);
            assert_eq!(index.top_k(&queries, 5, &cancel).unwrap(), all[..n]);
            assert_eq!(index.panels.get().is_some(), n == 16);
        }
    }

    #[test]
    fn no_rows_no_queries_and_none_wanted_are_results() {
        let rows = ndarray::Array2::<f32>::ones((40, 2));
        let vectors = Vectors::new(rows.view()).unwrap();
        let none = ndarray::Array2::<f32>::zeros((0, 9));
        let none = Vectors::new(none.view()).unwrap();
        let cancel = CancelToken::default();
        let radius = CosineDistance::constant(2.0);
        assert!(
            Index::new(&vectors)
                .within(&none, radius, &cancel)
                .unwrap()
                .is_empty()
        );
        let found = Index::new(&none).within(&vectors, radius, &cancel).unwrap();
        assert_eq!(found, vec![Vec::new(); 40]);
        let found = Index::new(&vectors).top_k(&vectors, 0, &cancel).unwrap();
        assert_eq!(found, vec![Vec::new(); 40]);
        // Equal rows are told apart by number only.
        let found = Index::new(&vectors).top_k(&vectors, 3, &cancel).unwrap();
        assert!(found.iter().all(|f| f.iter().map(|n| n.row).eq(0..3)));
    }

    #[test]
    fn a_cancelled_search_says_so() {
        let rows = ndarray::Array2::<f32>::ones((40, 2));
        let vectors = Vectors::new(rows.view()).unwrap();
        let cancel = CancelToken::default();
        cancel.cancel();
        for index in [Index::new(&vectors), Index::scanning(&vectors)] {
            let found = index.top_k(&vectors, 3, &cancel);
            assert!(matches!(found, Err(ClusterError::Cancelled)));
            let found = index.has_neighbour(CosineDistance::constant(0.1), &NoProgress, &cancel);
            assert!(matches!(found, Err(ClusterError::Cancelled)));
        }
    }

    #[test]
    fn a_query_of_another_dimension_is_refused() {
        let rows = array![[1.0f32, 0.0]];
        let rows = Vectors::new(rows.view()).unwrap();
        let query = array![[1.0f32, 0.0, 0.0]];
        let query = Vectors::new(query.view()).unwrap();
        let error = Index::new(&rows)
            .top_k(&query, 1, &CancelToken::default())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "compare vectors of dimension 3 with vectors of dimension 2"
        );
    }

    /// Queries and rows of all shapes, ties and copies among them, and kernels.
    fn cases() -> impl Strategy<Value = (Array2<f32>, Array2<f32>, KernelKind)> {
        let kinds: Vec<KernelKind> = KernelKind::ALL
            .into_iter()
            .filter(|k| k.is_available())
            .collect();
        (1usize..1_200, MANY_QUERIES..80, 1usize..70, 0usize..3).prop_flat_map(
            move |(n, n_queries, dim, shape)| {
                let values = move |n: usize| {
                    let value = match shape {
                        0 => (-1.0f32..1.0).boxed(),
                        1 => prop::sample::select(vec![-1.0f32, 1.0]).boxed(),
                        _ => prop_oneof![9 => 0.1f32..0.2, 1 => Just(30.0f32)].boxed(),
                    };
                    prop::collection::vec(value, n * dim)
                        .prop_map(move |v| Array2::from_shape_vec((n, dim), v).unwrap())
                        .prop_filter("rows have a direction", |a| {
                            a.outer_iter().all(|r| r.iter().any(|&v| v.abs() > 1e-3))
                        })
                };
                (
                    values(n),
                    values(n_queries),
                    prop::sample::select(kinds.clone()),
                )
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn codes_find_what_the_scan_finds(
            (rows, queries, kind) in cases(), k in 1usize..40, radius in 0.0..1.2f64
        ) {
            let rows = Vectors::new(rows.view()).unwrap();
            let queries = Vectors::new(queries.view()).unwrap();
            let cancel = CancelToken::default();
            let fast = Index::with_kernel(&rows, kind).unwrap();
            let plain = Index::scanning(&rows);
            prop_assert_eq!(
                fast.top_k(&queries, k, &cancel).unwrap(),
                plain.top_k(&queries, k, &cancel).unwrap()
            );
            let radius = CosineDistance::new(radius).unwrap();
            let found = fast.within(&queries, radius, &cancel).unwrap();
            prop_assert!(fast.panels.get().is_some());
            prop_assert_eq!(found, plain.within(&queries, radius, &cancel).unwrap());
            let near = fast.has_neighbour(radius, &NoProgress, &cancel).unwrap();
            prop_assert_eq!(&near, &plain.has_neighbour(radius, &NoProgress, &cancel).unwrap());
            let itself = plain.within(&rows, radius, &cancel).unwrap();
            for (row, (has, found)) in near.iter().zip(&itself).enumerate() {
                prop_assert_eq!(*has, found.iter().any(|n| n.row as usize != row));
            }
        }

        #[test]
        fn the_top_k_are_the_first_k_of_everything(
            values in prop::collection::vec(-1.0f32..1.0, 40 * 3), k in 1usize..45
        ) {
            let rows = Array2::from_shape_vec((40, 3), values).unwrap();
            prop_assume!(rows.outer_iter().all(|r| r.iter().any(|v| v.abs() > 1e-3)));
            let rows = Vectors::new(rows.view()).unwrap();
            let cancel = CancelToken::default();
            let index = Index::new(&rows);
            let all = index.within(&rows, CosineDistance::constant(2.0), &cancel).unwrap();
            let top = index.top_k(&rows, k, &cancel).unwrap();
            for (query, (all, top)) in all.iter().zip(&top).enumerate() {
                prop_assert_eq!(all.len(), 40);
                prop_assert_eq!(&all[..k.min(40)], &top[..]);
                prop_assert_eq!(all[0].row as usize, query);
            }
        }
    }
}
