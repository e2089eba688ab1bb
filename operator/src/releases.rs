//! Releases that all pods ran: kept as ControllerRevisions, so that there is something to go back to.
//!
//! Written once, when a release has reached all pods; a resource that does not change writes none.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, PartialObjectMeta};
use kube::{Client, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::apply::{Error, Scope, Writer};
use crate::desired::{self, Desired, Meta, Object, Workload, labels};

/// Label with the hash of the release that a revision is of.
const RELEASE: &str = "phlare.dev/release";
/// Annotation with the number that tells which revision is the newest.
const NUMBER: &str = "phlare.dev/revision";
/// Annotation with the names of the ConfigMaps that the release's pods need.
const CONFIG: &str = "phlare.dev/config";
/// How many are kept.
const KEPT: usize = 3;

/// A release that is kept, without what it consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Name of the ControllerRevision.
    pub name: String,
    /// Hash of the release.
    pub release: String,
    /// The newest has the highest.
    pub number: i64,
    /// The ConfigMaps that its pods need.
    pub configs: Vec<String>,
}

/// What a release consists of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Contents {
    /// The version that its pods run.
    pub version: String,
    /// Its workloads by name.
    pub workloads: BTreeMap<String, Template>,
}

/// A workload as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Template {
    /// Hash of it.
    pub release: String,
    /// What its pods are made from.
    pub template: Value,
}

impl Contents {
    fn of(desired: &Desired) -> Self {
        let template = |workload: &Workload| Template {
            release: workload.release.clone(),
            template: workload.object.body["spec"]["template"].clone(),
        };
        let workloads = desired.workloads.iter();
        let named = workloads.map(|workload| (workload.object.name.clone(), template(workload)));
        Self {
            version: desired.version.clone(),
            workloads: named.collect(),
        }
    }

    /// What should be there, but with pods of this release. Numbers of pods, volumes, labels stay those of the resource.
    /// Deployments that this release does not have are left out; a StatefulSet has volumes, and stays as it should be.
    #[must_use]
    pub fn in_place_of(&self, desired: &Desired) -> Desired {
        let mut back = desired.clone();
        back.workloads.retain_mut(|workload| {
            let Some(before) = self.workloads.get(&workload.object.name) else {
                return workload.part.is_stateful();
            };
            workload.release.clone_from(&before.release);
            let body = &mut workload.object.body;
            body["spec"]["template"] = before.template.clone();
            body["metadata"]["annotations"][desired::RELEASE] = json!(before.release);
            body["metadata"]["annotations"][desired::VERSION] = json!(self.version);
            true
        });
        back.version.clone_from(&self.version);
        back
    }

    /// Whether it has a workload that should be there, too: one of another mode has none.
    #[must_use]
    pub fn is_like(&self, desired: &Desired) -> bool {
        let mut workloads = desired.workloads.iter();
        workloads.any(|workload| self.workloads.contains_key(&workload.object.name))
    }

    /// Hashes of the templates that another release changes.
    #[must_use]
    pub fn changed_by<'a>(&self, desired: &'a Desired) -> BTreeSet<&'a str> {
        let is_new = |workload: &&Workload| {
            let before = self.workloads.get(&workload.object.name);
            before.is_none_or(|before| before.release != workload.release)
        };
        let changed = desired.workloads.iter().filter(is_new);
        changed.map(|workload| workload.release.as_str()).collect()
    }
}

/// The kind that releases are kept as.
pub const KIND: &str = "ControllerRevision";

fn resource() -> ApiResource {
    ApiResource::erase::<ControllerRevision>(&())
}

