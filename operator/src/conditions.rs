//! Conditions: what people and tools read. Messages say what is wrong and what to do, and don't change while nothing does.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use phlare_operator_api::condition::{
    ACCEPTED, AUTOSCALING_ACTIVE, MONITORING_ACTIVE, READY, RECONCILING, STALLED,
    STORAGE_REACHABLE, UP_TO_DATE,
};
use phlare_operator_api::{AutoscalingStatus, ROLLOUT, Rejected};

use crate::decide::health::Reachable;
use crate::trouble::Trouble;

/// What the conditions are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Generation of the resource.
    pub generation: Option<i64>,
    /// Why the resource can't be carried out: a reason and a message.
    pub refused: Option<(&'static str, String)>,
    /// Whether the operator keeps its hands off.
    pub paused: bool,
    /// What is going on, if something is: a reason and a message.
    pub progress: Option<(&'static str, String)>,
    /// What does not go on without help: a reason and a message.
    pub stuck: Option<(&'static str, String)>,
    /// Workloads of which pods are not ready.
    pub unready: Vec<String>,
    /// Whether pods of another mode are still there.
    pub switching: bool,
    /// Whether every pod runs what it should run now.
    pub up_to_date: bool,
    /// Why pods are to run an earlier release than the one that the resource asks for.
    pub rejected: Option<Rejected>,
    /// Whether what Prometheus and Grafana are told is there, if something is to be: with a reason and a message.
    pub monitoring: Option<(bool, &'static str, String)>,
    /// Who decides on the number of queriers; None if the resource does.
    pub autoscaling: Option<Autoscaled>,
    /// Whether the object store answers; None if nobody was asked.
    pub storage: Option<Reachable>,
}

/// Who decides on a number of pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Autoscaled {
    /// Whether somebody does.
    pub active: bool,
    /// Who, or why nobody.
    pub reason: &'static str,
    /// The same for people.
    pub message: String,
    /// What the operator remembers if it is the one who does.
    pub state: Option<AutoscalingStatus>,
}

impl Autoscaled {
    /// Without anything to remember.
    #[must_use]
    pub const fn of(active: bool, reason: &'static str, message: String) -> Self {
        Self {
            active,
            reason,
            message,
            state: None,
        }
    }
}

/// The conditions. Those that hold already keep the time since when they do.
#[must_use]
pub fn conditions(facts: &Facts, before: &[Condition], now: Timestamp) -> Vec<Condition> {
    let mut all = Vec::new();
    let mut put = |kind: &str, status: &str, reason: &str, message: String| {
        let same = before
            .iter()
            .find(|old| old.type_ == kind && old.status == status);
        all.push(Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: shortened(message),
            observed_generation: facts.generation,
            last_transition_time: same.map_or(Time(now), |old| old.last_transition_time.clone()),
        });
    };
    let mut say = |kind: &str, status: bool, reason: &str, message: String| {
        put(kind, word(status), reason, message);
    };
    match &facts.refused {
        None => say(
            ACCEPTED,
            true,
            "Valid",
            "the resource can be carried out".to_owned(),
        ),
        Some((reason, message)) => say(ACCEPTED, false, reason, message.clone()),
    }
    let (ready, reason, message) = readiness(facts);
    say(READY, ready, reason, message);
    if let Some((reason, message)) = &facts.progress
        && !facts.paused
    {
        say(RECONCILING, true, reason, message.clone());
    }
    match (&facts.rejected, &facts.stuck) {
        (Some(rejected), stuck) => {
            let (reason, message) = taken_back(rejected, stuck.as_ref());
            say(STALLED, true, reason, message);
        }
        (None, Some((reason, message))) => say(STALLED, true, reason, message.clone()),
        (None, None) => {}
    }
    if let Some(said) = &facts.autoscaling {
        say(
            AUTOSCALING_ACTIVE,
            said.active,
            said.reason,
            said.message.clone(),
        );
    }
    match facts.up_to_date {
        _ if facts.rejected.is_some() => say(
            UP_TO_DATE,
            false,
            "RolledBack",
            "pods are to run an earlier release than the one that the resource asks for".to_owned(),
        ),
        true => say(
            UP_TO_DATE,
            true,
            "RunningDesiredRelease",
            "every pod runs what the resource says".to_owned(),
        ),
        false => say(
            UP_TO_DATE,
            false,
            "RolloutPending",
            "some pods don't run what the resource says yet".to_owned(),
        ),
    }
    if let Some((active, reason, message)) = &facts.monitoring {
        say(MONITORING_ACTIVE, *active, reason, message.clone());
    }
    if let Some(storage) = &facts.storage {
        let status = storage.status.map_or("Unknown", word);
        put(
            STORAGE_REACHABLE,
            status,
            storage.reason,
            storage.message.clone(),
        );
    }
    all
}

const fn word(status: bool) -> &'static str {
    if status { "True" } else { "False" }
}

