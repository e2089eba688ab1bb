//! That a Phlare changes from one process to a fleet and back: clients reach pods that are well all the time, and who holds
//! profiles goes only when it has none left.

use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, ListParams};
use phlare_e2e::until;
use serde_json::{Value, json};

use crate::answers::Answers;
use crate::bench::{Bench, bench};

const ADDRESS: &str = "127.77.0.6";
const DRAIN: &str = "/ingester/prepare-shutdown";

/// Pods all have one address, where they say how far they are with their end.
fn spec() -> Value {
    json!({
        "version": "1.0.0",
        "storage": {"type": "S3", "s3": {"bucket": "profiles", "authentication": "WorkloadIdentity"}},
        "components": {"all": {
            "terminationGracePeriodSeconds": 0,
            "podAnnotations": {"fake.controlplane/address": ADDRESS},
        }},
    })
}

/// Whose pods clients reach.
async fn front(bench: &Bench) -> String {
    let services: Api<Service> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let service = services.get("turn").await.unwrap();
    let selector = service.spec.unwrap().selector.unwrap();
    selector["app.kubernetes.io/component"].clone()
}

/// All Deployments, StatefulSets and Services, by name.
async fn names(bench: &Bench) -> Vec<String> {
    let all = ListParams::default();
    let mut names = Vec::new();
    for object in bench.deployments().list(&all).await.unwrap().items {
        names.extend(object.metadata.name);
    }
    for object in bench.stateful_sets().list(&all).await.unwrap().items {
        names.extend(object.metadata.name);
    }
    let services: Api<Service> = Api::namespaced(bench.client.clone(), &bench.namespace);
    for object in services.list(&all).await.unwrap().items {
        names.extend(object.metadata.name);
    }
    names.sort();
    names
}

async fn pods_of(bench: &Bench, set: &str) -> Option<i32> {
    let set = bench.stateful_sets().get_opt(set).await.unwrap()?;
    set.spec.unwrap().replicas
}

async fn serves(bench: &Bench, component: &str) {
    until(&format!("clients reach {component}"), async || {
        Ok(front(bench).await == component)
    })
    .await
    .unwrap();
}

fn drained(answers: &Answers, finished: bool) {
    let said = json!({"prepared": true, "finished": finished});
    answers.say(DRAIN, "200 OK", &said.to_string());
}

#[tokio::test]
async fn one_process_becomes_a_fleet_and_one_process_again() {
    let Some(bench) = bench().await else { return };
    let answers = Answers::at(ADDRESS).await;
    drained(&answers, false);
    bench.create("turn", spec()).await;
    bench.ready("turn").await;
    let one_process = names(&bench).await;
    assert_eq!(front(&bench).await, "monolithic");

    // Pods that don't get ready get nothing from clients, and nothing that is there goes.
    let ill = json!({"podAnnotations": {"fake.controlplane/ready": "false"}});
    let fleet = json!({"mode": "Microservices", "components": {"querier": ill}});
    bench.change("turn", fleet).await;
    bench
        .wait("turn", "Ready", "False", "ComponentsNotReady")
        .await;
    until("the fleet is there", async || {
        Ok(pods_of(&bench, "turn-ingester").await == Some(3))
    })
    .await
    .unwrap();
    assert_eq!(front(&bench).await, "monolithic");
    for name in one_process {
        assert!(names(&bench).await.contains(&name), "{name} is gone");
    }

    // Now they do. The old one stays until it holds nothing any more.
    let well =
        json!({"components": {"querier": {"podAnnotations": {"fake.controlplane/ready": null}}}});
    bench.change("turn", well).await;
    // Clients stay where they are until the old one has uploaded what it holds: the fleet counts on more copies.
    bench.wait("turn", "Stalled", "True", "FlushFailing").await;
    assert_eq!(front(&bench).await, "monolithic");
    answers.say("/ingester/flush", "200 OK", "{}");
    serves(&bench, "query-frontend").await;
    answers.asked(3).await;
    assert_eq!(pods_of(&bench, "turn-monolithic").await, Some(1));
    bench
        .wait("turn", "UpToDate", "False", "RolloutPending")
        .await;
    drained(&answers, true);
    until("the old one is gone", async || {
        Ok(pods_of(&bench, "turn-monolithic").await.is_none())
    })
    .await
    .unwrap();
    bench.ready("turn").await;
    let fleet = names(&bench).await;
    assert!(
        !fleet.iter().any(|name| name == "turn-monolithic"),
        "{fleet:?}"
    );

    // And back. Whoever holds profiles goes one after the other, then all others.
    drained(&answers, false);
    bench.change("turn", json!({"mode": "Monolithic"})).await;
    serves(&bench, "monolithic").await;
    answers.asked(3).await;
    assert_eq!(pods_of(&bench, "turn-ingester").await, Some(3));
    for name in fleet {
        assert!(names(&bench).await.contains(&name), "{name} is gone");
    }
    drained(&answers, true);
    bench.ready("turn").await;
    assert_eq!(
        names(&bench).await,
        ["turn", "turn-members", "turn-monolithic", "turn-monolithic"]
    );
}
