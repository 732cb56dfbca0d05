//! One rung of a larger run, played on the merges of a smaller one.
//!
//! Groups that were there before in the same shape are **clean**: among
//! themselves they merge as they did, because what a run does with some groups
//! does not depend on groups that are never nearer. All others are **dirty**
//! and look for their nearest neighbour themselves. The textbook order (nearest
//! pair first) is kept: the next event is the nearer of the next old merge and
//! the nearest neighbour of any dirty group. A clean group whose old partner
//! isn't there any more becomes dirty; so dirt spreads only where the new rows
//! change something.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::chain::{Chain, Outcome};
use super::graph::RungLists;
use super::group::Group;
use crate::Vectors;
use crate::grid::GridSim;

/// No group.
pub(super) const NONE: u32 = u32::MAX;

/// A merge of the smaller run, by its node numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct OldMerge {
    pub(crate) a: u32,
    pub(crate) b: u32,
    pub(crate) similarity: GridSim,
}

/// What a rung came to.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) outcome: Outcome,
    /// Per group (members, then merges): the old node it is, or [`NONE`].
    pub(super) old_node: Vec<u32>,
    /// Per group: it had to look for its nearest neighbour itself.
    pub(super) is_dirty: Vec<bool>,
}

/// Order of events: larger is first.
type Key = (GridSim, Reverse<(u32, u32)>);

/// A dirty group's nearest neighbour when it was last looked for. Neighbours
/// only get farther, so an outdated event is at worst too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    key: Key,
    dirty: u32,
    nearest: u32,
}

struct Replay<'a> {
    chain: Chain<'a>,
    least: GridSim,
    old_node: Vec<u32>,
    is_dirty: Vec<bool>,
    /// Per old node the group that is it, or [`NONE`].
    group_of_old: Vec<u32>,
    events: BinaryHeap<Event>,
}

/// The merges of the smaller run in one rung.
#[derive(Debug, Clone, Copy)]
pub(super) struct OldPart<'a> {
    pub(super) merges: &'a [OldMerge],
    /// The old node that the first of them made.
    pub(super) first_node: u32,
    /// Old nodes in all rungs.
    pub(super) n_nodes: usize,
}

/// Plays a rung down to `least`. `old_node` says per group which old node it
/// is ([`NONE`]: dirty).
pub(super) fn run(
    groups: Vec<Group>,
    old_node: Vec<u32>,
    lists: &RungLists,
    old: OldPart<'_>,
    vectors: &Vectors<'_>,
    least: GridSim,
) -> Replayed {
    let mut group_of_old = vec![NONE; old.n_nodes];
    for (id, &node) in old_node.iter().enumerate() {
        if node != NONE {
            group_of_old[node as usize] = id as u32;
        }
    }
    let mut replay = Replay {
        chain: Chain::lazy(groups, lists, vectors, least),
        least,
        is_dirty: old_node.iter().map(|&node| node == NONE).collect(),
        old_node,
        group_of_old,
        events: BinaryHeap::new(),
    };
    for id in 0..replay.is_dirty.len() {
        if replay.is_dirty[id] {
            replay.look(id as u32);
        }
    }
    replay.play(old.merges, old.first_node);
    Replayed {
        outcome: replay.chain.finish(),
        old_node: replay.old_node,
        is_dirty: replay.is_dirty,
    }
}

impl Replay<'_> {
    fn play(&mut self, old_merges: &[OldMerge], first_node: u32) {
        let mut next = 0;
        loop {
            let dirty = self.next_event();
            let clean = self.next_old(old_merges, first_node, &mut next);
            // Looking for the next old merge may have made groups dirty.
            let dirty = if self.events.peek() == dirty.as_ref() {
                dirty
            } else {
                self.next_event()
            };
            match (clean, dirty) {
                (Some((key, a, b)), event) if event.is_none_or(|e| key > e.key) => {
                    let id = self.chain.join(a, b, key.0);
                    let node = first_node + next as u32;
                    self.old_node.push(node);
                    self.is_dirty.push(false);
                    self.group_of_old[node as usize] = id;
                    next += 1;
                }
                (_, Some(event)) => {
                    self.events.pop();
                    let id = self.chain.join(event.dirty, event.nearest, event.key.0);
                    self.old_node.push(NONE);
                    self.is_dirty.push(true);
                    self.look(id);
                }
                (_, None) => return,
            }
        }
    }

    /// The nearest dirty event that still holds.
    fn next_event(&mut self) -> Option<Event> {
        while let Some(&event) = self.events.peek() {
            if self.chain.group(event.dirty).is_none() {
                self.events.pop();
            } else if self.chain.group(event.nearest).is_none() {
                self.events.pop();
                self.look(event.dirty);
            } else {
                return Some(event);
            }
        }
        None
    }

    /// The next old merge whose sides are both there and clean; a side that
    /// has lost its partner becomes dirty on the way.
    fn next_old(
        &mut self,
        old_merges: &[OldMerge],
        first_node: u32,
        next: &mut usize,
    ) -> Option<(Key, u32, u32)> {
        while let Some(merge) = old_merges.get(*next) {
            let made = self.group_of_old[first_node as usize + *next];
            let sides = [merge.a, merge.b].map(|node| self.clean(node));
            match sides {
                // Equal rows are merged before the first rung.
                _ if made != NONE => {}
                [Some(a), Some(b)] => {
                    return Some((self.key(a, b, merge.similarity), a, b));
                }
                [Some(left), None] | [None, Some(left)] => {
                    self.is_dirty[left as usize] = true;
                    self.look(left);
                }
                [None, None] => {}
            }
            *next += 1;
        }
        None
    }

    /// The live, clean group that is an old node.
    fn clean(&self, node: u32) -> Option<u32> {
        let id = self.group_of_old[node as usize];
        let is_clean = id != NONE && !self.is_dirty[id as usize] && self.chain.group(id).is_some();
        is_clean.then_some(id)
    }

    fn key(&self, a: u32, b: u32, similarity: GridSim) -> Key {
        let first = |id| self.chain.group(id).map_or(NONE, |g: &Group| g.first);
        let (a, b) = (first(a), first(b));
        (similarity, Reverse((a.min(b), a.max(b))))
    }

    /// Notes the nearest neighbour of a dirty group, if any is in the rung.
    fn look(&mut self, dirty: u32) {
        if let Some((nearest, similarity)) = self.chain.nearest(dirty, None)
            && similarity >= self.least
        {
            let key = self.key(dirty, nearest, similarity);
            self.events.push(Event {
                key,
                dirty,
                nearest,
            });
        }
    }
}
