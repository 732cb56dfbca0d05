//! The routes: who may, what is looked up, what changes.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use axum::routing::{get, post, put};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use serde_json::{Value, json};

use crate::ids::{Uuid, noise};
use crate::library::{Asset, Library};
use crate::people;
use crate::render::{self, Detail, Frame};
use crate::reply::{
    ApiError, Reply, body_uuid, caller, empty, file, json_response, ok, parse, query, uuid,
};
use crate::search;
use crate::shape::Shape;

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) shape: Shape,
    pub(crate) library: Mutex<Library>,
}

type Server = State<Arc<Shared>>;

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Library> {
        self.library
            .lock()
            .expect("a handler panicked while it held the library")
    }
}

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let shape = shared.shape.clone();
    let mut router = Router::new()
        .route(
            "/api/server/ping",
            get(|| async { ok(&json!({"res": "pong"})) }),
        )
        .route("/api/server/version", get(version))
        .route("/api/server/config", get(config))
        .route("/api/server/features", get(features))
        .route("/api/server/about", get(about))
        .route("/api/server/statistics", get(statistics))
        .route("/api/users/me", get(me))
        .route("/api/search/metadata", post(search_metadata))
        .route("/api/search/person", get(search_person))
        .route("/api/faces", get(faces).post(create_face))
        .route("/api/faces/{id}", put(reassign_face).delete(delete_face))
        .route("/api/people", get(list_people).post(create_person))
        .route(
            "/api/people/{id}",
            get(person).put(update_person).delete(delete_person),
        )
        .route("/api/people/{id}/merge", post(merge))
        .route("/api/people/{id}/reassign", put(reassign_all))
        .route("/api/people/{id}/statistics", get(person_statistics))
        .route("/api/people/{id}/thumbnail", get(person_thumbnail))
        .route("/api/assets/{id}", get(asset))
        .route("/api/assets/{id}/original", get(original))
        .route("/api/assets/{id}/thumbnail", get(thumbnail));
    if shape.api_keys_me {
        router = router
            .route("/api/api-keys/me", get(api_key))
            .route("/api/search/statistics", post(search_total));
    }
    router
        .fallback(|method: Method, uri: Uri| async move { no_route(&method, &uri) })
        .method_not_allowed_fallback(
            |method: Method, uri: Uri| async move { no_route(&method, &uri) },
        )
        .with_state(shared)
}

/// Outside of the API the web interface answers every GET.
pub(crate) fn no_route(method: &Method, uri: &Uri) -> Reply {
    if uri.path().starts_with("/api/") || method != Method::GET {
        return Err(ApiError::no_route(method.as_str(), uri.path()));
    }
    let page = b"<!doctype html><title>Immich</title>".to_vec();
    Ok(file(page, "text/html; charset=utf-8"))
}

async fn version(State(server): Server) -> Reply {
    let (major, minor, patch) = server.shape.version;
    let mut body = json!({"major": major, "minor": minor, "patch": patch});
    if server.shape.v3 {
        body["prerelease"] = Value::Null;
    }
    Ok(ok(&body))
}

async fn config() -> Reply {
    Ok(ok(&json!({
        "loginPageMessage": "", "trashDays": 30, "userDeleteDelay": 7,
        "oauthButtonText": "Login with OAuth", "isInitialized": true, "isOnboarded": true,
        "externalDomain": "", "publicUsers": true,
        "mapDarkStyleUrl": "https://tiles.example.com/dark.json",
        "mapLightStyleUrl": "https://tiles.example.com/light.json", "maintenanceMode": false,
    })))
}

async fn features() -> Reply {
    Ok(ok(&json!({
        "configFile": false, "duplicateDetection": true, "email": false,
        "facialRecognition": true, "importFaces": false, "map": true, "oauth": false,
        "oauthAutoLaunch": false, "ocr": false, "passwordLogin": true,
        "reverseGeocoding": true, "search": true, "sidecar": true, "smartSearch": true,
        "trash": true,
    })))
}

