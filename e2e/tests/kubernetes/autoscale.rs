//! That the number of queriers follows the load, and changes hands without changing.

use std::collections::BTreeSet;

use futures_util::TryStreamExt;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::core::ApiResource;
use phlare_e2e::until;
use phlare_operator_api::{AutoscalingStatus, PhlareCluster};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::answers::Answers;
use crate::bench::{Bench, bench, zones};

/// A resource of microservices, autoscaled.
fn scaled(querier: Value) -> Value {
    let mut spec = zones("1.0.0");
    spec["components"]["querier"] = json!({"replicas": 3});
    spec["autoscaling"] = json!({"querier": querier});
    spec
}

fn strategy(strategy: &str) -> Value {
    json!({"autoscaling": {"querier": {"strategy": strategy}}})
}

async fn replicas(bench: &Bench, cluster: &str) -> i32 {
    let queriers = bench.deployments().get(&format!("{cluster}-querier")).await;
    queriers.unwrap().spec.unwrap().replicas.unwrap()
}

async fn has(bench: &Bench, cluster: &str, replicas_wanted: i32) {
    let what = format!("{cluster} has {replicas_wanted} queriers");
    let has = async || Ok(replicas(bench, cluster).await == replicas_wanted);
    until(&what, has).await.unwrap();
}

/// Sets the number as somebody else does.
async fn set(bench: &Bench, cluster: &str, replicas: i32) {
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    let params = PatchParams::default();
    let deployments = bench.deployments();
    let name = format!("{cluster}-querier");
    deployments
        .patch_scale(&name, &params, &patch)
        .await
        .unwrap();
}

fn hpas(bench: &Bench) -> Api<HorizontalPodAutoscaler> {
    Api::namespaced(bench.client.clone(), &bench.namespace)
}

async fn status(bench: &Bench, cluster: &str) -> Option<AutoscalingStatus> {
    let cluster = bench.clusters().get(cluster).await.unwrap();
    cluster.status?.autoscaling
}

#[tokio::test]
async fn an_autoscaler_is_made_and_the_number_that_it_sets_stays() {
    let Some(bench) = bench().await else { return };
    let said = json!({
        "enabled": true, "strategy": "HPA", "maxReplicas": 9,
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
    });
    bench.create("cpu", scaled(said)).await;
    bench.ready("cpu").await;
    assert_eq!(replicas(&bench, "cpu").await, 3);
    let spec = hpas(&bench).get("cpu-querier").await.unwrap().spec.unwrap();
    assert_eq!((spec.min_replicas, spec.max_replicas), (Some(2), 9));
    assert_eq!(spec.scale_target_ref.name, "cpu-querier");
    assert_eq!(
        spec.metrics.unwrap()[0].resource.as_ref().unwrap().name,
        "cpu"
    );
    let down = spec.behavior.unwrap().scale_down.unwrap();
    assert_eq!(down.stabilization_window_seconds, Some(60));
    // There is no metrics server here, and the autoscaler says so.
    let blind = bench
        .wait("cpu", "AutoscalingActive", "False", "MetricsUnavailable")
        .await;
    let begins = "HorizontalPodAutoscaler cpu-querier: ";
    assert!(blind.message.starts_with(begins), "{}", blind.message);
    set(&bench, "cpu", 6).await;
    bench.change("cpu", json!({"version": "2.0.0"})).await;
    bench.ready("cpu").await;
    assert_eq!(replicas(&bench, "cpu").await, 6);
    let cluster = bench.clusters().get("cpu").await.unwrap();
    let components = cluster.status.unwrap().components;
    let queriers = components.iter().find(|one| one.name == "cpu-querier");
    assert_eq!(queriers.unwrap().desired, 6);
    // A range of one is no choice, so there is nobody who chooses.
    let one = json!({"autoscaling": {"querier": {"minReplicas": 4, "maxReplicas": 4}}});
    bench.change("cpu", one).await;
    has(&bench, "cpu", 4).await;
    until("the autoscaler is gone", async || {
        Ok(hpas(&bench).get_opt("cpu-querier").await?.is_none())
    })
    .await
    .unwrap();
}

