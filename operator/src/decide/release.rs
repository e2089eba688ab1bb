//! Whether a release goes on, stops, or is taken back.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use phlare_operator_api::{OnFailure, ROLLOUT, Rejected, RolloutState, RolloutStatus, UNDONE};

use super::health::Held;
use crate::trouble::Trouble;

/// What somebody wants of the release that the resource asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Tried again although it did not work; it is not taken back again.
    Retry,
    /// Taken back although nothing is wrong with it.
    Undo,
}

impl Wish {
    /// What an annotation says of a release. Those of other releases are over.
    #[must_use]
    pub fn of(annotation: &str, release: &str) -> Option<Self> {
        let (verb, of) = annotation.trim().split_once(' ')?;
        match (verb, of.trim() == release) {
            ("retry", true) => Some(Self::Retry),
            ("undo", true) => Some(Self::Undo),
            _ => None,
        }
    }
}

/// A release that has not reached all pods, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// Hash of the release that the resource asks for.
    pub target: &'a str,
    /// Whether there is an earlier one that all pods ran.
    pub has_earlier: bool,
    /// What was decided before.
    pub rejected: Option<&'a Rejected>,
    /// What somebody wants.
    pub wish: Option<Wish>,
    /// What becomes of releases that don't work.
    pub on_failure: OnFailure,
    /// How long a step may take.
    pub deadline: Duration,
    /// How far it was said to be.
    pub rollout: Option<&'a RolloutStatus>,
    /// The workload that is waited for, if it has the release and the release changes it.
    pub step: Option<&'a str>,
    /// Whether a pod that the release made is on a node, stays there, and is not ready: neither a lost node nor a lack of
    /// nodes says anything about a release.
    pub is_broken: bool,
    /// What is wrong with a pod that the release made.
    pub sick: Option<&'a Trouble>,
    /// Why a workload that has the release proves nothing although its pods are ready.
    pub held: Option<&'a Held>,
    /// Whether pods without the release have as many errors; None if that is not known yet.
    pub others_fail: Option<bool>,
    /// The time.
    pub now: Timestamp,
}

/// What becomes of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Course {
    /// It goes on.
    Forward,
    /// It goes no further; what is wrong with it.
    Halted(Trouble),
    /// From now on it counts as one that does not work. This has to be written down before anything else is done.
    Reject(Rejected),
    /// Pods run the earlier one again.
    Back(Rejected),
}

/// What becomes of a release.
#[must_use]
pub fn course(situation: &Situation<'_>) -> Course {
    let Situation { target, wish, .. } = *situation;
    if wish == Some(Wish::Undo) && situation.has_earlier {
        return Course::Back(Rejected {
            release: target.to_owned(),
            reason: UNDONE.to_owned(),
            message: format!("the annotation {ROLLOUT} asks for it"),
        });
    }
    let may_go_back = wish != Some(Wish::Retry) && situation.has_earlier;
    // What somebody asked for holds as long as it is asked for.
    let stands = |it: &&Rejected| it.release == target && it.reason != UNDONE;
    let rejected = situation.rejected.filter(stands);
    if let Some(rejected) = rejected.filter(|_| may_go_back) {
        return Course::Back(rejected.clone());
    }
    let Some((reason, message)) = failure(situation) else {
        return Course::Forward;
    };
    let tells_on_it = match (reason, situation.held) {
        (UNHEALTHY, _) => situation.others_fail == Some(false),
        (_, Some(Held::Inactive(..))) => true,
        _ => situation.is_broken || AT_ONCE.contains(&reason),
    };
    if may_go_back && tells_on_it && situation.on_failure == OnFailure::Rollback {
        return Course::Reject(Rejected {
            release: target.to_owned(),
            reason: reason.to_owned(),
            message: message.chars().take(600).collect(),
        });
    }
    Course::Halted((reason, message))
}

/// Too many requests fail.
const UNHEALTHY: &str = "HealthGateFailed";

/// What shows it without waiting for the deadline.
const AT_ONCE: [&str; 3] = ["ImagePullError", "ContainerConfigError", "CrashLoop"];

