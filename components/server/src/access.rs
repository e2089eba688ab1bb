//! What every request gets: a trace, metrics, a line in the log, a net under panics.

mod span;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt;
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use phlare_model::ErrorKind;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::http::{Reason, http_error};
use crate::metrics::{Metrics, RequestLabels, RouteLabels};
use crate::offload::panic_message;
use crate::status::Status;
use crate::tenant::TenantMode;
use crate::trace::Trace;

/// Longest reason in a line of the log.
const MAX_REASON: usize = 512;

/// What the layer needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) metrics: Metrics,
    pub(crate) tenants: TenantMode,
    pub(crate) log_all: bool,
}

/// Code and text of an RPC that failed: behind gRPC's 200 nobody else can see them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome(Arc<std::sync::OnceLock<(u16, String)>>);

impl Outcome {
    pub(crate) fn failed(&self, status: &Status) {
        // Only the first failure of a request counts.
        let _ = self
            .0
            .set((status.http_status().as_u16(), status.message.clone()));
    }
}

/// One request in progress; says how it ended, also if it is dropped because the client left.
struct Ongoing {
    access: Access,
    route: RouteLabels,
    path: String,
    trace: Trace,
    begun: Instant,
    received: Arc<AtomicU64>,
    inflight: Gauge,
    ended: Option<(u16, Option<String>)>,
}

/// The outermost layer of all routes.
pub(crate) async fn layer(
    State(access): State<Access>,
    mut request: Request,
    next: Next,
) -> Response {
    let trace = Trace::of_request(request.headers(), |called| span::begin(&request, called));
    let outcome = Outcome::default();
    request.extensions_mut().insert(outcome.clone());
    request.extensions_mut().insert(access.tenants);
    let received = Arc::new(AtomicU64::new(0));
    let mut ongoing = Ongoing::begin(access, &request, trace.clone(), Arc::clone(&received));
    let request = request.map(|body| count(body, received));

    let call = AssertUnwindSafe(trace.clone().scope(next.run(request))).catch_unwind();
    let response = match call.await {
        Ok(response) => response,
        Err(panic) => {
            ongoing.access.metrics.panics.inc();
            let path = &ongoing.path;
            trace.sync_scope(|| {
                error!(
                    panic = panic_message(panic.as_ref()),
                    path, "a request panicked"
                );
                http_error(Status::new(ErrorKind::Internal, "the handler panicked"))
            })
        }
    };
    ongoing.end(&outcome, &response);
    response
}

fn count(body: Body, received: Arc<AtomicU64>) -> Body {
    Body::new(body.map_frame(move |frame| {
        if let Some(data) = frame.data_ref() {
            received.fetch_add(data.len() as u64, Ordering::Relaxed);
        }
        frame
    }))
}

impl Ongoing {
    fn begin(access: Access, request: &Request, trace: Trace, received: Arc<AtomicU64>) -> Self {
        let matched = request
            .extensions()
            .get::<MatchedPath>()
            .map(MatchedPath::as_str);
        let route = RouteLabels {
            method: method_label(request.method()),
            route: route_label(matched).into(),
        };
        let inflight = access.metrics.inflight.get_or_create_owned(&route);
        inflight.inc();
        let path = request.uri().path().to_owned();
        Self {
            access,
            route,
            path,
            trace,
            begun: Instant::now(),
            received,
            inflight,
            ended: None,
        }
    }

    fn end(&mut self, outcome: &Outcome, response: &Response) {
        if let Some(size) = response.body().size_hint().exact() {
            #[expect(clippy::cast_precision_loss, reason = "a metric: 53 bits are plenty")]
            self.access
                .metrics
                .response_bytes
                .get_or_create(&self.route)
                .observe(size as f64);
        }
        self.ended = Some(match outcome.0.get() {
            Some((code, reason)) => (*code, Some(reason.clone())),
            None => {
                let reason = response
                    .extensions()
                    .get::<Reason>()
                    .map(|reason| reason.0.clone());
                (response.status().as_u16(), reason)
            }
        });
    }

    fn log(&self, code: u16, reason: &str, took: Duration) {
        let Self {
            route: RouteLabels { method, .. },
            path,
            ..
        } = self;
        if code >= 400 && code != 499 {
            warn!(method, path, status = code, ?took, reason, "request failed");
        } else if self.access.log_all {
            info!(method, path, status = code, ?took, reason, "request");
        } else {
            debug!(method, path, status = code, ?took, reason, "request");
        }
    }
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        self.inflight.dec();
        let took = self.begun.elapsed();
        let (code, reason) = self.ended.take().unwrap_or((499, None));
        let RouteLabels { method, route } = self.route.clone();
        let labels = RequestLabels {
            method,
            route,
            status_code: code,
            ws: "false",
        };
        let metrics = &self.access.metrics;
        metrics
            .request_duration
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a metric: 53 bits are plenty")]
        let received = self.received.load(Ordering::Relaxed) as f64;
        metrics
            .request_bytes
            .get_or_create(&self.route)
            .observe(received);
        let reason = shortened(reason.as_deref().unwrap_or_default());
        span::end(self.trace.span(), code, reason);
        // Who leaves drops the request outside of its scope.
        self.trace.sync_scope(|| self.log(code, reason, took));
    }
}

fn shortened(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.get(..end).unwrap_or_default()
}

fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "OTHER",
    }
}

/// The template of a route as a label: each run of other characters than letters and digits is one `_`,
/// none at the ends, lower case. As many values as there are routes.
fn route_label(matched: Option<&str>) -> String {
    let Some(template) = matched else {
        return "notfound".into();
    };
    let mut label = String::with_capacity(template.len());
    for c in template.chars() {
        if c.is_ascii_alphanumeric() {
            label.push(c.to_ascii_lowercase());
        } else if !label.is_empty() && !label.ends_with('_') {
            label.push('_');
        }
    }
    if label.ends_with('_') {
        label.pop();
    }
    if label.is_empty() {
        "root".into()
    } else {
        label
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_routes() {
        let check =
            |template: Option<&str>, expected: &str| assert_eq!(route_label(template), expected);
        check(
            Some("/querier.v1.QuerierService/SelectSeries"),
            "querier_v1_querierservice_selectseries",
        );
        check(Some("/pyroscope/render-diff"), "pyroscope_render_diff");
        check(
            Some("/store-gateway/tenant/{tenant}/blocks"),
            "store_gateway_tenant_tenant_blocks",
        );
        check(Some("/"), "root");
        check(None, "notfound");
    }

    #[test]
    fn long_reasons_are_cut_between_characters() {
        assert_eq!(shortened(&"é".repeat(400)).len(), MAX_REASON);
        assert_eq!(
            shortened(&format!("x{}", "é".repeat(400))).len(),
            MAX_REASON - 1
        );
        assert_eq!(shortened("short"), "short");
    }
}
