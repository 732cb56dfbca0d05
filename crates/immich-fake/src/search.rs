//! `POST /search/metadata` and `/search/statistics`: filters, order, pages.
//!
//! As in the real server the order is by time taken alone, ties come in the table's
//! order, which updates change, and pages are offsets.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::ids::Uuid;
use crate::library::{Asset, Library};
use crate::render::{self, Detail, Frame};
use crate::reply::{ApiError, body_uuid, uuid};
use crate::shape::Shape;

#[expect(
    clippy::struct_excessive_bools,
    reason = "these are the wire's own flags"
)]
struct Query {
    visibility: Vec<&'static str>,
    kind: Option<String>,
    taken_from: i64,
    taken_to: i64,
    updated_from: i64,
    created_from: i64,
    people: Vec<Uuid>,
    with_deleted: bool,
    with_exif: bool,
    with_people: bool,
    name: Option<String>,
    checksum: Option<String>,
    id: Option<Uuid>,
    ascending: bool,
    page: usize,
    size: usize,
}

const VISIBILITIES: [&str; 4] = ["archive", "timeline", "hidden", "locked"];

impl Query {
    fn read(shape: &Shape, body: &Value) -> Result<Self, ApiError> {
        let flag = |name: &str| body[name].as_bool().unwrap_or(false);
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let number = |name: &str, default: u64, most: u64| match &body[name] {
            Value::Null => Ok(default as usize),
            value => {
                let n = value.as_u64().unwrap_or(0);
                if n < 1 {
                    Err(ApiError::invalid(name, "must not be less than 1"))
                } else if n > most {
                    let complaint = format!("must not be greater than {most}");
                    Err(ApiError::invalid(name, complaint))
                } else {
                    Ok(n as usize)
                }
            }
        };
        let choice = |name: &str, among: &[&str]| match body[name].as_str() {
            Some(value) if !among.contains(&value) => {
                let complaint =
                    format!("must be one of the following values: {}", among.join(", "));
                Err(ApiError::invalid(name, complaint))
            }
            value => Ok(value.map(str::to_owned)),
        };
        let time = |name: &str, default: i64| match body[name].as_str() {
            None => Ok(default),
            Some(text) => text
                .parse::<Timestamp>()
                .map(Timestamp::as_microsecond)
                .map_err(|_| ApiError::invalid(name, "must be a Date instance")),
        };
        let people = body["personIds"].as_array().into_iter().flatten();
        let visibility = match choice("visibility", &VISIBILITIES)? {
            Some(name) if shape.visibility => VISIBILITIES
                .into_iter()
                .filter(|known| *known == name)
                .collect(),
            None if shape.visibility => vec!["timeline"],
            _ if flag("withArchived") => vec!["timeline", "archive"],
            _ => vec!["timeline"],
        };
        if visibility == ["locked"] {
            return Err(ApiError::new(401, "Elevated permission is required"));
        }
        Ok(Self {
            visibility,
            kind: choice("type", &["IMAGE", "VIDEO", "AUDIO", "OTHER"])?,
            taken_from: match time("takenAfter", i64::MIN)? {
                _ if shape.unordered => i64::MIN,
                from => from,
            },
            taken_to: time("takenBefore", i64::MAX)?,
            updated_from: time("updatedAfter", i64::MIN)?,
            created_from: time("createdAfter", i64::MIN)?,
            people: people
                .map(|id| uuid("personIds", id.as_str().unwrap_or_default()))
                .collect::<Result<_, _>>()?,
            with_deleted: flag("withDeleted"),
            with_exif: flag("withExif"),
            with_people: flag("withPeople"),
            name: text("originalFileName"),
            checksum: text("checksum"),
            id: match &body["id"] {
                Value::Null => None,
                _ => Some(body_uuid(body, "id")?),
            },
            ascending: choice("order", &["asc", "desc"])?.as_deref() == Some("asc")
                && !shape.unordered,
            page: number("page", 1, u64::from(u32::MAX))?,
            size: number("size", 250, 1000)?,
        })
    }

