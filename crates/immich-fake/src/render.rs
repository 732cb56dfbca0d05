//! Records as JSON, in the fields and formats of the imitated release.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::ids::Uuid;
use crate::library::{Asset, Crop, Face, Library, Person, User};
use crate::shape::Shape;

/// Top-level dates: milliseconds and `Z`.
pub(crate) fn ms(us: i64) -> String {
    stamp(us).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Nested dates: up to six decimals and `+00:00`.
pub(crate) fn micros(us: i64) -> String {
    stamp(us).strftime("%Y-%m-%dT%H:%M:%S%.f+00:00").to_string()
}

fn stamp(us: i64) -> Timestamp {
    Timestamp::from_microsecond(us).unwrap_or_default()
}

/// Which frame the boxes of an edited asset are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Search: as measured.
    Original,
    /// `/faces` and `/assets/{id}`: the edited picture.
    Edited,
}

pub(crate) fn user(user: &User) -> Value {
    json!({
        "id": user.id.to_string(),
        "email": format!("{}@example.com", user.name.to_lowercase()),
        "name": user.name,
        "profileImagePath": "",
        "avatarColor": "gray",
        "profileChangedAt": "2026-01-01T00:00:00.000Z",
    })
}

pub(crate) fn me(me: &User) -> Value {
    let mut value = user(me);
    let more = json!({
        "storageLabel": null, "shouldChangePassword": false, "isAdmin": me.is_admin,
        "createdAt": "2026-01-01T00:00:00.000Z", "deletedAt": null,
        "updatedAt": "2026-01-01T00:00:00.000Z", "oauthId": "", "quotaSizeInBytes": null,
        "quotaUsageInBytes": 0, "status": "active", "license": null,
    });
    extend(&mut value, more);
    value
}

fn extend(value: &mut Value, more: Value) {
    if let (Value::Object(fields), Value::Object(more)) = (value, more) {
        fields.extend(more);
    }
}

pub(crate) fn person(shape: &Shape, person: &Person, nested: bool) -> Value {
    let updated = if nested {
        micros(person.updated_us)
    } else {
        ms(person.updated_us)
    };
    let thumbnail = match person.feature {
        Some(_) => format!("/data/thumbs/{}/{}.jpeg", person.owner, person.id),
        None => String::new(),
    };
    let mut value = json!({
        "id": person.id.to_string(),
        "name": person.name,
        "birthDate": person.birth_date,
        "thumbnailPath": thumbnail,
        "isHidden": person.hidden,
    });
    if shape.favourites {
        value["isFavorite"] = person.favourite.into();
        if let Some(color) = &person.color {
            value["color"] = color.as_str().into();
        }
    }
    value["updatedAt"] = updated.into();
    value
}

pub(crate) fn bare_face(face: &Face, asset: &Asset, frame: Frame) -> Value {
    let ([x1, y1, x2, y2], (width, height)) = match (asset.crop, frame) {
        (Some(crop), Frame::Edited) => (cropped(face, asset, crop), (crop.width, crop.height)),
        _ => (face.area, face.frame),
    };
    json!({
        "id": face.id.to_string(),
        "boundingBoxX1": x1, "boundingBoxY1": y1, "boundingBoxX2": x2, "boundingBoxY2": y2,
        "imageWidth": width, "imageHeight": height,
        "sourceType": face.source,
    })
}

/// The box in pixels of the cropped picture at full size.
fn cropped(face: &Face, asset: &Asset, crop: Crop) -> [i32; 4] {
    let (width, height) = asset.upright();
    let factor = f64::from(width.max(height)) / f64::from(face.frame.0.max(face.frame.1).max(1));
    let [x1, y1, x2, y2] = face.area.map(|v| (f64::from(v) * factor).round() as i32);
    [x1 - crop.x, y1 - crop.y, x2 - crop.x, y2 - crop.y]
}

/// A face as `/faces` sends it. People of other owners are not told.
pub(crate) fn face(
    shape: &Shape,
    library: &Library,
    viewer: Uuid,
    asset: &Asset,
    face: &Face,
) -> Value {
    let mut value = bare_face(face, asset, Frame::Edited);
    value["person"] = face
        .person
        .and_then(|id| library.people.get(&id))
        .filter(|person| person.owner == viewer)
        .map_or(Value::Null, |p| person(shape, p, true));
    value
}

