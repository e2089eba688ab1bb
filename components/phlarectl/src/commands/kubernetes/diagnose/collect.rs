//! What is asked of the API server, and through it of pods. What is refused is noted, and the rest is collected.

use futures_util::{StreamExt, stream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{
    ConfigMap, Event, PersistentVolumeClaim, Pod, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ListParams, LogParams};
use kube::{Resource, ResourceExt};
use phlare_operator_api::PhlareCluster;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::access::{Access, KubernetesError, PATIENCE, PageError, of};
use super::archive::Archive;
use super::redact;

/// Pages of a pod, and the names of their files.
const PAGES: [(&str, &str); 6] = [
    ("ready", "ready.txt"),
    ("version", "version.txt"),
    ("ring", "ring.json"),
    ("config", "config.yaml"),
    ("runtime_config", "runtime_config.yaml"),
    ("metrics", "metrics.txt"),
];
/// Pods that are looked into at most: the first by name.
const MOST_PODS: usize = 100;
/// Pods asked at a time.
const AT_A_TIME: usize = 8;
/// Most bytes of a log.
const MOST_LOG: i64 = 4 << 20;

/// The resource and what the operator made for it.
pub(super) async fn objects(
    access: &Access,
    cluster: &PhlareCluster,
    pods: &[Pod],
    archive: &mut Archive,
    problems: &mut Vec<String>,
) {
    let name = cluster.name_any();
    add(archive, "phlarecluster.yaml", cluster);
    for pod in pods {
        add(archive, &format!("pods/{}/pod.yaml", pod.name_any()), pod);
    }
    kind::<Deployment>(access, &name, archive, problems).await;
    kind::<ReplicaSet>(access, &name, archive, problems).await;
    kind::<StatefulSet>(access, &name, archive, problems).await;
    kind::<ControllerRevision>(access, &name, archive, problems).await;
    kind::<HorizontalPodAutoscaler>(access, &name, archive, problems).await;
    kind::<ConfigMap>(access, &name, archive, problems).await;
    kind::<Service>(access, &name, archive, problems).await;
    kind::<EndpointSlice>(access, &name, archive, problems).await;
    kind::<ServiceAccount>(access, &name, archive, problems).await;
    kind::<PersistentVolumeClaim>(access, &name, archive, problems).await;
    kind::<PodDisruptionBudget>(access, &name, archive, problems).await;
    kind::<NetworkPolicy>(access, &name, archive, problems).await;
}

/// All objects of a kind that belong to the resource.
async fn kind<K>(access: &Access, name: &str, archive: &mut Archive, problems: &mut Vec<String>)
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Serialize,
{
    let kind = K::kind(&());
    let api: Api<K> = access.api();
    // The endpoints of Services have no name of a program.
    let mut selected = of(name);
    if kind == "EndpointSlice" {
        selected = ListParams::default();
    }
    match api.list(&selected).await {
        Ok(list) => {
            for object in list.items {
                let object_name = object.name_any();
                let services =
                    |label: &String| label == name || label.starts_with(&format!("{name}-"));
                let service = object.labels().get("kubernetes.io/service-name");
                if kind == "EndpointSlice" && !service.is_some_and(services) {
                    continue;
                }
                add(
                    archive,
                    &format!("objects/{kind}/{object_name}.yaml"),
                    &object,
                );
            }
        }
        Err(error) => problems.push(format!("{kind}: {}", KubernetesError::from(error))),
    }
}

/// An object in YAML, without its secrets.
fn add(archive: &mut Archive, file: &str, object: &impl Serialize) {
    let Ok(mut value) = serde_json::to_value(object) else {
        return;
    };
    redact::object(&mut value);
    if let Ok(text) = serde_yaml::to_string(&value) {
        archive.add(file, text);
    }
}

/// Events of everything whose name begins as the resource's does.
pub(super) async fn events(
    access: &Access,
    cluster: &PhlareCluster,
    archive: &mut Archive,
    problems: &mut Vec<String>,
) {
    let name = cluster.name_any();
    let api: Api<Event> = access.api();
    let events = match api.list(&ListParams::default()).await {
        Ok(events) => events.items,
        Err(error) => {
            problems.push(format!("events: {}", KubernetesError::from(error)));
            return;
        }
    };
    let about = |event: &&Event| {
        let object = event.involved_object.name.as_deref().unwrap_or_default();
        object == name
            || object.starts_with(&format!("{name}-"))
            || object.contains(&format!("-{name}-"))
    };
    let mut lines: Vec<_> = events.iter().filter(about).map(line).collect();
    lines.sort();
    archive.add("events.txt", redact::text(&lines.join("\n")));
}

fn line(event: &Event) -> String {
    let last = event.last_timestamp.as_ref().map(|time| time.0.to_string());
    let last = last.or_else(|| event.event_time.as_ref().map(|time| time.0.to_string()));
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let object = &event.involved_object;
    format!(
        "{} {} {} {}/{} x{}: {}",
        last.unwrap_or_default(),
        text(&event.type_),
        text(&event.reason),
        text(&object.kind),
        text(&object.name),
        event.count.unwrap_or(1),
        text(&event.message).replace('\n', " ")
    )
}

/// Logs and pages of pods.
pub(super) async fn of_pods(
    access: &Access,
    pods: &[Pod],
    lines: u32,
    archive: &mut Archive,
    problems: &mut Vec<String>,
) {
    if pods.len() > MOST_PODS {
        problems.push(format!(
            "{} pods are left out: only the first {MOST_PODS} were asked",
            pods.len() - MOST_PODS
        ));
    }
    let names: Vec<_> = pods
        .iter()
        .take(MOST_PODS)
        .map(ResourceExt::name_any)
        .collect();
    let asked = names.iter().map(|name| of_pod(access, name, lines));
    let mut answers = stream::iter(asked).buffered(AT_A_TIME);
    while let Some((files, refused)) = answers.next().await {
        for (file, content) in files {
            archive.add(file, content);
        }
        problems.extend(refused);
    }
}

async fn of_pod(access: &Access, pod: &str, lines: u32) -> (Vec<(String, String)>, Vec<String>) {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    let api: Api<Pod> = access.api();
    for (previous, file) in [(false, "log.txt"), (true, "previous-log.txt")] {
        let params = LogParams {
            previous,
            tail_lines: Some(i64::from(lines)),
            limit_bytes: Some(MOST_LOG),
            timestamps: true,
            ..LogParams::default()
        };
        let log = tokio::time::timeout(PATIENCE, api.logs(pod, &params)).await;
        let Ok(log) = log else {
            problems.push(format!("{pod}: {file}: {}", PageError::TooSlow));
            break;
        };
        match log {
            Ok(log) => files.push((format!("pods/{pod}/{file}"), redact::text(&log))),
            // Most have not been started before.
            Err(_) if previous => {}
            Err(error) => problems.push(format!("{pod}: {file}: {}", KubernetesError::from(error))),
        }
    }
    for (page, file) in PAGES {
        match access.page(pod, page).await {
            Ok(body) => files.push((format!("pods/{pod}/{file}"), page_text(&body))),
            Err(error) => {
                problems.push(format!("{pod}: /{page}: {error}"));
                // One that does not answer at all would be waited for each time.
                if !error.is_of_the_pod() {
                    break;
                }
            }
        }
    }
    (files, problems)
}

/// A page without its secrets, by its structure if it has one.
fn page_text(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match serde_json::from_slice::<Value>(body) {
        Ok(mut value) => {
            redact::object(&mut value);
            serde_json::to_string_pretty(&value).unwrap_or_default()
        }
        Err(_) => redact::text(&text),
    }
}
