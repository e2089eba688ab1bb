//! What the operator says of a resource: written only when it changes.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch};
use kube::runtime::events::{Event, EventType};
use kube::{Resource, ResourceExt};
use phlare_operator_api::condition::{
    ACCEPTED, AUTOSCALING_ACTIVE, READY, RECONCILING, STALLED, STORAGE_REACHABLE,
};
use phlare_operator_api::{
    ComponentStatus, Endpoints, Mode, PhlareCluster, PhlareClusterStatus, Release, RolloutState,
    RolloutStatus,
};
use serde_json::json;

use super::course::Chosen;
use super::views::views;
use crate::apply::{Error, Scope};
use crate::conditions::{Facts, conditions};
use crate::context::Context;
use crate::decide::{
    self,
    rollout::{self, Reason, View},
};
use crate::desired::{Desired, Meta, PORT, Workload};
use crate::live::{self, Live, state};
use crate::part::Part;

/// What there is to say.
pub(super) struct Said<'a> {
    pub(super) live: &'a Live,
    /// None if the resource can't be carried out.
    pub(super) chosen: Option<&'a Chosen>,
    pub(super) facts: Facts,
}

/// The first words, before anything is made: a resource without conditions counts as ready for tools that know nothing
/// better.
pub(super) async fn announce(
    context: &Context,
    cluster: &PhlareCluster,
    facts: &Facts,
) -> Result<(), Error> {
    let facts = Facts {
        progress: Some(("Applying", "seen for the first time".to_owned())),
        unready: vec!["none is there yet".to_owned()],
        ..facts.clone()
    };
    let status = PhlareClusterStatus {
        observed_generation: facts.generation,
        conditions: conditions(&facts, &[], Timestamp::now()),
        ..PhlareClusterStatus::default()
    };
    write(context, cluster, &status).await
}

/// Says it, if it is not what was said before.
pub(super) async fn say(
    context: &Context,
    cluster: &PhlareCluster,
    said: Said<'_>,
) -> Result<(), Error> {
    let nothing = PhlareClusterStatus::default();
    let before = cluster.status.as_ref().unwrap_or(&nothing);
    let status = status(cluster, before, said);
    if status == *before {
        return Ok(());
    }
    write(context, cluster, &status).await?;
    tell(context, cluster, &before.conditions, &status.conditions).await;
    Ok(())
}

