//! Figures of the operator.

mod conditions;

use std::time::Duration;

use kube::runtime::reflector::Store;
use phlare_operator_api::PhlareCluster;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use self::conditions::Conditions;

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Outcome {
    /// Everything is as it should be, or on its way.
    Success,
    /// The API server did not answer or refused.
    Error,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: String,
}

/// Figures of the operator.
#[derive(Clone, Debug)]
pub struct Metrics {
    reconciles: Family<OutcomeLabel, Counter>,
    duration: Histogram,
    writes: Family<KindLabel, Counter>,
    running: Gauge,
    leading: Gauge,
    clusters: Gauge,
    conditions: Conditions,
}

impl Metrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let bounds = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];
        let metrics = Self {
            reconciles: Family::default(),
            duration: Histogram::new(bounds),
            writes: Family::default(),
            running: Gauge::default(),
            leading: Gauge::default(),
            clusters: Gauge::default(),
            conditions: Conditions::default(),
        };
        registry.register_collector(Box::new(metrics.conditions.clone()));
        let operator = registry.sub_registry_with_prefix("phlare_operator");
        operator.register(
            "reconciles",
            "Reconciles, by how they ended",
            metrics.reconciles.clone(),
        );
        operator.register(
            "reconcile_duration_seconds",
            "How long reconciles took",
            metrics.duration.clone(),
        );
        operator.register(
            "writes",
            "Writes to the API server, by kind of object",
            metrics.writes.clone(),
        );
        operator.register(
            "reconciles_running",
            "Reconciles at this moment",
            metrics.running.clone(),
        );
        operator.register(
            "leading",
            "Whether this operator is the one that writes",
            metrics.leading.clone(),
        );
        operator.register(
            "clusters",
            "PhlareCluster resources that are reconciled",
            metrics.clusters.clone(),
        );
        metrics
    }

    /// A reconcile begins.
    pub(crate) fn begin(&self) {
        self.running.inc();
    }

    /// A reconcile has ended.
    pub(crate) fn end(&self, outcome: Outcome, took: Duration) {
        self.running.dec();
        self.duration.observe(took.as_secs_f64());
        self.reconciles
            .get_or_create(&OutcomeLabel { outcome })
            .inc();
    }

    /// Something was written.
    pub(crate) fn wrote(&self, kind: &str) {
        let label = KindLabel {
            kind: kind.to_owned(),
        };
        self.writes.get_or_create(&label).inc();
    }

    /// This operator leads from now on.
    pub fn count_leading(&self) {
        self.leading.set(1);
    }

    /// Where the resources are found whose conditions are shown.
    pub(crate) fn show_conditions(&self, store: Store<PhlareCluster>) {
        self.conditions.of(store);
    }

    /// How many resources there are.
    pub(crate) fn count(&self, clusters: usize) {
        self.clusters
            .set(i64::try_from(clusters).unwrap_or(i64::MAX));
    }
}
