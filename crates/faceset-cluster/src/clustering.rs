//! The result of a linkage run: labels, members, merges, and cuts below.
//!
//! Owns the numbering of groups and of dendrogram nodes. How merges are found
//! is [`crate::linkage`]'s business.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use faceset_core::CosineDistance;

use crate::ClusterError;
use crate::grid::GridSim;
use crate::union_find::UnionFind;

/// One step of the dendrogram.
///
/// Nodes are numbered as SciPy does: `0..n` are the rows, `n + k` is the group
/// made by the `k`-th merge of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merge {
    /// The smaller node number.
    pub a: u32,
    /// The larger node number.
    pub b: u32,
    /// Average distance between the rows of `a` and those of `b`, to 2^-40.
    pub distance: CosineDistance,
    /// Rows in the new group.
    pub size: u32,
}

/// Groups of rows, and the dendrogram below the threshold of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clustering {
    labels: Vec<u32>,
    starts: Vec<u32>,
    rows: Vec<u32>,
    merges: Vec<Merge>,
    threshold: CosineDistance,
}

impl Clustering {
    /// Group of every row. Groups are numbered by size, largest first, then by
    /// their smallest row.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Number of groups, those of one row included.
    pub fn n_clusters(&self) -> usize {
        self.starts.len() - 1
    }

    /// Rows of a group in ascending order; empty for a label that isn't used.
    pub fn members(&self, label: u32) -> &[u32] {
        let label = label as usize;
        if label >= self.n_clusters() {
            return &[];
        }
        &self.rows[self.starts[label] as usize..self.starts[label + 1] as usize]
    }

    /// The groups in label order.
    pub fn clusters(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        self.starts
            .windows(2)
            .map(|w| &self.rows[w[0] as usize..w[1] as usize])
    }

    /// Merges in the order in which average linkage makes them: nearest first.
    /// All lie below the threshold.
    pub fn merges(&self) -> &[Merge] {
        &self.merges
    }

    /// Distance below which groups were merged.
    pub fn threshold(&self) -> CosineDistance {
        self.threshold
    }

    /// What a run with a lower threshold gives, without the run: groups at
    /// `height` or above stay apart.
    ///
    /// # Errors
    /// [`ClusterError::CutTooHigh`] above the threshold of this run.
    pub fn cut(&self, height: CosineDistance) -> Result<Self, ClusterError> {
        if height > self.threshold {
            return Err(ClusterError::CutTooHigh {
                height: height.get(),
                threshold: self.threshold.get(),
            });
        }
        let least = GridSim::least_below(height);
        let kept = self
            .merges
            .partition_point(|m| GridSim::new(1.0 - m.distance.get()) >= least);
        Ok(Self::from_merges(
            self.labels.len(),
            self.merges[..kept].to_vec(),
            height,
        ))
    }

    /// Numbers the groups of `n_rows` rows after `merges`.
    fn from_merges(n_rows: usize, merges: Vec<Merge>, threshold: CosineDistance) -> Self {
        let mut sets = UnionFind::new(n_rows);
        // Any row of a node stands for it.
        let mut stands_for = Vec::with_capacity(merges.len());
        let row_of = |node: u32, made: &[u32]| match (node as usize).checked_sub(n_rows) {
            Some(merge) => made[merge],
            None => node,
        };
        for merge in &merges {
            let (a, b) = (row_of(merge.a, &stands_for), row_of(merge.b, &stands_for));
            sets.join(a, b);
            stands_for.push(a);
        }
        let roots: Vec<u32> = (0..n_rows as u32).map(|row| sets.root(row)).collect();
        let (labels, starts, rows) = number_groups(&roots);
        Self {
            labels,
            starts,
            rows,
            merges,
            threshold,
        }
    }

    /// Puts found merges into dendrogram order and numbers rows and groups.
    ///
    /// `found` is over points, that is positions in `order` (the canonical
    /// order of the rows), each merge after those that made its two sides.
    /// Returns with it the node that each found merge made.
    pub(crate) fn from_found(
        order: &[u32],
        found: &[FoundMerge],
        threshold: CosineDistance,
    ) -> (Self, Vec<u32>) {
        let n_rows = order.len();
        let mut maker: Vec<Option<u32>> = vec![None; found.len()];
        let mut waits_for = vec![0u8; found.len()];
        for (at, merge) in found.iter().enumerate() {
            for side in [merge.a, merge.b] {
                if let Some(made) = (side as usize).checked_sub(n_rows) {
                    maker[made] = Some(at as u32);
                    waits_for[at] += 1;
                }
            }
        }
        // Repeatedly take the nearest merge whose two sides exist: the order of
        // the textbook algorithm.
        let key = |at: usize| Reverse((Reverse(found[at].similarity), found[at].tie, at));
        let mut ready: BinaryHeap<_> = (0..found.len())
            .filter(|&at| waits_for[at] == 0)
            .map(key)
            .collect();
        let mut node_of_found = vec![0u32; found.len()];
        let mut size_of_found = vec![0u32; found.len()];
        let mut merges: Vec<Merge> = Vec::with_capacity(found.len());
        let mut height = CosineDistance::constant(0.0);
        while let Some(Reverse((_, _, at))) = ready.pop() {
            let side = |node: u32| match (node as usize).checked_sub(n_rows) {
                Some(made) => (node_of_found[made], size_of_found[made]),
                None => (order[node as usize], 1),
            };
            let ((a, size_a), (b, size_b)) = (side(found[at].a), side(found[at].b));
            // An average of distances is never below the smallest of them;
            // the maximum only guards against the last rounding.
            height = height.max(found[at].similarity.distance());
            node_of_found[at] = (n_rows + merges.len()) as u32;
            size_of_found[at] = size_a + size_b;
            merges.push(Merge {
                a: a.min(b),
                b: a.max(b),
                distance: height,
                size: size_a + size_b,
            });
            if let Some(next) = maker[at] {
                waits_for[next as usize] -= 1;
                if waits_for[next as usize] == 0 {
                    ready.push(key(next as usize));
                }
            }
        }
        debug_assert_eq!(merges.len(), found.len());
        let result = Self::from_merges(n_rows, merges, threshold);
        (result, node_of_found)
    }
}

