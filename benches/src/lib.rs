//! What the benches share: where their rows come from.

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
