//! What the resources' conditions are, worked out when somebody asks: a resource that is gone has no figures.

use std::sync::{Arc, OnceLock};

use kube::ResourceExt;
use kube::runtime::reflector::Store;
use phlare_operator_api::PhlareCluster;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

/// Conditions of all resources. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Conditions(Arc<OnceLock<Store<PhlareCluster>>>);

impl std::fmt::Debug for Conditions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conditions").finish_non_exhaustive()
    }
}

impl Conditions {
    /// The resources are found in `store` from now on.
    pub(super) fn of(&self, store: Store<PhlareCluster>) {
        // There is one controller in a process.
        let _ = self.0.set(store);
    }
}

impl Collector for Conditions {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let clusters = self.0.get().map(Store::state).unwrap_or_default();
        if clusters.is_empty() {
            return Ok(());
        }
        let mut metric = encoder.encode_descriptor(
            "phlare_operator_condition",
            "Whether a condition of a PhlareCluster is true; one that it does not have is false",
            None,
            MetricType::Gauge,
        )?;
        for cluster in clusters {
            let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
            let conditions = cluster.status.iter().flat_map(|status| &status.conditions);
            for condition in conditions {
                // Prometheus takes `namespace` for that of the operator.
                let labels = [
                    ("of_namespace", namespace.as_str()),
                    ("of_cluster", name.as_str()),
                    ("type", condition.type_.as_str()),
                ];
                let mut series = metric.encode_family(&labels)?;
                series.encode_gauge(&i64::from(condition.status == "True"))?;
            }
        }
        Ok(())
    }
}
