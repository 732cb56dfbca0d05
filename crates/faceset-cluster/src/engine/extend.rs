//! A finished run, carried on with more rows.
//!
//! Rung by rung: pairs of groups that the old run compared are taken from it,
//! only pairs with a group that it didn't have are computed, and
//! [`super::replay`] repeats the old merges where nothing has changed.

use faceset_core::{CancelToken, Progress};

use super::graph::RungLists;
use super::group::Group;
use super::pairs::{self, Wanted};
use super::quant::Quantised;
use super::replay::{self, NONE, OldMerge, OldPart};
use super::{Run, SavedRung};
use crate::clustering::FoundMerge;
use crate::grid::GridSim;
use crate::kernel::Kernel;
use crate::{ClusterError, Vectors};

/// The run that is carried on.
pub(crate) struct Old<'a> {
    pub(crate) n_rows: usize,
    pub(crate) merges: &'a [OldMerge],
    pub(crate) rungs: &'a [SavedRung],
    /// Similarity at which merging ends.
    pub(crate) goal: GridSim,
}

/// What came of it.
pub(crate) struct Extended {
    pub(crate) found: Vec<FoundMerge>,
    pub(crate) rungs: Vec<SavedRung>,
    /// Pairs of groups compared, and how many a full run on these rungs has.
    pub(crate) compared_pairs: (u64, u64),
    /// Groups that looked for their nearest neighbour themselves, and all.
    pub(crate) dirty_groups: (u64, u64),
}

