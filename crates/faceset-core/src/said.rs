//! What people said of faces in another program, by content hash and box: the file that
//! such a program writes and the registry of identities takes in.
//!
//! Shape and version only; docs/formats/face-decisions.md describes the file.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::FaceKey;

/// Version that this build writes and the newest it reads.
pub const DECISIONS_VERSION: u32 = 1;

/// What the file calls itself.
pub const DECISIONS_FORMAT: &str = "face decisions";

/// A person of the other program. Ids are texts that mean something there only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OutsidePerson {
    /// The id there.
    pub id: String,
    /// The name there; empty for unnamed people.
    #[serde(default)]
    pub name: String,
}

/// The last word on one face.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaceDecision {
    /// Which face.
    pub face: FaceKey,
    /// Whose it is; `None` when that was not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is: Option<String>,
    /// Whose it is not, in ascending order; never the one of `is`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not: Vec<String>,
    /// It is no face at all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_face: bool,
    /// When the last of this was said, RFC 3339.
    pub at: String,
    /// Who said it.
    pub who: String,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaceDecisions {
    /// [`DECISIONS_FORMAT`].
    pub format: String,
    /// [`DECISIONS_VERSION`] of the writer.
    pub version: u32,
    /// Where the decisions were made, for people: a server's address.
    #[serde(default)]
    pub source: String,
    /// Everybody that the faces name, by id.
    pub people: Vec<OutsidePerson>,
    /// By content hash and box.
    pub faces: Vec<FaceDecision>,
}

/// Why some bytes are no such file.
#[derive(Debug, thiserror::Error)]
pub enum DecisionsError {
    /// Another file.
    #[error("it is no file of face decisions; `face-fix export-decisions` writes one")]
    NotOurs,
    /// A newer build wrote it.
    #[error("it has version {found}; this build reads up to {DECISIONS_VERSION}")]
    TooNew {
        /// Its version.
        found: u64,
    },
    /// Of this format, but not as described.
    #[error("it is damaged")]
    Damaged(#[source] serde_json::Error),
    /// A face names a person who is not among the people.
    #[error("it names the person {id:?} and does not say who that is")]
    UnknownPerson {
        /// The id.
        id: String,
    },
}

impl FaceDecisions {
    /// A file of this version.
    pub fn new(source: String, people: Vec<OutsidePerson>, faces: Vec<FaceDecision>) -> Self {
        Self {
            format: DECISIONS_FORMAT.to_owned(),
            version: DECISIONS_VERSION,
            source,
            people,
            faces,
        }
    }

    /// Reads the bytes of a file, which may begin with a byte order mark.
    ///
    /// # Errors
    /// See [`DecisionsError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DecisionsError> {
        let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let raw: Value = serde_json::from_slice(text).map_err(|_| DecisionsError::NotOurs)?;
        let version = raw.get("version").and_then(Value::as_u64);
        match (raw.get("format").and_then(Value::as_str), version) {
            (Some(DECISIONS_FORMAT), Some(found)) if found > u64::from(DECISIONS_VERSION) => {
                return Err(DecisionsError::TooNew { found });
            }
            (Some(DECISIONS_FORMAT), Some(1..)) => {}
            _ => return Err(DecisionsError::NotOurs),
        }
        let file: Self = serde_json::from_value(raw).map_err(DecisionsError::Damaged)?;
        let named = |face: &FaceDecision| -> Vec<String> {
            face.is.iter().chain(&face.not).cloned().collect()
        };
        for id in file.faces.iter().flat_map(named) {
            if file.person(&id).is_none() {
                return Err(DecisionsError::UnknownPerson { id });
            }
        }
        Ok(file)
    }

    /// The person of this id.
    pub fn person(&self, id: &str) -> Option<&OutsidePerson> {
        self.people.iter().find(|person| person.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(head: &str, faces: &str) -> Vec<u8> {
        format!(r#"{{{head},"people":[{{"id":"p-1","name":"Mia"}}],"faces":[{faces}]}}"#)
            .into_bytes()
    }

    const HEAD: &str = r#""format":"face decisions","version":1"#;

    fn face(rest: &str) -> String {
        let sha256 = "0".repeat(64);
        format!(
            r#"{{"face":{{"path":"/p/1.jpg","sha256":"{sha256}","bbox":[1,2,3.5,9]}},{rest}"at":"2026-01-01T00:00:00Z","who":"me"}}"#
        )
    }

    #[test]
    fn a_face_may_be_said_to_be_nobody_in_particular() {
        let read = FaceDecisions::parse(&file(HEAD, &face(r#""not":["p-1"],"#))).unwrap();
        let one = &read.faces[0];
        assert_eq!((one.is.as_deref(), one.no_face), (None, false));
        assert_eq!(one.not, ["p-1"]);
        assert_eq!(one.face.bbox.x2, 3.5);
        let again = serde_json::to_vec(&read).unwrap();
        assert_eq!(FaceDecisions::parse(&again).unwrap(), read);
    }

    #[test]
    fn the_frozen_file_of_version_1_reads_as_it_did() {
        let bytes = include_bytes!("../../../fixtures/face-fix/v1.decisions.json");
        let read = FaceDecisions::parse(bytes).unwrap();
        assert_eq!((read.people.len(), read.faces.len()), (3, 4));
        let said = |path: &str| {
            read.faces
                .iter()
                .find(|d| d.face.path.as_str() == path)
                .unwrap()
        };
        assert_eq!(said("/photos/1.jpg").is.as_deref(), Some("berta"));
        assert_eq!(said("/photos/1.jpg").face.bbox.x2, 900.5);
        assert_eq!(said("/photos/3.jpg").not, ["anna", "berta"]);
        assert!(said("/photos/4.jpg").no_face && said("/photos/4.jpg").is.is_none());
    }

    #[test]
    fn other_files_newer_versions_and_unknown_people_are_refused() {
        let told = |bytes: &[u8]| FaceDecisions::parse(bytes).unwrap_err().to_string();
        assert!(told(b"[]").contains("no file of face decisions"));
        assert!(told(&file(r#""format":"face-fix plan","version":1"#, "")).contains("no file"));
        assert!(told(&file(r#""format":"face decisions","version":0"#, "")).contains("no file"));
        let newer = told(&file(r#""format":"face decisions","version":2"#, ""));
        assert_eq!(newer, "it has version 2; this build reads up to 1");
        assert!(told(&file(HEAD, &face(r#""is":"p-2","#))).contains("\"p-2\""));
        assert!(told(&file(HEAD, "{}")).contains("damaged"));
    }
}
