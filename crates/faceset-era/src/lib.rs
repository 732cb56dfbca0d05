//! The eras of one person: looks that embeddings tell apart and capture years
//! explain.
//!
//! Owns the probe (is this person age-sortable?), the split into anchors and
//! fragments, and the rule by which a fragment or a new face joins an anchor.
//! Arithmetic on rows of vectors and years only: which rows are a person's,
//! where a year comes from and what a folder is called after is the caller's.
//!
//! [`probe`] → [`split`] → later [`attach`] for each new face.

mod attach;
mod probe;
mod split;
mod years;

pub use attach::{ATTACH_MAX, ATTACH_YEARS, Anchor, AttachRule, Attachment, attach};
pub use probe::{
    BIG_CLUSTER, Bin, PAIR_ROWS, PROBE_EDGES, PROBE_THRESHOLDS, Probe, SORTABLE_SHARE, SubCluster,
    Sweep, Verdict, probe,
};
pub use split::{
    ANCHOR_MIN, ERA_THRESHOLD, Era, Fragment, RECOVERY_MAX, Split, SplitRule, THIN_BELOW,
    TIGHTEN_MAX, split,
};
pub use years::{YearCounts, unique_labels};
