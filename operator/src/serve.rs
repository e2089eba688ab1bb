//! `/metrics`, `/healthz` and `/readyz`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the pages show.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Figures.
    pub registry: Arc<Registry>,
    /// Whether the API server has answered, and its resources are known.
    pub ready: Arc<AtomicBool>,
}

/// Listens.
///
/// # Errors
/// The address is in use, or is not one of this machine.
pub async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves the pages for ever.
///
/// # Errors
/// The socket is gone.
pub async fn serve(listener: TcpListener, shown: Shown) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(shown);
    axum::serve(listener, router).await
}

async fn metrics(State(shown): State<Shown>) -> impl IntoResponse {
    let mut text = String::new();
    match encode(&mut text, &shown.registry) {
        Ok(()) => (StatusCode::OK, [(CONTENT_TYPE, OPEN_METRICS)], text),
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(CONTENT_TYPE, OPEN_METRICS)],
            text,
        ),
    }
}

async fn ready(State(shown): State<Shown>) -> impl IntoResponse {
    match shown.ready.load(Ordering::Acquire) {
        true => (StatusCode::OK, "ready\n"),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the API server has not answered yet\n",
        ),
    }
}
