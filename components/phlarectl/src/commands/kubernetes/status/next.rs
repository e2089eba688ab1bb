//! What is going on, and what to do next.

use kube::ResourceExt;
use phlare_operator_api::PhlareCluster;
use phlare_operator_api::condition::{
    ACCEPTED, MONITORING_ACTIVE, READY, RECONCILING, STALLED, STORAGE_REACHABLE, UP_TO_DATE,
};

use super::condition;
use super::report::Unready;

/// Whether the operator has looked at what the resource says now.
fn is_seen(cluster: &PhlareCluster) -> bool {
    let observed = cluster
        .status
        .as_ref()
        .and_then(|status| status.observed_generation);
    observed.is_some() && observed == cluster.metadata.generation
}

/// What is going on, in one line.
pub(super) fn doing(cluster: &PhlareCluster) -> String {
    let is =
        |kind: &str, status: &str| condition(cluster, kind).filter(|found| found.status == status);
    if !is_seen(cluster) {
        return "the operator has not looked at it yet".to_owned();
    }
    let refused = is(ACCEPTED, "False").map(|found| ("not accepted", found));
    let stalled = || is(STALLED, "True").map(|found| ("stalled", found));
    let going = || is(RECONCILING, "True").map(|found| ("going on", found));
    let unready = || is(READY, "False").map(|found| ("not ready", found));
    let found = refused.or_else(stalled).or_else(going).or_else(unready);
    let paused = if cluster.spec.paused { "paused; " } else { "" };
    match found {
        Some((word, found)) => format!("{paused}{word}: {}", found.message),
        None if cluster.spec.paused => "paused".to_owned(),
        None => "all is well".to_owned(),
    }
}

/// What to do, most urgent first; never nothing.
pub(super) fn steps(cluster: &PhlareCluster, unready: &[Unready]) -> Vec<String> {
    let name = cluster.name_any();
    let namespace = cluster.namespace().unwrap_or_default();
    let is =
        |kind: &str, status: &str| condition(cluster, kind).filter(|found| found.status == status);
    let mut steps = Vec::new();
    if !is_seen(cluster) {
        steps.push(
            "the operator has not looked at the resource as it is now: if that stays so, see whether it runs, \
             `kubectl get pods -A -l app.kubernetes.io/name=phlare-operator`, and which namespace it watches"
                .to_owned(),
        );
    }
    let refused = is(ACCEPTED, "False");
    steps.extend(refused.map(|found| found.message.clone()));
    let stalled = is(STALLED, "True");
    steps.extend(stalled.map(|found| found.message.clone()));
    let storage = is(STORAGE_REACHABLE, "False");
    steps.extend(storage.map(|found| format!("the object store: {}", found.message)));
    if cluster.spec.paused {
        let pending = match is(UP_TO_DATE, "True") {
            Some(_) => "nothing waits for it",
            None => "a change waits for it",
        };
        steps.push(format!(
            "spec.paused is set ({pending}): `phlarectl kubernetes -n {namespace} rollout {name} resume` lets the operator go on"
        ));
    }
    if steps.is_empty() && refused.is_none() {
        let troubled = unready
            .iter()
            .filter(|pod| !matches!(pod.reason.as_str(), "Pending" | "Terminating"));
        steps.extend(
            troubled
                .take(3)
                .map(|pod| format!("pod {}: {}", pod.name, pod.message)),
        );
        if let Some(going) = is(RECONCILING, "True") {
            steps.push(format!(
                "{}; `phlarectl kubernetes -n {namespace} rollout {name} --watch` waits for the end",
                going.message
            ));
        }
    }
    steps.extend(is(MONITORING_ACTIVE, "False").map(|found| found.message.clone()));
    if steps.is_empty() {
        steps.push(match unready.is_empty() {
            true => "nothing: all is well".to_owned(),
            false => "nothing yet: pods get ready".to_owned(),
        });
    }
    steps
}
