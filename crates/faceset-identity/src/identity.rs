//! One identity: a number for life and what is known of the person.
//!
//! Owns the values and their checks in isolation. What identities promise each
//! other (one owner per face, unique names, no merge cycle) is in `registry`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use faceset_core::{
    CivilDate, Consent, ContentHash, FaceKey, FacesetNumber, PersonFacts, canonical_faceset_number,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Longest name, in characters. A user's choice that fits every file system
/// with room for a suffix.
pub const MAX_NAME_CHARS: usize = 200;

/// What a face is recognised by: content hash and box in tenths of a pixel.
pub type FaceId = (ContentHash, [i32; 4]);

/// Whether and how an identity takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum State {
    /// An ordinary person.
    #[default]
    Active,
    /// Not shown and not exported, at a person's wish.
    Hidden,
    /// Too few faces for a set.
    Thin,
    /// The same person as another identity, which stands for both.
    Merged(FacesetNumber),
    /// Erased at the person's wish; only the number is left.
    Forgotten,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active => f.write_str("active"),
            Self::Hidden => f.write_str("hidden"),
            Self::Thin => f.write_str("thin"),
            Self::Merged(into) => write!(f, "merged into {}", into.get()),
            Self::Forgotten => f.write_str("forgotten"),
        }
    }
}

/// A word that names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a state: expected active, hidden, thin, forgotten, or merged into and a number"
)]
pub struct StateError(String);

impl FromStr for State {
    type Err = StateError;

    fn from_str(text: &str) -> Result<Self, StateError> {
        let bad = || StateError(text.chars().take(40).collect());
        match text {
            "active" => Ok(Self::Active),
            "hidden" => Ok(Self::Hidden),
            "thin" => Ok(Self::Thin),
            "forgotten" => Ok(Self::Forgotten),
            _ => text
                .strip_prefix("merged into ")
                .and_then(|n| n.parse().ok())
                .and_then(|n| FacesetNumber::new(n).ok())
                .map(Self::Merged)
                .ok_or_else(bad),
        }
    }
}

impl TryFrom<String> for State {
    type Error = StateError;

    fn try_from(text: String) -> Result<Self, StateError> {
        text.parse()
    }
}

impl From<State> for String {
    fn from(state: State) -> Self {
        state.to_string()
    }
}

/// Faces, each once by [`FaceId`]; listed in the order of the ids.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Faces(BTreeMap<FaceId, FaceKey>);

impl Faces {
    /// Number of faces.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faces in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &FaceKey> {
        self.0.values()
    }

    /// True when exactly this face is among them.
    pub fn contains(&self, id: &FaceId) -> bool {
        self.0.contains_key(id)
    }

    /// The stored key of this face: its path is the one last seen.
    pub fn of_id(&self, id: &FaceId) -> Option<&FaceKey> {
        self.0.get(id)
    }

    /// The faces of one photo, by content.
    pub fn on_photo(&self, photo: ContentHash) -> impl Iterator<Item = &FaceKey> {
        self.0
            .range((photo, [i32::MIN; 4])..=(photo, [i32::MAX; 4]))
            .map(|(_, key)| key)
    }

    pub(crate) fn insert(&mut self, key: FaceKey) -> Option<FaceKey> {
        self.0.insert(key.id(), key)
    }

    pub(crate) fn remove(&mut self, id: &FaceId) -> Option<FaceKey> {
        self.0.remove(id)
    }
}

impl FromIterator<FaceKey> for Faces {
    fn from_iter<I: IntoIterator<Item = FaceKey>>(keys: I) -> Self {
        Self(keys.into_iter().map(|key| (key.id(), key)).collect())
    }
}

impl Serialize for Faces {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Faces {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut faces = Self::default();
        for key in Vec::<FaceKey>::deserialize(deserializer)? {
            let shown = describe(&key);
            if faces.insert(key).is_some() {
                return Err(serde::de::Error::custom(format!(
                    "the face {shown} is listed twice"
                )));
            }
        }
        Ok(faces)
    }
}

/// A face for people: path and box.
pub(crate) fn describe(key: &FaceKey) -> String {
    let [x1, y1, x2, y2] = key.bbox.into();
    format!("{} at {x1},{y1},{x2},{y2}", key.path)
}

/// A face whose box can be stored and compared.
pub(crate) fn is_usable(key: &FaceKey) -> bool {
    <[f32; 4]>::from(key.bbox).iter().all(|v| v.is_finite())
}

