//! DBSCAN and connected components: density instead of averages.
//!
//! Offered because photo servers group that way; average linkage separates
//! look-alikes better.

use std::cmp::Reverse;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::clustering::number_groups;
use crate::engine::group::Group;
use crate::engine::pairs;
use crate::engine::quant::Quantised;
use crate::grid::GridSim;
use crate::kernel::Kernel;
use crate::union_find::UnionFind;
use crate::{ClusterError, KernelKind, Vectors};
use faceset_core::{CancelToken, CosineDistance, Progress};

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
    let pairs = ClosePairs::new(vectors, least);
    progress.start("counting neighbours", Some(n as u64));
    let n_neighbours: Vec<AtomicU32> = (0..n).map(|_| AtomicU32::new(1)).collect();
    pairs.for_each(progress, cancel, &|found| {
        for (a, b, _) in found {
            n_neighbours[a as usize].fetch_add(1, Ordering::Relaxed);
            n_neighbours[b as usize].fetch_add(1, Ordering::Relaxed);
        }
    })?;
    progress.finish();
    let is_core = |row: u32| {
        n_neighbours[row as usize].load(Ordering::Relaxed) as usize >= options.min_points
    };
    let mut place = vec![0u32; n];
    for (at, &row) in vectors.canonical_order().iter().enumerate() {
        place[row as usize] = at as u32;
    }
    progress.start("connecting neighbours", Some(n as u64));
    // Joining sets and taking a maximum give the same result in any order.
    let shared = Mutex::new((UnionFind::new(n), vec![None; n]));
    pairs.for_each(progress, cancel, &|found| {
        let mut shared = shared
            .lock()
            .expect("nothing panics while holding the lock");
        let (sets, nearest_core) = &mut *shared;
        for (a, b, similarity) in found {
            let (border, core) = match (is_core(a), is_core(b)) {
                (true, true) => {
                    sets.join(a, b);
                    continue;
                }
                (true, false) => (b, a),
                (false, true) => (a, b),
                (false, false) => continue,
            };
            let offer = Some((similarity, Reverse(place[core as usize]), core));
            nearest_core[border as usize] = nearest_core[border as usize].max(offer);
        }
    })?;
    progress.finish();
    let (mut sets, nearest_core) = shared
        .into_inner()
        .expect("nothing panics while holding the lock");
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
    let sets = Mutex::new(UnionFind::new(vectors.len()));
    ClosePairs::new(vectors, GridSim::at(limit)).for_each(progress, cancel, &|found| {
        let mut sets = sets.lock().expect("nothing panics while holding the lock");
        for (a, b, _) in found {
            sets.join(a, b);
        }
    })?;
    progress.finish();
    let mut sets = sets
        .into_inner()
        .expect("nothing panics while holding the lock");
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

/// All pairs of rows at least as similar as `least`: the integer pass finds
/// candidates, each is then looked at exactly.
struct ClosePairs<'a> {
    vectors: &'a Vectors<'a>,
    codes: Quantised,
    kernel: &'static dyn Kernel,
    least: GridSim,
}

impl<'a> ClosePairs<'a> {
    fn new(vectors: &'a Vectors<'a>, least: GridSim) -> Self {
        let single = |row: u32| Group::single(row, row);
        let groups: Vec<Group> = (0..vectors.len() as u32).map(single).collect();
        let kernel = KernelKind::best_kernel();
        let codes = Quantised::new(&groups, vectors, kernel.max_code());
        Self {
            vectors,
            codes,
            kernel,
            least,
        }
    }

    /// Hands over all pairs, each once, in lists and in no order.
    fn for_each(
        &self,
        progress: &dyn Progress,
        cancel: &CancelToken,
        consume: &(dyn Fn(Vec<(u32, u32, GridSim)>) + Sync),
    ) -> Result<(), ClusterError> {
        let exact = |candidates: Vec<(u32, u32)>| {
            let similarity = |(a, b)| (a, b, self.vectors.similarity(a as usize, b as usize));
            let pairs = candidates.into_iter().map(similarity);
            consume(pairs.filter(|&(_, _, s)| s >= self.least).collect());
        };
        pairs::candidates(
            &self.codes,
            self.least,
            self.kernel,
            progress,
            cancel,
            &exact,
        )
    }
}

#[cfg(test)]
mod tests {
    use faceset_core::NoProgress;
    use ndarray::Array2;
    use proptest::prelude::*;

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

    /// Core rows share a group when connected; border rows take the nearest
    /// core row; all by looking at every pair.
    fn oracle(vectors: &Vectors<'_>, eps: f64, min_points: usize) -> Vec<Option<usize>> {
        let n = vectors.len();
        let distance = |a, b| vectors.similarity(a, b).distance().get();
        let near = |a: usize, b: usize| distance(a, b) <= eps;
        let core: Vec<bool> = (0..n)
            .map(|a| (0..n).filter(|&b| a == b || near(a, b)).count() >= min_points)
            .collect();
        let mut group: Vec<Option<usize>> = (0..n).map(|a| core[a].then_some(a)).collect();
        for _ in 0..n {
            for a in 0..n {
                for b in 0..n {
                    if core[a] && core[b] && near(a, b) {
                        group[a] = group[a].min(group[b]);
                    }
                }
            }
        }
        for a in (0..n).filter(|&a| !core[a]) {
            let nearest = (0..n)
                .filter(|&b| core[b] && near(a, b))
                .min_by(|&b, &c| distance(a, b).total_cmp(&distance(a, c)));
            group[a] = nearest.and_then(|b| group[b]);
        }
        group
    }

    proptest! {
        #[test]
        fn groups_are_those_of_the_definition(
            values in prop::collection::vec(-1.0f32..1.0, 30 * 3),
            eps in 0.01..0.4f64,
            min_points in 1usize..6,
        ) {
            let rows = Array2::from_shape_vec((30, 3), values).unwrap();
            prop_assume!(rows.outer_iter().all(|r| r.iter().any(|v| v.abs() > 1e-3)));
            let vectors = Vectors::new(rows.view()).unwrap();
            let options =
                DbscanOptions::new(CosineDistance::new(eps).unwrap(), min_points).unwrap();
            let found = dbscan(&vectors, &options, &NoProgress, &CancelToken::default()).unwrap();
            let expected = oracle(&vectors, eps, min_points);
            for a in 0..30 {
                prop_assert_eq!(found[a].is_none(), expected[a].is_none());
                for b in 0..30 {
                    prop_assert_eq!(found[a] == found[b], expected[a] == expected[b]);
                }
            }
        }
    }

    #[test]
    fn zero_min_points_is_refused() {
        assert!(DbscanOptions::new(CosineDistance::constant(0.5), 0).is_err());
    }
}