/// A merge as the engine finds it: nodes over points, `n + k` for the `k`-th
/// entry of the engine's list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FoundMerge {
    pub(crate) a: u32,
    pub(crate) b: u32,
    pub(crate) similarity: GridSim,
    /// Smallest points of the two sides, the smaller first.
    pub(crate) tie: (u32, u32),
}

/// Numbers groups given as one root per row: by size descending, then by the
/// smallest row. Returns labels, group starts and the rows in label order.
pub(crate) fn number_groups(roots: &[u32]) -> (Vec<u32>, Vec<u32>, Vec<u32>) {
    let n = roots.len();
    // First row and size of each root.
    let mut first = vec![u32::MAX; n];
    let mut size = vec![0u32; n];
    for (row, &root) in roots.iter().enumerate() {
        first[root as usize] = first[root as usize].min(row as u32);
        size[root as usize] += 1;
    }
    let mut used: Vec<u32> = (0..n as u32).filter(|&r| size[r as usize] > 0).collect();
    used.sort_unstable_by_key(|&r| (Reverse(size[r as usize]), first[r as usize]));
    let mut label_of = vec![0u32; n];
    let mut starts = Vec::with_capacity(used.len() + 1);
    starts.push(0u32);
    for (label, &root) in used.iter().enumerate() {
        label_of[root as usize] = label as u32;
        starts.push(starts[label] + size[root as usize]);
    }
    let labels: Vec<u32> = roots.iter().map(|&r| label_of[r as usize]).collect();
    let mut next = starts.clone();
    let mut rows = vec![0u32; n];
    for (row, &label) in labels.iter().enumerate() {
        rows[next[label as usize] as usize] = row as u32;
        next[label as usize] += 1;
    }
    (labels, starts, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_numbered_by_size_then_first_row() {
        let (labels, starts, rows) = number_groups(&[5, 1, 4, 1, 4, 5, 6]);
        assert_eq!(labels, [0, 1, 2, 1, 2, 0, 3]);
        assert_eq!(starts, [0, 2, 4, 6, 7]);
        assert_eq!(rows, [0, 5, 1, 3, 2, 4, 6]);
        let (labels, ..) = number_groups(&[0, 1, 1]);
        assert_eq!(labels, [1, 0, 0]);
    }

    #[test]
    fn found_merges_are_put_in_order_and_renumbered() {
        let merge = |a, b, similarity, tie| FoundMerge {
            a,
            b,
            similarity: GridSim::new(similarity),
            tie,
        };
        // Points 0..4 are rows 3, 2, 1, 0. (0,1) at 0.5, then with 2 at 0.25;
        // the list has a nearer pair made later by another thread.
        let found = [
            merge(0, 1, 0.5, (0, 1)),
            merge(5, 2, 0.25, (0, 2)),
            merge(3, 4, 0.75, (3, 4)),
        ];
        let (result, made) =
            Clustering::from_found(&[3, 2, 1, 0, 4], &found, CosineDistance::constant(0.9));
        let merges: Vec<_> = result
            .merges()
            .iter()
            .map(|m| (m.a, m.b, m.distance.get(), m.size))
            .collect();
        assert_eq!(merges, [(0, 4, 0.25, 2), (2, 3, 0.5, 2), (1, 6, 0.75, 3)]);
        assert_eq!(made, [6, 7, 5]);
        assert_eq!(result.labels(), [1, 0, 0, 0, 1]);
        assert_eq!(result.members(0), [1, 2, 3]);
        assert!(result.members(2).is_empty());

        let cut = result.cut(CosineDistance::constant(0.75)).unwrap();
        assert_eq!(cut.labels(), [0, 2, 1, 1, 0], "equal distance stays apart");
        assert!(result.cut(CosineDistance::constant(0.91)).is_err());
    }
}
