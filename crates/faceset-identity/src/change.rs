//! Changes as values: each knows what was before and what is after, so that it
//! can be replayed, turned round, and refused when it does not fit.

use faceset_core::{CivilDate, Consent, FaceKey, FacesetNumber};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::identity::{Identity, State};

/// One key of one identity gets another value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edit<T> {
    /// Whose.
    pub number: FacesetNumber,
    /// The value that must be there.
    pub before: T,
    /// The value that will be there.
    pub after: T,
}

impl<T: Clone> Edit<T> {
    fn inverse(&self) -> Self {
        Self {
            number: self.number,
            before: self.after.clone(),
            after: self.before.clone(),
        }
    }
}

/// Faces leave and join a list of one identity. A face that only changes its
/// path is in both lists.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FacesEdit {
    /// Whose.
    pub number: FacesetNumber,
    /// Taken out first; must be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<FaceKey>,
    /// Put in then; must not be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<FaceKey>,
}

impl FacesEdit {
    fn inverse(&self) -> Self {
        Self {
            number: self.number,
            removed: self.added.clone(),
            added: self.removed.clone(),
        }
    }
}

/// Faces leave and join the list of what is no face.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoFacesEdit {
    /// Taken out first; must be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<FaceKey>,
    /// Put in then; must not be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<FaceKey>,
}

/// The smallest step of the registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A number is given out.
    Create(Box<Identity>),
    /// The giving out is undone; the number stays used up.
    Remove(Box<Identity>),
    /// The name.
    Name(Edit<Option<String>>),
    /// The state.
    State(Edit<State>),
    /// Consent.
    Consent(Edit<Consent>),
    /// Birth date.
    BirthDate(Edit<Option<CivilDate>>),
    /// Why there is no set.
    Reserved(Edit<Option<String>>),
    /// The feature face.
    Feature(Edit<Option<Box<FaceKey>>>),
    /// Where it came from.
    Provenance(Edit<Value>),
    /// Faces that belong.
    Faces(FacesEdit),
    /// Faces that do not.
    NotThisPerson(FacesEdit),
    /// What is no face at all.
    NoFaces(NoFacesEdit),
    /// Everything but the number is erased. Has no way back.
    Forget {
        /// Whose.
        number: FacesetNumber,
    },
}

impl Change {
    /// The identity it is about; `None` for [`Change::NoFaces`], which is about nobody.
    pub fn number(&self) -> Option<FacesetNumber> {
        Some(match self {
            Self::Create(identity) | Self::Remove(identity) => identity.number,
            Self::Name(e) | Self::Reserved(e) => e.number,
            Self::State(e) => e.number,
            Self::Consent(e) => e.number,
            Self::BirthDate(e) => e.number,
            Self::Feature(e) => e.number,
            Self::Provenance(e) => e.number,
            Self::Faces(e) | Self::NotThisPerson(e) => e.number,
            Self::NoFaces(_) => return None,
            Self::Forget { number } => *number,
        })
    }

    /// The change that takes this one back; `None` for [`Change::Forget`].
    pub fn inverse(&self) -> Option<Self> {
        Some(match self {
            Self::Create(identity) => Self::Remove(identity.clone()),
            Self::Remove(identity) => Self::Create(identity.clone()),
            Self::Name(e) => Self::Name(e.inverse()),
            Self::State(e) => Self::State(e.inverse()),
            Self::Consent(e) => Self::Consent(e.inverse()),
            Self::BirthDate(e) => Self::BirthDate(e.inverse()),
            Self::Reserved(e) => Self::Reserved(e.inverse()),
            Self::Feature(e) => Self::Feature(e.inverse()),
            Self::Provenance(e) => Self::Provenance(e.inverse()),
            Self::Faces(e) => Self::Faces(e.inverse()),
            Self::NotThisPerson(e) => Self::NotThisPerson(e.inverse()),
            Self::NoFaces(e) => Self::NoFaces(NoFacesEdit {
                removed: e.added.clone(),
                added: e.removed.clone(),
            }),
            Self::Forget { .. } => return None,
        })
    }

    /// Every face it names.
    pub(crate) fn faces(&self) -> Vec<&FaceKey> {
        match self {
            Self::Create(identity) | Self::Remove(identity) => identity
                .faces
                .iter()
                .chain(identity.not_this_person.iter())
                .chain(&identity.feature)
                .collect(),
            Self::Feature(e) => e.before.iter().chain(&e.after).map(AsRef::as_ref).collect(),
            Self::Faces(e) | Self::NotThisPerson(e) => e.removed.iter().chain(&e.added).collect(),
            Self::NoFaces(e) => e.removed.iter().chain(&e.added).collect(),
            _ => Vec::new(),
        }
    }
}

/// What an operation will do: printable, comparable, not done yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Last journal entry when it was made; a plan fits no other moment.
    pub at_entry: u64,
    /// One line for people and for the history.
    pub what: String,
    /// More lines worth a person's attention; not kept in the history.
    pub notes: Vec<String>,
    /// The steps, in order. Empty: there is nothing to do.
    pub changes: Vec<Change>,
    /// The entry that it takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<u64>,
}

impl Plan {
    /// True when applying it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}
