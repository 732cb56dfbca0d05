//! What tests share: where things are in a checkout.
//!
//! A development dependency only; nothing that ships may use it. The rules that
//! hold the workspace together are tested in this crate's `tests/`: who may
//! depend on whom (`layering`), and the house style (`tidy`).

use std::path::{Path, PathBuf};

/// The repository root, from where this crate was compiled.
///
/// # Panics
/// When the crate no longer lies two folders below the root.
pub fn repo_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates/NAME lies two folders below the root")
        .to_path_buf()
}

/// Where `cargo xtask setup` put runtime, models and samples: `FACE_SETS_HOME`
/// (cargo sets it in this repository), else `.faceset` in the root.
pub fn home() -> PathBuf {
    match std::env::var_os("FACE_SETS_HOME").filter(|v| !v.is_empty()) {
        Some(home) => PathBuf::from(home),
        None => repo_root().join(".faceset"),
    }
}
