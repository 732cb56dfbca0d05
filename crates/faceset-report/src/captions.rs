//! Groups and faces in words: titles, badges, facts, captions.

use faceset_core::{CosineDistance, FaceKey};

use crate::facts::FaceFacts;
use crate::grouping::{ExportState, GroupKind, Standing, section_key};
use crate::plan::{FaceCard, GroupCard};
use crate::views::Badge;
use crate::words::{count, number, reason_numbers, reason_title};

pub(crate) fn same_section(a: &FaceCard, b: &FaceCard) -> bool {
    match (&a.standing, &b.standing) {
        (Some(a), Some(b)) => section_key(a) == section_key(b),
        _ => a.standing.is_none() && b.standing.is_none(),
    }
}

pub(crate) fn section_title(group: &GroupCard, face: &FaceCard) -> String {
    match &face.standing {
        Some(Standing::Exported { .. }) => "Exported, best first".to_owned(),
        Some(Standing::Dropped { reason, .. }) => {
            format!("Dropped: {}", lower(&reason_title(reason)))
        }
        _ if group.n_exported > 0 => "Kept, not exported".to_owned(),
        _ => "Faces".to_owned(),
    }
}

pub(crate) fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().collect::<String>() + letters.as_str()
    })
}

pub(crate) fn title(group: &GroupCard) -> String {
    group.label.clone().unwrap_or_else(|| group.name.clone())
}

pub(crate) fn badge(group: &GroupCard) -> Badge {
    let (class, text) = match (&group.kind, &group.export) {
        (
            GroupKind::Rejected {
                reason,
                value,
                limit,
            },
            _,
        ) => {
            let numbers = reason_numbers(reason, *value, *limit);
            let title = reason_title(reason);
            let text = if numbers.is_empty() {
                title
            } else {
                format!("{title}: {numbers}")
            };
            ("off", text)
        }
        (GroupKind::Person, _) => ("plain", "Group".to_owned()),
        (GroupKind::ThinEra, _) => ("plain", "Thin era".to_owned()),
        (_, ExportState::Exported) => ("on", "Exported".to_owned()),
        (_, ExportState::Reserved(reason)) => ("off", format!("Not exported: {reason}")),
        (_, ExportState::Missing) => ("off", "Not exported".to_owned()),
        (_, ExportState::None) => ("plain", "Set".to_owned()),
    };
    Badge { class, text }
}

pub(crate) fn facts_of(group: &GroupCard) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Faces", count(group.faces.len())),
        ("Photos", count(group.n_photos)),
    ];
    if group.export == ExportState::Exported {
        facts.push(("Exported", count(group.n_exported)));
    }
    if group.n_dropped > 0 {
        facts.push(("Dropped", count(group.n_dropped)));
    }
    if let Some((first, last)) = group.years {
        facts.push((
            "Years",
            if first == last {
                first.to_string()
            } else {
                format!("{first}–{last}")
            },
        ));
    }
    if let Some(tightness) = group.tightness {
        facts.push(("Spread", distance(tightness)));
    }
    facts
}

/// `person_003 (24), person_017 (3)`; the five largest.
pub(crate) fn sources(sources: &[(String, usize)]) -> String {
    let mut text = sources
        .iter()
        .take(5)
        .map(|(name, n)| format!("{name} ({})", count(*n)))
        .collect::<Vec<_>>()
        .join(", ");
    if sources.len() > 5 {
        text = format!("{text} and {} more", count(sources.len() - 5));
    }
    text
}

pub(crate) fn distance(d: CosineDistance) -> String {
    format!("{:.2}", d.get())
}

/// Short edge and detector score. The size is also in the key.
pub(crate) fn sizes(key: &FaceKey, facts: &FaceFacts) -> String {
    let short = facts.face_short_px.unwrap_or(key.bbox.short_edge_px());
    let mut text = format!("{} px", number(f64::from(short), 0));
    if let Some(score) = facts.det_score {
        text = format!("{text} · {score:.2}");
    }
    text
}

pub(crate) fn scores(facts: &FaceFacts) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(blur) = facts.blur {
        lines.push(format!("sharpness {}", number(f64::from(blur), 0)));
    }
    if let Some(pose) = facts.pose {
        let deg = |v: f32| number(f64::from(v), 0);
        lines.push(format!(
            "pitch {}°, yaw {}°, roll {}°",
            deg(pose.pitch_deg),
            deg(pose.yaw_deg),
            deg(pose.roll_deg)
        ));
    }
    if let Some(own) = facts.own_distance {
        lines.push(format!("{} from its group", distance(own)));
    }
    if let Some(year) = facts.year {
        lines.push(year.to_string());
    }
    lines
}

pub(crate) fn nearest_line(facts: &FaceFacts) -> String {
    facts.nearest.as_ref().map_or_else(String::new, |n| {
        format!("{} from {}", distance(n.distance), n.group)
    })
}
