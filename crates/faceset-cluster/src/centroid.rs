//! Centroids: the direction of a group, who belongs to it, which is nearest.
//!
//! A centroid here is the unit-length mean of unit-length rows. Values are
//! decided on the grid of [`crate::grid`], so equal distances are equal.

use std::cmp::Reverse;
use std::sync::Mutex;

use faceset_core::{CancelToken, CosineDistance, Progress};
use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::dot::{Element, dot};
use crate::engine::group::Group;
use crate::engine::pairs;
use crate::engine::quant::Quantised;
use crate::grid::GridSim;
use crate::{ClusterError, Index, KernelKind, Neighbour, Vectors};

/// Unit mean of some rows: each row is scaled to length 1, the mean to length 1.
///
/// The order of `members` does not matter beyond the last bits. `None` without
/// members or when they cancel out (a mean without direction).
pub fn unit_mean(vectors: &Vectors<'_>, members: &[u32]) -> Option<Vec<f32>> {
    direction(&unit_sum(vectors, members))
}

/// Sum of the unit rows.
fn unit_sum(vectors: &Vectors<'_>, members: &[u32]) -> Vec<f64> {
    let mut sum = vec![0.0; vectors.dim()];
    for &row in members {
        let scale = vectors.inverse_norm(row as usize);
        for (sum, &value) in sum.iter_mut().zip(vectors.row(row as usize)) {
            *sum += f64::from(value) * scale;
        }
    }
    sum
}

/// Below this length a sum of unit rows is rounding noise, not a direction.
const NO_DIRECTION: f64 = 1e-9;

fn direction(sum: &[f64]) -> Option<Vec<f32>> {
    let length = dot(sum, sum).sqrt();
    (length > NO_DIRECTION).then(|| sum.iter().map(|v| (v / length) as f32).collect())
}

/// Similarity of a row to a direction of any length but zero.
fn similarity<T: Element>(vectors: &Vectors<'_>, row: u32, to: &[T]) -> GridSim {
    let length = dot(to, to).sqrt();
    let scale = vectors.inverse_norm(row as usize) / length;
    GridSim::new(dot(vectors.row(row as usize), to) * scale)
}

/// Members at most `limit` away from `centroid`, in the given order; equal is
/// kept.
///
/// # Errors
/// [`ClusterError::Dimension`] when the centroid has another dimension.
pub fn members_within(
    vectors: &Vectors<'_>,
    members: &[u32],
    centroid: &[f32],
    limit: CosineDistance,
) -> Result<Vec<u32>, ClusterError> {
    check_dim(vectors.dim(), centroid.len())?;
    let least = GridSim::at(limit);
    let near = |&row: &u32| similarity(vectors, row, centroid) >= least;
    Ok(members.iter().copied().filter(near).collect())
}

/// What [`two_pass_members`] kept.
#[derive(Debug, Clone, PartialEq)]
pub struct TwoPass {
    /// Rows that passed both passes, in the given order.
    pub kept: Vec<u32>,
    /// Rows that a pass dropped, in the given order.
    pub dropped: Vec<u32>,
    /// Unit mean of the kept rows; `None` when nothing was kept or the mean has
    /// no direction.
    pub centroid: Option<Vec<f32>>,
}

/// Drops outliers twice: rows farther than `wide` from the mean of all, then
/// rows farther than `tight` from the mean of those left.
///
/// Equal is kept. The second pass looks only at survivors of the first. The
/// original's values are 0.55 and 0.45: bystanders on the photos of a folder
/// drop out in the first pass and no longer bend the mean in the second.
pub fn two_pass_members(
    vectors: &Vectors<'_>,
    members: &[u32],
    wide: CosineDistance,
    tight: CosineDistance,
) -> TwoPass {
    let mut kept = members.to_vec();
    for limit in [wide, tight] {
        let mean = unit_sum(vectors, &kept);
        if direction(&mean).is_none() {
            kept.clear();
        }
        let least = GridSim::at(limit);
        kept.retain(|&row| similarity(vectors, row, &mean) >= least);
    }
    let sorted = {
        let mut sorted = kept.clone();
        sorted.sort_unstable();
        sorted
    };
    let is_dropped = |row: &u32| sorted.binary_search(row).is_err();
    TwoPass {
        dropped: members.iter().copied().filter(is_dropped).collect(),
        centroid: unit_mean(vectors, &kept),
        kept,
    }
}

