//! The bytes of a saved run, version 1: see docs/formats/cluster-state.md.
//!
//! Reads and writes streams; putting them into a file is the caller's
//! business. What is read is checked before anything relies on it.

use std::io::{Read, Write};

use faceset_core::CosineDistance;

use super::SavedRun;
use crate::ClusterError;
use crate::engine::SavedRung;
use crate::engine::graph::{Entry, RungLists};
use crate::engine::replay::OldMerge;
use crate::grid::GridSim;
use crate::vectors::{MAX_DIM, MAX_ROWS};

/// First bytes of a saved run.
const MAGIC: [u8; 8] = *b"FSCLSTR\0";

/// Version that this build writes, and the newest it reads.
pub const STATE_VERSION: u32 = 1;

impl SavedRun {
    /// Writes the run.
    ///
    /// # Errors
    /// [`ClusterError::StateIo`].
    pub fn write_to(&self, to: &mut dyn Write) -> Result<(), ClusterError> {
        let mut out = Checked::new(to);
        out.write(&MAGIC)?;
        out.write(&STATE_VERSION.to_le_bytes())?;
        out.write(&(self.dim as u32).to_le_bytes())?;
        out.write(&self.threshold.get().to_le_bytes())?;
        for count in [self.n_rows(), self.merges.len(), self.rungs.len()] {
            out.write(&(count as u64).to_le_bytes())?;
        }
        out.write_all(self.prints.iter().map(|print| print.to_le_bytes()))?;
        out.write_all(self.merges.iter().map(|merge| {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&merge.a.to_le_bytes());
            bytes[4..8].copy_from_slice(&merge.b.to_le_bytes());
            bytes[8..].copy_from_slice(&merge.similarity.to_bits().to_le_bytes());
            bytes
        }))?;
        for rung in &self.rungs {
            out.write(&rung.least.to_bits().to_le_bytes())?;
            out.write(&(rung.nodes.len() as u64).to_le_bytes())?;
            out.write(&(rung.lists.entries.len() as u64).to_le_bytes())?;
            out.write_all(rung.nodes.iter().map(|node| node.to_le_bytes()))?;
            out.write_all(
                rung.lists
                    .ends
                    .iter()
                    .map(|&end| (end as u64).to_le_bytes()),
            )?;
            out.write_all(rung.lists.entries.iter().map(|entry| {
                let mut bytes = [0; 8];
                bytes[..4].copy_from_slice(&entry.id.to_le_bytes());
                bytes[4..].copy_from_slice(&entry.bound.to_le_bytes());
                bytes
            }))?;
        }
        let checksum = out.hasher.clone().finalize();
        out.write(&checksum.to_le_bytes())
    }

    /// Reads a run that [`Self::write_to`] wrote, of this or an earlier
    /// version, and checks it.
    ///
    /// # Errors
    /// [`ClusterError::State`], [`ClusterError::StateTooNew`],
    /// [`ClusterError::StateIo`].
    pub fn read_from(from: &mut dyn Read) -> Result<Self, ClusterError> {
        let mut input = CheckedRead::new(from);
        if input.bytes::<8>()? != MAGIC {
            return Err(damaged("it doesn't begin as one"));
        }
        let version = input.u32()?;
        if version > STATE_VERSION {
            return Err(ClusterError::StateTooNew {
                found: version,
                supported: STATE_VERSION,
            });
        }
        let dim = input.u32()? as usize;
        let threshold = f64::from_le_bytes(input.bytes()?);
        let threshold =
            CosineDistance::new(threshold).map_err(|_| damaged("its threshold is no distance"))?;
        let n_rows = input.count(MAX_ROWS)?;
        let n_merges = input.count(n_rows.saturating_sub(1))?;
        let n_rungs = input.count(MOST_RUNGS)?;
        if dim > MAX_DIM {
            return Err(damaged("its dimension is out of range"));
        }
        let prints = input.list(n_rows, u64::from_le_bytes)?;
        let merges = input.list(n_merges, |bytes: [u8; 16]| {
            let [a, b, low, high] = words(bytes);
            let similarity = i64::from(low) | (i64::from(high as i32) << 32);
            (a, b, similarity)
        })?;
        let merges = merges
            .into_iter()
            .map(|(a, b, bits)| {
                let similarity = GridSim::from_bits(bits)?;
                Some(OldMerge { a, b, similarity })
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| damaged("a similarity is out of range"))?;
        let n_nodes = n_rows + n_merges;
        let mut rungs = Vec::with_capacity(n_rungs);
        for _ in 0..n_rungs {
            rungs.push(read_rung(&mut input, n_nodes)?);
        }
        let checksum = input.hasher.clone().finalize();
        if input.u32()? != checksum {
            return Err(damaged("its checksum doesn't match: it was cut or changed"));
        }
        let run = Self {
            dim,
            threshold,
            prints,
            merges,
            rungs,
        };
        run.check()?;
        Ok(run)
    }

    /// What the algorithm relies on, beyond single values.
    fn check(&self) -> Result<(), ClusterError> {
        let n_rows = self.n_rows();
        let mut used = vec![false; n_rows + self.merges.len()];
        for (at, merge) in self.merges.iter().enumerate() {
            if merge.a >= merge.b || merge.b as usize >= n_rows + at {
                return Err(damaged("a merge names a group that doesn't exist yet"));
            }
            for side in [merge.a, merge.b] {
                if std::mem::replace(&mut used[side as usize], true) {
                    return Err(damaged("a group is merged twice"));
                }
            }
        }
        let falls = |w: &[OldMerge]| w[0].similarity >= w[1].similarity;
        if !self.merges.windows(2).all(falls) {
            return Err(damaged("its merges are out of order"));
        }
        if !self.rungs.windows(2).all(|w| w[0].least > w[1].least) {
            return Err(damaged("its rungs are out of order"));
        }
        Ok(())
    }
}

