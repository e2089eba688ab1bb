//! `PhlareCluster`: the custom resource that the operator reconciles.
//!
//! Types, defaults and rules only: what a manifest may say. Nothing here knows what is made of it, and nothing asks a
//! Kubernetes. The definition in `crds/` is generated from these types: [`definition`].

mod autoscaling;
mod cluster;
mod component;
mod definition;
mod limits;
mod monitoring;
mod opaque;
mod rollout;
mod status;
mod storage;

pub use autoscaling::{
    Autoscaling, Behavior, Hpa, Keda, PolicyType, QuerierAutoscaling, QueueDepth, ScalingPolicy,
    ScalingRules, SelectPolicy, Strategy,
};
pub use cluster::{
    Config, Image, LocalReference, Mode, NetworkPolicy, NetworkPolicyMode, PhlareCluster,
    PhlareClusterSpec, PullPolicy, Retention, ServiceAccount, Tenancy, ZoneAwareness,
};
pub use component::{
    Amount, Component, Components, EnvVar, Pod, PodDisruptionBudget, Querier, Resources,
    RetentionPolicy, Stateful, Toleration, Volume, VolumePolicy, WhenLost,
};
pub use definition::{definition, json};
pub use limits::{Limits, TenantLimits};
pub use monitoring::{
    Dashboards, Datasource, DatasourceKind, Grafana, Monitoring, PrometheusRule, ServiceMonitor,
};
pub use opaque::Opaque;
pub use rollout::{Canary, ErrorRatio, HealthGates, OnFailure, ROLLOUT, Rollout, UNDONE};
pub use status::{
    AutoscalingStatus, ComponentStatus, Endpoints, InactiveMember, PhlareClusterStatus,
    Recommendation, Rejected, Release, RingState, RolloutState, RolloutStatus, ScaleEvent,
    condition,
};
pub use storage::{
    Authentication, Azure, Gcs, S3, ServerSideEncryption, Storage, StorageType, Swift,
};
