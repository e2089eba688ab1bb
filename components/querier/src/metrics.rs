//! Figures about answered queries.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

const BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0,
];

/// The figures of the querier.
#[derive(Clone, Debug)]
pub struct Metrics {
    durations: Family<Operation, Histogram, fn() -> Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation: &'static str,
}

impl Metrics {
    /// Makes them visible.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::new();
        registry.register_with_unit(
            "phlare_querier_query_duration",
            "Time from a query's arrival to its answer, waiting for a processor included",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        metrics
    }

    fn new() -> Self {
        Self {
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
        }
    }

    pub(crate) fn answered(&self, operation: &'static str, after: Duration) {
        self.durations
            .get_or_create(&Operation { operation })
            .observe(after.as_secs_f64());
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
