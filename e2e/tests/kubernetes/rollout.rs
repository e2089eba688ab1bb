//! That a release goes zone by zone, stops where it does not work, and goes on when a better one comes.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams};
use phlare_e2e::until;
use serde_json::json;

use crate::bench::{Bench, bench, zones};

/// The workloads that the operator wrote to since a mark in the audit log, in order.
fn written(bench: &Bench, mark: usize) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for request in bench.cluster.audit().since(mark, bench.user).unwrap() {
        let is_workload = matches!(request.resource.as_str(), "deployments" | "statefulsets");
        let is_mine = request.namespace == bench.namespace && request.is_write();
        if is_workload && is_mine && names.last() != Some(&request.name) {
            names.push(request.name);
        }
    }
    names
}

/// Every workload of a resource with three zones, in the order in which releases reach them.
fn all(cluster: &str) -> Vec<String> {
    let parts = [
        "query-scheduler",
        "query-frontend",
        "querier",
        "store-gateway-a",
        "store-gateway-b",
        "store-gateway-c",
        "ingester-a",
        "ingester-b",
        "ingester-c",
        "distributor",
        "compactor",
    ];
    parts.map(|part| format!("{cluster}-{part}")).to_vec()
}

/// Images of the ingesters, by zone.
async fn images(bench: &Bench, cluster: &str) -> Vec<String> {
    let mut images = Vec::new();
    for zone in ["a", "b", "c"] {
        let set = bench
            .stateful_sets()
            .get(&format!("{cluster}-ingester-{zone}"))
            .await
            .unwrap();
        let template = set.spec.unwrap().template.spec.unwrap();
        let image = template.containers[0].image.clone().unwrap();
        images.push(image.rsplit_once(':').unwrap().1.to_owned());
    }
    images
}

#[tokio::test]
async fn a_release_that_cannot_be_pulled_stops_in_the_first_zone() {
    let Some(bench) = bench().await else { return };
    bench.create("prod", zones("1.0.0")).await;
    bench.ready("prod").await;
    // The nodes can't get an image that ends so.
    bench.change("prod", json!({"version": "bad"})).await;
    let stalled = bench
        .wait("prod", "Stalled", "True", "ImagePullError")
        .await;
    assert!(
        stalled
            .message
            .contains("correct spec.image or spec.version"),
        "{}",
        stalled.message
    );
    // It stops at the very first workload: the stateless ones come before the ingesters.
    assert_eq!(images(&bench, "prod").await, ["1.0.0", "1.0.0", "1.0.0"]);
    bench.change("prod", json!({"version": "2.0.0"})).await;
    bench.ready("prod").await;
    assert_eq!(images(&bench, "prod").await, ["2.0.0", "2.0.0", "2.0.0"]);
    let status = bench.clusters().get("prod").await.unwrap().status.unwrap();
    assert!(
        status
            .conditions
            .iter()
            .all(|condition| condition.type_ != "Stalled")
    );
}

#[tokio::test]
async fn a_zone_that_gets_no_nodes_keeps_the_others_as_they_are() {
    let Some(bench) = bench().await else { return };
    bench.create("wide", zones("1.0.0")).await;
    bench.ready("wide").await;
    bench
        .change(
            "wide",
            json!({"components": {"ingester": {"resources": {"requests": {"memory": "10Ti"}}}}}),
        )
        .await;
    let stalled = bench.wait("wide", "Stalled", "True", "Unschedulable").await;
    assert!(
        stalled.message.contains("wide-ingester-a-0")
            && stalled.message.contains("Insufficient memory"),
        "{}",
        stalled.message
    );
    let requests = async |zone: &str| {
        let set = bench
            .stateful_sets()
            .get(&format!("wide-ingester-{zone}"))
            .await
            .unwrap();
        let template = set.spec.unwrap().template.spec.unwrap();
        template.containers[0]
            .resources
            .clone()
            .and_then(|resources| resources.requests)
    };
    assert!(requests("a").await.is_some());
    assert_eq!(requests("b").await, None);
    assert_eq!(requests("c").await, None);
    bench
        .change(
            "wide",
            json!({"components": {"ingester": {"resources": null}}}),
        )
        .await;
    bench.ready("wide").await;
    assert_eq!(requests("a").await, None);
    let pods: Api<Pod> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let all = pods.list(&ListParams::default()).await.unwrap();
    assert!(
        all.items
            .iter()
            .any(|pod| pod.name_any() == "wide-ingester-a-0")
    );
}

#[tokio::test]
async fn zones_are_on_the_nodes_of_their_zone_and_have_no_other_pods() {
    let Some(bench) = bench().await else { return };
    let mut spec = zones("1.0.0");
    spec["components"]["ingester"] = json!({"replicas": 6});
    bench.create("zoned", spec).await;
    bench.ready("zoned").await;
    let pods: Api<Pod> = Api::namespaced(bench.client.clone(), &bench.namespace);
    for zone in ["a", "b", "c"] {
        let selector = format!("app.kubernetes.io/component=ingester,phlare.dev/zone={zone}");
        let mine = pods
            .list(&ListParams::default().labels(&selector))
            .await
            .unwrap()
            .items;
        assert_eq!(mine.len(), 2);
        for pod in mine {
            let spec = pod.spec.unwrap();
            let selector = spec.node_selector.unwrap();
            assert_eq!(selector["topology.kubernetes.io/zone"], zone);
            let arguments = spec.containers[0].args.clone().unwrap();
            assert!(arguments.contains(&format!("-ingester.availability-zone={zone}")));
        }
    }
    // More of them, at once in every zone.
    bench
        .change(
            "zoned",
            json!({"components": {"ingester": {"replicas": 9}}}),
        )
        .await;
    until("there are nine", async || {
        let all = ListParams::default().labels("app.kubernetes.io/component=ingester");
        Ok(pods.list(&all).await?.items.len() == 9)
    })
    .await
    .unwrap();
    bench.ready("zoned").await;
}

