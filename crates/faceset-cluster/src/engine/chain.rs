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

use super::graph::{Component, Entry, RungLists};
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
    /// A member's list in the source of deferred lists; not to be changed.
    Shared(&'a [Entry]),
    Owned(Vec<Entry>),
    /// Put together from the parts when it is needed.
    Deferred,
}

impl List<'_> {
    const NONE: Self = Self::Owned(Vec::new());

    fn as_slice(&self) -> &[Entry] {
        match self {
            Self::Borrowed(entries) => entries,
            Self::Shared(entries) => entries,
            Self::Owned(entries) => entries,
            Self::Deferred => &[],
        }
    }

    fn as_mut_slice(&mut self) -> &mut [Entry] {
        match self {
            Self::Borrowed(entries) => entries,
            Self::Owned(entries) => entries,
            Self::Shared(_) | Self::Deferred => &mut [],
        }
    }

    fn truncate(&mut self, len: usize) {
        match self {
            Self::Borrowed(entries) => *entries = &mut std::mem::take(entries)[..len],
            Self::Owned(entries) => entries.truncate(len),
            Self::Shared(entries) => *entries = &entries[..len],
            Self::Deferred => {}
        }
    }
}

/// Where a group was last seen while a list is walked.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    walk: u32,
    at: u32,
}

/// Bounds of one neighbour while lists are combined.
#[derive(Debug, Clone, Copy)]
struct Combined {
    root: u32,
    /// Sum of the weighted excess over `least` of all parts so far.
    excess: f64,
    /// The part that was last seen to list the neighbour, and its bound.
    part: u32,
    bound: f32,
}

/// Live groups of a rung, which of them merged into which, and what is known
/// about their similarities.
pub(super) struct Chain<'a> {
    vectors: &'a Vectors<'a>,
    least: GridSim,
    /// `least` as a bound, rounded up.
    least_bound: f32,
    n_members: usize,
    groups: Vec<Option<Group>>,
    sizes: Vec<u32>,
    parent: Vec<u32>,
    lists: Vec<List<'a>>,
    /// Where deferred lists of members are found.
    source: Option<&'a RungLists>,
    merges: Vec<LocalMerge>,
    seen: Vec<Seen>,
    walk: u32,
    /// Memory of [`Self::combine`].
    combined: Vec<Combined>,
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
    let mut chain = Chain::new(groups, lists, None, vectors, least);
    chain.merge_all();
    chain.finish()
}

impl<'a> Chain<'a> {
    fn new(
        groups: Vec<Group>,
        lists: Vec<List<'a>>,
        source: Option<&'a RungLists>,
        vectors: &'a Vectors<'a>,
        least: GridSim,
    ) -> Self {
        let n_members = groups.len();
        let most = (2 * n_members).saturating_sub(1);
        let mut parent: Vec<u32> = Vec::with_capacity(most);
        parent.extend(0..n_members as u32);
        let mut sizes = Vec::with_capacity(most);
        sizes.extend(groups.iter().map(|g| g.size));
        let mut owned = Vec::with_capacity(most);
        owned.extend(groups.into_iter().map(Some));
        Self {
            vectors,
            least,
            least_bound: super::up(least.value()),
            n_members,
            groups: owned,
            sizes,
            parent,
            lists,
            source,
            merges: Vec::new(),
            seen: vec![Seen::default(); most],
            walk: 0,
            combined: Vec::new(),
        }
    }

    /// All groups of a rung, with lists that are looked up when needed.
    pub(super) fn lazy(
        groups: Vec<Group>,
        source: &'a RungLists,
        vectors: &'a Vectors<'a>,
        least: GridSim,
    ) -> Self {
        let lists = groups.iter().map(|_| List::Deferred).collect();
        Self::new(groups, lists, Some(source), vectors, least)
    }

    pub(super) fn finish(self) -> Outcome {
        let left = self.groups.into_iter().enumerate();
        Outcome {
            merges: self.merges,
            left: left
                .filter_map(|(id, group)| Some((id as u32, group?)))
                .collect(),
        }
    }
}

impl<'a> Chain<'a> {
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
    pub(super) fn root(&mut self, mut id: u32) -> u32 {
        while self.parent[id as usize] != id {
            let grandparent = self.parent[self.parent[id as usize] as usize];
            self.parent[id as usize] = grandparent;
            id = grandparent;
        }
        id
    }

