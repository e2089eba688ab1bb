//! Figures of the ingester.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Gauges of the ingester; those of its databases are [`phlare_phlaredb::Metrics`].
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(crate) tenants: Gauge,
    pub(crate) max_tenants: Gauge,
    pub(crate) head_max_bytes: Gauge,
    pub(crate) cut_failures: Counter,
    pub(crate) syncs: Counter,
    pub(crate) sync_failures: Counter,
    pub(crate) uploads: Counter,
    pub(crate) upload_failures: Counter,
    pub(crate) local_blocks: Gauge,
    pub(crate) blocks_to_upload: Gauge,
    pub(crate) prepared: Gauge,
    pub(crate) prepare_finished: Gauge,
    pub(crate) local_blocks_deleted: Counter,
    pub(crate) disk_free_bytes: Gauge,
    pub(crate) disk_reserve_bytes: Gauge,
    pub(crate) disk_refused: Counter,
}

impl Metrics {
    /// Makes the figures and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "phlare_ingester_tenants",
            "Tenants with a database here",
            metrics.tenants.clone(),
        );
        registry.register(
            "phlare_ingester_max_tenants",
            "Limit of tenants with a database here, 0 is unlimited",
            metrics.max_tenants.clone(),
        );
        registry.register(
            "phlare_ingester_head_max_bytes",
            "Limit of memory of all heads in bytes",
            metrics.head_max_bytes.clone(),
        );
        let counters = [
            (
                "phlare_ingester_cut_failures",
                "Heads that could not be written as blocks; they are kept and tried again",
                &metrics.cut_failures,
            ),
            (
                "pyroscope_shipper_dir_syncs",
                "Times that local blocks were looked through for uploads",
                &metrics.syncs,
            ),
            (
                "pyroscope_shipper_dir_sync_failures",
                "Times that this failed for a block",
                &metrics.sync_failures,
            ),
            (
                "pyroscope_shipper_uploads",
                "Blocks uploaded",
                &metrics.uploads,
            ),
            (
                "pyroscope_shipper_upload_failures",
                "Uploads of blocks that failed; they are tried again",
                &metrics.upload_failures,
            ),
            (
                "phlare_ingester_local_blocks_deleted",
                "Uploaded blocks deleted from the local disk",
                &metrics.local_blocks_deleted,
            ),
            (
                "phlare_ingester_disk_full_refusals",
                "Pushes refused because the disk is nearly full",
                &metrics.disk_refused,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        let gauges = [
            (
                "phlare_ingester_local_blocks",
                "Blocks on the local disk",
                &metrics.local_blocks,
            ),
            (
                "phlare_ingester_blocks_to_upload",
                "Blocks that are not in the bucket yet",
                &metrics.blocks_to_upload,
            ),
            (
                "phlare_ingester_prepare_shutdown_requested",
                "Whether it was asked to prepare for its end: it takes no profiles and uploads all it has",
                &metrics.prepared,
            ),
            (
                "phlare_ingester_prepare_shutdown_finished",
                "Whether it was, and all it held is in the bucket: it may go",
                &metrics.prepare_finished,
            ),
            (
                "phlare_ingester_disk_free_bytes",
                "Free bytes on the disk of the data directory",
                &metrics.disk_free_bytes,
            ),
            (
                "phlare_ingester_disk_reserve_bytes",
                "Free bytes below which pushes are refused",
                &metrics.disk_reserve_bytes,
            ),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        metrics
    }
}
