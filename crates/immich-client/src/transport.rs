//! Sends calls: headers, classification, retries, breaker, probe.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::answer::{self, Failure, Wanted};
use crate::breaker::Admission;
use crate::client::Client;
use crate::error::{Error, Outage};
use crate::types::ServerConfig;

/// Whether a call may be sent again when it is unclear if it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Sending it twice has the effect of sending it once.
    Safe,
    /// Twice would be two effects: repeat only what surely did not arrive.
    Unsafe,
}

/// One call of the API, ready to be sent any number of times.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: Method,
    url: url::Url,
    body: Option<Value>,
    pub(crate) label: String,
    repeat: Repeat,
    timeout: Option<Duration>,
}

impl Call {
    pub(crate) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self.label = label(&self.method, &self.url);
        self
    }

    pub(crate) fn unsafe_to_repeat(mut self) -> Self {
        self.repeat = Repeat::Unsafe;
        self
    }
}

/// Method and route for messages. The key travels in a header only, so the URL
/// is safe to show.
fn label(method: &Method, url: &url::Url) -> String {
    match url.query() {
        Some(query) => format!("{method} {}?{query}", url.path()),
        None => format!("{method} {}", url.path()),
    }
}

/// What follows an attempt.
pub(crate) enum Next<T> {
    Done(Result<T, Error>),
    Again,
}

/// What follows a failed attempt.
enum After {
    Fail(Error),
    Repeat(Duration),
}

/// The retries of one call under way.
#[derive(Debug)]
pub(crate) struct Attempts<'a> {
    client: &'a Client,
    label: &'a str,
    repeat: Repeat,
    n_sent: u32,
}