    /// The live group with this number, if it has not merged.
    pub(super) fn group(&self, id: u32) -> Option<&Group> {
        self.groups[id as usize].as_ref()
    }

    /// Nearest neighbour of `top` by similarity, then by first point, if any
    /// is within the rung (a result below `least` means there is none).
    /// `previous` is a neighbour whose similarity is known.
    pub(super) fn nearest(
        &mut self,
        top: u32,
        previous: Option<(u32, GridSim)>,
    ) -> Option<(u32, GridSim)> {
        let mut list = self.take_list(top);
        let len = self.refresh(top, list.as_mut_slice());
        list.truncate(len);

        let me = self.group(top).expect("the top of the chain is live");
        let live = "a refreshed list names live groups";
        let mut best = previous;
        // What a bound must reach: below it, it can't even tie.
        let reach = |best: Option<(u32, GridSim)>| {
            best.map_or(self.least, |(_, s)| s.max(self.least)).value()
        };
        let mut least_bound = reach(best);
        for entry in list.as_mut_slice() {
            if f64::from(entry.bound) < least_bound
                || previous.is_some_and(|(id, _)| id == entry.id)
            {
                continue;
            }
            let other = self.group(entry.id).expect(live);
            let similarity = me.similarity(other, self.vectors);
            debug_assert!(
                similarity.value() <= f64::from(entry.bound),
                "{similarity:?} exceeds its bound {}",
                entry.bound
            );
            entry.bound = super::up(similarity.value());
            let is_nearer = match best {
                None => true,
                Some((id, known)) if similarity == known => {
                    other.first < self.group(id).expect(live).first
                }
                Some((_, known)) => similarity > known,
            };
            if is_nearer {
                best = Some((entry.id, similarity));
                least_bound = reach(best);
            }
        }
        self.lists[top as usize] = list;
        #[cfg(debug_assertions)]
        self.check_nearest(top, best);
        best
    }

    /// The model of the bounds, on small components: what the list led to is
    /// what looking at every live group leads to.
    #[cfg(debug_assertions)]
    fn check_nearest(&self, top: u32, best: Option<(u32, GridSim)>) {
        /// Larger components are left to the tests that compare whole runs.
        const MOST_GROUPS: usize = 64;
        if self.n_members > MOST_GROUPS {
            return;
        }
        let me = self.group(top).expect("the top of the chain is live");
        let others = (0..self.groups.len() as u32).filter(|&id| id != top);
        let nearest = others
            .filter_map(|id| {
                let other = self.group(id)?;
                let similarity = me.similarity(other, self.vectors);
                Some((similarity, std::cmp::Reverse(other.first), id))
            })
            .max()
            .filter(|&(similarity, ..)| similarity >= self.least);
        let found = best.filter(|&(_, similarity)| similarity >= self.least);
        debug_assert_eq!(
            found,
            nearest.map(|(similarity, _, id)| (id, similarity)),
            "the bounds hid the nearest neighbour of {top}"
        );
    }

