//! Figures of the operator.

mod conditions;

use std::cmp::Ordering;
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
use crate::decide::autoscale::Demand;

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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterLabel {
    namespace: String,
    name: String,
}

/// What became of a number of pods that follows the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Step {
    Up,
    Down,
    None,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabel {
    namespace: String,
    name: String,
    step: Step,
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
    decisions: Family<StepLabel, Counter>,
    queriers: Family<ClusterLabel, Gauge>,
    demand: Family<ClusterLabel, Gauge>,
    missing: Family<ClusterLabel, Counter>,
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
            decisions: Family::default(),
            queriers: Family::default(),
            demand: Family::default(),
            missing: Family::default(),
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
        metrics.register_autoscaling(operator);
        metrics
    }

    fn register_autoscaling(&self, operator: &mut Registry) {
        operator.register(
            "autoscaling_decisions",
            "Decisions on the number of queriers, by what became of it",
            self.decisions.clone(),
        );
        operator.register(
            "autoscaling_queriers",
            "Queriers that there should be by the queries that wait and run",
            self.queriers.clone(),
        );
        operator.register(
            "autoscaling_queries",
            "Queries that wait and run: the most of the last 30 seconds",
            self.demand.clone(),
        );
        operator.register(
            "autoscaling_missing_samples",
            "Decisions without knowing how many queries wait and run",
            self.missing.clone(),
        );
    }

    /// The number of queriers was decided on: what it was, what it is, and by what load.
    pub(crate) fn autoscaled(
        &self,
        namespace: &str,
        name: &str,
        (from, to): (i32, i32),
        demand: Demand,
    ) {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let cluster = ClusterLabel {
            namespace: namespace.clone(),
            name: name.clone(),
        };
        let step = match to.cmp(&from) {
            Ordering::Greater => Step::Up,
            Ordering::Less => Step::Down,
            Ordering::Equal => Step::None,
        };
        let label = StepLabel {
            namespace,
            name,
            step,
        };
        self.decisions.get_or_create(&label).inc();
        self.queriers.get_or_create(&cluster).set(i64::from(to));
        match demand {
            Demand::Whole(queries) => {
                let queries = i64::try_from(queries).unwrap_or(i64::MAX);
                self.demand.get_or_create(&cluster).set(queries);
            }
            Demand::AtLeast(_) | Demand::Unknown => {
                self.missing.get_or_create(&cluster).inc();
            }
        }
    }

    /// A resource is gone, or its number of queriers is not the operator's any more.
    pub(crate) fn forget(&self, namespace: &str, name: &str) {
        let cluster = ClusterLabel {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        self.queriers.remove(&cluster);
        self.demand.remove(&cluster);
        self.missing.remove(&cluster);
        for step in [Step::Up, Step::Down, Step::None] {
            self.decisions.remove(&StepLabel {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                step,
            });
        }
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
