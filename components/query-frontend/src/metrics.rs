//! Figures about queries.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The figures of the query-frontend.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    in_progress: Gauge,
    refused: Family<Reason, Counter>,
    repeated: Family<Operation, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

impl Metrics {
    /// Makes them visible.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "pyroscope_query_frontend_queries_in_progress",
            "Queries being answered",
            metrics.in_progress.clone(),
        );
        registry.register(
            "phlare_query_frontend_refused_queries",
            "Queries refused before anything was read, by reason",
            metrics.refused.clone(),
        );
        registry.register(
            "phlare_query_frontend_repeated_queries",
            "Queries asked again because their querier or their query-scheduler went away",
            metrics.repeated.clone(),
        );
        metrics
    }

    /// Counts a query until the guard is dropped, also when its client goes away.
    pub(crate) fn start(&self) -> InProgress {
        self.in_progress.inc();
        InProgress(self.in_progress.clone())
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn repeated(&self, operation: &'static str) {
        self.repeated.get_or_create(&Operation { operation }).inc();
    }

    #[cfg(test)]
    pub(crate) fn figures(&self, reason: &'static str) -> (i64, u64) {
        (
            self.in_progress.get(),
            self.refused.get_or_create(&Reason { reason }).get(),
        )
    }
}

/// A query being answered.
#[derive(Debug)]
pub(crate) struct InProgress(Gauge);

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.dec();
    }
}