    fn fits(&self, library: &Library, viewer: Uuid, asset: &Asset) -> bool {
        // A partner shows the timeline only.
        let partners = library
            .users
            .get(&viewer)
            .map_or(&[][..], |user| &user.partners);
        let mine = asset.owner == viewer
            || (partners.contains(&asset.owner) && asset.visibility == "timeline");
        mine && self.visibility.contains(&asset.visibility)
            && (self.with_deleted || !asset.trashed)
            && self.kind.as_deref().is_none_or(|kind| asset.kind == kind)
            && asset.updated_us >= self.updated_from
            && asset.created_us >= self.created_from
            // The server joins the camera data: without it the asset vanishes.
            && (!self.with_exif || asset.has_exif)
            && self.name.as_ref().is_none_or(|part| asset.file_name.contains(part.as_str()))
            && self.id.is_none_or(|id| asset.id == id)
            && self.checksum.as_deref().is_none_or(|text| has_checksum(asset, text))
            && self.shows_everybody(library, asset)
    }

    /// Every wanted person has a face here; naming one twice asks for two of them,
    /// which nobody has.
    fn shows_everybody(&self, library: &Library, asset: &Asset) -> bool {
        let mut distinct = self.people.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let faces = library.faces_of(asset.id);
        distinct.len() == self.people.len()
            && distinct
                .iter()
                .all(|person| faces.iter().any(|face| face.person == Some(*person)))
    }

    fn hits<'l>(
        &'l self,
        library: &'l Library,
        viewer: Uuid,
    ) -> Box<dyn Iterator<Item = &'l Asset> + 'l> {
        let from = (self.taken_from, 0, Uuid(0));
        let to = (self.taken_to, u64::MAX, Uuid(u128::MAX));
        if from > to {
            return Box::new(std::iter::empty());
        }
        let range = library.by_taken.range(from..=to);
        let ids: Box<dyn Iterator<Item = &(i64, u64, Uuid)>> = if self.ascending {
            Box::new(range)
        } else {
            Box::new(range.rev())
        };
        Box::new(
            ids.filter_map(|(_, _, id)| library.assets.get(id))
                .filter(move |asset| self.fits(library, viewer, asset)),
        )
    }
}

/// 28 characters are base64, anything else is hexadecimal.
fn has_checksum(asset: &Asset, text: &str) -> bool {
    use base64::Engine;
    if text.len() == 28 {
        return base64::engine::general_purpose::STANDARD.encode(asset.checksum) == text;
    }
    let hex = asset
        .checksum
        .iter()
        .fold(String::new(), |hex, b| hex + &format!("{b:02x}"));
    hex.eq_ignore_ascii_case(text)
}

pub(crate) fn metadata(
    shape: &Shape,
    library: &Library,
    viewer: Uuid,
    body: &Value,
) -> Result<Value, ApiError> {
    let query = Query::read(shape, body)?;
    let mut rows = query
        .hits(library, viewer)
        .skip((query.page - 1) * query.size);
    let detail = Detail {
        exif: query.with_exif,
        people: query.with_people,
        frame: Frame::Original,
    };
    let items: Vec<Value> = rows
        .by_ref()
        .take(query.size)
        .map(|asset| render::asset(shape, library, asset, detail))
        .collect();
    let next = rows.next().map(|_| (query.page + 1).to_string());
    Ok(json!({
        "albums": {"total": 0, "count": 0, "items": [], "facets": []},
        // Both numbers are this page's, as the server has it.
        "assets": {
            "total": items.len(), "count": items.len(), "items": items, "facets": [],
            "nextPage": next,
        },
    }))
}

pub(crate) fn total(
    shape: &Shape,
    library: &Library,
    viewer: Uuid,
    body: &Value,
) -> Result<Value, ApiError> {
    let query = Query::read(shape, body)?;
    Ok(json!({ "total": query.hits(library, viewer).count() }))
}
