//! The rows, checked once at the door.
//!
//! Owns what a comparable row is, the exact similarity of two rows, and the
//! canonical order that makes results independent of the order of the input.

use std::borrow::Cow;

use ndarray::{ArrayView1, ArrayView2};
use rayon::prelude::*;

use crate::dot::dot;
use crate::grid::GridSim;
use crate::{ClusterError, RowProblem};

/// Most rows that one run can number; above it the node numbers of a
/// dendrogram (rows and merges) would leave 32 bits.
pub const MAX_ROWS: usize = (u32::MAX / 2) as usize;

/// Most values a row; dot products of codes then fit 32 bits.
pub const MAX_DIM: usize = 65_536;

/// Rows that have a direction: one vector each, finite, not all zero.
///
/// They need not be of unit length; lengths never matter to a cosine distance.
#[derive(Debug, Clone)]
pub struct Vectors<'a> {
    /// Row by row.
    values: Cow<'a, [f32]>,
    n_rows: usize,
    dim: usize,
    inverse_norms: Vec<f64>,
}

impl<'a> Vectors<'a> {
    /// Checks every row. No rows at all is fine; copies only when the view is
    /// not in row-major order.
    ///
    /// # Errors
    /// [`ClusterError::UnusableRow`] for NaN, infinities and rows of zeros,
    /// [`ClusterError::NoDimensions`], [`ClusterError::TooManyDimensions`],
    /// [`ClusterError::TooManyRows`].
    pub fn new(rows: ArrayView2<'a, f32>) -> Result<Self, ClusterError> {
        if rows.ncols() == 0 && rows.nrows() > 0 {
            return Err(ClusterError::NoDimensions);
        }
        if rows.ncols() > MAX_DIM {
            return Err(ClusterError::TooManyDimensions {
                dim: rows.ncols(),
                max: MAX_DIM,
            });
        }
        if rows.nrows() > MAX_ROWS {
            return Err(ClusterError::TooManyRows {
                n_rows: rows.nrows(),
                max: MAX_ROWS,
            });
        }
        let (n_rows, dim) = rows.dim();
        let values = match rows.to_slice() {
            Some(values) => Cow::Borrowed(values),
            None => Cow::Owned(rows.iter().copied().collect()),
        };
        let norms: Vec<Result<f64, RowProblem>> = values
            .par_chunks_exact(dim.max(1))
            .map(inverse_norm)
            .collect();
        if let Some((row, &Err(problem))) = norms.iter().enumerate().find(|(_, n)| n.is_err()) {
            return Err(ClusterError::UnusableRow {
                row,
                problem,
                n_unusable: norms.iter().filter(|n| n.is_err()).count(),
            });
        }
        let inverse_norms = norms.into_iter().filter_map(Result::ok).collect();
        Ok(Self {
            values,
            n_rows,
            dim,
            inverse_norms,
        })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.n_rows
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values in a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The values of a row, as given.
    #[inline]
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.dim..][..self.dim]
    }

    /// The values of several rows, one after the other.
    pub(crate) fn rows(&self, rows: std::ops::Range<usize>) -> &[f32] {
        &self.values[rows.start * self.dim..rows.end * self.dim]
    }

    /// One over the length of a row.
    #[inline]
    pub fn inverse_norm(&self, row: usize) -> f64 {
        self.inverse_norms[row]
    }

    /// Exact similarity of two rows.
    #[inline]
    pub fn similarity(&self, a: usize, b: usize) -> GridSim {
        let scale = self.inverse_norms[a] * self.inverse_norms[b];
        GridSim::new(dot(self.row(a), self.row(b)) * scale)
    }

    /// Row numbers in canonical order: by content (the bit patterns of the
    /// values, from the first), equal rows by number. Ties are broken by the
    /// position in this order, never by the position in the input.
    pub(crate) fn canonical_order(&self) -> Vec<u32> {
        let bits = |row: u32| self.row(row as usize).iter().map(|v| v.to_bits());
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.par_sort_unstable_by(|&a, &b| bits(a).cmp(bits(b)).then_with(|| a.cmp(&b)));
        order
    }
}

/// All rows that [`Vectors::new`] would refuse, in order, with the reason.
pub fn unusable_rows(rows: ArrayView2<'_, f32>) -> Vec<(usize, RowProblem)> {
    let problem = |row: ArrayView1<'_, f32>| match row.as_slice() {
        Some(values) => inverse_norm(values).err(),
        None => inverse_norm(&row.to_vec()).err(),
    };
    rows.outer_iter()
        .enumerate()
        .filter_map(|(row, values)| problem(values).map(|p| (row, p)))
        .collect()
}

/// One over the length; squares of any f32 fit f64, so only NaN, infinities
/// and zeros fail.
pub(crate) fn inverse_norm(values: &[f32]) -> Result<f64, RowProblem> {
    let square = dot(values, values);
    if !square.is_finite() {
        Err(RowProblem::NotFinite)
    } else if square == 0.0 {
        Err(RowProblem::Zero)
    } else {
        Ok(1.0 / square.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn rows_without_a_direction_are_named_and_counted() {
        let rows = array![
            [1.0f32, 2.0],
            [f32::NAN, 0.0],
            [0.0, 0.0],
            [f32::INFINITY, 1.0]
        ];
        let error = Vectors::new(rows.view()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "use row 1: it holds a value that is not a finite number (3 such rows in all)"
        );
        assert_eq!(
            unusable_rows(rows.view()),
            [
                (1, RowProblem::NotFinite),
                (2, RowProblem::Zero),
                (3, RowProblem::NotFinite)
            ]
        );
    }

    #[test]
    fn the_largest_and_smallest_numbers_have_a_direction() {
        let rows = array![[f32::MAX, 0.0], [f32::from_bits(1), 0.0]];
        let vectors = Vectors::new(rows.view()).unwrap();
        assert_eq!(vectors.similarity(0, 1), GridSim::new(1.0));
    }

    #[test]
    fn empty_input_is_fine_but_empty_rows_are_not() {
        assert!(
            Vectors::new(ndarray::Array2::zeros((0, 4)).view())
                .unwrap()
                .is_empty()
        );
        assert!(
            Vectors::new(ndarray::Array2::zeros((0, 0)).view())
                .unwrap()
                .is_empty()
        );
        assert!(matches!(
            Vectors::new(ndarray::Array2::zeros((2, 0)).view()),
            Err(ClusterError::NoDimensions)
        ));
    }

    #[test]
    fn a_transposed_view_reads_the_same_values() {
        let columns = array![[1.0f32, 3.0], [2.0, 4.0], [5.0, 6.0]];
        let vectors = Vectors::new(columns.t()).unwrap();
        assert_eq!(vectors.row(1), [3.0, 4.0, 6.0]);
        assert_eq!(vectors.len(), 2);
    }

    #[test]
    fn canonical_order_follows_content_not_position() {
        let rows = array![[2.0f32, 1.0], [1.0, 5.0], [2.0, 0.5], [1.0, 5.0]];
        let vectors = Vectors::new(rows.view()).unwrap();
        assert_eq!(vectors.canonical_order(), [1, 3, 2, 0]);
    }
}
