//! What can be said of each component: how many, how large, where.

#![expect(
    unreachable_pub,
    reason = "the derive makes a second type of each, which nobody reaches"
)]

use std::borrow::Cow;
use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::Opaque;

/// Settings by component. What a component does not say is as in `all`.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Components {
    /// What holds for every component that says nothing else.
    #[serde(default)]
    pub all: Pod,

    /// Pods of mode Monolithic: each runs all components.
    #[serde(default)]
    pub monolithic: Stateful,

    /// Takes profiles and hands them to ingesters.
    #[serde(default)]
    pub distributor: Component,

    /// Keeps recent profiles and makes blocks of them.
    #[serde(default)]
    pub ingester: Stateful,

    /// Takes queries, and profiles too: the pods behind the Service that has the resource's name.
    #[serde(default)]
    pub query_frontend: Component,

    /// Holds the queues of queries.
    #[serde(default)]
    pub query_scheduler: Component,

    /// Answers queries.
    #[serde(default)]
    pub querier: Querier,

    /// Answers from blocks.
    #[serde(default)]
    pub store_gateway: Stateful,

    /// Merges blocks and deletes old ones.
    #[serde(default)]
    pub compactor: Stateful,
}

/// A component without a volume.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// Number of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,

    /// What its pods are like.
    #[serde(flatten)]
    pub pod: Pod,
}

/// What pods are like.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// What a pod gets. The limit of memory is also told to the process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// Labels of the nodes on which pods may run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub node_selector: BTreeMap<String, String>,

    /// Taints that pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub tolerations: Vec<Toleration>,

    /// Replaces the rule that keeps pods of a component on different nodes; an `Affinity` of Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Opaque>,

    /// Replaces the rule that spreads pods over zones; `TopologySpreadConstraint`s of Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub topology_spread_constraints: Option<Vec<Opaque>>,

    /// Priority of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,

    /// Variables of the environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvVar>,

    /// Flags after those that the operator gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)), extend("x-kubernetes-list-type" = "atomic"))]
    pub extra_args: Vec<String>,

    /// Annotations of the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub pod_annotations: BTreeMap<String, String>,

    /// Labels of the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub pod_labels: BTreeMap<String, String>,

    /// Seconds between being told to stop and being stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub termination_grace_period_seconds: Option<i64>,

    /// How many pods may be away by intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_disruption_budget: Option<PodDisruptionBudget>,
}

/// The component that answers queries; `kubectl scale` and autoscalers set its number of pods.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Querier {
    /// Number of pods.
    #[serde(default = "queriers")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,

    /// Queries that a pod answers at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrent: Option<i32>,

    /// What its pods are like.
    #[serde(flatten)]
    pub pod: Pod,
}

const fn queriers() -> i32 {
    2
}

impl Default for Querier {
    fn default() -> Self {
        Self {
            replicas: queriers(),
            max_concurrent: None,
            pod: Pod::default(),
        }
    }
}

/// A component whose pods have a volume each.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stateful {
    /// Number of pods, of all zones together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,

    /// What its pods are like.
    #[serde(flatten)]
    pub pod: Pod,

    /// The volume of each pod.
    #[serde(default)]
    pub volume: Volume,
}

/// The volume of a pod.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)").message(
    "volume.storageClassName can't be changed: volumes stay in the class in which they were made"
))]
pub struct Volume {
    /// Its size, as `10Gi`. It may grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 20),
        regex(pattern = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$")
    )]
    #[x_kube(validation = Rule::new("quantity(self).compareTo(quantity(oldSelf)) >= 0").message(
        "volume.size can't shrink: Kubernetes has no way to make a volume smaller"
    ))]
    pub size: Option<String>,

    /// Class of the volume; empty is the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,

    /// What becomes of volumes whose pods go.
    #[serde(default)]
    pub retention_policy: RetentionPolicy,

    /// What becomes of a pod whose volume is lost together with its node.
    #[serde(default)]
    pub when_lost: WhenLost,
}

/// What becomes of a pod whose volume is lost together with its node.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum WhenLost {
    /// It waits; the condition `Stalled` says what helps.
    #[default]
    Keep,
    /// It gets an empty one if all that was on it is elsewhere: in the object store, or in ingesters that are all ready.
    Replace,
}

/// What becomes of volumes whose pods go.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionPolicy {
    /// When the resource is deleted.
    #[serde(default)]
    pub when_deleted: VolumePolicy,
    /// When there are fewer pods.
    #[serde(default)]
    pub when_scaled: VolumePolicy,
}

/// What becomes of a volume.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum VolumePolicy {
    /// It stays.
    #[default]
    Retain,
    /// It is deleted.
    Delete,
}

impl VolumePolicy {
    /// As Kubernetes spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retain => "Retain",
            Self::Delete => "Delete",
        }
    }
}

/// What a pod gets.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
pub struct Resources {
    /// What is kept free for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub requests: BTreeMap<String, Amount>,
    /// What it can't exceed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub limits: BTreeMap<String, Amount>,
}

/// An amount of a resource: a number, or text such as `500m` or `2Gi`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(untagged)]
pub enum Amount {
    /// `cpu: 2`
    Number(i64),
    /// `memory: 2Gi`
    Text(String),
}

impl JsonSchema for Amount {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "maxLength": 32,
            "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$",
        })
    }
}

/// A taint that pods tolerate.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Toleration {
    /// Key of the taint; empty is every key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 316))]
    pub key: Option<String>,
    /// `Exists` or `Equal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 6), regex(pattern = "^(Exists|Equal)$"))]
    pub operator: Option<String>,
    /// Value of the taint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`; empty is every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 16),
        regex(pattern = "^(NoSchedule|PreferNoSchedule|NoExecute)$")
    )]
    pub effect: Option<String>,
    /// How long a pod stays after `NoExecute`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
}

/// A variable of the environment.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
    /// Where its value is; an `EnvVarSource` of Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<Opaque>,
}

/// How many pods may be away by intent: by drains of nodes, not by failures.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodDisruptionBudget {
    /// Whether there is a budget. Components with one pod never have one: it could not be met.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Pods that may be away at a time.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_unavailable: i32,
}

pub(crate) const fn yes() -> bool {
    true
}

const fn one() -> i32 {
    1
}

impl Default for PodDisruptionBudget {
    fn default() -> Self {
        Self {
            enabled: yes(),
            max_unavailable: one(),
        }
    }
}
