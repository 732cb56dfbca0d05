//! People: the groups of faces that Immich keeps.

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::lenient;
use crate::types::Face;
use crate::{AssetId, PersonId};

/// A person.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// Its id.
    pub id: PersonId,
    /// The name; empty for unnamed people.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub name: String,
    /// `yyyy-MM-dd`.
    #[serde(default, deserialize_with = "lenient::opt")]
    pub birth_date: Option<String>,
    /// Hidden from the people page.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub is_hidden: bool,
    /// Sorted first everywhere, also among suggestions (servers from 1.126).
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub is_favorite: bool,
    /// When the record last changed.
    #[serde(default, deserialize_with = "lenient::time")]
    pub updated_at: Option<Timestamp>,
}

/// A person with their faces on one asset, as search sends it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PersonFaces {
    /// Who.
    #[serde(flatten)]
    pub person: Person,
    /// Their faces on the asset; empty on servers that do not send them (v3).
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub faces: Vec<Face>,
}

impl PersonFaces {
    /// The faces, each with the person filled in.
    pub fn faces(&self) -> impl Iterator<Item = Face> {
        self.faces.iter().map(|face| Face {
            person: Some(self.person.clone()),
            ..face.clone()
        })
    }
}

/// Which page of people to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeopleQuery {
    /// Page, from 1.
    pub page: u32,
    /// People on a page, 1 to 1000.
    pub size: u32,
    /// Hidden people too; they come last.
    pub with_hidden: bool,
}

/// One page of people. Order: hidden last, favourites first, named before unnamed,
/// then by number of faces.
#[derive(Debug, Clone, PartialEq)]
pub struct PeoplePage {
    /// The people of this page.
    pub people: Vec<Person>,
    /// Whether another page follows.
    pub has_next_page: bool,
    /// Counts people that are never listed too: no number to loop up to.
    pub total: Option<u64>,
    /// Entries that could not be read.
    pub n_unreadable: usize,
}

/// The wire form of [`PeoplePage`].
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PeopleAnswer {
    pub(crate) people: lenient::Rows<Person>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub(crate) has_next_page: bool,
    #[serde(default, deserialize_with = "lenient::opt")]
    pub(crate) total: Option<u64>,
}

/// A person to create. Everything may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewPerson {
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `yyyy-MM-dd`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<String>,
    /// Hidden from the people page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_hidden: Option<bool>,
    /// Sorted first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_favorite: Option<bool>,
}

/// Changes to a person. What is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PersonUpdate {
    /// The name; empty makes the person unnamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `yyyy-MM-dd`, or `Some(None)` to clear it.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "inner_option"
    )]
    pub birth_date: Option<Option<String>>,
    /// Hidden from the people page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_hidden: Option<bool>,
    /// Sorted first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_favorite: Option<bool>,
    /// The *asset* whose face of this person becomes the feature photo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_face_asset_id: Option<AssetId>,
}

#[expect(clippy::ref_option, reason = "serde passes the field by reference")]
#[expect(clippy::option_option, reason = "absent and null differ in this API")]
fn inner_option<S: Serializer>(value: &Option<Option<String>>, sink: S) -> Result<S::Ok, S::Error> {
    value.as_ref().and_then(Option::as_ref).serialize(sink)
}

/// What became of one id of a bulk call. Failures come inside a success.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BulkResult {
    /// Which person.
    pub id: PersonId,
    /// Whether it worked.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub success: bool,
    /// Why not: `no_permission` also stands for unknown ids.
    #[serde(default, deserialize_with = "lenient::opt")]
    pub error: Option<String>,
}

/// How much there is of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct PersonStatistics {
    /// Assets of the timeline that show them.
    pub assets: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_cleared_birth_dates_differ_on_the_wire() {
        let text = |update: &PersonUpdate| serde_json::to_string(update).unwrap();
        assert_eq!(text(&PersonUpdate::default()), "{}");
        let cleared = PersonUpdate {
            birth_date: Some(None),
            ..PersonUpdate::default()
        };
        assert_eq!(text(&cleared), r#"{"birthDate":null}"#);
        let set = PersonUpdate {
            birth_date: Some(Some("1979-04-01".into())),
            ..PersonUpdate::default()
        };
        assert_eq!(text(&set), r#"{"birthDate":"1979-04-01"}"#);
    }
}
