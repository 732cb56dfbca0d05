//! Attacks on the page's server: each is refused, before anything is done.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::ops::Deref;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use face_fix::Mode;
use face_fix_web::{MAX_BODY_BYTES, SessionToken};
use serde_json::{Value, json};
use support::World;
use support::direct::Direct;
use tower::ServiceExt;

/// The routes, and what is behind them. Its requests are the page's own, for taking one
/// thing away at a time.
struct Target {
    world: World,
    page: Direct,
}

impl Deref for Target {
    type Target = Direct;

    fn deref(&self) -> &Direct {
        &self.page
    }
}

impl Target {
    async fn new(mode: Mode) -> Self {
        let world = World::new(|scene, library| {
            scene.solo(library, "one.jpg");
        })
        .await;
        let page = Direct::new(world.engine(mode).await);
        world.fake.clear_log();
        Self { world, page }
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let (status, headers, body) = self.page.send(request).await;
        // Every answer is sealed, refusals too.
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(!headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
        (status, body)
    }

    /// What was refused must not have reached Immich.
    fn nothing_was_sent(&self) {
        assert_eq!(self.world.fake.log(), []);
    }

    fn undo(&self) -> Body {
        let pair = json!({"wrong": self.world.scene.mia.to_string(), "correct": self.world.scene.lea.to_string(), "margin": 0.1});
        Body::from(pair.to_string())
    }
}

fn kind(body: &Value) -> &str {
    body["error"]["kind"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn the_pages_own_requests_are_let_through() {
    let target = Target::new(Mode::default()).await;
    let (status, body) = target
        .send(target.post("/api/undo").body(target.undo()).unwrap())
        .await;
    assert_eq!(
        (status, body["photo"].clone()),
        (StatusCode::OK, Value::Null)
    );
    let (status, _) = target
        .send(target.get("/api/state").body(Body::empty()).unwrap())
        .await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_post_from_another_site_is_refused_even_with_the_token() {
    let target = Target::new(Mode::default()).await;
    for origin in [
        "https://evil.example",
        "null",
        "http://127.0.0.1:9999",
        "http://localhost",
    ] {
        let request = target.post("/api/undo");
        let mut request = request.body(target.undo()).unwrap();
        request
            .headers_mut()
            .insert(header::ORIGIN, origin.parse().unwrap());
        let (status, body) = target.send(request).await;
        assert_eq!(
            (status, kind(&body)),
            (StatusCode::FORBIDDEN, "forbidden"),
            "{origin}"
        );
    }
    // No Origin at all: not a browser's page.
    let mut request = target.post("/api/undo").body(target.undo()).unwrap();
    request.headers_mut().remove(header::ORIGIN);
    assert_eq!(target.send(request).await.0, StatusCode::FORBIDDEN);
    // Told by the browser itself.
    let request = target
        .post("/api/undo")
        .header("sec-fetch-site", "cross-site");
    assert_eq!(
        target.send(request.body(target.undo()).unwrap()).await.0,
        StatusCode::FORBIDDEN
    );
    // A form needs no preflight, but cannot send JSON's type.
    let mut request = target.post("/api/undo").body(target.undo()).unwrap();
    request
        .headers_mut()
        .insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    assert_eq!(target.send(request).await.0, StatusCode::BAD_REQUEST);
    target.nothing_was_sent();
}

#[tokio::test]
async fn a_rebound_name_is_refused_for_the_page_and_for_data() {
    let target = Target::new(Mode::default()).await;
    for host in [
        "evil.example",
        "evil.example:2300",
        "127.0.0.1:80",
        "127.0.0.1",
    ] {
        for path in ["/", "/js/main.js", "/api/state", "/api/people"] {
            let mut request = target.get(path).body(Body::empty()).unwrap();
            request
                .headers_mut()
                .insert(header::HOST, host.parse().unwrap());
            let (status, body) = target.send(request).await;
            assert_eq!(
                (status, kind(&body)),
                (StatusCode::FORBIDDEN, "forbidden"),
                "{host}{path}"
            );
        }
    }
    let mut request = target.get("/api/people").body(Body::empty()).unwrap();
    request.headers_mut().remove(header::HOST);
    assert_eq!(
        target.send(request).await.0,
        StatusCode::FORBIDDEN,
        "no Host"
    );
    let mut request = target.get("/api/people").body(Body::empty()).unwrap();
    request
        .headers_mut()
        .append(header::HOST, "evil.example".parse().unwrap());
    assert_eq!(
        target.send(request).await.0,
        StatusCode::FORBIDDEN,
        "two Hosts"
    );
    target.nothing_was_sent();
}

#[tokio::test]
async fn without_the_token_no_data_and_with_an_old_one_neither() {
    let target = Target::new(Mode::default()).await;
    let old = SessionToken::new([6; 32]).to_hex();
    for authorization in [
        "",
        "Bearer",
        &format!("Bearer {old}"),
        &target.token.to_hex(),
    ] {
        for path in [
            "/api/state",
            "/api/people",
            "/api/person/x/thumbnail",
            "/api/nothing",
        ] {
            let mut request = target.get(path).body(Body::empty()).unwrap();
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, authorization.parse().unwrap());
            let (status, body) = target.send(request).await;
            assert_eq!(
                (status, kind(&body)),
                (StatusCode::UNAUTHORIZED, "token"),
                "{path}"
            );
        }
    }
    // Neither in the address nor as a cookie.
    let address = format!("/api/people?token={}", target.token.to_hex());
    let mut request = target
        .get(&address)
        .header(header::COOKIE, target.bearer())
        .body(Body::empty())
        .unwrap();
    request.headers_mut().remove(header::AUTHORIZATION);
    assert_eq!(target.send(request).await.0, StatusCode::UNAUTHORIZED);
    target.nothing_was_sent();
}

#[tokio::test]
async fn paths_lead_nowhere_but_to_the_pages_routes() {
    let target = Target::new(Mode::default()).await;
    let paths = [
        "/../Cargo.toml",
        "/js/../../Cargo.toml",
        "/js/%2e%2e/%2e%2e/Cargo.toml",
        "/js/..%2f..%2fCargo.toml",
        "//etc/passwd",
        "/api/server/about",
        "/api/api-keys/me",
        "/api/users/me",
        "/api/asset/..%2f..%2fapi-keys%2fme/preview",
        "/api/asset/%2e%2e/preview",
        "/api/person/x%3Fy/thumbnail",
        "/api/photo/a%20b",
    ];
    for path in paths {
        let (status, _) = target
            .send(target.get(path).body(Body::empty()).unwrap())
            .await;
        assert!(matches!(status.as_u16(), 400 | 404), "{path}: {status}");
    }
    // Methods that no route has.
    for (method, path) in [
        ("DELETE", "/api/people"),
        ("PUT", "/api/decide"),
        ("POST", "/api/people"),
    ] {
        let mut request = target.post(path).body(Body::empty()).unwrap();
        *request.method_mut() = method.parse().unwrap();
        assert_eq!(
            target.send(request).await.0,
            StatusCode::METHOD_NOT_ALLOWED,
            "{method} {path}"
        );
    }
    target.nothing_was_sent();
}

#[tokio::test]
async fn oversized_and_malformed_bodies_are_refused() {
    let target = Target::new(Mode::default()).await;
    let padded = |len: usize| {
        let pair = json!({"wrong": "a", "correct": "b", "margin": 0.1, "padding": ""}).to_string();
        let padding = " ".repeat(len - pair.len());
        Body::from(pair + &padding)
    };
    let send = async |body: Body| {
        let (status, answer) = target
            .send(target.post("/api/undo").body(body).unwrap())
            .await;
        (status.as_u16(), kind(&answer).to_owned())
    };
    assert_eq!(send(padded(MAX_BODY_BYTES)).await.0, 200);
    assert_eq!(
        send(padded(MAX_BODY_BYTES + 1)).await,
        (413, "too_large".to_owned())
    );
    for bad in [
        "",
        "{",
        "[]",
        "{\"wrong\":1}",
        "{\"wrong\":\"../x\",\"correct\":\"b\"}",
    ] {
        assert_eq!(
            send(Body::from(bad)).await,
            (400, "invalid".to_owned()),
            "{bad}"
        );
    }
    target.nothing_was_sent();
}

#[tokio::test]
async fn a_read_only_run_refuses_every_change() {
    let target = Target::new(Mode {
        read_only: true,
        dry_run: false,
    })
    .await;
    let scene = &target.world.scene;
    let (wrong, correct) = (scene.mia.to_string(), scene.lea.to_string());
    let pair = json!({"wrong": wrong, "correct": correct});
    let next = json!({"wrong": wrong, "correct": correct, "filter": "both", "skip_both": true,
        "margin": 0.1, "after": 0, "n": 4});
    let (status, photos) = target
        .send(
            target
                .post("/api/next")
                .body(Body::from(next.to_string()))
                .unwrap(),
        )
        .await;
    assert_eq!(status, StatusCode::OK);
    let photo = &photos["photos"][0];
    let (asset, face) = (&photo["asset"], &photo["faces"][0]["id"]);
    let decide = json!({"wrong": wrong, "correct": correct, "asset": asset, "margin": 0.1, "auto": false,
        "decisions": [{"face": face, "action": "fix"}]});
    let skip = json!({"wrong": wrong, "correct": correct, "asset": asset});
    target.world.fake.clear_log();
    for (path, body) in [
        ("/api/decide", decide),
        ("/api/skip", skip),
        ("/api/reset", pair),
    ] {
        let request = target
            .post(path)
            .body(Body::from(body.to_string()))
            .unwrap();
        let (status, body) = target.send(request).await;
        assert_eq!(
            (status, kind(&body)),
            (StatusCode::FORBIDDEN, "forbidden"),
            "{path}"
        );
    }
    let writes = target
        .world
        .fake
        .log()
        .into_iter()
        .filter(|entry| !entry.request.starts_with("GET"));
    assert_eq!(writes.count(), 0);
}

#[tokio::test]
async fn what_immich_sends_as_a_picture_must_be_one_and_the_key_stays_here() {
    let target = Target::new(Mode::default()).await;
    let asset = target
        .world
        .fake
        .with_library(|library| library.assets().next().unwrap().id);
    let path = format!("/api/asset/{asset}/preview");
    let picture = target.get(&path).body(Body::empty()).unwrap();
    let response = target.router.clone().oneshot(picture).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "image/jpeg");
    let bytes = to_bytes(response.into_body(), 10_000_000).await.unwrap();
    assert!(bytes.starts_with(&[0xff, 0xd8]), "a JPEG");
    // A proxy's error page that repeats the key.
    target
        .world
        .fake
        .fail("/thumbnail", 9, immich_fake::Fault::EchoKey(500));
    let (status, body) = target
        .send(target.get(&path).body(Body::empty()).unwrap())
        .await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert!(
        !body.to_string().contains(&target.world.scene.key),
        "{body}"
    );
    target.world.fake.heal();
    target
        .world
        .fake
        .fail("/thumbnail", 9, immich_fake::Fault::WebPage);
    let (status, _) = target
        .send(target.get(&path).body(Body::empty()).unwrap())
        .await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
}
