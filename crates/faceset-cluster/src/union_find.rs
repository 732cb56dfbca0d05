//! Disjoint sets of row numbers.

/// Disjoint sets over `0..n`; the root of a set is its smallest member.
#[derive(Debug, Clone)]
pub(crate) struct UnionFind {
    parent: Vec<u32>,
}

impl UnionFind {
    /// `n` sets of one.
    pub(crate) fn new(n: usize) -> Self {
        Self {
            parent: (0..n as u32).collect(),
        }
    }

    /// Smallest member of the set of `x`.
    pub(crate) fn root(&mut self, mut x: u32) -> u32 {
        while self.parent[x as usize] != x {
            let grandparent = self.parent[self.parent[x as usize] as usize];
            self.parent[x as usize] = grandparent;
            x = grandparent;
        }
        x
    }

    /// Joins two sets; true when they were apart.
    pub(crate) fn join(&mut self, a: u32, b: u32) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        self.parent[a.max(b) as usize] = a.min(b);
        a != b
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_smallest_member() {
        let mut sets = UnionFind::new(5);
        assert!(sets.join(4, 3) && sets.join(3, 1));
        assert!(!sets.join(1, 4));
        assert_eq!(
            (0..5).map(|x| sets.root(x)).collect::<Vec<_>>(),
            [0, 1, 2, 1, 1]
        );
    }
}
