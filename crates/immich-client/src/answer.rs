//! Reads an answer that is not a success: status and body to [`Error`].
//!
//! v2 sends `{"message": text or [text], "error", "statusCode"}`, v3 sends
//! `{"message"}` and for validation `{"message", "errors": [{path, message}]}`;
//! proxies send HTML. See `docs/formats/immich-api.md`.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde_json::Value;

use crate::error::{Error, Outage};

/// The longest server text kept in an error, in characters.
const MAX_MESSAGE_CHARS: usize = 300;

/// What the classification needs to know about the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A JSON document.
    Json,
    /// A picture: 404 then means "not rendered yet".
    Media,
}

/// A failed answer's class. `NoSuchRoute` needs a look at the server's state:
/// maintenance mode answers like an unknown route.
#[derive(Debug)]
pub(crate) enum Failure {
    Known(Error),
    NoSuchRoute,
}

/// Sorts an answer with a status outside 200..300. `body` is already scrubbed.
pub(crate) fn classify(
    call: &str,
    wanted: Wanted,
    status: u16,
    headers: &HeaderMap,
    body: &str,
) -> Failure {
    let call = call.to_owned();
    let messages = messages(body);
    let is_api = messages.is_some();
    let lines = messages.unwrap_or_else(|| vec![shortened(body)]);
    let message = lines.join("; ");
    Failure::Known(match status {
        300..400 => Error::Protocol {
            call,
            what: format!("status {status}: {message}"),
        },
        401 => Error::Unauthorized { call, message },
        403 => Error::Forbidden {
            permission: message
                .strip_prefix("Missing required permission: ")
                .map(|rest| rest.trim().to_owned()),
            call,
            message,
        },
        400 if message.starts_with("Not found or no ") => Error::Missing { call, message },
        404 if !is_api || message.starts_with("Cannot ") => return Failure::NoSuchRoute,
        404 if wanted == Wanted::Media => Error::NotReady { call, message },
        404 => Error::Missing { call, message },
        408 => Error::outage(&call, Outage::TimedOut, None),
        429 | 502..=504 | 520..=524 => Error::Outage {
            why: match status {
                429 => Outage::RateLimited,
                _ => Outage::Status(status),
            },
            retry_after: retry_after(headers),
            call,
            attempts: 1,
            source: None,
        },
        500.. => Error::ServerFault {
            call,
            status,
            message,
        },
        _ => Error::Rejected {
            call,
            status,
            messages: lines,
        },
    })
}

/// The complaints of a JSON error body; `None` when it is no such body.
fn messages(body: &str) -> Option<Vec<String>> {
    let body: Value = serde_json::from_str(body).ok()?;
    if let Some(errors) = body.get("errors").and_then(Value::as_array) {
        let lines: Vec<String> = errors.iter().filter_map(validation_line).collect();
        if !lines.is_empty() {
            return Some(lines);
        }
    }
    match body.get("message")? {
        Value::String(text) => Some(vec![shortened(text)]),
        Value::Array(lines) => Some(
            lines
                .iter()
                .filter_map(Value::as_str)
                .map(shortened)
                .collect(),
        ),
        _ => None,
    }
}

/// One entry of v3's `errors`: `path: message`.
fn validation_line(entry: &Value) -> Option<String> {
    let message = entry.get("message")?.as_str()?;
    let path: Vec<String> = entry
        .get("path")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|part| {
            part.as_str()
                .map_or_else(|| part.to_string(), str::to_owned)
        })
        .collect();
    Some(shortened(&if path.is_empty() {
        message.to_owned()
    } else {
        format!("{}: {message}", path.join("."))
    }))
}