async fn about(State(server): Server, headers: HeaderMap) -> Reply {
    caller(&server.lock(), &headers, Some("server.about"))?;
    let (major, minor, patch) = server.shape.version;
    Ok(ok(&json!({
        "version": format!("v{major}.{minor}.{patch}"),
        "versionUrl": format!("https://example.com/v{major}.{minor}.{patch}"),
        "licensed": false,
    })))
}

async fn statistics(State(server): Server, headers: HeaderMap) -> Reply {
    let library = server.lock();
    let user = caller(&library, &headers, Some("server.statistics"))?;
    if !library.users.get(&user).is_some_and(|user| user.is_admin) {
        return Err(ApiError::new(403, "Forbidden"));
    }
    let count = |kind: &str| library.assets().filter(|asset| asset.kind == kind).count();
    Ok(ok(&json!({
        "photos": count("IMAGE"), "videos": count("VIDEO"), "usage": 0, "usagePhotos": 0,
        "usageVideos": 0, "usageByUser": [],
    })))
}

async fn me(State(server): Server, headers: HeaderMap) -> Reply {
    let library = server.lock();
    let user = caller(&library, &headers, Some("user.read"))?;
    let user = library
        .users
        .get(&user)
        .ok_or_else(|| ApiError::new(401, "Invalid API key"))?;
    Ok(ok(&render::me(user)))
}

async fn api_key(State(server): Server, headers: HeaderMap) -> Reply {
    let library = server.lock();
    caller(&library, &headers, None)?;
    let secret = headers.get("x-api-key").and_then(|v| v.to_str().ok());
    let key = library
        .keys
        .iter()
        .find(|key| Some(key.secret.as_str()) == secret);
    let key = key.ok_or_else(|| ApiError::new(401, "Invalid API key"))?;
    Ok(ok(&json!({
        "id": key.id.to_string(), "name": key.name, "permissions": key.permissions,
        "createdAt": "2026-01-01T00:00:00.000Z", "updatedAt": "2026-01-01T00:00:00.000Z",
    })))
}

async fn search_metadata(State(server): Server, headers: HeaderMap, body: Bytes) -> Reply {
    let library = server.lock();
    let viewer = caller(&library, &headers, Some("asset.read"))?;
    let body = parse(&body)?;
    Ok(ok(&search::metadata(
        &server.shape,
        &library,
        viewer,
        &body,
    )?))
}

async fn search_total(State(server): Server, headers: HeaderMap, body: Bytes) -> Reply {
    let library = server.lock();
    let viewer = caller(&library, &headers, Some("asset.statistics"))?;
    let body = parse(&body)?;
    Ok(ok(&search::total(&server.shape, &library, viewer, &body)?))
}

async fn search_person(
    State(server): Server,
    headers: HeaderMap,
    RawQuery(raw): RawQuery,
) -> Reply {
    let library = server.lock();
    let viewer = caller(&library, &headers, Some("person.read"))?;
    Ok(ok(&people::by_name(
        &server.shape,
        &library,
        viewer,
        raw.as_deref(),
    )?))
}

/// The asset, if the caller may see it: own ones, and the timeline of partners.
fn visible<'l>(
    library: &'l Library,
    viewer: Uuid,
    id: Uuid,
    permission: &str,
) -> Result<&'l Asset, ApiError> {
    let partners = library
        .users
        .get(&viewer)
        .map_or(&[][..], |user| &user.partners);
    library
        .assets
        .get(&id)
        .filter(|asset| {
            let shared = partners.contains(&asset.owner) && asset.visibility == "timeline";
            asset.owner == viewer || shared
        })
        .ok_or_else(|| ApiError::no_access(permission))
}

