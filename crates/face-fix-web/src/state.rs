//! What the first screen shows: where we are, what may be done, what was done before.

use std::collections::{BTreeMap, BTreeSet};

use face_fix::{Pair, PairStats, Past};
use immich_client::PersonId;
use serde::Serialize;

use crate::app::{Inner, lock};

/// Figures of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Stats {
    pub(crate) reviewed: usize,
    pub(crate) reassigned: usize,
    /// Of the reassigned.
    pub(crate) auto_fixed: usize,
    pub(crate) unassigned: usize,
    pub(crate) skipped: usize,
    pub(crate) undone: usize,
}

impl From<PairStats> for Stats {
    fn from(stats: PairStats) -> Self {
        Self {
            reviewed: stats.n_reviewed,
            reassigned: stats.n_reassigned + stats.n_auto_fixed,
            auto_fixed: stats.n_auto_fixed,
            unassigned: stats.n_unassigned,
            skipped: stats.n_skipped,
            undone: stats.n_undone,
        }
    }
}

/// A pair that was worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Session {
    pub(crate) wrong: PersonId,
    pub(crate) correct: PersonId,
    pub(crate) stats: Stats,
}

/// Something that the key does not allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Lack {
    pub(crate) what: String,
    pub(crate) permissions: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct StateView {
    pub(crate) immich: String,
    pub(crate) read_only: bool,
    pub(crate) dry_run: bool,
    pub(crate) missing: Vec<Lack>,
    /// What suggestions come from.
    pub(crate) advice: String,
    pub(crate) has_own_faces: bool,
    pub(crate) sessions: Vec<Session>,
    pub(crate) last_pair: Option<Pair>,
}

impl Inner {
    pub(crate) fn state(&self) -> StateView {
        let (pairs, last_pair) = self.engine.look(pairs);
        let mode = self.engine.mode();
        StateView {
            immich: self.engine.client().base_url().to_string(),
            read_only: mode.read_only,
            dry_run: mode.dry_run,
            missing: self.lacks(),
            advice: self.advice_note(),
            has_own_faces: self.options.own.is_some(),
            sessions: pairs
                .into_iter()
                .map(|pair| Session {
                    stats: self.stats(&pair),
                    wrong: pair.wrong,
                    correct: pair.correct,
                })
                .collect(),
            last_pair,
        }
    }

    /// By function, as people think of it.
    fn lacks(&self) -> Vec<Lack> {
        let mut lacks: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for missing in &self.engine.permissions().missing {
            for function in &missing.functions {
                lacks
                    .entry(*function)
                    .or_default()
                    .push(missing.permission.clone());
            }
        }
        lacks
            .into_iter()
            .map(|(function, permissions)| Lack {
                what: format!("cannot {function}"),
                permissions,
            })
            .collect()
    }

    pub(crate) fn stats(&self, pair: &Pair) -> Stats {
        let mut stats = self.engine.look(|past| past.stats(pair)).into();
        lock(&self.pretended).count(pair, &mut stats);
        stats
    }
}

/// Every pair of the journal, and the one worked on last.
fn pairs(past: &Past) -> (BTreeSet<Pair>, Option<Pair>) {
    let of = |at: &face_fix::PastTransaction| at.transaction.pair.clone();
    (
        past.transactions().iter().filter_map(of).collect(),
        past.transactions().iter().rev().find_map(of),
    )
}
