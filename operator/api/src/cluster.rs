//! The resource itself and the parts of its `spec` that concern all components.

#![expect(
    unreachable_pub,
    reason = "the derive makes a second type of each, which nobody reaches"
)]

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Autoscaling, Components, Grafana, Monitoring, Opaque, PhlareClusterStatus, Rollout, Storage,
    TenantLimits,
};

/// A Phlare: where its blocks are, of which processes it consists, what its tenants may do.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "phlare.dev",
    version = "v1alpha1",
    kind = "PhlareCluster",
    plural = "phlareclusters",
    shortname = "phc",
    category = "all",
    category = "observability",
    namespaced,
    status = "PhlareClusterStatus",
    derive = "PartialEq",
    derive = "Default",
    selectable = ".spec.mode",
    scale(
        spec_replicas_path = ".spec.components.querier.replicas",
        status_replicas_path = ".status.querierReplicas",
        label_selector_path = ".status.querierSelector"
    ),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason"),
    printcolumn(name = "Pods", type_ = "string", json_path = ".status.pods"),
    printcolumn(name = "Queriers", type_ = "integer", json_path = ".status.querierReplicas", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].message", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 36").message(
        "metadata.name has more than 36 characters: the names of pods are made of it and would be too long; choose a shorter one"
    ),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message(
        "metadata.name is also the name of a Service: begin with a letter, then letters, digits and '-', no dots"
    )
)]
#[x_kube(
    validation = Rule::new("!oldSelf.zoneAwareness.enabled || self.zoneAwareness.enabled || self.mode == 'Monolithic'").message(
        "spec.zoneAwareness can't be switched off: the ingesters of the zones hold profiles"
    ),
    validation = Rule::new("self.mode == 'Monolithic' || self.storage.type != 'Filesystem'").message(
        "with mode Microservices all components share one object store: set spec.storage.type to S3, GCS, Azure or Swift"
    ),
    validation = Rule::new("self.mode == 'Monolithic' || !has(self.components.ingester.replicas) || self.components.ingester.replicas >= (has(self.replicationFactor) ? self.replicationFactor : 3)").message(
        "spec.components.ingester.replicas is less than the replication factor (3, if spec.replicationFactor says nothing else): each profile would have fewer copies"
    ),
    validation = Rule::new("self.mode == 'Microservices' || !has(self.replicationFactor) || self.replicationFactor <= (has(self.components.monolithic.replicas) ? self.components.monolithic.replicas : 1)").message(
        "spec.replicationFactor is more than spec.components.monolithic.replicas: each profile would have fewer copies"
    ),
    validation = Rule::new("self.mode == 'Microservices' || self.storage.type != 'Filesystem' || !has(self.components.monolithic.replicas) || self.components.monolithic.replicas <= 1").message(
        "with storage type Filesystem each replica has its own blocks: keep spec.components.monolithic.replicas at 1 or set spec.storage.type to S3, GCS, Azure or Swift"
    ),
    validation = Rule::new("has(self.replicationFactor) == has(oldSelf.replicationFactor) && (!has(self.replicationFactor) || self.replicationFactor == oldSelf.replicationFactor)").message(
        "spec.replicationFactor can't be changed: ingesters would disagree on who has which series"
    ),
    validation = Rule::new("!self.zoneAwareness.enabled || self.mode == 'Microservices'").message(
        "spec.zoneAwareness needs mode Microservices"
    ),
    validation = Rule::new("!has(self.autoscaling.querier) || !self.autoscaling.querier.enabled || self.mode == 'Microservices'").message(
        "spec.autoscaling.querier needs mode Microservices: in the other one no pods are only queriers"
    ),
    validation = Rule::new("!self.zoneAwareness.enabled || self.zoneAwareness.zones.size() >= (has(self.replicationFactor) ? self.replicationFactor : 3)").message(
        "spec.zoneAwareness.zones needs as many zones as the replication factor (3, if spec.replicationFactor says nothing else), so that each has a copy"
    ),
    validation = Rule::new("!self.zoneAwareness.enabled || !has(self.components.ingester.replicas) || self.components.ingester.replicas % self.zoneAwareness.zones.size() == 0").message(
        "spec.components.ingester.replicas is the number of all zones together: make it a multiple of the number of zones"
    ),
    validation = Rule::new("!self.zoneAwareness.enabled || !has(self.components.storeGateway.replicas) || self.components.storeGateway.replicas % self.zoneAwareness.zones.size() == 0").message(
        "spec.components.storeGateway.replicas is the number of all zones together: make it a multiple of the number of zones"
    ),
    validation = Rule::new("!self.tenancy.enabled || !self.grafana.datasource.enabled || has(self.grafana.datasource.tenant)").message(
        "spec.grafana.datasource.tenant is missing: with spec.tenancy.enabled every query names a tenant"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct PhlareClusterSpec {
    /// Whether all components run in one process each (`Monolithic`), or each in pods of its own (`Microservices`). It can be
    /// changed if blocks are in an object store: the new pods come, then the Service is theirs, then the old ones go.
    #[serde(default)]
    pub mode: Mode,

    /// Version of Phlare, which is the tag of the image. Empty is the operator's own at the time when the resource was
    /// first seen; it stays so when the operator is upgraded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]*$"))]
    pub version: Option<String>,

    /// Image that all pods run.
    #[serde(default)]
    pub image: Image,

    /// Leaves everything as it is: the operator writes nothing but the status.
    #[serde(default)]
    pub paused: bool,

    /// Labels of all objects and pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub common_labels: BTreeMap<String, String>,

    /// Annotations of all objects and pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub common_annotations: BTreeMap<String, String>,

    /// Where blocks are kept.
    #[serde(default)]
    pub storage: Storage,

    /// In how many ingesters each profile is kept until it is in the object store: 1 with mode Monolithic, 3 with
    /// Microservices, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5))]
    #[x_kube(validation = Rule::new("self % 2 == 1").message(
        "spec.replicationFactor must be 1, 3 or 5: an even number survives no more losses than the odd one below it"
    ))]
    pub replication_factor: Option<i32>,

    /// Keeps the copies of each profile in different zones, and touches one zone at a time.
    #[serde(default)]
    pub zone_awareness: ZoneAwareness,

    /// How long profiles are kept.
    #[serde(default)]
    pub retention: Retention,

    /// Whether requests name a tenant.
    #[serde(default)]
    pub tenancy: Tenancy,

    /// What tenants may do.
    #[serde(default)]
    pub limits: TenantLimits,

    /// Settings of Phlare for which there is no field here.
    #[serde(default)]
    pub config: Config,

    /// What concerns one component, and, as `all`, each of them.
    #[serde(default)]
    pub components: Components,

    /// Numbers of pods that follow the load.
    #[serde(default)]
    pub autoscaling: Autoscaling,

    /// How a release reaches the pods.
    #[serde(default)]
    pub rollout: Rollout,

    /// The account that pods run as.
    #[serde(default)]
    pub service_account: ServiceAccount,

    /// Who may connect to the pods.
    #[serde(default)]
    pub network_policy: NetworkPolicy,

    /// What Prometheus is told, and dashboards.
    #[serde(default)]
    pub monitoring: Monitoring,

    /// What Grafana shows profiles with.
    #[serde(default)]
    pub grafana: Grafana,
}

