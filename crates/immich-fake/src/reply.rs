//! Answers and refusals, and who is asking.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use crate::ids::Uuid;
use crate::library::Library;
use crate::shape::Shape;

/// A refusal. It travels as a response extension and is written by
/// [`ApiError::render`], because its body depends on the release.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) messages: Messages,
}

#[derive(Debug, Clone)]
pub(crate) enum Messages {
    One(String),
    /// Validation: field and complaint.
    Many(Vec<(String, String)>),
}

pub(crate) type Reply = Result<Response, ApiError>;

impl ApiError {
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            messages: Messages::One(message.into()),
        }
    }

    /// Gone or not yours: the server does not tell.
    pub(crate) fn no_access(permission: &str) -> Self {
        Self::new(400, format!("Not found or no {permission} access"))
    }

    pub(crate) fn invalid(field: &str, complaint: impl Into<String>) -> Self {
        Self {
            status: 400,
            messages: Messages::Many(vec![(field.to_owned(), complaint.into())]),
        }
    }

    pub(crate) fn no_route(method: &str, path: &str) -> Self {
        Self::new(404, format!("Cannot {method} {path}"))
    }

    pub(crate) fn render(&self, shape: &Shape) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let body = match (&self.messages, shape.v3) {
            (Messages::One(message), true) => json!({ "message": message }),
            (Messages::Many(complaints), true) => {
                let errors: Vec<Value> = complaints
                    .iter()
                    .map(
                        |(field, text)| json!({"code": "custom", "path": [field], "message": text}),
                    )
                    .collect();
                json!({"message": "Validation failed", "errors": errors})
            }
            (messages, false) => {
                let message: Value = match messages {
                    Messages::One(message) => message.as_str().into(),
                    Messages::Many(complaints) => complaints
                        .iter()
                        .map(|(field, text)| format!("{field} {text}"))
                        .collect(),
                };
                json!({
                    "message": message,
                    "error": status.canonical_reason().unwrap_or_default(),
                    "statusCode": self.status,
                    "correlationId": "fakefake",
                })
            }
        };
        json_response(status.as_u16(), &body)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(self);
        response
    }
}

pub(crate) fn json_response(status: u16, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json; charset=utf-8"),
    );
    response
}

pub(crate) fn ok(body: &Value) -> Response {
    json_response(200, body)
}

pub(crate) fn empty(status: u16) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    response
}

pub(crate) fn file(bytes: Vec<u8>, content_type: &str) -> Response {
    let mut response = Response::new(Body::from(bytes));
    if let Ok(value) = content_type.parse() {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
}

/// The caller, if the key is known and has the permission.
pub(crate) fn caller(
    library: &Library,
    headers: &HeaderMap,
    permission: Option<&str>,
) -> Result<Uuid, ApiError> {
    let Some(secret) = headers.get("x-api-key").and_then(|v| v.to_str().ok()) else {
        return Err(ApiError::new(401, "Authentication required"));
    };
    let key = library
        .keys
        .iter()
        .find(|key| key.secret == secret)
        .ok_or_else(|| ApiError::new(401, "Invalid API key"))?;
    let allowed = |name: &str| key.permissions.iter().any(|p| p == name || p == "all");
    match permission {
        Some(name) if !allowed(name) => Err(ApiError::new(
            403,
            format!("Missing required permission: {name}"),
        )),
        _ => Ok(key.user),
    }
}

/// A UUID of a request, or the validation error that names the field.
pub(crate) fn uuid(field: &str, text: &str) -> Result<Uuid, ApiError> {
    text.parse()
        .map_err(|()| ApiError::invalid(field, "must be a UUID"))
}

/// A UUID in a JSON body.
pub(crate) fn body_uuid(body: &Value, field: &str) -> Result<Uuid, ApiError> {
    uuid(field, body[field].as_str().unwrap_or_default())
}

/// A request's body as JSON; an empty one is an empty object.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, ApiError> {
    if bytes.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(bytes).map_err(|error| ApiError::new(400, error.to_string()))
}

/// A field of a query string, percent-decoded.
pub(crate) fn query(raw: Option<&str>, name: &str) -> Option<String> {
    let pair = raw?
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)?;
    let mut bytes = Vec::new();
    let mut rest = pair.1.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let hex = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}
