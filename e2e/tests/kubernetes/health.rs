//! That what pods say is in the status, and that a release goes on only while they say that they are well.

use kube::api::{Patch, PatchParams};
use phlare_e2e::until;
use phlare_operator_api::PhlareClusterStatus;
use serde_json::{Value, json};

use crate::answers::Answers;
use crate::bench::{Bench, bench, zones};

/// All pods are at an address.
fn at(address: &str) -> Value {
    json!({"all": {
        "terminationGracePeriodSeconds": 0,
        "podAnnotations": {"fake.controlplane/address": address},
    }})
}

/// A resource of microservices whose pods are at an address.
fn answered(address: &str, rollout: Value) -> Value {
    let mut spec = zones("1.0.0");
    spec["components"] = at(address);
    spec["rollout"] = rollout;
    spec
}

async fn answers(address: &str, cluster: &str) -> Answers {
    let answers = Answers::at(address).await;
    ring(&answers, cluster, "ACTIVE");
    answers.trouble("");
    answers.requests(1_000, 10);
    answers
}

/// Three ingesters, the first of which is in a state.
fn ring(answers: &Answers, cluster: &str, state: &str) {
    let names = ["a", "b", "c"].map(|zone| format!("{cluster}-ingester-{zone}-0"));
    let [a, b, c] = names.each_ref().map(String::as_str);
    answers.ring(&[(a, state), (b, "ACTIVE"), (c, "ACTIVE")]);
}

/// Has the operator look at a resource that does not change.
async fn look(bench: &Bench, cluster: &str, number: usize) {
    let patch = json!({"metadata": {"annotations": {"look": number.to_string()}}});
    let params = PatchParams::default();
    let clusters = bench.clusters();
    clusters
        .patch(cluster, &params, &Patch::Merge(&patch))
        .await
        .unwrap();
}

async fn status(bench: &Bench, cluster: &str) -> PhlareClusterStatus {
    let cluster = bench.clusters().get(cluster).await.unwrap();
    cluster.status.unwrap_or_default()
}

async fn version(bench: &Bench, workload: &str) -> String {
    let set = bench.stateful_sets().get(workload).await.unwrap();
    let annotations = set.metadata.annotations.unwrap_or_default();
    annotations["phlare.dev/version"].clone()
}

#[tokio::test]
async fn the_status_says_how_ring_and_object_store_are_and_a_steady_one_is_not_written() {
    let Some(bench) = bench().await else { return };
    let answers = answers("127.77.0.2", "said").await;
    bench
        .create("said", answered("127.77.0.2", json!({})))
        .await;
    bench.ready("said").await;
    bench
        .wait("said", "StorageReachable", "True", "Verified")
        .await;
    let ring_now = status(&bench, "said").await.ring.unwrap();
    assert_eq!((ring_now.members, ring_now.active), (3, 3));
    let audit = bench.cluster.audit();
    let mark = audit.mark().unwrap();
    for number in 0..3 {
        look(&bench, "said", number).await;
        answers.asked(2).await;
    }
    let mine = audit.since(mark, bench.user).unwrap();
    let mut writes = mine
        .iter()
        .filter(|request| request.is_write() && request.namespace == bench.namespace);
    assert_eq!(writes.next(), None);
    answers.trouble("bucket profiles: list: AccessDenied (request 7c1f, 3 tries)");
    ring(&answers, "said", "LEAVING");
    look(&bench, "said", 3).await;
    let failing = bench
        .wait("said", "StorageReachable", "False", "Failing")
        .await;
    assert!(
        failing
            .message
            .contains("store-gateway: bucket profiles: list: AccessDenied"),
        "{}",
        failing.message
    );
    let ring_now = status(&bench, "said").await.ring.unwrap();
    assert_eq!((ring_now.members, ring_now.active), (3, 2));
    assert_eq!(ring_now.inactive[0].name, "said-ingester-a-0");
    assert_eq!(ring_now.inactive[0].state, "LEAVING");
    answers.trouble("");
    look(&bench, "said", 4).await;
    bench
        .wait("said", "StorageReachable", "True", "Verified")
        .await;
}

#[tokio::test]
async fn a_release_waits_until_the_ring_shows_its_ingesters() {
    let Some(bench) = bench().await else { return };
    let answers = answers("127.77.0.3", "shown").await;
    let spec = answered("127.77.0.3", json!({"healthGates": {"ringActive": true}}));
    bench.create("shown", spec).await;
    bench.ready("shown").await;
    ring(&answers, "shown", "JOINING");
    bench.change("shown", json!({"version": "2.0.0"})).await;
    until("the release waits for the ring", async || {
        let conditions = status(&bench, "shown").await.conditions;
        Ok(conditions.iter().any(|condition| {
            let shows = "shows pod shown-ingester-a-0 as JOINING";
            condition.type_ == "Reconciling" && condition.message.contains(shows)
        }))
    })
    .await
    .unwrap();
    assert_eq!(version(&bench, "shown-ingester-a").await, "2.0.0");
    assert_eq!(version(&bench, "shown-ingester-b").await, "1.0.0");
    ring(&answers, "shown", "ACTIVE");
    bench.ready("shown").await;
    assert_eq!(version(&bench, "shown-ingester-c").await, "2.0.0");
}

#[tokio::test]
async fn a_release_with_errors_is_taken_back_if_the_others_have_none() {
    let Some(bench) = bench().await else { return };
    let _old = answers("127.77.0.4", "wrong").await;
    let new = answers("127.77.0.5", "wrong").await;
    let rollout = json!({"onFailure": "Rollback", "healthGates": {"ringActive": true}});
    bench.create("wrong", answered("127.77.0.4", rollout)).await;
    bench.ready("wrong").await;
    new.requests(900, 100);
    bench
        .change(
            "wrong",
            json!({"version": "2.0.0", "components": at("127.77.0.5")}),
        )
        .await;
    let stalled = bench.wait("wrong", "Stalled", "True", "RolledBack").await;
    for text in ["HealthGateFailed", "more than 5 %", "errorRatio"] {
        assert!(stalled.message.contains(text), "{}", stalled.message);
    }
    until("all pods are what they were", async || {
        let status = status(&bench, "wrong").await;
        Ok(status.rollout.is_none() && status.version.as_deref() == Some("1.0.0"))
    })
    .await
    .unwrap();
    assert_eq!(version(&bench, "wrong-ingester-a").await, "1.0.0");
    // With the limit out of the way it goes through.
    let off = json!({"rollout": {"healthGates": {"errorRatio": {"enabled": false}}}});
    bench.change("wrong", off).await;
    let params = PatchParams::default();
    let target = status(&bench, "wrong").await.release.unwrap().target;
    let retry =
        json!({"metadata": {"annotations": {"phlare.dev/rollout": format!("retry {target}")}}});
    let clusters = bench.clusters();
    clusters
        .patch("wrong", &params, &Patch::Merge(&retry))
        .await
        .unwrap();
    bench.ready("wrong").await;
    assert_eq!(version(&bench, "wrong-ingester-a").await, "2.0.0");
}
