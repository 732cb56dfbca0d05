//! `verify`: is the server as the journal says?

use face_fix::{Found, FoundRow, VerifyReport, verify};
use faceset_cli::{Context, Exit, Report};
use serde_json::json;

use crate::session::{SessionArgs, block_on, for_people};
use crate::words;

pub(crate) fn run(session: &SessionArgs, context: &Context) -> anyhow::Result<Report> {
    block_on(async {
        let (engine, start) = session.looking().await?;
        let past = engine.look(Clone::clone);
        let report = verify(
            engine.client(),
            &past,
            engine.user(),
            context.progress(),
            &context.cancel,
        )
        .await
        .map_err(for_people)?;
        let exit = match (report.cut_short, report.n_different()) {
            (true, _) => Exit::Interrupted,
            (false, 0) => Exit::Ok,
            (false, _) => Exit::Error,
        };
        Ok(Report {
            text: format!("{}{}", words::start(&start), found(&report)),
            json: json!({ "start": start, "verify": report }),
            exit,
        })
    })
}

/// The differences, one a line, and the sum.
pub(super) fn found(report: &VerifyReport) -> String {
    let mut lines: Vec<String> = report.rows.iter().filter_map(difference).collect();
    lines.push(format!(
        "{} of {} as decided",
        report.n_as_decided(),
        words::count(report.rows.len(), "face", "faces")
    ));
    lines.join("\n")
}

fn difference(row: &FoundRow) -> Option<String> {
    let what = match &row.found {
        Found::AsDecided => return None,
        Found::Elsewhere { now: Some(now) } => format!("is with {:?} ({})", now.name, now.id),
        Found::Elsewhere { now: None } => "is with nobody".to_owned(),
        Found::PhotoGone => "the photo is no more".to_owned(),
        Found::FaceGone => "there is no face at that place any more".to_owned(),
        Found::Ambiguous => "two faces are at that place".to_owned(),
        Found::SeveralPeople { name } => format!("several people are called {name:?}"),
    };
    let n = row.decision + 1;
    Some(format!(
        "transaction {}, face {n}, photo {}: {what}",
        row.id, row.asset
    ))
}
