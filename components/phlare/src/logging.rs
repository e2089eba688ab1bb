//! The process's log: logfmt or JSON on standard error. Spans of requests go where [`crate::traces`] sends them.

mod format;

use opentelemetry_sdk::trace::SdkTracer;
use phlare_model::SPANS;
use phlare_server::{Config, LogFormat, LogLevel};
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::filter::{Directive, EnvFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use format::OfRequest;

/// Lines of this process go to standard error from now on, and spans to `tracer`. `RUST_LOG` refines the level for single
/// crates.
pub(crate) fn begin(config: &Config, tracer: Option<SdkTracer>) {
    // Only a test could have set another one before.
    let _ = subscriber(config, tracer, std::io::stderr).try_init();
}

fn subscriber<W>(
    config: &Config,
    tracer: Option<SdkTracer>,
    writer: W,
) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let level = match config.log_level {
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    let filter = EnvFilter::builder()
        .with_default_directive(Directive::from(level))
        .from_env_lossy();
    // What belongs to a request is told from the request itself: its spans need not be there.
    let filter = match format!("{SPANS}=off").parse() {
        Ok(no_spans) => filter.add_directive(no_spans),
        Err(_) => filter,
    };
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match config.log_format {
        LogFormat::Logfmt => tracing_logfmt::builder()
            .with_target(false)
            .layer()
            .with_writer(writer)
            .map_event_format(OfRequest::logfmt)
            .boxed(),
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .with_writer(writer)
            .map_event_format(OfRequest::json)
            .boxed(),
    };
    // A layer that is `None` would be asked about every span, and spans be made that nobody takes.
    let mut layers = vec![lines.with_filter(filter).boxed()];
    layers.extend(tracer.map(|tracer| {
        let only_spans = filter_fn(|meta| meta.target() == SPANS);
        OpenTelemetryLayer::new(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(only_spans.with_max_level_hint(LevelFilter::INFO))
            .boxed()
    }));
    tracing_subscriber::registry().with(layers)
}

#[cfg(test)]
mod tests;