/// The releases that are kept, the newest first; None if the operator has the rights of an older one, which kept none.
///
/// # Errors
/// The API server does not answer or refuses.
pub async fn list(client: &Client, meta: &Meta<'_>) -> Result<Option<Vec<Known>>, kube::Error> {
    let api: Api<ControllerRevision> = Api::namespaced(client.clone(), meta.namespace);
    let mine = format!("{}={},{RELEASE}", labels::INSTANCE, meta.name);
    let mine = ListParams::default().labels(&mine);
    let list = match api.list_metadata(&mine).await {
        Err(kube::Error::Api(status)) if status.is_forbidden() => return Ok(None),
        list => list?,
    };
    let known = |object: PartialObjectMeta<ControllerRevision>| {
        let owners = object.owner_references();
        // One without an owner was this resource's before it was made anew.
        let is_mine = owners.is_empty() || owners.iter().any(|owner| owner.uid == meta.owner_uid());
        let number = object.annotations().get(NUMBER)?.parse().ok()?;
        is_mine.then(|| Known {
            name: object.name_any(),
            release: object.labels().get(RELEASE).cloned().unwrap_or_default(),
            number,
            configs: object
                .annotations()
                .get(CONFIG)
                .map(|names| names.split(',').map(ToOwned::to_owned).collect())
                .unwrap_or_default(),
        })
    };
    let mut all: Vec<_> = list.items.into_iter().filter_map(known).collect();
    all.sort_by_key(|known| std::cmp::Reverse(known.number));
    Ok(Some(all))
}

/// What a release consists of; None if it is gone or is none of ours.
///
/// # Errors
/// The API server does not answer or refuses.
pub async fn load(
    client: &Client,
    meta: &Meta<'_>,
    known: &Known,
) -> Result<Option<Contents>, kube::Error> {
    let api: Api<ControllerRevision> = Api::namespaced(client.clone(), meta.namespace);
    let revision = api.get_opt(&known.name).await?;
    let data = revision.and_then(|revision| revision.data);
    Ok(data.and_then(|data| serde_json::from_value(data.0).ok()))
}

/// Remembers that all pods run a release, and forgets the oldest ones: `kept` is what is kept afterwards. Whether something
/// was written.
///
/// # Errors
/// The API server does not answer or refuses.
pub async fn record(
    writer: &Writer,
    meta: &Meta<'_>,
    desired: &Desired,
    kept: &mut Vec<Known>,
) -> Result<bool, Error> {
    let release = desired.release();
    let newest = kept.first();
    if newest.is_some_and(|newest| newest.release == release) {
        return Ok(false);
    }
    let number = newest.map_or(0, |newest| newest.number) + 1;
    let object = revision(meta, desired, &release, number)?;
    let known = Known {
        name: object.name.clone(),
        release,
        number,
        configs: configs(desired),
    };
    match kept.iter().position(|other| other.release == known.release) {
        // It was the newest before, and is again.
        Some(before) => {
            let again = json!({
                "revision": number,
                "metadata": {"annotations": {NUMBER: number.to_string()}},
            });
            writer.partial(&object, Scope::Release, again).await?;
            kept.remove(before);
        }
        None => {
            writer.apply(&object, None).await?;
        }
    }
    kept.insert(0, known);
    for known in kept.drain(KEPT.min(kept.len())..) {
        let gone = DynamicObject::new(&known.name, &resource());
        writer.delete(&resource(), &gone).await?;
    }
    Ok(true)
}

/// The ConfigMaps that pods have as volumes.
fn configs(desired: &Desired) -> Vec<String> {
    let workloads = desired.workloads.iter();
    let names = workloads.flat_map(|workload| desired::config_maps(&workload.object.body));
    let names: BTreeSet<_> = names.collect();
    names.into_iter().map(ToOwned::to_owned).collect()
}

fn revision(
    meta: &Meta<'_>,
    desired: &Desired,
    release: &str,
    number: i64,
) -> Result<Object, Error> {
    let mut labels = meta.labels();
    labels.insert(RELEASE.to_owned(), release.to_owned());
    let mut metadata = meta.object(meta.named(format_args!("release-{release}")), labels);
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(NUMBER.to_owned(), number.to_string());
    annotations.insert(CONFIG.to_owned(), configs(desired).join(","));
    let contents = serde_json::to_value(Contents::of(desired)).map_err(kube::Error::SerdeError)?;
    let revision = ControllerRevision {
        metadata,
        revision: number,
        data: Some(k8s_openapi::apimachinery::pkg::runtime::RawExtension(
            contents,
        )),
    };
    let object = Object::of(&revision).map_err(kube::Error::SerdeError)?;
    Ok(object)
}
