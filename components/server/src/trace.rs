//! What belongs to a request wherever its work runs: its trace, its tenant, its spans.
//!
//! Every request has a trace id, its caller's or a new one, so that the log lines of all processes that worked for it can
//! be found together. Whether spans are made of it is another matter: those of [`phlare_model::SPANS`] are off unless somebody collects them, and
//! then cost a look at a flag.

mod context;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceId};
use phlare_model::TenantId;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

tokio::task_local! {
    static CURRENT: Arc<Request>;
}

/// A request, as all who work for it know it.
#[derive(Debug)]
pub(crate) struct Request {
    /// Its own span, the caller's if it has none, or made up if there is neither.
    context: SpanContext,
    tenant: OnceLock<TenantId>,
}

/// A trace as it crosses from one process to another (W3C trace context).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceHeaders {
    /// Version, trace, span that calls, flags.
    pub traceparent: String,
    /// What other systems have to say; mostly empty.
    pub tracestate: String,
}

/// The request that a piece of work is for, and the span that it belongs to. Cheap to clone; take it along when work goes on
/// in another task or thread.
#[derive(Clone, Debug)]
pub struct Trace {
    request: Option<Arc<Request>>,
    span: Span,
}

impl TraceHeaders {
    /// Those that a call made now should have; none outside of requests.
    #[must_use]
    pub fn current() -> Option<Self> {
        let request = CURRENT.try_with(Arc::clone).ok()?;
        let context = span_context(&Span::current());
        let context = context.as_ref().unwrap_or(&request.context);
        Some(context::to_headers(context))
    }
}

impl Trace {
    /// That of the work at hand. Outside of requests it has nothing but the span.
    #[must_use]
    pub fn current() -> Self {
        Self {
            request: CURRENT.try_with(Arc::clone).ok(),
            span: Span::current(),
        }
    }

    /// Goes on with a trace that came in a message, as the work of `span`; with a new one if the message has none.
    #[must_use]
    pub fn continued(headers: &TraceHeaders, tenant: TenantId, span: Span) -> Self {
        let caller = context::parse(&headers.traceparent, &headers.tracestate);
        let trace = Self::begin(caller, span);
        trace.sync_scope(|| belongs_to(&tenant));
        trace
    }

    /// A request with these headers. `span` makes its span, given whether a caller is known.
    pub(crate) fn of_request(headers: &HeaderMap, span: impl FnOnce(bool) -> Span) -> Self {
        let caller = context::from_headers(headers);
        let span = span(caller.is_some());
        Self::begin(caller, span)
    }

    fn begin(caller: Option<SpanContext>, span: Span) -> Self {
        if let Some(caller) = &caller {
            let parent = Context::new().with_remote_span_context(caller.clone());
            // Fails if nobody collects spans.
            let _ = span.set_parent(parent);
        }
        let context = span_context(&span).or(caller);
        let request = Request {
            context: context.unwrap_or_else(context::generate),
            tenant: OnceLock::new(),
        };
        Self {
            request: Some(Arc::new(request)),
            span,
        }
    }

    /// Runs `work` as a part of it.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        let work = work.instrument(self.span);
        match self.request {
            Some(request) => CURRENT.scope(request, work).await,
            None => work.await,
        }
    }

    /// As [`Self::scope`], for work that does not wait.
    pub fn sync_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        let work = || self.span.in_scope(work);
        match &self.request {
            Some(request) => CURRENT.sync_scope(Arc::clone(request), work),
            None => work(),
        }
    }

    /// Its span.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }
}

/// A span's name among others, if it is collected.
fn span_context(span: &Span) -> Option<SpanContext> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context().span().span_context().clone();
    context.is_valid().then_some(context)
}

/// The request at hand is this tenant's.
pub(crate) fn belongs_to(tenant: &TenantId) {
    // Who asks twice gets the same.
    let _ = CURRENT.try_with(|request| request.tenant.set(tenant.clone()));
    Span::current().record("tenant", tenant.as_str());
}

/// The trace id of the request at hand; a new one outside of requests.
pub(crate) fn current_id() -> TraceId {
    CURRENT
        .try_with(|request| request.context.trace_id())
        .unwrap_or_else(|_| context::generate().trace_id())
}

/// What lines of the log say of the request at hand: its trace id, and its tenant once that is known. `None` outside of
/// requests.
#[must_use]
pub fn log_fields() -> Option<LogFields> {
    CURRENT
        .try_with(|request| LogFields {
            trace_id: request.context.trace_id(),
            tenant: request.tenant.get().cloned(),
        })
        .ok()
}

/// What lines of the log say of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFields {
    trace_id: TraceId,
    /// Whose request it is.
    pub tenant: Option<TenantId>,
}

impl LogFields {
    /// The trace id, 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> impl fmt::Display {
        self.trace_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(parent: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", parent.parse().unwrap());
        headers
    }

    #[test]
    fn work_knows_its_request_wherever_it_runs() {
        assert_eq!(TraceHeaders::current(), None);
        assert_eq!(log_fields(), None);
        let trace = Trace::of_request(&headers(CALLER), |called| {
            assert!(called);
            Span::none()
        });
        trace.sync_scope(|| {
            belongs_to(&TenantId::anonymous());
            // Without spans of its own a process passes on what it got.
            assert_eq!(TraceHeaders::current().unwrap().traceparent, CALLER);
            let elsewhere = Trace::current();
            let there = std::thread::spawn(move || elsewhere.sync_scope(log_fields));
            let fields = there.join().unwrap().unwrap();
            assert!(CALLER.contains(&fields.trace_id().to_string()));
            assert_eq!(fields.tenant, Some(TenantId::anonymous()));
        });
        assert_eq!(log_fields(), None);
    }

    #[test]
    fn a_request_without_a_caller_has_an_id_that_others_learn() {
        let trace = Trace::of_request(&HeaderMap::new(), |called| {
            assert!(!called);
            Span::none()
        });
        let sent = trace.sync_scope(|| TraceHeaders::current().unwrap());
        let tenant = TenantId::parse("a").unwrap();
        let there = Trace::continued(&sent, tenant.clone(), Span::none());
        let (here, there) = (
            trace.sync_scope(log_fields).unwrap(),
            there.sync_scope(log_fields).unwrap(),
        );
        assert_eq!(here.trace_id().to_string(), there.trace_id().to_string());
        assert_eq!((here.tenant, there.tenant), (None, Some(tenant)));
    }
}
