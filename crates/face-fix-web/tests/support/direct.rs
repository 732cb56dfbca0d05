//! The page's server without a listener: requests go straight to its routes.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header, request};
use face_fix::Engine;
use face_fix_web::{App, Names, SessionToken, router};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::options;
use super::scene::Scene;

/// What the page is called here.
pub(crate) const HOST: &str = "127.0.0.1:2300";

/// The routes, and the token that they ask for.
pub(crate) struct Direct {
    pub(crate) router: Router,
    pub(crate) token: SessionToken,
}

impl Direct {
    pub(crate) fn new(engine: Engine) -> Self {
        let names = Names::new(HOST.parse().unwrap(), &[]);
        let token = SessionToken::new([7; 32]);
        Self {
            router: router(App::new(engine, options()), names, token.clone()),
            token,
        }
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.token.to_hex())
    }

    /// A request that our own page would send.
    pub(crate) fn get(&self, path: &str) -> request::Builder {
        Request::get(path)
            .header(header::HOST, HOST)
            .header(header::AUTHORIZATION, self.bearer())
    }

    /// A request that our own page would send.
    pub(crate) fn post(&self, path: &str) -> request::Builder {
        Request::post(path)
            .header(header::HOST, HOST)
            .header(header::ORIGIN, format!("http://{HOST}"))
            .header(header::AUTHORIZATION, self.bearer())
            .header(header::CONTENT_TYPE, "application/json")
    }

    /// The answer: null when it is no JSON.
    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = to_bytes(body, 10_000_000).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        (head.status, head.headers, body)
    }

    /// Sends `fields` for Mia as the wrong person and Lea as the correct one.
    pub(crate) async fn ask(
        &self,
        scene: &Scene,
        path: &str,
        mut fields: Value,
    ) -> (StatusCode, Value) {
        let pair = json!({"wrong": scene.mia.to_string(), "correct": scene.lea.to_string(), "margin": 0.1});
        let fields = fields.as_object_mut().unwrap();
        fields.extend(pair.as_object().unwrap().clone());
        let body = Body::from(serde_json::to_vec(fields).unwrap());
        let (status, _, answer) = self.send(self.post(path).body(body).unwrap()).await;
        (status, answer)
    }
}
