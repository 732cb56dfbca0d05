//! A contact sheet of a result: who was found, which faces, what was dropped
//! and why, as static pages.
//!
//! Owns the layout of `index.html` and `report/`, thumbnails and their names.
//! Knows no cache and no embedding: manifests, numbers and pixels come from the
//! caller. Nothing it writes needs a script or a server.
//!
//! [`group`] → (the caller measures distances) → [`plan`] → [`apply`].

mod apply;
mod captions;
mod chart;
mod era;
mod error;
mod facts;
mod grouping;
mod histogram;
mod link;
mod listing;
mod options;
mod pages;
mod plan;
mod thumbs;
mod views;
mod words;

pub use apply::{ReportOutcome, apply};
pub use era::{EraBand, EraPage, PairBin, SizeRow, era_page};
pub use error::ReportError;
pub use facts::{FaceFacts, FileProblem, Neighbour, RunSummary};
pub use grouping::{
    ExportState, Group, GroupKind, GroupedFace, Grouping, Manifests, Standing, group,
};
pub use histogram::{Bin, Cut, Histogram};
pub use options::{
    CutLine, FACES_PER_PAGE, GROUPS_PER_PAGE, MAYBE_SAME, ROWS_PER_PAGE, ReportOptions,
};
pub use plan::{
    Content, FaceCard, GroupCard, Inputs, NearestGroup, PagePlan, Pair, ReportPlan, Totals, plan,
};
pub use thumbs::{Pictures, THUMB_PX};
