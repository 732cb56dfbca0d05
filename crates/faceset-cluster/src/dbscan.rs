//! DBSCAN and connected components: density instead of averages.
//!
//! Offered because photo servers group that way; average linkage separates
//! look-alikes better.

use std::cmp::Reverse;

use faceset_core::{CancelToken, CosineDistance, Progress};
use rayon::prelude::*;

use crate::clustering::number_groups;
use crate::grid::GridSim;
use crate::union_find::UnionFind;
use crate::{ClusterError, Vectors};

/// Checked options of [`dbscan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DbscanOptions {
    eps: CosineDistance,
    min_points: usize,
}

impl DbscanOptions {
    /// The values that Immich's workflow document names: 0.6 and 3.
    pub const DOC: Self = Self {
        eps: CosineDistance::constant(0.6),
        min_points: 3,
    };
    /// The values of an Immich server: 0.5 and 3.
    pub const IMMICH: Self = Self {
        eps: CosineDistance::constant(0.5),
        min_points: 3,
    };

    /// Rows at most `eps` apart are neighbours (equal is one); a row with at
    /// least `min_points` neighbours, **itself included**, is a core row.
    ///
    /// # Errors
    /// [`ClusterError::Option`] when `min_points` is 0.
    pub fn new(eps: CosineDistance, min_points: usize) -> Result<Self, ClusterError> {
        if min_points == 0 {
            return Err(ClusterError::Option {
                name: "min_points",
                expected: "a number from 1, as the row itself counts",
            });
        }
        Ok(Self { eps, min_points })
    }

    /// The radius.
    pub fn eps(&self) -> CosineDistance {
        self.eps
    }

    /// The count, the row itself included.
    pub fn min_points(&self) -> usize {
        self.min_points
    }
}

