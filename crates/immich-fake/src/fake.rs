//! The running server: the listener, the connections, the faults around the routes.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt;

use crate::churn::Churn;
use crate::faults::{Fault, FaultPlan, RandomFaults};
use crate::ids::Uuid;
use crate::library::Library;
use crate::reply::{ApiError, file, json_response};
use crate::routes::{self, Shared};
use crate::shape::Shape;

/// The server's limit for request bodies.
const MAX_BODY: usize = 10 * 1024 * 1024;
/// Answers longer than this are compressed for clients that take gzip.
const GZIP_ABOVE: usize = 1024;

/// One request as it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// "METHOD /path?query".
    pub request: String,
    /// The status sent, 0 when there was no answer.
    pub status: u16,
    /// True when the answer was spoilt by a fault.
    pub faulty: bool,
    /// True when the answer was compressed.
    pub gzipped: bool,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    router: Router,
    faults: Mutex<FaultPlan>,
    log: Mutex<Vec<LogEntry>>,
    churn: Mutex<Option<(Churn, Uuid)>>,
    n_searches: AtomicU64,
    n_connections: AtomicU64,
    idle_timeout: Mutex<Duration>,
}

/// A fake Immich server on 127.0.0.1. It stops when dropped.
#[derive(Debug)]
pub struct Fake {
    inner: Arc<Inner>,
    address: SocketAddr,
    /// Dropped or changed: the listener and all connections end.
    running: Option<watch::Sender<()>>,
}

