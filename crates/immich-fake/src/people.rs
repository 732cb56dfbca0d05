//! People: lists, suggestions, changes.

use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::ids::Uuid;
use crate::library::{Library, MIN_FACES, Person};
use crate::render;
use crate::reply::{ApiError, body_uuid, query, uuid};
use crate::shape::Shape;

/// The person, if the caller owns it.
pub(crate) fn owned<'l>(
    library: &'l Library,
    viewer: Uuid,
    id: Uuid,
    permission: &str,
) -> Result<&'l Person, ApiError> {
    library
        .people
        .get(&id)
        .filter(|person| person.owner == viewer)
        .ok_or_else(|| ApiError::no_access(permission))
}

/// Listed are people with a visible face on a timeline asset who are named or have
/// enough faces.
fn is_listed(library: &Library, person: &Person) -> bool {
    let n_faces = library.visible_faces_of(person.id).count();
    let shown = library.visible_faces_of(person.id).any(|face| {
        let asset = library.assets.get(&face.asset);
        asset.is_some_and(|asset| asset.visibility == "timeline" && !asset.trashed)
    });
    shown && (!person.name.is_empty() || n_faces >= MIN_FACES)
}

pub(crate) fn list(
    shape: &Shape,
    library: &Library,
    viewer: Uuid,
    raw_query: Option<&str>,
) -> Result<Value, ApiError> {
    let number = |name: &str, default: usize, most: usize| match query(raw_query, name) {
        None => Ok(default),
        Some(text) => match text.parse::<usize>() {
            Ok(n) if (1..=most).contains(&n) => Ok(n),
            _ => Err(ApiError::invalid(name, format!("must be 1 to {most}"))),
        },
    };
    let with_hidden = match query(raw_query, "withHidden").as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(ApiError::invalid("withHidden", "must be a boolean value")),
    };
    let page = number("page", 1, usize::MAX)?;
    let size = number("size", 500, 1000)?;
    // Despite its name a face id; one that is unknown gives some order.
    let closest = query(raw_query, "closestAssetId").filter(|_| shape.closest);
    let near = closest
        .and_then(|text| text.parse::<Uuid>().ok())
        .and_then(|id| library.faces.get(&id))
        .and_then(|face| face.embedding.as_deref());

    let mine = || {
        library
            .people
            .values()
            .filter(|person| person.owner == viewer)
    };
    let mut rows: Vec<&Person> = mine()
        .filter(|person| is_listed(library, person))
        .filter(|person| with_hidden || !person.hidden)
        .collect();
    let first = |person: &Person| (person.hidden, !(shape.favourites && person.favourite));
    match near {
        Some(near) => rows.sort_by(|a, b| {
            let by_distance = match (distance(library, a, near), distance(library, b, near)) {
                (Some(x), Some(y)) => x.total_cmp(&y),
                (x, y) => y.is_some().cmp(&x.is_some()),
            };
            let by_flags = first(a).cmp(&first(b));
            by_flags.then(by_distance).then(a.id.cmp(&b.id))
        }),
        None => rows.sort_by(|a, b| {
            let n_faces = |p: &Person| library.visible_faces_of(p.id).count();
            first(a)
                .cmp(&first(b))
                .then(a.name.is_empty().cmp(&b.name.is_empty()))
                .then_with(|| n_faces(b).cmp(&n_faces(a)))
                .then_with(|| a.name.cmp(&b.name))
                .then(a.created_us.cmp(&b.created_us))
                .then(a.id.cmp(&b.id))
        }),
    }
    let start = (page - 1).saturating_mul(size).min(rows.len());
    let end = start.saturating_add(size).min(rows.len());
    let people: Vec<Value> = rows[start..end]
        .iter()
        .map(|person| render::person(shape, person, false))
        .collect();
    // Counts unnamed people with few faces too, as the server does.
    let counted = mine().filter(|p| library.visible_faces_of(p.id).next().is_some());
    Ok(json!({
        "people": people,
        "hasNextPage": end < rows.len(),
        "total": counted.count(),
        "hidden": mine().filter(|person| person.hidden).count(),
    }))
}

