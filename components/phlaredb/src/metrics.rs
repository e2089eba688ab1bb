//! Figures of all heads of a process.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::wal;

/// Counters and gauges that the databases of all tenants share.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(crate) head_bytes: Gauge,
    pub(crate) head_series: Gauge,
    pub(crate) series_created: Counter,
    pub(crate) profiles: Gauge,
    pub(crate) profiles_created: Counter,
    pub(crate) samples: Gauge,
    pub(crate) received_values: Counter,
    pub(crate) ingested_values: Counter,
    pub(crate) replayed_profiles: Counter,
    pub(crate) lost_profiles: Counter,
    pub(crate) blocks_cut: Counter,
    pub(crate) blocks_set_aside: Counter,
    pub(crate) flush_peak_bytes: Gauge,
    pub(crate) wal: wal::Metrics,
}

impl Metrics {
    /// Makes the figures and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            wal: wal::Metrics::register(registry),
            ..Self::default()
        };
        let Self {
            head_bytes,
            head_series,
            series_created,
            profiles,
            profiles_created,
            samples,
            ..
        } = &metrics;
        registry.register(
            "pyroscope_head_size_bytes",
            "Memory of all heads in bytes",
            head_bytes.clone(),
        );
        registry.register(
            "pyroscope_tsdb_head_series",
            "Series in all heads",
            head_series.clone(),
        );
        registry.register(
            "pyroscope_tsdb_head_series_created",
            "Series made since start",
            series_created.clone(),
        );
        registry.register(
            "pyroscope_head_profiles",
            "Profiles in all heads",
            profiles.clone(),
        );
        registry.register(
            "pyroscope_head_profiles_created",
            "Profiles added since start",
            profiles_created.clone(),
        );
        registry.register(
            "pyroscope_head_samples",
            "Samples in all heads",
            samples.clone(),
        );
        registry.register(
            "pyroscope_head_received_sample_values",
            "Sample values received, before differences are taken",
            metrics.received_values.clone(),
        );
        registry.register(
            "pyroscope_head_ingested_sample_values",
            "Sample values stored",
            metrics.ingested_values.clone(),
        );
        registry.register(
            "phlare_head_replayed_profiles",
            "Profiles that came back from the log at start",
            metrics.replayed_profiles.clone(),
        );
        registry.register(
            "phlare_head_lost_profiles",
            "Profiles in the log that could not come back because of damage",
            metrics.lost_profiles.clone(),
        );
        registry.register(
            "phlare_head_blocks_cut",
            "Blocks that heads were cut into",
            metrics.blocks_cut.clone(),
        );
        registry.register(
            "phlare_blocks_set_aside",
            "Blocks in the data directory that could not be read at start",
            metrics.blocks_set_aside.clone(),
        );
        registry.register(
            "phlare_flush_peak_bytes",
            "Memory that the last flush needed besides its head",
            metrics.flush_peak_bytes.clone(),
        );
        metrics
    }
}
