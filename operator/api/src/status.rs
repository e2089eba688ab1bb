//! What the operator says about a Phlare.

#![expect(
    unreachable_pub,
    reason = "the derive makes a second type of each, which nobody reaches"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator says about a Phlare.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PhlareClusterStatus {
    /// Generation of the resource that all of this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Version that all pods run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub version: Option<String>,

    /// Pods that are ready, of those that there should be: `3/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub pods: Option<String>,

    /// Where profiles and queries go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,

    /// Queriers that there are; autoscalers read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub querier_replicas: Option<i32>,

    /// Labels of the queriers; autoscalers read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub querier_selector: Option<String>,

    /// Each Deployment and StatefulSet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub components: Vec<ComponentStatus>,

    /// What pods run: see `kubectl get controllerrevisions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,

    /// What strategy QueueDepth has decided, and goes by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<AutoscalingStatus>,

    /// The ring of ingesters, as pods showed it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring: Option<RingState>,

    /// How far a release is that has not reached all pods; absent when it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutStatus>,

    /// What holds. `Ready` is the one to wait for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Where profiles and queries go.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
pub struct Endpoints {
    /// For those who send profiles.
    #[schemars(length(max = 512))]
    pub push: String,
    /// For Grafana's data source.
    #[schemars(length(max = 512))]
    pub query: String,
}

/// One Deployment or StatefulSet.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// Its name.
    #[schemars(length(max = 63))]
    pub name: String,
    /// What its pods run.
    #[schemars(length(max = 32))]
    pub component: String,
    /// Its zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub zone: Option<String>,
    /// Pods that there should be.
    pub desired: i32,
    /// Pods that are ready.
    pub ready: i32,
    /// Pods that are as they should be.
    pub updated: i32,
    /// What its pods are made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub release: Option<String>,
}

/// The ring of ingesters: who takes profiles.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
pub struct RingState {
    /// How many are in it.
    pub members: i32,
    /// How many of them are `ACTIVE` and heard of, as all pods see them that were asked.
    pub active: i32,
    /// Those that are not; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub inactive: Vec<InactiveMember>,
}

/// A member of the ring that is not active.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
pub struct InactiveMember {
    /// Its name, which is that of its pod.
    #[schemars(length(max = 253))]
    pub name: String,
    /// `PENDING`, `JOINING`, `LEAVING`, or `UNHEALTHY` if nobody heard of it lately, `UNKNOWN` if a pod does not know it.
    #[schemars(length(max = 32))]
    pub state: String,
}

/// What pods are made from, by the hash of it.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
pub struct Release {
    /// What all pods ran when all were last as they should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub current: Option<String>,
    /// What all pods should run.
    #[schemars(length(max = 16))]
    pub target: String,
    /// What did not work, if it is the target: it is not tried again until the resource changes, or somebody asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Rejected>,
}

/// A release that did not work.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
pub struct Rejected {
    /// Its hash.
    #[schemars(length(max = 16))]
    pub release: String,
    /// Why, in one word.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// Why.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// How far a release is.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// Hash of what pods get.
    #[schemars(length(max = 16))]
    pub release: String,
    /// What is done at present.
    pub state: RolloutState,
    /// The Deployment or StatefulSet that is to get ready next.
    #[schemars(length(max = 63))]
    pub step: String,
    /// Since when it is.
    pub since: Time,
}

/// What is done with a release.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum RolloutState {
    /// The first pods have it, and have to prove that it works.
    Canary,
    /// It goes from one component and zone to the next.
    RollingOut,
    /// Pods that have it are to stay well for a while before others get it.
    Soaking,
    /// It did not work, and pods get what they ran before.
    RollingBack,
    /// It goes no further without help.
    Halted,
}

/// What strategy QueueDepth has decided, and goes by. It outlives the operator, so that one that starts does not forget
/// that there was load a minute ago.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AutoscalingStatus {
    /// Queriers that there should be.
    pub desired: i32,

    /// When the number was changed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_scale_time: Option<Time>,

    /// What the load called for: of the last one since when it does, of the others until when it did. Those are left out
    /// that can't matter any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub recommendations: Vec<Recommendation>,

    /// What was changed lately.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub events: Vec<ScaleEvent>,
}

/// How many pods the load called for.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
pub struct Recommendation {
    /// Since when, or until when.
    pub at: Time,
    /// How many.
    pub replicas: i32,
}

/// A change of a number of pods.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
pub struct ScaleEvent {
    /// When.
    pub at: Time,
    /// How many more; fewer are negative.
    pub delta: i32,
}

/// Types of conditions.
pub mod condition {
    /// True: the resource can be carried out as it is written.
    pub const ACCEPTED: &str = "Accepted";
    /// True: everything that should run is there and ready. `kubectl wait --for=condition=Ready` waits for it.
    pub const READY: &str = "Ready";
    /// True while the operator changes something; absent otherwise.
    pub const RECONCILING: &str = "Reconciling";
    /// True if nothing goes on without help; absent otherwise.
    pub const STALLED: &str = "Stalled";
    /// True: every pod runs what the resource says.
    pub const UP_TO_DATE: &str = "UpToDate";
    /// True: what `spec.monitoring` and `spec.grafana` ask for is there; absent if they ask for nothing.
    pub const MONITORING_ACTIVE: &str = "MonitoringActive";
    /// True: pods that keep blocks in the object store and read from it have no trouble with it. Unknown: no pod says.
    pub const STORAGE_REACHABLE: &str = "StorageReachable";
    /// True: the number of queriers follows the load, or is somebody else's. Absent without autoscaling.
    pub const AUTOSCALING_ACTIVE: &str = "AutoscalingActive";
}
