//! `kubernetes rollout`: how far a change is, having it pause, and taking it back.

use std::pin::pin;
use std::time::Duration;

use anyhow::{anyhow, bail};
use futures_util::TryStreamExt;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use phlare_operator_api::condition::{ACCEPTED, READY, RECONCILING, STALLED, UP_TO_DATE};
use phlare_operator_api::{PhlareCluster, ROLLOUT, UNDONE};
use serde_json::{Value, json};

use super::access::{Access, KubernetesError};
use super::status::condition;
use crate::cli::{RolloutAction, RolloutArgs};
use crate::ui;

/// How far a change is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Progress {
    /// Every pod runs what the resource says.
    Done(String),
    /// It goes on.
    Going(String),
    /// It does not go on without help.
    Stuck(String),
}

/// Does with it what is asked, and says how far it is, once or until the end.
pub(super) async fn run(access: &Access, args: &RolloutArgs) -> anyhow::Result<()> {
    let cluster = match args.action {
        None => access.cluster(&args.name).await?,
        Some(action) => set(access, &args.name, action).await?,
    };
    if !args.watch {
        let (Progress::Done(text) | Progress::Going(text) | Progress::Stuck(text)) =
            progress_of(&cluster, args.action);
        ui::data(&text);
        return Ok(());
    }
    let watched = watch(access, &args.name, args.action);
    match args.give_up_after {
        None => watched.await,
        Some(seconds) => {
            let watched = tokio::time::timeout(Duration::from_secs(seconds), watched).await;
            watched.map_err(|_| anyhow!("it was not done within {seconds} s"))?
        }
    }
}

async fn set(access: &Access, name: &str, action: RolloutAction) -> anyhow::Result<PhlareCluster> {
    let (patch, note) = match action {
        RolloutAction::Pause => (
            json!({"spec": {"paused": true}}),
            "paused: the operator changes nothing, and goes on saying how it is",
        ),
        RolloutAction::Resume => (json!({"spec": {"paused": false}}), "resumed"),
        RolloutAction::Undo => (
            wish("undo", &access.cluster(name).await?)?,
            "undone: pods get what all of them ran before; the resource itself stays as it is",
        ),
        RolloutAction::Retry => (
            wish("retry", &access.cluster(name).await?)?,
            "tried once more",
        ),
    };
    let params = PatchParams {
        field_manager: Some("phlarectl".to_owned()),
        ..PatchParams::default()
    };
    let api = access.api::<PhlareCluster>();
    let patched = api.patch(name, &params, &Patch::Merge(patch)).await;
    let cluster = patched.map_err(KubernetesError::from)?;
    ui::note(note);
    Ok(cluster)
}

/// The operator's annotation for a word about the release that the resource asks for, and about no other.
fn wish(word: &str, cluster: &PhlareCluster) -> anyhow::Result<Value> {
    let status = cluster.status.as_ref();
    let release = status.and_then(|status| status.release.as_ref());
    let Some(release) = release else {
        bail!("the operator has not looked at this resource yet: there is nothing to {word}");
    };
    let wish = format!("{word} {}", release.target);
    Ok(json!({"metadata": {"annotations": {ROLLOUT: wish}}}))
}

/// Says what changes, until it is done or stuck.
async fn watch(access: &Access, name: &str, action: Option<RolloutAction>) -> anyhow::Result<()> {
    let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = pin!(watcher(access.api::<PhlareCluster>(), only).default_backoff());
    let mut said = String::new();
    let mut is_there = false;
    // An API server that is away for a moment is waited for: the stream tries again.
    loop {
        let event = match events.try_next().await {
            Ok(Some(event)) => event,
            Ok(None) => bail!("the API server ended the watch"),
            Err(watcher::Error::InitialListFailed(error)) => {
                return Err(KubernetesError::from(error).into());
            }
            Err(error) => {
                ui::note(&format!("{error}; trying again"));
                continue;
            }
        };
        let cluster = match event {
            watcher::Event::Apply(cluster) | watcher::Event::InitApply(cluster) => cluster,
            watcher::Event::Delete(_) => bail!("{name} was deleted"),
            watcher::Event::InitDone if !is_there => {
                bail!("there is no PhlareCluster {}/{name}", access.namespace)
            }
            watcher::Event::Init | watcher::Event::InitDone => continue,
        };
        is_there = true;
        match progress_of(&cluster, action) {
            Progress::Done(text) => {
                ui::data(&text);
                return Ok(());
            }
            Progress::Stuck(text) => bail!("{text}"),
            Progress::Going(text) if text != said => {
                ui::data(&text);
                said = text;
            }
            Progress::Going(_) => {}
        }
    }
}

/// How far it is after something was asked for. Annotations are no new generation: what the operator has done about one is
/// seen by what it says of the release.
fn progress_of(cluster: &PhlareCluster, action: Option<RolloutAction>) -> Progress {
    let status = cluster.status.as_ref();
    let release = status.and_then(|status| status.release.as_ref());
    let undone = release.is_some_and(|release| {
        let rejected = release.rejected.as_ref();
        rejected.is_some_and(|it| it.release == release.target && it.reason == UNDONE)
    });
    let is_rejected = release.is_some_and(|release| release.rejected.is_some());
    let waits = match action {
        Some(RolloutAction::Undo) => !undone,
        Some(RolloutAction::Retry) => is_rejected,
        _ => false,
    };
    if waits {
        return Progress::Going("the operator has not looked at what is asked yet".to_owned());
    }
    if action != Some(RolloutAction::Undo) {
        return progress(cluster);
    }
    let is_over = status.is_some_and(|status| status.rollout.is_none());
    let ready = condition(cluster, READY).filter(|ready| ready.status == "True");
    match ready.filter(|_| is_over) {
        Some(_) => {
            let version = status.and_then(|status| status.version.as_deref());
            let version = version.unwrap_or("of that image");
            Progress::Done(format!("undone: all pods run version {version} again"))
        }
        None => Progress::Going("pods get what all of them ran before".to_owned()),
    }
}

