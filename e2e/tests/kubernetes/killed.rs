//! An operator that ends after each of its writes, before it knows that they are done, gets there all the same.

use std::time::Duration;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use phlare_e2e::kubernetes::{Cluster, Lethal, Operator, Options, Rights, namespace};
use phlare_e2e::{until, until_within};
use phlare_operator_api::PhlareCluster;
use serde_json::json;

use crate::bench::zones;

/// The only operator.
const ALONE: &[&str] = &["--no-leader-election"];
const NAMESPACE: &str = "killed";

#[tokio::test]
async fn an_operator_that_is_killed_at_each_write_ends_where_others_end() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        directory: directory.path().join("cluster"),
        ..Options::default()
    };
    let Some(cluster) = Cluster::up(&options).unwrap() else {
        return;
    };
    let client = cluster.client().await.unwrap();
    namespace(&client, "phlare-operator").await.unwrap();
    namespace(&client, NAMESPACE).await.unwrap();
    let rights = Rights::of(&cluster, &client).await.unwrap();
    let clusters: Api<PhlareCluster> = Api::namespaced(client.clone(), NAMESPACE);
    let params = PostParams::default();
    clusters.create(&params, &resource()).await.unwrap();
    let mut operator = Operator::start(&cluster, &rights, "begin", ALONE).unwrap();
    ready(&client, "1.0.0").await;
    operator.kill().unwrap();

    let patch = Patch::Merge(json!({"spec": {"version": "2.0.0"}}));
    let params = PatchParams::default();
    clusters.patch("prod", &params, &patch).await.unwrap();
    let mut lethal = Lethal::to(&cluster, rights.kubeconfig()).await.unwrap();
    let through = rights.through(lethal.kubeconfig());
    let mut writes = Vec::new();
    while !is_ready(&client, "2.0.0").await.unwrap() {
        assert!(writes.len() < 200, "it gets nowhere: {writes:#?}");
        // It is killed when this is dropped.
        let _operator = Operator::start(&cluster, &through, "killed", ALONE).unwrap();
        tokio::select! {
            write = lethal.written() => writes.push(write.unwrap()),
            () = ready(&client, "2.0.0") => {}
        }
    }
    // Eleven workloads, the canary on its own, and the release that is remembered.
    let workloads = writes.iter().filter(|write| write.contains("/apis/apps/"));
    assert!(workloads.count() >= 13, "{writes:#?}");

    // One that lives finds nothing to do.
    let audit = cluster.audit();
    let mark = audit.mark().unwrap();
    let operator = Operator::start(&cluster, &rights, "end", ALONE).unwrap();
    until("it has looked", async || {
        let asked = audit.since(mark, &rights.user)?;
        Ok(asked
            .iter()
            .any(|request| request.resource == "controllerrevisions"))
    })
    .await
    .unwrap();
    let touch = json!({"metadata": {"annotations": {"touched": "true"}}});
    let touch = Patch::Merge(touch);
    clusters.patch("prod", &params, &touch).await.unwrap();
    until("it has looked once more", async || {
        let asked = audit.since(mark, &rights.user)?;
        let looks = asked
            .iter()
            .filter(|it| it.resource == "controllerrevisions");
        Ok(looks.count() > 1)
    })
    .await
    .unwrap();
    let asked = audit.since(mark, &rights.user).unwrap();
    let written: Vec<_> = asked.iter().filter(|request| request.is_write()).collect();
    assert!(written.is_empty(), "{written:#?}");
    drop(operator);

    // One with the rights of an older chart says so, and does all the rest.
    take_rights(
        &client,
        &["controllerrevisions", "horizontalpodautoscalers"],
    )
    .await;
    let operator = Operator::start(&cluster, &rights, "older", ALONE).unwrap();
    let patch = Patch::Merge(json!({"spec": {"version": "3.0.0"}}));
    let params = PatchParams::default();
    clusters.patch("prod", &params, &patch).await.unwrap();
    until_within(Duration::from_secs(300), "all pods run 3.0.0", async || {
        let status = clusters.get("prod").await?.status.unwrap_or_default();
        let mut conditions = status.conditions.iter();
        let stalled = conditions.find(|condition| condition.type_ == "Stalled");
        let said = stalled.is_some_and(|stalled| {
            stalled.reason == "RightsMissing"
                && stalled
                    .message
                    .contains("HorizontalPodAutoscaler and ControllerRevision")
        });
        Ok(said && status.version.as_deref() == Some("3.0.0"))
    })
    .await
    .unwrap();
    let log = operator.log().unwrap();
    assert!(log.contains("RightsMissing"), "{log}");
}

/// Takes the rights to some kinds from the operator.
async fn take_rights(client: &Client, kinds: &[&str]) {
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let mut role = roles.get("phlare-operator").await.unwrap();
    role.rules.iter_mut().flatten().for_each(|rule| {
        if let Some(resources) = &mut rule.resources {
            resources.retain(|kind| !kinds.contains(&kind.as_str()));
        }
    });
    let is_left = |rule: &PolicyRule| rule.resources.as_ref().is_none_or(|all| !all.is_empty());
    role.rules
        .iter_mut()
        .for_each(|rules| rules.retain(is_left));
    role.metadata.managed_fields = None;
    let params = PostParams::default();
    roles
        .replace("phlare-operator", &params, &role)
        .await
        .unwrap();
}

fn resource() -> PhlareCluster {
    let mut spec = zones("1.0.0");
    spec["rollout"] = json!({
        "canary": {"ingesters": 1, "soakSeconds": 0},
        "healthGates": {"ringActive": false},
    });
    spec["components"]["ingester"] = json!({"replicas": 6});
    serde_json::from_value(json!({
        "apiVersion": "phlare.dev/v1alpha1",
        "kind": "PhlareCluster",
        "metadata": {"name": "prod"},
        "spec": spec,
    }))
    .unwrap()
}

/// Whether all pods run a version, the resource says so, and it is remembered as one that all pods ran.
async fn is_ready(client: &Client, version: &str) -> anyhow::Result<bool> {
    let clusters: Api<PhlareCluster> = Api::namespaced(client.clone(), NAMESPACE);
    let status = clusters.get("prod").await?.status.unwrap_or_default();
    let is_true = |kind: &str| {
        let mut conditions = status.conditions.iter();
        conditions.any(|condition| condition.type_ == kind && condition.status == "True")
    };
    let all = status.version.as_deref() == Some(version) && is_true("UpToDate") && is_true("Ready");
    let revisions: Api<ControllerRevision> = Api::namespaced(client.clone(), NAMESPACE);
    let ours = ListParams::default().labels("phlare.dev/release");
    let revisions = revisions.list(&ours).await?.items;
    let remembered = revisions.iter().any(|revision| {
        let data = revision.data.as_ref();
        data.is_some_and(|data| data.0["version"] == version)
    });
    Ok(all && remembered && !is_true("Reconciling"))
}

async fn ready(client: &Client, version: &str) {
    let what = format!("all pods run {version}");
    until_within(Duration::from_secs(300), &what, async || {
        is_ready(client, version).await
    })
    .await
    .unwrap();
}
