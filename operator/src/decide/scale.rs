//! How many pods a workload may have now.
//!
//! More is easy. Fewer is easy for those that hold nothing. An ingester goes only after it has said itself that all it
//! held is in the object store; one at a time in the whole cluster, the highest ordinal of the zone that has most.

use std::fmt;

use crate::part::Part;

/// A workload whose number of pods is the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scaled {
    /// Its name.
    pub name: String,
    /// What its pods run.
    pub part: Part,
    /// Pods that it should have.
    pub wanted: i32,
    /// Pods that it is told to have; None if it is not there.
    pub replicas: Option<i32>,
    /// Pods that are ready.
    pub ready: i32,
}

/// What is done next with a number of pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Tell the workload to have so many.
    Set(i32),
    /// Ask its last pod to bring everything into the object store; when it has, `Set` one less.
    Drain(i32),
    /// Not now.
    Hold(Hold),
}

/// Why pods stay for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Another one is being drained.
    Turn(String),
    /// Pods are away that hold what this one holds.
    Unready(String),
    /// A release is on its way.
    Rollout,
    /// Profiles are on the pods' volumes only.
    NoObjectStore,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Turn(name) => write!(f, "waits until {name} has lost its pod"),
            Self::Unready(name) => write!(f, "waits until all pods of {name} are ready"),
            Self::Rollout => f.write_str("waits until the release has reached all pods"),
            Self::NoObjectStore => f.write_str(
                "can't have fewer pods: with storage type Filesystem profiles are on their volumes only",
            ),
        }
    }
}

/// The next step for each workload that does not have the pods that it should have.
#[must_use]
pub fn steps(all: &[Scaled], rolling_out: bool, object_store: bool) -> Vec<(String, Step)> {
    let mut steps = Vec::new();
    let victim = victim(all);
    for workload in all {
        let Some(replicas) = workload.replicas else {
            steps.push((workload.name.clone(), Step::Set(workload.wanted)));
            continue;
        };
        if workload.wanted == replicas {
            continue;
        }
        let fewer = workload.wanted < replicas;
        let step = if !fewer || !workload.part.holds_profiles() {
            Step::Set(workload.wanted)
        } else if !object_store {
            Step::Hold(Hold::NoObjectStore)
        } else if rolling_out {
            Step::Hold(Hold::Rollout)
        } else if let Some(unready) = all.iter().find(|other| is_short(other)) {
            Step::Hold(Hold::Unready(unready.name.clone()))
        } else {
            match victim {
                Some(victim) if victim.name == workload.name => Step::Drain(replicas - 1),
                Some(victim) => Step::Hold(Hold::Turn(victim.name.clone())),
                None => continue,
            }
        };
        steps.push((workload.name.clone(), step));
    }
    steps
}

/// Of the pods that were once asked to prepare for their end, those that stay after all and are to take profiles again.
/// `victim` is the pod that is being drained now. A pod above the number that its workload is told to have is on its way
/// out, even if it is still there.
#[must_use]
pub fn resumed<'a>(draining: &'a [String], all: &[Scaled], victim: Option<&str>) -> Vec<&'a str> {
    let stays = |pod: &str| {
        let Some((name, ordinal)) = pod.rsplit_once('-') else {
            return false;
        };
        let Ok(ordinal) = ordinal.parse::<i32>() else {
            return false;
        };
        let workload = all.iter().find(|workload| workload.name == name);
        workload.is_some_and(|workload| {
            let told = workload.replicas.unwrap_or_default();
            ordinal < told && ordinal < workload.wanted
        })
    };
    let pods = draining.iter().map(String::as_str);
    pods.filter(|pod| Some(*pod) != victim && stays(pod))
        .collect()
}

/// Whether pods are away that hold profiles.
fn is_short(workload: &Scaled) -> bool {
    let replicas = workload.replicas.unwrap_or_default();
    workload.part.holds_profiles() && workload.ready < replicas
}

/// The workload that loses a pod next: the one with most, of several the last.
fn victim(all: &[Scaled]) -> Option<&Scaled> {
    let shrinking = |workload: &&Scaled| {
        workload.part.holds_profiles()
            && workload
                .replicas
                .is_some_and(|replicas| workload.wanted < replicas)
    };
    all.iter()
        .filter(shrinking)
        .max_by_key(|workload| workload.replicas)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str, replicas: i32, wanted: i32) -> Scaled {
        Scaled {
            name: name.to_owned(),
            part: Part::Ingester,
            wanted,
            replicas: Some(replicas),
            ready: replicas,
        }
    }

    #[test]
    fn nine_become_six_one_by_one_and_zone_by_zone() {
        let mut zones = [zone("a", 3, 2), zone("b", 3, 2), zone("c", 3, 2)];
        let mut order = Vec::new();
        loop {
            let drained: Vec<_> = steps(&zones, false, true)
                .into_iter()
                .filter_map(|(name, step)| match step {
                    Step::Drain(left) => Some((name, left)),
                    _ => None,
                })
                .collect();
            let Some((name, left)) = drained.first().cloned() else {
                break;
            };
            assert_eq!(drained.len(), 1, "one at a time");
            let zone = zones.iter_mut().find(|zone| zone.name == name).unwrap();
            (zone.replicas, zone.ready) = (Some(left), left);
            order.push((name, left));
        }
        let order: Vec<_> = order
            .iter()
            .map(|(name, left)| (name.as_str(), *left))
            .collect();
        assert_eq!(order, [("c", 2), ("b", 2), ("a", 2)]);
    }

    #[test]
    fn nobody_goes_while_a_pod_is_away_or_a_release_on_its_way() {
        let mut zones = [zone("a", 3, 2), zone("b", 3, 3)];
        zones[1].ready = 2;
        let held = |hold| vec![("a".to_owned(), Step::Hold(hold))];
        assert_eq!(
            steps(&zones, false, true),
            held(Hold::Unready("b".to_owned()))
        );
        zones[1].ready = 3;
        assert_eq!(steps(&zones, true, true), held(Hold::Rollout));
        assert_eq!(steps(&zones, false, false), held(Hold::NoObjectStore));
    }

    #[test]
    fn only_pods_that_stay_take_profiles_again() {
        let draining = ["a-2".to_owned(), "b-2".to_owned(), "other-0".to_owned()];
        // Being drained now: left alone.
        let all = [zone("a", 3, 2), zone("b", 3, 3)];
        assert_eq!(resumed(&draining, &all, Some("a-2")), ["b-2"]);
        // The workload was told to have two: the third may still be there, and goes.
        let all = [zone("a", 2, 2), zone("b", 2, 3)];
        assert_eq!(resumed(&draining, &all, None), Vec::<&str>::new());
        // Somebody wants three again, and it is back.
        let all = [zone("a", 3, 3), zone("b", 2, 2)];
        assert_eq!(resumed(&draining, &all, None), ["a-2"]);
    }

    #[test]
    fn more_pods_and_pods_without_profiles_need_no_care() {
        let mut querier = zone("q", 5, 2);
        querier.part = Part::Querier;
        let all = [zone("a", 2, 3), querier];
        let set = |name: &str, replicas| (name.to_owned(), Step::Set(replicas));
        assert_eq!(steps(&all, true, false), [set("a", 3), set("q", 2)]);
    }
}
