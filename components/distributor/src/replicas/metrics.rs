//! Figures of replication.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// What became of profiles on their way to ingesters.
#[derive(Clone, Debug, Default)]
pub struct ReplicaMetrics {
    pub(super) stored: Counter,
    pub(super) refused: Counter,
    pub(super) unavailable: Counter,
    pub(super) stood_in: Counter,
    pub(super) overloaded: Counter,
}

impl ReplicaMetrics {
    /// Makes the figures and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let counters = [
            (
                "phlare_distributor_replicas_stored",
                "Profiles that an ingester stored",
                &metrics.stored,
            ),
            (
                "phlare_distributor_replicas_refused",
                "Profiles that an ingester refused, because of a limit for example",
                &metrics.refused,
            ),
            (
                "phlare_distributor_replicas_unavailable",
                "Profiles that an ingester could not take: it was away, starting, stopping or too slow",
                &metrics.unavailable,
            ),
            (
                "phlare_distributor_replicas_stood_in",
                "Profiles that were offered to another ingester because one could not take them",
                &metrics.stood_in,
            ),
            (
                "phlare_distributor_replicas_overloaded",
                "Profiles refused because too many bytes were on their way to ingesters",
                &metrics.overloaded,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        metrics
    }
}
