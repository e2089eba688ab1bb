//! Figures about answered queries.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

const BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0,
];

/// From a query whose pieces are all in memory to one that reads many blocks.
const BYTES: [f64; 12] = [
    0.0, 4e3, 16e3, 64e3, 256e3, 1e6, 4e6, 16e6, 64e6, 256e6, 1e9, 4e9,
];

/// The figures of the querier.
#[derive(Clone, Debug)]
pub struct Metrics {
    durations: Family<Operation, Histogram, fn() -> Histogram>,
    calls: Family<Operation, Counter>,
    failures: Family<Operation, Counter>,
    keys: Family<Operation, Counter>,
    repeats: Family<Operation, Counter>,
    bytes_read: Family<Operation, Histogram, fn() -> Histogram>,
    schedulers: Gauge,
    running: Gauge,
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
        let counters = [
            (
                "phlare_querier_store_calls",
                "Calls to stores of the fleet",
                &metrics.calls,
            ),
            (
                "phlare_querier_store_call_failures",
                "Calls to stores of the fleet that failed",
                &metrics.failures,
            ),
            (
                "phlare_querier_profile_keys",
                "Keys by which stores of the fleet said which profiles they have",
                &metrics.keys,
            ),
            (
                "phlare_querier_query_repeats",
                "Queries begun anew because stores failed or lost profiles meanwhile",
                &metrics.repeats,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "pyroscope_querier_query_frontend_clients",
            "Query-schedulers that this querier takes queries from",
            metrics.schedulers.clone(),
        );
        registry.register(
            "phlare_querier_taken_queries_running",
            "Queries taken from query-schedulers that are being answered",
            metrics.running.clone(),
        );
        registry.register_with_unit(
            "phlare_querier_query_read",
            "Bytes that an answered query read from the files of blocks, what was in memory and gaps between ranges aside",
            Unit::Bytes,
            metrics.bytes_read.clone(),
        );
        metrics
    }

    fn new() -> Self {
        Self {
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            bytes_read: Family::new_with_constructor(|| Histogram::new(BYTES)),
            calls: Family::default(),
            failures: Family::default(),
            keys: Family::default(),
            repeats: Family::default(),
            schedulers: Gauge::default(),
            running: Gauge::default(),
        }
    }

    /// Queries are taken from so many query-schedulers.
    pub(crate) fn schedulers(&self, count: i64) {
        self.schedulers.set(count);
    }

    /// Counts a query that was taken until the guard is dropped.
    pub(crate) fn running(&self) -> Running {
        self.running.inc();
        Running(self.running.clone())
    }

    /// A store of the fleet was called.
    pub(crate) fn called(&self, operation: &'static str) {
        self.calls.get_or_create(&Operation { operation }).inc();
    }

    /// It failed.
    pub(crate) fn call_failed(&self, operation: &'static str) {
        self.failures.get_or_create(&Operation { operation }).inc();
    }

    /// Stores said the keys of so many profiles.
    pub(crate) fn exchanged(&self, operation: &'static str, keys: u64) {
        let counter = self.keys.get_or_create(&Operation { operation });
        counter.inc_by(keys);
    }

    /// A query is begun anew.
    pub(crate) fn repeated(&self, operation: &'static str) {
        self.repeats.get_or_create(&Operation { operation }).inc();
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub(crate) fn read(&self, operation: &'static str, bytes: u64) {
        self.bytes_read
            .get_or_create(&Operation { operation })
            .observe(bytes as f64);
    }

    pub(crate) fn answered(&self, operation: &'static str, after: Duration) {
        self.durations
            .get_or_create(&Operation { operation })
            .observe(after.as_secs_f64());
    }
}

/// A query that was taken.
#[derive(Debug)]
pub(crate) struct Running(Gauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
