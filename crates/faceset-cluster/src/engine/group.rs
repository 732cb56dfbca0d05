//! A group of rows during a run, and the exact similarity of two groups.

use crate::Vectors;
use crate::dot::dot;
use crate::grid::GridSim;

/// What a group is compared by.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// A single row of the input.
    Row(u32),
    /// The sum of the unit rows of a larger group.
    Sum(Box<[f64]>),
}

/// A group of rows.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// Its node in the dendrogram: a point, or the number of rows plus the
    /// number of the merge that made it.
    pub(crate) node: u32,
    /// Its smallest point: breaks ties.
    pub(crate) first: u32,
    /// How many rows it holds.
    pub(crate) size: u32,
    pub(crate) body: Body,
}

impl Group {
    /// Group of the single point whose row is `row`.
    pub(crate) fn single(point: u32, row: u32) -> Self {
        Self {
            node: point,
            first: point,
            size: 1,
            body: Body::Row(row),
        }
    }

    /// Average similarity of the rows of two groups. Symmetric, and for given
    /// dendrograms of the two groups always the same bits.
    #[inline]
    pub(crate) fn similarity(&self, other: &Self, vectors: &Vectors<'_>) -> GridSim {
        let value = match (&self.body, &other.body) {
            (Body::Row(a), Body::Row(b)) => {
                return vectors.similarity(*a as usize, *b as usize);
            }
            (Body::Row(row), Body::Sum(sum)) => row_to_sum(vectors, *row, sum, other.size),
            (Body::Sum(sum), Body::Row(row)) => row_to_sum(vectors, *row, sum, self.size),
            (Body::Sum(a), Body::Sum(b)) => {
                dot(a, b) / (f64::from(self.size) * f64::from(other.size))
            }
        };
        GridSim::new(value)
    }

    /// The group of the rows of both; `node` is its node.
    pub(crate) fn merge(self, other: Self, node: u32, vectors: &Vectors<'_>) -> Self {
        let first = self.first.min(other.first);
        let size = self.size + other.size;
        // Addition of two sums commutes in its bits, so which side comes first
        // can't matter.
        let body = match (self.body, other.body) {
            (Body::Row(a), Body::Row(b)) => {
                let mut sum = vec![0.0; vectors.dim()].into_boxed_slice();
                add_row(&mut sum, vectors, a);
                add_row(&mut sum, vectors, b);
                sum
            }
            (Body::Row(row), Body::Sum(mut sum)) | (Body::Sum(mut sum), Body::Row(row)) => {
                add_row(&mut sum, vectors, row);
                sum
            }
            (Body::Sum(mut a), Body::Sum(b)) => {
                for (a, b) in a.iter_mut().zip(b) {
                    *a += b;
                }
                a
            }
        };
        Self {
            node,
            first,
            size,
            body: Body::Sum(body),
        }
    }
}

fn row_to_sum(vectors: &Vectors<'_>, row: u32, sum: &[f64], size: u32) -> f64 {
    let row = row as usize;
    dot(vectors.row(row), sum) * vectors.inverse_norm(row) / f64::from(size)
}

fn add_row(sum: &mut [f64], vectors: &Vectors<'_>, row: u32) {
    let scale = vectors.inverse_norm(row as usize);
    for (sum, &value) in sum.iter_mut().zip(vectors.row(row as usize)) {
        *sum += f64::from(value) * scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similarity_of_groups_is_the_average_over_pairs() {
        let rows = ndarray::array![[3.0f32, 4.0], [1.0, 0.0], [0.0, 2.0], [-4.0, 3.0]];
        let vectors = Vectors::new(rows.view()).unwrap();
        let one = |row: u32| Group::single(row, row);
        let pair = one(0).merge(one(1), 9, &vectors);
        let other = one(3).merge(one(2), 8, &vectors);
        assert_eq!((pair.node, pair.first, pair.size), (9, 0, 2));
        // Row 0 with rows 2 and 3: 0.8 and 0; row 1 with them: 0 and -0.8.
        assert_eq!(pair.similarity(&other, &vectors), GridSim::new(0.0));
        assert_eq!(one(2).similarity(&pair, &vectors), GridSim::new(0.4));
        assert_eq!(pair.similarity(&one(2), &vectors), GridSim::new(0.4));
        let three = pair.clone().merge(one(2), 10, &vectors);
        assert_eq!(
            three.similarity(&one(3), &vectors),
            GridSim::new(-0.8 / 3.0 + 0.6 / 3.0)
        );
    }
}
