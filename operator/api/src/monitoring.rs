//! What a Phlare gives to Prometheus and Grafana.

#![expect(
    unreachable_pub,
    reason = "the derive makes a second type of each, which nobody reaches"
)]

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Opaque;

/// What Prometheus and Grafana are told of a Phlare. Objects whose definition the Kubernetes does not have are left out,
/// and the condition `MonitoringActive` says so.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Monitoring {
    /// Has all pods scraped.
    #[serde(default)]
    pub service_monitor: ServiceMonitor,

    /// Alerts, each with what to do.
    #[serde(default)]
    pub prometheus_rule: PrometheusRule,

    /// Dashboards of writes, reads, storage and tenants.
    #[serde(default)]
    pub dashboards: Dashboards,
}

/// A ServiceMonitor of the Prometheus operator. With `spec.networkPolicy`, pods with the label
/// `app.kubernetes.io/name: prometheus` may scrape, from every namespace.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
pub struct ServiceMonitor {
    /// Whether there is one.
    #[serde(default)]
    pub enabled: bool,

    /// Time between two scrapes.
    #[serde(default = "interval")]
    #[schemars(length(max = 8), regex(pattern = r"^[1-9][0-9]*(s|m)$"))]
    pub interval: String,

    /// Its labels, by which a Prometheus selects it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub labels: BTreeMap<String, String>,
}

fn interval() -> String {
    "30s".to_owned()
}

impl Default for ServiceMonitor {
    fn default() -> Self {
        Self {
            enabled: false,
            interval: interval(),
            labels: BTreeMap::new(),
        }
    }
}

/// A PrometheusRule of the Prometheus operator. It finds figures by `namespace` and `phlare_cluster`, as the ServiceMonitor
/// labels them.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
pub struct PrometheusRule {
    /// Whether there is one.
    #[serde(default)]
    pub enabled: bool,

    /// Its labels, by which a Prometheus selects it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub labels: BTreeMap<String, String>,
}

/// A ConfigMap with dashboards, for the sidecar of Grafana's chart.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
pub struct Dashboards {
    /// Whether there is one.
    #[serde(default)]
    pub enabled: bool,

    /// Its labels, by which the sidecar selects it.
    #[serde(default = "dashboard")]
    #[schemars(extend("maxProperties" = 32))]
    pub labels: BTreeMap<String, String>,
}

fn dashboard() -> BTreeMap<String, String> {
    BTreeMap::from([("grafana_dashboard".to_owned(), "1".to_owned())])
}

impl Default for Dashboards {
    fn default() -> Self {
        Self {
            enabled: false,
            labels: dashboard(),
        }
    }
}

/// What Grafana shows profiles with.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
pub struct Grafana {
    /// A data source for the profiles of this Phlare.
    #[serde(default)]
    pub datasource: Datasource,
}

/// A data source of type Grafana Pyroscope, at the Service that has the resource's name.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.enabled || self.kind != 'GrafanaDatasource' || has(self.instanceSelector)").message(
        "kind GrafanaDatasource needs spec.grafana.datasource.instanceSelector: a label selector of Grafana resources, {} for all of them"
    )
)]
pub struct Datasource {
    /// Whether there is one.
    #[serde(default)]
    pub enabled: bool,

    /// As what.
    #[serde(default)]
    pub kind: DatasourceKind,

    /// Labels of the ConfigMap, by which the sidecar selects it; also of a GrafanaDatasource.
    #[serde(default = "datasource")]
    #[schemars(extend("maxProperties" = 32))]
    pub labels: BTreeMap<String, String>,

    /// Which Grafana resources get it, in this namespace and others; a `LabelSelector` of Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_selector: Option<Opaque>,

    /// The tenant whose profiles it shows, sent as `X-Scope-OrgID`; needed with `spec.tenancy.enabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 150), regex(pattern = r"^[-a-zA-Z0-9!_.*'()]+$"))]
    pub tenant: Option<String>,
}

/// As what a data source is made.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum DatasourceKind {
    /// A ConfigMap with a provisioning file, for the sidecar of Grafana's chart.
    #[default]
    ConfigMap,
    /// A resource of the Grafana operator.
    GrafanaDatasource,
}

fn datasource() -> BTreeMap<String, String> {
    BTreeMap::from([("grafana_datasource".to_owned(), "1".to_owned())])
}

impl Default for Datasource {
    fn default() -> Self {
        Self {
            enabled: false,
            kind: DatasourceKind::default(),
            labels: datasource(),
            instance_selector: None,
            tenant: None,
        }
    }
}
