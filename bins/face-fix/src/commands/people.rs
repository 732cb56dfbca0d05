//! `people`: ids and names.

use faceset_cli::Report;
use serde_json::json;

use crate::session::{SessionArgs, block_on, for_people};

/// Flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only people whose name holds this
    name: Option<String>,
}

pub(crate) fn run(args: &Args, session: &SessionArgs) -> anyhow::Result<Report> {
    let client = session.client()?;
    let mut people = block_on(async { client.all_people(true).await.map_err(for_people) })?;
    let wanted = args.name.as_deref().unwrap_or_default().to_lowercase();
    people.retain(|person| person.name.to_lowercase().contains(&wanted));
    people.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    let line = |person: &immich_client::Person| {
        let hidden = if person.is_hidden { "  (hidden)" } else { "" };
        format!("{}  {}{hidden}", person.id, person.name)
    };
    let lines: Vec<String> = people.iter().map(line).collect();
    let json: Vec<_> = people
        .iter()
        .map(|p| json!({"id": p.id, "name": p.name, "hidden": p.is_hidden}))
        .collect();
    Ok(Report::done(lines.join("\n"), json!({ "people": json })))
}
