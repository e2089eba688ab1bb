//! One Kubernetes with containers and one operator for all tests of this program; a namespace for each test.

use std::fs;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use phlare_e2e::kubernetes::{
    Cluster, Options, apply, client, documents, images, program, real_nodes_allowed,
};
use phlare_e2e::{programs, until_within};
use phlare_operator_api::PhlareCluster;
use serde_json::{Value, json};

/// How long many pods may take to come and go, one after the other, on two processors.
const PATIENCE: Duration = Duration::from_secs(600);

struct Shared {
    cluster: Cluster,
    _directory: tempfile::TempDir,
}

static SHARED: OnceLock<Option<Shared>> = OnceLock::new();

/// What a test works with.
pub(crate) struct Bench {
    pub(crate) cluster: &'static Cluster,
    pub(crate) client: Client,
    pub(crate) namespace: &'static str,
}

/// A namespace that takes no pod that asks for more than it needs; None, said on standard error, where nodes with
/// containers can't be.
pub(crate) async fn bench(namespace: &'static str) -> Option<Bench> {
    // The first test starts everything, in a runtime of its own; the others wait.
    let shared = tokio::task::spawn_blocking(|| {
        SHARED.get_or_init(|| {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(begin()).unwrap()
        })
    });
    let shared = shared.await.unwrap().as_ref()?;
    let client = client(&shared.cluster.kubeconfig()).await.unwrap();
    let object: Namespace = serde_json::from_value(json!({
        "metadata": {"name": namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }))
    .unwrap();
    let api: Api<Namespace> = Api::all(client.clone());
    api.create(&PostParams::default(), &object).await.unwrap();
    Some(Bench {
        cluster: &shared.cluster,
        client,
        namespace,
    })
}

async fn begin() -> anyhow::Result<Option<Shared>> {
    if !real_nodes_allowed()? {
        return Ok(None);
    }
    let Some(controlplane) = program()? else {
        return Ok(None);
    };
    let directory = tempfile::tempdir()?;
    let options = Options {
        real: true,
        images: images(&directory.path().join("images"), &controlplane)?,
        directory: directory.path().join("cluster"),
    };
    let Some(cluster) = Cluster::up(&options)? else {
        return Ok(None);
    };
    let client = cluster.client().await?;
    apply(&client, "default", &file("charts/phlare-operator.yaml")?).await?;
    Ok(Some(Shared {
        cluster,
        _directory: directory,
    }))
}

/// The documents of a file of this project.
pub(crate) fn file(path: &str) -> anyhow::Result<Vec<DynamicObject>> {
    documents(&fs::read_to_string(programs::workspace().join(path))?)
}

impl Bench {
    pub(crate) fn clusters(&self) -> Api<PhlareCluster> {
        Api::namespaced(self.client.clone(), self.namespace)
    }

    pub(crate) async fn apply(&self, objects: &[DynamicObject]) {
        apply(&self.client, self.namespace, objects).await.unwrap();
    }

    /// Changes a resource, as `kubectl patch` does.
    pub(crate) async fn change(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        let params = PatchParams::default();
        self.clusters().patch(name, &params, &patch).await.unwrap();
    }

    /// A client of a Service of this namespace.
    pub(crate) fn service(&self, name: &str) -> phlare_e2e::Client {
        let proxy = self.cluster.proxy.as_deref().unwrap();
        let url = format!("http://{name}.{}.svc.cluster.local:4040", self.namespace);
        phlare_e2e::Client::through(proxy, &url).unwrap()
    }

    /// Pods of a component.
    pub(crate) async fn pods(&self, component: &str) -> Vec<Pod> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), self.namespace);
        let selector = format!("app.kubernetes.io/component={component}");
        let list = pods.list(&ListParams::default().labels(&selector)).await;
        list.unwrap().items
    }

    /// The node on which the operator runs.
    pub(crate) async fn node_of_the_operator(&self) -> String {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), "phlare-operator");
        let pods = pods.list(&ListParams::default()).await.unwrap().items;
        let spec = pods.into_iter().next().unwrap().spec;
        spec.unwrap().node_name.unwrap()
    }

    /// Waits until all pods run what the resource says, as it is now, and are ready.
    pub(crate) async fn ready(&self, name: &str) {
        let is_true = |cluster: &PhlareCluster, kind: &str| {
            let status = cluster.status.as_ref();
            let mut conditions = status.iter().flat_map(|status| &status.conditions);
            conditions.any(|condition| {
                condition.type_ == kind
                    && condition.status == "True"
                    && condition.observed_generation == cluster.metadata.generation
            })
        };
        self.wait(name, "is ready and up to date", |cluster| {
            is_true(cluster, "Ready")
                && is_true(cluster, "UpToDate")
                && !is_true(cluster, "Reconciling")
        })
        .await;
    }

    /// Waits until something holds of a resource.
    pub(crate) async fn wait(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&PhlareCluster) -> bool,
    ) {
        let mut last = None;
        let what = format!("{name} {what}");
        let waited = until_within(PATIENCE, &what, async || {
            let cluster = self.clusters().get(name).await?;
            let found = holds(&cluster);
            last = cluster.status;
            Ok(found)
        });
        let waited = waited.await;
        if waited.is_err() {
            let pods: Api<Pod> = Api::namespaced(self.client.clone(), self.namespace);
            let pods = pods.list(&ListParams::default()).await.unwrap();
            let short = pods.items.iter().map(|pod| {
                let status = pod.status.clone().unwrap_or_default();
                let containers = status.container_statuses.unwrap_or_default();
                let states: Vec<_> = containers.into_iter().map(|one| one.state).collect();
                format!("{} {:?} {states:?}", pod.name_any(), status.phase)
            });
            let short: Vec<_> = short.collect();
            waited
                .context(format!("{last:#?}\n{}", short.join("\n")))
                .unwrap();
        }
    }
}
