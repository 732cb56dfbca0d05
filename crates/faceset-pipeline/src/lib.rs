//! The verbs of face-sets, one module each: options in, a report out.
//!
//! The only crate that sees every stage. It wires them and computes nothing
//! itself: arithmetic on pixels is in `faceset-infer` and `faceset-quality`, on
//! vectors in `faceset-cluster`. Synchronous, offline, silent: progress goes to
//! a sink, results are data.

pub mod cluster;
pub mod contact;
pub mod context;
mod ctx;
pub mod dedup;
pub mod discover;
pub mod embed;
mod engine;
pub mod enrich;
pub mod era;
mod error;
pub mod export;
pub mod extend;
pub mod folders;
pub mod known;
mod known_as;
pub mod matching;
pub mod materialize;
pub mod merge_caches;
pub mod obey;
mod ordered;
mod pending;
pub mod people;
mod photo;
pub mod pick;
pub mod refine;
pub mod search;
pub mod sort;
pub mod split;
pub mod tree;
pub mod triage;
pub mod twice;
pub mod why;

pub use ctx::Ctx;
pub use engine::{Engine, PackChoice};
pub use error::PipelineError;
pub use known_as::{known_as, roots_known_as};
