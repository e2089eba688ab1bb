//! The plain HTTP routes under `/pyroscope` (api.md 5).

use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use axum::{Router, http::Uri};
use phlare_server::{Status, Tenant};

use crate::frontend::QueryFrontend;
use crate::params::Params;

impl QueryFrontend {
    /// `/pyroscope/render`, `/pyroscope/render-diff` and `/pyroscope/label-values`.
    pub fn routes(&self) -> Router {
        Router::new()
            .route("/pyroscope/render", get(render))
            .route("/pyroscope/render-diff", get(render_diff))
            .route("/pyroscope/label-values", get(label_values))
            .with_state(self.clone())
    }
}

type Answer = Result<Response, Status>;

async fn render(State(frontend): State<QueryFrontend>, Tenant(tenant): Tenant, uri: Uri) -> Answer {
    let _running = frontend.metrics().start();
    frontend.render(tenant, &Params::of(&uri)).await
}

async fn render_diff(
    State(frontend): State<QueryFrontend>,
    Tenant(tenant): Tenant,
    uri: Uri,
) -> Answer {
    let _running = frontend.metrics().start();
    frontend.render_diff(tenant, &Params::of(&uri)).await
}

async fn label_values(
    State(frontend): State<QueryFrontend>,
    Tenant(tenant): Tenant,
    uri: Uri,
) -> Answer {
    let _running = frontend.metrics().start();
    frontend.plain_label_values(tenant, &Params::of(&uri)).await
}

#[cfg(test)]
mod tests;
