//! The plain search: every row compared exactly, block by block so that a
//! block of rows is read once for many queries.
//!
//! What few queries are answered by, and the oracle of [`super::blocked`].

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use faceset_core::CancelToken;
use rayon::prelude::*;

use super::{Neighbour, Wanted, similarity};
use crate::grid::GridSim;
use crate::{ClusterError, Vectors};

/// Rows compared with a block of queries before the next rows are read.
const ROW_BLOCK: usize = 256;
/// Queries that share a block of rows.
const QUERY_BLOCK: usize = 16;

pub(super) fn search(
    rows: &Vectors<'_>,
    queries: &Vectors<'_>,
    wanted: Wanted,
    cancel: &CancelToken,
) -> Result<Vec<Vec<Neighbour>>, ClusterError> {
    let starts: Vec<usize> = (0..queries.len()).step_by(QUERY_BLOCK).collect();
    let blocks: Vec<Vec<Vec<Neighbour>>> = starts
        .into_par_iter()
        .map(|start| {
            let end = (start + QUERY_BLOCK).min(queries.len());
            let mut kept: Vec<Kept> = (start..end).map(|_| Kept::new(wanted)).collect();
            for block in (0..rows.len()).step_by(ROW_BLOCK) {
                if cancel.is_cancelled() {
                    return Err(ClusterError::Cancelled);
                }
                let block_end = (block + ROW_BLOCK).min(rows.len());
                for (query, kept) in (start..end).zip(&mut kept) {
                    for row in block..block_end {
                        kept.offer(similarity(queries, query, rows, row), row as u32);
                    }
                }
            }
            Ok(kept.into_iter().map(Kept::finish).collect())
        })
        .collect::<Result<_, _>>()?;
    Ok(blocks.into_iter().flatten().collect())
}

/// Rows that a search keeps, by their exact similarity.
pub(super) struct Kept {
    wanted: Wanted,
    /// For the nearest `k`: a heap with the worst kept row on top.
    heap: BinaryHeap<(Reverse<GridSim>, u32)>,
    /// Within a radius: all of them.
    found: Vec<(Reverse<GridSim>, u32)>,
}

impl Kept {
    pub(super) fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            heap: BinaryHeap::new(),
            found: Vec::new(),
        }
    }

    /// Takes a row if it belongs to the result so far; the order of offers
    /// does not matter.
    pub(super) fn offer(&mut self, similarity: GridSim, row: u32) {
        let entry = (Reverse(similarity), row);
        match self.wanted {
            Wanted::Within(least) => {
                if similarity >= least {
                    self.found.push(entry);
                }
            }
            Wanted::Nearest(k) => {
                if self.heap.len() < k {
                    self.heap.push(entry);
                } else if let Some(mut worst) = self.heap.peek_mut()
                    && entry < *worst
                {
                    *worst = entry;
                }
            }
        }
    }

    /// Rows less similar than this can't be in the result any more.
    pub(super) fn least(&self) -> GridSim {
        match self.wanted {
            Wanted::Within(least) => least,
            Wanted::Nearest(k) if self.heap.len() < k => GridSim::NONE,
            Wanted::Nearest(_) => self.heap.peek().map_or(GridSim::NONE, |worst| worst.0.0),
        }
    }

    /// Nearest first, equally near rows by number.
    pub(super) fn finish(mut self) -> Vec<Neighbour> {
        self.found.append(&mut self.heap.into_vec());
        self.found.sort_unstable();
        let neighbour = |(Reverse(similarity), row): (Reverse<GridSim>, u32)| Neighbour {
            row,
            distance: similarity.distance(),
        };
        self.found.into_iter().map(neighbour).collect()
    }
}