/// What of an asset was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Detail {
    pub(crate) exif: bool,
    pub(crate) people: bool,
    pub(crate) frame: Frame,
}

pub(crate) fn asset(shape: &Shape, library: &Library, asset: &Asset, detail: Detail) -> Value {
    let (width, height) = match asset.crop {
        Some(crop) => (crop.width, crop.height),
        None => asset.upright(),
    };
    let mut value = json!({
        "id": asset.id.to_string(),
        "ownerId": asset.owner.to_string(),
        "libraryId": asset.external.map(|id| id.to_string()),
        "type": asset.kind,
        "originalPath": asset.path,
        "originalFileName": asset.file_name,
        "originalMimeType": asset.mime,
        "thumbhash": "FakeFakeFakeFakeFakeFakeFake",
        "fileCreatedAt": ms(asset.taken_us),
        "fileModifiedAt": ms(asset.created_us),
        "localDateTime": ms(asset.taken_us),
        "updatedAt": ms(asset.updated_us),
        "isFavorite": false,
        "isArchived": asset.visibility == "archive",
        "isTrashed": asset.trashed,
        "livePhotoVideoId": null,
        "people": [],
        "checksum": STANDARD.encode(asset.checksum),
        "isOffline": false,
        "hasMetadata": true,
        "duplicateId": null,
        "resized": true,
    });
    let fields = value.as_object_mut().expect("built as an object above");
    if shape.v3 {
        fields.insert("duration".to_owned(), Value::Null);
    } else {
        fields.insert("duration".to_owned(), "0:00:00.00000".into());
        fields.insert("deviceAssetId".to_owned(), asset.file_name.as_str().into());
        fields.insert("deviceId".to_owned(), "fake".into());
    }
    if shape.api_keys_me {
        fields.insert("createdAt".to_owned(), ms(asset.created_us).into());
    }
    if shape.visibility {
        fields.insert("visibility".to_owned(), asset.visibility.into());
    }
    if shape.sizes {
        fields.insert("width".to_owned(), width.into());
        fields.insert("height".to_owned(), height.into());
        fields.insert("isEdited".to_owned(), asset.crop.is_some().into());
    }
    if detail.exif {
        fields.insert("exifInfo".to_owned(), exif(asset));
    }
    if detail.people {
        people(shape, library, asset, detail.frame, fields);
    }
    value
}

fn exif(asset: &Asset) -> Value {
    json!({
        "make": null, "model": null,
        "exifImageWidth": asset.stored.0, "exifImageHeight": asset.stored.1,
        "fileSizeInByte": asset.n_bytes(),
        "orientation": (asset.orientation != 1).then(|| asset.orientation.to_string()),
        // The server fills it from the file's date when the photo has none.
        "dateTimeOriginal": micros(asset.taken_us), "modifyDate": micros(asset.created_us),
        "timeZone": null, "lensModel": null, "fNumber": null, "focalLength": null, "iso": null,
        "exposureTime": null, "latitude": null, "longitude": null, "city": null, "state": null,
        "country": null, "description": "", "projectionType": null, "rating": null,
    })
}

fn people(
    shape: &Shape,
    library: &Library,
    asset: &Asset,
    frame: Frame,
    fields: &mut Map<String, Value>,
) {
    let faces = library.faces_of(asset.id);
    let mut of_people: Vec<(Uuid, Vec<Value>)> = Vec::new();
    let mut unassigned = Vec::new();
    for face in faces {
        let value = bare_face(face, asset, frame);
        match face.person {
            None => unassigned.push(value),
            Some(id) => match of_people.iter_mut().find(|(other, _)| *other == id) {
                Some((_, values)) => values.push(value),
                None => of_people.push((id, vec![value])),
            },
        }
    }
    let people: Vec<Value> = of_people
        .into_iter()
        .filter_map(|(id, faces)| {
            let mut value = person(shape, library.people.get(&id)?, true);
            if shape.faces_in_search {
                value["faces"] = faces.into();
            }
            Some(value)
        })
        .collect();
    fields.insert("people".to_owned(), people.into());
    if shape.faces_in_search {
        fields.insert("unassignedFaces".to_owned(), unassigned.into());
    }
}