/// A number and what is known of its person. The keys are those of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// Never given to another identity.
    pub number: FacesetNumber,
    /// What people call the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether and how it takes part.
    #[serde(default)]
    pub state: State,
    /// Whether the person agreed to a swap set of them.
    #[serde(default)]
    pub consent: Consent,
    /// Birth date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<CivilDate>,
    /// Why there is no set on disk; absent when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<String>,
    /// The face that stands for the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<FaceKey>,
    /// Where the identity came from.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub provenance: Value,
    /// The person's faces. An identity that others are merged into has theirs,
    /// too, but they stay listed with the others.
    #[serde(default, skip_serializing_if = "Faces::is_empty")]
    pub faces: Faces,
    /// Faces that a person said are not this person's.
    #[serde(default, skip_serializing_if = "Faces::is_empty")]
    pub not_this_person: Faces,
    /// Keys this build does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Identity {
    /// A number of which nothing is known.
    pub fn new(number: FacesetNumber) -> Self {
        Self {
            number,
            name: None,
            state: State::Active,
            consent: Consent::Unknown,
            birth_date: None,
            reserved: None,
            feature: None,
            provenance: Value::Null,
            faces: Faces::default(),
            not_this_person: Faces::default(),
            extra: Map::new(),
        }
    }

    /// What is left of a person who was forgotten.
    pub(crate) fn forgotten(number: FacesetNumber) -> Self {
        Self {
            state: State::Forgotten,
            ..Self::new(number)
        }
    }

    /// Consent and birth date, as an export asks for them.
    pub fn facts(&self) -> PersonFacts {
        PersonFacts {
            consent: self.consent,
            birth: self.birth_date,
        }
    }

    /// `faceset_003`, and the name when there is one: `faceset_003 (Ana)`.
    pub fn title(&self) -> String {
        match &self.name {
            Some(name) => format!("{} ({name})", self.number.folder_name()),
            None => self.number.folder_name(),
        }
    }
}

/// What is wrong with a name, if anything. Names become folder names, labels
/// and command-line arguments, so they are not paths and not numbers.
pub fn name_flaw(name: &str) -> Option<String> {
    let n_chars = name.chars().count();
    let drive = name.as_bytes();
    if name.trim().is_empty() {
        Some("it is empty".to_owned())
    } else if n_chars > MAX_NAME_CHARS {
        Some(format!(
            "it has {n_chars} characters, {MAX_NAME_CHARS} are possible"
        ))
    } else if name.trim() != name {
        Some("it begins or ends with a space".to_owned())
    } else if name.contains(['/', '\\'])
        || name == "."
        || name == ".."
        || (drive.len() >= 2 && drive[0].is_ascii_alphabetic() && drive[1] == b':')
    {
        Some("it is a path; give the name alone".to_owned())
    } else if name.chars().any(char::is_control) {
        Some("it contains a control character".to_owned())
    } else if name.bytes().all(|b| b.is_ascii_digit()) || canonical_faceset_number(name).is_some() {
        Some("it is a number, and numbers mean facesets".to_owned())
    } else {
        None
    }
}

/// Names are compared without regard to case.
pub(crate) fn folded(name: &str) -> String {
    name.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{face, number};

    #[test]
    fn states_are_words_and_unknown_words_are_refused() {
        for state in [
            State::Active,
            State::Hidden,
            State::Thin,
            State::Forgotten,
            State::Merged(number(12)),
        ] {
            assert_eq!(state.to_string().parse(), Ok(state));
        }
        for bad in ["", "Active", "merged", "merged into 0", "merged into x"] {
            assert!(bad.parse::<State>().is_err(), "{bad}");
        }
    }

    #[test]
    fn two_hundred_characters_are_a_name_and_one_more_is_not() {
        assert_eq!(name_flaw(&"ä".repeat(MAX_NAME_CHARS)), None);
        assert!(name_flaw(&"ä".repeat(MAX_NAME_CHARS + 1)).is_some());
    }

    #[test]
    fn names_of_any_script_are_names() {
        for name in [
            "Zoë Ångström",
            "山田 花子",
            "محمد",
            "O'Neil, jr.",
            "Baby: one",
            "👩‍🚀",
            "..x",
        ] {
            assert_eq!(name_flaw(name), None, "{name}");
        }
    }

    #[test]
    fn paths_numbers_and_nothing_are_not_names() {
        for bad in [
            "",
            " ",
            "a/b",
            "a\\b",
            "C:",
            "c:x",
            "..",
            ".",
            " Ana",
            "Ana ",
            "a\nb",
            "12",
            "faceset_012",
        ] {
            assert!(name_flaw(bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn faces_of_one_photo_are_found_by_its_content() {
        let faces: Faces = [face(1, 0), face(2, 0), face(2, 50)].into_iter().collect();
        let on: Vec<_> = faces.on_photo(face(2, 0).sha256).collect();
        assert_eq!(on.len(), 2);
        assert!(faces.contains(&face(1, 0).id()));
    }
}
