//! One Kubernetes and one operator for all tests of this program; a namespace for each test.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use phlare_e2e::kubernetes::{Cluster, Operator, Options, Rights, client, namespace};
use phlare_e2e::until;
use phlare_operator_api::PhlareCluster;
use serde_json::{Value, json};

struct Shared {
    cluster: Cluster,
    rights: Rights,
    _operator: Operator,
    _directory: tempfile::TempDir,
}

static SHARED: OnceLock<Option<Shared>> = OnceLock::new();
static NAMESPACES: AtomicU32 = AtomicU32::new(0);

/// What a test works with.
pub(crate) struct Bench {
    pub(crate) cluster: &'static Cluster,
    pub(crate) client: Client,
    pub(crate) namespace: String,
    /// The operator's account, as the audit log names it.
    pub(crate) user: &'static str,
}

/// A namespace of its own; None, said on standard error, without Go.
pub(crate) async fn bench() -> Option<Bench> {
    // The first test starts everything, in a runtime of its own; the others wait.
    let shared = tokio::task::spawn_blocking(|| {
        SHARED.get_or_init(|| {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(begin()).unwrap()
        })
    });
    let shared = shared.await.unwrap().as_ref()?;
    let client = client(&shared.cluster.kubeconfig()).await.unwrap();
    let number = NAMESPACES.fetch_add(1, Ordering::Relaxed);
    let name = format!("test-{number}");
    namespace(&client, &name).await.unwrap();
    Some(Bench {
        cluster: &shared.cluster,
        client,
        namespace: name,
        user: &shared.rights.user,
    })
}

async fn begin() -> anyhow::Result<Option<Shared>> {
    let directory = tempfile::tempdir()?;
    let options = Options {
        directory: directory.path().join("cluster"),
        ..Options::default()
    };
    let Some(cluster) = Cluster::up(&options)? else {
        return Ok(None);
    };
    let client = cluster.client().await?;
    namespace(&client, "phlare-operator").await?;
    let rights = Rights::of(&cluster, &client).await?;
    let operator = Operator::start(&cluster, &rights, "operator", &[])?;
    Ok(Some(Shared {
        cluster,
        rights,
        _operator: operator,
        _directory: directory,
    }))
}

impl Bench {
    pub(crate) fn clusters(&self) -> Api<PhlareCluster> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) fn stateful_sets(&self) -> Api<StatefulSet> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates a resource. Nobody answers for most pods of these nodes, so releases don't wait for the ring unless a test
    /// says so.
    pub(crate) async fn create(&self, name: &str, mut spec: Value) {
        let gates = &mut spec["rollout"]["healthGates"];
        if gates["ringActive"].is_null() {
            gates["ringActive"] = json!(false);
        }
        let cluster: PhlareCluster = serde_json::from_value(json!({
            "apiVersion": "phlare.dev/v1alpha1",
            "kind": "PhlareCluster",
            "metadata": {"name": name},
            "spec": spec,
        }))
        .unwrap();
        let params = PostParams::default();
        self.clusters().create(&params, &cluster).await.unwrap();
    }

    /// Changes a resource, as `kubectl patch` does.
    pub(crate) async fn change(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        let params = PatchParams::default();
        self.clusters().patch(name, &params, &patch).await.unwrap();
    }

    /// Waits until a condition of the resource, about its present generation, is as it should be.
    pub(crate) async fn wait(
        &self,
        name: &str,
        kind: &str,
        status: &str,
        reason: &str,
    ) -> Condition {
        let mut found = None;
        let what = format!("{kind} of {name} is {status}, {reason}");
        let waited = until(&what, async || {
            let cluster = self.clusters().get(name).await?;
            let generation = cluster.metadata.generation;
            let conditions = cluster.status.map(|status| status.conditions);
            let conditions = conditions.into_iter().flatten();
            found = conditions.into_iter().find(|condition| {
                condition.type_ == kind
                    && condition.status == status
                    && condition.reason == reason
                    && condition.observed_generation == generation
            });
            Ok(found.is_some())
        });
        let waited = waited.await;
        if waited.is_err() {
            let cluster = self.clusters().get(name).await.unwrap();
            waited.context(format!("{:#?}", cluster.status)).unwrap();
        }
        found.unwrap()
    }

    /// Waits until all is well.
    pub(crate) async fn ready(&self, name: &str) {
        self.wait(name, "UpToDate", "True", "RunningDesiredRelease")
            .await;
        self.wait(name, "Ready", "True", "AllComponentsReady").await;
    }
}

/// A resource of microservices with three zones, whose object store nobody asks on these nodes.
pub(crate) fn zones(version: &str) -> Value {
    json!({
        "mode": "Microservices",
        "version": version,
        "storage": {"type": "S3", "s3": {"bucket": "profiles", "authentication": "WorkloadIdentity"}},
        "zoneAwareness": {"enabled": true, "zones": ["a", "b", "c"]},
        "components": {"all": {"terminationGracePeriodSeconds": 0}},
    })
}
