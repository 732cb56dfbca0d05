//! Nearest-neighbour chain over one component, with lazily tightened bounds.
//!
//! A chain of groups, each the nearest neighbour of the one before, ends in
//! two groups that are each other's nearest; those merge. As averages never
//! come nearer than the nearer part, any such pair may merge at any time and
//! the dendrogram stays that of the textbook algorithm.
//!
//! Exact similarities are dear (a dot product of 512 doubles), so each group
//! keeps a list of neighbours with **upper bounds**, and only those are
//! evaluated that could still be the nearest. With `least` the smallest
//! similarity that may merge in this rung, for two live groups A and B:
//!
//! 1. If B's own number is in A's list, its bound is at least `sim(A, B)`.
//! 2. Otherwise `sim(A, B)` is at most the largest of `least` and the bounds
//!    of the entries that name parts of B: B's similarity is the average of
//!    its parts', and a part that isn't listed is below `least`.
//!
//! From 2: an entry below `least` may be dropped at any time; but when lists
//! are combined, a bound that was tightened to below `least` for a *part* of B
//! says nothing about B, and counts as `least`.

use super::graph::{Component, Entry};
use super::group::Group;
use crate::Vectors;
use crate::grid::GridSim;

/// A merge by numbers within the component: `0..members` are the members, then
/// the merges in order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalMerge {
    pub(crate) a: u32,
    pub(crate) b: u32,
    pub(crate) similarity: GridSim,
    pub(crate) tie: (u32, u32),
}

/// What a component came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) merges: Vec<LocalMerge>,
    /// Groups that are left, with their numbers.
    pub(crate) left: Vec<(u32, Group)>,
}

/// Neighbours of a group: borrowed from the graph, or own after a merge.
#[derive(Debug)]
enum List<'a> {
    Borrowed(&'a mut [Entry]),
    Owned(Vec<Entry>),
}

impl List<'_> {
    const NONE: Self = Self::Owned(Vec::new());

    fn as_slice(&self) -> &[Entry] {
        match self {
            Self::Borrowed(entries) => entries,
            Self::Owned(entries) => entries,
        }
    }

    fn as_mut_slice(&mut self) -> &mut [Entry] {
        match self {
            Self::Borrowed(entries) => entries,
            Self::Owned(entries) => entries,
        }
    }

    fn truncate(&mut self, len: usize) {
        match self {
            Self::Borrowed(entries) => *entries = &mut std::mem::take(entries)[..len],
            Self::Owned(entries) => entries.truncate(len),
        }
    }
}

/// Where a group was last seen while a list is walked.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    walk: u32,
    at: u32,
}

struct Chain<'a> {
    vectors: &'a Vectors<'a>,
    least: GridSim,
    /// `least` as a bound, rounded up.
    least_bound: f32,
    n_members: usize,
    groups: Vec<Option<Group>>,
    parent: Vec<u32>,
    lists: Vec<List<'a>>,
    merges: Vec<LocalMerge>,
    seen: Vec<Seen>,
    walk: u32,
}

/// Merges everything in a component that is at least `least` similar.
///
/// `groups` are the component's members in order.
pub(crate) fn run(
    component: Component<'_>,
    groups: Vec<Group>,
    vectors: &Vectors<'_>,
    least: GridSim,
) -> Outcome {
    let n_members = component.members.len();
    let most = 2 * n_members - 1;
    let mut lists = Vec::with_capacity(most);
    let (mut rest, mut start) = (component.entries, 0);
    for &end in component.ends {
        let (list, later) = rest.split_at_mut(end - start);
        lists.push(List::Borrowed(list));
        (rest, start) = (later, end);
    }
    let mut parent: Vec<u32> = Vec::with_capacity(most);
    parent.extend(0..n_members as u32);
    let mut owned = Vec::with_capacity(most);
    owned.extend(groups.into_iter().map(Some));
    let mut chain = Chain {
        vectors,
        least,
        least_bound: super::up(least.value()),
        n_members,
        groups: owned,
        parent,
        lists,
        merges: Vec::new(),
        seen: vec![Seen::default(); most],
        walk: 0,
    };
    chain.merge_all();
    let left = chain.groups.into_iter().enumerate();
    Outcome {
        merges: chain.merges,
        left: left
            .filter_map(|(id, group)| Some((id as u32, group?)))
            .collect(),
    }
}

