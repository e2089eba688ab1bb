//! The operator as a pod, and what it makes as containers: a manifest of five lines takes profiles and answers.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::fs;

use anyhow::Context;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, PostParams};
use phlare_e2e::client::CPU;
use phlare_e2e::kubernetes::{
    Cluster, Options, apply, documents, images, program, real_nodes_allowed,
};
use phlare_e2e::{Pprof, now_ns, programs, until};
use phlare_operator_api::PhlareCluster;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn five_lines_take_profiles_and_answer() {
    if !real_nodes_allowed().unwrap() {
        return;
    }
    let Some(controlplane) = program().unwrap() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        real: true,
        images: images(&directory.path().join("images"), &controlplane).unwrap(),
        directory: directory.path().join("cluster"),
    };
    let cluster = Cluster::up(&options).unwrap().unwrap();
    let client = cluster.client().await.unwrap();
    let file = |path: &str| {
        let text = fs::read_to_string(programs::workspace().join(path)).unwrap();
        documents(&text).unwrap()
    };
    apply(&client, "default", &file("charts/phlare-operator.yaml"))
        .await
        .unwrap();
    restricted(&client, "obs").await;
    apply(&client, "obs", &file("charts/examples/minimal.yaml"))
        .await
        .unwrap();
    ready(&client, "obs", "profiles").await;

    let proxy = cluster.proxy.as_deref().unwrap();
    let client =
        phlare_e2e::Client::through(proxy, "http://profiles.obs.svc.cluster.local:4040").unwrap();
    let profile = Pprof::cpu()
        .at(now_ns())
        .stack(&["main", "work"], &[10_000_000]);
    let labels = [("__name__", "process_cpu"), ("service_name", "shop")];
    client.push(&labels, profile.bytes()).await.unwrap();
    until("the flame graph is there", async || {
        Ok(client.total(CPU, r#"{service_name="shop"}"#).await? == 10_000_000)
    })
    .await
    .unwrap();
}

/// A namespace that takes no pod that asks for more than it needs.
async fn restricted(client: &Client, name: &str) {
    let namespace: Namespace = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }))
    .unwrap();
    let api: Api<Namespace> = Api::all(client.clone());
    api.create(&PostParams::default(), &namespace)
        .await
        .unwrap();
}

async fn ready(client: &Client, namespace: &str, name: &str) {
    let clusters: Api<PhlareCluster> = Api::namespaced(client.clone(), namespace);
    let waited = until("the resource is ready", async || {
        let status = clusters.get(name).await?.status.unwrap_or_default();
        let ready = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == "Ready");
        Ok(ready.is_some_and(|ready| ready.status == "True"))
    });
    let waited = waited.await;
    if waited.is_err() {
        let status = clusters.get(name).await.unwrap().status;
        waited.context(format!("{status:#?}")).unwrap();
    }
}
