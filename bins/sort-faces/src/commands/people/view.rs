//! People as lines.

use std::path::Path;

use faceset_core::FacesetNumber;
use faceset_core::consent::Consent;
use faceset_export::Bin;
use faceset_identity::{Identity, Registry, State};
use faceset_pipeline::{PipelineError, pick, tree};

use super::super::count;
use super::number;

/// The lines, or one line when there is none.
pub(super) fn or(lines: Vec<String>, otherwise: &str) -> Vec<String> {
    if lines.is_empty() {
        vec![otherwise.to_owned()]
    } else {
        lines
    }
}

/// Everybody who takes part, or all.
pub(super) fn list(
    registry: &Registry,
    folder: &Path,
    all: bool,
) -> Result<Vec<String>, PipelineError> {
    let takes_part = |i: &&Identity| matches!(i.state, State::Active | State::Thin);
    let mut lines: Vec<String> = registry
        .identities()
        .filter(|i| all || takes_part(i))
        .map(|i| line(registry, i))
        .collect();
    let n_left_out = registry.identities().count() - lines.len();
    lines.extend(tree::waiting(folder, registry)?);
    if n_left_out > 0 {
        lines.push(format!(
            "{n_left_out} hidden, merged or forgotten; --all lists them"
        ));
    }
    Ok(or(lines, "nobody yet; an export numbers people"))
}

fn consent(identity: &Identity) -> &'static str {
    match identity.consent {
        Consent::Granted => "consent granted",
        Consent::Denied => "consent denied",
        Consent::Unknown => "consent unknown",
    }
}

fn line(registry: &Registry, identity: &Identity) -> String {
    let birth = identity
        .birth_date
        .map_or_else(String::new, |d| format!(", born {d}"));
    let reserved = identity
        .reserved
        .as_ref()
        .map_or_else(String::new, |r| format!(", no set: {r}"));
    format!(
        "{}  {}  {}, {}, {}{birth}{reserved}",
        identity.number.folder_name(),
        registry.name_of(identity.number).unwrap_or("(no name)"),
        identity.state,
        count(identity.faces.len(), "face", "faces"),
        consent(identity)
    )
}

/// One person in full.
pub(super) fn show(
    registry: &Registry,
    who: FacesetNumber,
    folder: &Path,
    with_faces: bool,
) -> Vec<String> {
    let identity = registry
        .identity(who)
        .expect("the number was found in this registry");
    let mut lines = vec![line(registry, identity)];
    let others: Vec<String> = registry
        .same_person(who)
        .into_iter()
        .filter(|n| *n != who)
        .map(FacesetNumber::folder_name)
        .collect();
    if !others.is_empty() {
        lines.push(format!("one person with {}", others.join(", ")));
    }
    if let Some(key) = &identity.feature {
        lines.push(format!("feature face {}", pick::describe(key)));
    }
    let bin = match identity.state {
        State::Merged(_) => Some(Bin::Merged),
        State::Hidden => Some(Bin::Hidden),
        State::Thin => Some(Bin::Thin),
        State::Active | State::Forgotten => None,
    };
    let root = bin.map_or_else(|| folder.to_path_buf(), |bin| folder.join(bin.folder()));
    let place = root.join(who.folder_name());
    lines.push(if place.is_dir() {
        format!("set {}", place.display())
    } else {
        "no set on disk".to_owned()
    });
    if !identity.provenance.is_null() {
        lines.push(format!("from {}", identity.provenance));
    }
    for key in identity.not_this_person.iter() {
        lines.push(format!("not this person: {}", pick::describe(key)));
    }
    if with_faces {
        let faces = registry.faces_of(who);
        lines.extend(faces.iter().map(pick::describe));
    }
    let n_entries = registry.history_of(who).count();
    lines.push(format!(
        "{} in the history",
        count(n_entries, "change", "changes")
    ));
    lines
}

/// Changes of everybody or of one person.
pub(super) fn history(
    registry: &Registry,
    person: Option<&str>,
) -> Result<Vec<String>, PipelineError> {
    let line = |e: &faceset_identity::Entry| format!("{:>5}  {}  {}", e.id, e.at, e.what);
    let lines = match person {
        None => registry.history().iter().map(line).collect(),
        Some(text) => registry
            .history_of(number(registry, text)?)
            .map(line)
            .collect(),
    };
    Ok(or(lines, "no change yet"))
}
