//! Figures of the store-gateway.

use phlare_phlaredb::BlockCache;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

/// Counters and gauges.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(crate) syncs: Counter,
    pub(crate) sync_failures: Counter,
    pub(crate) last_sync_s: Gauge,
    pub(crate) tenants: Gauge,
    pub(crate) blocks: Gauge,
    pub(crate) bad_metas: Counter,
    pub(crate) index_loads: Counter,
    pub(crate) index_load_failures: Counter,
}

impl Metrics {
    /// Makes the figures and registers them.
    pub fn register(registry: &mut Registry, cache: &BlockCache) -> Self {
        let metrics = Self::default();
        registry.register(
            "pyroscope_storegateway_bucket_sync",
            "Times that the bucket was listed",
            metrics.syncs.clone(),
        );
        registry.register(
            "phlare_storegateway_bucket_sync_failures",
            "Times that the bucket could not be listed",
            metrics.sync_failures.clone(),
        );
        registry.register(
            "pyroscope_bucket_stores_blocks_last_successful_sync_timestamp_seconds",
            "When the bucket was listed last",
            metrics.last_sync_s.clone(),
        );
        registry.register(
            "pyroscope_bucket_stores_tenants_synced",
            "Tenants with blocks",
            metrics.tenants.clone(),
        );
        registry.register(
            "phlare_bucket_stores_blocks",
            "Blocks that queries see",
            metrics.blocks.clone(),
        );
        registry.register(
            "phlare_bucket_stores_bad_metas",
            "Blocks left out because their meta.json cannot be read",
            metrics.bad_metas.clone(),
        );
        registry.register(
            "pyroscope_bucket_index_loads",
            "Times that the index of a tenant's blocks was looked for",
            metrics.index_loads.clone(),
        );
        registry.register(
            "pyroscope_bucket_index_load_failures",
            "Times that it could not be read",
            metrics.index_load_failures.clone(),
        );
        registry.register_collector(Box::new(CacheFigures(cache.clone())));
        metrics
    }
}

/// What the cache of block pieces knows about itself.
#[derive(Debug)]
struct CacheFigures(BlockCache);

impl Collector for CacheFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let cache = &self.0;
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let gauges = [
            (
                "phlare_block_cache_bytes",
                "Memory of pieces of blocks",
                cache.size_bytes(),
            ),
            (
                "phlare_block_cache_limit_bytes",
                "Memory that pieces of blocks may have",
                cache.limit_bytes(),
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(signed(value));
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        let (hits, misses) = cache.hits_and_misses();
        let counters = [
            (
                "phlare_block_cache_hits",
                "Pieces of blocks found in memory",
                hits,
            ),
            (
                "phlare_block_cache_misses",
                "Pieces of blocks that had to be read",
                misses,
            ),
            (
                "phlare_blocks_left_out",
                "Times that a damaged or incomplete block was left out of an answer",
                cache.unreadable(),
            ),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        Ok(())
    }
}