impl Chain<'_> {
    fn merge_all(&mut self) {
        // Groups still to start from. Every live group is either here, on the
        // stack, or proven to have nobody within the rung.
        let mut pending: Vec<u32> = (0..self.n_members as u32).rev().collect();
        // Each with its similarity to the one before.
        let mut stack: Vec<(u32, GridSim)> = Vec::new();
        loop {
            let Some(&(top, to_previous)) = stack.last() else {
                let Some(start) = pending.pop() else { break };
                if self.groups[start as usize].is_some() {
                    stack.push((start, GridSim::NONE));
                }
                continue;
            };
            let previous = stack
                .len()
                .checked_sub(2)
                .map(|at| (stack[at].0, to_previous));
            match self.nearest(top, previous) {
                Some((_, similarity)) if similarity < self.least => {
                    stack.clear();
                }
                None => stack.clear(),
                Some((nearest, similarity)) if previous.is_some_and(|(id, _)| id == nearest) => {
                    stack.truncate(stack.len() - 2);
                    pending.push(self.merge(nearest, top, similarity));
                }
                Some(next) => stack.push(next),
            }
        }
    }

    /// The live group that a number's rows are in now.
    fn root(&mut self, mut id: u32) -> u32 {
        while self.parent[id as usize] != id {
            let grandparent = self.parent[self.parent[id as usize] as usize];
            self.parent[id as usize] = grandparent;
            id = grandparent;
        }
        id
    }

    /// Nearest neighbour of `top` by similarity, then by first point, if any
    /// is within the rung (a result below `least` means there is none).
    /// `previous` is a neighbour whose similarity is known.
    fn nearest(&mut self, top: u32, previous: Option<(u32, GridSim)>) -> Option<(u32, GridSim)> {
        let mut list = std::mem::replace(&mut self.lists[top as usize], List::NONE);
        let len = self.refresh(top, list.as_mut_slice());
        list.truncate(len);
        let entries = list.as_mut_slice();

        let me = self.groups[top as usize]
            .as_ref()
            .expect("the top of the chain is live");
        let group = |id: u32| {
            let group = self.groups[id as usize].as_ref();
            group.expect("a refreshed list names live groups")
        };
        let mut best = previous;
        let mut evaluate = |entry: &mut Entry| {
            if previous.is_some_and(|(id, _)| id == entry.id) {
                return;
            }
            // Skipped only when it can't even tie.
            let reach = best.map_or(self.least, |(_, s)| s.max(self.least));
            if f64::from(entry.bound) < reach.value() {
                return;
            }
            let other = group(entry.id);
            let similarity = me.similarity(other, self.vectors);
            debug_assert!(
                similarity.value() <= f64::from(entry.bound),
                "{similarity:?} exceeds its bound {}",
                entry.bound
            );
            entry.bound = super::up(similarity.value());
            let nearer = |(id, known): (u32, GridSim)| {
                similarity > known || (similarity == known && other.first < group(id).first)
            };
            if best.is_none_or(nearer) {
                best = Some((entry.id, similarity));
            }
        };
        // The most promising first: it usually settles the others.
        let promising =
            (0..entries.len()).max_by(|&a, &b| entries[a].bound.total_cmp(&entries[b].bound));
        if let Some(at) = promising {
            evaluate(&mut entries[at]);
        }
        entries.iter_mut().for_each(evaluate);
        self.lists[top as usize] = list;
        best
    }

    /// Brings a list up to date: live groups only, each once, none proven to be
    /// below the rung. Returns its new length.
    fn refresh(&mut self, top: u32, entries: &mut [Entry]) -> usize {
        self.walk += 1;
        let mut kept = 0;
        for at in 0..entries.len() {
            let mut entry = entries[at];
            if entry.bound < self.least_bound {
                continue;
            }
            entry.id = self.root(entry.id);
            if entry.id == top {
                continue;
            }
            // A member of the component is listed once from the start; only
            // merged groups can be reached by several entries.
            if entry.id as usize >= self.n_members {
                let seen = &mut self.seen[entry.id as usize];
                if seen.walk == self.walk {
                    let earlier = &mut entries[seen.at as usize].bound;
                    *earlier = earlier.max(entry.bound);
                    continue;
                }
                *seen = Seen {
                    walk: self.walk,
                    at: kept as u32,
                };
            }
            entries[kept] = entry;
            kept += 1;
        }
        kept
    }

    /// Merges two groups and combines their lists; returns the new number.
    fn merge(&mut self, a: u32, b: u32, similarity: GridSim) -> u32 {
        let id = self.parent.len() as u32;
        let take = |group: &mut Option<Group>| group.take().expect("merged groups are live");
        let group_a = take(&mut self.groups[a as usize]);
        let group_b = take(&mut self.groups[b as usize]);
        let sizes = [group_a.size, group_b.size].map(f64::from);
        self.merges.push(LocalMerge {
            a,
            b,
            similarity,
            tie: (
                group_a.first.min(group_b.first),
                group_a.first.max(group_b.first),
            ),
        });
        self.groups
            .push(Some(group_a.merge(group_b, id, self.vectors)));
        self.parent.push(id);
        self.parent[a as usize] = id;
        self.parent[b as usize] = id;
        let list = self.combine(id, [a, b], sizes);
        self.lists.push(List::Owned(list));
        id
    }

    /// The list of the union of `parts`: bounds are averages of the parts'
    /// bounds, where a group that a part doesn't list is below `least`.
    fn combine(&mut self, id: u32, parts: [u32; 2], sizes: [f64; 2]) -> Vec<Entry> {
        self.walk += 1;
        let mut found: Vec<(u32, [f32; 2])> = Vec::new();
        for (which, part) in parts.into_iter().enumerate() {
            let list = std::mem::replace(&mut self.lists[part as usize], List::NONE);
            for entry in list.as_slice() {
                let root = self.root(entry.id);
                if root == id {
                    continue;
                }
                // Rule 2 above: below `least` holds for the named part only.
                let bound = if root == entry.id {
                    entry.bound
                } else {
                    entry.bound.max(self.least_bound)
                };
                let seen = &mut self.seen[root as usize];
                if seen.walk == self.walk {
                    let slot = &mut found[seen.at as usize].1[which];
                    *slot = if slot.is_nan() {
                        bound
                    } else {
                        slot.max(bound)
                    };
                } else {
                    *seen = Seen {
                        walk: self.walk,
                        at: found.len() as u32,
                    };
                    let mut bounds = [f32::NAN; 2];
                    bounds[which] = bound;
                    found.push((root, bounds));
                }
            }
        }
        let weights = sizes.map(|size| size / (sizes[0] + sizes[1]));
        let list = found.into_iter().filter_map(|(root, bounds)| {
            let known = bounds.map(|b| f64::from(if b.is_nan() { self.least_bound } else { b }));
            let bound = super::up(weights[0] * known[0] + weights[1] * known[1]);
            (bound >= self.least_bound).then_some(Entry { id: root, bound })
        });
        let mut list: Vec<Entry> = list.collect();
        list.shrink_to_fit();
        list
    }
}