#[tokio::test]
async fn canaries_get_a_release_before_all_others_and_prove_it_for_a_while() {
    let Some(bench) = bench().await else { return };
    let mut spec = zones("1.0.0");
    spec["rollout"] = json!({"canary": {"ingesters": 1, "queriers": 1, "soakSeconds": 1}});
    spec["components"]["ingester"] = json!({"replicas": 6});
    bench.create("can", spec).await;
    bench.ready("can").await;
    let mark = bench.cluster.audit().mark().unwrap();
    bench.change("can", json!({"version": "2.0.0"})).await;
    bench.ready("can").await;
    let mut expected = vec!["can-querier-canary".to_owned(), "can-ingester-a".to_owned()];
    expected.extend(all("can"));
    assert_eq!(written(&bench, mark), expected);
    // Nobody has canaries any more: their Deployment goes, nothing else is touched.
    let mark = bench.cluster.audit().mark().unwrap();
    bench
        .change(
            "can",
            json!({"rollout": {"canary": {"ingesters": 0, "queriers": 0}}}),
        )
        .await;
    until("the canaries are gone", async || {
        let there = bench.deployments().get_opt("can-querier-canary").await?;
        Ok(there.is_none())
    })
    .await
    .unwrap();
    bench.ready("can").await;
    assert_eq!(written(&bench, mark), ["can-querier-canary"]);
}

#[tokio::test]
async fn a_release_whose_pods_do_not_get_ready_is_taken_back() {
    let Some(bench) = bench().await else { return };
    let mut spec = zones("1.0.0");
    spec["rollout"] = json!({"onFailure": "Rollback", "progressDeadlineSeconds": 5});
    bench.create("back", spec).await;
    bench.ready("back").await;
    let mark = bench.cluster.audit().mark().unwrap();
    let sick = json!({"podAnnotations": {"fake.controlplane/ready": "false"}});
    bench
        .change(
            "back",
            json!({"version": "2.0.0", "components": {"ingester": sick}}),
        )
        .await;
    let stalled = bench.wait("back", "Stalled", "True", "RolledBack").await;
    for text in ["back-ingester-a did not get ready", "within 5 s", "retry"] {
        assert!(stalled.message.contains(text), "{}", stalled.message);
    }
    bench.wait("back", "UpToDate", "False", "RolledBack").await;
    until("every pod is as it was", async || {
        let cluster = bench.clusters().get("back").await?;
        let status = cluster.status.unwrap_or_default();
        let ready = status
            .conditions
            .iter()
            .any(|it| it.type_ == "Ready" && it.status == "True");
        Ok(ready && status.rollout.is_none())
    })
    .await
    .unwrap();
    assert_eq!(images(&bench, "back").await, ["1.0.0", "1.0.0", "1.0.0"]);
    // Those after the first zone of ingesters never had it. Components go back at once, zones one after the other, the
    // one first that got it last.
    let touched: Vec<_> = all("back").into_iter().take(7).collect();
    let written = written(&bench, mark);
    assert_eq!(written[..7], touched);
    let back = &written[7..];
    let zones = back.iter().filter(|name| name.contains("store-gateway"));
    let zones: Vec<_> = zones.map(|name| name.rsplit_once('-').unwrap().1).collect();
    assert_eq!(zones, ["c", "b", "a"]);
    let (mut back, mut touched) = (back.to_vec(), touched);
    back.sort();
    touched.sort();
    assert_eq!(back, touched);
    let status = bench.clusters().get("back").await.unwrap().status.unwrap();
    assert_eq!(status.version.as_deref(), Some("1.0.0"));
    // It stays so; a better one is another try.
    bench
        .change(
            "back",
            json!({"version": "3.0.0", "components": {"ingester": {"podAnnotations": null}}}),
        )
        .await;
    bench.ready("back").await;
    assert_eq!(images(&bench, "back").await, ["3.0.0", "3.0.0", "3.0.0"]);
}

#[tokio::test]
async fn a_release_that_works_is_undone_and_done_again_when_somebody_asks() {
    let Some(bench) = bench().await else { return };
    bench.create("undo", json!({"version": "1.0.0"})).await;
    bench.ready("undo").await;
    bench.change("undo", json!({"version": "2.0.0"})).await;
    bench.ready("undo").await;
    let target = async || {
        let status = bench.clusters().get("undo").await.unwrap().status.unwrap();
        status.release.unwrap().target
    };
    let version = async || {
        let status = bench.clusters().get("undo").await?.status;
        anyhow::Ok(status.unwrap_or_default().version.unwrap_or_default())
    };
    let wish = async |wish: Option<String>| {
        let patch = json!({"metadata": {"annotations": {"phlare.dev/rollout": wish}}});
        let params = PatchParams::default();
        let api = bench.clusters();
        api.patch("undo", &params, &Patch::Merge(patch))
            .await
            .unwrap();
    };
    wish(Some(format!("undo {}", target().await))).await;
    bench.wait("undo", "Stalled", "True", "RolledBack").await;
    until("pods run the version before", async || {
        Ok(version().await? == "1.0.0")
    })
    .await
    .unwrap();
    wish(None).await;
    until("pods run the version again", async || {
        Ok(version().await? == "2.0.0")
    })
    .await
    .unwrap();
    bench.ready("undo").await;
}
