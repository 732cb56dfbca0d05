//! All pairs of groups that may be similar enough, in one pass.
//!
//! Columns are taken in strips of 512, packed once and multiplied with every
//! row above them. What comes out is a superset of the wanted pairs, each with
//! an upper bound of its similarity ([`super::quant`] proves it).

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use faceset_core::{CancelToken, Progress};
use rayon::prelude::*;

use super::quant::Quantised;
use crate::ClusterError;
use crate::grid::GridSim;
use crate::kernel::{Kernel, SIDE};

/// Columns of a strip: their codes (512 bytes each for faces) stay in the
/// second-level cache while all rows pass by.
const STRIP: usize = 512;

/// Blocks of 32 columns in a strip.
const STRIP_BLOCKS: usize = STRIP / SIDE;

/// Bits of an edge's second word that hold the bound.
const BOUND_BITS: u32 = 32 - STRIP.ilog2();

/// Steps of a stored bound in a similarity of 1.
const BOUND_STEPS: f64 = (1u32 << (BOUND_BITS - 2)) as f64;

/// A stored bound of 2.
const MOST_STEPS: u32 = (3.0 * BOUND_STEPS) as u32;

/// A pair of groups in eight bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edge {
    row: u32,
    /// Column within the strip above, bound + 1 below, rounded up.
    column_and_bound: u32,
}

impl Edge {
    fn new(row: usize, column_in_strip: usize, bound: f64) -> Self {
        // Similarities are -1 to 1 and slack is at most a few units more; a
        // bound beyond 2 says nothing and is stored as 2.
        // One more than the whole steps below it is above it; at 2 nothing is.
        let whole = ((bound.min(2.0) + 1.0) * BOUND_STEPS).max(0.0) as u32;
        let steps = (whole + 1).min(MOST_STEPS);
        Self {
            row: row as u32,
            column_and_bound: (column_in_strip as u32) << BOUND_BITS | steps,
        }
    }

    fn bound(self) -> f32 {
        let steps = self.column_and_bound & ((1 << BOUND_BITS) - 1);
        // 23 bits fit an f32 exactly; so does the quotient by a power of two,
        // and the subtraction rounds a number of at most 24 bits.
        let bound = f64::from(steps) / BOUND_STEPS - 1.0;
        super::up(bound)
    }
}

/// Edges of one pass, by strip.
#[derive(Debug)]
pub(crate) struct Edges {
    /// Strips in order, each with its number.
    strips: Vec<(usize, Vec<Edge>)>,
    /// Groups that have any other group within the final threshold.
    pub(crate) has_future: Vec<bool>,
}

impl Edges {
    /// Calls `visit(smaller, larger, bound)` for every edge, in a fixed order.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(u32, u32, f32)) {
        for (at, strip) in &self.strips {
            visit_strip(*at, strip, &mut visit);
        }
    }

    /// Like [`Self::for_each`], giving the memory back strip by strip.
    pub(crate) fn drain(self, mut visit: impl FnMut(u32, u32, f32)) {
        for (at, strip) in self.strips {
            visit_strip(at, &strip, &mut visit);
        }
    }
}

fn visit_strip(at: usize, strip: &[Edge], visit: &mut impl FnMut(u32, u32, f32)) {
    let first = (at * STRIP) as u32;
    for edge in strip {
        let column = first + (edge.column_and_bound >> BOUND_BITS);
        visit(edge.row, column, edge.bound());
    }
}

/// What a pass looks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// Pairs at least this similar become edges.
    pub(crate) edge: GridSim,
    /// Pairs at least this similar keep both groups in the run; at most `edge`.
    pub(crate) future: GridSim,
    /// The pass stops when it has more edges than this.
    pub(crate) most_edges: usize,
    /// Only pairs whose larger number is at least this are looked for.
    pub(crate) first_column: usize,
}