/// For each row of `queries` the nearest row of `centroids`: its number and
/// distance; `None` when there are no centroids. Among equally near centroids
/// the first wins. No limit is applied: "at most 0.45" is the caller's
/// comparison, and equal is a match in all of the original's rules.
///
/// # Errors
/// [`ClusterError::Dimension`] when the dimensions differ (and neither side is
/// empty).
pub fn nearest(
    queries: &Vectors<'_>,
    centroids: &Vectors<'_>,
) -> Result<Vec<Option<(u32, CosineDistance)>>, ClusterError> {
    let found = Index::new(centroids).top_k(queries, 1, &CancelToken::default())?;
    let first = |near: Vec<Neighbour>| near.first().map(|n| (n.row, n.distance));
    Ok(found.into_iter().map(first).collect())
}

/// For each row of `queries` every row of `centroids` that is at most `limit`
/// away, nearest first, and the nearest one whatever its distance; empty only
/// without centroids. Equally near centroids keep their order.
///
/// For rules that may refuse the nearest centroid and ask for the next one.
///
/// # Errors
/// [`ClusterError::Dimension`] when the dimensions differ (and neither side is
/// empty).
pub fn ranked(
    queries: &Vectors<'_>,
    centroids: &Vectors<'_>,
    limit: CosineDistance,
) -> Result<Vec<Vec<(u32, CosineDistance)>>, ClusterError> {
    if !queries.is_empty() && !centroids.is_empty() {
        check_dim(centroids.dim(), queries.dim())?;
    }
    let least = GridSim::at(limit);
    let rank = |query: usize| {
        let scale = queries.inverse_norm(query);
        let mut near: Vec<(GridSim, u32)> = Vec::new();
        let mut best: Option<(GridSim, u32)> = None;
        for at in 0..centroids.len() {
            let product = dot(queries.row(query), centroids.row(at));
            let found = (
                GridSim::new(product * (scale * centroids.inverse_norm(at))),
                at as u32,
            );
            if found.0 >= least {
                near.push(found);
            } else if best.is_none_or(|held| found.0 > held.0) {
                best = Some(found);
            }
        }
        if near.is_empty() {
            near.extend(best);
        }
        near.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        near.into_iter()
            .map(|(similarity, at)| (at, similarity.distance()))
            .collect()
    };
    Ok((0..queries.len()).into_par_iter().map(rank).collect())
}

