//! The fast search: small integers decide which rows could belong to the
//! result, exact arithmetic decides which do.
//!
//! Rows are kept as packed 8-bit codes ([`crate::engine::quant`]); queries are
//! coded with the same scale. A kernel multiplies 32 queries with a strip of
//! rows, and each product bounds the similarity from both sides. For a radius,
//! rows whose upper bound reaches it are looked at exactly. For the nearest
//! `k`, the `k`-th largest **lower** bound seen so far is a similarity that at
//! least `k` rows reach, so a row whose upper bound is below it can't be among
//! them. Which rows are looked at may depend on the kernel; the result can't.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use faceset_core::CancelToken;
use rayon::prelude::*;

use super::scan::Kept;
use super::{Neighbour, Wanted, similarity};
use crate::engine::group::Group;
use crate::engine::quant::Quantised;
use crate::kernel::{Block, Kernel, Line, SIDE};
use crate::{ClusterError, Vectors};

/// Rows whose codes (512 bytes each for faces) are multiplied with all queries
/// of a task while they are in the second-level cache.
const STRIP_BLOCKS: usize = 16;

/// Most queries of a task: their codes share that cache with a strip.
const QUERIES: usize = 256;

/// Below every sum that two rows can have (by Cauchy-Schwarz a product of codes
/// is at most `(1 + e)² / s²`, far less), and above that of padding.
const ANY: i32 = i32::MIN / 4;

/// The rows of an index as packed columns.
#[derive(Debug)]
pub(super) struct Panels {
    codes: Quantised,
    columns: Vec<Line>,
    /// What is added to the dots of each column.
    adds: Vec<[i32; SIDE]>,
    kernel: &'static dyn Kernel,
}

/// Every row of its own.
pub(super) fn singles(n: usize) -> Vec<Group> {
    let single = |row: u32| Group::single(row, row);
    (0..n as u32).map(single).collect()
}

impl Panels {
    pub(super) fn new(rows: &Vectors<'_>, kernel: &'static dyn Kernel) -> Self {
        let mut codes = Quantised::new(&singles(rows.len()), rows, kernel.max_code());
        let block_lines = SIDE * codes.k_lines();
        let mut columns = vec![Line::ZERO; codes.n_blocks() * block_lines];
        columns
            .par_chunks_mut(STRIP_BLOCKS * block_lines)
            .enumerate()
            .for_each(|(strip, columns)| codes.pack_into(strip * STRIP_BLOCKS, columns));
        codes.drop_codes();
        let adds = (0..codes.n_blocks())
            .map(|block| std::array::from_fn(|c| codes.column_add(block * SIDE + c)))
            .collect();
        Self {
            codes,
            columns,
            adds,
            kernel,
        }
    }

