//! Listening: the routes behind their guard.

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::response::IntoResponse;
use tokio::net::TcpListener;

use crate::app::App;
use crate::assets;
use crate::error::{Kind, Refusal};
use crate::guard::{self, Guard, MAX_BODY_BYTES};
use crate::origin::Names;
use crate::routes;
use crate::token::SessionToken;

/// The link that opens the page. The token stands in the fragment, which browsers send
/// nowhere and proxies never see. `None` when the server has no name of its own.
pub fn link(names: &Names, token: &SessionToken) -> Option<String> {
    names
        .first()
        .map(|name| format!("http://{name}/#{}", token.to_hex()))
}

/// Everything that answers, behind its guard.
pub fn router(app: App, names: Names, token: SessionToken) -> Router {
    let guard = Arc::new(Guard { names, token });
    let missing =
        || async { Refusal::new(Kind::Missing, "There is no such page.").into_response() };
    Router::new()
        .merge(assets::routes())
        .merge(routes::routes())
        .fallback(missing)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(guard, guard::watch))
        .with_state(app)
}

/// Serves until `stop` is ready; requests under way are finished first.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    app: App,
    names: Names,
    token: SessionToken,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router(app, names, token))
        .with_graceful_shutdown(stop)
        .await
}
