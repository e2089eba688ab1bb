//! The span of a request.

use axum::extract::{MatchedPath, Request};
use phlare_model::SPANS;
use tracing::field::Empty;
use tracing::{Span, info_span};

/// What probes and scrapers ask, again and again.
const QUIET: [&str; 5] = [
    "/metrics",
    "/ready",
    "/livez",
    "/healthz",
    "/grpc.health.v1.Health/Check",
];

/// The span that a request gets, if spans are collected. `called`: it goes on with a trace.
pub(super) fn begin(request: &Request, called: bool) -> Span {
    let route = request.extensions().get::<MatchedPath>();
    let Some(route) = route.map(MatchedPath::as_str) else {
        return Span::none();
    };
    if !is_traced(route, called) {
        return Span::none();
    }
    let method = request.method().as_str();
    info_span!(
        target: SPANS,
        "request",
        otel.name = %name(method, route),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        tenant = Empty,
        http.response.status_code = Empty,
        otel.status_code = Empty,
        otel.status_description = Empty,
    )
}

/// How the request ended: `code` is the status as HTTP has it, also of gRPC calls.
pub(super) fn end(span: &Span, code: u16, reason: &str) {
    span.record("http.response.status_code", code);
    if code >= 500 {
        span.record("otel.status_code", "ERROR");
        span.record("otel.status_description", reason);
    }
}

/// Calls between processes go on with traces and begin none: queriers that wait for queries would fill them.
fn is_traced(route: &str, called: bool) -> bool {
    if route.starts_with("/phlare.") {
        return called;
    }
    !QUIET.contains(&route) && !route.starts_with("/debug/")
}

/// RPCs as gRPC names them, plain routes with their method.
fn name(method: &str, route: &str) -> String {
    match route.strip_prefix('/') {
        Some(rpc) if rpc.contains('/') && rpc.contains('.') => rpc.to_owned(),
        _ => format!("{method} {route}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_looks_for_begins_no_trace() {
        for (route, called, traced) in [
            ("/push.v1.PusherService/Push", false, true),
            ("/ingest", false, true),
            ("/phlare.query.v1.SchedulerService/Pull", false, false),
            ("/phlare.query.v1.SchedulerService/Ask", true, true),
            ("/metrics", true, false),
            ("/grpc.health.v1.Health/Check", false, false),
            ("/debug/pprof/profile", false, false),
        ] {
            assert_eq!(is_traced(route, called), traced, "{route}");
        }
    }

    #[test]
    fn spans_have_the_names_of_their_methods() {
        assert_eq!(
            name("POST", "/push.v1.PusherService/Push"),
            "push.v1.PusherService/Push"
        );
        assert_eq!(name("GET", "/pyroscope/render"), "GET /pyroscope/render");
    }
}
