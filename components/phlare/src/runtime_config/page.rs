//! Pages: what limits are in force.

use std::collections::BTreeMap;

use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use phlare_server::{Status, Tenant};
use serde::Deserialize;

use super::RuntimeConfig;
use crate::yaml::{self, Mapping, Value};

impl RuntimeConfig {
    /// `GET /runtime_config` shows the limits of the tenants that have their own, `?mode=diff` what of it is not as in
    /// `limits`. `GET /api/v1/tenant_limits` shows a tenant its own.
    pub(crate) fn routes(&self) -> Router {
        Router::new()
            .route("/runtime_config", get(show))
            .route("/api/v1/tenant_limits", get(tenant_limits))
            .with_state(self.clone())
    }

    pub(super) fn page(&self, difference: bool) -> String {
        if !self.has_files() {
            return "runtime config file doesn't exist\n".to_owned();
        }
        let state = self.state.lock().clone();
        let mut page = format!(
            "# Read from {}; SHA-256 {}.\n\
             # A tenant has what `limits` in the file of `-config.file` says, but for what is named here.\n\
             # `*` is no tenant: a file that names it is refused.\n",
            self.config.file.join(", "),
            state.hash.unwrap_or_default(),
        );
        if let Some(failure) = state.failure {
            let failure = failure.replace('\n', " ");
            page += &format!("# NOT in force is what the files say now: {failure}\n");
        }
        page + &self.overrides_yaml(difference)
    }

    fn overrides_yaml(&self, difference: bool) -> String {
        let defaults = self.overrides.defaults();
        let tenants = self.overrides.tenants();
        let tenants: BTreeMap<&str, Value> = tenants
            .iter()
            .map(|(tenant, limits)| {
                let value = match difference {
                    true => yaml::changed(defaults, &**limits)
                        .unwrap_or_else(|| Value::Mapping(Mapping::new())),
                    false => yaml::to_value(&**limits),
                };
                (tenant.as_str(), value)
            })
            .collect();
        yaml::write(&BTreeMap::from([("overrides", tenants)]))
    }
}

#[derive(Debug, Deserialize)]
struct Mode {
    #[serde(default)]
    mode: String,
}

async fn show(
    State(runtime): State<RuntimeConfig>,
    Query(Mode { mode }): Query<Mode>,
) -> Result<Response, Status> {
    let difference = match mode.as_str() {
        "" => false,
        "diff" => true,
        other => {
            let message = format!("`mode` is {other:?}: `diff`, or nothing");
            return Err(Status::invalid_argument(message));
        }
    };
    let page = runtime.page(difference);
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], page).into_response())
}

async fn tenant_limits(
    State(runtime): State<RuntimeConfig>,
    Tenant(tenant): Tenant,
) -> Json<serde_json::Value> {
    let limits = runtime.overrides.limits(&tenant);
    Json(serde_json::json!({
        "ingestion_rate": limits.ingestion_rate_mb,
        "ingestion_burst_size": limits.ingestion_burst_size_mb,
        "max_global_series_per_user": limits.max_global_series_per_tenant,
    }))
}
