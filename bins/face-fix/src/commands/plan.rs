//! `plan`: decisions into a file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use face_fix::{
    Action, AutoRule, By, Engine, GroupTarget, Memory, OwnFaces, Pair, PairIndex, PersonPhotos,
    Plan, SPLIT_DISTANCE, Split, Suggestion, Transaction, Verdict, split, suggest_by_immich,
};
use faceset_cli::{Context, Report};
use faceset_core::CosineDistance;
use serde_json::json;

use super::replay;
use crate::session::{QueueArgs, SessionArgs, block_on, for_people, now, own_faces, person, whole};
use crate::words::count;

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// Move the faces of WRONG that are clearly CORRECT's
    Auto(AutoArgs),
    /// Show a person's faces in groups, and give groups to other people
    Split(SplitArgs),
    /// Bring back what the server has forgotten of a journal
    Replay {
        #[command(flatten)]
        args: replay::Args,
        /// The plan file to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct AutoArgs {
    /// Who has the faces: id or name
    wrong: String,
    /// Whose some of them are: id or name
    correct: String,
    /// A cache of face-sets made from this library's photos
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "trust_immich_order"
    )]
    cache: Option<PathBuf>,
    #[command(flatten)]
    queue: QueueArgs,
    /// How much nearer CORRECT must be, in cosine distance
    #[arg(long, value_name = "D", default_value_t = AutoRule::default().margin)]
    margin: f64,
    /// How near CORRECT must be at most
    #[arg(long, value_name = "D", default_value_t = AutoRule::default().max_distance.get())]
    max_distance: f64,
    /// Without a cache: believe Immich's own order, which knows one face a person only
    #[arg(long, conflicts_with = "cache")]
    trust_immich_order: bool,
    /// The plan file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
struct SplitArgs {
    /// Whose faces: id or name
    person: String,
    /// A cache of face-sets made from this library's photos
    #[arg(long, value_name = "FILE")]
    cache: PathBuf,
    #[command(flatten)]
    queue: QueueArgs,
    /// Faces nearer than this are grouped
    #[arg(long, value_name = "D", default_value_t = SPLIT_DISTANCE.get())]
    threshold: f64,
    /// Give group N to a person: `N=ID`, `N=NAME`, or `N=new:NAME` for a new one
    #[arg(long, value_name = "N=WHO")]
    assign: Vec<String>,
    /// The plan file to write, with --assign
    #[arg(long, value_name = "FILE", requires = "assign")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, session: &SessionArgs, context: &Context) -> anyhow::Result<Report> {
    match &args.kind {
        Kind::Auto(args) => {
            let own = args.cache.as_deref();
            let own = own.map(|path| own_faces(path, &args.queue, context));
            let own = own.transpose()?.map(|(_, own)| own);
            block_on(auto(args, own, session, context))
        }
        Kind::Split(args) => {
            let (_, own) = own_faces(&args.cache, &args.queue, context)?;
            block_on(by_groups(args, &own, session, context))
        }
        Kind::Replay { args, out } => block_on(async {
            let (engine, _) = session.looking().await?;
            let (plan, found) = replay::plan(args, &engine, session, context).await?;
            written(&plan, out, session, context, &format!("{found}\n"))
        }),
    }
}

fn written(
    plan: &Plan,
    out: &Path,
    session: &SessionArgs,
    context: &Context,
    before: &str,
) -> anyhow::Result<Report> {
    whole(context)?;
    let verb = if session.is_dry() { "would be" } else { "are" };
    if !session.is_dry() {
        plan.write(out).map_err(for_people)?;
    }
    let text = format!(
        "{before}{} in {} {verb} planned in {}; `face-fix apply` carries it out",
        count(plan.n_faces(), "face", "faces"),
        count(plan.transactions.len(), "transaction", "transactions"),
        out.display()
    );
    Ok(Report::done(text, json!({ "plan": plan })))
}

fn distance(value: f64, flag: &str) -> anyhow::Result<CosineDistance> {
    CosineDistance::new(value).with_context(|| format!("{flag} takes a cosine distance, 0 to 2"))
}

