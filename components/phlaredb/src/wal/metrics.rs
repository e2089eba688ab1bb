//! Figures of the logs of a process.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// What the logs of all tenants count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) written_bytes: Counter,
    pub(super) fsync_seconds: Histogram,
    pub(super) group_records: Histogram,
    pub(super) segments: Gauge,
    pub(super) segment_bytes: Gauge,
    pub(super) pending_bytes: Gauge,
    pub(super) refused: Counter,
    pub(super) errors: Family<Operation, Counter>,
    pub(super) replayed_records: Counter,
    pub(super) damaged_bytes: Counter,
    pub(super) truncated_bytes: Counter,
}

/// What was tried when something failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Operation {
    pub(super) operation: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            written_bytes: Counter::default(),
            fsync_seconds: Histogram::new(exponential_buckets(0.0001, 2.0, 18)),
            group_records: Histogram::new(exponential_buckets(1.0, 2.0, 14)),
            segments: Gauge::default(),
            segment_bytes: Gauge::default(),
            pending_bytes: Gauge::default(),
            refused: Counter::default(),
            errors: Family::default(),
            replayed_records: Counter::default(),
            damaged_bytes: Counter::default(),
            truncated_bytes: Counter::default(),
        }
    }
}

impl Metrics {
    /// Makes the figures and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "phlare_wal_written_bytes",
            "Bytes written to the log",
            metrics.written_bytes.clone(),
        );
        registry.register(
            "phlare_wal_fsync_duration_seconds",
            "Time that the disk took to make a group of records durable",
            metrics.fsync_seconds.clone(),
        );
        registry.register(
            "phlare_wal_group_records",
            "Records written together",
            metrics.group_records.clone(),
        );
        registry.register(
            "phlare_wal_segments",
            "Segments of the log on disk",
            metrics.segments.clone(),
        );
        registry.register(
            "phlare_wal_segment_bytes",
            "Size of the log",
            metrics.segment_bytes.clone(),
        );
        registry.register(
            "phlare_wal_pending_bytes",
            "Bytes in memory that are not yet safely in the log",
            metrics.pending_bytes.clone(),
        );
        registry.register(
            "phlare_wal_refused_records",
            "Records refused because the disk is too slow or fails",
            metrics.refused.clone(),
        );
        registry.register(
            "phlare_wal_errors",
            "Failures of the disk under the log",
            metrics.errors.clone(),
        );
        registry.register(
            "phlare_wal_replayed_records",
            "Records read from the log at start",
            metrics.replayed_records.clone(),
        );
        registry.register(
            "phlare_wal_damaged_bytes",
            "Bytes of the log that could not be read at start, with readable ones behind them",
            metrics.damaged_bytes.clone(),
        );
        registry.register(
            "phlare_wal_truncated_bytes",
            "Bytes of unfinished records that were cut off the end of the log at start",
            metrics.truncated_bytes.clone(),
        );
        metrics
    }
}
