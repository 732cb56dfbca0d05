//! `people`: who is who in a result, and what they want.

mod decisions;
mod groups;
mod view;

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use faceset_cli::{Context, Report};
use faceset_core::FacesetNumber;
use faceset_core::consent::{CivilDate, Consent};
use faceset_identity::{IdentityError, Registry};
use faceset_pipeline::{Ctx, PipelineError, people, pick};

use crate::session::{for_people, with_ctx};

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
    /// The swap-ready folder, which holds the registry
    #[arg(
        long = "in",
        value_name = "DIR",
        default_value = "facesets_swap_ready",
        global = true
    )]
    folder: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Everybody, with number, name, state and consent
    List {
        /// Hidden, merged and forgotten people, too
        #[arg(short, long)]
        all: bool,
    },
    /// Everything that is known of one person
    Show {
        /// Number, folder or name
        person: String,
        /// Every face, too
        #[arg(long)]
        faces: bool,
    },
    /// Give a name, or take it away with an empty one
    Name {
        /// Number, folder or name
        person: String,
        /// The name
        name: String,
    },
    /// Two numbers are one person: the second stands for both
    Merge {
        /// Number, folder or name of the one that moves to _merged/
        from: String,
        /// Number, folder or name of the one that stays
        into: String,
    },
    /// Take a merge back, whenever it was
    Unmerge {
        /// Number or folder of the one that was merged
        person: String,
    },
    /// Keep people out of exports and lists; their sets move to _dropped/
    Hide {
        /// Numbers, folders or names
        #[arg(required = true)]
        people: Vec<String>,
    },
    /// Show hidden people again; their sets come back
    Unhide {
        /// Numbers, folders or names
        #[arg(required = true)]
        people: Vec<String>,
    },
    /// People with too few faces for a set: not exported, their sets move to _thin/
    Thin {
        /// Numbers, folders or names
        #[arg(required = true)]
        people: Vec<String>,
    },
    /// Take that back; the sets return
    Unthin {
        /// Numbers, folders or names
        #[arg(required = true)]
        people: Vec<String>,
    },
    /// The face that stands for the person
    Feature {
        /// Number, folder or name
        person: String,
        /// Rank in the set, photo, PHOTO@x1,y1,x2,y2, or `none`
        face: String,
    },
    /// What the person said: a refused set is not exported
    Consent {
        /// Number, folder or name
        person: String,
        /// What they said
        #[arg(value_enum)]
        consent: Said,
    },
    /// Birth date: faces of under-18s are not exported
    BirthDate {
        /// Number, folder or name
        person: String,
        /// `YYYY-MM-DD`, or `none`
        date: String,
    },
    /// A face is not this person: it leaves the set and never comes back by itself
    NotThisPerson {
        /// Number, folder or name
        person: String,
        /// Rank in the set, photo, or PHOTO@x1,y1,x2,y2
        face: String,
    },
    /// A face is this person, whatever was said before
    ThisPerson {
        /// Number, folder or name
        person: String,
        /// Photo, or PHOTO@x1,y1,x2,y2
        face: String,
    },
    /// It is no face at all: it leaves the set, and no step groups it again
    NotAFace {
        /// Number, folder or name of who has it
        person: String,
        /// Rank in the set, photo, or PHOTO@x1,y1,x2,y2
        face: String,
    },
    /// Take in what was decided in face-fix: faces that are not somebody's never come back
    ImportDecisions(decisions::ImportArgs),
    /// Propose how one person could be two; with --apply give groups a new number
    Split(groups::SplitArgs),
    /// Rank the people without a name; with --hide-after hide the tail of the list
    Triage(groups::TriageArgs),
    /// Photos that show one person twice: mirrors, collages, and mistakes first
    Twice(groups::TwiceArgs),
    /// Every change, or those of one person
    History {
        /// Number, folder or name
        person: Option<String>,
    },
    /// Take a change back
    Undo {
        /// Its number in the history [default: the last change]
        entry: Option<u64>,
    },
    /// Take in names from NAME.txt and bring the folders up to date; every change does so, too
    Sync {
        /// Say what would be taken in
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Said {
    /// Agreed
    Granted,
    /// Refused
    Denied,
    /// Nobody has said
    Unknown,
}

/// The number that a person is asked for by.
fn number(registry: &Registry, text: &str) -> Result<FacesetNumber, IdentityError> {
    registry.find(text).map(|identity| identity.number)
}

fn numbers(registry: &Registry, texts: &[String]) -> Result<Vec<FacesetNumber>, IdentityError> {
    texts.iter().map(|text| number(registry, text)).collect()
}

/// Runs it.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Report> {
    let folder = args.folder.as_path();
    let lines =
        with_ctx(context, None, |ctx| act(&args.action, folder, ctx)).map_err(for_people)?;
    let json = serde_json::json!({"command": "people", "lines": lines});
    Ok(Report::done(lines.join("\n"), json))
}