    /// Brings a list up to date: live groups only, each once, none proven to be
    /// below the rung, and the one with the largest bound first: it usually
    /// settles the others. Returns its new length.
    fn refresh(&mut self, top: u32, entries: &mut [Entry]) -> usize {
        self.walk += 1;
        let mut kept = 0;
        let (mut largest, mut largest_at) = (f32::NEG_INFINITY, 0);
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
                    if *earlier > largest {
                        (largest, largest_at) = (*earlier, seen.at as usize);
                    }
                    continue;
                }
                *seen = Seen {
                    walk: self.walk,
                    at: kept as u32,
                };
            }
            if entry.bound > largest {
                (largest, largest_at) = (entry.bound, kept);
            }
            entries[kept] = entry;
            kept += 1;
        }
        if kept > 0 {
            entries.swap(0, largest_at);
        }
        kept
    }

    /// Merges two groups and combines their lists; returns the new number.
    fn merge(&mut self, a: u32, b: u32, similarity: GridSim) -> u32 {
        let parts = [a, b].map(|part| (self.take_list(part), self.sizes[part as usize]));
        let id = self.join(a, b, similarity);
        let list = self.combine(id, &parts);
        self.lists[id as usize] = List::Owned(list);
        id
    }

    /// Merges two groups; their lists are combined when needed.
    pub(super) fn join(&mut self, a: u32, b: u32, similarity: GridSim) -> u32 {
        let id = self.parent.len() as u32;
        let take = |group: &mut Option<Group>| group.take().expect("merged groups are live");
        let group_a = take(&mut self.groups[a as usize]);
        let group_b = take(&mut self.groups[b as usize]);
        self.merges.push(LocalMerge {
            a,
            b,
            similarity,
            tie: (
                group_a.first.min(group_b.first),
                group_a.first.max(group_b.first),
            ),
        });
        self.sizes.push(group_a.size + group_b.size);
        self.groups
            .push(Some(group_a.merge(group_b, id, self.vectors)));
        self.lists.push(List::Deferred);
        self.parent.push(id);
        self.parent[a as usize] = id;
        self.parent[b as usize] = id;
        id
    }

    /// Takes a group's list, put together if it was deferred.
    fn take_list(&mut self, id: u32) -> List<'a> {
        let list = std::mem::replace(&mut self.lists[id as usize], List::NONE);
        if !matches!(list, List::Deferred) {
            return list;
        }
        if (id as usize) < self.n_members {
            // As it is: a member has no parts, and bringing the list up to date
            // follows its neighbours into what they merged to.
            return List::Owned(self.known(id).to_vec());
        }
        let mut parts = Vec::new();
        let mut open = vec![id];
        while let Some(part) = open.pop() {
            let taken = std::mem::replace(&mut self.lists[part as usize], List::NONE);
            let is_whole = part != id && !matches!(taken, List::Deferred);
            if is_whole {
                parts.push((taken, self.sizes[part as usize]));
            } else if let Some(made) = (part as usize).checked_sub(self.n_members) {
                open.extend([self.merges[made].a, self.merges[made].b]);
            } else {
                parts.push((List::Shared(self.known(part)), self.sizes[part as usize]));
            }
        }
        List::Owned(self.combine(id, &parts))
    }

    /// The list that the source has for a member.
    fn known(&self, member: u32) -> &'a [Entry] {
        self.source.map_or(&[], |lists| lists.list(member as usize))
    }

    /// The list of the union of `parts` (lists and sizes): bounds are averages
    /// of the parts' bounds, where a group that a part doesn't list is at most
    /// `least` near to it.
    fn combine(&mut self, id: u32, parts: &[(List<'_>, u32)]) -> Vec<Entry> {
        /// More than the rounding of a sum of weighted bounds.
        const MARGIN: f64 = 1e-9;
        let me = self.root(id);
        self.walk += 1;
        let total: u32 = parts.iter().map(|(_, size)| size).sum();
        let mut found = std::mem::take(&mut self.combined);
        found.clear();
        for (part, (list, size)) in parts.iter().enumerate() {
            let part = part as u32;
            let weight = f64::from(*size) / f64::from(total);
            for entry in list.as_slice() {
                let root = self.root(entry.id);
                if root == me {
                    continue;
                }
                // Rule 2 above: below `least` holds for the named part only.
                let bound = if root == entry.id {
                    entry.bound
                } else {
                    entry.bound.max(self.least_bound)
                };
                let seen = &mut self.seen[root as usize];
                if seen.walk != self.walk {
                    *seen = Seen {
                        walk: self.walk,
                        at: found.len() as u32,
                    };
                    found.push(Combined {
                        root,
                        excess: 0.0,
                        part: u32::MAX,
                        bound: self.least_bound,
                    });
                }
                let combined = &mut found[seen.at as usize];
                if combined.part != part {
                    combined.part = part;
                    combined.bound = self.least_bound;
                } else if bound <= combined.bound {
                    continue;
                }
                combined.excess += weight * (f64::from(bound) - f64::from(combined.bound));
                combined.bound = bound;
            }
        }
        let least = f64::from(self.least_bound);
        let mut list = Vec::with_capacity(found.len());
        for combined in &found {
            let bound = super::up(least + combined.excess + MARGIN);
            if bound >= self.least_bound {
                let id = combined.root;
                list.push(Entry { id, bound });
            }
        }
        self.combined = found;
        list.shrink_to_fit();
        list
    }
}