async fn write(
    context: &Context,
    cluster: &PhlareCluster,
    status: &PhlareClusterStatus,
) -> Result<(), Error> {
    let namespace = cluster.namespace().unwrap_or_default();
    let api: Api<PhlareCluster> = Api::namespaced(context.client.clone(), &namespace);
    let body = json!({
        "apiVersion": PhlareCluster::api_version(&()),
        "kind": PhlareCluster::kind(&()),
        "metadata": {"name": cluster.name_any(), "uid": cluster.uid()},
        "status": status,
    });
    let params = Scope::Status.params();
    match api
        .patch_status(&cluster.name_any(), &params, &Patch::Apply(&body))
        .await
    {
        Ok(_) => context.metrics.wrote("PhlareCluster"),
        // It was deleted meanwhile, or deleted and made anew: there is nobody to tell.
        Err(kube::Error::Api(gone)) if gone.is_not_found() || gone.is_conflict() => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn status(
    cluster: &PhlareCluster,
    before: &PhlareClusterStatus,
    said: Said<'_>,
) -> PhlareClusterStatus {
    let Said {
        live,
        chosen,
        mut facts,
    } = said;
    let meta = Meta::of(cluster);
    let mut status = PhlareClusterStatus {
        observed_generation: facts.generation,
        version: before.version.clone(),
        release: before.release.clone(),
        endpoints: Some(endpoints(&meta)),
        ..PhlareClusterStatus::default()
    };
    status.autoscaling = match chosen {
        // It can't be carried out for now: nothing is forgotten for that.
        None => before.autoscaling.clone(),
        Some(_) => facts
            .autoscaling
            .as_ref()
            .and_then(|said| said.state.clone()),
    };
    if let Some(chosen) = chosen {
        let desired = &chosen.desired;
        let views = views(desired, live, &chosen.heard, &cluster.spec);
        // Where nobody shows it now, what was seen last stays.
        let ring = decide::health::ring(&chosen.heard.rings);
        status.ring = ring.or_else(|| before.ring.clone());
        let done = rollout::is_done(&views);
        facts.up_to_date = done && !facts.switching;
        facts.unready = unready(desired, live);
        if done {
            status.version = Some(desired.version.clone());
        }
        let current = before.release.clone().and_then(|release| release.current);
        let release = Release {
            current: if done {
                Some(desired.release())
            } else {
                current
            },
            target: chosen.target.clone(),
            rejected: facts.rejected.clone(),
        };
        let is_new = release.current != Some(desired.release());
        if !done && !facts.paused && (is_new || chosen.back.is_some()) {
            status.rollout = Some(progress(before, chosen, &views));
        }
        status.release = Some(release);
        status.components = desired
            .workloads
            .iter()
            .map(|workload| component(workload, live))
            .collect();
        let (ready, pods) = status
            .components
            .iter()
            .fold((0, 0), |(ready, pods), component| {
                (ready + component.ready, pods + component.desired)
            });
        status.pods = Some(format!("{ready}/{pods}"));
        let queriers = desired
            .workloads
            .iter()
            .find(|workload| workload.part == Part::Querier);
        status.querier_replicas = Some(
            match queriers.and_then(|querier| live.twin(&querier.object)) {
                Some(there) => live::pods(there),
                None => 0,
            },
        );
        let selector = meta.selector(Some(Part::Querier), None);
        let selector: Vec<_> = selector
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        status.querier_selector = Some(selector.join(","));
    }
    status.conditions = conditions(&facts, &before.conditions, Timestamp::now());
    status
}

/// How far a release is. The time moves with the step only.
fn progress(before: &PhlareClusterStatus, chosen: &Chosen, views: &[View]) -> RolloutStatus {
    let now = Timestamp::now();
    let verdicts = chosen.verdicts(views, now);
    let reason = rollout::waits_for(views, &verdicts);
    let step = reason.as_ref().map(|reason| reason.step().to_owned());
    let step = step.unwrap_or_default();
    let is_canary = views.iter().any(|view| {
        let live = view.live.as_ref();
        let begins = live.is_some_and(|live| live.partition > 0 || live.release != view.release);
        view.name == step && begins && (view.canaries > 0 || view.part == Part::QuerierCanary)
    });
    let state = match (&chosen.back, &chosen.halted, &reason) {
        (Some(_), ..) => RolloutState::RollingBack,
        (_, Some(_), _) => RolloutState::Halted,
        (.., Some(Reason::Soaks(_))) => RolloutState::Soaking,
        _ if is_canary => RolloutState::Canary,
        _ => RolloutState::RollingOut,
    };
    let release = chosen.desired.release();
    // How long a step takes begins anew with another release, another direction, and when soaking ends.
    let kind = |state: RolloutState| match state {
        RolloutState::Halted | RolloutState::Canary => RolloutState::RollingOut,
        other => other,
    };
    let same = before
        .rollout
        .as_ref()
        .filter(|old| old.step == step && old.release == release && kind(old.state) == kind(state));
    RolloutStatus {
        release,
        state,
        since: same.map_or(Time(now), |old| old.since.clone()),
        step,
    }
}

fn unready(desired: &Desired, live: &Live) -> Vec<String> {
    let short = |workload: &&Workload| {
        let there = live.twin(&workload.object).map(state);
        there.is_none_or(|state| state.ready < workload.replicas)
    };
    let short = desired.workloads.iter().filter(short);
    short.map(|workload| workload.object.name.clone()).collect()
}

fn component(workload: &Workload, live: &Live) -> ComponentStatus {
    let there = live.twin(&workload.object).map(state).unwrap_or_default();
    ComponentStatus {
        name: workload.object.name.clone(),
        component: workload.part.to_string(),
        zone: workload.zone.clone(),
        desired: workload.replicas,
        ready: there.ready,
        updated: there.updated,
        release: (!there.release.is_empty()).then_some(there.release),
    }
}

fn endpoints(meta: &Meta<'_>) -> Endpoints {
    let url = |service: &str| format!("http://{service}.{}:{PORT}", meta.namespace);
    let push = match meta.spec.mode {
        Mode::Monolithic => url(meta.name),
        Mode::Microservices => url(&meta.named(Part::Distributor)),
    };
    Endpoints {
        push,
        query: url(meta.name),
    }
}

/// Events of conditions that turned.
async fn tell(
    context: &Context,
    cluster: &PhlareCluster,
    before: &[Condition],
    after: &[Condition],
) {
    let find = |all: &[Condition], kind: &str| {
        let found = all.iter().find(|condition| condition.type_ == kind);
        found.map(|found| {
            (
                found.status.clone(),
                found.reason.clone(),
                found.message.clone(),
            )
        })
    };
    let reference: ObjectReference = cluster.object_ref(&());
    let kinds = [
        ACCEPTED,
        READY,
        RECONCILING,
        STALLED,
        AUTOSCALING_ACTIVE,
        STORAGE_REACHABLE,
    ];
    for kind in kinds {
        let Some((status, reason, message)) = find(after, kind) else {
            continue;
        };
        let old = find(before, kind);
        if old
            .is_some_and(|(old_status, old_reason, _)| old_status == status && old_reason == reason)
        {
            continue;
        }
        let is_good = match kind {
            STALLED => false,
            ACCEPTED | AUTOSCALING_ACTIVE => status == "True",
            STORAGE_REACHABLE => status != "False",
            _ => true,
        };
        let event = Event {
            type_: if is_good {
                EventType::Normal
            } else {
                EventType::Warning
            },
            reason,
            note: Some(message.chars().take(900).collect()),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if let Err(error) = context.recorder.publish(&event, &reference).await {
            tracing::debug!(%error, "event not written");
        }
    }
}