/// Finds all pairs. `None`: there are more than `most_edges`.
pub(crate) fn all_pairs(
    codes: &Quantised,
    wanted: Wanted,
    kernel: &dyn Kernel,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Option<Edges>, ClusterError> {
    let found = Mutex::new(Vec::new());
    let keep = |strip: usize, edges: Vec<Edge>| {
        let mut found = found.lock().expect("nothing panics while holding the lock");
        found.push((strip, edges));
    };
    let Some(has_future) = sweep(codes, wanted, kernel, progress, cancel, &keep)? else {
        return Ok(None);
    };
    let mut found = found
        .into_inner()
        .expect("nothing panics while holding the lock");
    found.sort_unstable_by_key(|&(strip, _)| strip);
    Ok(Some(Edges {
        strips: found,
        has_future,
    }))
}

/// Hands over, in lists and in no order, all pairs of groups that may be at
/// least `least` similar, the smaller number first; nothing is stored.
pub(crate) fn candidates(
    codes: &Quantised,
    least: GridSim,
    kernel: &dyn Kernel,
    progress: &dyn Progress,
    cancel: &CancelToken,
    consume: &(dyn Fn(Vec<(u32, u32)>) + Sync),
) -> Result<(), ClusterError> {
    let wanted = Wanted {
        edge: least,
        future: least,
        most_edges: usize::MAX,
        first_column: 0,
    };
    let visit = |strip: usize, edges: Vec<Edge>| {
        let mut pairs = Vec::with_capacity(edges.len());
        visit_strip(strip, &edges, &mut |a, b, _| pairs.push((a, b)));
        consume(pairs);
    };
    sweep(codes, wanted, kernel, progress, cancel, &visit).map(|_| ())
}

/// Computes all strips and hands each one's edges to `consume`. Returns which
/// groups have a future, or `None` when there are more than `most_edges`.
fn sweep(
    codes: &Quantised,
    wanted: Wanted,
    kernel: &dyn Kernel,
    progress: &dyn Progress,
    cancel: &CancelToken,
    consume: &(dyn Fn(usize, Vec<Edge>) + Sync),
) -> Result<Option<Vec<bool>>, ClusterError> {
    let n_strips = codes.len().div_ceil(STRIP);
    let edge = codes.threshold(wanted.edge.value());
    let future = codes.threshold(wanted.future.value());
    let least: Vec<i32> = (0..codes.n_blocks() * SIDE)
        .map(|row| codes.row_least(row, future))
        .collect();
    let has_future: Vec<AtomicBool> = (0..codes.len()).map(|_| AtomicBool::new(false)).collect();
    let n_edges = AtomicUsize::new(0);
    let pass = Pass {
        codes,
        kernel,
        least: &least,
        edge_over_future: edge - future,
        first_column: wanted.first_column,
        has_future: &has_future,
    };
    // Later strips meet more rows: they go first, so that no thread is left
    // with a long one at the end.
    let next = AtomicUsize::new(0);
    let wanted_strips = n_strips - wanted.first_column / STRIP;
    let workers = rayon::current_num_threads().min(wanted_strips);
    (0..workers).into_par_iter().with_max_len(1).for_each(|_| {
        let mut columns = Vec::new();
        loop {
            let taken = next.fetch_add(1, Ordering::Relaxed);
            let stop = cancel.is_cancelled() || n_edges.load(Ordering::Relaxed) > wanted.most_edges;
            if taken >= wanted_strips || stop {
                return;
            }
            let strip = n_strips - 1 - taken;
            let edges = pass.strip(strip, &mut columns, &n_edges, wanted.most_edges);
            consume(strip, edges);
            progress.advance((codes.len() - strip * STRIP).min(STRIP) as u64);
        }
    });
    if cancel.is_cancelled() {
        return Err(ClusterError::Cancelled);
    }
    if n_edges.into_inner() > wanted.most_edges {
        return Ok(None);
    }
    Ok(Some(
        has_future.into_iter().map(AtomicBool::into_inner).collect(),
    ))
}

struct Pass<'a> {
    codes: &'a Quantised,
    kernel: &'a dyn Kernel,
    /// Per row, what makes a pair count for the future.
    least: &'a [i32],
    /// How much more an edge needs.
    edge_over_future: i32,
    first_column: usize,
    has_future: &'a [AtomicBool],
}

impl Pass<'_> {
    fn strip(
        &self,
        strip: usize,
        columns: &mut Vec<crate::kernel::Line>,
        n_edges: &AtomicUsize,
        most_edges: usize,
    ) -> Vec<Edge> {
        let codes = self.codes;
        let first_block = strip * STRIP_BLOCKS;
        let last_block = (first_block + STRIP_BLOCKS).min(codes.n_blocks());
        codes.pack(first_block..last_block, columns);
        let block_lines = SIDE * codes.k_lines();
        let adds: Vec<[i32; SIDE]> = (first_block..last_block)
            .map(|b| std::array::from_fn(|c| self.column_add(b * SIDE + c)))
            .collect();
        let mut column_has_future = vec![0u32; adds.len()];
        let mut edges = Vec::new();
        let mut counted = 0;
        for row_block in 0..last_block {
            // Blocks left of the diagonal were other strips' business.
            let skip = row_block.saturating_sub(first_block);
            let least: &[i32; SIDE] = self.least[row_block * SIDE..][..SIDE]
                .try_into()
                .expect("thresholds are padded to whole blocks");
            let rows = codes.block(row_block);
            let columns = &columns[skip * block_lines..];
            self.kernel
                .sweep(rows, columns, codes.k_lines(), &mut |at, block| {
                    let at = at + skip;
                    let mut masks = self.kernel.masks(block, &adds[at], least);
                    if row_block == first_block + at {
                        // On the diagonal only columns after the row.
                        for (r, mask) in masks.iter_mut().enumerate() {
                            *mask &= !(u32::MAX >> (31 - r));
                        }
                    }
                    for (r, mut mask) in masks.into_iter().enumerate() {
                        if mask == 0 {
                            continue;
                        }
                        let row = row_block * SIDE + r;
                        raise(&self.has_future[row]);
                        column_has_future[at] |= mask;
                        let edge_least = least[r] + self.edge_over_future;
                        while mask != 0 {
                            let c = mask.trailing_zeros() as usize;
                            mask &= mask - 1;
                            let sum = block.0[r][c] + adds[at][c];
                            if sum >= edge_least {
                                let bound = codes.bound(sum, row);
                                edges.push(Edge::new(row, at * SIDE + c, bound));
                            }
                        }
                    }
                });
            let total = n_edges.fetch_add(edges.len() - counted, Ordering::Relaxed);
            counted = edges.len();
            if total > most_edges {
                break;
            }
        }
        for (at, mask) in column_has_future.into_iter().enumerate() {
            for c in 0..SIDE {
                if mask >> c & 1 == 1 {
                    raise(&self.has_future[(first_block + at) * SIDE + c]);
                }
            }
        }
        edges
    }
}

