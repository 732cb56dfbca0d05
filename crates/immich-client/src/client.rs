//! The client value: options, set-up of HTTP and TLS, counters.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustls_platform_verifier::BuilderVerifierExt;

use crate::breaker::{Breaker, BreakerState};
use crate::retry::{Jitter, RetryPolicy};
use crate::{ApiKey, BaseUrl, Error};

/// How a client behaves. [`ClientOptions::default`] suits an Immich server behind
/// anything.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Longest wait for a whole JSON answer, and for the next bytes of a download.
    /// Default 60 s, as the original tool had.
    pub timeout: Duration,
    /// Longest wait for a connection. Default 10 s.
    pub connect_timeout: Duration,
    /// Longest wait for the health probe's answer. Default 8 s, as the original tool had.
    pub probe_timeout: Duration,
    /// Idle connections older than this are dropped. Default 4 s: the server closes
    /// them after 5, and a call on a closing connection is reset.
    pub pool_idle_timeout: Duration,
    /// Retries of calls that are safe to repeat.
    pub retry: RetryPolicy,
    /// Calls failed in a row, retries included, after which the health probe decides.
    /// Default 12, as the original tool had.
    pub breaker_threshold: u32,
    /// How long an open breaker refuses calls before it probes again. Default 30 s.
    pub breaker_cool_down: Duration,
    /// Seed of the jitter in waits. Default 0; give clients on many machines
    /// different ones.
    pub jitter_seed: u64,
    /// Certificates in PEM that are trusted besides the system's, for servers with
    /// one of their own making.
    pub extra_roots_pem: Vec<u8>,
    /// The `User-Agent` header.
    pub user_agent: String,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_mins(1),
            connect_timeout: Duration::from_secs(10),
            probe_timeout: Duration::from_secs(8),
            pool_idle_timeout: Duration::from_secs(4),
            retry: RetryPolicy::default(),
            breaker_threshold: 12,
            breaker_cool_down: Duration::from_secs(30),
            jitter_seed: 0,
            extra_roots_pem: Vec::new(),
            user_agent: concat!("immich-client/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// A client of one Immich server with one key. Clones are cheap and share the
/// connections, the breaker and the counters.
#[derive(Clone)]
pub struct Client(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) base: BaseUrl,
    pub(crate) key: ApiKey,
    pub(crate) http: reqwest::Client,
    pub(crate) options: ClientOptions,
    pub(crate) breaker: Breaker,
    /// Held by the one task that probes, so that the others wait for its verdict.
    pub(crate) probing: tokio::sync::Mutex<()>,
    pub(crate) jitter: Jitter,
    pub(crate) counters: Counters,
    /// Set once the server turned out to want `/faces?assetId=`.
    pub(crate) faces_by_asset_id: AtomicBool,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) sent: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) distressed: AtomicU64,
    pub(crate) media_bytes: AtomicU64,
}

/// What a client has done so far, over all its clones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientStats {
    /// Requests sent, retries and probes included.
    pub n_sent: u64,
    /// Requests that repeated an earlier one.
    pub n_retried: u64,
    /// Calls that failed for good.
    pub n_failed: u64,
    /// Attempts that met an outage or were refused for their number, repeated or not:
    /// what somebody who sends fewer requests at once wants to see.
    pub n_distressed: u64,
    /// Bytes of originals and previews received.
    pub media_bytes: u64,
}

impl Client {
    /// Sets up a client; sends nothing yet.
    ///
    /// Proxies named in the environment are not used: only the given address is
    /// ever contacted, and redirects to another scheme, host or port are refused,
    /// because the key would travel along.
    ///
    /// # Errors
    /// [`Error::Setup`] when TLS cannot be set up, such as a system without trusted
    /// certificates or unreadable `extra_roots_pem`.
    pub fn new(base: BaseUrl, key: ApiKey, options: ClientOptions) -> Result<Self, Error> {
        let setup = |source: Box<dyn std::error::Error + Send + Sync>| Error::Setup {
            url: base.to_string(),
            source,
        };
        let tls = tls_config(&base, &options.extra_roots_pem).map_err(setup)?;
        let guard = base.clone();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .user_agent(&options.user_agent)
            .connect_timeout(options.connect_timeout)
            .read_timeout(options.timeout)
            .pool_idle_timeout(options.pool_idle_timeout)
            .redirect(reqwest::redirect::Policy::custom(move |attempt| {
                if guard.same_origin(attempt.url()) && attempt.previous().len() <= MAX_REDIRECTS {
                    attempt.follow()
                } else {
                    attempt.stop()
                }
            }))
            .build()
            .map_err(|source| setup(source.into()))?;
        Ok(Self(Arc::new(Inner {
            breaker: Breaker::new(options.breaker_threshold, options.breaker_cool_down),
            probing: tokio::sync::Mutex::default(),
            jitter: Jitter::new(options.jitter_seed),
            counters: Counters::default(),
            faces_by_asset_id: AtomicBool::new(false),
            base,
            key,
            http,
            options,
        })))
    }

    /// The server's address.
    pub fn base_url(&self) -> &BaseUrl {
        &self.0.base
    }

    /// Whether calls are let through.
    pub fn breaker_state(&self) -> BreakerState {
        self.0.breaker.state()
    }

    /// What was done so far.
    pub fn stats(&self) -> ClientStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.0.counters;
        ClientStats {
            n_sent: read(&counters.sent),
            n_retried: read(&counters.retried),
            n_failed: read(&counters.failed),
            n_distressed: read(&counters.distressed),
            media_bytes: read(&counters.media_bytes),
        }
    }
}

/// Immich needs one (`thumbnail` to `original`); more than a few is a loop.
const MAX_REDIRECTS: usize = 5;

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.0.base)
            .field("key", &self.0.key)
            .field("breaker", &self.breaker_state())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// rustls on ring with the system's trust store, or an empty store for plain
/// `http`, where no TLS connection is ever made and the store need not exist.
fn tls_config(
    base: &BaseUrl,
    extra_pem: &[u8],
) -> Result<rustls::ClientConfig, Box<dyn std::error::Error + Send + Sync>> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    if !base.is_https() {
        let none = rustls::RootCertStore::empty();
        return Ok(builder.with_root_certificates(none).with_no_client_auth());
    }
    if extra_pem.is_empty() {
        return Ok(builder.with_platform_verifier()?.with_no_client_auth());
    }
    let extra: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(extra_pem).collect::<Result<_, _>>()?;
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra, provider)?;
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}
