//! Outcomes in words.

use std::fmt::Write as _;

use face_fix::{
    ApplyReport, DecisionOutcome, Feature, FeatureRestored, Outcome, PastTransaction,
    PersonRemoved, Restored, Settled, Start, Status, UndoReport,
};
use faceset_cli::Exit;
pub(crate) use faceset_cli::count;

/// What the key lacks and what was finished, one line each; empty when all is well.
pub(crate) fn start(start: &Start) -> String {
    let mut text = String::new();
    let mut line = |words: String| {
        text.push_str(&words);
        text.push('\n');
    };
    for missing in &start.permissions.missing {
        let functions: Vec<String> = missing.functions.iter().map(ToString::to_string).collect();
        line(format!(
            "the key lacks {}: it can't {}",
            missing.permission,
            functions.join(", ")
        ));
    }
    if !start.permissions.known {
        line("this server can't say what the key may do; what is missing shows when needed".into());
    }
    if start.permissions.is_all {
        line("the key may do everything; one with only the needed permissions is safer".into());
    }
    for outcome in &start.resumed {
        line(format!(
            "left open by an earlier run: {}",
            outcome_line(outcome)
        ));
    }
    for report in &start.undone {
        line(format!(
            "undo left open by an earlier run: {}",
            undo(report)
        ));
    }
    text
}

pub(crate) fn outcome_line(outcome: &Outcome) -> String {
    let id = outcome
        .id
        .map_or_else(String::new, |id| format!("transaction {id} "));
    let n = |wanted: fn(&DecisionOutcome) -> bool| {
        outcome
            .decisions
            .iter()
            .filter(|decision| wanted(decision))
            .count()
    };
    let moved = n(|d| {
        matches!(
            d,
            DecisionOutcome::Settled {
                how: Settled::Moved { .. }
            }
        )
    });
    let gone = n(|d| matches!(d, DecisionOutcome::Settled { how: Settled::Gone }));
    let mut text = match &outcome.status {
        Status::Applied => format!("{id}done: {} moved", count(moved, "face", "faces")),
        Status::DryRun => {
            let would = n(|d| *d == DecisionOutcome::WouldSend);
            format!("dry run: {} would be moved", count(would, "face", "faces"))
        }
        Status::Stopped { why, .. } => {
            format!("{id}stopped after {}: {why}", count(moved, "face", "faces"))
        }
        Status::Waiting { why } => {
            format!(
                "{id}waits for the server after {}: {why}",
                count(moved, "face", "faces")
            )
        }
    };
    if gone > 0 {
        let _ = write!(text, "; {} gone", count(gone, "face is", "faces are"));
    }
    text
}

pub(crate) fn apply(report: &ApplyReport) -> String {
    let mut text = format!(
        "{} of {} through",
        report.n_applied + report.n_done_before,
        count(report.n_transactions, "transaction", "transactions")
    );
    if report.n_done_before > 0 {
        let _ = write!(text, " ({} by an earlier run)", report.n_done_before);
    }
    if let Some(ended) = &report.ended {
        let _ = write!(text, "\n{}", outcome_line(ended));
    }
    text
}

/// How a run ends that ended with this outcome.
pub(crate) fn exit(ended: Option<&Outcome>, cancelled: bool) -> Exit {
    match ended.map(|outcome| &outcome.status) {
        Some(Status::Waiting { .. }) => Exit::Paused,
        Some(Status::Stopped { .. }) => Exit::Error,
        _ if cancelled => Exit::Interrupted,
        _ => Exit::Ok,
    }
}

pub(crate) fn undo(report: &UndoReport) -> String {
    let back = report.faces.iter().filter(|(_, how)| how.is_back()).count();
    let mut text = format!(
        "transaction {}: {} of {} back",
        report.id,
        back,
        count(report.faces.len(), "face", "faces")
    );
    let mut line = |words: String| {
        let _ = write!(text, "\n  {words}");
    };
    for (at, how) in &report.faces {
        let n = at + 1;
        match how {
            Restored::Back | Restored::NothingToDo => {}
            Restored::MovedSince { now: Some(now) } => {
                line(format!(
                    "face {n} was given to person {now} since, and stays there"
                ));
            }
            Restored::MovedSince { now: None } => {
                line(format!("face {n} is with nobody now, and stays so"));
            }
            Restored::Gone => line(format!("face {n} is no more")),
            Restored::GiverGone => line(format!(
                "face {n} stays: the person it came from is no more"
            )),
            Restored::Refused { why } => line(format!("face {n} stays: {why}")),
        }
    }
    for (_, person, how) in &report.features {
        match how {
            FeatureRestored::Set => line(format!("feature photo of person {person} restored")),
            FeatureRestored::NotAllowed { permission } => line(format!(
                "feature photo of person {person} not restored: the key lacks {permission}; choose it by hand in Immich"
            )),
            FeatureRestored::Unknown => line(format!(
                "whether person {person} lost the feature photo can't be told: look at it in Immich"
            )),
            FeatureRestored::Refused { why } => {
                line(format!(
                    "feature photo of person {person} not restored: {why}"
                ));
            }
        }
    }
    for (person, how) in &report.people {
        match how {
            PersonRemoved::Deleted | PersonRemoved::GoneAlready => {}
            PersonRemoved::InUse { why } => {
                line(format!("person {person}, made for this, stays: it {why}"));
            }
            PersonRemoved::NotAllowed { permission } => {
                line(format!(
                    "person {person}, made for this, stays: the key lacks {permission}"
                ));
            }
            PersonRemoved::Refused { why } => {
                line(format!("person {person}, made for this, stays: {why}"));
            }
        }
    }
    match (report.done, &report.why) {
        (false, Some(why)) => line(format!("not through, the same command goes on: {why}")),
        (true, Some(why)) => line(format!(
            "whether a person was made for this can't be told: {why}"
        )),
        (_, None) => {}
    }
    text
}

/// One line of the history.
pub(crate) fn past(past: &PastTransaction) -> String {
    let standing = serde_json::to_value(past.standing()).unwrap_or_default();
    let moved = |how: &Option<Settled>| matches!(how, Some(Settled::Moved { .. }));
    let lost = |how: &Option<Settled>| {
        matches!(
            how,
            Some(Settled::Moved {
                feature: Feature::Lost,
                ..
            })
        )
    };
    let mut text = format!(
        "{:>5}  {}  {:<8} {:<12} {} moved",
        past.id,
        past.transaction.at.strftime("%Y-%m-%d %H:%M:%S"),
        standing.as_str().unwrap_or_default(),
        past.transaction.who,
        count(
            past.settled.iter().filter(|how| moved(how)).count(),
            "face",
            "faces"
        ),
    );
    if past.settled.iter().any(lost) {
        text.push_str(", a feature photo changed");
    }
    if !past.transaction.label.is_empty() {
        let _ = write!(text, "  {}", past.transaction.label);
    }
    if let Some(face_fix::End::Stopped { why, .. }) = &past.end {
        let _ = write!(text, "  ({why})");
    }
    text
}
