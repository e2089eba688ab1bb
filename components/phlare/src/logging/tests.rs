use std::io;
use std::sync::Arc;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use parking_lot::Mutex;
use phlare_model::TenantId;
use phlare_server::{Trace, TraceHeaders};
use tracing::{Span, Subscriber as _, info, info_span, warn};

use super::*;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn of(config: &Config, tracer: Option<SdkTracer>, work: impl FnOnce()) -> String {
        let lines = Self::default();
        let to = lines.clone();
        let subscriber = subscriber(config, tracer, move || to.clone());
        tracing::subscriber::with_default(subscriber, work);
        let bytes = lines.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }
}

fn config(log_format: LogFormat, log_level: LogLevel) -> Config {
    Config {
        log_format,
        log_level,
        ..Config::default()
    }
}

fn trace(span: Span) -> Trace {
    let headers = TraceHeaders {
        traceparent: PARENT.to_owned(),
        tracestate: String::new(),
    };
    Trace::continued(&headers, TenantId::parse("team-a").unwrap(), span)
}

fn say() {
    info!("before");
    trace(Span::none()).sync_scope(|| {
        warn!(x = 1, "within");
        warn!(tenant = "other", "about another");
    });
}

#[test]
fn lines_of_a_request_have_its_tenant_and_its_trace() {
    let text = Lines::of(&config(LogFormat::Logfmt, LogLevel::Info), None, say);
    let lines: Vec<&str> = text.lines().collect();
    let [before, within, other] = lines.as_slice() else {
        panic!("{text}");
    };
    assert!(before.ends_with("message=before"), "{before}");
    let id = "traceID=4bf92f3577b34da6a3ce929d0e0e4736";
    assert!(
        within.ends_with(&format!(" tenant=team-a {id}")),
        "{within}"
    );
    assert!(
        other.contains("tenant=other") && other.ends_with(id),
        "{other}"
    );
    assert!(!other.contains("team-a"), "{other}");
}

#[test]
fn so_have_lines_of_json() {
    let text = Lines::of(&config(LogFormat::Json, LogLevel::Info), None, say);
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].get("traceID").is_none());
    assert_eq!(lines[1]["tenant"], "team-a");
    assert_eq!(lines[1]["traceID"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(lines[1]["fields"]["message"], "within");
}

#[test]
fn without_a_collector_there_are_no_spans() {
    let provider = SdkTracerProvider::builder().build();
    let tracer = provider.tracer("test");
    let mut of_span = None;
    Lines::of(
        &config(LogFormat::Logfmt, LogLevel::Info),
        Some(tracer),
        || {
            of_span = info_span!(target: SPANS, "work").metadata();
        },
    );
    let of_span = of_span.expect("a span that somebody collects is made");
    // The finest level: nothing but the target keeps spans out. `never` is asked once for each place in the code.
    let finest = config(LogFormat::Logfmt, LogLevel::Trace);
    let subscriber = subscriber(&finest, None, io::sink);
    assert!(subscriber.register_callsite(of_span).is_never());
}

#[test]
fn with_one_a_span_goes_on_with_the_callers_trace_whatever_the_log_says() {
    let provider = SdkTracerProvider::builder().build();
    let tracer = provider.tracer("test");
    let config = config(LogFormat::Logfmt, LogLevel::Error);
    let text = Lines::of(&config, Some(tracer), || {
        let trace = trace(info_span!(target: SPANS, "work"));
        let sent = trace.sync_scope(|| TraceHeaders::current().unwrap());
        let parts: Vec<&str> = sent.traceparent.split('-').collect();
        let parent: Vec<&str> = PARENT.split('-').collect();
        assert_eq!((parts[1], parts[3]), (parent[1], parent[3]));
        assert_ne!(parts[2], parent[2], "a span of its own");
    });
    assert_eq!(text, "");
}
