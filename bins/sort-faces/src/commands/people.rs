//! `people`: who is who in a result, and what they want.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use faceset_cli::{Context, Report};
use faceset_core::consent::{CivilDate, Consent};
use faceset_identity::{Identity, Registry};
use faceset_pipeline::people;

use super::count;
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
    List,
    /// Give a name, or take it away with an empty one
    Name {
        /// Number, folder or name
        person: String,
        /// The name
        name: String,
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
    /// Every change, or those of one person
    History {
        /// Number, folder or name
        person: Option<String>,
    },
    /// Take a change back
    Undo {
        /// Its number in the history
        entry: u64,
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

/// Runs it.
pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<Report> {
    let folder = args.folder.as_path();
    let lines = with_ctx(context, None, |ctx| {
        let person = |registry: &Registry, text: &str| registry.find(text).map(|i| i.number);
        match &args.action {
            Action::List => {
                let registry = people::load(folder, ctx)?;
                Ok(registry.identities().map(|i| line(&registry, i)).collect())
            }
            Action::History { person: None } => {
                let registry = people::load(folder, ctx)?;
                Ok(registry
                    .history()
                    .iter()
                    .map(|e| format!("{:>5}  {}  {}", e.id, e.at, e.what))
                    .collect())
            }
            Action::History { person: Some(text) } => {
                let registry = people::load(folder, ctx)?;
                let number = person(&registry, text)?;
                Ok(registry
                    .history_of(number)
                    .map(|e| format!("{:>5}  {}  {}", e.id, e.at, e.what))
                    .collect())
            }
            Action::Name { person: text, name } => {
                let name = Some(name.as_str()).filter(|n| !n.is_empty());
                people::change(folder, |r| r.plan_name(person(r, text)?, name), ctx)
            }
            Action::Consent {
                person: text,
                consent,
            } => {
                let consent = match consent {
                    Said::Granted => Consent::Granted,
                    Said::Denied => Consent::Denied,
                    Said::Unknown => Consent::Unknown,
                };
                people::change(folder, |r| r.plan_consent(person(r, text)?, consent), ctx)
            }
            Action::BirthDate { person: text, date } => {
                let date = match date.as_str() {
                    "none" => None,
                    date => Some(
                        date.parse::<CivilDate>()
                            .map_err(|e| faceset_pipeline::PipelineError::Options(e.to_string()))?,
                    ),
                };
                let today = people::today(ctx);
                people::change(
                    folder,
                    |r| r.plan_birth_date(person(r, text)?, date, today),
                    ctx,
                )
            }
            Action::Undo { entry } => people::change(folder, |r| r.plan_undo(*entry), ctx),
        }
    })
    .map_err(for_people)?;
    let json = serde_json::json!({"command": "people", "lines": lines});
    Ok(Report::done(lines.join("\n"), json))
}

fn line(registry: &Registry, identity: &Identity) -> String {
    let consent = match identity.consent {
        Consent::Granted => "consent granted",
        Consent::Denied => "consent denied",
        Consent::Unknown => "consent unknown",
    };
    let birth = identity
        .birth_date
        .map_or_else(String::new, |d| format!(", born {d}"));
    let reserved = identity
        .reserved
        .as_ref()
        .map_or_else(String::new, |r| format!(", no set: {r}"));
    format!(
        "{}  {}  {}, {}, {consent}{birth}{reserved}",
        identity.number.folder_name(),
        registry.name_of(identity.number).unwrap_or("(no name)"),
        identity.state,
        count(identity.faces.len(), "face", "faces")
    )
}
