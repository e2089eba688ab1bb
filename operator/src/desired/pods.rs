//! The template of a component's pods.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource,
    EnvVar, EnvVarSource, HTTPGetAction, LocalObjectReference, ObjectFieldSelector,
    PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile,
    SecretKeySelector, SecurityContext, Toleration, TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use phlare_operator_api::{Amount, Opaque, Pod, Resources};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::config::{DATA, DIRECTORY, OVERRIDES};
use super::{Error, GOSSIP, Inputs, Meta, PORT, access};
use crate::memory;
use crate::part::Part;

/// User and group of the processes: nobody that exists.
const USER: i64 = 10_001;
/// Name of the volume that stays.
pub(super) const VOLUME: &str = "data";
/// Annotation with the hash of the object store's logins.
const CREDENTIALS: &str = "phlare.dev/credentials";

/// What a component's pods are like: its own settings over those of all.
pub(super) fn merged(part: Part, meta: &Meta<'_>) -> Pod {
    let components = &meta.spec.components;
    let all = components.all.clone();
    let own = part.pod(components).clone();
    let either = |all: Vec<_>, own: Vec<_>| if own.is_empty() { all } else { own };
    let mut env = all.env;
    env.retain(|variable| own.env.iter().all(|other| other.name != variable.name));
    env.extend(own.env);
    Pod {
        resources: own.resources.or(all.resources),
        node_selector: over(all.node_selector, own.node_selector),
        tolerations: either(all.tolerations, own.tolerations),
        affinity: own.affinity.or(all.affinity),
        topology_spread_constraints: own
            .topology_spread_constraints
            .or(all.topology_spread_constraints),
        priority_class_name: own.priority_class_name.or(all.priority_class_name),
        env,
        extra_args: [all.extra_args, own.extra_args].concat(),
        pod_annotations: over(all.pod_annotations, own.pod_annotations),
        pod_labels: over(all.pod_labels, own.pod_labels),
        termination_grace_period_seconds: own
            .termination_grace_period_seconds
            .or(all.termination_grace_period_seconds),
        pod_disruption_budget: own.pod_disruption_budget.or(all.pod_disruption_budget),
    }
}

fn over(
    mut below: BTreeMap<String, String>,
    above: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    below.extend(above);
    below
}

/// The template of a component's pods in a zone, without the hash of it.
pub(super) fn template(
    part: Part,
    zone: Option<&str>,
    inputs: &Inputs<'_>,
    meta: &Meta<'_>,
    settings: &str,
) -> Result<PodTemplateSpec, Error> {
    let pod = merged(part, meta);
    let mut annotations = over(
        meta.spec.common_annotations.clone(),
        pod.pod_annotations.clone(),
    );
    if inputs.credentials.secret.is_some() {
        annotations.insert(CREDENTIALS.to_owned(), inputs.credentials.hash.clone());
    }
    let labels = over(pod.pod_labels.clone(), meta.labels_of(part, zone));
    let mut node_selector = pod.node_selector.clone();
    if let Some(zone) = zone {
        let key = meta.spec.zone_awareness.topology_key.clone();
        node_selector.insert(key, zone.to_owned());
    }
    let path = |field: &str| format!("components.{part}.{field}");
    let affinity: Option<Affinity> = shaped(pod.affinity.clone(), "Affinity", path("affinity"))?;
    let spread = spread(part, zone, meta, &pod)?;
    let tolerations = pod.tolerations.iter().map(|toleration| Toleration {
        key: toleration.key.clone(),
        operator: toleration.operator.clone(),
        value: toleration.value.clone(),
        effect: toleration.effect.clone(),
        toleration_seconds: toleration.toleration_seconds,
    });
    let tolerations: Vec<_> = tolerations.collect();
    let secrets = meta.spec.image.pull_secrets.iter();
    let secrets: Vec<_> = secrets
        .map(|secret| LocalObjectReference {
            name: secret.name.clone(),
        })
        .collect();
    let grace = pod.termination_grace_period_seconds;
    Ok(PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            service_account_name: Some(access::account_name(meta)),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            security_context: Some(pod_security()),
            image_pull_secrets: filled(secrets),
            node_selector: (!node_selector.is_empty()).then_some(node_selector),
            tolerations: filled(tolerations),
            affinity,
            topology_spread_constraints: filled(spread),
            priority_class_name: pod.priority_class_name.clone(),
            termination_grace_period_seconds: Some(grace.unwrap_or_else(|| default_grace(part))),
            containers: vec![container(part, zone, &pod, inputs, meta)?],
            volumes: Some(volumes(part, meta, settings)),
            ..PodSpec::default()
        }),
    })
}