async fn auto(
    args: &AutoArgs,
    own: Option<OwnFaces>,
    session: &SessionArgs,
    context: &Context,
) -> anyhow::Result<Report> {
    let rule = AutoRule {
        margin: args.margin,
        max_distance: distance(args.max_distance, "--max-distance")?,
        trust_immich_order: args.trust_immich_order,
    };
    if !(0.0..=2.0).contains(&rule.margin) {
        bail!("--margin takes a difference of cosine distances, 0 to 2");
    }
    let (engine, _) = session.looking().await?;
    let wrong = person(engine.client(), &args.wrong).await?;
    let correct = person(engine.client(), &args.correct).await?;
    if wrong.id == correct.id {
        bail!("both are the same person");
    }
    let pair = Pair {
        wrong: wrong.id.clone(),
        correct: correct.id.clone(),
    };
    let photos = PersonPhotos::new(engine.client(), &pair.wrong, engine.user())
        .await
        .map_err(for_people)?;
    let photos = photos.collect().await.map_err(for_people)?;
    let memory = engine.look(Memory::of);
    let index = match own {
        Some(own) => Some(
            PairIndex::load(
                engine.client(),
                Arc::new(own),
                &pair,
                engine.user(),
                &memory,
            )
            .await
            .map_err(for_people)?,
        ),
        None => None,
    };
    let mut transactions = Vec::new();
    let (mut n_faces, mut n_unsure, mut n_unknown, mut n_remembered) = (0, 0, 0, 0);
    for photo in &photos {
        whole(context)?;
        let mut transaction = Transaction {
            by: By::AutoFix,
            label: format!("auto: {} to {}", wrong.name, correct.name),
            pair: Some(pair.clone()),
            ..session.blank()
        };
        for face in photo.faces_of(&pair.wrong) {
            n_faces += 1;
            let suggestion = match &index {
                Some(index) => index.suggest(photo, face),
                None => suggest_by_immich(engine.client(), &pair, &face.face, face.source)
                    .await
                    .map_err(for_people)?,
            };
            let verdict = rule.judge(&suggestion);
            let bound = rule.judge_said(&suggestion, memory.said(photo, face), &pair);
            match bound {
                Verdict::Correct => {
                    let to = correct.clone();
                    let action = Action::Reassign { to };
                    transaction.decisions.push(photo.decide(face, action));
                }
                Verdict::Wrong => {}
                Verdict::Unsure if verdict == Verdict::Correct => n_remembered += 1,
                Verdict::Unsure => match suggestion {
                    Suggestion::Nothing { .. } => n_unknown += 1,
                    _ => n_unsure += 1,
                },
            }
        }
        if !transaction.decisions.is_empty() {
            transactions.push(transaction);
        }
    }
    let what = format!("auto: {} to {}", wrong.name, correct.name);
    let plan = Plan::new(now(), &engine, what, transactions);
    let before = format!(
        "{} of {}: {n_unsure} too close to call, {n_unknown} not to be compared, {n_remembered} \
         left as you decided before\n",
        count(n_faces, "face", "faces"),
        wrong.name
    );
    written(&plan, &args.out, session, context, &before)
}

async fn by_groups(
    args: &SplitArgs,
    own: &OwnFaces,
    session: &SessionArgs,
    context: &Context,
) -> anyhow::Result<Report> {
    let threshold = distance(args.threshold, "--threshold")?;
    let (engine, _) = session.looking().await?;
    let whose = person(engine.client(), &args.person).await?;
    let photos = PersonPhotos::new(engine.client(), &whose.id, engine.user())
        .await
        .map_err(for_people)?;
    let photos = photos.collect().await.map_err(for_people)?;
    let split = split(
        own,
        &whose,
        &photos,
        threshold,
        context.progress(),
        &context.cancel,
    )
    .map_err(for_people)?;
    let shown = groups(&split);
    let Some(out) = &args.out else {
        return Ok(Report::done(shown, json!({ "split": split })));
    };
    let targets = targets(&engine, &args.assign).await?;
    let transactions = split.plan(&targets, &session.blank()).map_err(for_people)?;
    let transactions = transactions.into_iter().map(|transaction| Transaction {
        by: By::Plan,
        ..transaction
    });
    let what = format!("split {}", whose.name);
    let plan = Plan::new(now(), &engine, what, transactions.collect());
    written(&plan, out, session, context, &format!("{shown}\n"))
}

async fn targets(
    engine: &Engine,
    assign: &[String],
) -> anyhow::Result<BTreeMap<usize, GroupTarget>> {
    let mut targets = BTreeMap::new();
    for text in assign {
        let parts = text.split_once('=');
        let parts = parts.and_then(|(n, who)| Some((n.parse::<usize>().ok()?, who)));
        let Some((number, who)) = parts else {
            bail!("{text:?} is no assignment: expected N=ID, N=NAME or N=new:NAME");
        };
        let target = match who.strip_prefix("new:") {
            Some(name) => GroupTarget::New {
                name: name.to_owned(),
            },
            None => GroupTarget::Person(person(engine.client(), who).await?),
        };
        if targets.insert(number, target).is_some() {
            bail!("group {number} is assigned twice");
        }
    }
    Ok(targets)
}

/// The groups with their faces by year.
fn groups(split: &Split) -> String {
    let mut lines = Vec::new();
    for group in &split.groups {
        let years: Vec<String> = group
            .years
            .iter()
            .map(|(year, n)| format!("{year}: {n}"))
            .collect();
        lines.push(format!(
            "group {:>3}  {:<10}  {}",
            group.number,
            count(group.faces.len(), "face", "faces"),
            years.join(", ")
        ));
    }
    let mut left_out = BTreeMap::new();
    for (_, why) in &split.left_out {
        *left_out.entry(*why).or_insert(0) += 1;
    }
    for (why, n) in left_out {
        lines.push(format!("left out: {} ({why})", count(n, "face", "faces")));
    }
    lines.join("\n")
}