/// Carries `old` on with all of `vectors`, of which the first are its rows.
pub(crate) fn extend(
    vectors: &Vectors<'_>,
    order: &[u32],
    old: &Old<'_>,
    kernel: &dyn Kernel,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Extended, ClusterError> {
    let n_old_nodes = old.n_rows + old.merges.len();
    let mut run = Run {
        vectors,
        n_points: order.len(),
        groups: Vec::with_capacity(order.len()),
        found: Vec::new(),
    };
    run.start(order, old.goal);
    let mut extended = Extended {
        found: Vec::new(),
        rungs: Vec::with_capacity(old.rungs.len()),
        compared_pairs: (0, 0),
        dirty_groups: (0, 0),
    };
    let mut old_nodes = old_nodes_at_start(&run, order, old);
    let mut done = 0;
    // A run ends early when one group is left; new rows may go on from there.
    let goes_on = old.rungs.last().is_none_or(|last| last.least > old.goal);
    let last = goes_on.then(|| SavedRung {
        least: old.goal,
        nodes: Vec::new(),
        lists: RungLists::default(),
    });
    let rungs: Vec<&SavedRung> = old.rungs.iter().chain(&last).collect();
    for (at, &rung) in rungs.iter().enumerate() {
        if cancel.is_cancelled() {
            return Err(ClusterError::Cancelled);
        }
        let arranged = Arranged::new(
            std::mem::take(&mut run.groups),
            &old_nodes,
            rung,
            n_old_nodes,
        );
        let n = arranged.groups.len();
        let n_dirty = n - arranged.n_clean;
        let pairs = |n: usize| (n * n.saturating_sub(1) / 2) as u64;
        extended.compared_pairs.0 += pairs(n) - pairs(arranged.n_clean);
        extended.compared_pairs.1 += pairs(n);
        progress.start("comparing new faces", Some(n_dirty as u64));
        let codes = Quantised::new(&arranged.groups, vectors, kernel.max_code());
        let wanted = Wanted {
            edge: rung.least,
            future: old.goal,
            most_edges: usize::MAX,
            first_column: arranged.n_clean,
        };
        let mut edges =
            pairs::all_pairs(&codes, wanted, kernel, progress, cancel)?.expect("no limit was set");
        drop(codes);
        progress.finish();
        let has_future = std::mem::take(&mut edges.has_future);
        let lists = RungLists::extended(&rung.lists, &arranged.now_at, n, &edges);
        drop(edges);

        progress.start("joining groups", None);
        let begin = done;
        done += old.merges[begin..].partition_point(|m| m.similarity >= rung.least);
        let nodes: Vec<u32> = arranged.groups.iter().map(|g| g.node).collect();
        let part = OldPart {
            merges: &old.merges[begin..done],
            first_node: (old.n_rows + begin) as u32,
            n_nodes: n_old_nodes,
        };
        let replayed = replay::run(
            arranged.groups,
            arranged.old_nodes,
            &lists,
            part,
            vectors,
            rung.least,
        );
        progress.finish();
        let looked = replayed.is_dirty.iter().filter(|&&dirty| dirty).count();
        extended.dirty_groups.0 += looked as u64;
        extended.dirty_groups.1 += replayed.is_dirty.len() as u64;

        let mut stays = vec![false; n_old_nodes];
        if let Some(next) = rungs.get(at + 1) {
            for &node in &next.nodes {
                stays[node as usize] = true;
            }
        }
        let kept = |id: usize| {
            let node = replayed.old_node[id];
            // Merged groups stay, and so do those that lost their partner.
            id >= n
                || has_future[id]
                || (node != NONE && (stays[node as usize] || replayed.is_dirty[id]))
        };
        run.take(replayed.outcome, &nodes, kept);
        old_nodes = vec![NONE; run.n_points + run.found.len()];
        let first_made = run.n_points + run.found.len() - (replayed.old_node.len() - n);
        for (id, &node) in replayed.old_node.iter().enumerate() {
            let now = id
                .checked_sub(n)
                .map_or_else(|| nodes[id], |made| (first_made + made) as u32);
            old_nodes[now as usize] = node;
        }
        let least = rung.least;
        extended.rungs.push(SavedRung {
            least,
            nodes,
            lists,
        });
    }
    extended.found = run.found;
    Ok(extended)
}

/// Per new node (points, then merges of equal rows) the old node of the same
/// rows, or [`NONE`].
fn old_nodes_at_start(run: &Run<'_>, order: &[u32], old: &Old<'_>) -> Vec<u32> {
    let mut parent = vec![NONE; old.n_rows + old.merges.len()];
    for (at, merge) in old.merges.iter().enumerate() {
        parent[merge.a as usize] = (old.n_rows + at) as u32;
        parent[merge.b as usize] = (old.n_rows + at) as u32;
    }
    let is_old = |row: u32| {
        if (row as usize) < old.n_rows {
            row
        } else {
            NONE
        }
    };
    let mut nodes: Vec<u32> = order.iter().map(|&row| is_old(row)).collect();
    for merge in &run.found {
        let up = |node: u32| match nodes[node as usize] {
            NONE => NONE,
            node => parent[node as usize],
        };
        let (a, b) = (up(merge.a), up(merge.b));
        nodes.push(if a == b { a } else { NONE });
    }
    nodes
}

/// Groups of a rung: first the clean ones, then the dirty ones.
struct Arranged {
    groups: Vec<Group>,
    /// Per group the old node, [`NONE`] for dirty ones.
    old_nodes: Vec<u32>,
    n_clean: usize,
    /// Per group of the old rung its place now.
    now_at: Vec<Option<u32>>,
}

impl Arranged {
    fn new(groups: Vec<Group>, old_nodes: &[u32], rung: &SavedRung, n_old_nodes: usize) -> Self {
        let mut place_in_old = vec![NONE; n_old_nodes];
        for (at, &node) in rung.nodes.iter().enumerate() {
            place_in_old[node as usize] = at as u32;
        }
        let place = |group: &Group| match old_nodes[group.node as usize] {
            NONE => NONE,
            node => place_in_old[node as usize],
        };
        let mut placed: Vec<(u32, Group)> = groups.into_iter().map(|g| (place(&g), g)).collect();
        // Clean ones in their old order, so that their lists are read forwards;
        // NONE sorts last.
        placed.sort_by_key(|&(place, _)| place);
        let n_clean = placed.partition_point(|&(place, _)| place != NONE);
        let mut now_at = vec![None; rung.nodes.len()];
        let mut old_of = Vec::with_capacity(placed.len());
        for (at, (place, _)) in placed.iter().enumerate() {
            if *place == NONE {
                old_of.push(NONE);
            } else {
                now_at[*place as usize] = Some(at as u32);
                old_of.push(rung.nodes[*place as usize]);
            }
        }
        Self {
            groups: placed.into_iter().map(|(_, group)| group).collect(),
            old_nodes: old_of,
            n_clean,
            now_at,
        }
    }
}
