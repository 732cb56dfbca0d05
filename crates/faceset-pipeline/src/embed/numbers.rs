//! `NAME.npz.numbers`: which file lay at each path of a cache.
//!
//! A file system numbers its files (inodes; file indices on Windows). Size and
//! time tell nearly every change of a photo; the number tells the rest: another
//! file put in its place with the same size and time. It is a matter of one
//! machine's disk, so it lies beside the cache, which is the same on every
//! machine. Losing it costs nothing but that. See docs/formats/file-numbers.md.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use faceset_cache::{Cache, Known};
use faceset_core::{SourcePath, hash_bytes};
use faceset_fs::write_atomic;

use super::task::Task;

/// First bytes of the file.
const MAGIC: [u8; 8] = *b"fsfnum\r\n";
/// Version that this build writes, and the newest that it reads.
pub const NUMBERS_VERSION: u32 = 1;
/// Bytes of a path's key and of a row.
const KEY_BYTES: usize = 16;
const ROW_BYTES: usize = KEY_BYTES + 8;
/// Magic, version, number of rows.
const HEAD_BYTES: usize = MAGIC.len() + 4 + 8;
/// sha256 over everything before it.
const SUM_BYTES: usize = 32;

/// Photos with another number than before, from which on the disk is to blame
/// when they are also more than half of those that size and time call
/// unchanged: a copied library, or a file system that numbers anew each time it
/// is mounted. Fewer are hashed again, which takes a minute at most. Our choice.
const MANY: usize = 1000;

/// First half of a path's sha256: what is forgotten elsewhere must not stand
/// here by name.
type Key = [u8; KEY_BYTES];

/// File numbers by path.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FileNumbers(BTreeMap<Key, u64>);

fn key(path: &SourcePath) -> Key {
    let hash = hash_bytes(path.as_str().as_bytes());
    *hash.0.first_chunk().expect("a sha256 is longer than a key")
}

/// Where the numbers of a cache are.
fn place(cache: &Path) -> PathBuf {
    let mut name = cache.as_os_str().to_owned();
    name.push(".numbers");
    name.into()
}

impl FileNumbers {
    /// Those beside a cache; none when there are none yet. What can't be read
    /// counts as none, and the second value says so.
    pub(super) fn load(cache: &Path) -> (Self, Option<String>) {
        let path = place(cache);
        let none = |why: String| {
            let note = format!(
                "{} is left out: {why}; photos are known by size and time alone in this run",
                path.display()
            );
            (Self::default(), Some(note))
        };
        match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (Self::default(), None),
            Err(error) => none(error.to_string()),
            Ok(bytes) => match Self::parse(&bytes) {
                Ok(numbers) => (numbers, None),
                Err(why) => none(why),
            },
        }
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let damaged = || "it is damaged".to_owned();
        if !bytes.starts_with(&MAGIC) {
            return Err("it holds no file numbers".to_owned());
        }
        let field = |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk);
        let version = u32::from_le_bytes(*field(MAGIC.len()).ok_or_else(damaged)?);
        if version > NUMBERS_VERSION {
            return Err(format!(
                "it has version {version}, this build reads up to {NUMBERS_VERSION}"
            ));
        }
        let (body, sum) = bytes.split_last_chunk::<SUM_BYTES>().ok_or_else(damaged)?;
        let rows = body.get(HEAD_BYTES..).ok_or_else(damaged)?;
        let n_rows: [u8; 8] = *body[MAGIC.len() + 4..].first_chunk().ok_or_else(damaged)?;
        let (rows, rest) = rows.as_chunks::<ROW_BYTES>();
        if hash_bytes(body).0 != *sum
            || !rest.is_empty()
            || u64::from_le_bytes(n_rows) != rows.len() as u64
        {
            return Err(damaged());
        }
        Ok(Self(
            rows.iter()
                .map(|row| {
                    let (key, number) = row.split_first_chunk().expect("a row starts with a key");
                    let number = number.first_chunk().expect("a row ends with its number");
                    (*key, u64::from_le_bytes(*number))
                })
                .collect(),
        ))
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(NUMBERS_VERSION.to_le_bytes());
        bytes.extend((self.0.len() as u64).to_le_bytes());
        for (key, number) in &self.0 {
            bytes.extend(key);
            bytes.extend(number.to_le_bytes());
        }
        let sum = hash_bytes(&bytes);
        bytes.extend(sum.0);
        bytes
    }

    /// Writes them beside the cache.
    pub(super) fn save(&self, cache: &Path) -> Result<(), faceset_fs::FsError> {
        write_atomic(&place(cache), &self.bytes())
    }

    /// The numbers of what the cache knows now: of this run's tasks where a task
    /// is what the cache knows, else as they were. Without them for every other
    /// path.
    pub(super) fn after(&self, tasks: &[Task], cache: &Cache) -> Self {
        let mut numbers = BTreeMap::new();
        let aliases = cache.aliases().map(|(alias, _)| alias);
        for path in cache.files().map(|file| &file.path).chain(aliases) {
            let key = key(path);
            if let Some(number) = self.0.get(&key) {
                numbers.insert(key, *number);
            }
        }
        for task in tasks.iter().filter(|task| task.file_number != 0) {
            let key = key(&task.path);
            if is_same(task, cache) {
                numbers.insert(key, task.file_number);
            } else {
                numbers.remove(&key);
            }
        }
        Self(numbers)
    }

    /// For each task whether it is another file than the one that the cache
    /// knows at this path, though size and time are the same; and a line to say
    /// when so many differ that the disk is to blame and none is told apart.
    pub(super) fn replaced(&self, tasks: &[Task], cache: &Cache) -> (Vec<bool>, Option<String>) {
        let mut n_compared = 0;
        let replaced: Vec<bool> = tasks
            .iter()
            .map(|task| {
                if self.0.is_empty() || task.file_number == 0 || !is_same(task, cache) {
                    return false;
                }
                let before = self.0.get(&key(&task.path));
                n_compared += usize::from(before.is_some());
                before.is_some_and(|number| *number != task.file_number)
            })
            .collect();
        let n_replaced = replaced.iter().filter(|r| **r).count();
        if !is_the_disk(n_replaced, n_compared) {
            return (replaced, None);
        }
        let note = format!(
            "{n_replaced} of {n_compared} photos have another file number than before: a copied \
             library, or a file system that keeps none; size and time are trusted, --verify hashes"
        );
        (vec![false; tasks.len()], Some(note))
    }
}

