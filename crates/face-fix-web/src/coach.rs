//! The threshold coach, as the page shows it.

use face_fix::{BIN_WIDTH, Coach, Pair, PairIndex, RuleTrial, Side, coach, confirmed, try_rule};
use immich_client::FaceId;
use serde::Serialize;

use crate::advice::RuleChoice;
use crate::app::{Inner, lock};

/// One bar of each kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Bin {
    from: f64,
    to: f64,
    same: u64,
    different: u64,
}

/// What the dialog shows.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct CoachView {
    /// False: `note` says why.
    available: bool,
    note: String,
    bins: Vec<Bin>,
    max_distance: f64,
    n_same: u64,
    n_different: u64,
    cut: Option<f64>,
    error_text: String,
    overlap: bool,
    /// What the rule would have done on what was decided by hand.
    trial_text: String,
}

/// Least end of the axis: unrelated faces lie around 1.
const AXIS: f64 = 1.2;

impl Inner {
    /// Distances among the faces that people decided on, for this pair.
    pub(crate) async fn coach(&self, pair: &Pair, choice: RuleChoice) -> CoachView {
        let unavailable = |note: String| CoachView {
            note,
            ..CoachView::default()
        };
        let index = match self.index(pair).await {
            None => {
                return unavailable(
                    "The coach needs our own embeddings: start face-fix with the cache of this library."
                        .to_owned(),
                );
            }
            Some(Err(why)) => return unavailable(format!("Not now: {why}.")),
            Some(Ok(index)) => index,
        };
        let decided = self.engine.look(|past| confirmed(past, pair));
        // A look at the pair's own vectors: no request, and no more than 200 faces a side.
        let index = lock(&index).clone();
        let shown = tokio::task::spawn_blocking(move || look(&index, &decided, choice)).await;
        shown.unwrap_or_else(|_| unavailable("The distances could not be computed.".to_owned()))
    }
}

fn look(index: &PairIndex, decided: &[(FaceId, Side)], choice: RuleChoice) -> CoachView {
    let rows = |wanted: Side| -> Vec<usize> {
        decided
            .iter()
            .filter(|(_, side)| *side == wanted)
            .filter_map(|(face, _)| index.row_of(face))
            .collect()
    };
    let found = coach(index.own(), &rows(Side::Wrong), &rows(Side::Correct));
    let trial = try_rule(index, decided, &choice.rule());
    view(&found, trial)
}

fn view(found: &Coach, trial: RuleTrial) -> CoachView {
    let (n_same, n_different) = (found.same.iter().sum(), found.different.iter().sum());
    let bars = found.same.iter().zip(&found.different);
    let used = bars
        .clone()
        .rposition(|(same, different)| same + different > 0);
    let n_axis = (AXIS / BIN_WIDTH).round() as usize;
    let n_bins = used.map_or(0, |last| last + 1).max(n_axis);
    CoachView {
        available: true,
        note: format!(
            "Faces decided by hand in this pair: {} stayed, {} given on.",
            found.n_wrong, found.n_correct
        ),
        bins: bars
            .take(n_bins)
            .enumerate()
            .map(|(at, (same, different))| Bin {
                from: at as f64 * BIN_WIDTH,
                to: (at + 1) as f64 * BIN_WIDTH,
                same: *same,
                different: *different,
            })
            .collect(),
        max_distance: n_bins as f64 * BIN_WIDTH,
        n_same,
        n_different,
        cut: found.cut.map(|cut| cut.distance.get()),
        error_text: match found.cut {
            None => "decide faces of both people first".to_owned(),
            Some(cut) => format!(
                "{:.0} % of one person's pairs missed, {:.0} % of the two people's mixed up",
                cut.missed * 100.0,
                cut.mixed_up * 100.0
            ),
        },
        overlap: found.cut.is_some_and(|cut| cut.overlap),
        trial_text: format!(
            "{} as you did, {} otherwise, {} left to you, {} without embedding",
            trial.n_right, trial.n_wrong, trial.n_unsure, trial.n_unknown
        ),
    }
}