/// More rungs than any ladder has.
const MOST_RUNGS: usize = 10_000;

fn read_rung(input: &mut CheckedRead<'_>, n_nodes: usize) -> Result<SavedRung, ClusterError> {
    let least = GridSim::from_bits(i64::from_le_bytes(input.bytes()?))
        .ok_or_else(|| damaged("a rung is out of range"))?;
    let n = input.count(n_nodes)?;
    let n_entries = input.count(n.saturating_mul(n))?;
    let nodes = input.list(n, u32::from_le_bytes)?;
    let mut seen = vec![false; n_nodes];
    for &node in &nodes {
        let is_new = seen
            .get_mut(node as usize)
            .map(|s| !std::mem::replace(s, true));
        if is_new != Some(true) {
            return Err(damaged(
                "a rung names a group twice or one that doesn't exist",
            ));
        }
    }
    let ends = input.list(n, |bytes| u64::from_le_bytes(bytes) as usize)?;
    let is_sorted = ends.windows(2).all(|w| w[0] <= w[1]);
    if !is_sorted || ends.last().copied().unwrap_or(0) != n_entries {
        return Err(damaged("the lists of a rung don't fit together"));
    }
    let entries = input.list(n_entries, |bytes: [u8; 8]| {
        let [id, bound] = words(bytes);
        let bound = f32::from_bits(bound);
        Entry { id, bound }
    })?;
    let is_fine = |entry: &Entry| (entry.id as usize) < n && entry.bound.is_finite();
    if !entries.iter().all(is_fine) {
        return Err(damaged("a list names a group that doesn't exist"));
    }
    let lists = RungLists { ends, entries };
    Ok(SavedRung {
        least,
        nodes,
        lists,
    })
}

/// Little-endian words.
fn words<const BYTES: usize, const WORDS: usize>(bytes: [u8; BYTES]) -> [u32; WORDS] {
    let chunks = bytes.as_chunks::<4>().0;
    std::array::from_fn(|at| u32::from_le_bytes(chunks[at]))
}

fn damaged(reason: &str) -> ClusterError {
    ClusterError::State {
        reason: format!("{reason}; delete it to start over"),
    }
}

/// Counts of bytes that are written or read at a time.
const BUFFER: usize = 1 << 16;

/// A writer that remembers the checksum of what it wrote.
struct Checked<'a> {
    to: &'a mut dyn Write,
    hasher: crc32fast::Hasher,
}

impl<'a> Checked<'a> {
    fn new(to: &'a mut dyn Write) -> Self {
        let hasher = crc32fast::Hasher::new();
        Self { to, hasher }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ClusterError> {
        self.hasher.update(bytes);
        Ok(self.to.write_all(bytes)?)
    }

    fn write_all<const N: usize>(
        &mut self,
        values: impl Iterator<Item = [u8; N]>,
    ) -> Result<(), ClusterError> {
        let mut buffer = Vec::with_capacity(BUFFER);
        for value in values {
            buffer.extend_from_slice(&value);
            if buffer.len() + N > BUFFER {
                self.write(&buffer)?;
                buffer.clear();
            }
        }
        self.write(&buffer)
    }
}

/// A reader that remembers the checksum of what it read.
struct CheckedRead<'a> {
    from: &'a mut dyn Read,
    hasher: crc32fast::Hasher,
}

impl<'a> CheckedRead<'a> {
    fn new(from: &'a mut dyn Read) -> Self {
        let hasher = crc32fast::Hasher::new();
        Self { from, hasher }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), ClusterError> {
        self.from
            .read_exact(buffer)
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof => damaged("it ends early"),
                _ => error.into(),
            })?;
        self.hasher.update(buffer);
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], ClusterError> {
        let mut buffer = [0; N];
        self.fill(&mut buffer)?;
        Ok(buffer)
    }

    fn u32(&mut self) -> Result<u32, ClusterError> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn count(&mut self, most: usize) -> Result<usize, ClusterError> {
        let count = u64::from_le_bytes(self.bytes()?);
        let count = usize::try_from(count).ok().filter(|&count| count <= most);
        count.ok_or_else(|| damaged("a count is out of range"))
    }

    /// Reads `n` values. Memory grows with what is really there, not with what
    /// a damaged count promises.
    fn list<const N: usize, T>(
        &mut self,
        n: usize,
        parse: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, ClusterError> {
        let per_buffer = BUFFER / N;
        let mut buffer = vec![0; per_buffer.min(n) * N];
        let mut values = Vec::new();
        while values.len() < n {
            let len = per_buffer.min(n - values.len()) * N;
            self.fill(&mut buffer[..len])?;
            let chunks = buffer[..len].as_chunks::<N>().0;
            values.extend(chunks.iter().map(|&bytes| parse(bytes)));
        }
        Ok(values)
    }
}
