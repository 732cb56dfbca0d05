//! What an export did, as data.

use std::collections::BTreeMap;

use faceset_core::manifest::{Bundle, SwapSet};
use serde::Serialize;

use crate::plan::{RefusedSet, SetKind, SetPlan, count_reasons};

/// What happened to one folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Built and put in place.
    Written,
    /// Already there, complete and equal.
    Unchanged,
    /// Nothing left after the filters: not emitted.
    Empty,
    /// Refused by the plan.
    Refused,
    /// None of its photos could be read, or one whose face the set in place has:
    /// whatever was there stays.
    Unreadable,
}

/// One folder of the export.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SetReport {
    /// Folder name.
    pub name: String,
    /// A person's name, when one is known.
    pub label: Option<String>,
    /// Set or candidate.
    pub kind: SetKind,
    /// What happened.
    pub outcome: Outcome,
    /// Why, for refused sets and for those that stay because photos can't be
    /// read.
    pub reason: Option<String>,
    /// Faces on the set's photos.
    pub n_input: usize,
    /// PNGs in the folder.
    pub n_exported: usize,
    /// Faces left out, by reason.
    pub dropped: BTreeMap<String, usize>,
    /// Bundles in the folder.
    pub bundles: Vec<Bundle>,
}

/// The whole export.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ExportReport {
    /// Sets in plan order, then refused ones, then candidates.
    pub sets: Vec<SetReport>,
    /// Lines for people: photos that could not be read, large bundles, folders
    /// moved aside.
    pub warnings: Vec<String>,
    /// True when a stop was requested: the sets so far are complete, the same
    /// command goes on with the rest.
    pub cancelled: bool,
}

impl ExportReport {
    /// Number of folders with an outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.sets.iter().filter(|s| s.outcome == outcome).count()
    }

    /// PNGs in all folders.
    pub fn n_exported(&self) -> usize {
        self.sets.iter().map(|s| s.n_exported).sum()
    }
}

impl SetReport {
    pub(crate) fn of_manifest(plan: &SetPlan, outcome: Outcome, set: &SwapSet) -> Self {
        Self {
            name: plan.name.clone(),
            label: plan.label.clone(),
            kind: plan.kind,
            outcome,
            reason: None,
            n_input: plan.n_input,
            n_exported: if outcome == Outcome::Empty {
                0
            } else {
                set.faces.len()
            },
            dropped: count_reasons(&set.dropped),
            bundles: set.bundles.clone(),
        }
    }

    pub(crate) fn of_refused(refused: &RefusedSet) -> Self {
        Self {
            name: refused.name.clone(),
            label: None,
            kind: SetKind::Set,
            outcome: Outcome::Refused,
            reason: Some(refused.reason.clone()),
            n_input: 0,
            n_exported: 0,
            dropped: BTreeMap::new(),
            bundles: Vec::new(),
        }
    }
}
