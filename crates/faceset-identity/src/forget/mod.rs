//! Forgetting a person: what is to be erased, and erasing it.
//!
//! The one place of face-sets that deletes. It deletes files of ours only:
//! crops, bundles, copies of photos, manifests' entries, report pages and log
//! lines below folders that the caller names. Original photos are never
//! touched, wherever they lie. Embeddings are in caches, which the caller
//! erases by the plan's face keys.

mod apply;
mod needles;
mod plan;
mod scrub;
mod sets;
mod survey;
mod walk;

pub use apply::{ForgetReport, apply_forget};
pub use plan::{ErasedSet, ForgetInputs, ForgetPlan, Scrubbed, plan_forget};
