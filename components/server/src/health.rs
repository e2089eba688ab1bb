//! Whether the process can take requests: `/ready`, `/livez`, `/healthz`, gRPC health.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use parking_lot::RwLock;
use phlare_model::ErrorKind;
use phlare_proto::METHODS;
use phlare_proto::grpc::health::v1::health_check_response::ServingStatus;
use phlare_proto::grpc::health::v1::{HealthCheckRequest, HealthCheckResponse};
use serde::Serialize;

use crate::http::text;
use crate::status::Status;

type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;
type Trouble = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// What has to hold before the process takes requests. Cheap to clone.
#[derive(Clone, Default)]
pub struct Health {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    draining: AtomicBool,
    checks: RwLock<Vec<(&'static str, Check)>>,
    troubles: RwLock<Vec<(&'static str, Trouble)>>,
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("draining", &self.inner.draining)
            .finish_non_exhaustive()
    }
}

/// The state of one check, as `/ready` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckState {
    /// What is checked.
    pub name: &'static str,
    /// Whether it holds.
    pub ready: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Something that does not work, though requests are served: `/ready` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Who has trouble.
    pub name: &'static str,
    /// What it is.
    pub reason: String,
}

#[derive(Serialize)]
struct Readiness<'a> {
    ready: bool,
    checks: &'a [CheckState],
    #[serde(skip_serializing_if = "<[Warning]>::is_empty")]
    warnings: &'a [Warning],
}

impl Health {
    /// Ready, until something is registered that is not.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check. It is called at each request of `/ready`, so it only looks.
    pub fn register(
        &self,
        name: &'static str,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        self.inner.checks.write().push((name, Box::new(check)));
    }

    /// Adds a look at something that may go wrong without keeping the process from serving. It is called at each request
    /// of `/ready`, so it only looks.
    pub fn watch(
        &self,
        name: &'static str,
        trouble: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) {
        self.inner.troubles.write().push((name, Box::new(trouble)));
    }

    /// What goes wrong now, in the order in which it was registered.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let troubles = self.inner.troubles.read();
        let found = troubles.iter().filter_map(|(name, trouble)| {
            Some(Warning {
                name,
                reason: trouble()?,
            })
        });
        found.collect()
    }

    /// From now on the process is not ready: it is about to stop.
    pub fn drain(&self) {
        self.inner.draining.store(true, Ordering::Relaxed);
    }

    /// The state of all checks, in the order in which they were registered.
    #[must_use]
    pub fn states(&self) -> Vec<CheckState> {
        let draining = self.inner.draining.load(Ordering::Relaxed);
        let server = if draining {
            Err("shutting down".to_owned())
        } else {
            Ok(())
        };
        let checks = self.inner.checks.read();
        let states = checks.iter().map(|(name, check)| (*name, check()));
        std::iter::once(("server", server))
            .chain(states)
            .map(|(name, result)| CheckState {
                name,
                ready: result.is_ok(),
                reason: result.err().unwrap_or_default(),
            })
            .collect()
    }

    /// Whether all checks hold.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.states().iter().all(|state| state.ready)
    }

    /// `/ready`: 200, or 503 with the reasons, and warnings in either case; as JSON for who asks for it.
    pub(crate) fn ready(&self, headers: &HeaderMap) -> Response {
        let states = self.states();
        let warnings = self.warnings();
        let ready = states.iter().all(|state| state.ready);
        let status = if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let wants_json = |value: &http::HeaderValue| {
            value
                .to_str()
                .is_ok_and(|text| text.contains("application/json"))
        };
        if headers.get_all(ACCEPT).iter().any(wants_json) {
            return (
                status,
                Json(Readiness {
                    ready,
                    checks: &states,
                    warnings: &warnings,
                }),
            )
                .into_response();
        }
        let mut lines = String::new();
        if ready {
            lines.push_str("ready\n");
        }
        for state in states.iter().filter(|state| !state.ready) {
            lines += &format!("not ready: {}: {}\n", state.name, state.reason);
        }
        for warning in &warnings {
            lines += &format!("warning: {}: {}\n", warning.name, warning.reason);
        }
        text(status, lines)
    }

    /// `grpc.health.v1.Health/Check`: of the whole process, or of a service by name.
    pub(crate) fn check(
        &self,
        request: &HealthCheckRequest,
    ) -> Result<HealthCheckResponse, Status> {
        let service = request.service.as_str();
        let known = |path: &str| path.split('/').next() == Some(service);
        if !service.is_empty() && !METHODS.iter().any(|method| known(method.path)) {
            return Err(Status::new(
                ErrorKind::NotFound,
                format!("there is no service {service:?} here"),
            ));
        }
        let status = if self.is_ready() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        Ok(HealthCheckResponse {
            status: status.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn ready(health: &Health, accept: Option<&'static str>) -> (u16, String) {
        let headers = HeaderMap::from_iter(
            accept.map(|accept| (ACCEPT, http::HeaderValue::from_static(accept))),
        );
        let response = health.ready(&headers);
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn ready_says_what_is_missing() {
        let health = Health::new();
        assert_eq!(ready(&health, None).await, (200, "ready\n".into()));
        let open = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&open);
        health.register("log", move || {
            seen.load(Ordering::Relaxed)
                .then_some(())
                .ok_or_else(|| "replaying".into())
        });
        assert_eq!(
            ready(&health, None).await,
            (503, "not ready: log: replaying\n".into())
        );
        let json = r#"{"ready":false,"checks":[{"name":"server","ready":true},{"name":"log","ready":false,"reason":"replaying"}]}"#;
        assert_eq!(
            ready(&health, Some("application/json")).await,
            (503, json.into())
        );
        open.store(true, Ordering::Relaxed);
        assert_eq!(ready(&health, None).await, (200, "ready\n".into()));
        health.drain();
        assert_eq!(
            ready(&health, None).await,
            (503, "not ready: server: shutting down\n".into())
        );
    }

    #[tokio::test]
    async fn trouble_is_shown_and_does_not_make_the_process_unready() {
        let health = Health::new();
        let broken = Arc::new(AtomicBool::new(true));
        let seen = Arc::clone(&broken);
        health.watch("bucket", move || {
            seen.load(Ordering::Relaxed).then(|| "no permission".into())
        });
        assert_eq!(
            ready(&health, None).await,
            (200, "ready\nwarning: bucket: no permission\n".into())
        );
        let json = r#"{"ready":true,"checks":[{"name":"server","ready":true}],"warnings":[{"name":"bucket","reason":"no permission"}]}"#;
        assert_eq!(
            ready(&health, Some("application/json")).await,
            (200, json.into())
        );
        broken.store(false, Ordering::Relaxed);
        assert_eq!(ready(&health, None).await, (200, "ready\n".into()));
    }

    #[test]
    fn grpc_health_follows() {
        let health = Health::new();
        let check = |service: &str| {
            health.check(&HealthCheckRequest {
                service: service.into(),
            })
        };
        assert_eq!(check("").unwrap().status(), ServingStatus::Serving);
        assert_eq!(
            check("push.v1.PusherService").unwrap().status(),
            ServingStatus::Serving
        );
        assert_eq!(check("nope").unwrap_err().kind, ErrorKind::NotFound);
        health.drain();
        assert_eq!(check("").unwrap().status(), ServingStatus::NotServing);
    }
}
