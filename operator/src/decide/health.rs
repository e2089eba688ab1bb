//! What follows from what pods say: whether a release may go on, how the ring is, whether the object store answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use phlare_operator_api::{ErrorRatio, InactiveMember, RingState};

use crate::health::{Answer, Member, Readiness, Traffic};

/// Members that are named at most.
const NAMED: usize = 16;
/// Longest name and state of a member that are passed on: the definition takes no longer ones.
const NAME: usize = 253;
const STATE: usize = 32;

/// Why a workload does not count as done with a release although its pods are ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// A pod is not active in the ring: the pod, and what the ring shows.
    Inactive(String, String),
    /// No pod shows the ring: why not.
    Unseen(String),
    /// Too many requests fail: how many.
    Failing(String),
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inactive(pod, state) => {
                write!(f, "the ring of ingesters shows pod {pod} as {state}")
            }
            Self::Unseen(why) => write!(
                f,
                "no pod shows the ring of ingesters to the operator ({why}); if it can't reach pods, set \
                 spec.rollout.healthGates.ringActive to false"
            ),
            Self::Failing(how_many) => f.write_str(how_many),
        }
    }
}

/// Each member's state: `ACTIVE` if all pods that answered see it so, else what the first sees that does not.
fn members(rings: &[Answer<Vec<Member>>]) -> Option<BTreeMap<&str, &str>> {
    let answers = rings.iter().filter_map(|(_, answer)| answer.as_ref().ok());
    let answers: Vec<_> = answers.collect();
    if answers.is_empty() {
        return None;
    }
    let ids: BTreeSet<&str> = answers
        .iter()
        .flat_map(|ring| ring.iter().map(|member| member.id.as_str()))
        .collect();
    let state = |id: &str| {
        let seen = answers
            .iter()
            .map(|ring| match ring.iter().find(|member| member.id == id) {
                None => "UNKNOWN",
                Some(member) if !member.healthy => "UNHEALTHY",
                Some(member) => member.state.as_str(),
            });
        let mut others = seen.filter(|state| *state != "ACTIVE");
        others.next().unwrap_or("ACTIVE")
    };
    Some(ids.into_iter().map(|id| (id, state(id))).collect())
}

/// The ring in short; None if nobody shows it.
#[must_use]
pub fn ring(rings: &[Answer<Vec<Member>>]) -> Option<RingState> {
    let members = members(rings)?;
    let mut inactive: Vec<_> = members
        .iter()
        .filter(|(_, state)| **state != "ACTIVE")
        .map(|(name, state)| InactiveMember {
            name: name.chars().take(NAME).collect(),
            state: state.chars().take(STATE).collect(),
        })
        .collect();
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let active = count(members.len() - inactive.len());
    // Names that were cut may be equal, and lists by name have none twice.
    inactive.dedup_by(|one, other| one.name == other.name);
    inactive.truncate(NAMED);
    Some(RingState {
        members: count(members.len()),
        active,
        inactive,
    })
}

/// Why ingesters that have a release are not done with it: the first of these pods that is not active.
#[must_use]
pub fn ring_gate<'a>(
    pods: impl IntoIterator<Item = &'a str>,
    rings: &[Answer<Vec<Member>>],
) -> Option<Held> {
    let mut pods = pods.into_iter();
    let Some(members) = members(rings) else {
        pods.next()?;
        let why = rings.iter().find_map(|(pod, answer)| {
            let why = answer.as_ref().err()?;
            Some(format!("{pod}: {why}"))
        });
        let why = why.unwrap_or_else(|| "none is ready".to_owned());
        return Some(Held::Unseen(why));
    };
    pods.find_map(|pod| match members.get(pod).copied() {
        Some("ACTIVE") => None,
        Some(state) => Some(Held::Inactive(pod.to_owned(), state.to_owned())),
        None => Some(Held::Inactive(pod.to_owned(), "no member".to_owned())),
    })
}

/// Whether these requests are enough to say something, and too many of them failed.
fn fails(traffic: Traffic, rules: &ErrorRatio) -> bool {
    let least = u64::try_from(rules.min_requests).unwrap_or_default();
    let percent = u128::try_from(rules.max_percent).unwrap_or_default();
    rules.enabled
        && traffic.requests >= least.max(1)
        && u128::from(traffic.failures) * 100 > u128::from(traffic.requests) * percent
}

/// Why a component that has a release is not done with it: what its pods with the release have answered so far, together.
/// The message names no figure that moves with each request.
#[must_use]
pub fn error_gate(component: &str, traffic: Traffic, rules: &ErrorRatio) -> Option<Held> {
    let most = rules.max_percent;
    fails(traffic, rules).then(|| {
        Held::Failing(format!(
            "pods of {component} with it answer more than {most} % of their requests with errors of their own \
             (spec.rollout.healthGates.errorRatio)"
        ))
    })
}

/// Whether pods that lack the release fail just as well, so that it says nothing about the release; None if they were
/// asked for the first time.
#[must_use]
pub fn others_fail(
    now: &BTreeMap<String, Traffic>,
    before: Option<&BTreeMap<String, Traffic>>,
    rules: &ErrorRatio,
) -> Option<bool> {
    let before = before?;
    let lately = now.iter().map(|(pod, traffic)| {
        let earlier = before.get(pod).copied();
        traffic.since(earlier.unwrap_or(*traffic))
    });
    Some(fails(lately.fold(Traffic::default(), Traffic::and), rules))
}

/// Whether the object store answers: what `StorageReachable` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reachable {
    /// None if nobody says.
    pub status: Option<bool>,
    /// One word.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// Components whose trouble is the object store's.
const STORAGE: [&str; 2] = ["store-gateway", "ingester"];

/// Whether the object store answers, by what its users say. `before` is what was said last: its words stay as long as only
/// times and numbers of requests in them would change.
#[must_use]
pub fn storage(said: &[Answer<Readiness>], before: Option<&Condition>) -> Reachable {
    let answers = || {
        let heard = said.iter();
        heard.filter_map(|(pod, answer)| Some((pod, answer.as_ref().ok()?)))
    };
    let trouble = answers().find_map(|(pod, readiness)| {
        let mut warnings = readiness.warnings.iter();
        let found = warnings.find(|warning| STORAGE.contains(&warning.name.as_str()))?;
        Some(format!("pod {pod}, {}: {}", found.name, found.reason))
    });
    if let Some(message) = trouble {
        let reason = "Failing";
        let same =
            before.filter(|old| old.reason == reason && gist(&old.message) == gist(&message));
        return Reachable {
            status: Some(false),
            reason,
            message: same.map_or(message, |old| old.message.clone()),
        };
    }
    let has_listed = answers().any(|(_, readiness)| {
        let mut checks = readiness.checks.iter();
        checks.any(|check| check.name == "store-gateway" && check.ready)
    });
    if has_listed {
        return Reachable {
            status: Some(true),
            reason: "Verified",
            message: "store-gateways list the object store, and ingesters have no trouble with it"
                .to_owned(),
        };
    }
    Reachable {
        status: None,
        reason: "NotChecked",
        message: "no pod has said yet whether the object store answers".to_owned(),
    }
}

/// The words of a message without those that have digits: times, sizes, numbers of requests.
fn gist(message: &str) -> Vec<&str> {
    let words = message.split_whitespace();
    words
        .filter(|word| !word.contains(|letter: char| letter.is_ascii_digit()))
        .collect()
}

#[cfg(test)]
mod tests;