async fn faces(State(server): Server, headers: HeaderMap, RawQuery(raw): RawQuery) -> Reply {
    let library = server.lock();
    let viewer = caller(&library, &headers, Some("face.read"))?;
    let name = server.shape.faces_query;
    let id = uuid(name, &query(raw.as_deref(), name).unwrap_or_default())?;
    let asset = visible(&library, viewer, id, "asset.read")?;
    let faces: Vec<Value> = library
        .faces_of(id)
        .into_iter()
        .map(|face| render::face(&server.shape, &library, viewer, asset, face))
        .collect();
    Ok(ok(&faces.into()))
}

async fn create_face(State(server): Server, headers: HeaderMap, body: Bytes) -> Reply {
    let mut library = server.lock();
    let viewer = caller(&library, &headers, Some("face.create"))?;
    let body = parse(&body)?;
    let (asset, person) = (body_uuid(&body, "assetId")?, body_uuid(&body, "personId")?);
    visible(&library, viewer, asset, "asset.read")?;
    people::owned(&library, viewer, person, "person.read")?;
    let number = |field: &str| {
        let number = body[field].as_f64().filter(|n| *n >= 0.0);
        number
            .map(|n| n.round() as i32)
            .ok_or_else(|| ApiError::invalid(field, "must be a number"))
    };
    let (x, y) = (number("x")?, number("y")?);
    let area = [x, y, x + number("width")?, y + number("height")?];
    let frame = (number("imageWidth")? as u32, number("imageHeight")? as u32);
    let face = library.add_face(asset, Some(person), area, frame);
    library.update_face(face, |face| face.source = "manual");
    Ok(empty(201))
}

/// The path is the person, the body the face.
async fn reassign_face(
    State(server): Server,
    headers: HeaderMap,
    Path(person): Path<String>,
    body: Bytes,
) -> Reply {
    let mut library = server.lock();
    let viewer = caller(&library, &headers, Some("face.update"))?;
    let person = uuid("id", &person)?;
    let face_id = body_uuid(&parse(&body)?, "id")?;
    people::owned(&library, viewer, person, "person.update")?;
    let face = library.face(face_id).filter(|face| {
        let asset = library.asset(face.asset);
        asset.is_some_and(|asset| asset.owner == viewer)
    });
    match face {
        None => return Err(ApiError::no_access("person.create")),
        Some(face) if face.deleted => {
            return Err(ApiError::new(500, "Failed to reassign faces by id"));
        }
        Some(_) => library.reassign(face_id, person),
    }
    let person = people::owned(&library, viewer, person, "person.read")?;
    Ok(ok(&render::person(&server.shape, person, false)))
}

async fn delete_face(
    State(server): Server,
    headers: HeaderMap,
    Path(id): Path<String>,
    body: Bytes,
) -> Reply {
    let mut library = server.lock();
    let viewer = caller(&library, &headers, Some("face.delete"))?;
    let id = uuid("id", &id)?;
    let Some(force) = parse(&body)?["force"].as_bool() else {
        return Err(ApiError::invalid("force", "must be a boolean value"));
    };
    let owner = library.face(id).and_then(|face| library.asset(face.asset));
    if owner.is_none_or(|asset| asset.owner != viewer) {
        return Err(ApiError::no_access("face.delete"));
    }
    if force {
        library.remove_face(id);
    } else {
        library.update_face(id, |face| face.deleted = true);
    }
    Ok(empty(204))
}

async fn list_people(State(server): Server, headers: HeaderMap, RawQuery(raw): RawQuery) -> Reply {
    let library = server.lock();
    let viewer = caller(&library, &headers, Some("person.read"))?;
    Ok(ok(&people::list(
        &server.shape,
        &library,
        viewer,
        raw.as_deref(),
    )?))
}

async fn create_person(State(server): Server, headers: HeaderMap, body: Bytes) -> Reply {
    let mut library = server.lock();
    let viewer = caller(&library, &headers, Some("person.create"))?;
    let body = parse(&body)?;
    let id = library.add_person(viewer, "");
    if let Err(error) = people::apply(&mut library, id, &body) {
        library.remove_person(id);
        return Err(error);
    }
    let person = people::owned(&library, viewer, id, "person.read")?;
    Ok(json_response(
        201,
        &render::person(&server.shape, person, false),
    ))
}

