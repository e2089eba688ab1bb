//! What runs pods: a Deployment, or a StatefulSet for each zone.

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment, StatefulSet,
    StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PodTemplateSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;

use phlare_operator_api::Mode;

use super::meta::letter;
use super::{Error, Inputs, Meta, Object, RELEASE, VERSION, pods, replication_factor};
use crate::hash;
use crate::part::Part;

/// A Deployment or a StatefulSet.
#[derive(Clone, Debug)]
pub struct Workload {
    /// What its pods run.
    pub part: Part,
    /// The zone in which they are.
    pub zone: Option<String>,
    /// How many there should be. Not in the object: whoever scales it may be somebody else.
    pub replicas: i32,
    /// Hash of the template.
    pub release: String,
    /// The object without its number of pods.
    pub object: Object,
}

/// The workloads of a component.
pub(super) fn of(
    part: Part,
    inputs: &Inputs<'_>,
    meta: &Meta<'_>,
    settings: &str,
) -> Result<Vec<Workload>, Error> {
    let total = replicas(part, meta);
    if part == Part::QuerierCanary && total == 0 {
        return Ok(Vec::new());
    }
    let Some(zones) = meta.zones(part) else {
        let name = meta.named(part);
        return Ok(vec![one(
            part,
            None,
            (name, total),
            inputs,
            meta,
            settings,
        )?]);
    };
    let count = i32::try_from(zones.len()).unwrap_or(i32::MAX).max(1);
    let mut workloads = Vec::new();
    for (index, zone) in zones.iter().enumerate() {
        let name = meta.named(format_args!("{part}-{}", letter(index)));
        let pods = (name, total / count);
        workloads.push(one(part, Some(zone), pods, inputs, meta, settings)?);
    }
    Ok(workloads)
}

/// How many pods a component has in all zones, unless the resource says so: enough that one may be away.
fn replicas(part: Part, meta: &Meta<'_>) -> i32 {
    let zones = meta.zones(part).map_or(1, <[_]>::len);
    let zones = i32::try_from(zones).unwrap_or(1);
    let default = match part {
        Part::Ingester => {
            let copies = replication_factor(meta.spec);
            (copies + zones - 1) / zones * zones
        }
        Part::StoreGateway => zones.max(2),
        Part::Monolithic | Part::Compactor => 1,
        _ => 2,
    };
    part.replicas(meta.spec).unwrap_or(default)
}

fn one(
    part: Part,
    zone: Option<&str>,
    (name, replicas): (String, i32),
    inputs: &Inputs<'_>,
    meta: &Meta<'_>,
    settings: &str,
) -> Result<Workload, Error> {
    let mut template = pods::template(part, zone, inputs, meta, settings)?;
    let release = hash::of(serde_json::to_string(&template)?.as_bytes());
    let mark = |metadata: &mut ObjectMeta| {
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.insert(RELEASE.to_owned(), release.clone());
    };
    mark(template.metadata.get_or_insert_default());
    let mut metadata = meta.object(name, meta.labels_of(part, zone));
    mark(&mut metadata);
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(VERSION.to_owned(), inputs.version.clone());
    let selector = LabelSelector {
        match_labels: Some(meta.selector(Some(part), zone)),
        ..LabelSelector::default()
    };
    let object = if part.is_stateful() {
        Object::of(&stateful_set(part, metadata, selector, template, meta))?
    } else {
        Object::of(&deployment(metadata, selector, template))?
    };
    Ok(Workload {
        part,
        zone: zone.map(ToOwned::to_owned),
        replicas,
        release,
        object,
    })
}

fn deployment(
    metadata: ObjectMeta,
    selector: LabelSelector,
    template: PodTemplateSpec,
) -> Deployment {
    Deployment {
        metadata,
        spec: Some(DeploymentSpec {
            selector,
            template,
            revision_history_limit: Some(2),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_unavailable: Some(IntOrString::Int(0)),
                    max_surge: Some(IntOrString::String("25%".to_owned())),
                }),
            }),
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

fn stateful_set(
    part: Part,
    metadata: ObjectMeta,
    selector: LabelSelector,
    template: PodTemplateSpec,
    meta: &Meta<'_>,
) -> StatefulSet {
    let volume = part
        .volume(&meta.spec.components)
        .cloned()
        .unwrap_or_default();
    let size = volume
        .size
        .clone()
        .unwrap_or_else(|| default_size(part, meta));
    let claim = PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(pods::VOLUME.to_owned()),
            // What a StatefulSet says of claims can't be changed later: only labels that never change.
            labels: selector.match_labels.clone(),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: volume.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), Quantity(size))])),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    };
    let retention = volume.retention_policy;
    StatefulSet {
        metadata,
        spec: Some(StatefulSetSpec {
            selector,
            template,
            service_name: Some(meta.named(part)),
            // A pod that never gets ready must not keep the others from being replaced by a release that works.
            pod_management_policy: Some("Parallel".to_owned()),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("RollingUpdate".to_owned()),
                ..StatefulSetUpdateStrategy::default()
            }),
            persistent_volume_claim_retention_policy: Some(
                StatefulSetPersistentVolumeClaimRetentionPolicy {
                    when_deleted: Some(retention.when_deleted.as_str().to_owned()),
                    when_scaled: Some(retention.when_scaled.as_str().to_owned()),
                },
            ),
            revision_history_limit: Some(2),
            volume_claim_templates: Some(vec![claim]),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

/// What is enough to begin with: caches and work in progress need less than profiles do.
fn default_size(part: Part, meta: &Meta<'_>) -> String {
    let size = match (part, meta.spec.mode) {
        (Part::Monolithic, Mode::Monolithic) => "10Gi",
        (Part::Ingester, _) => "20Gi",
        _ => "10Gi",
    };
    size.to_owned()
}