fn act(action: &Action, folder: &Path, ctx: Ctx<'_>) -> Result<Vec<String>, PipelineError> {
    match action {
        Action::List { all } => view::list(&people::load(folder, ctx)?, folder, *all),
        Action::Show { person, faces } => {
            let registry = people::load(folder, ctx)?;
            let who = number(&registry, person)?;
            Ok(view::show(&registry, who, folder, *faces))
        }
        Action::History { person } => view::history(&people::load(folder, ctx)?, person.as_deref()),
        Action::Sync { dry_run: true } => {
            let registry = people::load(folder, ctx)?;
            Ok(view::or(
                faceset_pipeline::tree::waiting(folder, &registry)?,
                "nothing is waiting",
            ))
        }
        Action::Sync { dry_run: false } => {
            Ok(view::or(people::take_in(folder, ctx)?, "nothing to do"))
        }
        Action::ImportDecisions(args) => decisions::import(args, folder, ctx),
        Action::Split(args) => groups::split(args, folder, ctx),
        Action::Triage(args) => groups::triage(args, folder, ctx),
        Action::Twice(args) => groups::twice(args, folder, ctx),
        change => people::change(
            folder,
            |registry| decide(change, registry, folder, ctx),
            ctx,
        ),
    }
}

/// The plan of an action that changes one thing.
fn decide(
    action: &Action,
    registry: &Registry,
    folder: &Path,
    ctx: Ctx<'_>,
) -> Result<faceset_identity::Plan, PipelineError> {
    let face = |person: FacesetNumber, text: &str| pick::face(registry, folder, person, text);
    let plan = match action {
        Action::Name { person, name } => {
            let name = Some(name.as_str()).filter(|n| !n.is_empty());
            registry.plan_name(number(registry, person)?, name)
        }
        Action::Merge { from, into } => {
            registry.plan_merge(number(registry, from)?, number(registry, into)?)
        }
        Action::Unmerge { person } => registry.plan_unmerge(number(registry, person)?),
        Action::Hide { people } => registry.plan_hide_all(&numbers(registry, people)?),
        Action::Unhide { people } => registry.plan_unhide_all(&numbers(registry, people)?),
        Action::Thin { people } => registry.plan_thin_all(&numbers(registry, people)?, true),
        Action::Unthin { people } => registry.plan_thin_all(&numbers(registry, people)?, false),
        Action::Feature { person, face: text } => {
            let person = number(registry, person)?;
            let chosen = match text.as_str() {
                "none" => None,
                text => Some(face(person, text)?),
            };
            registry.plan_feature(person, chosen.as_ref())
        }
        Action::Consent { person, consent } => {
            let consent = match consent {
                Said::Granted => Consent::Granted,
                Said::Denied => Consent::Denied,
                Said::Unknown => Consent::Unknown,
            };
            registry.plan_consent(number(registry, person)?, consent)
        }
        Action::BirthDate { person, date } => {
            let date = match date.as_str() {
                "none" => None,
                date => Some(
                    date.parse::<CivilDate>()
                        .map_err(|e| PipelineError::Options(e.to_string()))?,
                ),
            };
            registry.plan_birth_date(number(registry, person)?, date, people::today(ctx))
        }
        Action::NotThisPerson { person, face: text } => {
            let person = number(registry, person)?;
            registry.plan_not_this_person(person, &face(person, text)?)
        }
        Action::NotAFace { person, face: text } => {
            let person = number(registry, person)?;
            registry.plan_no_face(&face(person, text)?)
        }
        Action::ThisPerson { person, face: text } => {
            let person = number(registry, person)?;
            registry.plan_this_person(person, &face(person, text)?)
        }
        Action::Undo { entry } => {
            let last = registry.history().last().map_or(0, |e| e.id);
            registry.plan_undo(entry.unwrap_or(last))
        }
        Action::List { .. }
        | Action::Show { .. }
        | Action::History { .. }
        | Action::Sync { .. }
        | Action::ImportDecisions(_)
        | Action::Split(_)
        | Action::Triage(_)
        | Action::Twice(_) => unreachable!("handled before: these look, or do more"),
    };
    Ok(plan?)
}
