//! Volumes: they grow, and they know when their pod was about to go.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use phlare_operator_api::Amount;
use serde_json::{Value, json};

use crate::apply::{Error, Scope, Writer};
use crate::conditions::Facts;
use crate::context::Context;
use crate::desired::{Desired, Object};
use crate::live::Live;
use crate::memory::bytes;

/// Annotation of a claim whose pod is asked to bring its profiles into the object store. It outlives the pod: one that
/// comes back to the volume has to be told to go on.
const DRAINING: &str = "phlare.dev/draining";

fn claim_object(name: &str) -> Object {
    Object {
        resource: kube::core::ApiResource::erase::<PersistentVolumeClaim>(&()),
        name: name.to_owned(),
        body: Value::Null,
    }
}

pub(super) fn claim_of(pod: &str) -> String {
    format!("data-{pod}")
}

/// Address of a pod, if it has one.
pub(super) fn address(live: &Live, pod: &str) -> Option<String> {
    let pod = live.pods.iter().find(|other| other.name_any() == pod)?;
    pod.status.as_ref()?.pod_ip.clone()
}

/// Says of a pod's volume that the pod is being drained.
pub(super) async fn mark_drain(writer: &Writer, live: &Live, pod: &str) -> Result<(), Error> {
    let name = claim_of(pod);
    let claim = live.claims.iter().find(|claim| claim.name_any() == name);
    let Some(claim) = claim else {
        return Ok(());
    };
    if !claim.annotations().contains_key(DRAINING) {
        let fields = json!({"metadata": {"annotations": {DRAINING: "true"}}});
        writer
            .partial(&claim_object(&name), Scope::Drain, fields)
            .await?;
    }
    Ok(())
}

/// Pods of which the volume says that they are, or were, being drained.
pub(super) fn draining(live: &Live) -> Vec<String> {
    let marked = live
        .claims
        .iter()
        .filter(|claim| claim.annotations().contains_key(DRAINING));
    let pods = marked.filter_map(|claim| Some(claim.name_any().strip_prefix("data-")?.to_owned()));
    pods.collect()
}

/// Tells a pod that was being drained, and is not to go after all, to take profiles again.
pub(super) async fn undo_drain(
    context: &Context,
    writer: &Writer,
    live: &Live,
    pod: &str,
    facts: &mut Facts,
) -> Result<(), Error> {
    let Some(address) = address(live, pod) else {
        return Ok(());
    };
    match context.drain.undo(&address).await {
        Ok(_) => {
            let nothing = json!({"metadata": {}});
            let claim = claim_object(&claim_of(pod));
            writer.partial(&claim, Scope::Drain, nothing).await?;
        }
        Err(error) => {
            let message = format!("pod {pod} is to take profiles again: {error}");
            facts.progress.get_or_insert(("ScalingUp", message));
        }
    }
    Ok(())
}

/// Makes claims as large as the resource says. Those that are larger stay so.
pub(super) async fn grow(
    context: &Context,
    writer: &Writer,
    live: &Live,
    desired: &Desired,
    facts: &mut Facts,
) -> Result<(), Error> {
    for workload in &desired.workloads {
        let size = workload
            .object
            .body
            .pointer("/spec/volumeClaimTemplates/0/spec/resources/requests/storage");
        let Some(size) = size.and_then(Value::as_str) else {
            continue;
        };
        let prefix = claim_of(&format!("{}-", workload.object.name));
        for claim in &live.claims {
            let name = claim.name_any();
            let is_ours = name
                .strip_prefix(&prefix)
                .is_some_and(|rest| rest.parse::<u32>().is_ok());
            if !is_ours || !is_smaller(claim, size) {
                continue;
            }
            let fields = json!({"spec": {"resources": {"requests": {"storage": size}}}});
            match writer
                .partial(&claim_object(&name), Scope::Volume, fields)
                .await
            {
                Ok(()) => {
                    context.metrics.wrote("PersistentVolumeClaim");
                    let message = format!("volume {name} grows to {size}");
                    facts.progress = Some(("ResizingVolumes", message));
                }
                Err(kube::Error::Api(status)) if status.is_forbidden() || status.is_invalid() => {
                    let message = format!("volume {name} can't grow to {size}: {}", status.message);
                    facts.stuck = Some(("VolumeNotExpandable", message));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

fn is_smaller(claim: &PersistentVolumeClaim, size: &str) -> bool {
    let amount = |text: &str| bytes(&Amount::Text(text.to_owned()));
    let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let requests = requests.and_then(|resources| resources.requests.as_ref());
    let there = requests.and_then(|requests| requests.get("storage"));
    let there = there.and_then(|there| amount(&there.0));
    match (there, amount(size)) {
        (Some(there), Some(wanted)) => there < wanted,
        _ => false,
    }
}
