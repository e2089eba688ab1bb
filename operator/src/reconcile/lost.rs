//! Looks for volumes that are lost together with their node, and replaces them where nothing is lost and it is wanted.

use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::ApiResource;
use kube::{Client, Resource, ResourceExt};
use phlare_operator_api::{StorageType, WhenLost};

use super::volumes::claim_of;
use crate::apply::{Error, Writer};
use crate::conditions::Facts;
use crate::context::Context;
use crate::decide::lost::{self, Gone, Lost, Rest};
use crate::desired::{self, Desired, Meta, Workload};
use crate::live::{self, Live};
use crate::part::Part;

/// Pods that are looked into: each takes requests.
const MOST: usize = 8;

/// Says which volumes are lost, and replaces one.
pub(super) async fn see(
    context: &Context,
    writer: &Writer,
    meta: &Meta<'_>,
    live: &Live,
    desired: &Desired,
    facts: &mut Facts,
) -> Result<(), Error> {
    let waiting = live.pods.iter().filter(|pod| lost::is_unschedulable(pod));
    // Pods without a volume may wait for as long as they like.
    let with_volumes = waiting.filter_map(|pod| {
        let part = live::part(pod);
        let mut workloads = desired.workloads.iter();
        let workload = workloads.find(|one| Some(one.part) == part)?;
        let name = claim_of(&pod.name_any());
        let claim = live.claims.iter().find(|claim| claim.name_any() == name)?;
        Some((pod, workload, name, claim))
    });
    for (pod, workload, name, claim) in with_volumes.take(MOST) {
        let Some(gone) = gone(&context.client, claim).await? else {
            continue;
        };
        let lost = Lost {
            pod: pod.name_any(),
            claim: name,
            gone,
        };
        let rest = rest(workload, &lost.pod, meta, live, desired);
        let volume = workload.part.volume(&meta.spec.components);
        let is_wanted = volume.is_some_and(|volume| volume.when_lost == WhenLost::Replace);
        if is_wanted && rest.is_enough() {
            // What the others hold may be all that is left of it: the next node may be theirs.
            if let Err(problem) = flush_others(context, live, pod).await {
                facts.stuck.get_or_insert(("FlushFailing", problem));
                return Ok(());
            }
            replace(context, writer, claim, pod).await?;
            let message = format!("pod {} gets a new volume for {}", lost.pod, lost.claim);
            facts.progress = Some(("ReplacingVolume", format!("{message}, {}", lost.gone)));
            // What the others are like now is not what they were like a moment ago.
            return Ok(());
        }
        facts
            .stuck
            .get_or_insert_with(|| lost::trouble(&lost, meta.namespace, rest));
    }
    Ok(())
}

/// What of a claim is gone; None if nothing is, or if the operator may not look.
async fn gone(client: &Client, claim: &PersistentVolumeClaim) -> Result<Option<Gone>, kube::Error> {
    if lost::is_lost(claim) {
        return Ok(Some(Gone::Volume));
    }
    let volume = claim
        .spec
        .as_ref()
        .and_then(|spec| spec.volume_name.clone());
    let Some(volume) = volume else {
        return Ok(None);
    };
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let volume = match volumes.get_opt(&volume).await {
        Ok(Some(volume)) => volume,
        Ok(None) => return Ok(Some(Gone::Volume)),
        Err(error) => return unless_forbidden(error),
    };
    let named = lost::nodes(&volume);
    let nodes: Api<Node> = Api::all(client.clone());
    for node in &named {
        match nodes.get_metadata_opt(node).await {
            Ok(None) => {}
            Ok(Some(_)) => return Ok(None),
            Err(error) => return unless_forbidden(error),
        }
        // A volume knows its node by a label, which need not be the node's name.
        let labelled = ListParams::default()
            .labels(&format!("kubernetes.io/hostname={node}"))
            .limit(1);
        match nodes.list_metadata(&labelled).await {
            Ok(found) if found.items.is_empty() => {}
            Ok(_) => return Ok(None),
            Err(error) => return unless_forbidden(error),
        }
    }
    Ok(named.first().map(|node| Gone::Node((*node).to_owned())))
}

/// An operator of one namespace may not look at volumes and nodes.
fn unless_forbidden<T>(error: kube::Error) -> Result<Option<T>, kube::Error> {
    match error {
        kube::Error::Api(status) if status.is_forbidden() => Ok(None),
        error => Err(error),
    }
}

fn rest(workload: &Workload, pod: &str, meta: &Meta<'_>, live: &Live, desired: &Desired) -> Rest {
    let is_well = |other: &Workload| {
        let there = live.twin(&other.object).map(live::state);
        let is_mine = pod
            .rsplit_once('-')
            .is_some_and(|(set, _)| set == other.object.name);
        there.is_some_and(|state| state.ready >= state.replicas - i32::from(is_mine))
    };
    let mut holders = desired
        .workloads
        .iter()
        .filter(|workload| workload.part.holds_profiles());
    Rest {
        holds_profiles: workload.part.holds_profiles(),
        copies: desired::replication_factor(meta.spec),
        has_object_store: meta.spec.storage.r#type != StorageType::Filesystem,
        others_are_well: holders.all(is_well),
    }
}

/// Has all pods that hold profiles, but one, bring them into the object store.
async fn flush_others(context: &Context, live: &Live, lost: &Pod) -> Result<(), String> {
    if !live::part(lost).is_some_and(Part::holds_profiles) {
        return Ok(());
    }
    let others = live.pods.iter().filter(|pod| {
        live::part(*pod).is_some_and(Part::holds_profiles) && pod.name_any() != lost.name_any()
    });
    for pod in others {
        let name = pod.name_any();
        let (_, address) = live::address(pod)
            .ok_or_else(|| format!("pod {name} does not run, and may hold profiles"))?;
        let flushed = context.drain.flush(&address).await;
        flushed.map_err(|error| format!("pod {name} does not upload what it holds: {error}"))?;
    }
    Ok(())
}

/// Takes the claim and the pod away: the StatefulSet makes both anew.
async fn replace(
    context: &Context,
    writer: &Writer,
    claim: &PersistentVolumeClaim,
    pod: &Pod,
) -> Result<(), Error> {
    if claim.metadata.deletion_timestamp.is_none() {
        delete(context, writer, claim).await?;
    }
    delete(context, writer, pod).await?;
    Ok(())
}

async fn delete<K>(context: &Context, writer: &Writer, object: &K) -> Result<(), Error>
where
    K: Resource<DynamicType = ()>,
{
    let resource = ApiResource::erase::<K>(&());
    let mut there = DynamicObject::new(&object.name_any(), &resource);
    there.metadata.uid = object.uid();
    writer.delete(&resource, &there).await?;
    context.metrics.wrote(&resource.kind);
    Ok(())
}
