//! The system's BLAS as one more kernel: integers multiplied in single
//! precision. Built with the feature `blas` only; made for comparing.
//!
//! A row value is at most 255 and a column value at most 127 either way, so the
//! sum of 512 products is at most 16,581,120, below 2^24: every partial sum is
//! an integer that f32 holds exactly, in whatever order BLAS adds. Longer rows
//! are multiplied 512 values at a time and added as integers.

#![allow(
    clippy::inline_always,
    reason = "the loops must be compiled with the caller's target features"
)]

use std::cell::RefCell;

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};
// Links the library that `ndarray` was built to call.
use ndarray_linalg as _;

use super::wide::{Work, with_widest_vectors};
use super::{Block, GROUP, Kernel, Line, SIDE, column_blocks, portable::Portable};

/// Lines whose products an f32 sums exactly.
const EXACT_LINES: usize = 8;

/// Columns that are multiplied at a time.
const COLUMNS: usize = 512;

/// `sgemm` of whatever BLAS is linked.
#[derive(Debug)]
pub(super) struct Blas;

/// Codes as f32, and their products; kept between calls.
#[derive(Default)]
struct Floats {
    rows: Vec<f32>,
    columns: Vec<f32>,
    dots: Vec<f32>,
}

thread_local! {
    static FLOATS: RefCell<Floats> = RefCell::default();
}

impl Kernel for Blas {
    fn sweep(
        &self,
        rows: &[Line],
        columns: &[Line],
        k_lines: usize,
        sink: &mut dyn FnMut(usize, &Block),
    ) {
        column_blocks(rows, columns, k_lines);
        if k_lines == 0 {
            return;
        }
        let group_lines = GROUP * k_lines;
        let per_block = SIDE / GROUP;
        let mut blocks = vec![Block::ZERO; COLUMNS / SIDE];
        for (part, columns) in columns.chunks(COLUMNS / GROUP * group_lines).enumerate() {
            let n_columns = columns.len() / k_lines;
            let blocks = &mut blocks[..n_columns / SIDE];
            blocks.fill(Block::ZERO);
            for first in (0..k_lines).step_by(EXACT_LINES) {
                let lines = first..(first + EXACT_LINES).min(k_lines);
                FLOATS.with_borrow_mut(|floats| {
                    multiply(floats, rows, columns, k_lines, lines);
                    for (row, dots) in floats.dots.chunks_exact(n_columns).enumerate() {
                        for (at, dot) in dots.iter().enumerate() {
                            blocks[at / SIDE].0[row][at % SIDE] += *dot as i32;
                        }
                    }
                });
            }
            for (at, block) in blocks.iter().enumerate() {
                sink(part * COLUMNS / GROUP / per_block + at, block);
            }
        }
    }

    fn masks(&self, block: &Block, add: &[i32; SIDE], least: &[i32; SIDE]) -> [u32; SIDE] {
        Portable.masks(block, add, least)
    }
}

/// Products of 32 rows with columns over some of their lines, into `dots`.
fn multiply(
    floats: &mut Floats,
    rows: &[Line],
    columns: &[Line],
    k_lines: usize,
    lines: std::ops::Range<usize>,
) {
    let depth = 64 * lines.len();
    let n_columns = columns.len() / k_lines;
    floats.rows.resize(SIDE * depth, 0.0);
    floats.columns.resize(n_columns * depth, 0.0);
    floats.dots.resize(SIDE * n_columns, 0.0);
    with_widest_vectors(Widen {
        rows,
        columns,
        k_lines,
        lines,
        wide_rows: &mut floats.rows,
        wide_columns: &mut floats.columns,
    });
    let whole = "sized above";
    let a = ArrayView2::from_shape((SIDE, depth), &floats.rows).expect(whole);
    let b = ArrayView2::from_shape((n_columns, depth), &floats.columns).expect(whole);
    let mut c = ArrayViewMut2::from_shape((SIDE, n_columns), &mut floats.dots).expect(whole);
    general_mat_mul(1.0, &a, &b.t(), 0.0, &mut c);
}

/// Turns codes into f32, a row or column after the other.
struct Widen<'a> {
    rows: &'a [Line],
    columns: &'a [Line],
    k_lines: usize,
    lines: std::ops::Range<usize>,
    wide_rows: &'a mut [f32],
    wide_columns: &'a mut [f32],
}

impl Work for Widen<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let depth = 64 * self.lines.len();
        let rows = self.rows.chunks_exact(self.k_lines);
        for (row, wide) in rows.zip(self.wide_rows.chunks_exact_mut(depth)) {
            let lines = row[self.lines.clone()].iter();
            for (line, wide) in lines.zip(wide.as_chunks_mut::<64>().0) {
                for (value, wide) in line.0.iter().zip(wide) {
                    *wide = f32::from(*value);
                }
            }
        }
        // Line `4k` of a group holds four values of each of its 16 columns.
        let groups = self.columns.chunks_exact(GROUP * self.k_lines);
        let wide_groups = self.wide_columns.chunks_exact_mut(GROUP * depth);
        for (group, wide) in groups.zip(wide_groups) {
            let lines = &group[GROUP * self.lines.start..GROUP * self.lines.end];
            for (k, line) in lines.iter().enumerate() {
                for (column, four) in line.0.as_chunks::<4>().0.iter().enumerate() {
                    let wide = &mut wide[column * depth + 4 * k..][..4];
                    for (code, wide) in four.iter().zip(wide) {
                        *wide = f32::from(*code as i8);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KernelKind;

    #[test]
    fn this_build_has_it_but_never_prefers_it_to_vector_kernels() {
        assert!(KernelKind::Blas.is_available());
        assert!(KernelKind::Blas < KernelKind::Avx2 && KernelKind::Blas < KernelKind::NeonDot);
    }

    #[test]
    fn more_values_than_an_f32_sums_exactly_are_added_as_integers() {
        // 20 lines: two passes of 8 and one of 4; 33 columns of groups: two
        // parts. All values at their limits.
        let (k_lines, n_groups) = (20, 66);
        let rows = vec![Line([255; 64]); SIDE * k_lines];
        let columns = vec![Line([127; 64]); n_groups * GROUP * k_lines];
        let mut n_blocks = 0;
        Blas.sweep(&rows, &columns, k_lines, &mut |at, block| {
            assert_eq!(at, n_blocks);
            n_blocks += 1;
            let expected = 255 * 127 * 64 * k_lines as i32;
            assert!(block.0.iter().flatten().all(|&dot| dot == expected));
        });
        assert_eq!(n_blocks, n_groups / 2);
    }
}
