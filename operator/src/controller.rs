//! When a resource is looked at: it changes, something of it changes, a secret that it names changes, or time has passed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, PartialObjectMeta};
use kube::core::NamespaceResourceScope;
use kube::runtime::controller::Config;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Controller, Predicate, WatchStreamExt, predicates, watcher};
use kube::{Client, Resource, ResourceExt};
use phlare_operator_api::PhlareCluster;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::context::Context;
use crate::credentials::secret_of;
use crate::desired::labels;
use crate::reconcile::Reconciler;

/// Several changes within this time are one.
const DEBOUNCE: Duration = Duration::from_millis(300);

/// Reconciles all resources until `stop`; what was begun is finished.
pub async fn run(context: Context, ready: Arc<AtomicBool>, stop: CancellationToken) {
    let namespace = context.settings.namespace.clone();
    let watch = Watch {
        client: context.client.clone(),
        namespace,
    };
    let metrics = context.metrics.clone();
    let concurrency = context.settings.concurrency;
    let (reader, writer) = reflector::store();
    let changes = watcher(watch.api::<PhlareCluster>(), watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .applied_objects()
        .predicate_filter(
            predicates::generation.combine(predicates::annotations),
            kube::runtime::PredicateConfig::default(),
        );
    let clusters: Store<PhlareCluster> = reader.clone();
    let known = reader.clone();
    metrics.show_conditions(reader.clone());
    let known_before = reader.clone();
    let secrets = watch.metadata::<Secret>();
    let controller = Controller::for_stream(changes, reader)
        .with_config(
            Config::default()
                .concurrency(concurrency)
                .debounce(DEBOUNCE),
        )
        .owns(watch.metadata::<Deployment>(), ours())
        .owns(watch.metadata::<StatefulSet>(), ours())
        .owns(watch.metadata::<Service>(), ours())
        .owns(watch.metadata::<ConfigMap>(), ours())
        .owns(watch.metadata::<ServiceAccount>(), ours())
        .owns(watch.metadata::<PodDisruptionBudget>(), ours())
        .owns(watch.metadata::<NetworkPolicy>(), ours())
        .owns(watch.metadata::<HorizontalPodAutoscaler>(), ours())
        .watches(watch.metadata::<Pod>(), phlares(), instance)
        .watches(
            watch.metadata::<PersistentVolumeClaim>(),
            phlares(),
            instance,
        )
        .watches(secrets, watcher::Config::default(), move |secret| {
            users_of(&clusters, &secret)
        })
        .graceful_shutdown_on(stop.clone().cancelled_owned());
    let are_known = AtomicBool::new(false);
    let begun = async {
        if known_before.wait_until_ready().await.is_ok() {
            info!(clusters = known_before.len(), "resources are known");
            are_known.store(true, Ordering::Release);
            ready.store(true, Ordering::Release);
        }
    };
    let reconciler = Arc::new(Reconciler::new(context));
    let reconciles = controller
        .run(Reconciler::reconcile, Reconciler::retry, reconciler)
        .for_each(|reconciled| {
            metrics.count(known.len());
            if let Err(error) = reconciled {
                debug!(%error, "reconcile");
            }
            std::future::ready(())
        });
    // A controller that is stopped before it knows the resources waits for them, and for ever: nothing lists them any more.
    let stopped_early = async {
        stop.cancelled().await;
        if are_known.load(Ordering::Acquire) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        _ = async { tokio::join!(begun, reconciles) } => {}
        () = stopped_early => {}
    }
}

/// Where resources are looked for.
struct Watch {
    client: Client,
    namespace: Option<String>,
}

impl Watch {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// That something changed is enough to know: what it is now is asked when it matters.
    fn metadata<K>(&self) -> Api<PartialObjectMeta<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + DeserializeOwned + Clone,
    {
        self.api()
    }
}

/// What the operator makes.
fn ours() -> watcher::Config {
    watcher::Config::default().labels(&format!(
        "{}={}",
        labels::MANAGED_BY,
        crate::desired::OPERATOR
    ))
}

/// What others make for what the operator makes.
fn phlares() -> watcher::Config {
    watcher::Config::default().labels(&format!("{}=phlare", labels::NAME))
}

/// The resource that an object's labels name.
fn instance<K: Resource>(object: K) -> Option<ObjectRef<PhlareCluster>> {
    let name = object.labels().get(labels::INSTANCE)?;
    let namespace = object.namespace()?;
    Some(ObjectRef::new(name).within(&namespace))
}

/// The resources that name a secret.
fn users_of<K: Resource>(
    clusters: &Store<PhlareCluster>,
    secret: &K,
) -> Vec<ObjectRef<PhlareCluster>> {
    let (name, namespace) = (secret.name_any(), secret.namespace());
    let uses = |cluster: &Arc<PhlareCluster>| {
        cluster.namespace() == namespace && secret_of(&cluster.spec.storage) == Some(&name)
    };
    let users = clusters.state().into_iter().filter(uses);
    users
        .map(|cluster| ObjectRef::from_obj(&*cluster))
        .collect()
}
