//! From sets of faces to swap-ready folders.
//!
//! Owns which faces of a set are shipped, how they are cut, the promise that
//! every PNG shows exactly one face, bundles, markers and the manifests of the
//! swap-ready tree. Knows nothing of how faces were detected, embedded or
//! grouped: pictures come through [`PixelSource`], the self-test through
//! [`FaceFinder`], grouping of orphans through a closure.
//!
//! `faces_to_hash` → `hash_faces` → `plan` → `apply`; a dry run stops before
//! the last.

mod apply;
mod bounds;
mod build;
mod bundle;
mod candidates;
mod consent;
mod crop;
mod error;
mod library;
mod options;
mod pictures;
mod plan;
mod recover;
mod report;
mod select;
mod top;
mod tree;
mod verify;

pub use apply::apply;
pub use bounds::{Bounds, NOT_THIS_PERSON, NoBounds, REFUSED_HIDDEN, REFUSED_THIN};
pub use consent::{CivilDate, Consent, MIN_AGE_YEARS, PersonFacts};
pub use error::ExportError;
pub use library::Photo;
pub use options::{
    CANDIDATE_MATCH_THRESHOLD, CANDIDATE_MIN_SCORE, ExportOptions, ExportSettings,
    MIN_FACE_SHORT_PX, OUT_SIZE_PX, OUTLIER_THRESHOLD, PAD_RATIO, TOP_N,
};
pub use pictures::{FaceFinder, Hashed, PixelSource, hash_faces};
pub use plan::{
    ExportPlan, GroupOrphans, HashTarget, Marker, PlanInputs, PlannedFace, REFUSED_DENIED,
    REFUSED_UNKNOWN, RefusedSet, SetKind, SetPlan, count_reasons, faces_to_hash, plan,
    plan_watched,
};
pub use report::{ExportReport, Outcome, SetReport};
pub use select::FaceHashes;
pub use tree::{Bin, Tree};
pub use verify::VERIFY_DET_SIZES;
