//! What can go wrong, told apart by what the caller has to do about it.
//!
//! Reading an error answer into these variants is `answer.rs`.

use std::io;
use std::time::Duration;

/// A call that did not succeed. The texts read well after "failed to".
///
/// No variant ever holds the API key: server texts are scrubbed of it, URLs in
/// causes are dropped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server's address cannot be used.
    #[error("use the server address {url:?}: {what}")]
    Address {
        /// What was given, without parts that may be secret.
        url: String,
        /// What is wrong or expected.
        what: &'static str,
    },
    /// The API key cannot be used.
    #[error("use the API key: {what}")]
    Key {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The HTTP or TLS layer could not be set up.
    #[error("set up the connection to {url}")]
    Setup {
        /// The server's address.
        url: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server was not there, or broke off, in every attempt. Try again later.
    #[error("reach the server for {call}: {why} (attempts: {attempts})")]
    Outage {
        /// Method and route.
        call: String,
        /// What the last attempt met.
        why: Outage,
        /// How often the call was sent.
        attempts: u32,
        /// The wait that the server asked for.
        retry_after: Option<Duration>,
        /// The HTTP layer's cause, where it was one.
        source: Option<reqwest::Error>,
    },
    /// Too many calls in a row failed and so did the probe: nothing was sent.
    #[error("send {call}: the server failed {streak} calls in a row and the probe, last: {last}")]
    CircuitOpen {
        /// Method and route.
        call: String,
        /// Failed calls in a row.
        streak: u32,
        /// The text of the last failure.
        last: String,
    },
    /// 401: no key, or one that the server does not know. Do not retry.
    #[error("log in for {call}: the server says {message:?}; check the API key")]
    Unauthorized {
        /// Method and route.
        call: String,
        /// The server's words.
        message: String,
    },
    /// 403: the key lacks a permission, or the route is for administrators.
    #[error("be allowed {call}: {}", forbidden_text(permission.as_deref(), message))]
    Forbidden {
        /// Method and route.
        call: String,
        /// The one permission that the server names, like `face.update`.
        permission: Option<String>,
        /// The server's words.
        message: String,
    },
    /// The item is gone or belongs to somebody else; the API does not tell which.
    #[error("find the item of {call}: the server says {message:?}")]
    Missing {
        /// Method and route.
        call: String,
        /// The server's words.
        message: String,
    },
    /// The server has not rendered this picture yet. Try again in a later run.
    #[error("get {call}: the server has not made this picture yet ({message:?})")]
    NotReady {
        /// Method and route.
        call: String,
        /// The server's words.
        message: String,
    },
    /// The server refused the request's content: a mistake of ours, or a change
    /// between versions.
    #[error("have {call} accepted: status {status}, {}", messages.join("; "))]
    Rejected {
        /// Method and route.
        call: String,
        /// HTTP status, 400 or another of the 4xx.
        status: u16,
        /// One line for each complaint.
        messages: Vec<String>,
    },
    /// 500 and the like: mostly this one item, such as a file missing on the
    /// server's disk.
    #[error("get an answer to {call}: status {status}, {message:?}")]
    ServerFault {
        /// Method and route.
        call: String,
        /// HTTP status.
        status: u16,
        /// The server's words.
        message: String,
    },
    /// The server does not have this route and is not in maintenance: another
    /// version, or not Immich at all.
    #[error("find the route {call} on this server: too old, too new, or not Immich")]
    UnknownRoute {
        /// Method and route.
        call: String,
    },
    /// The answer is not what the API promises.
    #[error("read the answer to {call}: {what}")]
    Protocol {
        /// Method and route.
        call: String,
        /// What was found and expected.
        what: String,
    },
    /// The bytes are not those that the server's checksum names.
    #[error("verify the bytes of {call}: expected sha1 {expected}, found {found}")]
    Checksum {
        /// Method and route.
        call: String,
        /// Hexadecimal SHA-1 from the asset's record.
        expected: String,
        /// Hexadecimal SHA-1 of what came.
        found: String,
    },
    /// The answer is larger than the caller allowed to be held in memory.
    #[error("hold the answer to {call}: larger than {limit} bytes")]
    TooLarge {
        /// Method and route.
        call: String,
        /// The limit.
        limit: u64,
    },
    /// The caller's sink did not take the bytes.
    #[error("store the bytes of {call}")]
    Sink {
        /// Method and route.
        call: String,
        /// The sink's cause.
        source: io::Error,
    },
}

/// How the server was not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outage {
    /// No connection: refused, no route, unknown host, failed TLS.
    Connect,
    /// Nothing came in time.
    TimedOut,
    /// The connection broke before the answer's head.
    Reset,
    /// The answer's body ended early.
    CutOff,
    /// A status that a proxy gives for a server that is away: 502, 503, 504.
    Status(u16),
    /// 429: too many requests.
    RateLimited,
    /// The server says that it is in maintenance mode.
    Maintenance,
}