/// Every number that a Deployment is told to have, until it is stopped.
async fn numbers(bench: &Bench, name: &str, stop: watch::Receiver<bool>) -> BTreeSet<i32> {
    let deployments = bench.deployments();
    let params = WatchParams::default().fields(&format!("metadata.name={name}"));
    let events = deployments.watch(&params, "0").await.unwrap();
    let mut events = std::pin::pin!(events);
    let mut stop = stop;
    let mut seen = BTreeSet::new();
    loop {
        let event = tokio::select! {
            event = events.try_next() => event.unwrap().unwrap(),
            _ = stop.wait_for(|stop| *stop) => return seen,
        };
        if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event {
            seen.insert(object.spec.unwrap().replicas.unwrap());
        }
    }
}

#[tokio::test]
async fn the_number_changes_hands_without_changing() {
    let Some(bench) = bench().await else { return };
    let said = json!({"enabled": true, "maxReplicas": 9});
    bench.create("hands", scaled(said)).await;
    bench.ready("hands").await;
    // Nobody answers for the query-schedulers of these nodes.
    bench
        .wait("hands", "AutoscalingActive", "False", "MetricsUnavailable")
        .await;
    set(&bench, "hands", 6).await;
    bench.ready("hands").await;
    let (stop, stopped) = watch::channel(false);
    let change_hands = async {
        bench.change("hands", strategy("HPA")).await;
        until("there is an autoscaler", async || {
            Ok(hpas(&bench).get_opt("hands-querier").await?.is_some())
        })
        .await
        .unwrap();
        bench.change("hands", strategy("External")).await;
        bench
            .wait("hands", "AutoscalingActive", "True", "ExternalOwner")
            .await;
        until("the autoscaler is gone", async || {
            Ok(hpas(&bench).get_opt("hands-querier").await?.is_none())
        })
        .await
        .unwrap();
        bench.change("hands", json!({"version": "2.0.0"})).await;
        bench.ready("hands").await;
        bench.change("hands", strategy("QueueDepth")).await;
        bench
            .wait("hands", "AutoscalingActive", "False", "MetricsUnavailable")
            .await;
        bench.ready("hands").await;
        stop.send(true).unwrap();
    };
    let ((), seen) = tokio::join!(change_hands, numbers(&bench, "hands-querier", stopped));
    assert_eq!(seen, BTreeSet::from([6]));
    // Without autoscaling the resource has the number again, and `kubectl scale` of it works.
    let off = json!({"autoscaling": {"querier": {"enabled": false}}});
    bench.change("hands", off).await;
    has(&bench, "hands", 3).await;
    let patch = Patch::Merge(json!({"spec": {"replicas": 4}}));
    let clusters = bench.clusters();
    let params = PatchParams::default();
    clusters
        .patch_scale("hands", &params, &patch)
        .await
        .unwrap();
    has(&bench, "hands", 4).await;
    bench.ready("hands").await;
    let cluster = bench.clusters().get("hands").await.unwrap();
    assert_eq!(said_of_autoscaling(&cluster), None);
}

fn said_of_autoscaling(cluster: &PhlareCluster) -> Option<&str> {
    let mut conditions = cluster.status.as_ref()?.conditions.iter();
    let found = conditions.find(|condition| condition.type_ == "AutoscalingActive")?;
    Some(&found.message)
}

fn scaled_object() -> ApiResource {
    ApiResource {
        group: "keda.sh".to_owned(),
        version: "v1alpha1".to_owned(),
        api_version: "keda.sh/v1alpha1".to_owned(),
        kind: "ScaledObject".to_owned(),
        plural: "scaledobjects".to_owned(),
    }
}

