//! The vocabulary that every face-sets crate shares.
//!
//! Values only: no files, no pictures, no network, no algorithm longer than a
//! line of arithmetic. What a value means (shape, unit, range) is said here
//! once, so that 0.45 and 0.55, pixels and degrees, boxes and crops can't be
//! mixed up further down.

pub mod consent;
pub mod dst_name;
pub mod error;
pub mod geometry;
pub mod hash;
pub mod manifest;
pub mod measure;
pub mod number;
pub mod progress;
pub mod record;
pub mod said;

pub use consent::{CivilDate, Consent, PersonFacts};
pub use dst_name::safe_dst_name;
pub use error::ValueError;
pub use geometry::{BBox, Landmarks5, Pose};
pub use hash::{ContentHash, hash_bytes, hash_reader};
pub use measure::{CosineDistance, Score};
pub use number::{FacesetNumber, canonical_faceset_number, person_number};
pub use progress::{CancelToken, NoProgress, Progress};
pub use record::{
    Enrichment, FaceKey, FaceRecord, FileEntry, FileStatus, SourcePath, capture_year,
};
