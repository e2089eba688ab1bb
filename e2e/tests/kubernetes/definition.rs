//! What a manifest may say: each rule with one that passes and one that does not, judged by an API server.

use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use phlare_operator_api::PhlareCluster;
use serde_json::{Value, json};

use crate::bench::{Bench, bench};

/// What the API server says of a manifest; None if it takes it. Nothing is kept.
async fn verdict(bench: &Bench, name: &str, spec: Value) -> Option<String> {
    let resource = ApiResource::erase::<PhlareCluster>(&());
    let api: Api<DynamicObject> =
        Api::namespaced_with(bench.client.clone(), &bench.namespace, &resource);
    let object: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "phlare.dev/v1alpha1", "kind": "PhlareCluster", "metadata": {"name": name}, "spec": spec,
    }))
    .unwrap();
    let params = PostParams {
        dry_run: true,
        field_manager: None,
    };
    api.create(&params, &object)
        .await
        .err()
        .map(|error| error.to_string())
}

fn s3(more: Value) -> Value {
    let mut spec = json!({
        "mode": "Microservices",
        "storage": {"type": "S3", "s3": {"bucket": "profiles", "credentialsSecretRef": {"name": "login"}}},
    });
    merge(&mut spec, more);
    spec
}

fn merge(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                merge(below.entry(key).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}

#[tokio::test]
async fn good_manifests_are_taken() {
    let Some(bench) = bench().await else { return };
    let good = [
        json!({}),
        json!({"components": {"monolithic": {"resources": {"requests": {"cpu": 2, "memory": "1Gi"}}}}}),
        s3(json!({})),
        s3(json!({"replicationFactor": 1, "components": {"ingester": {"replicas": 1}}})),
        s3(
            json!({"zoneAwareness": {"enabled": true, "zones": ["a", "b", "c"]}, "components": {"ingester": {"replicas": 9}}}),
        ),
        s3(
            json!({"mode": "Monolithic", "replicationFactor": 3, "components": {"monolithic": {"replicas": 3}}}),
        ),
        json!({"storage": {"type": "GCS", "gcs": {"bucket": "profiles", "authentication": "WorkloadIdentity"}}}),
        json!({"storage": {"type": "Azure", "azure": {"container": "profiles", "accountName": "acme", "credentialsSecretRef": {"name": "login"}}}}),
        json!({"storage": {"type": "Swift", "swift": {"container": "profiles", "authUrl": "https://keystone:5000/v3", "credentialsSecretRef": {"name": "login"}}}}),
        json!({"limits": {"overrides": {"team-a": {"ingestionRateMb": 12.5, "maxQueryLookback": "30d"}}}}),
        json!({"config": {"overlay": {"limits": {"max_query_length": "48h"}}}}),
        s3(json!({"autoscaling": {"querier": {"enabled": true, "maxReplicas": 20}}})),
        json!({"autoscaling": {"querier": {"maxReplicas": 20}}}),
        s3(
            json!({"autoscaling": {"querier": {"enabled": true, "minReplicas": 3, "maxReplicas": 3, "tolerance": "0.05", "queueDepth": {"targetPerReplica": 3, "syncPeriod": "1m"}}}}),
        ),
        s3(
            json!({"autoscaling": {"querier": {"enabled": true, "strategy": "HPA", "maxReplicas": 9, "hpa": {"targetCpuUtilization": 75, "targetMemoryUtilization": 90}, "behavior": {"scaleUp": {"policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}], "selectPolicy": "Min"}, "scaleDown": {"stabilizationWindowSeconds": 0}}}}}),
        ),
        s3(
            json!({"autoscaling": {"querier": {"enabled": true, "strategy": "KEDA", "maxReplicas": 9, "keda": {"triggers": [{"type": "cron", "metadata": {"timezone": "UTC"}}]}}}}),
        ),
        s3(
            json!({"autoscaling": {"querier": {"enabled": true, "strategy": "External", "maxReplicas": 9}}}),
        ),
        json!({"components": {"all": {"affinity": {"podAntiAffinity": {}}, "env": [{"name": "A", "value": "b"}]}}}),
        json!({"monitoring": {"serviceMonitor": {"enabled": true, "interval": "1m"}, "dashboards": {"enabled": true, "labels": {}}}}),
        json!({"tenancy": {"enabled": true}, "grafana": {"datasource": {"enabled": true, "tenant": "team-a"}}}),
        json!({"grafana": {"datasource": {"enabled": true, "kind": "GrafanaDatasource", "instanceSelector": {}}}}),
    ];
    for spec in good {
        assert_eq!(verdict(&bench, "good", spec.clone()).await, None, "{spec}");
    }
    for example in ["minimal", "production"] {
        let file =
            phlare_e2e::programs::workspace().join(format!("charts/examples/{example}.yaml"));
        let text = std::fs::read_to_string(file).unwrap();
        for object in phlare_e2e::kubernetes::documents(&text).unwrap() {
            let name = object.metadata.name.clone().unwrap();
            assert_eq!(
                verdict(&bench, &name, object.data["spec"].clone()).await,
                None,
                "{example}"
            );
        }
    }
}

/// Each is refused with its message.
async fn refused(bench: &Bench, bad: &[(Value, &str)]) {
    for (spec, message) in bad {
        let said = verdict(bench, "bad", spec.clone()).await;
        let said = said.unwrap_or_else(|| "it was taken".to_owned());
        assert!(said.contains(message), "{spec}\nsaid: {said}");
    }
}

#[tokio::test]
async fn data_sources_are_told_whose_profiles_and_which_grafana() {
    let Some(bench) = bench().await else { return };
    let bad = [
        (
            json!({"tenancy": {"enabled": true}, "grafana": {"datasource": {"enabled": true}}}),
            "spec.grafana.datasource.tenant is missing",
        ),
        (
            json!({"grafana": {"datasource": {"enabled": true, "kind": "GrafanaDatasource"}}}),
            "needs spec.grafana.datasource.instanceSelector",
        ),
        (
            json!({"monitoring": {"serviceMonitor": {"interval": "often"}}}),
            "spec.monitoring.serviceMonitor.interval",
        ),
    ];
    refused(&bench, &bad).await;
}

#[tokio::test]
async fn object_stores_are_named_with_what_they_need() {
    let Some(bench) = bench().await else { return };
    let bad = [
        (
            json!({"mode": "Microservices"}),
            "set spec.storage.type to S3, GCS, Azure or Swift",
        ),
        (
            json!({"storage": {"type": "S3"}}),
            "spec.storage.s3 belongs to type S3: give both or none",
        ),
        (
            json!({"storage": {"s3": {"bucket": "profiles", "authentication": "WorkloadIdentity"}}}),
            "spec.storage.s3 belongs to type S3",
        ),
        (
            json!({"storage": {"type": "GCS"}}),
            "spec.storage.gcs belongs to type GCS",
        ),
        (
            json!({"storage": {"type": "Azure"}}),
            "spec.storage.azure belongs to type Azure",
        ),
        (
            json!({"storage": {"type": "Swift"}}),
            "spec.storage.swift belongs to type Swift",
        ),
        (
            json!({"storage": {"type": "S3", "s3": {"bucket": "profiles"}}}),
            "name the secret with the access keys in credentialsSecretRef",
        ),
        (
            json!({"storage": {"type": "GCS", "gcs": {"bucket": "profiles"}}}),
            "name the secret with the service account's key",
        ),
        (
            json!({"storage": {"type": "Azure", "azure": {"container": "profiles", "accountName": "acme"}}}),
            "name the secret with the account's key",
        ),
        (
            s3(json!({"storage": {"s3": {"authentication": "WorkloadIdentity"}}})),
            "or set authentication to WorkloadIdentity",
        ),
    ];
    refused(&bench, &bad).await;
}

#[tokio::test]
async fn bad_manifests_are_refused_and_told_what_to_write_instead() {
    let Some(bench) = bench().await else { return };
    let bad = [
        (
            s3(json!({"replicationFactor": 2})),
            "spec.replicationFactor must be 1, 3 or 5",
        ),
        (
            s3(json!({"components": {"ingester": {"replicas": 2}}})),
            "is less than the replication factor",
        ),
        (
            s3(json!({"mode": "Monolithic", "replicationFactor": 3})),
            "is more than spec.components.monolithic.replicas",
        ),
        (
            json!({"components": {"monolithic": {"replicas": 2}}}),
            "each replica has its own blocks",
        ),
        (
            json!({"zoneAwareness": {"enabled": true, "zones": ["a", "b", "c"]}}),
            "spec.zoneAwareness needs mode Microservices",
        ),
        (
            s3(json!({"zoneAwareness": {"enabled": true, "zones": ["a", "b"]}})),
            "needs as many zones as the replication factor",
        ),
        (
            s3(
                json!({"zoneAwareness": {"enabled": true, "zones": ["a", "b", "c"]}, "components": {"ingester": {"replicas": 4}}}),
            ),
            "make it a multiple of the number of zones",
        ),
        (
            s3(
                json!({"zoneAwareness": {"enabled": true, "zones": ["a", "b", "c"]}, "components": {"storeGateway": {"replicas": 4}}}),
            ),
            "spec.components.storeGateway.replicas is the number of all zones together",
        ),
        (
            json!({"image": {"digest": "sha256:abc"}}),
            "spec.image.digest",
        ),
        (
            json!({"retention": {"period": "1 month"}}),
            "spec.retention.period",
        ),
        (
            json!({"components": {"ingester": {"volume": {"size": "ten"}}}}),
            "volume.size",
        ),
        (
            json!({"components": {"querier": {"replicas": -1}}}),
            "spec.components.querier.replicas",
        ),
        (
            json!({"components": {"all": {"resources": {"limits": {"memory": "much"}}}}}),
            "spec.components.all.resources.limits.memory",
        ),
        (
            json!({"limits": {"overrides": {"team/a": {}}}}),
            "a tenant's name has up to 150 letters",
        ),
        (
            json!({"limits": {"defaults": {"maxQueryLookback": "ever"}}}),
            "spec.limits.defaults.maxQueryLookback",
        ),
        (json!({"mode": "Hybrid"}), "spec.mode"),
    ];
    refused(&bench, &bad).await;
    let long = "a".repeat(37);
    let said = verdict(&bench, &long, json!({})).await.unwrap();
    assert!(said.contains("choose a shorter one"), "{said}");
    let said = verdict(&bench, "9lives", json!({})).await.unwrap();
    assert!(said.contains("begin with a letter"), "{said}");
}

#[tokio::test]
async fn autoscaling_that_can_not_work_is_refused() {
    let Some(bench) = bench().await else { return };
    let querier = |more: Value| {
        let mut spec = json!({"autoscaling": {"querier": {"enabled": true, "maxReplicas": 9}}});
        merge(&mut spec["autoscaling"]["querier"], more);
        s3(spec)
    };
    let bad = [
        (
            json!({"autoscaling": {"querier": {"enabled": true, "maxReplicas": 9}}}),
            "spec.autoscaling.querier needs mode Microservices",
        ),
        (
            querier(json!({"minReplicas": 10})),
            "spec.autoscaling.querier.minReplicas is more than maxReplicas",
        ),
        (
            querier(json!({"minReplicas": 0})),
            "spec.autoscaling.querier.minReplicas",
        ),
        (
            s3(json!({"autoscaling": {"querier": {"enabled": true}}})),
            "spec.autoscaling.querier.maxReplicas: Required",
        ),
        (
            querier(json!({"strategy": "VPA"})),
            "spec.autoscaling.querier.strategy",
        ),
        (
            querier(json!({"strategy": "KEDA", "keda": {"triggers": []}})),
            "spec.autoscaling.querier.keda.triggers",
        ),
        (
            querier(json!({"queueDepth": {"syncPeriod": "1s"}})),
            "queueDepth.syncPeriod is between 5s and 5m",
        ),
        (
            querier(json!({"queueDepth": {"syncPeriod": "1h"}})),
            "spec.autoscaling.querier.queueDepth.syncPeriod",
        ),
        (
            querier(json!({"queueDepth": {"targetPerReplica": 0}})),
            "spec.autoscaling.querier.queueDepth.targetPerReplica",
        ),
        (
            querier(json!({"hpa": {"targetCpuUtilization": 0}})),
            "spec.autoscaling.querier.hpa.targetCpuUtilization",
        ),
        (
            querier(json!({"tolerance": "10%"})),
            "spec.autoscaling.querier.tolerance",
        ),
        (
            querier(json!({"behavior": {"scaleDown": {"stabilizationWindowSeconds": 7200}}})),
            "behavior.scaleDown.stabilizationWindowSeconds",
        ),
        (
            querier(
                json!({"behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 0, "periodSeconds": 15}]}}}),
            ),
            "behavior.scaleUp.policies[0].value",
        ),
        (
            querier(json!({"behavior": {"scaleUp": {"selectPolicy": "Most"}}})),
            "behavior.scaleUp.selectPolicy",
        ),
    ];
    refused(&bench, &bad).await;
}

#[tokio::test]
async fn what_would_lose_data_cannot_be_changed() {
    let Some(bench) = bench().await else { return };
    let zoned = json!({"zoneAwareness": {"enabled": true, "zones": ["a", "b", "c"]}, "components": {"ingester": {"volume": {"size": "10Gi"}}}, "replicationFactor": 3});
    // Paused: only what the API server says matters here.
    bench.create("kept", s3(zoned)).await;
    let clusters = bench.clusters();
    let change = async |spec: Value| {
        let params = PatchParams {
            dry_run: true,
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({"spec": spec}));
        let changed = clusters.patch("kept", &params, &patch).await;
        changed.err().map(|error| error.to_string())
    };
    let refused = [
        (
            json!({"mode": "Monolithic"}),
            "spec.replicationFactor is more than spec.components.monolithic.replicas",
        ),
        (
            json!({"storage": {"type": "GCS", "s3": null, "gcs": {"bucket": "profiles", "authentication": "WorkloadIdentity"}}}),
            "spec.storage.type can't be changed",
        ),
        (
            json!({"storage": {"prefix": "new"}}),
            "spec.storage.prefix can't be changed",
        ),
        (
            json!({"storage": {"s3": {"bucket": "another"}}}),
            "spec.storage.s3.bucket can't be changed",
        ),
        (
            json!({"replicationFactor": null}),
            "spec.replicationFactor can't be changed",
        ),
        (
            json!({"replicationFactor": 1}),
            "spec.replicationFactor can't be changed",
        ),
        (
            json!({"zoneAwareness": {"enabled": false}}),
            "spec.zoneAwareness can't be switched off",
        ),
        (
            json!({"zoneAwareness": {"zones": ["b", "a", "c"]}}),
            "can't lose or move a zone",
        ),
        (
            json!({"zoneAwareness": {"zones": ["a", "b", "d"]}}),
            "can't lose or move a zone",
        ),
        (
            json!({"components": {"ingester": {"volume": {"size": "9Gi"}}}}),
            "volume.size can't shrink",
        ),
        (
            json!({"components": {"ingester": {"volume": {"storageClassName": "fast"}}}}),
            "storageClassName can't be changed",
        ),
    ];
    for (spec, message) in refused {
        let said = change(spec.clone()).await;
        let said = said.unwrap_or_else(|| "it was taken".to_owned());
        assert!(said.contains(message), "{spec}\nsaid: {said}");
    }
    let taken = [
        json!({"version": "9.9.9"}),
        json!({"zoneAwareness": {"zones": ["a", "b", "c", "d"]}}),
        json!({"components": {"ingester": {"volume": {"size": "11Gi"}, "replicas": 6}}}),
        json!({"storage": {"s3": {"region": "eu-west-1"}}}),
        json!({"mode": "Monolithic", "zoneAwareness": {"enabled": false}, "components": {"monolithic": {"replicas": 3}}}),
    ];
    for spec in taken {
        assert_eq!(change(spec.clone()).await, None, "{spec}");
    }
}
