//! How a release reaches the pods.

#![expect(
    unreachable_pub,
    reason = "the derive makes a second type of each, which nobody reaches"
)]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::component::yes;

/// Annotation of the resource by which somebody decides about a release: `retry HASH` or `undo HASH`.
pub const ROLLOUT: &str = "phlare.dev/rollout";
/// Reason of a release that is rejected because somebody asks for it.
pub const UNDONE: &str = "Undone";

/// How a release reaches the pods: one component after the other, one zone after the other.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// What becomes of a release whose pods don't get ready.
    #[serde(default)]
    pub on_failure: OnFailure,

    /// Seconds that one component, or one zone of it, may take until all its pods are ready.
    #[serde(default = "half_an_hour")]
    #[schemars(range(min = 1, max = 86_400))]
    pub progress_deadline_seconds: i32,

    /// Seconds that all pods of a zone, or of a component, must have been ready before the next one gets the release.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86_400))]
    pub soak_seconds: i32,

    /// Pods that get a release before all others.
    #[serde(default)]
    pub canary: Canary,

    /// What must hold, beside that pods are ready, before others get the release.
    #[serde(default)]
    pub health_gates: HealthGates,
}

const fn half_an_hour() -> i32 {
    1_800
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            on_failure: OnFailure::default(),
            progress_deadline_seconds: half_an_hour(),
            soak_seconds: 0,
            canary: Canary::default(),
            health_gates: HealthGates::default(),
        }
    }
}

/// What must hold, beside that pods are ready, before others get a release.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthGates {
    /// Ingesters that have the release are `ACTIVE` in the ring as other pods see it. If no pod shows its ring to the
    /// operator, the release waits.
    #[serde(default = "yes")]
    pub ring_active: bool,

    /// Pods that have the release don't answer too many requests with an error of their own.
    #[serde(default)]
    pub error_ratio: ErrorRatio,
}

impl Default for HealthGates {
    fn default() -> Self {
        Self {
            ring_active: true,
            error_ratio: ErrorRatio::default(),
        }
    }
}

/// How many requests may fail: of those that the pods with the release have answered since they began.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorRatio {
    /// Whether it is looked at.
    #[serde(default = "yes")]
    pub enabled: bool,

    /// Percent of a component's requests that may be answered with 500 to 599.
    #[serde(default = "five_percent")]
    #[schemars(range(min = 0, max = 100))]
    pub max_percent: i32,

    /// Fewer requests than this say nothing.
    #[serde(default = "hundred_requests")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min_requests: i32,
}

const fn five_percent() -> i32 {
    5
}

const fn hundred_requests() -> i32 {
    100
}

impl Default for ErrorRatio {
    fn default() -> Self {
        Self {
            enabled: true,
            max_percent: five_percent(),
            min_requests: hundred_requests(),
        }
    }
}

/// What becomes of a release whose pods don't get ready.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum OnFailure {
    /// It goes no further; the pods that have it stay as they are.
    #[default]
    Halt,
    /// The pods that have it get the last release that all pods ran.
    Rollback,
}

/// Pods that get a release before all others.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// Ingesters of the first zone; with mode Monolithic, pods of all components.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub ingesters: i32,

    /// Queriers: a Deployment of its own beside the others, which takes its share of the queries all the time.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub queriers: i32,

    /// Seconds that they must have been ready before others get the release.
    #[serde(default = "five_minutes")]
    #[schemars(range(min = 0, max = 86_400))]
    pub soak_seconds: i32,
}

const fn five_minutes() -> i32 {
    300
}

impl Default for Canary {
    fn default() -> Self {
        Self {
            ingesters: 0,
            queriers: 0,
            soak_seconds: five_minutes(),
        }
    }
}
