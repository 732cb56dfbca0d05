//! Groups of face embeddings: exact average linkage in linear memory, and the
//! smaller tools around it.
//!
//! Everything here takes an `ndarray` view of one vector a row, compares rows
//! by cosine distance (1 - cosine similarity, 0 to 2) and answers with row
//! numbers. What a row is, where it came from and what a group is called is
//! the caller's business.
//!
//! ```
//! use faceset_cluster::{LinkageOptions, average_linkage};
//! use faceset_core::{CancelToken, CosineDistance, NoProgress};
//!
//! let rows = ndarray::array![[1.0_f32, 0.0], [0.0, 1.0], [0.9, 0.1]];
//! let options = LinkageOptions::new(CosineDistance::constant(0.55));
//! let found = average_linkage(rows.view(), &options, &NoProgress, &CancelToken::default())?;
//! assert_eq!(found.labels(), [0, 1, 0]);
//! # Ok::<(), faceset_cluster::ClusterError>(())
//! ```
//!
//! Results do not depend on the number of threads, the order of the rows or
//! the processor; [`linkage`] states the rule that breaks ties. Work runs in
//! the rayon pool of the caller (`ThreadPool::install` bounds it).

#![allow(
    clippy::needless_pass_by_value,
    reason = "array views are passed by value, as ndarray does"
)]

pub mod assign;
pub mod centroid;
pub mod clustering;
pub mod dbscan;
pub mod error;
pub mod grid;
pub mod index;
pub mod linkage;
pub mod saved;
pub mod synthetic;
pub mod vectors;

mod dot;
mod engine;
mod kernel;
mod union_find;

pub use assign::assign_in_order;
pub use clustering::{Clustering, Merge};
pub use dbscan::{DbscanOptions, connected_components, dbscan};
pub use error::{ClusterError, RowProblem};
pub use index::{Index, Neighbour};
pub use kernel::KernelKind;
pub use linkage::{LinkageOptions, average_linkage};
pub use saved::{Extended, Recomputed, SavedRun, average_linkage_saved};
pub use vectors::{Vectors, unusable_rows};