/// Groups rows by density: core rows within `eps` of each other share a group,
/// and a row that is not core joins the group of its **nearest** core row
/// within `eps`. `None` is noise.
///
/// scikit-learn gives such a border row to whichever group reaches it first in
/// row order; taking the nearest (then the canonically first, see
/// [`crate::linkage`]) is independent of the order and gives the same core
/// groups and the same noise. Groups are numbered by size, then by smallest
/// row.
///
/// # Errors
/// [`ClusterError::Cancelled`].
pub fn dbscan(
    vectors: &Vectors<'_>,
    options: &DbscanOptions,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Vec<Option<u32>>, ClusterError> {
    let n = vectors.len();
    let least = GridSim::at(options.eps);
    progress.start("counting neighbours", Some(n as u64));
    let pairs = close_pairs(vectors, least, progress, cancel)?;
    progress.finish();
    let mut n_neighbours = vec![1usize; n];
    for &(a, b, _) in &pairs {
        n_neighbours[a as usize] += 1;
        n_neighbours[b as usize] += 1;
    }
    let is_core = |row: u32| n_neighbours[row as usize] >= options.min_points;
    let mut place = vec![0u32; n];
    for (at, &row) in vectors.canonical_order().iter().enumerate() {
        place[row as usize] = at as u32;
    }
    let mut sets = UnionFind::new(n);
    let mut nearest_core: Vec<Option<(GridSim, Reverse<u32>, u32)>> = vec![None; n];
    for &(a, b, similarity) in &pairs {
        match (is_core(a), is_core(b)) {
            (true, true) => {
                sets.join(a, b);
            }
            (true, false) => {
                let offer = Some((similarity, Reverse(place[a as usize]), a));
                nearest_core[b as usize] = nearest_core[b as usize].max(offer);
            }
            (false, true) => {
                let offer = Some((similarity, Reverse(place[b as usize]), b));
                nearest_core[a as usize] = nearest_core[a as usize].max(offer);
            }
            (false, false) => {}
        }
    }
    let root: Vec<Option<u32>> = (0..n as u32)
        .map(|row| match nearest_core[row as usize] {
            _ if is_core(row) => Some(sets.root(row)),
            Some((_, _, core)) => Some(sets.root(core)),
            None => None,
        })
        .collect();
    Ok(number_some(&root))
}

/// Groups rows that are connected by steps of at most `limit`; equal connects.
/// One label per row, numbered by size, then by smallest row.
///
/// # Errors
/// [`ClusterError::Cancelled`].
pub fn connected_components(
    vectors: &Vectors<'_>,
    limit: CosineDistance,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Vec<u32>, ClusterError> {
    progress.start("connecting neighbours", Some(vectors.len() as u64));
    let pairs = close_pairs(vectors, GridSim::at(limit), progress, cancel)?;
    progress.finish();
    let mut sets = UnionFind::new(vectors.len());
    for &(a, b, _) in &pairs {
        sets.join(a, b);
    }
    let roots: Vec<u32> = (0..vectors.len() as u32)
        .map(|row| sets.root(row))
        .collect();
    Ok(number_groups(&roots).0)
}

/// Numbers the rows that have a root as if the others weren't there.
fn number_some(root: &[Option<u32>]) -> Vec<Option<u32>> {
    let n = root.len();
    let mut size = vec![0u32; n];
    let mut first = vec![u32::MAX; n];
    for (row, root) in root.iter().enumerate() {
        if let Some(root) = *root {
            size[root as usize] += 1;
            first[root as usize] = first[root as usize].min(row as u32);
        }
    }
    let mut used: Vec<u32> = (0..n as u32).filter(|&r| size[r as usize] > 0).collect();
    used.sort_unstable_by_key(|&r| (Reverse(size[r as usize]), first[r as usize]));
    let mut label = vec![0u32; n];
    for (at, &root) in used.iter().enumerate() {
        label[root as usize] = at as u32;
    }
    root.iter().map(|r| r.map(|r| label[r as usize])).collect()
}

/// All pairs of rows at least as similar as `least`, the smaller row first.
fn close_pairs(
    vectors: &Vectors<'_>,
    least: GridSim,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Vec<(u32, u32, GridSim)>, ClusterError> {
    let n = vectors.len();
    let lists: Vec<Vec<(u32, u32, GridSim)>> = (0..n)
        .into_par_iter()
        .map(|a| {
            if cancel.is_cancelled() {
                return Err(ClusterError::Cancelled);
            }
            progress.advance(1);
            Ok((a + 1..n)
                .map(|b| (a as u32, b as u32, vectors.similarity(a, b)))
                .filter(|&(_, _, similarity)| similarity >= least)
                .collect())
        })
        .collect::<Result<_, _>>()?;
    Ok(lists.concat())
}

#[cfg(test)]
mod tests {
    use faceset_core::NoProgress;
    use ndarray::Array2;

    use super::*;

    fn at_degrees(angles: &[f64]) -> Array2<f32> {
        let row = |d: &f64| [d.to_radians().cos() as f32, d.to_radians().sin() as f32];
        Array2::from(angles.iter().map(row).collect::<Vec<_>>())
    }

    fn labels(angles: &[f64], eps_deg: f64, min_points: usize) -> Vec<Option<u32>> {
        let rows = at_degrees(angles);
        let vectors = Vectors::new(rows.view()).unwrap();
        let eps = CosineDistance::new(1.0 - eps_deg.to_radians().cos()).unwrap();
        let options = DbscanOptions::new(eps, min_points).unwrap();
        dbscan(&vectors, &options, &NoProgress, &CancelToken::default()).unwrap()
    }

    #[test]
    fn the_row_itself_counts_towards_min_points() {
        assert_eq!(labels(&[0.0, 5.0, 90.0], 6.0, 2), [Some(0), Some(0), None]);
        assert_eq!(labels(&[0.0, 5.0, 90.0], 6.0, 3), [None, None, None]);
        assert_eq!(labels(&[0.0, 90.0], 6.0, 1), [Some(0), Some(1)]);
    }

    #[test]
    fn a_border_row_joins_its_nearest_core_row() {
        // Dense groups of four and six rows, a border row 7 degrees from the
        // smaller and 7.2 from the larger; with two neighbours it can't bridge.
        let angles = [0.0, 1.0, 2.0, 3.0, 10.0, 17.2, 18.0, 19.0, 20.0, 21.0, 22.0];
        let found = labels(&angles, 7.5, 4);
        assert_eq!(found[..5], [Some(1); 5]);
        assert_eq!(found[5..], [Some(0); 6]);
        let mut backwards = angles;
        backwards.reverse();
        let mut turned = labels(&backwards, 7.5, 4);
        turned.reverse();
        assert_eq!(found, turned);
    }

    #[test]
    fn equal_distance_is_a_neighbour() {
        let rows = ndarray::array![[1.0f32, 0.0], [3.0, 4.0]];
        let vectors = Vectors::new(rows.view()).unwrap();
        let components = |t| {
            let limit = CosineDistance::new(t).unwrap();
            connected_components(&vectors, limit, &NoProgress, &CancelToken::default()).unwrap()
        };
        assert_eq!(components(0.4), [0, 0]);
        assert_eq!(components(0.4 - 1e-9), [0, 1]);
    }

    #[test]
    fn components_chain_through_steps() {
        let rows = at_degrees(&[90.0, 0.0, 10.0, 20.0, 95.0]);
        let vectors = Vectors::new(rows.view()).unwrap();
        let limit = CosineDistance::new(1.0 - 11f64.to_radians().cos()).unwrap();
        let found = connected_components(&vectors, limit, &NoProgress, &CancelToken::default());
        assert_eq!(found.unwrap(), [1, 0, 0, 0, 1]);
    }

    #[test]
    fn zero_min_points_is_refused() {
        assert!(DbscanOptions::new(CosineDistance::constant(0.5), 0).is_err());
    }
}