impl Fake {
    /// Starts a server of this shape with this library, on a port of its own.
    ///
    /// # Panics
    /// When loopback cannot be bound: no test can go on then.
    pub async fn start(mut library: Library, shape: Shape) -> Self {
        // What was set up lies an hour back, so that "changed lately" is told apart.
        library.advance_clock_s(3600);
        let shared = Arc::new(Shared {
            shape,
            library: Mutex::new(library),
        });
        let inner = Arc::new(Inner {
            router: routes::router(shared.clone()),
            shared,
            faults: Mutex::default(),
            log: Mutex::default(),
            churn: Mutex::default(),
            n_searches: AtomicU64::new(0),
            n_connections: AtomicU64::new(0),
            // As the server does.
            idle_timeout: Mutex::new(Duration::from_secs(5)),
        });
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has free ports");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let mut fake = Self {
            inner,
            address,
            running: None,
        };
        fake.listen(listener);
        fake
    }

    fn listen(&mut self, listener: TcpListener) {
        let (running, stopped) = watch::channel(());
        self.running = Some(running);
        tokio::spawn(accept(self.inner.clone(), listener, stopped));
    }

    /// The address, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Kills the server: connections break, new ones are refused.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Starts a killed server again, on its old port and with its old state.
    ///
    /// # Panics
    /// When the port was taken meanwhile.
    pub async fn restart(&mut self) {
        self.stop();
        // The old listener closes when its task next runs.
        for _ in 0..200 {
            if let Ok(listener) = TcpListener::bind(self.address).await {
                return self.listen(listener);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the port {} is not free again", self.address);
    }

    /// Looks at or changes the library.
    pub fn with_library<T>(&self, look: impl FnOnce(&mut Library) -> T) -> T {
        look(&mut self.inner.shared.lock())
    }

    /// The next `times` requests whose "METHOD /path?query" contains `part` go wrong.
    pub fn fail(&self, part: &str, times: u32, fault: Fault) {
        lock(&self.inner.faults).add(part, times, fault);
    }

    /// Makes a share of all requests go wrong, or no more.
    pub fn set_random_faults(&self, random: Option<RandomFaults>) {
        lock(&self.inner.faults).set_random(random);
    }

    /// Delays every answer.
    pub fn set_latency(&self, latency: Duration) {
        lock(&self.inner.faults).latency = latency;
    }

    /// In maintenance only ping and a short config answer.
    pub fn set_maintenance(&self, on: bool) {
        lock(&self.inner.faults).maintenance = on;
    }

    /// Ends all faults, latency and maintenance.
    pub fn heal(&self) {
        lock(&self.inner.faults).clear();
    }

    /// Changes the library of `owner` after every search answered.
    pub fn set_churn(&self, churn: Option<(Churn, Uuid)>) {
        *lock(&self.inner.churn) = churn;
    }

    /// Closes connections that are idle for this long. Default 5 s.
    pub fn set_idle_timeout(&self, timeout: Duration) {
        *lock(&self.inner.idle_timeout) = timeout;
    }

    /// Every request so far.
    pub fn log(&self) -> Vec<LogEntry> {
        lock(&self.inner.log).clone()
    }

    /// Requests so far whose "METHOD /path?query" contains `part`.
    pub fn n_requests(&self, part: &str) -> usize {
        let log = lock(&self.inner.log);
        log.iter()
            .filter(|entry| entry.request.contains(part))
            .count()
    }

    /// Forgets the requests so far.
    pub fn clear_log(&self) {
        lock(&self.inner.log).clear();
    }

    /// Connections accepted so far.
    pub fn n_connections(&self) -> u64 {
        self.inner.n_connections.load(Ordering::SeqCst)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("no code panics while it holds this lock")
}

async fn accept(inner: Arc<Inner>, listener: TcpListener, mut stopped: watch::Receiver<()>) {
    loop {
        let stream = tokio::select! {
            _ = stopped.changed() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
        };
        inner.n_connections.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(serve(inner.clone(), stream, stopped.clone()));
    }
}

async fn serve(inner: Arc<Inner>, stream: TcpStream, mut stopped: watch::Receiver<()>) {
    let idle = *lock(&inner.idle_timeout);
    let until = stopped.clone();
    let service = service_fn(move |request| {
        let (inner, until) = (inner.clone(), until.clone());
        async move {
            // No request that came after the stop is carried out, though this task has not
            // been told of it yet.
            match until.has_changed() {
                Ok(_) => inner.answer(request).await,
                Err(_) => Err(io::ErrorKind::ConnectionReset.into()),
            }
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .serve_connection(TokioIo::new(stream), service);
    // A broken connection is what the faults are for.
    tokio::select! {
        _ = stopped.changed() => {}
        _ = connection => {}
    }
}

impl Inner {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response, io::Error> {
        let (head, body) = request.into_parts();
        let body = to_bytes(Body::new(body), MAX_BODY)
            .await
            .map_err(io::Error::other)?;
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let text = format!("{} {path}", head.method);
        let (fault, latency, maintenance) = {
            let mut plan = lock(&self.faults);
            (plan.draw(&text, &body), plan.latency, plan.maintenance)
        };
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let headers = head.headers.clone();
        let is_search = head.uri.path() == "/api/search/metadata";
        let request = Request::from_parts(head, Body::from(body));
        let outcome = self.misbehave(fault.as_ref(), request, maintenance).await;
        let outcome = match outcome {
            Ok(response) => compress(&headers, response).await,
            Err(broken) => Err(broken),
        };
        let answered = outcome.as_ref().ok();
        lock(&self.log).push(LogEntry {
            request: text,
            status: answered.map_or(0, |response| response.status().as_u16()),
            faulty: fault.is_some(),
            gzipped: answered.is_some_and(|r| r.headers().contains_key(header::CONTENT_ENCODING)),
        });
        let mut response = outcome?;
        if is_search {
            self.change_library();
        }
        let now = self.shared.lock().tick();
        let now = Timestamp::from_microsecond(now).unwrap_or_default();
        let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        if let Ok(date) = date.parse() {
            response.headers_mut().insert(header::DATE, date);
        }
        Ok(response)
    }

    async fn misbehave(
        &self,
        fault: Option<&Fault>,
        request: Request<Body>,
        maintenance: bool,
    ) -> Result<Response, io::Error> {
        match fault {
            None => Ok(self.route(request, maintenance).await),
            Some(Fault::Reset) => Err(io::ErrorKind::ConnectionReset.into()),
            Some(Fault::LostAnswer) => {
                self.route(request, maintenance).await;
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Slow(wait)) => {
                tokio::time::sleep(*wait).await;
                Ok(self.route(request, maintenance).await)
            }
            Some(Fault::Status(status)) => Ok(error_page(*status)),
            Some(Fault::RetryAfter(status, wish)) => {
                let mut response = error_page(*status);
                let wish = HeaderValue::from_str(wish).map_err(io::Error::other)?;
                response.headers_mut().insert(header::RETRY_AFTER, wish);
                Ok(response)
            }
            Some(Fault::ImageTypedError) => Ok(routes::image_typed_error()),
            Some(Fault::WebPage) => Ok(file(b"<html>Log in</html>".to_vec(), "text/html")),
            Some(Fault::Pretend(json)) => Ok(file(json.clone().into_bytes(), "application/json")),
            Some(Fault::EchoKey(status)) => {
                let key = request.headers().get("x-api-key");
                let key = key.and_then(|v| v.to_str().ok()).unwrap_or_default();
                Ok(json_response(
                    *status,
                    &json!({ "message": format!("bad header x-api-key: {key}") }),
                ))
            }
            Some(Fault::Redirect(to)) => {
                let mut response = error_page(302);
                let to = HeaderValue::from_str(to).map_err(io::Error::other)?;
                response.headers_mut().insert(header::LOCATION, to);
                Ok(response)
            }
            Some(spoil @ (Fault::CutOff | Fault::Shortened | Fault::WrongByte)) => {
                let response = self.route(request, maintenance).await;
                spoiled(spoil, response).await
            }
        }
    }

    async fn route(&self, request: Request<Body>, maintenance: bool) -> Response {
        if maintenance {
            match request.uri().path() {
                "/api/server/ping" => {}
                "/api/server/config" => {
                    return json_response(200, &json!({"maintenanceMode": true}));
                }
                path => {
                    let error = ApiError::no_route(request.method().as_str(), path);
                    return error.render(&self.shared.shape);
                }
            }
        }
        let is_head = request.method() == http::Method::HEAD;
        let response: Result<Response, Infallible> = self.router.clone().oneshot(request).await;
        let mut response = match response {
            Ok(response) => response,
            Err(never) => match never {},
        };
        if !is_head {
            // Bodies may be spoilt or compressed yet: hyper counts them at the end.
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        match response.extensions_mut().remove::<ApiError>() {
            Some(error) => error.render(&self.shared.shape),
            None => response,
        }
    }

    fn change_library(&self) {
        let Some((churn, owner)) = lock(&self.churn).clone() else {
            return;
        };
        let round = self.n_searches.fetch_add(1, Ordering::SeqCst);
        churn.apply(&mut self.shared.lock(), owner, round);
    }
}

/// 500 as the server writes it, anything else as a proxy does.
fn error_page(status: u16) -> Response {
    if status == 500 {
        let body = json!({"message": "Internal server error", "statusCode": 500});
        return json_response(500, &body);
    }
    let mut response = file(
        format!("<html><h1>{status}</h1></html>").into_bytes(),
        "text/html",
    );
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    response
}

async fn spoiled(fault: &Fault, response: Response) -> Result<Response, io::Error> {
    let (mut head, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.map_err(io::Error::other)?;
    let half = bytes.slice(..bytes.len() / 2);
    let body = match fault {
        Fault::Shortened => Body::from(half),
        Fault::CutOff => {
            head.headers
                .insert(header::CONTENT_LENGTH, bytes.len().into());
            // The pause lets the first half leave before the connection breaks.
            let cut = futures::stream::once(async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                Err(io::Error::from(io::ErrorKind::ConnectionReset))
            });
            Body::from_stream(futures::stream::iter([Ok(half)]).chain(cut))
        }
        _ => {
            let mut changed = bytes.to_vec();
            if let Some(last) = changed.last_mut() {
                *last ^= 0x01;
            }
            Body::from(changed)
        }
    };
    Ok(Response::from_parts(head, body))
}

/// gzip for long JSON, when the client takes it.
async fn compress(request: &HeaderMap, response: Response) -> Result<Response, io::Error> {
    use std::io::Write;

    let text = |headers: &HeaderMap, name| {
        let value = headers
            .get(name)
            .and_then(|v: &HeaderValue| v.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let takes_gzip = text(request, header::ACCEPT_ENCODING).contains("gzip");
    let is_json = text(response.headers(), header::CONTENT_TYPE).contains("json");
    let is_cut = response.headers().contains_key(header::CONTENT_LENGTH);
    if !takes_gzip || !is_json || is_cut {
        return Ok(response);
    }
    let (mut head, body) = response.into_parts();
    let bytes: Bytes = to_bytes(body, usize::MAX).await.map_err(io::Error::other)?;
    if bytes.len() <= GZIP_ABOVE {
        return Ok(Response::from_parts(head, Body::from(bytes)));
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&bytes)?;
    let gzip = HeaderValue::from_static("gzip");
    head.headers.insert(header::CONTENT_ENCODING, gzip);
    Ok(Response::from_parts(head, Body::from(encoder.finish()?)))
}
