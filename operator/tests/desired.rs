//! What should be there for the example manifests, object by object.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use phlare_operator::credentials::{Credentials, Variable};
use phlare_operator::desired::{Desired, Inputs, desired};
use phlare_operator_api::PhlareCluster;
use serde_json::json;

fn example(name: &str) -> PhlareCluster {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../charts/examples/{name}.yaml"));
    let text = fs::read_to_string(path).unwrap();
    let mut cluster: PhlareCluster = serde_yaml::from_str(&text).unwrap();
    cluster.metadata.namespace = Some("obs".to_owned());
    cluster.metadata.uid = Some("00000000-0000-0000-0000-000000000001".to_owned());
    cluster
}

fn made(cluster: &PhlareCluster) -> Desired {
    let variable = |name, key: &str| Variable {
        name,
        key: key.to_owned(),
    };
    let credentials = Credentials {
        secret: Some("prod-bucket".to_owned()),
        variables: vec![
            variable("PHLARE_S3_ACCESS_KEY_ID", "access_key_id"),
            variable("PHLARE_S3_SECRET_ACCESS_KEY", "secret_access_key"),
        ],
        hash: "0123456789".to_owned(),
    };
    let none = Credentials::default();
    let inputs = Inputs {
        cluster,
        image: "phlare/phlare:0.1.0".to_owned(),
        version: "0.1.0".to_owned(),
        credentials: if cluster.spec.storage.s3.is_some() {
            &credentials
        } else {
            &none
        },
        operator_namespace: "phlare-operator",
    };
    desired(&inputs).unwrap()
}

fn text(desired: &Desired) -> String {
    let workloads = desired.workloads.iter().map(|workload| &workload.object);
    let all = desired.objects.iter().chain(workloads);
    let all = all.chain(&desired.monitoring);
    let documents = all.map(|object| serde_yaml::to_string(&object.body).unwrap());
    documents.collect::<Vec<_>>().join("---\n")
}

#[test]
fn the_minimal_example() {
    insta::assert_snapshot!(text(&made(&example("minimal"))));
}

#[test]
fn the_production_example() {
    insta::assert_snapshot!(text(&made(&example("production"))));
}

#[test]
fn equal_resources_have_equal_objects() {
    let (one, two) = (example("production"), example("production"));
    assert_eq!(text(&made(&one)), text(&made(&two)));
}

#[test]
fn each_stateful_set_names_a_service_that_is_there_and_headless() {
    let desired = made(&example("production"));
    let headless: BTreeSet<_> = desired
        .objects
        .iter()
        .filter(|object| object.resource.kind == "Service")
        .filter(|object| object.body["spec"]["clusterIP"] == "None")
        .filter(|object| object.body["spec"]["publishNotReadyAddresses"] == true)
        .map(|object| object.name.as_str())
        .collect();
    let mut sets = 0;
    for workload in &desired.workloads {
        if workload.object.resource.kind == "StatefulSet" {
            let service = workload.object.body["spec"]["serviceName"]
                .as_str()
                .unwrap();
            assert!(headless.contains(service), "{service}");
            sets += 1;
        }
    }
    // Three of ingesters, three of store-gateways, one of the compactor.
    assert_eq!(sets, 7);
}

#[test]
fn names_have_room_for_what_kubernetes_appends() {
    let mut cluster = example("production");
    cluster.metadata.name = Some("a".repeat(36));
    let desired = made(&cluster);
    for workload in &desired.workloads {
        // StatefulSets give their pods a label with a hash of ten digits at the end; labels have 63 characters.
        let most = 63 - 11;
        assert!(
            workload.object.name.len() <= most,
            "{}",
            workload.object.name
        );
    }
}

#[test]
fn the_number_of_pods_is_nobodys_field() {
    for workload in made(&example("production")).workloads {
        assert_eq!(workload.object.body["spec"].get("replicas"), None);
    }
}

#[test]
fn only_what_concerns_a_component_restarts_it() {
    let before = made(&example("production"));
    let mut cluster = example("production");
    cluster.spec.components.querier.replicas = 9;
    cluster.spec.components.ingester.volume.size = Some("200Gi".to_owned());
    cluster.spec.limits.overrides.clear();
    cluster
        .spec
        .components
        .compactor
        .pod
        .extra_args
        .push("-log.level=debug".to_owned());
    let after = made(&cluster);
    let changed: Vec<_> = before
        .workloads
        .iter()
        .zip(&after.workloads)
        .filter(|(before, after)| before.release != after.release)
        .map(|(before, _)| before.object.name.as_str())
        .collect();
    assert_eq!(changed, ["prod-compactor"]);
}

#[test]
fn affinities_that_are_none_are_named_by_their_place() {
    let mut cluster = example("minimal");
    let odd = json!({"podAntiAffinity": "everywhere"});
    cluster.spec.components.all.affinity = Some(serde_json::from_value(odd).unwrap());
    let inputs = Inputs {
        cluster: &cluster,
        image: String::new(),
        version: String::new(),
        credentials: &Credentials::default(),
        operator_namespace: "",
    };
    let problem = desired(&inputs).unwrap_err().to_string();
    assert!(
        problem.starts_with("spec.components.monolithic.affinity is no Affinity: "),
        "{problem}"
    );
}