async fn person(State(server): Server, headers: HeaderMap, Path(id): Path<String>) -> Reply {
    let library = server.lock();
    let viewer = caller(&library, &headers, Some("person.read"))?;
    let person = people::owned(&library, viewer, uuid("id", &id)?, "person.read")?;
    Ok(ok(&render::person(&server.shape, person, false)))
}

async fn update_person(
    State(server): Server,
    headers: HeaderMap,
    Path(id): Path<String>,
    body: Bytes,
) -> Reply {
    let mut library = server.lock();
    let viewer = caller(&library, &headers, Some("person.update"))?;
    let id = uuid("id", &id)?;
    people::owned(&library, viewer, id, "person.update")?;
    people::apply(&mut library, id, &parse(&body)?)?;
    let person = people::owned(&library, viewer, id, "person.read")?;
    Ok(ok(&render::person(&server.shape, person, false)))
}

async fn delete_person(State(server): Server, headers: HeaderMap, Path(id): Path<String>) -> Reply {
    let mut library = server.lock();
    let viewer = caller(&library, &headers, Some("person.delete"))?;
    let id = uuid("id", &id)?;
    people::owned(&library, viewer, id, "person.delete")?;
    library.remove_person(id);
    Ok(empty(204))
}

async fn merge(
    State(server): Server,
    headers: HeaderMap,
    Path(id): Path<String>,
    body: Bytes,
) -> Reply {
    let mut library = server.lock();
    let viewer = caller(&library, &headers, Some("person.merge"))?;
    let results = people::merge(&mut library, viewer, uuid("id", &id)?, &parse(&body)?)?;
    Ok(json_response(server.shape.merge_status, &results))
}

/// Moves every face of the old person on the asset, and answers with one person per
/// entry even when nothing moved.
async fn reassign_all(
    State(server): Server,
    headers: HeaderMap,
    Path(id): Path<String>,
    body: Bytes,
) -> Reply {
    let mut library = server.lock();
    let viewer = caller(&library, &headers, Some("person.reassign"))?;
    let to = uuid("id", &id)?;
    people::owned(&library, viewer, to, "person.update")?;
    let body = parse(&body)?;
    let mut answers = Vec::new();
    for entry in body["data"].as_array().into_iter().flatten() {
        let (from, asset) = (body_uuid(entry, "personId")?, body_uuid(entry, "assetId")?);
        let moved: Vec<Uuid> = library
            .faces_of(asset)
            .into_iter()
            .filter(|face| face.person == Some(from))
            .map(|face| face.id)
            .collect();
        for face in moved {
            library.reassign(face, to);
        }
        let person = people::owned(&library, viewer, to, "person.read")?;
        answers.push(render::person(&server.shape, person, false));
    }
    Ok(ok(&answers.into()))
}

