//! The record cache: what was found on every photo, durable and resumable.
//!
//! A cache `c.npz` is an archive of numpy arrays that
//! `numpy.load(allow_pickle=False)` reads, plus `c.npz.journal` while a run is
//! adding to it, plus `c.npz.lock`. See docs/formats/cache.md for the layout.
//!
//! This crate owns the formats, the bookkeeping of byte-identical photos and
//! the promise that a crash costs at most what was not flushed. How a face was
//! found and what a group is, it does not know.

mod arrays;
mod cache;
mod change;
mod error;
mod forget;
mod journal;
mod load;
mod merge;
mod meta;
mod npy;
mod npz_read;
mod npz_write;
mod table;
mod validate;
mod writer;

#[cfg(test)]
mod testing;

pub use cache::{Cache, FaceRow, Known};
pub use change::unread_hash;
pub use error::CacheError;
pub use forget::{ForgetPlan, ForgetReport};
pub use load::{JournalReport, LoadReport, journal_path, load, lock_path, peek};
pub use merge::{MergeReport, merge};
pub use meta::{CacheMeta, PackIdentity, SCHEMA};
pub use table::{FileRow, FileTable, Found};
pub use validate::UNIT_TOLERANCE;
pub use writer::{CacheWriter, CompactReport, Compaction, FLUSH_EVERY, FlushReport, save_new};