/// By size and time.
fn is_same(task: &Task, cache: &Cache) -> bool {
    cache.known(&task.path, task.size, task.mtime_ns) == Known::Unchanged
}

fn is_the_disk(n_replaced: usize, n_compared: usize) -> bool {
    n_replaced >= MANY && 2 * n_replaced > n_compared
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> FileNumbers {
        FileNumbers([(key(&"/b".into()), 7), (key(&"/a".into()), u64::MAX)].into())
    }

    #[test]
    fn numbers_come_back_and_no_path_stands_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("c.npz");
        assert_eq!(FileNumbers::load(&cache), (FileNumbers::default(), None));
        numbers().save(&cache).unwrap();
        assert_eq!(FileNumbers::load(&cache), (numbers(), None));
        let bytes = std::fs::read(dir.path().join("c.npz.numbers")).unwrap();
        assert_eq!(bytes.len(), 20 + 2 * 24 + 32);
        let long = "/photos/of somebody.jpg";
        let one = FileNumbers([(key(&long.into()), 1)].into()).bytes();
        assert!(!one.windows(4).any(|w| long.as_bytes().starts_with(w)));
    }

    /// The sample was made by another program, from the page of the format.
    #[test]
    fn the_frozen_sample_is_read_and_written_as_it_is() {
        let sample = include_bytes!("../../../../fixtures/cache/v1.npz.numbers");
        let expected = [
            (key(&"/photos/a.jpg".into()), 42),
            (key(&"/photos/ö.jpg".into()), (1 << 63) + 5),
        ];
        let expected = FileNumbers(expected.into());
        assert_eq!(FileNumbers::parse(sample).unwrap(), expected);
        assert_eq!(expected.bytes(), sample);
    }

    #[test]
    fn every_damaged_byte_and_every_cut_is_noticed() {
        let bytes = numbers().bytes();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(FileNumbers::parse(&damaged).is_err(), "byte {at}");
            assert!(FileNumbers::parse(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_newer_version_is_refused_by_number() {
        let mut bytes = numbers().bytes();
        bytes[8] = 2;
        let why = FileNumbers::parse(&bytes).unwrap_err();
        assert!(
            why.contains("version 2") && why.contains("up to 1"),
            "{why}"
        );
    }

    #[test]
    fn the_disk_is_to_blame_for_many_and_more_than_half() {
        assert!(is_the_disk(1000, 1999));
        assert!(!is_the_disk(1000, 2000));
        assert!(!is_the_disk(999, 999));
    }
}