/// How a Phlare is made up.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Mode {
    /// Each pod runs all components.
    #[default]
    Monolithic,
    /// Each component has pods of its own.
    Microservices,
}

/// The image of all pods.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Repository without tag; empty is the operator's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub repository: Option<String>,

    /// Digest; wins over the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: Option<String>,

    /// When nodes ask the registry.
    #[serde(default)]
    pub pull_policy: PullPolicy,

    /// Secrets with the registry's logins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub pull_secrets: Vec<LocalReference>,
}

/// When nodes ask the registry for an image.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum PullPolicy {
    /// If the node does not have it.
    #[default]
    IfNotPresent,
    /// Each time a container starts.
    Always,
    /// Never.
    Never,
}

impl PullPolicy {
    /// As Kubernetes spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IfNotPresent => "IfNotPresent",
            Self::Always => "Always",
            Self::Never => "Never",
        }
    }
}

/// An object of the same namespace.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
pub struct LocalReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Zones that fail independently.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!oldSelf.enabled || !self.enabled || oldSelf.zones.all(zone, oldSelf.zones.indexOf(zone) == self.zones.indexOf(zone))").message(
        "spec.zoneAwareness.zones can't lose or move a zone: its ingesters hold profiles; zones may be added at the end"
    )
)]
pub struct ZoneAwareness {
    /// One StatefulSet of ingesters and of store-gateways for each zone.
    #[serde(default)]
    pub enabled: bool,

    /// Label of nodes that says in which zone they are.
    #[serde(default = "topology_key")]
    #[schemars(length(min = 1, max = 316))]
    pub topology_key: String,

    /// The zones, in the order in which releases reach them.
    #[serde(default)]
    #[schemars(length(max = 9), inner(length(min = 1, max = 63), regex(pattern = r"^[a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?$")), extend("x-kubernetes-list-type" = "atomic"))]
    pub zones: Vec<String>,
}

fn topology_key() -> String {
    "topology.kubernetes.io/zone".to_owned()
}

impl Default for ZoneAwareness {
    fn default() -> Self {
        Self {
            enabled: false,
            topology_key: topology_key(),
            zones: Vec::new(),
        }
    }
}

/// How long profiles are kept.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Age at which blocks are deleted; `0s` is never.
    #[serde(default = "forever")]
    #[schemars(length(max = 16), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub period: String,
}

fn forever() -> String {
    "0s".to_owned()
}

impl Default for Retention {
    fn default() -> Self {
        Self { period: forever() }
    }
}

/// Whether requests name a tenant.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
pub struct Tenancy {
    /// Requests without the header `X-Scope-OrgID` are refused; otherwise all belongs to the tenant `anonymous`.
    #[serde(default)]
    pub enabled: bool,
}

/// Settings of Phlare for which the resource has no field.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// Sections of Phlare's configuration file, laid over what the operator writes. What the operator decides (addresses,
    /// rings, the bucket) can't be said here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlay: Option<Opaque>,
}

/// The account that pods run as.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
pub struct ServiceAccount {
    /// An account that exists; empty is one made for this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,

    /// Annotations of the account that is made: how clouds tie it to an identity of theirs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, String>,
}

/// Who may connect to the pods.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicy {
    /// Whether there is a NetworkPolicy.
    #[serde(default)]
    pub mode: NetworkPolicyMode,

    /// Who else than the pods of this resource may connect to the port of clients, as `from` of a NetworkPolicy's rule;
    /// empty is everyone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub allow_ingress_from: Vec<Opaque>,
}

/// Whether there is a NetworkPolicy.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum NetworkPolicyMode {
    /// There is none.
    #[default]
    None,
    /// Gossip and calls between components come from pods of this resource only.
    RestrictIngress,
}
