//! A collector of traces, as OpenTelemetry's is: takes spans over OTLP (gRPC) and keeps them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// A span that a process has sent.
#[derive(Clone, Debug)]
pub struct Span {
    /// Name of the process' service, and of its instance.
    pub service: String,
    /// What was done.
    pub name: String,
    /// Ids as `traceparent` has them; `parent` is empty for the first span of a trace.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// The span that it is a part of.
    pub parent: String,
    /// What it says besides, numbers as text.
    pub attributes: BTreeMap<String, String>,
    /// Whether it failed.
    pub failed: bool,
}

/// A running collector; it ends when this is dropped.
#[derive(Debug)]
pub struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<Span>>>,
    _serving: JoinSet<Result<(), tonic::transport::Error>>,
}

impl Collector {
    /// On a free port of this machine.
    ///
    /// # Errors
    /// If there is none.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let spans: Arc<Mutex<Vec<Span>>> = Arc::default();
        let service = TraceServiceServer::new(Service(Arc::clone(&spans)));
        let mut serving = JoinSet::new();
        let server = Server::builder().add_service(service);
        serving.spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        Ok(Self {
            url,
            spans,
            _serving: serving,
        })
    }

    /// Where it takes spans.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All spans so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let spans = self.spans.lock();
        spans.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The spans of one trace so far.
    #[must_use]
    pub fn trace(&self, id: &str) -> Trace {
        let mut spans = self.spans();
        spans.retain(|span| span.trace == id);
        Trace(spans)
    }
}

/// Spans that belong together.
#[derive(Clone, Debug)]
pub struct Trace(pub Vec<Span>);

impl Trace {
    /// The spans of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<&Span> {
        self.0.iter().filter(|span| span.name == name).collect()
    }

    /// The one span of this name.
    ///
    /// # Errors
    /// If there is none, or several.
    pub fn the(&self, name: &str) -> anyhow::Result<&Span> {
        match self.named(name).as_slice() {
            [span] => Ok(span),
            others => anyhow::bail!("{} spans {name:?} in {:#?}", others.len(), self.0),
        }
    }

    /// Names of a span and of those that it is a part of, from the outermost. Of a parent that is not there, the id.
    #[must_use]
    pub fn path(&self, span: &Span) -> Vec<String> {
        let mut path = vec![span.name.clone()];
        let mut parent = &span.parent;
        while !parent.is_empty() && path.len() < 100 {
            let Some(next) = self.0.iter().find(|span| span.id == *parent) else {
                path.push(parent.clone());
                break;
            };
            path.push(next.name.clone());
            parent = &next.parent;
        }
        path.reverse();
        path
    }
}

struct Service(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for of_process in request.into_inner().resource_spans {
            let resource = of_process.resource.unwrap_or_default();
            let service = attributes(&resource.attributes).remove("service.name");
            let service = service.unwrap_or_default();
            let spans = of_process.scope_spans.into_iter();
            for span in spans.flat_map(|scope| scope.spans) {
                taken.push(Span {
                    service: service.clone(),
                    name: span.name,
                    trace: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    attributes: attributes(&span.attributes),
                    failed: span.status.is_some_and(|status| status.code == 2),
                });
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(pairs: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        Value::BoolValue(is) => Some(is.to_string()),
        _ => None,
    };
    let known = pairs
        .iter()
        .filter_map(|pair| Some((pair.key.clone(), text(&pair.value)?)));
    known.collect()
}
