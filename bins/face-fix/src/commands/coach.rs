//! `coach`: same and different distances of a pair, and how the rule would have done.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use face_fix::{
    AutoRule, BIN_WIDTH, Coach, Memory, N_BINS, Pair, PairIndex, Side, coach, confirmed, try_rule,
};
use faceset_cli::{Context, Report};
use serde_json::json;

use crate::session::{QueueArgs, SessionArgs, block_on, for_people, own_faces, person};

/// Margins that are tried, in cosine distance.
const MARGINS: [f64; 5] = [0.0, 0.05, 0.10, 0.15, 0.20];

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Who has the faces: id or name
    wrong: String,
    /// Whose some of them are: id or name
    correct: String,
    /// A cache of face-sets made from this library's photos
    #[arg(long, value_name = "FILE")]
    cache: PathBuf,
    #[command(flatten)]
    queue: QueueArgs,
}

pub(crate) fn run(args: &Args, session: &SessionArgs, context: &Context) -> anyhow::Result<Report> {
    let own = Arc::new(own_faces(&args.cache, &args.queue, context)?.1);
    block_on(async {
        let (engine, _) = session.looking().await?;
        let pair = Pair {
            wrong: person(engine.client(), &args.wrong).await?.id,
            correct: person(engine.client(), &args.correct).await?.id,
        };
        let memory = engine.look(Memory::of);
        let index = PairIndex::load(engine.client(), own.clone(), &pair, engine.user(), &memory)
            .await
            .map_err(for_people)?;
        let confirmed = engine.look(|past| confirmed(past, &pair));
        let rows = |wanted: Side| -> Vec<usize> {
            let of_side = confirmed.iter().filter(|(_, side)| *side == wanted);
            of_side.filter_map(|(face, _)| index.row_of(face)).collect()
        };
        let coach = coach(&own, &rows(Side::Wrong), &rows(Side::Correct));
        let trials: Vec<_> = MARGINS
            .iter()
            .map(|margin| {
                let rule = AutoRule {
                    margin: *margin,
                    ..AutoRule::default()
                };
                (*margin, try_rule(&index, &confirmed, &rule))
            })
            .collect();
        let mut text = picture(&coach);
        for (margin, trial) in &trials {
            let _ = write!(
                text,
                "\nmargin {margin:.2}: {} right, {} wrong, {} left to you, {} not to be compared",
                trial.n_right, trial.n_wrong, trial.n_unsure, trial.n_unknown
            );
        }
        let trials: Vec<_> = trials
            .iter()
            .map(|(margin, trial)| json!({ "margin": margin, "trial": trial }))
            .collect();
        Ok(Report::done(
            text,
            json!({ "coach": coach, "trials": trials }),
        ))
    })
}

/// The histograms as text.
fn picture(coach: &Coach) -> String {
    let mut lines = vec![format!(
        "decided so far: {} of the wrong person, {} of the correct one",
        coach.n_wrong, coach.n_correct
    )];
    let most = coach.same.iter().chain(&coach.different).max();
    let most = most.copied().unwrap_or_default().max(1);
    let bar = |n: u64| "#".repeat((n * 24).div_ceil(most) as usize);
    for at in 0..N_BINS {
        let (same, different) = (coach.same[at], coach.different[at]);
        if same + different > 0 {
            let from = at as f64 * BIN_WIDTH;
            lines.push(format!(
                "{from:.2}  same {:<24}  different {}",
                bar(same),
                bar(different)
            ));
        }
    }
    lines.push(match &coach.cut {
        None => "decide faces of both people first: there is nothing to compare yet".to_owned(),
        Some(cut) => format!(
            "best cut {:.3}: misses {:.1} % of the same, mixes up {:.1} % of the different{}",
            cut.distance.get(),
            cut.missed * 100.0,
            cut.mixed_up * 100.0,
            if cut.overlap {
                "; the two overlap: leave auto-fix off"
            } else {
                ""
            }
        ),
    });
    lines.join("\n")
}