/// Merges over-split groups: as long as the unit means of two groups are at
/// most `limit` apart, the nearest two become one group with the mean of all
/// their rows.
///
/// Equal merges. Ties go to the pair with the smaller group numbers. Returns
/// one list per remaining group, of indices into `groups`, ascending; the
/// lists are ordered by their first index. A group without rows or without a
/// direction (its rows cancel out) stays alone.
///
/// This is centroid linkage of the groups: a merged mean may come nearer to a
/// third group than either part was, and then takes it too.
///
/// # Errors
/// [`ClusterError::Cancelled`].
pub fn merge_close(
    vectors: &Vectors<'_>,
    groups: &[&[u32]],
    limit: CosineDistance,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Vec<Vec<u32>>, ClusterError> {
    let least = GridSim::at(limit);
    progress.start("merging over-split groups", Some(groups.len() as u64));
    let mut sums: Vec<Vec<f64>> = groups.par_iter().map(|g| unit_sum(vectors, g)).collect();
    let mut lengths: Vec<f64> = sums.iter().map(|s| dot(s, s).sqrt()).collect();
    let mut parts: Vec<Vec<u32>> = (0..groups.len() as u32).map(|g| vec![g]).collect();
    let mut alive: Vec<bool> = lengths.iter().map(|&l| l > NO_DIRECTION).collect();

    // Nearest later group of each group; entries go stale when a group changes
    // and are then searched again.
    let search = |at: usize, sums: &[Vec<f64>], lengths: &[f64], alive: &[bool], from: usize| {
        (from..sums.len())
            .filter(|&other| alive[other] && other != at)
            .map(|other| {
                let scale = lengths[at] * lengths[other];
                let similarity = GridSim::new(dot(&sums[at], &sums[other]) / scale);
                (similarity, Reverse(other))
            })
            .max()
    };
    let mut nearest = nearest_later(&sums, &lengths, &alive, least, progress, cancel)?;
    loop {
        if cancel.is_cancelled() {
            return Err(ClusterError::Cancelled);
        }
        let closest = (0..groups.len())
            .filter(|&at| alive[at])
            .filter_map(|at| {
                nearest[at].map(|(similarity, other)| (similarity, Reverse(at), other))
            })
            .max();
        let Some((similarity, Reverse(into), Reverse(gone))) = closest else {
            break;
        };
        if similarity < least {
            break;
        }
        // `into < gone` always: a group remembers later ones only.
        let taken = std::mem::take(&mut sums[gone]);
        for (sum, value) in sums[into].iter_mut().zip(taken) {
            *sum += value;
        }
        lengths[into] = dot(&sums[into], &sums[into]).sqrt();
        let moved = std::mem::take(&mut parts[gone]);
        parts[into].extend(moved);
        alive[gone] = false;
        alive[into] = lengths[into] > NO_DIRECTION;
        let changed: Vec<_> = (0..groups.len())
            .into_par_iter()
            .with_min_len(256)
            .map(|at| {
                if !alive[at] {
                    return None;
                }
                let stale = |other: usize| other == into || other == gone;
                if at == into || nearest[at].is_some_and(|(_, Reverse(other))| stale(other)) {
                    return search(at, &sums, &lengths, &alive, at + 1);
                }
                if at < into && alive[into] {
                    let scale = lengths[at] * lengths[into];
                    let similarity = GridSim::new(dot(&sums[at], &sums[into]) / scale);
                    return nearest[at].max(Some((similarity, Reverse(into))));
                }
                nearest[at]
            })
            .collect();
        nearest = changed;
        progress.advance(1);
    }
    progress.finish();
    let mut merged: Vec<Vec<u32>> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    for part in &mut merged {
        part.sort_unstable();
    }
    merged.sort_unstable();
    Ok(merged)
}

/// For each live group the nearest later one, if any is at least `least`
/// similar. The integer pass finds candidates, so that thousands of groups
/// don't mean millions of exact comparisons.
fn nearest_later(
    sums: &[Vec<f64>],
    lengths: &[f64],
    alive: &[bool],
    least: GridSim,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Vec<Nearest>, ClusterError> {
    /// More than rounding unit sums to f32 changes a similarity.
    const MARGIN: f64 = 1e-6;
    let live: Vec<usize> = (0..sums.len()).filter(|&at| alive[at]).collect();
    let dim = sums.first().map_or(0, Vec::len);
    let units: Vec<f32> = live
        .iter()
        .flat_map(|&at| sums[at].iter().map(move |v| (v / lengths[at]) as f32))
        .collect();
    let units = ArrayView2::from_shape((live.len(), dim), &units)
        .expect("one row of the vectors' dimension per live group");
    let units = Vectors::new(units)?;
    let rows: Vec<Group> = (0..live.len() as u32)
        .map(|at| Group::single(at, at))
        .collect();
    let kernel = KernelKind::best_kernel();
    let codes = Quantised::new(&rows, &units, kernel.max_code());
    let nearest = Mutex::new(vec![None; sums.len()]);
    let candidate = GridSim::new(least.value() - MARGIN);
    pairs::candidates(&codes, candidate, kernel, progress, cancel, &|candidates| {
        let exact = candidates.into_iter().map(|(a, b)| {
            let (a, b) = (live[a as usize], live[b as usize]);
            let scale = lengths[a] * lengths[b];
            (a, b, GridSim::new(dot(&sums[a], &sums[b]) / scale))
        });
        let near: Vec<_> = exact
            .filter(|&(_, _, similarity)| similarity >= least)
            .collect();
        let mut nearest = nearest
            .lock()
            .expect("nothing panics while holding the lock");
        for (a, b, similarity) in near {
            nearest[a] = nearest[a].max(Some((similarity, Reverse(b))));
        }
    })?;
    Ok(nearest
        .into_inner()
        .expect("nothing panics while holding the lock"))
}

/// Nearest group by similarity, then by number.
type Nearest = Option<(GridSim, Reverse<usize>)>;

pub(crate) fn check_dim(expected: usize, found: usize) -> Result<(), ClusterError> {
    if expected == found {
        Ok(())
    } else {
        Err(ClusterError::Dimension { expected, found })
    }
}

#[cfg(test)]
mod tests {
    use faceset_core::NoProgress;
    use ndarray::{Array2, array};
    use proptest::prelude::*;

    use super::*;

    fn distance(value: f64) -> CosineDistance {
        CosineDistance::new(value).unwrap()
    }

    #[test]
    fn each_row_counts_the_same_whatever_its_length() {
        let rows = array![[10.0f32, 0.0], [0.0, 0.1]];
        let vectors = Vectors::new(rows.view()).unwrap();
        let mean = unit_mean(&vectors, &[0, 1]).unwrap();
        let half = std::f32::consts::FRAC_1_SQRT_2;
        assert!((mean[0] - half).abs() < 1e-7 && (mean[1] - half).abs() < 1e-7);
    }

    #[test]
    fn ranked_lists_all_within_the_limit_and_else_the_nearest() {
        // Distances to the query: 0.4, 0.2, 0.4, 1.0.
        let query = array![[5.0f32, 0.0]];
        let to = array![[3.0f32, 4.0], [4.0, 3.0], [3.0, -4.0], [0.0, 1.0]];
        let query = Vectors::new(query.view()).unwrap();
        let to = Vectors::new(to.view()).unwrap();
        let order = |limit: f64| -> Vec<u32> {
            ranked(&query, &to, distance(limit)).unwrap()[0]
                .iter()
                .map(|(at, _)| *at)
                .collect()
        };
        assert_eq!(order(0.4), [1, 0, 2], "equal is within, ties in order");
        assert_eq!(order(0.39), [1]);
        assert_eq!(
            order(0.1),
            [1],
            "the nearest is told although it is too far"
        );
        let none = Array2::<f32>::zeros((0, 2));
        let none = Vectors::new(none.view()).unwrap();
        assert!(ranked(&query, &none, distance(0.4)).unwrap()[0].is_empty());
    }

    #[test]
    fn opposite_rows_have_no_mean() {
        let rows = array![[1.0f32, 0.0], [-2.0, 0.0]];
        let vectors = Vectors::new(rows.view()).unwrap();
        assert_eq!(unit_mean(&vectors, &[0, 1]), None);
        assert_eq!(unit_mean(&vectors, &[]), None);
        let passed = two_pass_members(&vectors, &[0, 1], distance(0.55), distance(0.45));
        assert_eq!(
            (passed.kept, passed.dropped, passed.centroid),
            (vec![], vec![0, 1], None)
        );
    }

    #[test]
    fn a_member_at_exactly_the_limit_is_kept() {
        let rows = array![[1.0f32, 0.0], [3.0, 4.0]];
        let vectors = Vectors::new(rows.view()).unwrap();
        // The second row is 1 - 0.6 = 0.4 from the first axis.
        let kept = |t| members_within(&vectors, &[1, 0], &[2.0, 0.0], distance(t)).unwrap();
        assert_eq!(kept(0.4), [1, 0]);
        assert_eq!(kept(0.4 - 1e-9), [0]);
        assert!(members_within(&vectors, &[0], &[1.0], distance(0.4)).is_err());
    }

    #[test]
    fn the_second_pass_sees_a_mean_without_the_bystander() {
        let degrees = |d: f64| [d.to_radians().cos() as f32, d.to_radians().sin() as f32];
        // Three at 0 degrees, one at 50, one at 120. The mean of all five lies
        // at 32 degrees: 120 is 1 - cos 88 = 0.97 away and goes, 50 stays. The
        // mean of four lies at 12 degrees: 50 is 1 - cos 38 = 0.21 away.
        let rows = Array2::from(vec![
            degrees(0.0),
            degrees(120.0),
            degrees(0.0),
            degrees(50.0),
            degrees(0.0),
        ]);
        let vectors = Vectors::new(rows.view()).unwrap();
        let all = [4, 3, 2, 1, 0];
        let loose = two_pass_members(&vectors, &all, distance(0.55), distance(0.45));
        assert_eq!(loose.kept, [4, 3, 2, 0]);
        assert_eq!(loose.dropped, [1]);
        let tight = two_pass_members(&vectors, &all, distance(0.55), distance(0.15));
        assert_eq!(tight.kept, [4, 2, 0]);
        assert_eq!(tight.dropped, [3, 1]);
        assert!((tight.centroid.unwrap()[0] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_first_of_equally_near_centroids_wins() {
        let centroids = array![[0.0f32, 1.0], [1.0, 0.0], [5.0, 0.0]];
        let queries = array![[2.0f32, 0.0], [1.0, 1.0]];
        let (centroids, queries) = (
            Vectors::new(centroids.view()).unwrap(),
            Vectors::new(queries.view()).unwrap(),
        );
        let found = nearest(&queries, &centroids).unwrap();
        assert_eq!(found[0], Some((1, distance(0.0))));
        assert_eq!(found[1].unwrap().0, 0);
        let none = Array2::zeros((0, 0));
        let none = Vectors::new(none.view()).unwrap();
        assert_eq!(nearest(&queries, &none).unwrap(), [None, None]);
        let wide = array![[1.0f32, 0.0, 0.0]];
        assert!(nearest(&queries, &Vectors::new(wide.view()).unwrap()).is_err());
    }

    fn merged(rows: &Array2<f32>, groups: &[&[u32]], limit: f64) -> Vec<Vec<u32>> {
        let vectors = Vectors::new(rows.view()).unwrap();
        let cancel = CancelToken::default();
        merge_close(&vectors, groups, distance(limit), &NoProgress, &cancel).unwrap()
    }

    #[test]
    fn groups_at_exactly_the_limit_merge() {
        let rows = array![[1.0f32, 0.0], [3.0, 4.0]];
        assert_eq!(merged(&rows, &[&[0], &[1]], 0.4), [[0, 1]]);
        assert_eq!(merged(&rows, &[&[0], &[1]], 0.39), [[0], [1]]);
    }

    #[test]
    fn a_merged_mean_can_reach_a_group_that_neither_part_reached() {
        // Three axes of equal angle: each pair is 0.4 apart, the mean of two
        // is nearer than that to the third.
        let rows = array![
            [1.0f32, 0.5, 0.5],
            [0.5, 1.0, 0.5],
            [0.5, 0.5, 1.0],
            [-1.0, 0.0, 0.0]
        ];
        let pair = 1.0 - 1.25 / 1.5;
        assert_eq!(
            merged(&rows, &[&[3], &[0], &[1], &[2]], pair),
            [vec![0], vec![1, 2, 3]]
        );
        assert_eq!(merged(&rows, &[&[3], &[0], &[], &[2]], 0.01).len(), 4);
    }

    proptest! {
        #[test]
        fn merging_equals_the_slow_loop(
            values in prop::collection::vec(-1.0f32..1.0, 12 * 3),
            limit in 0.05..0.9f64,
        ) {
            let rows = Array2::from_shape_vec((12, 3), values).unwrap();
            prop_assume!(rows.outer_iter().all(|r| r.iter().any(|v| v.abs() > 1e-3)));
            let groups: Vec<Vec<u32>> = (0..6).map(|g| vec![g * 2, g * 2 + 1]).collect();
            let views: Vec<&[u32]> = groups.iter().map(Vec::as_slice).collect();
            let vectors = Vectors::new(rows.view()).unwrap();

            let mut slow: Vec<(Vec<u32>, Vec<u32>)> =
                (0..6u32).map(|g| (vec![g], groups[g as usize].clone())).collect();
            loop {
                let mut best: Option<(f64, usize, usize)> = None;
                for i in 0..slow.len() {
                    for j in i + 1..slow.len() {
                        let (a, b) = (unit_sum(&vectors, &slow[i].1), unit_sum(&vectors, &slow[j].1));
                        let d = 1.0 - dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();
                        if d <= limit && best.is_none_or(|(least, ..)| d < least) {
                            best = Some((d, i, j));
                        }
                    }
                }
                let Some((_, i, j)) = best else { break };
                let (parts, members) = slow.remove(j);
                slow[i].0.extend(parts);
                slow[i].1.extend(members);
            }
            let mut expected: Vec<Vec<u32>> = slow.into_iter().map(|(mut p, _)| { p.sort_unstable(); p }).collect();
            expected.sort_unstable();
            prop_assert_eq!(merged(&rows, &views, limit), expected);
        }
    }
}
