//! The threshold coach: how well two people can be told apart by distance, learnt from
//! the faces decided so far.

use faceset_core::CosineDistance;
use immich_client::FaceId;
use serde::Serialize;

use crate::decision::{Action, Pair};
use crate::journal::{Past, Settled};
use crate::own::OwnFaces;
use crate::suggest::{AutoRule, PairIndex, Side, Verdict};

/// Width of a bar of the histograms, in cosine distance.
pub const BIN_WIDTH: f64 = 0.05;

/// Bars: 0 to 2.
pub const N_BINS: usize = 40;

/// Faces of each person compared at most. 200 give 19,900 pairs a person, enough for
/// the figures shown; more are thinned evenly.
const MAX_FACES: usize = 200;

/// From this balanced error on, two people count as overlapping: about one face in ten
/// ends on the wrong side of any cut. Chosen, not measured.
const OVERLAP_ERROR: f64 = 0.10;

/// How distances between faces of the same and of different people are spread.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Coach {
    /// Faces looked at, of the wrong person.
    pub n_wrong: usize,
    /// Faces looked at, of the correct person.
    pub n_correct: usize,
    /// Pairs of the same person by distance: bar `i` counts distances in
    /// `i * BIN_WIDTH ..(i + 1) * BIN_WIDTH`, the last one 2 too.
    pub same: Vec<u64>,
    /// Pairs of one face of each person, likewise.
    pub different: Vec<u64>,
    /// The best cut; `None` without pairs of both kinds.
    pub cut: Option<Cut>,
}

/// A distance up to which two faces count as the same person's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cut {
    /// The distance; equal is the same person's. Halfway between two distances seen.
    pub distance: CosineDistance,
    /// Share of the same person's pairs that are farther.
    pub missed: f64,
    /// Share of the different people's pairs that are as near or nearer.
    pub mixed_up: f64,
    /// True when no cut tells the two apart well, as with twins: leave auto-fix off.
    pub overlap: bool,
}

/// How a rule would have judged the faces decided so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct RuleTrial {
    /// As the person decided.
    pub n_right: usize,
    /// Against the person's decision.
    pub n_wrong: usize,
    /// Left to the person.
    pub n_unsure: usize,
    /// Without embedding.
    pub n_unknown: usize,
}

/// The faces that a person decided for a pair and whose they are: the last word on
/// each, undone ones left out.
pub fn confirmed(past: &Past, pair: &Pair) -> Vec<(FaceId, Side)> {
    let mut known = std::collections::BTreeMap::new();
    for past in past.transactions() {
        // What the rule decided must not confirm the rule.
        let by_hand = past.transaction.by == crate::By::Hand;
        if !by_hand || past.undo.is_some() || past.transaction.pair.as_ref() != Some(pair) {
            continue;
        }
        for (decision, settled) in past.transaction.decisions.iter().zip(&past.settled) {
            let face = decision.face.clone();
            let side = match (settled, &decision.action) {
                (Some(Settled::Kept), _) => Some(Side::Wrong),
                (
                    Some(Settled::Moved { to, .. } | Settled::AlreadyThere { to }),
                    Action::Reassign { .. },
                ) if *to == pair.correct => Some(Side::Correct),
                _ => None,
            };
            match side {
                Some(side) => known.insert(face, side),
                None => known.remove(&face),
            };
        }
    }
    known.into_iter().collect()
}

/// Compares confirmed faces, given by their rows.
pub fn coach(own: &OwnFaces, wrong: &[usize], correct: &[usize]) -> Coach {
    let (wrong, correct) = (thinned(wrong), thinned(correct));
    let mut same = Vec::new();
    for rows in [&wrong, &correct] {
        for (at, a) in rows.iter().enumerate() {
            same.extend(rows[at + 1..].iter().map(|b| own.distance(*a, *b).get()));
        }
    }
    let mut different = Vec::new();
    for a in &wrong {
        different.extend(correct.iter().map(|b| own.distance(*a, *b).get()));
    }
    same.sort_by(f64::total_cmp);
    different.sort_by(f64::total_cmp);
    Coach {
        n_wrong: wrong.len(),
        n_correct: correct.len(),
        same: histogram(&same),
        different: histogram(&different),
        cut: best_cut(&same, &different),
    }
}

