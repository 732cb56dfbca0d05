//! Exact nearest-neighbour search by cosine distance.
//!
//! Nothing is approximate and nothing is built: queries are compared with all
//! rows, block by block so that a block of rows is read once for many queries.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use faceset_core::{CancelToken, CosineDistance};
use rayon::prelude::*;

use crate::centroid::check_dim;
use crate::grid::GridSim;
use crate::{ClusterError, Vectors, dot::dot};

/// A row and how far it is from a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// Row of the index.
    pub row: u32,
    /// Its distance, to 2^-40.
    pub distance: CosineDistance,
}

/// Rows compared with a block of queries before the next rows are read.
const ROW_BLOCK: usize = 256;
/// Queries that share a block of rows.
const QUERY_BLOCK: usize = 16;

/// Rows to search.
#[derive(Debug)]
pub struct Index<'a> {
    rows: &'a Vectors<'a>,
}

impl<'a> Index<'a> {
    /// An index over checked rows.
    pub fn new(rows: &'a Vectors<'a>) -> Self {
        Self { rows }
    }

    /// For every query the `k` nearest rows, nearest first; equally near rows
    /// by row number. Fewer when the index holds fewer.
    ///
    /// # Errors
    /// [`ClusterError::Dimension`], [`ClusterError::Cancelled`].
    pub fn top_k(
        &self,
        queries: &Vectors<'_>,
        k: usize,
        cancel: &CancelToken,
    ) -> Result<Vec<Vec<Neighbour>>, ClusterError> {
        self.search(queries, cancel, &|| TopK {
            k,
            heap: BinaryHeap::new(),
        })
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
        let least = GridSim::at(radius);
        self.search(queries, cancel, &|| Within {
            least,
            found: Vec::new(),
        })
    }

    fn search<C: Collect>(
        &self,
        queries: &Vectors<'_>,
        cancel: &CancelToken,
        collector: &(dyn Fn() -> C + Sync),
    ) -> Result<Vec<Vec<Neighbour>>, ClusterError> {
        if !queries.is_empty() && !self.rows.is_empty() {
            check_dim(self.rows.dim(), queries.dim())?;
        }
        let starts: Vec<usize> = (0..queries.len()).step_by(QUERY_BLOCK).collect();
        let blocks: Vec<Vec<Vec<Neighbour>>> = starts
            .into_par_iter()
            .map(|start| {
                let end = (start + QUERY_BLOCK).min(queries.len());
                let mut collectors: Vec<C> = (start..end).map(|_| collector()).collect();
                for block in (0..self.rows.len()).step_by(ROW_BLOCK) {
                    if cancel.is_cancelled() {
                        return Err(ClusterError::Cancelled);
                    }
                    let block_end = (block + ROW_BLOCK).min(self.rows.len());
                    for (query, collector) in (start..end).zip(&mut collectors) {
                        for row in block..block_end {
                            collector.offer(self.similarity(queries, query, row), row as u32);
                        }
                    }
                }
                Ok(collectors.into_iter().map(C::finish).collect())
            })
            .collect::<Result<_, _>>()?;
        Ok(blocks.into_iter().flatten().collect())
    }

    fn similarity(&self, queries: &Vectors<'_>, query: usize, row: usize) -> GridSim {
        let scale = queries.inverse_norm(query) * self.rows.inverse_norm(row);
        GridSim::new(dot(queries.row(query), self.rows.row(row)) * scale)
    }
}

/// What a search keeps of the rows that it meets in row order.
trait Collect: Send {
    fn offer(&mut self, similarity: GridSim, row: u32);
    fn finish(self) -> Vec<Neighbour>;
}

struct TopK {
    k: usize,
    /// The worst kept neighbour is on top.
    heap: BinaryHeap<(Reverse<GridSim>, u32)>,
}

impl Collect for TopK {
    fn offer(&mut self, similarity: GridSim, row: u32) {
        if self.heap.len() < self.k {
            self.heap.push((Reverse(similarity), row));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && (Reverse(similarity), row) < *worst
        {
            *worst = (Reverse(similarity), row);
        }
    }

    fn finish(self) -> Vec<Neighbour> {
        neighbours(self.heap.into_sorted_vec())
    }
}

struct Within {
    least: GridSim,
    found: Vec<(Reverse<GridSim>, u32)>,
}

impl Collect for Within {
    fn offer(&mut self, similarity: GridSim, row: u32) {
        if similarity >= self.least {
            self.found.push((Reverse(similarity), row));
        }
    }

    fn finish(mut self) -> Vec<Neighbour> {
        self.found.sort_unstable();
        neighbours(self.found)
    }
}

fn neighbours(sorted: Vec<(Reverse<GridSim>, u32)>) -> Vec<Neighbour> {
    sorted
        .into_iter()
        .map(|(Reverse(similarity), row)| Neighbour {
            row,
            distance: similarity.distance(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
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

    proptest! {
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
