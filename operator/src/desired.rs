//! What should be there: from a resource to objects, without asking anyone.
//!
//! Equal input gives equal objects, byte for byte: whether there is something to do is a comparison.

mod access;
mod config;
mod meta;
mod monitoring;
mod network;
mod pods;
mod scaler;
mod workload;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::{ApiResource, Resource};
use phlare_operator_api::{Mode, PhlareCluster, PhlareClusterSpec};
use serde::Serialize;
use serde_json::Value;

pub use self::config::ConfigError;
pub use self::meta::{Meta, labels};
pub use self::monitoring::{OPTIONAL, Optional};
pub use self::workload::Workload;
use crate::credentials::Credentials;
use crate::hash;
use crate::part::Part;

/// Name of the operator in labels, and the beginning of its field managers.
pub const OPERATOR: &str = "phlare-operator";
/// Annotation with the hash of what a pod is made from.
pub const RELEASE: &str = "phlare.dev/release";
/// Annotation of a workload with the version that its pods run.
pub const VERSION: &str = "phlare.dev/version";
/// Label with the zone of a workload and its pods.
pub const ZONE: &str = "phlare.dev/zone";
/// Port of HTTP, Connect, gRPC and gRPC-web.
pub const PORT: i32 = 4040;
/// Port of gossip.
pub const GOSSIP: i32 = 7946;

/// What the resource does not decide.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// The resource.
    pub cluster: &'a PhlareCluster,
    /// Image of all pods, with tag or digest.
    pub image: String,
    /// The version of that image, as the resource or the operator names it.
    pub version: String,
    /// Logins of the object store.
    pub credentials: &'a Credentials,
    /// Where the operator runs.
    pub operator_namespace: &'a str,
}

/// Everything that should be there.
#[derive(Clone, Debug)]
pub struct Desired {
    /// What pods need before they start.
    pub objects: Vec<Object>,
    /// What runs pods, in the order in which releases reach them.
    pub workloads: Vec<Workload>,
    /// What Prometheus and Grafana are told. Kinds may be missing; no pod needs it.
    pub monitoring: Vec<Object>,
    /// The version that pods run.
    pub version: String,
}

impl Desired {
    /// Hash of what all pods are made from.
    #[must_use]
    pub fn release(&self) -> String {
        let all = self.workloads.iter();
        let all: String = all.map(|workload| workload.release.as_str()).collect();
        hash::of(all.as_bytes())
    }
}

/// An object as it is applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Which kind, and where its API is.
    pub resource: ApiResource,
    /// Its name.
    pub name: String,
    /// Its fields; those that it does not have are not the operator's.
    pub body: Value,
}

impl Object {
    /// An object from its typed form.
    pub(crate) fn of<K>(object: &K) -> Result<Self, serde_json::Error>
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        Ok(Self {
            resource: ApiResource::erase::<K>(&()),
            name: object.meta().name.clone().unwrap_or_default(),
            body: serde_json::to_value(object)?,
        })
    }
}

/// Why a resource can't be carried out as it is written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something that is passed on to Kubernetes is not what it should be.
    #[error("spec.{path} is no {kind}: {problem}")]
    Shape {
        /// Where it is.
        path: String,
        /// What it should be.
        kind: &'static str,
        /// What is wrong.
        problem: serde_json::Error,
    },
    /// Objects have no form in JSON, which can't be.
    #[error("objects as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// What should be there for a resource.
///
/// # Errors
/// The resource can't be carried out; the message says what to write instead.
pub fn desired(inputs: &Inputs<'_>) -> Result<Desired, Error> {
    let meta = Meta::of(inputs.cluster);
    let config = config::render(inputs, &meta)?;
    let mut objects = vec![
        Object::of(&config.settings)?,
        Object::of(&config.overrides)?,
    ];
    if let Some(account) = access::service_account(&meta) {
        objects.push(Object::of(&account)?);
    }
    for service in network::services(&meta) {
        objects.push(Object::of(&service)?);
    }
    for policy in network::policies(&meta, inputs.operator_namespace)? {
        objects.push(Object::of(&policy)?);
    }
    let settings = name_of(&config.settings);
    let mut workloads = Vec::new();
    for &part in Part::of(meta.spec.mode) {
        workloads.extend(workload::of(part, inputs, &meta, &settings)?);
    }
    for budget in access::budgets(&meta, &workloads) {
        objects.push(Object::of(&budget)?);
    }
    objects.extend(scaler::of(&meta)?);
    Ok(Desired {
        objects,
        workloads,
        monitoring: monitoring::objects(&meta)?,
        version: inputs.version.clone(),
    })
}

fn name_of(map: &ConfigMap) -> String {
    map.metadata.name.clone().unwrap_or_default()
}

/// Names of the ConfigMaps that the pods of a workload have as volumes.
pub fn config_maps(workload: &Value) -> impl Iterator<Item = &str> {
    let volumes = workload.pointer("/spec/template/spec/volumes");
    let volumes = volumes.and_then(Value::as_array).into_iter().flatten();
    volumes.filter_map(|volume| volume.pointer("/configMap/name")?.as_str())
}

/// In how many ingesters each profile is kept.
#[must_use]
pub fn replication_factor(spec: &PhlareClusterSpec) -> i32 {
    let default = match spec.mode {
        Mode::Monolithic => 1,
        Mode::Microservices => 3,
    };
    spec.replication_factor.unwrap_or(default)
}