impl Client {
    pub(crate) fn call<'a>(
        &self,
        method: Method,
        segments: impl IntoIterator<Item = &'a str>,
    ) -> Call {
        let url = self.0.base.route(segments);
        Call {
            label: label(&method, &url),
            method,
            url,
            body: None,
            repeat: Repeat::Safe,
            timeout: None,
        }
    }

    /// A call that answers JSON, with retries and breaker.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Error> {
        Ok(self.json_dated(call).await?.0)
    }

    /// As [`Client::json`], with the server's clock.
    pub(crate) async fn json_dated<T: DeserializeOwned>(
        &self,
        call: &Call,
    ) -> Result<(T, Option<Timestamp>), Error> {
        let mut attempts = self.begin(call).await?;
        loop {
            let outcome = self.json_once(call).await;
            if let Next::Done(result) = attempts.settle(outcome).await {
                return result;
            }
        }
    }

    /// A call whose answer's body is of no interest.
    ///
    /// With `gone_is_done`, "no such item" on a *repeated* attempt is success: the
    /// earlier attempt did it and its answer was lost.
    pub(crate) async fn effect(&self, call: &Call, gone_is_done: bool) -> Result<(), Error> {
        let mut attempts = self.begin(call).await?;
        loop {
            let outcome = match self.once(call, Wanted::Json).await {
                Ok(_) => Ok(()),
                Err(Error::Missing { .. }) if gone_is_done && attempts.n_sent > 0 => Ok(()),
                Err(error) => Err(error),
            };
            if let Next::Done(result) = attempts.settle(outcome).await {
                return result;
            }
        }
    }

    /// Lets the call pass the breaker, probing where it asks for that.
    pub(crate) async fn begin<'a>(&'a self, call: &'a Call) -> Result<Attempts<'a>, Error> {
        let breaker = &self.0.breaker;
        if breaker.admission() != Admission::Pass {
            let _one_prober = self.0.probing.lock().await;
            let refuse = |(streak, last)| Error::CircuitOpen {
                call: call.label.clone(),
                streak,
                last,
            };
            // The verdict may have come while we waited for the lock.
            match breaker.admission() {
                Admission::Pass => {}
                Admission::Refuse { streak, last } => return Err(refuse((streak, last))),
                Admission::ProbeFirst => match self.probe_once().await {
                    Ok(()) => breaker.alive(),
                    Err(error @ Error::Unauthorized { .. }) => return Err(error),
                    Err(_) => return Err(refuse(breaker.open())),
                },
            }
        }
        Ok(Attempts {
            client: self,
            label: &call.label,
            repeat: call.repeat,
            n_sent: 0,
        })
    }

    /// Asks the server whether it is healthy: a valid key looked up in a real
    /// database, which ping does not need. One attempt, short timeout; a success
    /// closes the breaker.
    ///
    /// # Errors
    /// [`Error::Outage`] when it is not, [`Error::Unauthorized`] when the key is bad.
    pub async fn probe(&self) -> Result<(), Error> {
        self.probe_once().await?;
        self.0.breaker.alive();
        Ok(())
    }

    async fn probe_once(&self) -> Result<(), Error> {
        let mut call = self.call(Method::GET, ["api-keys", "me"]);
        call.timeout = Some(self.0.options.probe_timeout);
        match self.once(&call, Wanted::Json).await {
            Err(Error::UnknownRoute { .. }) => {
                // Before 1.144: any look-up of the key will do, allowed or not.
                let mut call = self.call(Method::GET, ["users", "me"]);
                call.timeout = Some(self.0.options.probe_timeout);
                match self.once(&call, Wanted::Json).await {
                    Ok(_) | Err(Error::Forbidden { .. }) => Ok(()),
                    Err(error) => Err(error),
                }
            }
            Ok(_) | Err(Error::Forbidden { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn json_once<T: DeserializeOwned>(
        &self,
        call: &Call,
    ) -> Result<(T, Option<Timestamp>), Error> {
        let response = self.once(call, Wanted::Json).await?;
        let date = answer::server_date(response.headers());
        let kind = content_type(response.headers());
        if !kind.contains("json") {
            return Err(Error::Protocol {
                call: call.label.clone(),
                what: format!(
                    "expected JSON, found {kind:?}; is {} the address of an Immich server?",
                    self.0.base
                ),
            });
        }
        let body = response
            .bytes()
            .await
            .map_err(|source| Error::transport(&call.label, source, true))?;
        match serde_json::from_slice(&body) {
            Ok(value) => Ok((value, date)),
            Err(cause) => Err(Error::Protocol {
                call: call.label.clone(),
                what: self.0.key.scrub(&format!("not the expected JSON: {cause}")),
            }),
        }
    }

    /// Sends once. Returns the answer's head when its status is a success.
    pub(crate) async fn once(&self, call: &Call, wanted: Wanted) -> Result<Response, Error> {
        match self.send(call, wanted).await? {
            Ok(response) => Ok(response),
            Err(Failure::Known(error)) => Err(error),
            Err(Failure::NoSuchRoute) => Err(self.why_no_route(call).await),
        }
    }

    /// In maintenance mode every route is unknown but a few: ask one of these.
    async fn why_no_route(&self, call: &Call) -> Error {
        let mut config = self.call(Method::GET, ["server", "config"]);
        config.timeout = Some(self.0.options.probe_timeout);
        let response = match self.send(&config, Wanted::Json).await {
            Ok(Ok(response)) => response,
            Ok(Err(Failure::Known(error @ Error::Outage { .. }))) | Err(error) => return error,
            Ok(Err(_)) => {
                return Error::UnknownRoute {
                    call: call.label.clone(),
                };
            }
        };
        let body = match response.bytes().await {
            Ok(body) => body,
            Err(source) => return Error::transport(&config.label, source, true),
        };
        match serde_json::from_slice::<ServerConfig>(&body) {
            Ok(config) if config.maintenance_mode => {
                Error::outage(&call.label, Outage::Maintenance, None)
            }
            _ => Error::UnknownRoute {
                call: call.label.clone(),
            },
        }
    }

    async fn send(&self, call: &Call, wanted: Wanted) -> Result<Result<Response, Failure>, Error> {
        let mut request = self
            .0
            .http
            .request(call.method.clone(), call.url.clone())
            .header("x-api-key", self.0.key.header());
        request = match wanted {
            Wanted::Json => request
                .header(ACCEPT, "application/json")
                .timeout(call.timeout.unwrap_or(self.0.options.timeout)),
            // Compressing pictures wastes the server's time, and hides the length
            // that tells a truncated download.
            Wanted::Media => request
                .header(ACCEPT, "*/*")
                .header(reqwest::header::ACCEPT_ENCODING, "identity"),
        };
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        self.0.counters.sent.fetch_add(1, Ordering::Relaxed);
        let response = request
            .send()
            .await
            .map_err(|source| Error::transport(&call.label, source, false))?;
        if response.status().is_success() {
            return Ok(Ok(response));
        }
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let redirect = headers
            .get(reqwest::header::LOCATION)
            .and_then(|to| to.to_str().ok())
            .map(|to| format!("the server redirects to {to}; use that address"));
        // A body that does not arrive must not hide the status.
        let body = match redirect {
            Some(text) if response.status().is_redirection() => text,
            _ => read_some(response).await,
        };
        let body = self.0.key.scrub(&body);
        Ok(Err(answer::classify(
            &call.label,
            wanted,
            status,
            &headers,
            &body,
        )))
    }
}

/// The longest error body read, in bytes: a JSON error is far shorter, and a proxy's
/// page need not be read to its end.
const MAX_ERROR_BODY: usize = 64 * 1024;

async fn read_some(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= MAX_ERROR_BODY {
            bytes.truncate(MAX_ERROR_BODY);
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn content_type(headers: &HeaderMap) -> String {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

impl Attempts<'_> {
    /// Decides on an attempt's outcome: tells the breaker, waits before a retry.
    pub(crate) async fn settle<T>(&mut self, outcome: Result<T, Error>) -> Next<T> {
        self.n_sent += 1;
        let verdict = match outcome {
            Ok(value) => {
                self.client.0.breaker.alive();
                return Next::Done(Ok(value));
            }
            Err(error) => self.after(error),
        };
        match verdict {
            After::Fail(error) => Next::Done(Err(error)),
            After::Repeat(wait) => {
                tokio::time::sleep(wait).await;
                self.client
                    .0
                    .counters
                    .retried
                    .fetch_add(1, Ordering::Relaxed);
                Next::Again
            }
        }
    }

    fn after(&self, mut error: Error) -> After {
        let inner = &self.client.0;
        let policy = &inner.options.retry;
        let retry = self.n_sent;
        if matches!(error, Error::Outage { .. }) {
            inner.counters.distressed.fetch_add(1, Ordering::Relaxed);
        }
        let mut wait = policy.delay(retry, inner.jitter.next_unit());
        let mut allowed = retry <= error.worthwhile_retries(policy.max_retries)
            && (self.repeat == Repeat::Safe || error.was_not_received());
        if let Error::Outage {
            retry_after: Some(wish),
            ..
        } = &error
        {
            allowed &= *wish <= policy.max_retry_after;
            wait = wait.max(*wish);
        }
        if allowed {
            return After::Repeat(wait);
        }
        if let Error::Outage { attempts, .. } = &mut error {
            *attempts = self.n_sent;
        }
        self.report(&error);
        After::Fail(error)
    }

    fn report(&self, error: &Error) {
        let inner = &self.client.0;
        inner.counters.failed.fetch_add(1, Ordering::Relaxed);
        match error {
            Error::Outage { .. } => inner.breaker.outage(error.to_string()),
            Error::ServerFault { .. } => inner.breaker.fault(self.label, error.to_string()),
            // Our own disk says nothing of the server, and a page that is no answer of
            // Immich is no sign of life.
            Error::Sink { .. }
            | Error::TooLarge { .. }
            | Error::Protocol { .. }
            | Error::UnknownRoute { .. } => {}
            _ => inner.breaker.alive(),
        }
    }
}
