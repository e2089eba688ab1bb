//! What is there: everything that carries the labels of a resource, as the API server has it.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DynamicObject, ListParams, TypeMeta};
use kube::core::ApiResource;
use kube::{Client, ResourceExt};
use serde_json::Value;

use crate::decide::rollout;
use crate::desired::{Meta, OPTIONAL, Object, Optional, RELEASE, ZONE, labels};
use crate::part::Part;

/// What is there.
#[derive(Clone, Debug, Default)]
pub struct Live {
    objects: BTreeMap<(String, String), (ApiResource, DynamicObject)>,
    unknown: BTreeSet<&'static str>,
    /// Kinds that the operator may not list although no pod needs them: its rights are those of an older one.
    pub forbidden: BTreeSet<String>,
    /// All pods, by name.
    pub pods: Vec<Pod>,
    /// All claims of volumes, by name.
    pub claims: Vec<PersistentVolumeClaim>,
}

/// The kind that no pod needs, and that operators of before did not know.
const SCALER: &str = "HorizontalPodAutoscaler";

/// The kinds that the operator makes.
#[must_use]
pub fn kinds() -> Vec<ApiResource> {
    vec![
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<NetworkPolicy>(&()),
        ApiResource::erase::<PodDisruptionBudget>(&()),
        ApiResource::erase::<Deployment>(&()),
        ApiResource::erase::<StatefulSet>(&()),
        ApiResource::erase::<HorizontalPodAutoscaler>(&()),
    ]
}

impl Live {
    /// Everything of a resource. One request for each kind, none from a cache: what is decided on is what is there.
    ///
    /// # Errors
    /// The API server does not answer or refuses.
    pub async fn of(client: &Client, meta: &Meta<'_>) -> Result<Self, kube::Error> {
        let selector = format!("{}={}", labels::INSTANCE, meta.name);
        let selector = format!("{selector},{}=phlare", labels::NAME);
        let everything = ListParams::default().labels(&selector);
        let namespace = meta.namespace;
        let list = async |kind: ApiResource| {
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
            let list = api.list(&everything).await?;
            let named = list.items.into_iter();
            let named = named.map(|mut object| {
                // Elements of lists don't say what they are.
                object.types = Some(TypeMeta {
                    api_version: kind.api_version.clone(),
                    kind: kind.kind.clone(),
                });
                let key = (kind.kind.clone(), object.name_any());
                (key, (kind.clone(), object))
            });
            Ok::<Vec<_>, kube::Error>(named.collect())
        };
        let required = kinds().into_iter().map(async |kind| {
            let name = kind.kind.clone();
            match list(kind).await {
                Err(kube::Error::Api(status)) if status.is_forbidden() && name == SCALER => {
                    Ok((Vec::new(), Some(name)))
                }
                listed => listed.map(|list| (list, None)),
            }
        });
        let lists = try_join_all(required).await?;
        let mut objects = BTreeMap::new();
        let mut forbidden = BTreeSet::new();
        for (list, unseen) in lists {
            objects.extend(list);
            forbidden.extend(unseen);
        }
        let optional = OPTIONAL.iter().map(async |kind| {
            match list(kind.resource()).await {
                Ok(list) => Ok((kind.kind, Some(list))),
                // There is no such path, or the rights are those of an older operator: nothing that pods need.
                Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => {
                    Ok((kind.kind, None))
                }
                Err(error) => Err(error),
            }
        });
        let mut unknown = BTreeSet::new();
        for (kind, list) in try_join_all(optional).await? {
            match list {
                Some(list) => objects.extend(list),
                None => {
                    unknown.insert(kind);
                }
            }
        }
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
        let mut pods = pods.list(&everything).await?.items;
        let mut claims = claims.list(&everything).await?.items;
        pods.sort_by_key(ResourceExt::name_any);
        claims.sort_by_key(ResourceExt::name_any);
        Ok(Self {
            objects,
            unknown,
            forbidden,
            pods,
            claims,
        })
    }

    /// An object of a kind.
    #[must_use]
    pub fn get(&self, kind: &str, name: &str) -> Option<&DynamicObject> {
        let found = self.objects.get(&(kind.to_owned(), name.to_owned()));
        found.map(|(_, object)| object)
    }

