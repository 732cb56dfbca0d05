//! What stands before every route: whose name was asked for, who asks, with which key,
//! and what goes out with every answer.
//!
//! The checks do not lean on each other. A foreign page cannot know the token; were it
//! stolen, its `Origin` gives it away; were the name rebound, `Host` does.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::{Kind, Refusal};
use crate::origin::Names;
use crate::token::SessionToken;

/// Largest request body, bytes. The largest honest one names every group of a split.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// What the page may load and do: its own files, pictures it fetched itself, and
/// nothing else. No inline script or style, no frames, no forms.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'";

/// What the checks compare with.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) names: Names,
    pub(crate) token: SessionToken,
}

/// Wraps every route.
pub(crate) async fn watch(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match guard.check(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    seal(response.headers_mut());
    response
}

impl Guard {
    fn check(&self, request: &Request) -> Result<(), Refusal> {
        let headers = request.headers();
        let text = |name: HeaderName| {
            let mut values = headers.get_all(name).iter();
            match (values.next(), values.next()) {
                (None, _) => Ok(None),
                (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
                (Some(_), Some(_)) => Err(()),
            }
        };
        let foreign_host = || {
            Refusal::new(
                Kind::Forbidden,
                "This address is not one that face-fix answers to. Open the link that it printed, \
                 or start it with --host-name.",
            )
        };
        // HTTP/2 has the name in the URI; we speak 1.1, where both must be ours.
        let host = text(header::HOST).ok().flatten().ok_or_else(foreign_host)?;
        let in_uri = request.uri().authority().map(Authority::as_str);
        if !self.names.has_host(host) || in_uri.is_some_and(|name| !self.names.has_host(name)) {
            return Err(foreign_host());
        }
        let foreign_origin =
            || Refusal::new(Kind::Forbidden, "Requests of other sites are refused.");
        match text(header::ORIGIN).map_err(|()| foreign_origin())? {
            Some(origin) if !self.names.has_origin(origin) => return Err(foreign_origin()),
            None if request.method() != Method::GET => return Err(foreign_origin()),
            _ => {}
        }
        if !request.uri().path().starts_with("/api/") {
            return Ok(());
        }
        let fetched_by = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        if fetched_by.is_some_and(|site| site != b"same-origin") {
            return Err(foreign_origin());
        }
        let given = headers.get(header::AUTHORIZATION);
        if given.is_some_and(|given| self.token.is_in(given.as_bytes())) {
            return Ok(());
        }
        Err(Refusal::new(
            Kind::Token,
            "This page belongs to an earlier run of face-fix. Open the link that it printed last.",
        ))
    }
}

/// Headers of every answer, refusals too.
fn seal(headers: &mut HeaderMap) {
    let all = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), microphone=(), geolocation=()",
        ),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in all {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