/// Cosine distance to the person's feature face, if that has an embedding.
fn distance(library: &Library, person: &Person, to: &[f32]) -> Option<f32> {
    let feature = library.faces.get(&person.feature?)?.embedding.as_deref()?;
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let norm = (dot(feature, feature) * dot(to, to)).sqrt();
    let cosine = dot(feature, to) / norm;
    match cosine.partial_cmp(&0.0) {
        None => None,
        Some(Ordering::Less | Ordering::Equal | Ordering::Greater) => Some(1.0 - cosine),
    }
}

/// The server's search is fuzzy; here a name is found by any whole word of it.
pub(crate) fn by_name(
    shape: &Shape,
    library: &Library,
    viewer: Uuid,
    raw_query: Option<&str>,
) -> Result<Value, ApiError> {
    let Some(name) = query(raw_query, "name") else {
        return Err(ApiError::invalid("name", "should not be empty"));
    };
    let with_hidden = query(raw_query, "withHidden").as_deref() == Some("true");
    let wanted = name.to_lowercase();
    let found = library
        .people
        .values()
        .filter(|person| person.owner == viewer && (with_hidden || !person.hidden))
        .filter(|person| {
            let name = person.name.to_lowercase();
            name == wanted || name.split_whitespace().any(|word| word == wanted)
        });
    Ok(found
        .map(|person| render::person(shape, person, false))
        .collect())
}

/// Applies the fields of a create or update body.
pub(crate) fn apply(library: &mut Library, id: Uuid, body: &Value) -> Result<(), ApiError> {
    let mut feature = None;
    if !body["featureFaceAssetId"].is_null() {
        let asset = body_uuid(body, "featureFaceAssetId")?;
        let face = library
            .visible_faces_of(id)
            .find(|face| face.asset == asset);
        let Some(face) = face else {
            return Err(ApiError::new(400, "Invalid assetId for feature face"));
        };
        feature = Some(face.id);
    }
    if body["birthDate"]
        .as_str()
        .is_some_and(|text| text.parse::<jiff::civil::Date>().is_err())
    {
        return Err(ApiError::invalid(
            "birthDate",
            "must be a date string in the format yyyy-MM-dd",
        ));
    }
    library.update_person(id, |person| {
        if let Some(name) = body["name"].as_str() {
            name.clone_into(&mut person.name);
        }
        if let Some(birth) = body.get("birthDate") {
            person.birth_date = birth.as_str().map(str::to_owned);
        }
        if let Some(hidden) = body["isHidden"].as_bool() {
            person.hidden = hidden;
        }
        if let Some(favourite) = body["isFavorite"].as_bool() {
            person.favourite = favourite;
        }
        if let Some(color) = body["color"].as_str() {
            person.color = Some(color.to_owned());
        }
        person.feature = feature.or(person.feature);
    });
    Ok(())
}

pub(crate) fn merge(
    library: &mut Library,
    viewer: Uuid,
    into: Uuid,
    body: &Value,
) -> Result<Value, ApiError> {
    owned(library, viewer, into, "person.update")?;
    let ids = body["ids"].as_array().into_iter().flatten();
    let ids: Vec<Uuid> = ids
        .map(|id| uuid("ids", id.as_str().unwrap_or_default()))
        .collect::<Result<_, _>>()?;
    let mut results = Vec::new();
    for id in ids {
        let Ok(other) = owned(library, viewer, id, "person.merge").cloned() else {
            results.push(json!({"id": id.to_string(), "success": false, "error": "no_permission"}));
            continue;
        };
        let faces: Vec<Uuid> = library.visible_faces_of(id).map(|face| face.id).collect();
        for face in faces {
            library.reassign(face, into);
        }
        library.update_person(into, |person| {
            if person.name.is_empty() {
                person.name = other.name;
            }
            person.birth_date = person.birth_date.take().or(other.birth_date);
        });
        library.remove_person(id);
        results.push(json!({"id": id.to_string(), "success": true}));
    }
    Ok(results.into())
}