/// Ingesters write what they hold before they end; a query may take its time-out.
const fn default_grace(part: Part) -> i64 {
    if part.holds_profiles() { 300 } else { 60 }
}

fn filled<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn shaped<T: DeserializeOwned>(
    object: Option<Opaque>,
    kind: &'static str,
    path: String,
) -> Result<Option<T>, Error> {
    let Some(Opaque(object)) = object else {
        return Ok(None);
    };
    let shaped = serde_json::from_value(Value::Object(object));
    shaped.map(Some).map_err(|problem| Error::Shape {
        path,
        kind,
        problem,
    })
}

/// Pods of a component go to different nodes, and, unless their workload belongs to one zone, to different zones, as
/// long as there is room: a wish, so that one node is enough to begin with.
fn spread(
    part: Part,
    zone: Option<&str>,
    meta: &Meta<'_>,
    pod: &Pod,
) -> Result<Vec<TopologySpreadConstraint>, Error> {
    if let Some(given) = &pod.topology_spread_constraints {
        let mut constraints = Vec::new();
        for (index, constraint) in given.iter().enumerate() {
            let path = format!("components.{part}.topologySpreadConstraints[{index}]");
            let kind = "TopologySpreadConstraint";
            constraints.extend(shaped(Some(constraint.clone()), kind, path)?);
        }
        return Ok(constraints);
    }
    let over = |key: &str| TopologySpreadConstraint {
        max_skew: 1,
        topology_key: key.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(LabelSelector {
            match_labels: Some(meta.selector(Some(part), zone)),
            ..LabelSelector::default()
        }),
        ..TopologySpreadConstraint::default()
    };
    let mut constraints = vec![over("kubernetes.io/hostname")];
    if zone.is_none() {
        constraints.push(over(&meta.spec.zone_awareness.topology_key));
    }
    Ok(constraints)
}

/// What the restricted Pod Security Standard asks for.
fn pod_security() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        fs_group: Some(USER),
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..PodSecurityContext::default()
    }
}

fn container(
    part: Part,
    zone: Option<&str>,
    pod: &Pod,
    inputs: &Inputs<'_>,
    meta: &Meta<'_>,
) -> Result<Container, Error> {
    let port = |name: &str, number, protocol: &str| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some(protocol.to_owned()),
        ..ContainerPort::default()
    };
    let mount = |name: &str, path: &str, read_only| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only,
        ..VolumeMount::default()
    };
    Ok(Container {
        name: "phlare".to_owned(),
        image: Some(inputs.image.clone()),
        image_pull_policy: Some(meta.spec.image.pull_policy.as_str().to_owned()),
        args: Some(arguments(part, zone, pod)),
        env: Some(environment(part, pod, inputs)?),
        ports: Some(vec![
            port("http", PORT, "TCP"),
            port("gossip", GOSSIP, "UDP"),
        ]),
        resources: pod.resources.as_ref().map(requirements),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![
            mount("config", DIRECTORY, Some(true)),
            mount("overrides", OVERRIDES, Some(true)),
            mount(VOLUME, DATA, None),
            mount("tmp", "/tmp", None),
        ]),
        // An ingester reads its log before it serves: as long as it is at it, it is neither ready nor dead.
        startup_probe: Some(probe("/livez", 2, 300)),
        liveness_probe: Some(probe("/livez", 10, 6)),
        readiness_probe: Some(probe("/ready", 5, 3)),
        ..Container::default()
    })
}

