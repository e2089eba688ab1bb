//! Figures of the ingester.

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Gauges of the ingester; those of its databases are [`phlare_phlaredb::Metrics`].
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(crate) tenants: Gauge,
    pub(crate) max_tenants: Gauge,
    pub(crate) head_max_bytes: Gauge,
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
        metrics
    }
}
