//! One operator of several writes, and the next one goes on.

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use phlare_e2e::kubernetes::{Operator, Rights};
use phlare_e2e::until;

use crate::bench::bench;

#[tokio::test]
async fn an_operator_that_is_told_to_stop_lets_the_next_one_lead() {
    let Some(bench) = bench().await else { return };
    let rights = Rights::of_an_administrator(bench.cluster);
    // Their Lease and their resources are in this namespace only.
    let namespace = format!("--namespace={}", bench.namespace);
    let lease = format!("--lease-namespace={}", bench.namespace);
    let flags = [namespace.as_str(), lease.as_str()];
    let leases: Api<Lease> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let leads = async |name: &str| {
        until(&format!("{name} leads"), async || {
            let spec = leases
                .get_opt("phlare-operator")
                .await?
                .and_then(|lease| lease.spec);
            Ok(spec.and_then(|spec| spec.holder_identity).as_deref() == Some(name))
        })
        .await
        .unwrap();
    };
    let mut first = Operator::start(bench.cluster, &rights, "first", &flags).unwrap();
    leads("first").await;
    let mut second = Operator::start(bench.cluster, &rights, "second", &flags).unwrap();
    assert!(first.stop().unwrap().success(), "{}", first.log().unwrap());
    let log = first.log().unwrap();
    assert!(log.contains("stopped"), "{log}");
    leads("second").await;
    // One that is lost is followed when its Lease is over.
    let third = Operator::start(bench.cluster, &rights, "third", &flags).unwrap();
    second.kill().unwrap();
    leads("third").await;
    drop(third);
    // One that waits for its turn ends as well.
    let mut fourth = Operator::start(bench.cluster, &rights, "fourth", &flags).unwrap();
    until("it waits", async || {
        Ok(fourth.log()?.contains("another operator leads"))
    })
    .await
    .unwrap();
    assert!(
        fourth.stop().unwrap().success(),
        "{}",
        fourth.log().unwrap()
    );
}
