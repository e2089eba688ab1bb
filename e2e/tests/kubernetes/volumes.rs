//! That volumes grow, and that one that is lost is named and replaced.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{Api, PostParams};
use phlare_e2e::until;
use serde_json::json;

use crate::answers::Answers;
use crate::bench::{Bench, bench, zones};

#[tokio::test]
async fn volumes_grow() {
    let Some(bench) = bench().await else { return };
    let size = |size: &str| json!({"components": {"monolithic": {"volume": {"size": size}}}});
    bench.create("grow", size("1Gi")).await;
    bench.ready("grow").await;
    bench.change("grow", size("2Gi")).await;
    let claims: Api<PersistentVolumeClaim> =
        Api::namespaced(bench.client.clone(), &bench.namespace);
    until("the claim asks for more", async || {
        let claim = claims.get("data-grow-monolithic-0").await?;
        let requests = claim
            .spec
            .and_then(|spec| spec.resources?.requests)
            .unwrap_or_default();
        Ok(requests["storage"].0 == "2Gi")
    })
    .await
    .unwrap();
    bench.ready("grow").await;
}

/// A volume on a node that does not exist, and its claim, which the pod of a StatefulSet will use.
async fn on_a_node_that_is_gone(bench: &Bench, claim: &str, cluster: &str) {
    let volume = format!("gone-{claim}");
    let object = json!({
        "metadata": {"name": volume},
        "spec": {
            "capacity": {"storage": "20Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "local",
            "local": {"path": "/nowhere"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-gone"]},
            ]}]}},
        },
    });
    let volumes: Api<PersistentVolume> = Api::all(bench.client.clone());
    let object = serde_json::from_value(object).unwrap();
    let params = PostParams::default();
    volumes.create(&params, &object).await.unwrap();
    let object = json!({
        "metadata": {"name": claim, "labels": {
            "app.kubernetes.io/name": "phlare", "app.kubernetes.io/instance": cluster,
        }},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "local", "volumeName": volume,
            "resources": {"requests": {"storage": "20Gi"}},
        },
    });
    let claims: Api<PersistentVolumeClaim> =
        Api::namespaced(bench.client.clone(), &bench.namespace);
    let object = serde_json::from_value(object).unwrap();
    claims.create(&params, &object).await.unwrap();
}

#[tokio::test]
async fn a_volume_that_is_lost_with_its_node_is_named_and_replaced_if_that_is_wanted() {
    let Some(bench) = bench().await else { return };
    let claim = "data-lost-ingester-b-0";
    on_a_node_that_is_gone(&bench, claim, "lost").await;
    let answers = Answers::at("127.77.0.7").await;
    let mut spec = zones("1.0.0");
    spec["components"] = json!({"all": {
        "terminationGracePeriodSeconds": 0,
        "podAnnotations": {"fake.controlplane/address": "127.77.0.7"},
    }});
    bench.create("lost", spec).await;
    let stalled = bench.wait("lost", "Stalled", "True", "VolumeLost").await;
    for text in [
        "pod lost-ingester-b-0 waits for its volume data-lost-ingester-b-0",
        "was on node node-gone, and that is gone",
        "delete --wait=false pvc data-lost-ingester-b-0",
    ] {
        assert!(stalled.message.contains(text), "{}", stalled.message);
    }
    until("the others are known to be ready", async || {
        let cluster = bench.clusters().get("lost").await?;
        let conditions = cluster.status.unwrap_or_default().conditions;
        let says = "other ingesters have what it held";
        Ok(conditions.iter().any(|one| one.message.contains(says)))
    })
    .await
    .unwrap();
    let wanted = json!({"components": {"ingester": {"volume": {"whenLost": "Replace"}}}});
    bench.change("lost", wanted).await;
    // What the others hold has to be in the object store before: the next node may be theirs.
    let stalled = bench.wait("lost", "Stalled", "True", "FlushFailing").await;
    let text = "does not upload what it holds";
    assert!(stalled.message.contains(text), "{}", stalled.message);
    answers.say("/ingester/flush", "200 OK", "");
    bench
        .change("lost", json!({"rollout": {"soakSeconds": 1}}))
        .await;
    bench.ready("lost").await;
    let claims: Api<PersistentVolumeClaim> =
        Api::namespaced(bench.client.clone(), &bench.namespace);
    let spec = claims.get(claim).await.unwrap().spec.unwrap();
    assert_ne!(spec.volume_name.unwrap(), format!("gone-{claim}"));
}
