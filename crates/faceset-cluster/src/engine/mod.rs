//! Exact average linkage in memory that grows with the rows, not their pairs.
//!
//! The dendrogram below a height depends only on pairs below that height. So
//! the work is cut into **rungs**: a pass over all pairs of groups finds those
//! that may be within the rung ([`pairs`], on small integers with a proven
//! bound from [`quant`]), [`graph`] splits them into components, [`chain`]
//! merges inside each with exact arithmetic ([`group`]), and the groups that
//! are left, far fewer, go into the next rung. Rungs are placed so that their
//! pairs fit a budget; where they lie can't change the result.

pub(crate) mod chain;
pub(crate) mod extend;
pub(crate) mod graph;
pub(crate) mod group;
pub(crate) mod pairs;
pub(crate) mod quant;
pub(crate) mod replay;

use faceset_core::{CancelToken, CosineDistance, Progress};
use rayon::prelude::*;

use self::graph::{Graph, RungLists};
use self::group::Group;
use self::pairs::{Edges, Wanted};
use self::quant::Quantised;
use crate::clustering::FoundMerge;
use crate::grid::GridSim;
use crate::kernel::Kernel;
use crate::{ClusterError, Vectors};

/// The smallest f32 that is not below `value`.
#[inline]
pub(crate) fn up(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) < value {
        near.next_up()
    } else {
        near
    }
}

/// What a run needs beside the rows.
pub(crate) struct Plan<'a> {
    /// Distance below which groups merge.
    pub(crate) threshold: CosineDistance,
    /// Pairs that may be held in memory at a time.
    pub(crate) edge_budget: usize,
    /// Rungs to climb before the threshold, ascending; empty: as the budget
    /// asks for.
    pub(crate) ladder: &'a [CosineDistance],
    pub(crate) kernel: &'a dyn Kernel,
}

/// What a later, larger run needs to know of one rung.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SavedRung {
    /// Everything at least this similar merged.
    pub(crate) least: GridSim,
    /// Nodes of the groups that the rung began with.
    pub(crate) nodes: Vec<u32>,
    /// Their neighbours within the rung, by position in `nodes`.
    pub(crate) lists: RungLists,
}

/// Finds all merges below the threshold. `order` is the canonical order; rungs
/// are pushed to `record` when given.
pub(crate) fn run(
    vectors: &Vectors<'_>,
    order: &[u32],
    plan: &Plan<'_>,
    mut record: Option<&mut Vec<SavedRung>>,
    progress: &dyn Progress,
    cancel: &CancelToken,
) -> Result<Vec<FoundMerge>, ClusterError> {
    let goal = GridSim::least_below(plan.threshold);
    let mut run = Run {
        vectors,
        n_points: order.len(),
        groups: Vec::with_capacity(order.len()),
        found: Vec::new(),
    };
    run.start(order, goal);
    let mut ladder = plan.ladder.iter().copied().map(GridSim::at);
    let mut reached = GridSim::new(1.0);
    while run.groups.len() > 1 && reached > goal {
        if cancel.is_cancelled() {
            return Err(ClusterError::Cancelled);
        }
        progress.start("comparing faces", Some(run.groups.len() as u64));
        let codes = Quantised::new(&run.groups, vectors, plan.kernel.max_code());
        let fixed = if plan.ladder.is_empty() {
            None
        } else {
            Some(
                ladder
                    .find(|&rung| rung < reached)
                    .unwrap_or(goal)
                    .max(goal),
            )
        };
        let search = Search {
            codes: &codes,
            goal,
            reached,
            plan,
        };
        let rung = fixed.unwrap_or_else(|| search.place_rung());
        let (rung, edges) = search.pass(rung, fixed.is_some(), progress, cancel)?;
        drop(codes);
        progress.finish();
        progress.start("joining groups", None);
        if let Some(rungs) = &mut record {
            rungs.push(SavedRung {
                least: rung,
                nodes: run.groups.iter().map(|g| g.node).collect(),
                lists: RungLists::new(run.groups.len(), &edges),
            });
        }
        run.climb(edges, rung);
        progress.finish();
        reached = rung;
    }
    Ok(run.found)
}

/// Similarity that a rung must gain at least; below it, lists longer than the
/// budget are accepted.
const LEAST_STEP: f64 = 0.005;

/// A rung this near to the threshold is the threshold.
const LAST_STEP: f64 = 0.02;

/// Sampled pairs that should lie within a rung: its share is then known to 10 %.
const SAMPLE_HITS: usize = 100;

/// Most pairs that are sampled.
const MOST_SAMPLES: usize = 400_000;

/// One rung's search for pairs.
struct Search<'a> {
    codes: &'a Quantised,
    goal: GridSim,
    reached: GridSim,
    plan: &'a Plan<'a>,
}

