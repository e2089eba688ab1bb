//! What keeps pods from being ready, in words that say what to do.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value;

/// Something that does not go on without help: a reason and a message.
pub type Trouble = (&'static str, String);

/// The trouble of the first pod that has some; pods are in the order of their names.
#[must_use]
pub fn of_pods<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> Option<Trouble> {
    pods.into_iter().find_map(of_pod)
}

fn of_pod(pod: &Pod) -> Option<Trouble> {
    let name = pod.name_any();
    let status = pod.status.as_ref()?;
    let containers = status.container_statuses.iter().flatten();
    let inits = status.init_container_statuses.iter().flatten();
    let mut all = inits.chain(containers);
    if let Some(trouble) = all.find_map(|container| of_container(&name, container)) {
        return Some(trouble);
    }
    let mut conditions = status.conditions.iter().flatten();
    let scheduled = conditions.find(|condition| condition.type_ == "PodScheduled")?;
    if scheduled.reason.as_deref() != Some("Unschedulable") {
        return None;
    }
    let why = scheduled.message.as_deref().unwrap_or("no node takes it");
    Some((
        "Unschedulable",
        format!(
            "pod {name} finds no node: {why}; correct the component's resources, nodeSelector, tolerations or affinity, \
             or add nodes"
        ),
    ))
}

fn of_container(pod: &str, container: &ContainerStatus) -> Option<Trouble> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let message = waiting.message.as_deref().unwrap_or_default();
    let image = &container.image;
    match waiting.reason.as_deref()? {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => Some((
            "ImagePullError",
            format!(
                "pod {pod} can't get the image {image}: correct spec.image or spec.version, or add the registry's login to \
                 spec.image.pullSecrets"
            ),
        )),
        "CreateContainerConfigError" | "CreateContainerError" => Some((
            "ContainerConfigError",
            format!("container of pod {pod} can't be made: {message}"),
        )),
        "CrashLoopBackOff" => Some((
            "CrashLoop",
            format!(
                "pod {pod} ends again and again{}: see `kubectl logs --previous {pod}`",
                last_end(container.last_state.as_ref())
            ),
        )),
        _ => None,
    }
}

fn last_end(state: Option<&ContainerState>) -> String {
    let Some(end) = state.and_then(|state| state.terminated.as_ref()) else {
        return String::new();
    };
    match end.reason.as_deref() {
        Some("OOMKilled") => " because it takes more memory than its limit".to_owned(),
        _ => format!(" with exit code {}", end.exit_code),
    }
}

/// What a Deployment says that keeps it from making pods: quotas, and what admission refuses.
#[must_use]
pub fn of_workload(workload: &DynamicObject) -> Option<Trouble> {
    let conditions = workload.data.pointer("/status/conditions")?.as_array()?;
    let failure = conditions.iter().find(|condition| {
        condition.get("type") == Some(&Value::from("ReplicaFailure"))
            && condition.get("status") == Some(&Value::from("True"))
    })?;
    let why = failure.get("message").and_then(Value::as_str);
    let name = workload.name_any();
    let why = why.unwrap_or("the API server does not say why");
    Some((
        "ForbiddenByQuota",
        format!("pods of {name} can't be made: {why}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p-0"}, "status": status})).unwrap()
    }

    fn waiting(reason: &str, last: Value) -> Pod {
        pod(json!({"containerStatuses": [{
            "name": "phlare", "image": "phlare:bad", "imageID": "", "ready": false, "restartCount": 3,
            "state": {"waiting": {"reason": reason, "message": "back-off 40s restarting"}}, "lastState": last,
        }]}))
    }

    #[test]
    fn images_that_cannot_be_pulled_are_named() {
        let (reason, message) = of_pods(&[waiting("ImagePullBackOff", json!({}))]).unwrap();
        assert_eq!(reason, "ImagePullError");
        assert!(
            message.starts_with("pod p-0 can't get the image phlare:bad: correct spec.image"),
            "{message}"
        );
    }

    #[test]
    fn crash_loops_say_how_the_process_ended_and_nothing_that_changes() {
        let oom = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
        let (_, message) = of_pods(&[waiting("CrashLoopBackOff", oom)]).unwrap();
        assert_eq!(
            message,
            "pod p-0 ends again and again because it takes more memory than its limit: see `kubectl logs --previous p-0`"
        );
        let error = json!({"terminated": {"exitCode": 1, "reason": "Error"}});
        let (_, message) = of_pods(&[waiting("CrashLoopBackOff", error)]).unwrap();
        assert!(
            message.contains("with exit code 1") && !message.contains("40s"),
            "{message}"
        );
    }

    #[test]
    fn the_scheduler_is_quoted() {
        let pending = pod(json!({"conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available: 3 Insufficient memory."
        }]}));
        let (reason, message) = of_pods(&[pending]).unwrap();
        assert_eq!(reason, "Unschedulable");
        assert!(message.contains("3 Insufficient memory."), "{message}");
    }

    #[test]
    fn pods_that_start_are_no_trouble() {
        assert_eq!(of_pods(&[waiting("ContainerCreating", json!({}))]), None);
        assert_eq!(of_pods(&[pod(json!({}))]), None);
    }
}