    /// The kind of an object, if it is one that this Kubernetes does not have.
    #[must_use]
    pub fn lacks(&self, object: &Object) -> Option<&'static Optional> {
        let mut optional = OPTIONAL.iter();
        let kind = optional.find(|kind| kind.kind == object.resource.kind)?;
        self.unknown.contains(kind.kind).then_some(kind)
    }

    /// The object that another one should be.
    #[must_use]
    pub fn twin(&self, object: &Object) -> Option<&DynamicObject> {
        self.get(&object.resource.kind, &object.name)
    }

    /// The pods of a component, in a zone if it has zones.
    pub fn pods_of(&self, part: Part, zone: Option<&str>) -> impl Iterator<Item = &Pod> {
        let of_part = self
            .pods
            .iter()
            .filter(move |pod| self::part(*pod) == Some(part));
        of_part.filter(move |pod| pod.labels().get(ZONE).map(String::as_str) == zone)
    }

    /// When so many pods of a component, in a zone, had become ready; the last of them, if there are not so many. Pods that
    /// end say nothing.
    #[must_use]
    pub fn since(&self, part: Part, zone: Option<&str>, pods: i32) -> Option<Timestamp> {
        let mut turned: Vec<_> = self.pods_of(part, zone).filter_map(ready_since).collect();
        turned.sort_unstable();
        let place = usize::try_from(pods).unwrap_or_default();
        let last = turned.len().checked_sub(1)?;
        turned.get(place.saturating_sub(1).min(last)).copied()
    }

    /// Pods of a StatefulSet that are ready and have ordinals below a number.
    #[must_use]
    pub fn stable(&self, set: &str, below: i32) -> i32 {
        let counts = |pod: &&Pod| {
            let name = pod.name_any();
            let ordinal = name
                .strip_prefix(set)
                .and_then(|rest| rest.strip_prefix('-'));
            let ordinal = ordinal.and_then(|rest| rest.parse::<i32>().ok());
            ordinal.is_some_and(|ordinal| ordinal < below) && ready_since(pod).is_some()
        };
        count(i64::try_from(self.pods.iter().filter(counts).count()).ok())
    }

    /// All objects with what they are, by kind and name.
    pub fn objects_by_kind(&self) -> impl Iterator<Item = (&ApiResource, &DynamicObject)> {
        self.objects.values().map(|(kind, object)| (kind, object))
    }

    /// All objects, by kind and name.
    pub fn objects(&self) -> impl Iterator<Item = &DynamicObject> {
        self.objects_by_kind().map(|(_, object)| object)
    }
}

/// The state of a Deployment or a StatefulSet, without what its pods say: [`Live::since`], [`Live::stable`].
#[must_use]
pub fn state(object: &DynamicObject) -> rollout::Live {
    let number = |path: &str| number(&object.data, path);
    let release = object.annotations().get(RELEASE).cloned();
    let generation = object.metadata.generation;
    rollout::Live {
        release: release.unwrap_or_default(),
        observed: number("/status/observedGeneration") >= generation,
        replicas: replicas(object),
        pods: count(number("/status/replicas")),
        ready: count(number("/status/readyReplicas")),
        updated: count(number("/status/updatedReplicas")),
        partition: count(number("/spec/updateStrategy/rollingUpdate/partition")),
        stable: 0,
        since: None,
    }
}

/// The component that an object is of, as its labels say.
#[must_use]
pub fn part(object: &impl ResourceExt) -> Option<Part> {
    Part::named(object.labels().get(labels::COMPONENT)?)
}

/// Whether a pod is ready, and stays.
#[must_use]
pub fn is_ready(pod: &Pod) -> bool {
    ready_since(pod).is_some()
}

/// Name and address of a pod, if somebody may answer there.
#[must_use]
pub fn address(pod: &Pod) -> Option<(String, String)> {
    let status = pod.status.as_ref()?;
    let serves = status.phase.as_deref() == Some("Running");
    let address = status.pod_ip.clone()?;
    (serves && pod.metadata.deletion_timestamp.is_none()).then(|| (pod.name_any(), address))
}

/// Since when a pod is ready, if it is and stays.
fn ready_since(pod: &Pod) -> Option<Timestamp> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let mut conditions = pod.status.as_ref()?.conditions.iter().flatten();
    let ready = conditions.find(|one| one.type_ == "Ready" && one.status == "True")?;
    Some(ready.last_transition_time.as_ref()?.0)
}

/// Pods that a workload is told to have.
#[must_use]
pub fn replicas(object: &DynamicObject) -> i32 {
    // The API server's default is 1.
    count(Some(number(&object.data, "/spec/replicas").unwrap_or(1)))
}

/// Pods of a workload that there are.
#[must_use]
pub fn pods(object: &DynamicObject) -> i32 {
    count(number(&object.data, "/status/replicas"))
}

fn number(value: &Value, path: &str) -> Option<i64> {
    value.pointer(path).and_then(Value::as_i64)
}

fn count(number: Option<i64>) -> i32 {
    i32::try_from(number.unwrap_or_default()).unwrap_or(i32::MAX)
}
