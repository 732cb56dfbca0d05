//! Edges sorted into one neighbour list per group, by connected component.

use super::pairs::Edges;
use crate::union_find::UnionFind;

/// A neighbour: its number within the component (or the rung), and an upper bound of the
/// similarity to it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Entry {
    pub(crate) id: u32,
    pub(crate) bound: f32,
}

/// Groups connected by edges. Members are numbered within the component.
#[derive(Debug)]
pub(crate) struct Component<'a> {
    /// Which group each member is, ascending.
    pub(crate) members: &'a [u32],
    /// Ends of the members' lists in `entries`.
    pub(crate) ends: &'a [usize],
    /// Lists of all members, one after the other.
    pub(crate) entries: &'a mut [Entry],
}

/// All components of two and more groups.
#[derive(Debug)]
pub(crate) struct Graph {
    /// Members by component, components by size.
    members: Vec<u32>,
    /// End of each component in `members`.
    component_ends: Vec<usize>,
    /// Per member the end of its list, counted from its component's first entry.
    list_ends: Vec<usize>,
    entries: Vec<Entry>,
}

impl Graph {
    /// Builds the lists of `n` groups.
    pub(crate) fn new(n: usize, edges: Edges) -> Self {
        let mut degree = vec![0u32; n];
        let mut sets = UnionFind::new(n);
        edges.for_each(|a, b, _| {
            degree[a as usize] += 1;
            degree[b as usize] += 1;
            sets.join(a, b);
        });
        let (members, component_ends) = components(&degree, &mut sets);
        drop(sets);

        // Where each group's list begins, and its number in its component.
        let mut list_ends = vec![0usize; members.len()];
        let mut cursor = vec![0usize; n];
        let mut number = vec![0u32; n];
        let (mut start, mut total) = (0, 0);
        for &end in &component_ends {
            let base = total;
            for at in start..end {
                let group = members[at] as usize;
                number[group] = (at - start) as u32;
                cursor[group] = total;
                total += degree[group] as usize;
                list_ends[at] = total - base;
            }
            start = end;
        }
        drop(degree);
        let mut entries = vec![Entry::default(); total];
        edges.drain(|a, b, bound| {
            let (a, b) = (a as usize, b as usize);
            entries[cursor[a]] = Entry {
                id: number[b],
                bound,
            };
            cursor[a] += 1;
            entries[cursor[b]] = Entry {
                id: number[a],
                bound,
            };
            cursor[b] += 1;
        });
        Self {
            members,
            component_ends,
            list_ends,
            entries,
        }
    }

    /// The components, largest first.
    pub(crate) fn components(&mut self) -> Vec<Component<'_>> {
        let mut components = Vec::with_capacity(self.component_ends.len());
        let mut rest = self.entries.as_mut_slice();
        let mut start = 0;
        for &end in &self.component_ends {
            let ends = &self.list_ends[start..end];
            let (entries, later) = rest.split_at_mut(ends[ends.len() - 1]);
            rest = later;
            components.push(Component {
                members: &self.members[start..end],
                ends,
                entries,
            });
            start = end;
        }
        components
    }
}

/// Groups with neighbours, by component: largest component first, then by
/// smallest member; and where each component ends.
fn components(degree: &[u32], sets: &mut UnionFind) -> (Vec<u32>, Vec<usize>) {
    let n = degree.len();
    let mut size = vec![0u32; n];
    let connected = |g: &u32| degree[*g as usize] > 0;
    for group in (0..n as u32).filter(connected) {
        size[sets.root(group) as usize] += 1;
    }
    let mut roots: Vec<u32> = (0..n as u32).filter(|&g| size[g as usize] > 0).collect();
    roots.sort_unstable_by_key(|&g| (std::cmp::Reverse(size[g as usize]), g));
    let mut next = vec![0usize; n];
    let mut ends = Vec::with_capacity(roots.len());
    let mut total = 0;
    for root in roots {
        next[root as usize] = total;
        total += size[root as usize] as usize;
        ends.push(total);
    }
    let mut members = vec![0u32; total];
    for group in (0..n as u32).filter(connected) {
        let at = &mut next[sets.root(group) as usize];
        members[*at] = group;
        *at += 1;
    }
    (members, ends)
}

/// Neighbour lists of all groups of a rung, numbered by position: what is kept
/// for a later, larger run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RungLists {
    /// End of each list in `entries`.
    pub(crate) ends: Vec<usize>,
    pub(crate) entries: Vec<Entry>,
}

impl RungLists {
    /// Lists of `n` groups.
    pub(crate) fn new(n: usize, edges: &Edges) -> Self {
        Self::extended(&Self::default(), &[], n, edges)
    }

    /// Lists of `n` groups: those of `old`, where the group at `i` is now at
    /// `now_at[i]` (`None`: gone), and `edges` that `old` does not have.
    pub(crate) fn extended(old: &Self, now_at: &[Option<u32>], n: usize, edges: &Edges) -> Self {
        let mut old_at = vec![None; n];
        for (i, &at) in now_at.iter().enumerate() {
            if let Some(at) = at {
                old_at[at as usize] = Some(i);
            }
        }
        let mut n_new = vec![0u32; n];
        edges.for_each(|a, b, _| {
            n_new[a as usize] += 1;
            n_new[b as usize] += 1;
        });
        // First what is old, then room for what is new.
        let mut entries = Vec::with_capacity(old.entries.len());
        let mut cursor = Vec::with_capacity(n);
        for (old_at, n_new) in old_at.into_iter().zip(n_new) {
            let kept = old_at.map_or(&[][..], |i| old.list(i)).iter();
            entries.extend(kept.filter_map(|entry| {
                let id = now_at[entry.id as usize]?;
                let bound = entry.bound;
                Some(Entry { id, bound })
            }));
            cursor.push(entries.len());
            entries.resize(entries.len() + n_new as usize, Entry::default());
        }
        edges.for_each(|a, b, bound| {
            entries[cursor[a as usize]] = Entry { id: b, bound };
            cursor[a as usize] += 1;
            entries[cursor[b as usize]] = Entry { id: a, bound };
            cursor[b as usize] += 1;
        });
        // Every cursor has come to the end of its list.
        Self {
            ends: cursor,
            entries,
        }
    }

    /// The neighbours of a group.
    pub(crate) fn list(&self, at: usize) -> &[Entry] {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.entries[start..self.ends[at]]
    }
}