fn progress(cluster: &PhlareCluster) -> Progress {
    let is =
        |kind: &str, status: &str| condition(cluster, kind).filter(|found| found.status == status);
    if cluster.spec.paused {
        return Progress::Stuck(
            "paused: `phlarectl kubernetes rollout NAME resume` lets the operator go on".to_owned(),
        );
    }
    let observed = cluster
        .status
        .as_ref()
        .and_then(|status| status.observed_generation);
    if observed != cluster.metadata.generation {
        return Progress::Going("the operator has not looked at the last change yet".to_owned());
    }
    if let Some(refused) = is(ACCEPTED, "False") {
        return Progress::Stuck(format!("{}: {}", refused.reason, refused.message));
    }
    if let Some(stalled) = is(STALLED, "True") {
        return Progress::Stuck(format!("{}: {}", stalled.reason, stalled.message));
    }
    let components = cluster.status.iter().flat_map(|status| &status.components);
    let (done, all) = components.fold((0, 0), |(done, all), component| {
        let is_done =
            component.updated >= component.desired && component.ready >= component.desired;
        (done + usize::from(is_done), all + 1)
    });
    if is(UP_TO_DATE, "True").is_some() && is(RECONCILING, "True").is_none() {
        let version = cluster
            .status
            .as_ref()
            .and_then(|status| status.version.as_deref());
        let version = version.unwrap_or("of that image");
        return Progress::Done(format!(
            "done: all pods of {all} workloads run what the resource says, version {version}"
        ));
    }
    let going = is(RECONCILING, "True").or_else(|| is(READY, "False"));
    let message = going.map_or("waits for the operator", |going| going.message.as_str());
    Progress::Going(format!(
        "{done} of {all} workloads are as they should be; {message}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(generation: i64, conditions: &[(&str, &str, &str)], paused: bool) -> PhlareCluster {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(kind, status, message)| {
                json!({"type": kind, "status": status, "reason": "Because", "message": message,
                       "lastTransitionTime": "2026-11-27T00:00:00Z"})
            })
            .collect();
        serde_json::from_value(json!({
            "apiVersion": "phlare.dev/v1alpha1", "kind": "PhlareCluster",
            "metadata": {"name": "prod", "generation": generation},
            "spec": {"paused": paused},
            "status": {"observedGeneration": 2, "version": "1.0.0", "conditions": conditions, "components": [
                {"name": "prod-querier", "component": "querier", "desired": 2, "ready": 2, "updated": 2},
                {"name": "prod-ingester-a", "component": "ingester", "zone": "a", "desired": 1, "ready": 0, "updated": 1},
            ]},
        }))
        .unwrap()
    }

    #[test]
    fn a_change_that_the_operator_has_not_seen_is_not_done() {
        let before = [("UpToDate", "True", ""), ("Ready", "True", "")];
        assert!(matches!(
            progress(&with(3, &before, false)),
            Progress::Going(_)
        ));
        assert!(matches!(
            progress(&with(2, &before, false)),
            Progress::Done(_)
        ));
    }

    #[test]
    fn what_goes_on_says_how_far_it_is() {
        let conditions = [
            ("UpToDate", "False", ""),
            ("Reconciling", "True", "waits for prod-ingester-a"),
        ];
        assert_eq!(
            progress(&with(2, &conditions, false)),
            Progress::Going(
                "1 of 2 workloads are as they should be; waits for prod-ingester-a".to_owned()
            )
        );
    }

    #[test]
    fn what_was_asked_for_is_waited_for_until_the_operator_has_seen_it() {
        let mut cluster = with(2, &[("UpToDate", "True", ""), ("Ready", "True", "")], false);
        let undo = Some(RolloutAction::Undo);
        assert!(matches!(progress_of(&cluster, undo), Progress::Going(_)));
        let release = json!({"target": "abc", "rejected": {"release": "abc", "reason": "Undone", "message": ""}});
        cluster.status.as_mut().unwrap().release = Some(serde_json::from_value(release).unwrap());
        assert_eq!(
            progress_of(&cluster, undo),
            Progress::Done("undone: all pods run version 1.0.0 again".to_owned())
        );
        let retry = Some(RolloutAction::Retry);
        assert!(matches!(progress_of(&cluster, retry), Progress::Going(_)));
    }

    #[test]
    fn what_does_not_go_on_says_why() {
        for (kind, status) in [("Stalled", "True"), ("Accepted", "False")] {
            let conditions = [("UpToDate", "False", ""), (kind, status, "put it right")];
            assert_eq!(
                progress(&with(2, &conditions, false)),
                Progress::Stuck("Because: put it right".to_owned())
            );
        }
        assert!(matches!(progress(&with(2, &[], true)), Progress::Stuck(_)));
    }
}
