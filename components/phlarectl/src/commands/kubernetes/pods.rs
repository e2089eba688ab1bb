//! What keeps a pod from being ready, in a word and a sentence.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

/// What is the matter with a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// As Kubernetes calls it.
    pub(super) reason: String,
    /// What it says, and what to do.
    pub(super) message: String,
}

/// Whether it serves.
pub(super) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let mut ready = conditions.filter(|condition| condition.type_ == "Ready");
    pod.metadata.deletion_timestamp.is_none() && ready.any(|condition| condition.status == "True")
}

/// Whether its process may answer.
pub(super) fn is_running(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    phase == Some("Running")
}

/// A label of a pod, empty if it has none.
pub(super) fn label<'a>(pod: &'a Pod, name: &str) -> &'a str {
    pod.labels().get(name).map_or("", String::as_str)
}

/// The image that it is to run.
pub(super) fn image(pod: &Pod) -> Option<&str> {
    let containers = &pod.spec.as_ref()?.containers;
    containers.first()?.image.as_deref()
}

/// How often its processes ended.
pub(super) fn restarts(pod: &Pod) -> i32 {
    let statuses = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    statuses.map(|status| status.restart_count).sum()
}

/// Seconds since it was made.
pub(super) fn age_s(pod: &Pod, now_ms: i64) -> i64 {
    let made: Option<Timestamp> = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    made.map_or(0, |made| (now_ms / 1000 - made.as_second()).max(0))
}

/// What keeps it from being ready; None if it is.
pub(super) fn trouble(pod: &Pod) -> Option<Trouble> {
    if is_ready(pod) {
        return None;
    }
    let of = |reason: &str, message: String| {
        Some(Trouble {
            reason: reason.to_owned(),
            message,
        })
    };
    if pod.metadata.deletion_timestamp.is_some() {
        return of("Terminating", "it is about to end".to_owned());
    }
    let Some(status) = &pod.status else {
        return of("Pending", "nobody has looked at it yet".to_owned());
    };
    let inits = status.init_container_statuses.iter().flatten();
    let mut containers = inits.chain(status.container_statuses.iter().flatten());
    if let Some(trouble) = containers.find_map(of_container) {
        return Some(trouble);
    }
    let mut conditions = status.conditions.iter().flatten();
    if let Some(unscheduled) = conditions
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
    {
        let why = unscheduled.message.clone().unwrap_or_default();
        let todo = "correct the component's resources, nodeSelector, tolerations or affinity, or add nodes";
        return of("Unschedulable", format!("{why}: {todo}"));
    }
    match status.phase.as_deref() {
        Some("Running") => of("NotReady", "it runs, but `/ready` says no".to_owned()),
        Some("Pending") => of("Pending", "its node gets it ready".to_owned()),
        Some(phase) => of(phase, status.message.clone().unwrap_or_default()),
        None => of("Pending", "no node has it yet".to_owned()),
    }
}

fn of_container(container: &ContainerStatus) -> Option<Trouble> {
    let state = container.state.as_ref()?;
    let image = &container.image;
    if let Some(end) = &state.terminated
        && end.exit_code != 0
    {
        return Some(Trouble {
            reason: end.reason.clone().unwrap_or_else(|| "Error".to_owned()),
            message: format!("its process ended with exit code {}", end.exit_code),
        });
    }
    let waiting = state.waiting.as_ref()?;
    let reason = waiting.reason.clone()?;
    let said = waiting.message.clone().unwrap_or_default();
    let message = match reason.as_str() {
        "ContainerCreating" | "PodInitializing" => return None,
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => format!(
            "can't get the image {image}: correct spec.image or spec.version, or add the registry's login to spec.image.pullSecrets"
        ),
        "CrashLoopBackOff" => {
            let last = container.last_state.as_ref();
            let end = last.and_then(|state| state.terminated.as_ref());
            let how = match end {
                Some(end) if end.reason.as_deref() == Some("OOMKilled") => {
                    " because it takes more memory than its limit: raise resources.limits.memory"
                        .to_owned()
                }
                Some(end) => format!(
                    " with exit code {}: see `kubectl logs --previous`",
                    end.exit_code
                ),
                None => String::new(),
            };
            format!("ends again and again{how}")
        }
        _ => said,
    };
    Some(Trouble { reason, message })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p-0"}, "status": status})).unwrap()
    }

    fn reason(status: &Value) -> Option<String> {
        trouble(&pod(status)).map(|trouble| trouble.reason)
    }

    #[test]
    fn what_is_the_matter_has_one_word() {
        let waiting = |reason: &str| {
            json!({"phase": "Pending", "containerStatuses": [{
                "name": "phlare", "image": "phlare:bad", "imageID": "", "ready": false, "restartCount": 3,
                "state": {"waiting": {"reason": reason, "message": "x"}},
            }]})
        };
        let condition = |kind: &str, status: &str| json!({"phase": "Running", "conditions": [{"type": kind, "status": status}]});
        assert_eq!(reason(&condition("Ready", "True")), None);
        for (status, expected) in [
            (condition("Ready", "False"), "NotReady"),
            (condition("PodScheduled", "False"), "Unschedulable"),
            (waiting("ImagePullBackOff"), "ImagePullBackOff"),
            (waiting("CrashLoopBackOff"), "CrashLoopBackOff"),
            (waiting("ContainerCreating"), "Pending"),
            (json!({}), "Pending"),
        ] {
            assert_eq!(reason(&status).as_deref(), Some(expected), "{status}");
        }
    }

    #[test]
    fn a_pod_that_was_killed_for_its_memory_says_so() {
        let status = json!({"containerStatuses": [{
            "name": "phlare", "image": "i", "imageID": "", "ready": false, "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
        }]});
        let message = trouble(&pod(&status)).unwrap().message;
        assert!(message.contains("more memory than its limit"), "{message}");
    }
}