impl std::fmt::Display for Outage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect => f.write_str("no connection"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Reset => f.write_str("the connection broke"),
            Self::CutOff => f.write_str("the answer ended early"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::RateLimited => f.write_str("too many requests"),
            Self::Maintenance => f.write_str("maintenance mode"),
        }
    }
}

/// What an error asks of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Settings: address, key form, TLS.
    Setup,
    /// The server is away: keep the state, come back later.
    Outage,
    /// The key is bad: stop.
    Auth,
    /// The key lacks a permission: stop and name it.
    Permission,
    /// This item is gone, foreign or not ready: record it, go on.
    Missing,
    /// We asked wrongly, or the versions differ: stop.
    BadRequest,
    /// The server failed on this item: record it, go on.
    ServerFault,
    /// The answer makes no sense: stop.
    Protocol,
    /// The bytes are wrong: record it, go on.
    Integrity,
    /// Our own disk or memory.
    Local,
}

impl Error {
    /// What the error asks of the caller.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Address { .. } | Self::Key { .. } | Self::Setup { .. } => ErrorKind::Setup,
            Self::Outage { .. } | Self::CircuitOpen { .. } => ErrorKind::Outage,
            Self::Unauthorized { .. } => ErrorKind::Auth,
            Self::Forbidden { .. } => ErrorKind::Permission,
            Self::Missing { .. } | Self::NotReady { .. } => ErrorKind::Missing,
            Self::Rejected { .. } => ErrorKind::BadRequest,
            Self::ServerFault { .. } => ErrorKind::ServerFault,
            Self::UnknownRoute { .. } | Self::Protocol { .. } => ErrorKind::Protocol,
            Self::Checksum { .. } => ErrorKind::Integrity,
            Self::TooLarge { .. } | Self::Sink { .. } => ErrorKind::Local,
        }
    }

    /// True when nothing was sent because the breaker is open: stop handing out work.
    pub fn is_circuit_open(&self) -> bool {
        matches!(self, Self::CircuitOpen { .. })
    }

    /// How many retries this error is worth by its nature, of `max` configured.
    pub(crate) fn worthwhile_retries(&self, max: u32) -> u32 {
        match self {
            Self::Outage { .. } => max,
            // Mostly one broken item, but a database hiccup looks the same: once.
            Self::ServerFault { .. } | Self::Checksum { .. } => max.min(1),
            _ => 0,
        }
    }

    /// True when the request surely did not reach the server's logic, so that even
    /// a call with an effect may be sent again.
    pub(crate) fn was_not_received(&self) -> bool {
        matches!(
            self,
            Self::Outage {
                why: Outage::Connect | Outage::RateLimited,
                ..
            }
        )
    }

    pub(crate) fn outage(call: &str, why: Outage, source: Option<reqwest::Error>) -> Self {
        Self::Outage {
            call: call.to_owned(),
            why,
            attempts: 1,
            retry_after: None,
            source,
        }
    }

    /// The error of the HTTP layer, sorted; `reading` once the head has come.
    pub(crate) fn transport(call: &str, source: reqwest::Error, reading: bool) -> Self {
        let source = source.without_url();
        let why = if source.is_timeout() {
            Outage::TimedOut
        } else if source.is_connect() {
            Outage::Connect
        } else if source.is_builder() || source.is_redirect() {
            return Self::Protocol {
                call: call.to_owned(),
                what: source.to_string(),
            };
        } else if reading {
            Outage::CutOff
        } else {
            Outage::Reset
        };
        Self::outage(call, why, Some(source))
    }
}

fn forbidden_text(permission: Option<&str>, message: &str) -> String {
    match permission {
        Some(permission) => format!("the API key lacks the permission {permission}"),
        None => format!("the server says {message:?}"),
    }
}
