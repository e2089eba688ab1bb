//! Volumes that are lost together with their node: what that means, and what helps.

use std::fmt;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};

use crate::trouble::Trouble;

/// Label of nodes with their name.
const HOSTNAME: &str = "kubernetes.io/hostname";

/// What is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The volume itself.
    Volume,
    /// The node on which it was.
    Node(String),
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Volume => f.write_str("which is gone"),
            Self::Node(node) => write!(f, "which was on node {node}, and that is gone"),
        }
    }
}

/// A pod that waits for a volume that does not come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The pod.
    pub pod: String,
    /// The claim of the volume.
    pub claim: String,
    /// What is gone.
    pub gone: Gone,
}

/// What else there is of what a volume held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Whether its pod holds profiles that are in no object store yet.
    pub holds_profiles: bool,
    /// In how many pods each profile is.
    pub copies: i32,
    /// Whether blocks are in an object store, not on volumes.
    pub has_object_store: bool,
    /// Whether all other pods that hold profiles are well.
    pub others_are_well: bool,
}

impl Rest {
    /// Whether nothing is lost with the volume.
    #[must_use]
    pub const fn is_enough(self) -> bool {
        let has_copies = !self.holds_profiles || (self.copies > 1 && self.others_are_well);
        self.has_object_store && has_copies
    }
}

/// Whether a pod waits for a node, and for nothing else.
#[must_use]
pub fn is_unschedulable(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| &status.conditions);
    let mut conditions = conditions.flatten();
    pod.metadata.deletion_timestamp.is_none()
        && conditions.any(|one| {
            one.type_ == "PodScheduled"
                && one.status == "False"
                && one.reason.as_deref() == Some("Unschedulable")
        })
}

/// Whether Kubernetes says of a claim that its volume is gone.
#[must_use]
pub fn is_lost(claim: &PersistentVolumeClaim) -> bool {
    let phase = claim
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    phase == Some("Lost")
}

/// The nodes on which alone a volume can be used; none if it is not bound to nodes by their names.
#[must_use]
pub fn nodes(volume: &PersistentVolume) -> Vec<&str> {
    let affinity = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.node_affinity.as_ref());
    let required = affinity.and_then(|affinity| affinity.required.as_ref());
    let Some(required) = required else {
        return Vec::new();
    };
    let mut nodes = Vec::new();
    for term in &required.node_selector_terms {
        let expressions = term.match_expressions.iter().flatten();
        let mut named = expressions.filter(|one| one.key == HOSTNAME && one.operator == "In");
        let Some(named) = named.next() else {
            // Other nodes will do, too.
            return Vec::new();
        };
        nodes.extend(named.values.iter().flatten().map(String::as_str));
    }
    nodes
}

/// What to say of it: what is gone, what of it is elsewhere, which commands help.
#[must_use]
pub fn trouble(lost: &Lost, namespace: &str, rest: Rest) -> Trouble {
    let Lost { pod, claim, gone } = lost;
    let risk = match rest {
        Rest {
            has_object_store: false,
            ..
        } => "blocks were on it alone and are lost with it",
        Rest {
            holds_profiles: false,
            ..
        } => "nothing was on it that is not in the object store",
        Rest { copies: ..=1, .. } => {
            "profiles that were not in the object store yet are lost with it"
        }
        Rest {
            others_are_well: true,
            ..
        } => "other ingesters have what it held",
        _ => "wait until the other ingesters are ready, which may be the last to have what it held",
    };
    let message = format!(
        "pod {pod} waits for its volume {claim}, {gone}; {risk}; if it does not come back, `kubectl -n {namespace} delete \
         --wait=false pvc {claim}` and `kubectl -n {namespace} delete pod {pod}` have it begin with an empty one \
         (volume.whenLost: Replace does that where nothing is lost)"
    );
    ("VolumeLost", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn volume(terms: Value) -> PersistentVolume {
        serde_json::from_value(json!({
            "metadata": {"name": "v"},
            "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}},
        }))
        .unwrap()
    }

    #[test]
    fn volumes_of_nodes_name_them() {
        let on = |key: &str, nodes: &[&str]| json!({"matchExpressions": [{"key": key, "operator": "In", "values": nodes}]});
        let local = volume(json!([on(HOSTNAME, &["a"])]));
        assert_eq!(nodes(&local), ["a"]);
        let either = volume(json!([on(HOSTNAME, &["a"]), on(HOSTNAME, &["b"])]));
        assert_eq!(nodes(&either), ["a", "b"]);
        let zone = "topology.kubernetes.io/zone";
        assert!(nodes(&volume(json!([on(zone, &["a"])]))).is_empty());
        assert!(nodes(&volume(json!([on(HOSTNAME, &["a"]), on(zone, &["z"])]))).is_empty());
        assert!(nodes(&PersistentVolume::default()).is_empty());
    }

    #[test]
    fn a_volume_is_replaced_only_if_all_that_it_held_is_elsewhere() {
        let rest = |holds_profiles, copies, has_object_store, others_are_well| Rest {
            holds_profiles,
            copies,
            has_object_store,
            others_are_well,
        };
        let table = [
            (rest(true, 3, true, true), true, "other ingesters have"),
            (rest(true, 3, true, false), false, "wait until"),
            (
                rest(true, 1, true, true),
                false,
                "not in the object store yet are lost",
            ),
            (rest(false, 3, true, false), true, "nothing was on it"),
            (rest(true, 1, false, true), false, "blocks were on it alone"),
        ];
        let lost = Lost {
            pod: "p-0".to_owned(),
            claim: "data-p-0".to_owned(),
            gone: Gone::Node("n1".to_owned()),
        };
        for (rest, is_enough, says) in table {
            assert_eq!(rest.is_enough(), is_enough, "{rest:?}");
            let (reason, message) = trouble(&lost, "obs", rest);
            assert_eq!(reason, "VolumeLost");
            for text in [says, "was on node n1", "kubectl -n obs delete pod p-0"] {
                assert!(message.contains(text), "{message}");
            }
        }
    }

    #[test]
    fn only_pods_that_find_no_node_wait_for_volumes() {
        let pod = |reason: &str| -> Pod {
            serde_json::from_value(
                json!({"metadata": {"name": "p-0"}, "status": {"conditions": [
                {"type": "PodScheduled", "status": "False", "reason": reason}]}}),
            )
            .unwrap()
        };
        assert!(is_unschedulable(&pod("Unschedulable")));
        assert!(!is_unschedulable(&pod("SchedulingGated")));
        assert!(!is_unschedulable(&Pod::default()));
    }
}
