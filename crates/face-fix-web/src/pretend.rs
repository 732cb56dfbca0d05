//! Dry runs: what the review would have done, so that it can go on as if it had.
//! Kept in memory, gone with the run.

use std::collections::{BTreeMap, BTreeSet};

use face_fix::{Pair, ReviewHow, Transaction};
use immich_client::{AssetId, FaceId};

use crate::photo::Was;
use crate::state::Stats;

/// Everything pretended so far, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Pretended {
    done: Vec<Transaction>,
    n_undone: BTreeMap<Pair, usize>,
}

impl Pretended {
    pub(crate) fn push(&mut self, transaction: Transaction) {
        self.done.push(transaction);
    }

    /// Takes the last one of a pair back.
    pub(crate) fn undo(&mut self, pair: &Pair) -> Option<Transaction> {
        let at = self
            .done
            .iter()
            .rposition(|t| t.pair.as_ref() == Some(pair))?;
        *self.n_undone.entry(pair.clone()).or_default() += 1;
        Some(self.done.remove(at))
    }

    fn of_pair<'a>(&'a self, pair: &'a Pair) -> impl Iterator<Item = &'a Transaction> {
        self.done
            .iter()
            .filter(move |t| t.pair.as_ref() == Some(pair))
    }

    /// The last word on each face of a photo.
    pub(crate) fn decided(&self, pair: &Pair, asset: &AssetId) -> BTreeMap<FaceId, Was> {
        self.of_pair(pair)
            .flat_map(|transaction| &transaction.decisions)
            .filter(|decision| decision.asset == *asset)
            .map(|decision| (decision.face.clone(), Was::by(&decision.action)))
            .collect()
    }

    pub(crate) fn reviewed(&self, pair: &Pair) -> BTreeSet<AssetId> {
        self.of_pair(pair)
            .filter_map(|transaction| transaction.review.as_ref())
            .map(|review| review.asset.clone())
            .collect()
    }

    /// Adds what was pretended to the journal's figures.
    pub(crate) fn count(&self, pair: &Pair, stats: &mut Stats) {
        for transaction in self.of_pair(pair) {
            if let Some(review) = &transaction.review {
                stats.reviewed += 1;
                stats.skipped += usize::from(review.how == ReviewHow::Skipped);
            }
            for decision in &transaction.decisions {
                match Was::by(&decision.action) {
                    Was::Fixed => {
                        stats.reassigned += 1;
                        stats.auto_fixed += usize::from(transaction.by == face_fix::By::AutoFix);
                    }
                    Was::Unassigned | Was::NoFace => stats.unassigned += 1,
                    Was::Kept => {}
                }
            }
        }
        stats.undone += self.n_undone.get(pair).copied().unwrap_or(0);
    }
}
