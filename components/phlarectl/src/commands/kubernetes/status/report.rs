//! What there is to say of a resource, for programs as it is, for people as a screen.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use phlare_operator_api::condition::READY;
use phlare_operator_api::{ComponentStatus, PhlareCluster};
use serde::Serialize;

use super::super::access::{COMPONENT, ZONE};
use super::super::pods;
use super::condition;
use super::next;

/// One resource in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) mode: String,
    pub(super) version: Option<String>,
    pub(super) ready: bool,
    /// Pods that are ready, of those that there should be.
    pub(super) pods: Option<String>,
    /// What is going on, in one line.
    pub(super) doing: String,
    pub(super) age_s: i64,
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Said {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) message: String,
}

/// A Deployment or a StatefulSet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Workload {
    pub(super) name: String,
    pub(super) component: String,
    pub(super) zone: Option<String>,
    pub(super) ready: i32,
    pub(super) desired: i32,
    pub(super) updated: i32,
    pub(super) release: Option<String>,
    /// Images of its pods, each with their number.
    pub(super) images: BTreeMap<String, usize>,
}

/// A pod that is not ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Unready {
    pub(super) name: String,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) restarts: i32,
    pub(super) age_s: i64,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Volume {
    pub(super) name: String,
    pub(super) phase: String,
    pub(super) size: String,
    /// What it is to become, if that is not what it is.
    pub(super) growing_to: Option<String>,
    pub(super) class: String,
}

/// What there is to say of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    pub(super) summary: Summary,
    pub(super) push: Option<String>,
    pub(super) query: Option<String>,
    pub(super) conditions: Vec<Said>,
    pub(super) components: Vec<Workload>,
    pub(super) unready_pods: Vec<Unready>,
    pub(super) volumes: Vec<Volume>,
    /// What to do, most urgent first.
    pub(super) next: Vec<String>,
}

impl Summary {
    pub(super) fn of(cluster: &PhlareCluster, now_ms: i64) -> Self {
        let status = cluster.status.as_ref();
        let made = cluster.metadata.creation_timestamp.as_ref();
        let ready = condition(cluster, READY).is_some_and(|ready| ready.status == "True");
        Self {
            namespace: cluster.namespace().unwrap_or_default(),
            name: cluster.name_any(),
            mode: format!("{:?}", cluster.spec.mode),
            version: status.and_then(|status| status.version.clone()),
            ready,
            pods: status.and_then(|status| status.pods.clone()),
            doing: next::doing(cluster),
            age_s: made.map_or(0, |made| (now_ms / 1000 - made.0.as_second()).max(0)),
        }
    }
}

impl Report {
    pub(super) fn of(
        cluster: &PhlareCluster,
        pods: &[Pod],
        claims: &[PersistentVolumeClaim],
        now_ms: i64,
    ) -> Self {
        let status = cluster.status.clone().unwrap_or_default();
        let said = status.conditions.into_iter().map(|condition| Said {
            kind: condition.type_,
            status: condition.status,
            reason: condition.reason,
            message: condition.message,
        });
        let unready: Vec<_> = pods.iter().filter_map(|pod| unready(pod, now_ms)).collect();
        let endpoints = status.endpoints;
        Self {
            summary: Summary::of(cluster, now_ms),
            push: endpoints.as_ref().map(|endpoints| endpoints.push.clone()),
            query: endpoints.map(|endpoints| endpoints.query),
            conditions: said.collect(),
            components: status
                .components
                .iter()
                .map(|component| workload(component, pods))
                .collect(),
            next: next::steps(cluster, &unready),
            unready_pods: unready,
            volumes: claims.iter().map(volume).collect(),
        }
    }

    /// What `/ready` of a pod says.
    pub(super) fn explain(&mut self, pod: &str, message: &str) {
        let mut pods = self.unready_pods.iter_mut();
        if let Some(pod) = pods.find(|unready| unready.name == pod) {
            pod.message = format!("it runs, but `/ready` says: {message}");
        }
    }
}

fn workload(component: &ComponentStatus, pods: &[Pod]) -> Workload {
    let zone = component.zone.as_deref().unwrap_or_default();
    let mine = pods.iter().filter(|pod| {
        pods::label(pod, COMPONENT) == component.component && pods::label(pod, ZONE) == zone
    });
    let mut images = BTreeMap::new();
    for image in mine.filter_map(pods::image) {
        *images.entry(image.to_owned()).or_default() += 1;
    }
    Workload {
        name: component.name.clone(),
        component: component.component.clone(),
        zone: component.zone.clone(),
        ready: component.ready,
        desired: component.desired,
        updated: component.updated,
        release: component.release.clone(),
        images,
    }
}

fn unready(pod: &Pod, now_ms: i64) -> Option<Unready> {
    let trouble = pods::trouble(pod)?;
    Some(Unready {
        name: pod.name_any(),
        reason: trouble.reason,
        message: trouble.message,
        restarts: pods::restarts(pod),
        age_s: pods::age_s(pod, now_ms),
    })
}

fn volume(claim: &PersistentVolumeClaim) -> Volume {
    let asked = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage"));
    let has = claim
        .status
        .as_ref()
        .and_then(|status| status.capacity.as_ref()?.get("storage"));
    let asked = asked.map(|amount| amount.0.clone()).unwrap_or_default();
    let size = has.map_or_else(|| asked.clone(), |amount| amount.0.clone());
    let phase = claim
        .status
        .as_ref()
        .and_then(|status| status.phase.clone());
    let class = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.storage_class_name.clone());
    Volume {
        name: claim.name_any(),
        phase: phase.unwrap_or_else(|| "Pending".to_owned()),
        growing_to: (asked != size).then_some(asked),
        size,
        class: class.unwrap_or_default(),
    }
}
