//! Traces: spans of requests go to a collector over OTLP, if the settings say so.
//!
//! Whoever has a request never waits for the collector: finished spans go into a bounded queue, and what does not fit, or
//! is not taken in time, is dropped and counted. Where they go, how many are made and under which name is said by the
//! standard variables (`OTEL_EXPORTER_OTLP_*`, `OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME`, `OTEL_BSP_*`).

mod config;
mod export;
mod metrics;

use std::time::Duration;

use anyhow::{Context, bail};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use phlare_ring::host_name;
use phlare_server::Registry;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub(crate) use config::Config;
use config::Environment;
use export::{Exporting, Queue};
use metrics::Metrics;

/// How long the last spans may take when the process ends.
const LAST: Duration = Duration::from_secs(5);

/// What makes spans, and sends them.
#[derive(Debug)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    exporting: JoinSet<()>,
    stop: CancellationToken,
    metrics: Metrics,
}

impl Traces {
    /// `None` unless `config`, and the environment, say so. `target`: what the process runs. Needs a runtime.
    pub(crate) fn begin(config: &Config, target: &str) -> anyhow::Result<Option<Self>> {
        let environment = Environment::read(|name| std::env::var(name).ok())?;
        if !config.enabled || environment.is_off {
            return Ok(None);
        }
        let exporter = exporter(config, &environment)?;
        let metrics = Metrics::default();
        let (queue, spans) = Queue::new(environment.queue, metrics.clone());
        let resource = Resource::builder()
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", host_name()));
        let resource = match environment.has_name {
            true => resource.build(),
            false => resource
                .with_service_name(format!("phlare-{target}"))
                .build(),
        };
        let exporting = Exporting {
            spans,
            exporter: exporter(resource.clone()),
            batch: environment.batch,
            every: environment.every,
            within: environment.within,
            metrics: metrics.clone(),
        };
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        running.spawn(exporting.run(stop.clone()));
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_span_processor(queue)
            .build();
        Ok(Some(Self {
            provider,
            exporting: running,
            stop,
            metrics,
        }))
    }

    /// What makes the spans.
    pub(crate) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("phlare")
    }

    /// Shows what is sent and dropped.
    pub(crate) fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// Sends what is left, for a few seconds at most.
    pub(crate) async fn finish(mut self) {
        self.stop.cancel();
        if timeout(LAST, self.exporting.join_next()).await.is_err() {
            warn!(within = ?LAST, "the last spans were not taken in time, they are dropped");
        }
    }
}

/// Connects to the collector when there is something to send.
fn exporter(
    config: &Config,
    environment: &Environment,
) -> anyhow::Result<impl FnOnce(Resource) -> SpanExporter> {
    let mut tls = ClientTlsConfig::new().with_native_roots();
    if let Some(path) = &environment.certificate {
        let pem = std::fs::read(path).with_context(|| format!("read the certificate {path}"))?;
        tls = tls.ca_certificate(Certificate::from_pem(pem));
    }
    let mut builder = SpanExporter::builder().with_tonic().with_tls_config(tls);
    if !config.endpoint.is_empty() {
        builder = builder.with_endpoint(&config.endpoint);
    }
    let exporter = match builder.build() {
        Ok(exporter) => exporter,
        Err(error) => bail!("traces cannot be sent: {error}"),
    };
    Ok(move |resource: Resource| {
        let mut exporter = exporter;
        opentelemetry_sdk::trace::SpanExporter::set_resource(&mut exporter, &resource);
        exporter
    })
}
