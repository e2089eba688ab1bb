//! Names, labels and owners.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};
use phlare_operator_api::{PhlareCluster, PhlareClusterSpec, ZoneAwareness};

use super::{OPERATOR, ZONE};
use crate::part::Part;

/// Labels as Kubernetes recommends them.
pub mod labels {
    /// `phlare`.
    pub const NAME: &str = "app.kubernetes.io/name";
    /// The resource's name.
    pub const INSTANCE: &str = "app.kubernetes.io/instance";
    /// The component.
    pub const COMPONENT: &str = "app.kubernetes.io/component";
    /// `phlare-operator`.
    pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
}

/// A resource and what the names of its objects are made of.
#[derive(Clone, Debug)]
pub struct Meta<'a> {
    /// Name of the resource.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// What it says.
    pub spec: &'a PhlareClusterSpec,
    owner: OwnerReference,
}

impl<'a> Meta<'a> {
    /// Of a resource as the API server has it.
    #[must_use]
    pub fn of(cluster: &'a PhlareCluster) -> Self {
        let name = cluster.metadata.name.as_deref().unwrap_or_default();
        let owner = OwnerReference {
            api_version: PhlareCluster::api_version(&()).into_owned(),
            kind: PhlareCluster::kind(&()).into_owned(),
            name: name.to_owned(),
            uid: cluster.metadata.uid.clone().unwrap_or_default(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        };
        Self {
            name,
            namespace: cluster.metadata.namespace.as_deref().unwrap_or_default(),
            spec: &cluster.spec,
            owner,
        }
    }

    /// Identity of the resource, as its objects name it.
    #[must_use]
    pub fn owner_uid(&self) -> &str {
        &self.owner.uid
    }

    /// Whether an object is the resource's.
    #[must_use]
    pub fn owns(&self, object: &impl ResourceExt) -> bool {
        let mut owners = object.owner_references().iter();
        owners.any(|owner| owner.uid == self.owner.uid)
    }

    /// Name of an object that belongs to a component.
    #[must_use]
    pub fn named(&self, what: impl std::fmt::Display) -> String {
        format!("{}-{what}", self.name)
    }

    /// Labels of everything that belongs to the resource.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        let mut all = self.spec.common_labels.clone();
        all.extend(self.selector(None, None));
        all.insert(labels::MANAGED_BY.to_owned(), OPERATOR.to_owned());
        all
    }

    /// Labels of what belongs to a component.
    #[must_use]
    pub fn labels_of(&self, part: Part, zone: Option<&str>) -> BTreeMap<String, String> {
        let mut all = self.labels();
        all.extend(self.selector(Some(part), zone));
        all
    }

    /// Labels by which pods are found; they never change.
    #[must_use]
    pub fn selector(&self, part: Option<Part>, zone: Option<&str>) -> BTreeMap<String, String> {
        let mut selector = BTreeMap::from([
            (labels::NAME.to_owned(), "phlare".to_owned()),
            (labels::INSTANCE.to_owned(), self.name.to_owned()),
        ]);
        if let Some(part) = part {
            selector.insert(labels::COMPONENT.to_owned(), part.to_string());
        }
        if let Some(zone) = zone {
            selector.insert(ZONE.to_owned(), zone.to_owned());
        }
        selector
    }

    /// Metadata of an object.
    #[must_use]
    pub fn object(&self, name: String, labels: BTreeMap<String, String>) -> ObjectMeta {
        let annotations = &self.spec.common_annotations;
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.namespace.to_owned()),
            labels: Some(labels),
            annotations: (!annotations.is_empty()).then(|| annotations.clone()),
            owner_references: Some(vec![self.owner.clone()]),
            ..ObjectMeta::default()
        }
    }

    /// The zones of a component: none if it has one workload for all.
    #[must_use]
    pub fn zones(&self, part: Part) -> Option<&'a [String]> {
        let ZoneAwareness { enabled, zones, .. } = &self.spec.zone_awareness;
        (*enabled && part.is_zoned()).then_some(zones)
    }
}

/// The letter of a zone in names, whose lengths are limited: `a` is the first one. Zones are only ever added at the end,
/// so a zone keeps its letter.
#[must_use]
pub(super) fn letter(index: usize) -> char {
    ('a'..='z').nth(index).unwrap_or('z')
}
