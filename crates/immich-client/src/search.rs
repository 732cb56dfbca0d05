//! One page of `POST /search/metadata`, and totals.

use jiff::Timestamp;
use reqwest::Method;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::Error;
use crate::lenient::{self, Rows};
use crate::types::{Asset, AssetType, Visibility};
use crate::{AssetId, PersonId};

/// The largest page the server gives.
pub const MAX_PAGE_SIZE: u32 = 1000;

/// Which assets to find. What is unset does not filter, but for `visibility`.
///
/// A search covers what the key's user sees: own assets and those of partners
/// shown in the timeline. There is no filter by user; compare `owner_id`.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchFilter {
    /// Kind of file.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub asset_type: Option<AssetType>,
    /// Where it is shown; unset means the timeline only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
    /// Archived assets too, on servers before 1.135, which do not know `visibility`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with_archived: Option<bool>,
    /// Assets that show **all** of these people. The same id twice finds nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub person_ids: Vec<PersonId>,
    /// Assets in these albums.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub album_ids: Vec<String>,
    /// Taken at this time or later.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "millis")]
    pub taken_after: Option<Timestamp>,
    /// Taken at this time or earlier. Sent in milliseconds, rounded down.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "millis")]
    pub taken_before: Option<Timestamp>,
    /// Changed at this time or later.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "millis")]
    pub updated_after: Option<Timestamp>,
    /// Uploaded at this time or later.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "millis")]
    pub created_after: Option<Timestamp>,
    /// Camera data with each asset. Assets whose upload is not processed yet vanish
    /// from the result then.
    #[serde(skip_serializing_if = "is_false")]
    pub with_exif: bool,
    /// People and, before v3, face boxes with each asset.
    #[serde(skip_serializing_if = "is_false")]
    pub with_people: bool,
    /// Assets in the trash too.
    #[serde(skip_serializing_if = "is_false")]
    pub with_deleted: bool,
    /// A part of the file name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_file_name: Option<String>,
    /// The checksum as the server writes it, or hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// This asset only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<AssetId>,
    /// By time taken; ties have no order. Unset means newest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
}

/// Order of a search by time taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Oldest first.
    Asc,
    /// Newest first.
    Desc,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes fields by reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

/// v3 insists on ISO dates with a zone; the API's own precision is milliseconds.
#[expect(clippy::ref_option, reason = "serde passes fields by reference")]
fn millis<S: Serializer>(at: &Option<Timestamp>, sink: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => sink.collect_str(&floor_to_ms(*at).strftime("%Y-%m-%dT%H:%M:%S%.3fZ")),
        None => sink.serialize_none(),
    }
}

/// The millisecond in which `at` lies.
pub(crate) fn floor_to_ms(at: Timestamp) -> Timestamp {
    let ms = at.as_nanosecond().div_euclid(1_000_000);
    i64::try_from(ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or(Timestamp::MIN)
}

/// One page of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchPage {
    /// The assets.
    pub assets: Vec<Asset>,
    /// The number of the next page, if the server says there is one.
    pub next_page: Option<u32>,
    /// Entries that could not be read, not even an id.
    pub n_unreadable: usize,
    /// The server's clock, from the answer's `Date`.
    pub server_time: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
struct SearchAnswer {
    assets: SearchAssets,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SearchAssets {
    items: Rows<Asset>,
    /// `"2"`, null, or absent; a number would do as well.
    #[serde(default, deserialize_with = "lenient::pixels")]
    next_page: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Total {
    total: u64,
}

impl Client {
    /// `POST /search/metadata`: page `page` (from 1) of `size` (1 to 1000) assets;
    /// needs `asset.read`.
    ///
    /// Pages of a big library lose assets when it changes meanwhile: use
    /// [`Client::walk`] for whole libraries.
    pub async fn search(
        &self,
        filter: &SearchFilter,
        page: u32,
        size: u32,
    ) -> Result<SearchPage, Error> {
        let mut body = json!(filter);
        body["page"] = page.into();
        body["size"] = size.into();
        let call = self.call(Method::POST, ["search", "metadata"]).body(body);
        let (answer, server_time): (SearchAnswer, _) = self.json_dated(&call).await?;
        Ok(SearchPage {
            assets: answer.assets.items.items,
            next_page: answer.assets.next_page,
            n_unreadable: answer.assets.items.unreadable,
            server_time,
        })
    }

    /// `POST /search/statistics`: how many assets a search finds; needs
    /// `asset.statistics` and a server from 1.135.
    pub async fn search_total(&self, filter: &SearchFilter) -> Result<u64, Error> {
        let mut body = json!(filter);
        if let Value::Object(fields) = &mut body {
            for shape in ["order", "withExif", "withPeople"] {
                fields.remove(shape);
            }
        }
        let call = self.call(Method::POST, ["search", "statistics"]).body(body);
        let total: Total = self.json(&call).await?;
        Ok(total.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_set_is_sent_and_times_have_milliseconds_and_a_zone() {
        assert_eq!(json!(SearchFilter::default()), json!({}));
        let filter = SearchFilter {
            asset_type: Some(AssetType::Image),
            visibility: Some(Visibility::Archive),
            taken_after: Some("2020-01-01T02:00:00.1239+02:00".parse().unwrap()),
            with_people: true,
            order: Some(Order::Asc),
            ..SearchFilter::default()
        };
        assert_eq!(
            json!(filter),
            json!({
                "type": "IMAGE", "visibility": "archive", "withPeople": true, "order": "asc",
                "takenAfter": "2020-01-01T00:00:00.123Z",
            })
        );
    }

    #[test]
    fn times_before_1970_round_down_too() {
        let at: Timestamp = "1969-12-31T23:59:59.9995Z".parse().unwrap();
        assert_eq!(floor_to_ms(at), "1969-12-31T23:59:59.999Z".parse().unwrap());
    }
}
