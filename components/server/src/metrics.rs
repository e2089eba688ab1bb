//! The server's own metrics, and `/metrics`.
//!
//! A component registers its metrics once, at start, in the [`Registry`] that `/metrics` then renders;
//! there are no globals. Upstream's names where the meaning is the same (components.md 14.1).

mod process;

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use phlare_model::ErrorKind;
use prometheus_client::encoding::{EncodeLabelSet, prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
pub use prometheus_client::registry::Registry;

use crate::http::http_error;
use crate::status::Status;

const DURATION_BUCKETS: [f64; 15] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0,
];

const MESSAGE_BUCKETS: [f64; 10] = [
    1e3,
    1e4,
    1e5,
    1_048_576.0,
    2.5e6,
    5e6,
    1e7,
    2.5e7,
    1e8,
    2.5e8,
];

/// Labels of a finished request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub(crate) method: &'static str,
    pub(crate) route: Arc<str>,
    pub(crate) status_code: u16,
    /// Upstream's label for web sockets; there are none here.
    pub(crate) ws: &'static str,
}

/// Labels of a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RouteLabels {
    pub(crate) method: &'static str,
    pub(crate) route: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProtocolLabels {
    protocol: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    pool: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LoginLabels {
    method: &'static str,
    outcome: &'static str,
}

/// The metrics of one pool of threads.
#[derive(Clone, Debug)]
pub(crate) struct OffloadMetrics {
    pub(crate) waiting: Gauge,
    pub(crate) running: Gauge,
    pub(crate) refused: Counter,
}

/// The metrics of this room. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(crate) request_duration: Family<RequestLabels, Histogram, fn() -> Histogram>,
    pub(crate) request_bytes: Family<RouteLabels, Histogram, fn() -> Histogram>,
    pub(crate) response_bytes: Family<RouteLabels, Histogram, fn() -> Histogram>,
    pub(crate) inflight: Family<RouteLabels, Gauge>,
    pub(crate) connections: Gauge,
    pub(crate) panics: Counter,
    pub(crate) inflight_bytes: Gauge,
    pub(crate) inflight_bytes_refused: Counter,
    handshakes_failed: Family<ReasonLabels, Counter>,
    logins: Family<LoginLabels, Counter>,
    offload_waiting: Family<PoolLabels, Gauge>,
    offload_running: Family<PoolLabels, Gauge>,
    offload_refused: Family<PoolLabels, Counter>,
}

fn durations() -> Histogram {
    Histogram::new(DURATION_BUCKETS)
}

fn messages() -> Histogram {
    Histogram::new(MESSAGE_BUCKETS)
}

impl Metrics {
    /// Registers the server's and the process' metrics.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let connections = Family::<ProtocolLabels, Gauge>::default();
        let metrics = Self {
            request_duration: Family::new_with_constructor(durations),
            request_bytes: Family::new_with_constructor(messages),
            response_bytes: Family::new_with_constructor(messages),
            inflight: Family::default(),
            connections: connections.get_or_create_owned(&ProtocolLabels { protocol: "tcp" }),
            panics: Counter::default(),
            inflight_bytes: Gauge::default(),
            inflight_bytes_refused: Counter::default(),
            handshakes_failed: Family::default(),
            logins: Family::default(),
            offload_waiting: Family::default(),
            offload_running: Family::default(),
            offload_refused: Family::default(),
        };
        let m = metrics.clone();
        registry.register(
            "pyroscope_request_duration_seconds",
            "Time in seconds spent on requests",
            m.request_duration,
        );
        registry.register(
            "pyroscope_request_message_bytes",
            "Size in bytes of requests as received",
            m.request_bytes,
        );
        registry.register(
            "pyroscope_response_message_bytes",
            "Size in bytes of responses as sent",
            m.response_bytes,
        );
        registry.register(
            "pyroscope_inflight_requests",
            "Requests in progress",
            m.inflight,
        );
        registry.register("pyroscope_tcp_connections", "Open connections", connections);
        registry.register("pyroscope_panic", "Panics that were caught", m.panics);
        let help =
            "Bytes that the bodies of requests in progress take; limit: -server.max-inflight-bytes";
        registry.register("phlare_server_inflight_body_bytes", help, m.inflight_bytes);
        let help = "Requests refused because -server.max-inflight-bytes was reached";
        registry.register(
            "phlare_server_inflight_body_refused",
            help,
            m.inflight_bytes_refused,
        );
        registry.register(
            "phlare_server_tls_handshakes_failed",
            "Connections that were closed because their TLS handshake failed",
            m.handshakes_failed,
        );
        registry.register(
            "phlare_server_logins",
            "Requests that need a login: how it was given, and whether it was known and sufficient",
            m.logins,
        );
        let help = "Pieces of CPU work that wait for a thread; limit: -server.cpu-queue";
        registry.register("phlare_server_offload_waiting", help, m.offload_waiting);
        registry.register(
            "phlare_server_offload_running",
            "Pieces of CPU work that have a thread",
            m.offload_running,
        );
        let help = "Pieces of CPU work refused because -server.cpu-queue was reached";
        registry.register("phlare_server_offload_refused", help, m.offload_refused);
        registry.register_collector(Box::new(process::Process));
        metrics
    }

    pub(crate) fn handshake_failed(&self, reason: &'static str) {
        let labels = ReasonLabels { reason };
        self.handshakes_failed.get_or_create(&labels).inc();
    }

    pub(crate) fn login(&self, method: &'static str, outcome: &'static str) {
        let labels = LoginLabels { method, outcome };
        self.logins.get_or_create(&labels).inc();
    }

    /// The metrics of the pool `name`.
    pub(crate) fn offload(&self, name: &str) -> OffloadMetrics {
        let labels = PoolLabels {
            pool: name.to_owned(),
        };
        OffloadMetrics {
            waiting: self.offload_waiting.get_or_create_owned(&labels),
            running: self.offload_running.get_or_create_owned(&labels),
            refused: self.offload_refused.get_or_create_owned(&labels),
        }
    }
}

/// A number of things or bytes as the value of a gauge.
pub(crate) fn gauge_value(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Renders all metrics: as OpenMetrics for who asks for it, else in Prometheus' text format.
pub(crate) fn render(registry: &Registry, headers: &HeaderMap) -> Response {
    let wants = |text: &str| {
        text.split(',')
            .any(|part| part.trim().starts_with(OPEN_METRICS))
    };
    let open = headers
        .get_all(ACCEPT)
        .iter()
        .any(|value| value.to_str().is_ok_and(wants));
    let mut out = String::new();
    let (kind, result) = if open {
        (
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            text::encode(&mut out, registry),
        )
    } else {
        (
            prometheus_text::CONTENT_TYPE,
            prometheus_text::encode(&mut out, registry),
        )
    };
    match result {
        Ok(()) => ([(CONTENT_TYPE, kind)], out).into_response(),
        Err(error) => http_error(Status::new(
            ErrorKind::Internal,
            format!("render the metrics: {error}"),
        )),
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text";

#[cfg(test)]
mod tests;
