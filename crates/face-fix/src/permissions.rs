//! What a key must be allowed, for which function, and what it lacks.

use std::fmt;

use immich_client::ServerCheck;
use serde::Serialize;

/// Something that the tool does for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Function {
    /// Finding photos and faces of a person.
    Review,
    /// Showing the photos.
    Previews,
    /// Listing people, their names and suggestions.
    People,
    /// Giving a face to another person.
    Reassign,
    /// Taking a face from everybody, and making people when splitting one.
    NewPeople,
    /// Deleting on undo the people that the tool made.
    RemoveNewPeople,
    /// Putting a feature photo back on undo.
    RestoreFeature,
    /// Knowing whose library the journal is about.
    OwnLibrary,
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Review => "find the photos and faces of a person",
            Self::Previews => "show photos",
            Self::People => "list people and suggestions",
            Self::Reassign => "give a face to another person",
            Self::NewPeople => "take a face from everybody, split a person",
            Self::RemoveNewPeople => "delete on undo the people it made",
            Self::RestoreFeature => "restore feature photos on undo",
            Self::OwnLibrary => "tell whose library the journal is about",
        })
    }
}

/// Every permission asked for and what it is for. Nothing else is ever called.
pub const NEEDED: &[(&str, &[Function])] = &[
    ("asset.read", &[Function::Review, Function::RemoveNewPeople]),
    ("asset.view", &[Function::Previews]),
    ("face.read", &[Function::Review, Function::Reassign]),
    ("face.update", &[Function::Reassign]),
    ("person.create", &[Function::NewPeople]),
    ("person.delete", &[Function::RemoveNewPeople]),
    (
        "person.read",
        &[
            Function::People,
            Function::RemoveNewPeople,
            Function::RestoreFeature,
        ],
    ),
    ("person.update", &[Function::RestoreFeature]),
    ("user.read", &[Function::OwnLibrary]),
];

/// A permission that the key lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MissingPermission {
    /// As the server names it, like `face.update`.
    pub permission: String,
    /// What will not work without it.
    pub functions: Vec<Function>,
}

/// What a key may do of what the tool needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Permissions {
    /// False on servers before 1.144, which cannot tell: what is missing then shows
    /// when it is needed.
    pub known: bool,
    /// What is missing, in the order of [`NEEDED`].
    pub missing: Vec<MissingPermission>,
    /// True when the key may do everything: a key with only [`NEEDED`] is safer.
    pub is_all: bool,
}

impl Permissions {
    /// The names in [`NEEDED`].
    pub fn needed() -> Vec<&'static str> {
        NEEDED.iter().map(|(name, _)| *name).collect()
    }

    /// Reads them from the start-up check, which must have asked for
    /// [`Permissions::needed`].
    pub fn of(check: &ServerCheck) -> Self {
        let lacks = |name: &str| check.missing.iter().any(|missing| missing == name);
        Self {
            known: check.key.is_some(),
            missing: NEEDED
                .iter()
                .filter(|(name, _)| lacks(name))
                .map(|(name, functions)| MissingPermission {
                    permission: (*name).to_owned(),
                    functions: functions.to_vec(),
                })
                .collect(),
            is_all: check
                .key
                .as_ref()
                .is_some_and(|key| key.permissions.iter().any(|p| p == "all")),
        }
    }

    /// True unless the key is known to lack something for this.
    pub fn allow(&self, function: Function) -> bool {
        !self
            .missing
            .iter()
            .any(|missing| missing.functions.contains(&function))
    }
}
