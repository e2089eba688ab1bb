//! Who decides how many queriers there are, and by what.

#![expect(
    unreachable_pub,
    reason = "the derive makes a second type of each, which nobody reaches"
)]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Opaque;

/// Numbers of pods that follow the load.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// The number of queriers. While it is enabled, `components.querier.replicas` counts only when the queriers are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub querier: Option<QuerierAutoscaling>,
}

/// How the number of queriers follows the load.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.minReplicas <= self.maxReplicas").message(
    "spec.autoscaling.querier.minReplicas is more than maxReplicas: give a range"
))]
pub struct QuerierAutoscaling {
    /// Whether the number follows the load; otherwise it is `components.querier.replicas`.
    #[serde(default)]
    pub enabled: bool,

    /// Who decides. A change of it never changes the number.
    #[serde(default)]
    pub strategy: Strategy,

    /// Fewest queriers.
    #[serde(default = "fewest")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: i32,

    /// Most queriers.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,

    /// What strategy QueueDepth goes by.
    #[serde(default)]
    pub queue_depth: QueueDepth,

    /// What strategy HPA goes by.
    #[serde(default)]
    pub hpa: Hpa,

    /// What strategy KEDA goes by; 80 % of the CPU that pods request, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keda: Option<Keda>,

    /// Strategy QueueDepth: how far the load may be from the target before the number changes, as a share: `0.1`, if
    /// nothing is said. A HorizontalPodAutoscaler has that of its Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 6), regex(pattern = r"^0(\.[0-9]{1,4})?$"))]
    pub tolerance: Option<String>,

    /// How fast the number changes, as in a HorizontalPodAutoscaler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<Behavior>,
}

const fn fewest() -> i32 {
    2
}

/// Who decides how many queriers there are.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Strategy {
    /// The operator, by the queries that wait and run.
    #[default]
    QueueDepth,
    /// A HorizontalPodAutoscaler, by use of CPU or memory. It needs a metrics server, and requests of the queriers.
    #[serde(rename = "HPA")]
    Hpa,
    /// A ScaledObject of KEDA, which has to be installed.
    #[serde(rename = "KEDA")]
    Keda,
    /// Somebody else: the operator leaves the number of the queriers' Deployment alone.
    External,
}

/// What strategy QueueDepth goes by.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueDepth {
    /// Queries that wait or run, for each querier: three quarters of `components.querier.maxConcurrent`, if nothing is
    /// said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub target_per_replica: Option<i32>,

    /// How often query-schedulers are asked.
    #[serde(default = "sync_period")]
    #[schemars(length(max = 8), regex(pattern = r"^[0-9]+(s|m)$"))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]+(s|m)$') && duration(self) >= duration('5s') && duration(self) <= duration('5m')").message(
        "spec.autoscaling.querier.queueDepth.syncPeriod is between 5s and 5m"
    ))]
    pub sync_period: String,
}

fn sync_period() -> String {
    "15s".to_owned()
}

impl Default for QueueDepth {
    fn default() -> Self {
        Self {
            target_per_replica: None,
            sync_period: sync_period(),
        }
    }
}

/// What strategy HPA goes by: 80 % of the CPU that pods request, if nothing is said.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hpa {
    /// Use of CPU in percent of what pods request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_utilization: Option<i32>,

    /// Use of memory in percent of what pods request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub target_memory_utilization: Option<i32>,
}

/// What strategy KEDA goes by.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Keda {
    /// Triggers of a ScaledObject.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub triggers: Vec<Opaque>,
}

/// How fast a number of pods changes.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Behavior {
    /// How fast it grows: by 4 pods or to twice as many in 15 seconds, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScalingRules>,

    /// How fast it shrinks: to what was enough for the last 5 minutes, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScalingRules>,
}

/// How fast a number of pods changes in one direction.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingRules {
    /// For how long the number must have been called for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub stabilization_window_seconds: Option<i32>,

    /// Which of several policies counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<SelectPolicy>,

    /// How much it may change in what time; none are those of Kubernetes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub policies: Vec<ScalingPolicy>,
}

/// Which of several policies counts.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum SelectPolicy {
    /// The one that allows the most change.
    #[default]
    Max,
    /// The one that allows the least change.
    Min,
    /// None: there is no change in this direction.
    Disabled,
}

/// How much a number of pods may change in what time.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicy {
    /// What `value` counts.
    pub r#type: PolicyType,

    /// How much.
    #[schemars(range(min = 1, max = 10_000))]
    pub value: i32,

    /// In what time.
    #[schemars(range(min = 1, max = 1800))]
    pub period_seconds: i32,
}

/// What a policy counts.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum PolicyType {
    /// Pods.
    Pods,
    /// Percent of the pods that there were.
    Percent,
}