/// Tries a rule on confirmed faces, each compared with all faces but its own photo's.
pub fn try_rule(index: &PairIndex, confirmed: &[(FaceId, Side)], rule: &AutoRule) -> RuleTrial {
    let mut trial = RuleTrial::default();
    for (face, side) in confirmed {
        let Some(suggestion) = index.suggest_member(face) else {
            trial.n_unknown += 1;
            continue;
        };
        match (rule.judge(&suggestion), side) {
            (Verdict::Unsure, _) => trial.n_unsure += 1,
            (Verdict::Correct, Side::Correct) | (Verdict::Wrong, Side::Wrong) => trial.n_right += 1,
            _ => trial.n_wrong += 1,
        }
    }
    trial
}

fn thinned(rows: &[usize]) -> Vec<usize> {
    if rows.len() <= MAX_FACES {
        return rows.to_vec();
    }
    (0..MAX_FACES)
        .map(|i| rows[i * rows.len() / MAX_FACES])
        .collect()
}

fn histogram(distances: &[f64]) -> Vec<u64> {
    let mut bars = vec![0; N_BINS];
    for distance in distances {
        let bar = (distance / BIN_WIDTH) as usize;
        bars[bar.min(N_BINS - 1)] += 1;
    }
    bars
}

/// The cut with the least mean of both shares of errors; of equal ones the smallest.
/// Both lists ascend.
fn best_cut(same: &[f64], different: &[f64]) -> Option<Cut> {
    if same.is_empty() || different.is_empty() {
        return None;
    }
    let mut seen: Vec<f64> = same.iter().chain(different).copied().collect();
    seen.sort_by(f64::total_cmp);
    seen.dedup();
    let between = seen.windows(2).map(|two| f64::midpoint(two[0], two[1]));
    let last = seen.last().copied();
    let candidates: Vec<f64> = between.chain(last).collect();
    let errors = |cut: f64| {
        let missed = same.len() - same.partition_point(|d| *d <= cut);
        let mixed_up = different.partition_point(|d| *d <= cut);
        (
            missed as f64 / same.len() as f64,
            mixed_up as f64 / different.len() as f64,
        )
    };
    let total = |cut: f64| {
        let (missed, mixed_up) = errors(cut);
        f64::midpoint(missed, mixed_up)
    };
    let best = candidates
        .into_iter()
        .min_by(|a, b| total(*a).total_cmp(&total(*b)).then(a.total_cmp(b)))?;
    let (missed, mixed_up) = errors(best);
    Some(Cut {
        distance: CosineDistance::from_similarity(1.0 - best),
        missed,
        mixed_up,
        overlap: total(best) >= OVERLAP_ERROR,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_lies_between_what_is_seen_and_counts_both_errors() {
        // Same: 0.1 0.2 0.3 0.7; different: 0.6 0.8 0.9. Cut 0.45 misses one of four and
        // mixes up none; 0.75 misses none and mixes up one of three.
        let cut = best_cut(&[0.1, 0.2, 0.3, 0.7], &[0.6, 0.8, 0.9]).unwrap();
        assert!((cut.distance.get() - 0.45).abs() < 1e-12, "{cut:?}");
        assert_eq!((cut.missed, cut.mixed_up), (0.25, 0.0));
        assert!(cut.overlap);
        let apart = best_cut(&[0.1, 0.2], &[0.8]).unwrap();
        assert!(
            (apart.distance.get() - 0.5).abs() < 1e-12 && !apart.overlap,
            "{apart:?}"
        );
        assert_eq!(best_cut(&[], &[0.8]), None);
        assert_eq!(best_cut(&[0.8], &[]), None);
    }

    #[test]
    fn bars_hold_their_lower_edge_and_the_last_one_both() {
        let bars = histogram(&[0.0, 0.049, 0.051, 2.0]);
        assert_eq!((bars[0], bars[1], bars[39], bars.len()), (2, 1, 1, 40));
    }
}