fn probe(path: &str, seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("http".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(seconds),
        failure_threshold: Some(failures),
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}

fn arguments(part: Part, zone: Option<&str>, pod: &Pod) -> Vec<String> {
    let mut arguments = vec![
        format!("-target={}", part.target()),
        format!("-config.file={DIRECTORY}/config.yaml"),
        "-config.expand-env=true".to_owned(),
        "-memberlist.nodename=$(POD_NAME)".to_owned(),
        "-memberlist.advertise-addr=$(POD_IP)".to_owned(),
    ];
    if part.is_called_by_clients() {
        // Services learn of a pod's end at the same time as the pod.
        arguments.push("-shutdown-delay=5s".to_owned());
    }
    if let (Part::Ingester, Some(zone)) = (part, zone) {
        arguments.push(format!("-ingester.availability-zone={zone}"));
    }
    let limits = pod.resources.as_ref().map(|resources| &resources.limits);
    if let Some(amount) = limits.and_then(|limits| limits.get("memory")) {
        arguments.extend(memory::flags(part, amount));
    }
    arguments.extend(pod.extra_args.iter().cloned());
    arguments
}

fn environment(part: Part, pod: &Pod, inputs: &Inputs<'_>) -> Result<Vec<EnvVar>, Error> {
    let field = |name: &str, path: &str| EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".to_owned()),
                field_path: path.to_owned(),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    };
    let mut all = vec![
        field("POD_NAME", "metadata.name"),
        field("POD_IP", "status.podIP"),
    ];
    let secret = inputs.credentials.secret.as_deref().unwrap_or_default();
    for variable in &inputs.credentials.variables {
        all.push(EnvVar {
            name: variable.name.to_owned(),
            value_from: Some(EnvVarSource {
                secret_key_ref: Some(SecretKeySelector {
                    name: secret.to_owned(),
                    key: variable.key.clone(),
                    optional: None,
                }),
                ..EnvVarSource::default()
            }),
            ..EnvVar::default()
        });
    }
    for variable in &pod.env {
        let path = format!("components.{part}.env[{}].valueFrom", variable.name);
        all.push(EnvVar {
            name: variable.name.clone(),
            value: variable.value.clone(),
            value_from: shaped(variable.value_from.clone(), "EnvVarSource", path)?,
        });
    }
    Ok(all)
}

fn requirements(resources: &Resources) -> ResourceRequirements {
    let amounts = |amounts: &BTreeMap<String, Amount>| {
        let amounts = amounts.iter();
        let amounts = amounts.map(|(name, amount)| (name.clone(), quantity(amount)));
        let amounts: BTreeMap<_, _> = amounts.collect();
        (!amounts.is_empty()).then_some(amounts)
    };
    ResourceRequirements {
        requests: amounts(&resources.requests),
        limits: amounts(&resources.limits),
        ..ResourceRequirements::default()
    }
}

fn quantity(amount: &Amount) -> Quantity {
    Quantity(match amount {
        Amount::Number(number) => number.to_string(),
        Amount::Text(text) => text.clone(),
    })
}

/// The files, a directory for what is thrown away, and, if no volume claim gives one, one for data.
fn volumes(part: Part, meta: &Meta<'_>, settings: &str) -> Vec<Volume> {
    let map = |volume: &str, map: String| Volume {
        name: volume.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: map,
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    };
    let empty = |volume: &str| Volume {
        name: volume.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    };
    let mut volumes = vec![
        map("config", settings.to_owned()),
        map("overrides", meta.named("overrides")),
        empty("tmp"),
    ];
    if !part.is_stateful() {
        volumes.push(empty(VOLUME));
    }
    volumes
}