    /// Searches; `rows` are those that the panels were made of.
    pub(super) fn search(
        &self,
        rows: &Vectors<'_>,
        queries: &Vectors<'_>,
        wanted: Wanted,
        cancel: &CancelToken,
    ) -> Result<Vec<Vec<Neighbour>>, ClusterError> {
        let coded = self.codes.matching(&singles(queries.len()), queries);
        let share = queries.len().div_ceil(rayon::current_num_threads());
        let task = share.clamp(1, QUERIES).next_multiple_of(SIDE);
        let starts: Vec<usize> = (0..queries.len()).step_by(task).collect();
        let found: Vec<Vec<Vec<Neighbour>>> = starts
            .into_par_iter()
            .with_max_len(1)
            .map(|start| {
                let n = task.min(queries.len() - start);
                let mut sieves: Vec<Sieve> = (start..start + n)
                    .map(|query| Sieve::new(wanted, &self.codes, coded.slack(query)))
                    .collect();
                self.sift(&coded, start / SIDE, &mut sieves, cancel)?;
                let exact = |(at, sieve): (usize, Sieve)| {
                    let query = start + at;
                    sieve.finish(&self.codes, wanted, |row| {
                        similarity(queries, query, rows, row as usize)
                    })
                };
                Ok(sieves.into_iter().enumerate().map(exact).collect())
            })
            .collect::<Result<_, ClusterError>>()?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Shows all rows to the sieves, which are those of the queries from
    /// `first_block` on.
    fn sift(
        &self,
        coded: &Quantised,
        first_block: usize,
        sieves: &mut [Sieve],
        cancel: &CancelToken,
    ) -> Result<(), ClusterError> {
        let strip_lines = STRIP_BLOCKS * SIDE * self.codes.k_lines();
        for (strip, columns) in self.columns.chunks(strip_lines).enumerate() {
            if cancel.is_cancelled() {
                return Err(ClusterError::Cancelled);
            }
            for (at, sieves) in sieves.chunks_mut(SIDE).enumerate() {
                let rows = coded.block(first_block + at);
                let mut least = [i32::MAX; SIDE];
                for (least, sieve) in least.iter_mut().zip(&*sieves) {
                    *least = sieve.least;
                }
                self.kernel
                    .sweep(rows, columns, self.codes.k_lines(), &mut |block, dots| {
                        self.offer(strip * STRIP_BLOCKS + block, dots, sieves, &mut least);
                    });
            }
        }
        Ok(())
    }

    /// Offers 32 rows to 32 queries.
    fn offer(&self, at: usize, dots: &Block, sieves: &mut [Sieve], least: &mut [i32; SIDE]) {
        let adds = &self.adds[at];
        let masks = self.kernel.masks(dots, adds, least);
        for (r, mut mask) in masks.into_iter().enumerate() {
            if mask == 0 {
                continue;
            }
            let sieve = &mut sieves[r];
            while mask != 0 {
                let c = mask.trailing_zeros() as usize;
                mask &= mask - 1;
                let row = at * SIDE + c;
                sieve.offer(row as u32, dots.0[r][c] + adds[c], self.codes.slack(row));
            }
            least[r] = sieve.least;
        }
    }
}

/// Rows that could belong to the result of one query. "Sum" is a product of
/// codes plus the slack of the row: the upper bound less the query's slack.
struct Sieve {
    /// Sums below this belong to rows that are not in the result.
    least: i32,
    slack: i32,
    /// Sums and rows.
    candidates: Vec<(i32, u32)>,
    /// For the nearest `k`: how many, and the largest lower bounds so far.
    k: Option<usize>,
    lower: BinaryHeap<Reverse<i32>>,
    /// Candidates are looked through again at this number.
    most: usize,
}

/// Candidates for the nearest rows that are kept before the first look through.
const FIRST_LOOK: usize = 256;

impl Sieve {
    fn new(wanted: Wanted, codes: &Quantised, slack: i32) -> Self {
        let (least, k) = match wanted {
            Wanted::Within(least) => (codes.threshold(least.value()) - slack, None),
            Wanted::Nearest(k) => (ANY, Some(k)),
        };
        Self {
            least,
            slack,
            candidates: Vec::new(),
            k,
            lower: BinaryHeap::new(),
            most: FIRST_LOOK,
        }
    }

    /// A row that reached `least` when its block was looked at.
    fn offer(&mut self, row: u32, sum: i32, row_slack: i32) {
        if sum < self.least {
            return;
        }
        self.candidates.push((sum, row));
        let Some(k) = self.k else { return };
        // Sum less its own slack is the product; the bound lies both slacks
        // below that.
        let lower = sum - 2 * row_slack - self.slack;
        if self.lower.len() < k {
            self.lower.push(Reverse(lower));
        } else if let Some(mut smallest) = self.lower.peek_mut()
            && lower > smallest.0
        {
            *smallest = Reverse(lower);
        }
        if self.lower.len() == k
            && let Some(Reverse(smallest)) = self.lower.peek()
        {
            self.least = self.least.max(smallest - self.slack);
        }
        if self.candidates.len() >= self.most {
            let least = self.least;
            self.candidates.retain(|&(sum, _)| sum >= least);
            self.most = FIRST_LOOK.max(2 * self.candidates.len());
        }
    }

    /// Looks at the candidates exactly, the most promising first.
    fn finish(
        mut self,
        codes: &Quantised,
        wanted: Wanted,
        exact: impl Fn(u32) -> crate::grid::GridSim,
    ) -> Vec<Neighbour> {
        let mut kept = Kept::new(wanted);
        if self.k.is_some() {
            self.candidates
                .sort_unstable_by_key(|&(sum, row)| (Reverse(sum), row));
        }
        for (sum, row) in self.candidates {
            // Descending: all that follow are below it, too.
            let upper = codes.value_of(sum + self.slack + 1);
            if self.k.is_some() && upper < kept.least().value() {
                break;
            }
            kept.offer(exact(row), row);
        }
        kept.finish()
    }
}
