//! Writes, and none without need.
//!
//! Server-side apply: the API server merges, and knows which fields are the operator's. Each concern has a field manager
//! of its own, so that giving one up (`replicas`, to an autoscaler) does not take its value away.

use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use kube::core::ApiResource;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tracing::info;

use crate::desired::{OPERATOR, Object};
use crate::trouble::Trouble;
use crate::{hash, same};

/// Annotation with the hash of what was applied last: a field that is no longer wanted is seen by it.
pub const APPLIED: &str = "phlare.dev/applied";

/// What fields a write is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What the object is.
    Object,
    /// How many pods it has.
    Replicas,
    /// How large a volume is.
    Volume,
    /// That a pod is being drained.
    Drain,
    /// Which release is the newest.
    Release,
    /// What the operator says about the resource.
    Status,
}

impl Scope {
    /// The field manager.
    #[must_use]
    pub fn manager(self) -> String {
        let scope = match self {
            Self::Object => "objects",
            Self::Replicas => "replicas",
            Self::Volume => "volumes",
            Self::Drain => "drain",
            Self::Release => "release",
            Self::Status => "status",
        };
        format!("{OPERATOR}/{scope}")
    }

    /// Apply with it. What others have written into the operator's fields is overwritten.
    #[must_use]
    pub fn params(self) -> PatchParams {
        PatchParams::apply(&self.manager()).force()
    }
}

/// Why an object is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server does not answer or refuses.
    #[error("API server: {0}")]
    Kube(#[source] Box<kube::Error>),
    /// Somebody else has an object of that kind and name.
    #[error(
        "{kind} {namespace}/{name} exists and does not belong to this resource: delete it, or give the resource another name"
    )]
    Taken {
        /// Kind of the object.
        kind: String,
        /// Where it is.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        Self::Kube(Box::new(error))
    }
}

impl Error {
    /// What somebody has to see to, if it is that: a reason and a message.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Taken { .. } => Some(("ConflictingOwner", self.to_string())),
            Self::Kube(error) => match &**error {
                kube::Error::Api(status) if status.is_invalid() || status.is_forbidden() => {
                    Some(("ApplyRefused", status.message.clone()))
                }
                _ => None,
            },
        }
    }
}

/// Writes to one namespace.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    namespace: String,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Writer {
    /// Writes to `namespace`.
    #[must_use]
    pub fn new(client: Client, namespace: &str) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
        }
    }

    fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, resource)
    }

    /// Makes an object what it should be, if it is not. Whether something was written. `live` is None if the resource has
    /// no such object: one of that name that is there all the same is somebody else's.
    ///
    /// # Errors
    /// The API server does not answer or refuses, or the name is taken.
    pub async fn apply(
        &self,
        object: &Object,
        live: Option<&DynamicObject>,
    ) -> Result<bool, Error> {
        self.check_owner(object, live).await?;
        let mut body = object.body.clone();
        let applied = hash::of(body.to_string().as_bytes());
        body["metadata"]["annotations"][APPLIED] = Value::String(applied.clone());
        if let Some(live) = live {
            let unchanged = live.annotations().get(APPLIED) == Some(&applied);
            let live = serde_json::to_value(live).map_err(kube::Error::SerdeError)?;
            keep_claims(&mut body, &live);
            if unchanged && same::contains(&live, &body) {
                return Ok(false);
            }
        }
        let api = self.api(&object.resource);
        api.patch(&object.name, &Scope::Object.params(), &Patch::Apply(&body))
            .await?;
        info!(
            namespace = self.namespace,
            kind = object.resource.kind,
            name = object.name,
            "applied"
        );
        Ok(true)
    }

    /// Applying would take over what is there, whoever made it. What carries the resource's labels and has no owner was its
    /// own before; everything else of that name is somebody else's.
    async fn check_owner(
        &self,
        object: &Object,
        live: Option<&DynamicObject>,
    ) -> Result<(), Error> {
        let owner = object.body.pointer("/metadata/ownerReferences/0/uid");
        let is_another = |there: &DynamicObject| {
            let mut owners = there.owner_references().iter();
            let controller = owners.find(|owner| owner.controller == Some(true));
            controller.is_some_and(|found| owner.and_then(Value::as_str) != Some(&found.uid))
        };
        let is_taken = match live {
            Some(there) => is_another(there),
            None => {
                let named = format!("metadata.name={}", object.name);
                let named = ListParams::default().fields(&named);
                !self
                    .api(&object.resource)
                    .list(&named)
                    .await?
                    .items
                    .is_empty()
            }
        };
        match is_taken {
            false => Ok(()),
            true => Err(Error::Taken {
                kind: object.resource.kind.clone(),
                namespace: self.namespace.clone(),
                name: object.name.clone(),
            }),
        }
    }

    /// Sets the number of pods of a workload.
    ///
    /// # Errors
    /// The API server does not answer or refuses.
    pub async fn scale(&self, object: &Object, replicas: i32) -> kube::Result<()> {
        self.partial(
            object,
            Scope::Replicas,
            json!({"spec": {"replicas": replicas}}),
        )
        .await
    }

    /// Applies some fields of an object that is there.
    ///
    /// # Errors
    /// The API server does not answer or refuses.
    pub async fn partial(&self, object: &Object, scope: Scope, fields: Value) -> kube::Result<()> {
        let mut body = fields;
        body["apiVersion"] = json!(object.resource.api_version);
        body["kind"] = json!(object.resource.kind);
        body["metadata"]["name"] = json!(object.name);
        let api = self.api(&object.resource);
        api.patch(&object.name, &scope.params(), &Patch::Apply(&body))
            .await?;
        info!(namespace = self.namespace, kind = object.resource.kind, name = object.name, fields = %body["spec"], "applied");
        Ok(())
    }

    /// Deletes an object, if it still is the one that was seen.
    ///
    /// # Errors
    /// The API server does not answer or refuses.
    pub async fn delete(&self, resource: &ApiResource, live: &DynamicObject) -> kube::Result<()> {
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: live.uid(),
            resource_version: None,
        });
        match self.api(resource).delete(&live.name_any(), &params).await {
            Ok(_) => info!(
                namespace = self.namespace,
                kind = resource.kind,
                name = live.name_any(),
                "deleted"
            ),
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// What a StatefulSet says of claims can't be changed. Volumes grow by their claims, those of new pods too.
fn keep_claims(body: &mut Value, live: &Value) {
    let path = "/spec/volumeClaimTemplates";
    let Some(Value::Array(mine)) = body.pointer_mut(path) else {
        return;
    };
    let theirs = live.pointer(path).and_then(Value::as_array);
    for (mine, theirs) in mine.iter_mut().zip(theirs.into_iter().flatten()) {
        if let Some(resources) = theirs.pointer("/spec/resources") {
            mine["spec"]["resources"] = resources.clone();
        }
    }
}
