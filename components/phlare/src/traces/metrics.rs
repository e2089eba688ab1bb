//! What is sent, and what is not.

use phlare_server::Registry;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Reason {
    reason: &'static str,
}

/// Figures of traces.
#[derive(Clone, Debug, Default)]
pub(super) struct Metrics {
    pub(super) exported: Counter,
    pub(super) waiting: Gauge,
    dropped: Family<Reason, Counter>,
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "phlare_tracing_spans_exported",
            "Spans that the collector took",
            self.exported.clone(),
        );
        registry.register(
            "phlare_tracing_spans_waiting",
            "Spans in the queue of `OTEL_BSP_MAX_QUEUE_SIZE`",
            self.waiting.clone(),
        );
        registry.register(
            "phlare_tracing_spans_dropped",
            "Spans that the collector did not get: the queue was full, or it did not take them",
            self.dropped.clone(),
        );
    }

    /// Spans that did not fit into the queue.
    pub(super) fn full(&self) -> Counter {
        self.dropped("queue_full")
    }

    /// Spans that the collector did not take.
    pub(super) fn failed(&self) -> Counter {
        self.dropped("export_failed")
    }

    fn dropped(&self, reason: &'static str) -> Counter {
        self.dropped.get_or_create_owned(&Reason { reason })
    }
}