async fn person_statistics(
    State(server): Server,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Reply {
    let library = server.lock();
    let viewer = caller(&library, &headers, Some("person.statistics"))?;
    let id = uuid("id", &id)?;
    people::owned(&library, viewer, id, "person.read")?;
    let mut assets: Vec<Uuid> = library
        .visible_faces_of(id)
        .map(|face| face.asset)
        .filter(|id| {
            let asset = library.asset(*id);
            asset.is_some_and(|asset| asset.visibility == "timeline" && !asset.trashed)
        })
        .collect();
    assets.sort_unstable();
    assets.dedup();
    Ok(ok(&json!({ "assets": assets.len() })))
}

async fn person_thumbnail(
    State(server): Server,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Reply {
    let library = server.lock();
    let viewer = caller(&library, &headers, Some("person.read"))?;
    let person = people::owned(&library, viewer, uuid("id", &id)?, "person.read")?;
    match (person.feature, &person.picture) {
        (Some(_), Some(picture)) => Ok(file(picture.to_vec(), "image/jpeg")),
        (Some(face), None) => Ok(file(noise(face.0 as u64, 300), "image/jpeg")),
        (None, _) => Err(ApiError::new(404, "Not Found")),
    }
}

async fn asset(State(server): Server, headers: HeaderMap, Path(id): Path<String>) -> Reply {
    let library = server.lock();
    let viewer = caller(&library, &headers, Some("asset.read"))?;
    let asset = visible(&library, viewer, uuid("id", &id)?, "asset.read")?;
    let detail = Detail {
        exif: true,
        people: true,
        frame: Frame::Edited,
    };
    let mut value = render::asset(&server.shape, &library, asset, detail);
    if let Some(owner) = library.users.get(&asset.owner) {
        value["owner"] = render::user(owner);
    }
    value["stack"] = Value::Null;
    value["tags"] = json!([]);
    Ok(ok(&value))
}

async fn original(
    State(server): Server,
    headers: HeaderMap,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Reply {
    let library = server.lock();
    let viewer = caller(&library, &headers, Some("asset.download"))?;
    let asset = visible(&library, viewer, uuid("id", &id)?, "asset.download")?;
    if asset.missing_on_disk {
        return Ok(image_typed_error());
    }
    let edited = query(raw.as_deref(), "edited").as_deref() == Some("true");
    let bytes = if edited && asset.crop.is_some() {
        noise(asset.id.0 as u64 ^ 2, 150)
    } else {
        asset.bytes()
    };
    let range = headers.get(header::RANGE).and_then(|v| v.to_str().ok());
    let mut response = match range.and_then(|r| r.strip_prefix("bytes=")?.split_once('-')) {
        None => file(bytes, &asset.mime),
        Some((from, to)) => {
            let n_bytes = bytes.len();
            let from: usize = from.parse().unwrap_or(0);
            let to = to.parse().unwrap_or(n_bytes).min(n_bytes.saturating_sub(1));
            if from > to {
                // Not 416: seen on a live server.
                return Err(ApiError::new(500, "Internal server error"));
            }
            let mut response = file(bytes[from..=to].to_vec(), &asset.mime);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            if let Ok(value) = format!("bytes {from}-{to}/{n_bytes}").parse() {
                response.headers_mut().insert(header::CONTENT_RANGE, value);
            }
            response
        }
    };
    let fields = response.headers_mut();
    fields.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    Ok(response)
}

/// What the server sends for a file missing on its disk.
pub(crate) fn image_typed_error() -> Response {
    let body = json!({"message": "Internal server error", "statusCode": 500});
    let mut response = file(body.to_string().into_bytes(), "image/jpeg");
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

async fn thumbnail(
    State(server): Server,
    headers: HeaderMap,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Reply {
    let library = server.lock();
    let viewer = caller(&library, &headers, Some("asset.view"))?;
    let asset = visible(&library, viewer, uuid("id", &id)?, "asset.view")?;
    let Some(preview) = asset.preview_bytes() else {
        return Err(ApiError::new(404, "Asset media not found"));
    };
    match query(raw.as_deref(), "size").as_deref() {
        None | Some("thumbnail") => Ok(file(noise(asset.id.0 as u64 ^ 3, 60), "image/webp")),
        Some("preview") => Ok(file(preview, "image/jpeg")),
        Some("fullsize") => {
            let web = ["image/jpeg", "image/png", "image/webp", "image/gif"];
            let to = if web.contains(&asset.mime.as_str()) {
                "original?"
            } else {
                "?size=preview"
            };
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::FOUND;
            let to = HeaderValue::from_static(to);
            response.headers_mut().insert(header::LOCATION, to);
            Ok(response)
        }
        Some(_) => Err(ApiError::invalid(
            "size",
            "must be one of the following values",
        )),
    }
}
