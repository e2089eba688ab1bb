//! The large example, on a small machine: releases, fewer ingesters and more again, a node that dies, all under load, and
//! no acknowledged profile is lost.

use std::time::Duration;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams};
use phlare_e2e::kubernetes::{NEXT, documents};
use phlare_e2e::load::{Load, Pushed, check};
use phlare_e2e::store::{BUCKET, KEY, SECRET};
use serde_json::{Value, json};

use crate::bench::{Bench, bench, file};

const TENANT: &str = "checkout";

/// An object store of the namespace, and a key to it.
fn store() -> Vec<DynamicObject> {
    let version = env!("CARGO_PKG_VERSION");
    documents(&format!(
        "
apiVersion: v1
kind: Secret
metadata: {{name: prod-bucket}}
stringData: {{access_key_id: {KEY}, secret_access_key: {SECRET}}}
---
apiVersion: v1
kind: Service
metadata: {{name: store}}
spec:
  selector: {{app: store}}
  ports: [{{port: 9000}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: store, labels: {{app: store}}}}
spec:
  # This node does not die.
  nodeSelector: {{topology.kubernetes.io/zone: a}}
  securityContext: {{runAsNonRoot: true, runAsUser: 65532, fsGroup: 65532, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
  - name: store
    image: phlare/phlare-store:{version}
    args: ['0.0.0.0:9000', /data]
    securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
    volumeMounts: [{{name: data, mountPath: /data}}]
  volumes: [{{name: data, emptyDir: {{}}}}]
"
    ))
    .unwrap()
}

/// The example with this store, and with what three nodes on two processors have room for.
fn example(namespace: &str) -> Vec<DynamicObject> {
    let mut objects = file("charts/examples/production.yaml").unwrap();
    let small = json!({"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "2Gi"}});
    let patch = json!({
        "storage": {"s3": {
            "bucket": BUCKET,
            "endpoint": format!("http://store.{namespace}.svc.cluster.local:9000"),
            "forcePathStyle": true,
        }},
        "components": {
            "all": {"resources": small},
            "ingester": {"resources": small},
            "storeGateway": {"resources": small},
        },
        "rollout": {"canary": {"soakSeconds": 1}},
        // Time that ingesters give others to learn of them; here they are on one machine.
        "config": {"overlay": {"ingester": {"lifecycler": {"min_ready_duration": "1s"}}}},
    });
    let cluster = objects
        .iter_mut()
        .find(|object| object.name_any() == "prod")
        .unwrap();
    lay_over(&mut cluster.data["spec"], &patch);
    objects
}

fn lay_over(below: &mut Value, above: &Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                lay_over(below.entry(key).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above.clone(),
    }
}

/// The same as one process.
fn as_one_process(fleet: &[DynamicObject]) -> Vec<DynamicObject> {
    let mut objects = fleet.to_vec();
    let mut found = objects.iter_mut();
    let cluster = found.find(|object| object.name_any() == "prod").unwrap();
    let spec = cluster.data["spec"].as_object_mut().unwrap();
    for field in ["mode", "zoneAwareness", "autoscaling"] {
        spec.remove(field);
    }
    objects
}

/// Profiles that are pushed while something happens, and then counted.
struct Counting<'a> {
    bench: &'a Bench,
    pushed: Pushed,
    /// Services that take profiles; the second one answers queries, too.
    doors: [&'static str; 2],
}

impl Counting<'_> {
    async fn during(&mut self, what: &str, happens: impl AsyncFnOnce(&Bench)) {
        let client = |service: &str| self.bench.service(service).tenant(TENANT);
        let doors = self.doors.map(client);
        let load = Load::after(&doors, &self.pushed, Duration::from_millis(200));
        load.more(10).await;
        happens(self.bench).await;
        load.more(10).await;
        self.pushed.add(load.end().await.unwrap());
        check(&doors[1], what, &self.pushed).await.unwrap();
    }
}

/// Images of the pods of ingesters.
async fn versions(bench: &Bench) -> Vec<String> {
    let pods = bench.pods("ingester").await;
    let image = |pod: &k8s_openapi::api::core::v1::Pod| {
        let spec = pod.spec.as_ref().unwrap();
        let image = spec.containers[0].image.clone().unwrap();
        image.rsplit_once(':').unwrap().1.to_owned()
    };
    pods.iter().map(image).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_profile_is_lost_whatever_is_done_to_it() {
    let Some(bench) = bench("shop").await else {
        return;
    };
    bench.apply(&store()).await;
    let fleet = example(bench.namespace);
    bench.apply(&as_one_process(&fleet)).await;
    bench.ready("prod").await;
    let mut counting = Counting {
        bench: &bench,
        pushed: Pushed::default(),
        doors: ["prod", "prod"],
    };

    counting
        .during("one process that becomes a fleet", async |bench| {
            bench.apply(&fleet).await;
            bench.ready("prod").await;
        })
        .await;
    assert_eq!(bench.pods("ingester").await.len(), 9);
    assert_eq!(bench.pods("monolithic").await.len(), 0);
    counting.doors = ["prod-distributor", "prod"];

    counting
        .during("a release", async |bench| {
            bench.change("prod", json!({"version": NEXT})).await;
            bench.ready("prod").await;
        })
        .await;
    assert!(versions(&bench).await.iter().all(|version| version == NEXT));

    counting
        .during("a release that does not exist", async |bench| {
            bench.change("prod", json!({"version": "none"})).await;
            bench
                .wait("prod", "is taken back", |cluster| {
                    let status = cluster.status.as_ref();
                    let mut conditions = status.iter().flat_map(|status| &status.conditions);
                    let mut is = |kind: &str, reason: &str| {
                        conditions.any(|one| one.type_ == kind && one.reason == reason)
                    };
                    let over = status.is_some_and(|status| status.rollout.is_none());
                    over && is("Ready", "AllComponentsReady") && is("UpToDate", "RolledBack")
                })
                .await;
            bench.change("prod", json!({"version": NEXT})).await;
            bench.ready("prod").await;
        })
        .await;
    assert!(versions(&bench).await.iter().all(|version| version == NEXT));

    counting
        .during("fewer ingesters", async |bench| {
            let fewer = json!({"components": {"ingester": {"replicas": 6}}});
            bench.change("prod", fewer).await;
            bench.ready("prod").await;
        })
        .await;
    assert_eq!(bench.pods("ingester").await.len(), 6);

    counting
        .during("more ingesters", async |bench| {
            let more = json!({"components": {"ingester": {"replicas": 9}}});
            bench.change("prod", more).await;
            bench.ready("prod").await;
        })
        .await;
    assert_eq!(bench.pods("ingester").await.len(), 9);

    counting
        .during("a node that dies", async |bench| {
            // Not the node of the store, nor that of the operator, which is to say how it is.
            let operator = bench.node_of_the_operator().await;
            let node = ["node-2", "node-3"]
                .into_iter()
                .find(|node| *node != operator);
            let node = node.unwrap();
            bench.cluster.fault(&format!("crash {node}")).unwrap();
            bench
                .wait("prod", "misses pods", |cluster| {
                    let status = cluster.status.as_ref();
                    let mut conditions = status.iter().flat_map(|status| &status.conditions);
                    conditions.any(|one| one.type_ == "Ready" && one.status == "False")
                })
                .await;
            bench.cluster.fault(&format!("boot {node}")).unwrap();
            bench.ready("prod").await;
        })
        .await;

    gone(&bench).await;
}

/// Deleted, it leaves nothing but the volumes that are to stay.
async fn gone(bench: &Bench) {
    let params = DeleteParams::foreground();
    bench.clusters().delete("prod", &params).await.unwrap();
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(bench.client.clone(), bench.namespace);
    phlare_e2e::until(
        "only volumes of ingesters, the compactor and the process that was alone stay",
        async || {
            let mut pods = 0;
            for part in ["ingester", "querier", "store-gateway", "distributor"] {
                pods += bench.pods(part).await.len();
            }
            let left = claims.list(&ListParams::default()).await?.items;
            let parts = ["-ingester-", "-compactor-", "-monolithic-"];
            let stays = |name: &str| parts.iter().any(|part| name.contains(part));
            Ok(pods == 0 && left.iter().all(|claim| stays(&claim.name_any())))
        },
    )
    .await
    .unwrap();
    let left = claims.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(
        left.len(),
        11,
        "nine of ingesters, one of each of the others"
    );
}