fn shortened(text: &str) -> String {
    let text = text.trim();
    let mut short: String = text.chars().take(MAX_MESSAGE_CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// `Retry-After` in seconds, or as a date against the answer's own `Date`, so
/// that no local clock is read.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = http_date(value)?;
    let wait = then.as_second() - server_date(headers)?.as_second();
    Some(Duration::from_secs(u64::try_from(wait).unwrap_or(0)))
}

/// The answer's `Date` header: the server's clock.
pub(crate) fn server_date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(status: u16, body: &str) -> Failure {
        classify("GET /x", Wanted::Json, status, &HeaderMap::new(), body)
    }

    fn known(status: u16, body: &str) -> Error {
        match class(status, body) {
            Failure::Known(error) => error,
            Failure::NoSuchRoute => panic!("{status} {body} looks like an unknown route"),
        }
    }

    #[test]
    fn gone_item_is_missing_and_a_validation_error_is_rejected() {
        let body = r#"{"message":"Not found or no asset.read access","statusCode":400}"#;
        assert!(matches!(known(400, body), Error::Missing { .. }));
        let body = r#"{"message":["size must not be greater than 1000","page must be 1"]}"#;
        match known(400, body) {
            Error::Rejected { messages, .. } => assert_eq!(messages.len(), 2),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn v3_validation_names_the_field() {
        let body = r#"{"message":"Validation failed","errors":[
            {"code":"invalid","path":["ids",0],"message":"Invalid UUID"}]}"#;
        match known(400, body) {
            Error::Rejected { messages, .. } => assert_eq!(messages, ["ids.0: Invalid UUID"]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn missing_permission_is_named() {
        match known(
            403,
            r#"{"message":"Missing required permission: face.update"}"#,
        ) {
            Error::Forbidden { permission, .. } => {
                assert_eq!(permission.as_deref(), Some("face.update"));
            }
            other => panic!("{other:?}"),
        }
        match known(403, r#"{"message":"Forbidden"}"#) {
            Error::Forbidden { permission, .. } => assert_eq!(permission, None),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn not_found_depends_on_what_was_asked_and_who_answers() {
        let route = r#"{"message":"Cannot GET /api/x","statusCode":404}"#;
        assert!(matches!(class(404, route), Failure::NoSuchRoute));
        assert!(matches!(class(404, "<html>nginx"), Failure::NoSuchRoute));
        let media = r#"{"message":"Asset media not found","statusCode":404}"#;
        let headers = HeaderMap::new();
        let failure = classify("GET /x", Wanted::Media, 404, &headers, media);
        assert!(matches!(failure, Failure::Known(Error::NotReady { .. })));
        assert!(matches!(known(404, media), Error::Missing { .. }));
    }

    #[test]
    fn proxy_statuses_are_outages_and_500_is_a_fault() {
        for status in [408, 429, 502, 503, 504, 522] {
            assert!(
                matches!(known(status, "<html>"), Error::Outage { .. }),
                "{status}"
            );
        }
        for status in [500, 501, 505, 525] {
            assert!(
                matches!(known(status, "{}"), Error::ServerFault { .. }),
                "{status}"
            );
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "7".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(7)));
        headers.insert(
            RETRY_AFTER,
            "Wed, 21 Oct 2026 07:28:30 GMT".parse().unwrap(),
        );
        assert_eq!(retry_after(&headers), None);
        headers.insert(DATE, "Wed, 21 Oct 2026 07:28:00 GMT".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(30)));
        headers.insert(
            RETRY_AFTER,
            "Wed, 21 Oct 2026 07:27:00 GMT".parse().unwrap(),
        );
        assert_eq!(retry_after(&headers), Some(Duration::ZERO));
        headers.insert(RETRY_AFTER, "soon".parse().unwrap());
        assert_eq!(retry_after(&headers), None);
    }

    #[test]
    fn long_pages_are_cut() {
        match known(418, &"é".repeat(1000)) {
            Error::Rejected { messages, .. } => {
                assert_eq!(messages[0].chars().count(), MAX_MESSAGE_CHARS + 1);
            }
            other => panic!("{other:?}"),
        }
    }
}