impl Pass<'_> {
    /// What is added to a column's dots; columns not wanted reach nothing.
    fn column_add(&self, column: usize) -> i32 {
        if column < self.first_column {
            Quantised::UNREACHABLE
        } else {
            self.codes.column_add(column)
        }
    }
}

/// Sets a flag without taking its cache line from others when it is set.
fn raise(flag: &AtomicBool) {
    if !flag.load(Ordering::Relaxed) {
        flag.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use faceset_core::{CosineDistance, NoProgress};
    use ndarray::Array2;

    use super::*;
    use crate::Vectors;
    use crate::engine::group::Group;
    use crate::kernel::KernelKind;

    /// Rows around a circle: row i at i² degrees, so that all gaps differ.
    fn circle(n: usize) -> Array2<f32> {
        Array2::from_shape_fn((n, 2), |(i, k)| {
            let angle = ((i * i) as f32).to_radians();
            if k == 0 { angle.cos() } else { angle.sin() }
        })
    }

    #[test]
    fn every_close_pair_of_every_strip_is_an_edge_once() {
        // 1100 rows: three strips, the last not whole.
        let rows = circle(1100);
        let vectors = Vectors::new(rows.view()).unwrap();
        let groups: Vec<Group> = (0..1100).map(|r| Group::single(r, r)).collect();
        let edge = GridSim::at(CosineDistance::constant(0.001));
        let future = GridSim::at(CosineDistance::constant(0.01));
        let wanted = Wanted {
            edge,
            future,
            most_edges: 1_000_000,
            first_column: 0,
        };
        for kind in KernelKind::ALL {
            let Some(kernel) = kind.kernel() else {
                continue;
            };
            let codes = Quantised::new(&groups, &vectors, kernel.max_code());
            let cancel = CancelToken::default();
            let edges = all_pairs(&codes, wanted, kernel, &NoProgress, &cancel)
                .unwrap()
                .unwrap();
            let mut seen = std::collections::BTreeMap::new();
            edges.for_each(|a, b, bound| {
                assert!(a < b);
                assert!(seen.insert((a, b), bound).is_none(), "{a} {b} twice");
            });
            let n = seen.len();
            // From a column inside the second strip on, edges are those that
            // end there.
            let later = Wanted {
                first_column: 700,
                ..wanted
            };
            let edges_later = all_pairs(&codes, later, kernel, &NoProgress, &cancel)
                .unwrap()
                .unwrap();
            let mut seen_later = std::collections::BTreeMap::new();
            edges_later.for_each(|a, b, bound| {
                seen_later.insert((a, b), bound);
            });
            let mut expected = seen.clone();
            expected.retain(|&(_, b), _| b >= 700);
            assert_eq!(expected, seen_later);
            for a in 0..1100u32 {
                for b in a + 1..1100 {
                    let exact = vectors.similarity(a as usize, b as usize);
                    match seen.get(&(a, b)) {
                        Some(&bound) => assert!(f64::from(bound) >= exact.value()),
                        None => assert!(exact < edge, "{kind}: {a} {b} is missing"),
                    }
                    if exact >= future {
                        assert!(edges.has_future[a as usize] && edges.has_future[b as usize]);
                    }
                }
            }
            let fewer = Wanted {
                most_edges: n - 1,
                ..wanted
            };
            assert!(
                all_pairs(&codes, fewer, kernel, &NoProgress, &cancel)
                    .unwrap()
                    .is_none()
            );
            let enough = Wanted {
                most_edges: n,
                ..wanted
            };
            assert!(
                all_pairs(&codes, enough, kernel, &NoProgress, &cancel)
                    .unwrap()
                    .is_some()
            );
        }
    }

    #[test]
    fn stored_bounds_are_rounded_up_and_capped() {
        for bound in [-0.3, 0.0, 0.1, 0.449_999_99, 1.0, 1.04] {
            let stored = f64::from(Edge::new(7, 511, bound).bound());
            assert!(stored >= bound && stored < bound + 1e-6, "{bound} {stored}");
        }
        assert_eq!(Edge::new(0, 0, 7.0).bound(), 2.0);
        assert_eq!(Edge::new(3, 511, 0.5).column_and_bound >> BOUND_BITS, 511);
    }
}