/// That a release was taken back, and what to do.
fn taken_back(rejected: &Rejected, stuck: Option<&Trouble>) -> (&'static str, String) {
    let Rejected {
        release,
        reason,
        message,
    } = rejected;
    let what = format!("release {release} was taken back ({reason}): {message}");
    match stuck {
        None => (
            "RolledBack",
            format!(
                "{what}; correct the resource, or set its annotation {ROLLOUT} to \"retry {release}\" to try it again"
            ),
        ),
        Some((_, trouble)) => (
            "RollbackFailed",
            format!("{what}; the release before it does not get ready either: {trouble}"),
        ),
    }
}

fn readiness(facts: &Facts) -> (bool, &'static str, String) {
    if let Some((_, message)) = &facts.refused {
        return (false, "NotAccepted", message.clone());
    }
    if !facts.unready.is_empty() {
        let names = facts.unready.join(", ");
        let message = format!("pods are not ready: {names}");
        return (false, "ComponentsNotReady", message);
    }
    let reason = if facts.paused {
        "Paused"
    } else {
        "AllComponentsReady"
    };
    let message = match facts.paused {
        true => "all pods are ready; spec.paused is set, so nothing is changed",
        false => "all pods are ready",
    };
    (true, reason, message.to_owned())
}

/// Conditions have room for 32 768 characters; nobody reads so many.
fn shortened(mut message: String) -> String {
    const MOST: usize = 1_000;
    if message.len() > MOST {
        let cut = (0..=MOST).rev().find(|&at| message.is_char_boundary(at));
        message.truncate(cut.unwrap_or_default());
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn one<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
        conditions.iter().find(|condition| condition.type_ == kind)
    }

    fn well() -> Facts {
        Facts {
            generation: Some(3),
            up_to_date: true,
            ..Facts::default()
        }
    }

    #[test]
    fn all_well_is_ready_and_nothing_else() {
        let all = conditions(&well(), &[], at(5));
        assert_eq!(one(&all, READY).unwrap().status, "True");
        assert_eq!(one(&all, RECONCILING), None);
        assert_eq!(one(&all, STALLED), None);
        assert!(
            all.iter()
                .all(|condition| condition.observed_generation == Some(3))
        );
    }

    #[test]
    fn the_time_of_a_condition_moves_when_it_turns() {
        let before = conditions(&well(), &[], at(5));
        let same = conditions(&well(), &before, at(9));
        assert_eq!(one(&same, READY).unwrap().last_transition_time, Time(at(5)));
        let mut ill = well();
        ill.unready = vec!["prod-ingester-a".to_owned()];
        let turned = conditions(&ill, &same, at(12));
        let ready = one(&turned, READY).unwrap();
        assert_eq!(ready.last_transition_time, Time(at(12)));
        assert_eq!(ready.message, "pods are not ready: prod-ingester-a");
    }

    #[test]
    fn what_is_refused_is_not_ready_and_says_why() {
        let mut facts = well();
        facts.refused = Some((
            "StorageSecretMissing",
            "secret a/b does not exist".to_owned(),
        ));
        let all = conditions(&facts, &[], at(0));
        assert_eq!(one(&all, ACCEPTED).unwrap().reason, "StorageSecretMissing");
        assert_eq!(
            one(&all, READY).unwrap().message,
            "secret a/b does not exist"
        );
    }

    #[test]
    fn long_messages_are_cut() {
        let mut facts = well();
        facts.stuck = Some(("ImagePullError", "é".repeat(20_000)));
        let all = conditions(&facts, &[], at(0));
        assert!(one(&all, STALLED).unwrap().message.len() < 1_010);
    }
}
