//! The report in words.

use std::collections::BTreeMap;

use faceset_export::{ExportReport, Outcome};
use faceset_pipeline::discover::{DiscoverPlan, SetLine};

/// Known people with most new faces that are named.
const MAX_HITS: usize = 20;

/// What was found.
pub(crate) fn found(plan: &DiscoverPlan) -> Vec<String> {
    let report = &plan.report;
    let mut lines = Vec::new();
    if plan.resumed {
        lines.push("going on with a run that was interrupted; what follows is what it found, run again afterwards to look anew".to_owned());
    }
    lines.push(format!(
        "{} photos with {} faces ({} without a face)",
        report.photos, report.faces, report.noface
    ));
    lines.push(format!(
        "{} faces are of {} known people; {} are nobody's{}",
        report.covered,
        report.known_people,
        report.faces - report.covered,
        report.median_nearest.map_or_else(String::new, |d| format!(
            "; median distance to the nearest known person {d:.3}"
        ))
    ));
    let new_hits = || report.hits.iter().filter(|h| h.n_new > 0);
    lines.extend(new_hits().take(MAX_HITS).map(|h| {
        let label = h
            .label
            .as_ref()
            .map_or_else(String::new, |l| format!(" {l}"));
        format!("  {}{label} (+{})", h.name, h.n_new)
    }));
    if new_hits().count() > MAX_HITS {
        lines.push(format!(
            "  and {} more people",
            new_hits().count() - MAX_HITS
        ));
    }
    let sizes: Vec<String> = report.top_sizes.iter().map(ToString::to_string).collect();
    lines.push(format!(
        "{} raw clusters; largest {}",
        report.raw_clusters,
        if sizes.is_empty() {
            "none".to_owned()
        } else {
            sizes.join(", ")
        }
    ));
    lines.push(format!(
        "dropped: {}{} outliers; {} groups with too few photos left",
        reasons(&report.gated),
        report.outliers,
        report.too_small
    ));
    lines.push(format!("{} candidates", report.candidates));
    lines
}

fn reasons(counts: &BTreeMap<String, usize>) -> String {
    counts.iter().fold(String::new(), |text, (reason, n)| {
        text + &format!("{n} {reason}, ")
    })
}

fn input(line: &SetLine) -> String {
    format!(
        "{} faces in, {} gated, {} outliers",
        line.n_input, line.n_gated, line.n_outliers
    )
}

/// What a real run would emit.
pub(crate) fn foreseen(plan: &DiscoverPlan) -> Vec<String> {
    let mut lines: Vec<String> = plan
        .report
        .sets
        .iter()
        .map(|line| {
            let drops = reasons(&line.export_drops);
            let end = if line.n_export == 0 {
                "; not emitted, its number would be reserved"
            } else {
                ""
            };
            format!(
                "  {}: {}, {} to export{}{end}",
                line.name,
                input(line),
                line.n_export,
                if drops.is_empty() {
                    String::new()
                } else {
                    format!(" (the export leaves out {})", drops.trim_end_matches(", "))
                }
            )
        })
        .collect();
    let emitted = plan.report.sets.iter().filter(|s| s.n_export > 0).count();
    lines.push(format!(
        "{emitted} sets would be exported; the self-test of each crop may still drop single faces"
    ));
    lines
}

/// What was emitted.
pub(crate) fn exported(plan: &DiscoverPlan, report: &ExportReport) -> Vec<String> {
    let mut lines = report.warnings.clone();
    for set in &report.sets {
        let before = plan
            .report
            .sets
            .iter()
            .find(|l| l.name == set.name)
            .map_or_else(String::new, |line| format!("{}, ", input(line)));
        lines.push(match set.outcome {
            Outcome::Written | Outcome::Unchanged => {
                format!("  {}: {before}{} exported", set.name, set.n_exported)
            }
            Outcome::Empty => format!(
                "  {}: {before}nothing left; its number stays reserved",
                set.name
            ),
            Outcome::Refused => format!(
                "  {}: refused, {}",
                set.name,
                set.reason.as_deref().unwrap_or("no reason given")
            ),
            Outcome::Unreadable => format!(
                "  {}: {}",
                set.name,
                set.reason.as_deref().unwrap_or("no photo could be read")
            ),
        });
    }
    let n_sets = report.sets.iter().filter(|s| s.n_exported > 0).count();
    lines.push(format!(
        "{n_sets} sets exported ({} faces)",
        report.n_exported()
    ));
    lines
}