impl Search<'_> {
    /// Passes over all pairs; comes back to a nearer rung when there are more
    /// than the budget allows. A `fixed` rung is kept whatever it costs.
    fn pass(
        &self,
        mut rung: GridSim,
        fixed: bool,
        progress: &dyn Progress,
        cancel: &CancelToken,
    ) -> Result<(GridSim, Edges), ClusterError> {
        let mut most_edges = if fixed {
            usize::MAX
        } else {
            self.plan.edge_budget
        };
        loop {
            let wanted = Wanted {
                edge: rung,
                future: self.goal,
                most_edges,
                first_column: 0,
            };
            let found = pairs::all_pairs(self.codes, wanted, self.plan.kernel, progress, cancel)?;
            if let Some(edges) = found {
                return Ok((rung, edges));
            }
            let step = (self.reached.value() - rung.value()) / 2.0;
            if step < LEAST_STEP {
                most_edges = usize::MAX;
            } else {
                rung = GridSim::new(rung.value() + step);
            }
        }
    }

    /// The farthest rung whose pairs fit the budget, by a sample.
    fn place_rung(&self) -> GridSim {
        let n = self.codes.len();
        let n_pairs = n * (n - 1) / 2;
        let budget = self.plan.edge_budget.max(1);
        if n_pairs <= budget {
            return self.goal;
        }
        let n_samples = (n_pairs / budget + 1)
            .saturating_mul(SAMPLE_HITS)
            .min(MOST_SAMPLES);
        let mut bounds = self.codes.sample_bounds(n_samples);
        // Three quarters: the sample may err, and a pass that has to be
        // repeated costs more than a rung that is a little too short.
        let share = 0.75 * budget as f64 / n_pairs as f64;
        let within = (share * bounds.len() as f64) as usize;
        if within >= bounds.len() {
            return self.goal;
        }
        let (_, &mut least, _) = bounds.select_nth_unstable_by(within, |a, b| b.total_cmp(a));
        let farthest = self.reached.value() - LEAST_STEP;
        let rung = least.min(farthest);
        if rung < self.goal.value() + LAST_STEP {
            self.goal
        } else {
            GridSim::new(rung)
        }
    }
}

/// The state between rungs.
struct Run<'a> {
    vectors: &'a Vectors<'a>,
    n_points: usize,
    /// Groups that can still merge.
    groups: Vec<Group>,
    found: Vec<FoundMerge>,
}

impl Run<'_> {
    /// One group per distinct row: equal rows are merged at distance 0, which
    /// is below every threshold but 0.
    fn start(&mut self, order: &[u32], goal: GridSim) {
        let same = |a: u32, b: u32| self.vectors.row(a as usize) == self.vectors.row(b as usize);
        let merge_equal = goal <= GridSim::new(1.0);
        for (point, &row) in order.iter().enumerate() {
            let single = Group::single(point as u32, row);
            if !merge_equal || point == 0 || !same(order[point - 1], row) {
                self.groups.push(single);
                continue;
            }
            let equal = self.groups.pop().expect("the row before is in a group");
            let node = (self.n_points + self.found.len()) as u32;
            self.found.push(FoundMerge {
                a: equal.node,
                b: single.node,
                similarity: GridSim::new(1.0),
                tie: (equal.first, single.first),
            });
            self.groups.push(equal.merge(single, node, self.vectors));
        }
    }

    /// Merges everything at least `rung` similar and drops groups that have
    /// nobody within the threshold.
    fn climb(&mut self, mut edges: Edges, rung: GridSim) {
        let has_future = std::mem::take(&mut edges.has_future);
        let mut graph = Graph::new(self.groups.len(), edges);
        let mut slots: Vec<Option<Group>> = std::mem::take(&mut self.groups)
            .into_iter()
            .map(Some)
            .collect();
        let components = graph.components();
        let mut members: Vec<(&[u32], Vec<u32>)> = Vec::with_capacity(components.len());
        let mut tasks = Vec::with_capacity(components.len());
        for component in components {
            let groups: Vec<Group> = component
                .members
                .iter()
                .map(|&at| {
                    slots[at as usize]
                        .take()
                        .expect("a group is in one component")
                })
                .collect();
            members.push((component.members, groups.iter().map(|g| g.node).collect()));
            tasks.push((component, groups));
        }
        let outcomes: Vec<chain::Outcome> = tasks
            .into_par_iter()
            .with_max_len(1)
            .map(|(component, groups)| chain::run(component, groups, self.vectors, rung))
            .collect();
        let mut left = Vec::new();
        for (outcome, (members, nodes)) in outcomes.into_iter().zip(members) {
            let n_members = nodes.len();
            let kept = |id: usize| id >= n_members || has_future[members[id] as usize];
            self.take(outcome, &nodes, kept);
            left.append(&mut self.groups);
        }
        let alone = slots.into_iter().zip(&has_future);
        left.extend(alone.filter_map(|(slot, &future)| slot.filter(|_| future)));
        self.groups = left;
    }

    /// Takes over what a component came to: its merges, and those groups that
    /// are `kept`. `nodes` are the nodes of its members.
    fn take(&mut self, outcome: chain::Outcome, nodes: &[u32], kept: impl Fn(usize) -> bool) {
        let first_made = self.n_points + self.found.len();
        let node = |id: u32| match (id as usize).checked_sub(nodes.len()) {
            Some(made) => (first_made + made) as u32,
            None => nodes[id as usize],
        };
        self.found
            .extend(outcome.merges.iter().map(|merge| FoundMerge {
                a: node(merge.a),
                b: node(merge.b),
                similarity: merge.similarity,
                tie: merge.tie,
            }));
        let kept = outcome
            .left
            .into_iter()
            .filter(|&(id, _)| kept(id as usize));
        self.groups.extend(kept.map(|(id, group)| Group {
            node: node(id),
            ..group
        }));
    }
}
