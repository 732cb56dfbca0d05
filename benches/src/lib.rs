//! What the benches share: where their rows come from, and the CPU's clock.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, reason = "a test that cannot go on fails")
)]

use std::path::Path;

use anyhow::{Context, Result, ensure};
use faceset_cluster::synthetic::DIM;
use ndarray::Array2;

/// Environment variable that names real rows for the criterion benches.
pub const ROWS: &str = "FACESET_ROWS";

/// Reads embeddings: those of a record cache when the name ends in `.npz`
/// (its journal included), else [`DIM`] little-endian f32 a row.
///
/// # Errors
/// What can't be read, or holds no whole rows.
pub fn read_rows(path: &Path) -> Result<Array2<f32>> {
    if path.extension().is_some_and(|e| e == "npz") {
        let (cache, _) = faceset_cache::load(path)?;
        return Ok(cache.embeddings());
    }
    let mut file =
        std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let n_values = usize::try_from(file.metadata()?.len())? / 4;
    ensure!(
        n_values % DIM == 0,
        "{} holds no whole rows of {DIM} values",
        path.display()
    );
    let mut values = Vec::with_capacity(n_values);
    let mut buffer = vec![0u8; 1 << 20];
    while values.len() < n_values {
        let len = buffer.len().min(4 * (n_values - values.len()));
        std::io::Read::read_exact(&mut file, &mut buffer[..len])?;
        let fours = buffer[..len].as_chunks::<4>().0;
        values.extend(fours.iter().map(|b| f32::from_le_bytes(*b)));
    }
    Ok(Array2::from_shape_vec((n_values / DIM, DIM), values)?)
}

/// CPU-seconds of this process so far, by its threads that are alive; `None`
/// where the system doesn't say (it is read from Linux's `/proc`).
pub fn cpu_seconds() -> Option<f64> {
    let mut nanoseconds = 0u64;
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        nanoseconds += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(nanoseconds as f64 / 1e9)
}

/// The rows that [`ROWS`] names, if it is set.
///
/// # Panics
/// When it names something that can't be read: a bench that quietly measured
/// something else would be worse.
pub fn real_rows() -> Option<Array2<f32>> {
    let path = std::env::var_os(ROWS)?;
    let rows = read_rows(Path::new(&path));
    Some(rows.unwrap_or_else(|error| panic!("{ROWS}: {error:#}")))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use faceset_cache::{CacheMeta, CacheWriter, PackIdentity};
    use faceset_core::{BBox, FaceRecord, FileEntry, FileStatus, hash_bytes};

    use super::*;

    #[test]
    fn plain_rows_are_read_whole_or_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("two.f32");
        let values: Vec<f32> = (0..2 * DIM).map(|i| i as f32 / 7.0).collect();
        let mut bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        std::fs::write(&path, &bytes).unwrap();
        let rows = read_rows(&path).unwrap();
        assert_eq!((rows.dim(), rows[[1, 3]]), ((2, DIM), values[DIM + 3]));
        bytes.truncate(4 * DIM + 4);
        std::fs::write(&path, &bytes).unwrap();
        let refused = read_rows(&path).unwrap_err().to_string();
        assert!(refused.contains("two.f32 holds no whole rows"), "{refused}");
    }

    #[test]
    fn the_rows_of_a_cache_are_its_embeddings() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.npz");
        let meta = CacheMeta {
            pack: PackIdentity {
                name: "drawn".to_owned(),
                digest: "d".to_owned(),
                dim: 2,
                files: BTreeMap::new(),
                pipeline: String::new(),
            },
            det_size: [640, 640],
            det_thresh: 0.5,
            src_roots: BTreeSet::new(),
            provider: "cpu".to_owned(),
            extra: BTreeMap::new(),
        };
        let mut writer = CacheWriter::open(&path, &meta, "test").unwrap();
        let face = FaceRecord {
            path: "/p/a.jpg".into(),
            bbox: BBox {
                x1: 0.0,
                y1: 0.0,
                x2: 20.0,
                y2: 30.0,
            },
            kps: [[1.0, 2.0]; 5],
            det_score: 0.9,
            face_short: 20.0,
            blur: 300.0,
            embedding: vec![0.6, 0.8],
            embedding_norm: 20.0,
            enrichment: None,
        };
        let file = FileEntry {
            path: "/p/a.jpg".into(),
            sha256: hash_bytes(b"a"),
            size: 1,
            mtime_ns: 1,
            dims: [100, 100],
            taken: String::new(),
            source: "original".to_owned(),
            status: FileStatus::Faces(vec![face]),
        };
        writer.put(file).unwrap();
        writer.finish().unwrap();
        assert_eq!(read_rows(&path).unwrap(), ndarray::array![[0.6, 0.8]]);
    }
}
