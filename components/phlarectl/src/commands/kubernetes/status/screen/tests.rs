use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use phlare_operator_api::PhlareCluster;
use serde_json::{Value, json};

use super::*;

const NOW_MS: i64 = 1_795_737_600_000;

fn cluster(spec: &Value, status: &Value) -> PhlareCluster {
    serde_json::from_value(json!({
        "apiVersion": "phlare.dev/v1alpha1", "kind": "PhlareCluster",
        "metadata": {"name": "prod", "namespace": "obs", "generation": 2, "creationTimestamp": "2026-11-26T21:00:00Z"},
        "spec": spec, "status": status,
    }))
    .unwrap()
}

fn said(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-11-27T00:00:00Z"})
}

fn status(conditions: &[Value]) -> Value {
    json!({
        "observedGeneration": 2, "version": "1.0.0", "pods": "2/3",
        "endpoints": {"push": "http://prod-distributor.obs:4040", "query": "http://prod.obs:4040"},
        "components": [
            {"name": "prod-querier", "component": "querier", "desired": 2, "ready": 2, "updated": 2, "release": "aaaa"},
            {"name": "prod-ingester-a", "component": "ingester", "zone": "a", "desired": 1, "ready": 0, "updated": 1, "release": "bbbb"},
        ],
        "conditions": conditions,
    })
}

fn pods() -> Vec<Pod> {
    let pod = |name: &str, component: &str, zone: Value, image: &str, status: Value| {
        json!({
            "metadata": {"name": name, "creationTimestamp": "2026-11-26T23:50:00Z", "labels": {
                "app.kubernetes.io/component": component, "phlare.dev/zone": zone,
            }},
            "spec": {"containers": [{"name": "phlare", "image": image}]},
            "status": status,
        })
    };
    let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    let stuck = json!({"phase": "Pending", "containerStatuses": [{
        "name": "phlare", "image": "phlare/phlare:9.9.9", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "ImagePullBackOff", "message": "back-off"}},
    }]});
    let all = [
        pod(
            "prod-ingester-a-0",
            "ingester",
            json!("a"),
            "phlare/phlare:9.9.9",
            stuck,
        ),
        pod(
            "prod-querier-1",
            "querier",
            json!(""),
            "phlare/phlare:1.0.0",
            ready.clone(),
        ),
        pod(
            "prod-querier-2",
            "querier",
            json!(""),
            "phlare/phlare:9.9.9",
            ready,
        ),
    ];
    all.into_iter()
        .map(|pod| serde_json::from_value(pod).unwrap())
        .collect()
}

fn claims() -> Vec<PersistentVolumeClaim> {
    let claim = json!({
        "metadata": {"name": "data-prod-ingester-a-0"},
        "spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "20Gi"}}},
        "status": {"phase": "Bound", "capacity": {"storage": "10Gi"}},
    });
    vec![serde_json::from_value(claim).unwrap()]
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[test]
fn a_release_that_does_not_go_on() {
    let image = "pod prod-ingester-a-0 can't get the image phlare/phlare:9.9.9: correct spec.image or spec.version, or add the \
                 registry's login to spec.image.pullSecrets";
    let status = status(&[
        said(
            "Accepted",
            "True",
            "Valid",
            "the resource can be carried out",
        ),
        said(
            "Ready",
            "False",
            "ComponentsNotReady",
            "pods are not ready: prod-ingester-a",
        ),
        said(
            "Reconciling",
            "True",
            "RollingOut",
            "prod-ingester-b waits for prod-ingester-a",
        ),
        said("Stalled", "True", "ImagePullError", image),
        said(
            "UpToDate",
            "False",
            "RolloutPending",
            "some pods don't run what the resource says yet",
        ),
    ]);
    let report = Report::of(
        &cluster(&json!({"mode": "Microservices"}), &status),
        &pods(),
        &claims(),
        NOW_MS,
    );
    insta::assert_snapshot!(plain(&render(&report)));
    insta::assert_snapshot!(serde_json::to_string_pretty(&report).unwrap());
}

#[test]
fn one_that_is_well_and_one_that_nobody_looked_at() {
    let well = status(&[
        said("Ready", "True", "AllComponentsReady", "all pods are ready"),
        said("UpToDate", "True", "RunningDesiredRelease", ""),
    ]);
    let well = Report::of(&cluster(&json!({}), &well), &[], &[], NOW_MS);
    assert_eq!(well.next, ["nothing: all is well"]);
    let new = Report::of(&cluster(&json!({}), &Value::Null), &[], &[], NOW_MS);
    assert!(
        new.next[0].contains("see whether it runs"),
        "{:?}",
        new.next
    );
    let all = [well.summary, new.summary];
    insta::assert_snapshot!(plain(&list(&all, true)));
}

#[test]
fn one_that_is_paused_says_how_it_goes_on() {
    let status = status(&[
        said("Ready", "True", "Paused", "all pods are ready"),
        said("UpToDate", "False", "RolloutPending", ""),
    ]);
    let report = Report::of(
        &cluster(&json!({"paused": true}), &status),
        &[],
        &[],
        NOW_MS,
    );
    assert_eq!(
        report.next,
        [
            "spec.paused is set (a change waits for it): `phlarectl kubernetes -n obs rollout prod resume` lets the operator go on"
        ]
    );
    assert_eq!(report.summary.doing, "paused");
}