#[tokio::test]
async fn keda_is_told_if_it_is_there() {
    let Some(bench) = bench().await else { return };
    let triggers = json!([{"type": "prometheus", "metadata": {"serverAddress": "http://prometheus:9090", "query": "up", "threshold": "3"}}]);
    let said = json!({"enabled": true, "strategy": "KEDA", "maxReplicas": 9, "keda": {"triggers": triggers}});
    bench.create("keda", scaled(said)).await;
    let missing = bench
        .wait("keda", "AutoscalingActive", "False", "ScalingDisabled")
        .await;
    assert!(
        missing.message.contains("install KEDA"),
        "{}",
        missing.message
    );
    bench.ready("keda").await;
    assert_eq!(replicas(&bench, "keda").await, 3);
    let definitions: Api<CustomResourceDefinition> = Api::all(bench.client.clone());
    let definition = serde_json::from_value(json!({
        "metadata": {"name": "scaledobjects.keda.sh"},
        "spec": {
            "group": "keda.sh", "scope": "Namespaced",
            "names": {"kind": "ScaledObject", "plural": "scaledobjects", "singular": "scaledobject"},
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    }))
    .unwrap();
    definitions
        .create(&PostParams::default(), &definition)
        .await
        .unwrap();
    bench
        .wait("keda", "AutoscalingActive", "True", "Active")
        .await;
    let objects: Api<DynamicObject> =
        Api::namespaced_with(bench.client.clone(), &bench.namespace, &scaled_object());
    until("KEDA is told", async || {
        Ok(objects.get_opt("keda-querier").await?.is_some())
    })
    .await
    .unwrap();
    let object = objects.get("keda-querier").await.unwrap();
    assert_eq!(object.data["spec"]["triggers"], triggers);
    assert_eq!(object.data["spec"]["minReplicaCount"], 2);
    assert_eq!(
        object.data["spec"]["scaleTargetRef"]["name"],
        "keda-querier"
    );
    set(&bench, "keda", 5).await;
    bench.change("keda", strategy("External")).await;
    until("KEDA is told nothing any more", async || {
        Ok(objects.get_opt("keda-querier").await?.is_none())
    })
    .await
    .unwrap();
    assert_eq!(replicas(&bench, "keda").await, 5);
}

/// What query-schedulers say.
fn load(schedulers: &Answers, queries: u32) {
    let text = format!("phlare_query_scheduler_inflight_requests {queries}\n# EOF\n");
    schedulers.say("/metrics", "200 OK", &text);
}

#[tokio::test]
async fn the_number_follows_the_queries_that_wait_and_run() {
    let Some(bench) = bench().await else { return };
    let schedulers = Answers::at("127.77.0.1").await;
    load(&schedulers, 3);
    let mut spec = scaled(json!({
        "enabled": true, "maxReplicas": 8,
        "queueDepth": {"targetPerReplica": 2, "syncPeriod": "5s"},
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
    }));
    spec["components"]["queryScheduler"] = json!({
        "replicas": 2, "podAnnotations": {"fake.controlplane/address": "127.77.0.1"},
    });
    bench.create("depth", spec).await;
    bench.ready("depth").await;
    // Both query-schedulers say 3: three queriers have as much as they should.
    bench
        .wait("depth", "AutoscalingActive", "True", "Active")
        .await;
    assert_eq!(replicas(&bench, "depth").await, 3);
    load(&schedulers, 5);
    has(&bench, "depth", 5).await;
    until("the status says so", async || {
        let status = status(&bench, "depth").await;
        Ok(status.is_some_and(|status| status.desired == 5 && status.last_scale_time.is_some()))
    })
    .await
    .unwrap();
    load(&schedulers, 20);
    has(&bench, "depth", 8).await;
    bench
        .wait("depth", "AutoscalingActive", "True", "ScalingLimited")
        .await;
    bench.ready("depth").await;
    // Nothing is written while nothing changes.
    schedulers.asked(4).await;
    let audit = bench.cluster.audit();
    let mark = audit.mark().unwrap();
    schedulers.asked(6).await;
    let mine = audit.since(mark, bench.user).unwrap();
    let mut writes = mine
        .iter()
        .filter(|request| request.is_write() && request.namespace == bench.namespace);
    assert_eq!(writes.next(), None);
    // No answer is not no load.
    for (answer, text) in [
        (
            "500 Internal Server Error",
            "phlare_query_scheduler_inflight_requests 0\n",
        ),
        ("200 OK", ""),
        ("200 OK", "phlare_query_scheduler_inflight_requests NaN\n"),
    ] {
        schedulers.say("/metrics", answer, text);
        let blind = bench
            .wait("depth", "AutoscalingActive", "False", "MetricsUnavailable")
            .await;
        assert!(
            blind.message.contains("http://127.77.0.1:4040/metrics: "),
            "{}",
            blind.message
        );
        schedulers.asked(4).await;
        assert_eq!(replicas(&bench, "depth").await, 8);
    }
    // A release goes through meanwhile.
    bench.change("depth", json!({"version": "2.0.0"})).await;
    bench.ready("depth").await;
    assert_eq!(replicas(&bench, "depth").await, 8);
    load(&schedulers, 0);
    has(&bench, "depth", 2).await;
    bench
        .wait("depth", "AutoscalingActive", "True", "Active")
        .await;
    // Who sets it to 0 wants it so.
    set(&bench, "depth", 0).await;
    bench
        .wait("depth", "AutoscalingActive", "False", "ScalingDisabled")
        .await;
    assert_eq!(replicas(&bench, "depth").await, 0);
}