/// What shows that a release does not work.
fn failure(situation: &Situation<'_>) -> Option<Trouble> {
    if let Some(sick) = situation
        .sick
        .filter(|(reason, _)| AT_ONCE.contains(reason))
    {
        return Some(sick.clone());
    }
    if let Some(held @ Held::Failing(_)) = situation.held {
        return Some((UNHEALTHY, held.to_string()));
    }
    // What was begun for another release, or for the way back, or while pods soak, is not the beginning of this step.
    let counts = |rollout: &&RolloutStatus| {
        let waits = matches!(
            rollout.state,
            RolloutState::Canary | RolloutState::RollingOut | RolloutState::Halted
        );
        waits && rollout.release == situation.target
    };
    let rollout = situation.rollout.filter(counts)?;
    let step = situation.step.filter(|step| rollout.step == **step)?;
    let took = situation.now.duration_since(rollout.since.0);
    if Duration::try_from(took).unwrap_or_default() < situation.deadline {
        return None;
    }
    let seconds = situation.deadline.as_secs();
    let why = situation
        .sick
        .map(|(_, message)| message.clone())
        .or_else(|| situation.held.map(ToString::to_string))
        .map(|why| format!(": {why}"))
        .unwrap_or_default();
    Some((
        "ProgressDeadlineExceeded",
        format!("{step} did not get ready with it within {seconds} s{why}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn well() -> Situation<'static> {
        Situation {
            target: "new",
            has_earlier: true,
            rejected: None,
            wish: None,
            on_failure: OnFailure::Rollback,
            deadline: Duration::from_secs(600),
            rollout: None,
            step: Some("prod-ingester-a"),
            is_broken: true,
            sick: None,
            held: None,
            others_fail: None,
            now: at(1_000),
        }
    }

    fn since(step: &str, second: i64) -> RolloutStatus {
        RolloutStatus {
            release: "new".to_owned(),
            state: RolloutState::RollingOut,
            step: step.to_owned(),
            since: Time(at(second)),
        }
    }

    fn crash() -> Trouble {
        ("CrashLoop", "pod x ends again and again".to_owned())
    }

    fn rejected(release: &str) -> Rejected {
        Rejected {
            release: release.to_owned(),
            reason: "CrashLoop".to_owned(),
            message: "pod x ends again and again".to_owned(),
        }
    }

    #[test]
    fn a_release_whose_pods_crash_is_rejected_first_and_then_taken_back() {
        let crash = crash();
        let mut situation = well();
        situation.sick = Some(&crash);
        let decided = course(&situation);
        assert_eq!(decided, Course::Reject(rejected("new")));
        let written = rejected("new");
        situation.rejected = Some(&written);
        situation.sick = None;
        assert_eq!(course(&situation), Course::Back(rejected("new")));
    }

    #[test]
    fn another_release_is_another_try() {
        let before = rejected("old");
        let mut situation = well();
        situation.rejected = Some(&before);
        assert_eq!(course(&situation), Course::Forward);
    }

    #[test]
    fn it_halts_where_nobody_wants_it_back_or_there_is_nothing_to_go_back_to() {
        let crash = crash();
        let mut halt = well();
        halt.sick = Some(&crash);
        halt.on_failure = OnFailure::Halt;
        assert_eq!(course(&halt), Course::Halted(crash.clone()));
        let mut first = well();
        first.sick = Some(&crash);
        first.has_earlier = false;
        assert_eq!(course(&first), Course::Halted(crash.clone()));
    }

    #[test]
    fn a_step_has_until_its_deadline() {
        let begun = since("prod-ingester-a", 500);
        let mut situation = well();
        situation.rollout = Some(&begun);
        situation.now = at(1_099);
        assert_eq!(course(&situation), Course::Forward);
        situation.now = at(1_100);
        assert!(matches!(course(&situation), Course::Reject(it)
            if it.reason == "ProgressDeadlineExceeded" && it.message.contains("within 600 s")));
        // Another step has begun since, or what is waited for is none of the release's.
        situation.step = Some("prod-ingester-b");
        assert_eq!(course(&situation), Course::Forward);
        situation.step = None;
        assert_eq!(course(&situation), Course::Forward);
    }

    #[test]
    fn a_deadline_that_is_missed_for_want_of_nodes_halts_and_takes_nothing_back() {
        let pending = ("Unschedulable", "pod x finds no node".to_owned());
        let begun = since("prod-ingester-a", 500);
        let mut situation = well();
        situation.rollout = Some(&begun);
        situation.sick = Some(&pending);
        situation.is_broken = false;
        assert_eq!(course(&situation), Course::Forward);
        situation.now = at(5_000);
        assert!(
            matches!(course(&situation), Course::Halted((_, why)) if why.contains("finds no node"))
        );
    }

    #[test]
    fn what_was_begun_for_another_release_or_while_soaking_is_no_beginning() {
        let mut begun = since("prod-ingester-a", 0);
        begun.release = "old".to_owned();
        let mut situation = well();
        situation.rollout = Some(&begun);
        situation.now = at(5_000);
        assert_eq!(course(&situation), Course::Forward);
        for state in [RolloutState::RollingBack, RolloutState::Soaking] {
            let mut begun = since("prod-ingester-a", 0);
            begun.state = state;
            let situation = Situation {
                rollout: Some(&begun),
                ..situation
            };
            assert_eq!(course(&situation), Course::Forward);
        }
    }

    #[test]
    fn errors_take_a_release_back_if_others_have_none_and_halt_it_otherwise() {
        let failing = Held::Failing("more than 5 %".to_owned());
        let mut situation = well();
        situation.held = Some(&failing);
        // No pod is broken: all are ready.
        situation.is_broken = false;
        for (others_fail, is_back) in [(None, false), (Some(true), false), (Some(false), true)] {
            situation.others_fail = others_fail;
            let decided = course(&situation);
            match is_back {
                true => assert!(
                    matches!(&decided, Course::Reject(it) if it.reason == "HealthGateFailed")
                ),
                false => assert!(
                    matches!(&decided, Course::Halted((reason, _)) if *reason == "HealthGateFailed")
                ),
            }
        }
        situation.on_failure = OnFailure::Halt;
        assert!(matches!(course(&situation), Course::Halted(_)));
    }

    #[test]
    fn what_the_ring_shows_counts_at_the_deadline() {
        let begun = since("prod-ingester-a", 500);
        let inactive = Held::Inactive("prod-ingester-a-0".to_owned(), "JOINING".to_owned());
        let unseen = Held::Unseen("none is ready".to_owned());
        let mut situation = well();
        situation.is_broken = false;
        situation.rollout = Some(&begun);
        for held in [&inactive, &unseen] {
            situation.held = Some(held);
            situation.now = at(1_099);
            assert_eq!(course(&situation), Course::Forward);
        }
        situation.now = at(1_100);
        assert!(
            matches!(course(&situation), Course::Halted((_, why)) if why.contains("ringActive"))
        );
        situation.held = Some(&inactive);
        assert!(matches!(course(&situation), Course::Reject(it)
            if it.reason == "ProgressDeadlineExceeded" && it.message.contains("shows pod prod-ingester-a-0 as JOINING")));
    }

    #[test]
    fn somebody_may_ask_for_another_try_or_for_the_way_back() {
        let before = rejected("new");
        let crash = crash();
        let mut retry = well();
        retry.rejected = Some(&before);
        retry.wish = Wish::of("retry new", "new");
        assert_eq!(course(&retry), Course::Forward);
        retry.sick = Some(&crash);
        assert_eq!(course(&retry), Course::Halted(crash.clone()));
        let mut undo = well();
        undo.wish = Wish::of("undo new", "new");
        let Course::Back(undone) = course(&undo) else {
            unreachable!("it is undone");
        };
        // When the wish is gone, so is what it did.
        let mut again = well();
        again.rejected = Some(&undone);
        assert_eq!(course(&again), Course::Forward);
        for other in ["undo old", "undo", "", "redo new"] {
            assert_eq!(Wish::of(other, "new"), None, "{other:?}");
        }
    }
}
