//! Refusals: what the page shows, and which of them are worth another try.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use face_fix::TransactionId;
use immich_client::ErrorKind;
use serde_json::json;

/// What the page has to do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No token, or one of another run: open the new link.
    Token,
    /// Another host or site, or a run that may not write.
    Forbidden,
    /// The request makes no sense.
    Invalid,
    /// There is no such thing, here or in Immich.
    Missing,
    /// The face is not where the page thought: look again.
    Conflict,
    /// A body larger than any honest one.
    TooLarge,
    /// Immich is away: try again.
    Outage,
    /// Immich is away, and the decision is in the journal: go on later.
    Waiting,
    /// The API key lacks a permission.
    Permission,
    /// Immich refuses the key.
    Key,
    /// Anything else.
    Server,
}

impl Kind {
    fn status(self) -> StatusCode {
        match self {
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::Permission => StatusCode::FORBIDDEN,
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::Missing => StatusCode::NOT_FOUND,
            Self::Conflict => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Outage | Self::Waiting => StatusCode::SERVICE_UNAVAILABLE,
            Self::Key | Self::Server => StatusCode::BAD_GATEWAY,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Forbidden => "forbidden",
            Self::Invalid => "invalid",
            Self::Missing => "missing",
            Self::Conflict => "conflict",
            Self::TooLarge => "too_large",
            Self::Outage => "outage",
            Self::Waiting => "waiting",
            Self::Permission => "permission",
            Self::Key => "key",
            Self::Server => "server",
        }
    }
}

/// A refusal in words for the person in front of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    /// The cause in technical words, shown small; may be empty.
    pub(crate) detail: String,
    /// What waits: the page names it when it tries again.
    pub(crate) transaction: Option<TransactionId>,
}

impl Refusal {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            detail: String::new(),
            transaction: None,
        }
    }

    pub(crate) fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    pub(crate) fn about(mut self, transaction: TransactionId) -> Self {
        self.transaction = Some(transaction);
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "kind": self.kind.name(), "message": self.message,
            "detail": self.detail, "transaction": self.transaction } });
        (self.kind.status(), Json(body)).into_response()
    }
}

impl From<immich_client::Error> for Refusal {
    fn from(error: immich_client::Error) -> Self {
        Self::of_server(error.kind(), &error.to_string())
    }
}

impl From<crate::queue::Refused> for Refusal {
    fn from(refused: crate::queue::Refused) -> Self {
        Self::of_server(refused.kind, &refused.text)
    }
}

impl Refusal {
    fn of_server(kind: ErrorKind, text: &str) -> Self {
        let kind = match kind {
            ErrorKind::Outage => Kind::Outage,
            ErrorKind::Auth => Kind::Key,
            ErrorKind::Permission => Kind::Permission,
            ErrorKind::Missing => Kind::Missing,
            _ => Kind::Server,
        };
        let message = match kind {
            Kind::Outage => "Immich does not answer.",
            Kind::Key => "Immich does not accept the API key.",
            Kind::Permission => "The API key may not do this.",
            Kind::Missing => "Immich does not have this any more.",
            _ => "Immich could not do this.",
        };
        Self::new(kind, message).because(format!("Failed to {text}."))
    }
}

impl From<face_fix::Error> for Refusal {
    fn from(error: face_fix::Error) -> Self {
        use face_fix::Error;
        let (kind, message) = match &error {
            Error::Server(error) => return Self::of_server(error.kind(), &error.to_string()),
            Error::ReadOnly => (Kind::Forbidden, "This run of face-fix changes nothing."),
            Error::Invalid { .. } => (Kind::Invalid, "This makes no sense."),
            Error::Waiting { .. } => (
                Kind::Waiting,
                "An earlier decision still waits for Immich, and goes first.",
            ),
            Error::CannotUndo { .. } => (Kind::Conflict, "This cannot be undone."),
            _ => (Kind::Server, "This could not be done."),
        };
        let mut text = format!("Failed to {error}");
        let mut cause = std::error::Error::source(&error);
        while let Some(next) = cause {
            text = format!("{text}: {next}");
            cause = next.source();
        }
        Self::new(kind, message).because(format!("{text}."))
    }
}

impl From<axum::extract::rejection::JsonRejection> for Refusal {
    fn from(rejection: axum::extract::rejection::JsonRejection) -> Self {
        let kind = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Kind::TooLarge,
            _ => Kind::Invalid,
        };
        Self::new(kind, rejection.body_text())
    }
}

impl From<axum::extract::rejection::PathRejection> for Refusal {
    fn from(rejection: axum::extract::rejection::PathRejection) -> Self {
        Self::new(Kind::Invalid, rejection.body_text())
    }
}

impl From<axum::extract::rejection::QueryRejection> for Refusal {
    fn from(rejection: axum::extract::rejection::QueryRejection) -> Self {
        Self::new(Kind::Invalid, rejection.body_text())
    }
}
