//! Pages of the process itself: its settings, its version, profiles of it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use phlare_ingester::Ingester;
use phlare_model::{ErrorKind, TenantId};
use phlare_server::{Offload, Status};
use prost::Message;
use serde::Deserialize;

use crate::config::Config;
use crate::profiler::{Error, Profiler};

/// The most seconds that one profile may take.
const MAX_SECONDS: u64 = 120;

/// Settings and version.
pub(crate) fn routes(config: &Config) -> Router {
    let effective = config.to_yaml();
    let default = Config::default().to_yaml();
    let diff = changed(config);
    let yaml = |text: String| {
        let text: Arc<str> = text.into();
        get(async move || {
            (
                [(CONTENT_TYPE, "text/plain; charset=utf-8")],
                text.to_string(),
            )
        })
    };
    Router::new()
        .route("/", get(async || Html(INDEX)))
        .route("/config", yaml(effective.clone()))
        .route("/api/v1/status/config", yaml(effective))
        .route("/api/v1/status/config/diff", yaml(diff))
        .route("/api/v1/status/config/default", yaml(default))
        .route("/version", get(async || Json(build_info())))
        .route(
            "/api/v1/status/buildinfo",
            get(async || Json(serde_json::json!({"status": "success", "data": build_info()}))),
        )
}

/// `POST /ingester/flush`: heads become blocks in the bucket now; `?tenant=` names one tenant.
pub(crate) fn flush(ingester: Arc<Ingester>) -> Router {
    Router::new()
        .route("/ingester/flush", post(flush_now))
        .with_state(ingester)
}

#[derive(Debug, Deserialize)]
struct FlushQuery {
    tenant: Option<String>,
}

async fn flush_now(
    State(ingester): State<Arc<Ingester>>,
    Query(asked): Query<FlushQuery>,
) -> Result<Response, Status> {
    let tenant = asked
        .tenant
        .map(|tenant| TenantId::parse(&tenant))
        .transpose()
        .map_err(|error| Status::invalid_argument(format!("`tenant`: {error}")))?;
    let flushed = ingester.flush(tenant.as_ref()).await?;
    let blocks: Vec<_> = flushed
        .iter()
        .map(|(tenant, meta)| {
            serde_json::json!({
                "tenant": tenant.as_str(),
                "block": meta.id.to_string(),
                "profiles": meta.stats.num_profiles,
                "series": meta.stats.num_series,
                "bytes": meta.total_bytes(),
            })
        })
        .collect();
    Ok(Json(serde_json::json!({ "blocks": blocks })).into_response())
}

const INDEX: &str = "<!doctype html>
<html lang=\"en\"><meta charset=\"utf-8\"><title>Phlare</title>
<h1>Phlare</h1>
<p>Continuous profiling. Push profiles to this address, and add it to Grafana as a data source of type Grafana Pyroscope.
<ul>
<li><a href=\"/ready\">/ready</a>: whether it can serve
<li><a href=\"/metrics\">/metrics</a>: figures for Prometheus
<li><a href=\"/config\">/config</a>: settings in force, <a href=\"/api/v1/status/config/diff\">those changed</a>, <a href=\"/api/v1/status/config/default\">defaults</a>
<li><a href=\"/runtime_config\">/runtime_config</a>: limits of tenants that have their own, <a href=\"/runtime_config?mode=diff\">what differs</a>
<li><a href=\"/ring\">/ring</a>: the ingesters
<li><a href=\"/version\">/version</a>
<li><a href=\"/debug/pprof/profile?seconds=5\">/debug/pprof/profile?seconds=5</a>: where this process spends its time
</ul>
</html>
";

fn build_info() -> serde_json::Value {
    serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": "",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    })
}

/// The settings that differ from the defaults.
fn changed(config: &Config) -> String {
    crate::yaml::write_difference(&Config::default(), config)
}

/// Profiles of the process, as `go tool pprof` and scrapers ask for them.
pub(crate) fn debug_routes(profiler: Profiler, offload: Offload) -> Router {
    Router::new()
        .route("/debug/pprof/profile", get(cpu_profile))
        .with_state((profiler, offload))
}

#[derive(Debug, Deserialize)]
struct ProfileQuery {
    seconds: Option<u64>,
}

async fn cpu_profile(
    State((profiler, offload)): State<(Profiler, Offload)>,
    Query(asked): Query<ProfileQuery>,
) -> Result<Response, Status> {
    let seconds = asked.seconds.unwrap_or(30);
    if !(1..=MAX_SECONDS).contains(&seconds) {
        return Err(Status::invalid_argument(format!(
            "`seconds` is {seconds}: between 1 and {MAX_SECONDS}"
        )));
    }
    let profile =
        profiler
            .cpu(Duration::from_secs(seconds))
            .await
            .map_err(|error| match error {
                Error::Busy => Status::new(ErrorKind::ResourceExhausted, error.to_string()),
                Error::Sampler(_) => Status::new(ErrorKind::Internal, error.to_string()),
            })?;
    let body = offload
        .run(move || phlare_pprof::gzip::gzip(&profile.encode_to_vec(), 6))
        .await?;
    let headers = [
        (CONTENT_TYPE, "application/octet-stream"),
        (
            CONTENT_DISPOSITION,
            "attachment; filename=\"profile.pb.gz\"",
        ),
    ];
    Ok((headers, body).into_response())
}
