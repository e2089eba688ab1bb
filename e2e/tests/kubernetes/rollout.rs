//! That a release goes zone by zone, stops where it does not work, and goes on when a better one comes.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use phlare_e2e::until;
use serde_json::json;

use crate::bench::{Bench, bench, zones};

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
