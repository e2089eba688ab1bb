//! Which release pods are to run now: the one that the resource asks for, or the one before it.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use phlare_operator_api::{PhlareCluster, ROLLOUT, Rejected};

use super::health;
use super::views::views;
use crate::apply::Error;
use crate::context::Context;
use crate::decide::release::{Course, Situation, Wish, course};
use crate::decide::rollout::{self, Reason, Verdict, View};
use crate::desired::{Desired, Meta, RELEASE};
use crate::health::Heard;
use crate::live::Live;
use crate::releases::{self, Contents, Known};
use crate::trouble::{self, Trouble};

/// What pods are to run, and why not what the resource asks for.
#[derive(Debug)]
pub(super) struct Chosen {
    /// What should be there now.
    pub(super) desired: Desired,
    /// Hash of the release that the resource asks for.
    pub(super) target: String,
    /// Releases that all pods ran.
    pub(super) kept: Vec<Known>,
    /// Kinds that the operator may not list: its rights are those of an older one.
    pub(super) forbidden: Vec<String>,
    /// Why the release that the resource asks for is not what pods are to run.
    pub(super) back: Option<Rejected>,
    /// The release does not work, and this has to be written down before anything is done about it.
    pub(super) reject: Option<Rejected>,
    /// The release does not work and stays where it is.
    pub(super) halted: Option<Trouble>,
    /// What pods say.
    pub(super) heard: Heard,
}

impl Chosen {
    /// Whether the releases that all pods ran can be kept.
    pub(super) fn can_keep(&self) -> bool {
        !self.forbidden.iter().any(|kind| kind == releases::KIND)
    }

    /// What the operator lacks rights for, if so. All else goes on.
    pub(super) fn rights_missing(&self) -> Option<Trouble> {
        let kinds = self.forbidden.join(" and ");
        (!kinds.is_empty()).then(|| {
            let message = format!(
                "the operator may not list {kinds}: its rights are those of an older version; apply the roles of the chart \
                 that it comes with. All that does not need them goes on"
            );
            ("RightsMissing", message)
        })
    }

    /// Which workloads may get their template now.
    pub(super) fn verdicts(&self, views: &[View], now: Timestamp) -> Vec<Verdict> {
        match self.back {
            None => rollout::verdicts(views, now),
            Some(_) => rollout::verdicts_back(views, now),
        }
    }
}

/// Chooses.
pub(super) async fn choose(
    context: &Context,
    cluster: &PhlareCluster,
    meta: &Meta<'_>,
    live: &Live,
    desired: Desired,
) -> Result<Chosen, Error> {
    let target = desired.release();
    let kept = releases::list(&context.client, meta).await?;
    let mut forbidden: Vec<_> = live.forbidden.iter().cloned().collect();
    if kept.is_none() {
        forbidden.push(releases::KIND.to_owned());
    }
    let mut chosen = Chosen {
        kept: kept.unwrap_or_default(),
        forbidden,
        back: None,
        reject: None,
        halted: None,
        heard: Heard::default(),
        target,
        desired,
    };
    let release = cluster
        .status
        .as_ref()
        .and_then(|status| status.release.as_ref());
    let wish = cluster.annotations().get(ROLLOUT);
    let wish = wish.and_then(|wish| Wish::of(wish, &chosen.target));
    let rejected = release.and_then(|release| release.rejected.as_ref());
    let rejected = rejected.filter(|rejected| rejected.release == chosen.target);
    let has_reached_all = chosen
        .kept
        .first()
        .is_some_and(|newest| newest.release == chosen.target);
    if has_reached_all && rejected.is_none() && wish.is_none() {
        let questions = health::questions(live, None);
        chosen.heard = health::hear(context, cluster, &chosen.target, &questions).await;
        return Ok(chosen);
    }
    let earlier = earlier(context, meta, &chosen).await?;
    let changed = earlier
        .as_ref()
        .map(|earlier| earlier.changed_by(&chosen.desired));
    let sick = changed.as_ref().and_then(|changed| sick(live, changed));
    let rollout = &cluster.spec.rollout;
    let questions = health::questions(live, changed.as_ref());
    let heard = health::hear(context, cluster, &chosen.target, &questions).await;
    let views = views(&chosen.desired, live, &heard, &cluster.spec);
    let now = Timestamp::now();
    let step = step(&views, now, changed.as_ref());
    let held = health::of_release(&views, step.as_deref());
    let seconds = cluster.spec.rollout.progress_deadline_seconds;
    let situation = Situation {
        target: &chosen.target,
        has_earlier: earlier.is_some(),
        rejected,
        wish,
        on_failure: cluster.spec.rollout.on_failure,
        deadline: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
        rollout: cluster
            .status
            .as_ref()
            .and_then(|status| status.rollout.as_ref()),
        step: step.as_deref(),
        is_broken: changed
            .as_ref()
            .is_some_and(|changed| is_broken(live, changed)),
        sick: sick.as_ref(),
        held,
        others_fail: health::others_fail(&heard, rollout),
        now,
    };
    match course(&situation) {
        Course::Forward => {}
        Course::Halted(trouble) => chosen.halted = Some(trouble),
        Course::Reject(rejected) => chosen.reject = Some(rejected),
        Course::Back(rejected) => {
            if let Some(earlier) = earlier {
                chosen.desired = earlier.in_place_of(&chosen.desired);
                chosen.back = Some(rejected);
            }
        }
    }
    chosen.heard = heard;
    Ok(chosen)
}

/// The newest release that all pods ran and that is not the one that the resource asks for.
async fn earlier(
    context: &Context,
    meta: &Meta<'_>,
    chosen: &Chosen,
) -> Result<Option<Contents>, Error> {
    let mut others = chosen.kept.iter();
    match others.find(|known| known.release != chosen.target) {
        // One of another mode has other workloads: there is no way back to it that loses nothing.
        Some(known) => Ok(releases::load(&context.client, meta, known)
            .await?
            .filter(|contents| contents.is_like(&chosen.desired))),
        None => Ok(None),
    }
}

/// Pods that the release made. Those that it leaves as they are say nothing about it.
fn made<'a>(live: &'a Live, changed: &BTreeSet<&str>) -> impl Iterator<Item = &'a Pod> {
    live.pods.iter().filter(|pod| {
        let release = pod.annotations().get(RELEASE);
        release.is_some_and(|release| changed.contains(release.as_str()))
    })
}

/// What is wrong with a pod that the release made.
fn sick(live: &Live, changed: &BTreeSet<&str>) -> Option<Trouble> {
    trouble::of_pods(made(live, changed))
}

/// Whether a pod that the release made is on a node, stays there, and is not ready.
fn is_broken(live: &Live, changed: &BTreeSet<&str>) -> bool {
    made(live, changed).any(|pod| {
        let is = |kind: &str| {
            let status = pod.status.as_ref();
            let mut conditions = status
                .iter()
                .flat_map(|status| status.conditions.iter().flatten());
            conditions.any(|one| one.type_ == kind && one.status == "True")
        };
        pod.metadata.deletion_timestamp.is_none() && is("PodScheduled") && !is("Ready")
    })
}

/// The workload that is to get ready next, if it has the release, and if the release changes it or there is none before.
fn step(views: &[View], now: Timestamp, changed: Option<&BTreeSet<&str>>) -> Option<String> {
    let reason = rollout::waits_for(views, &rollout::verdicts(views, now))?;
    let (Reason::Incomplete(name) | Reason::Held(name, _)) = reason else {
        return None;
    };
    let view = views.iter().find(|view| view.name == name)?;
    let live = view.live.as_ref();
    let has_it = live.is_none_or(|live| live.release == view.release);
    let is_changed = changed.is_none_or(|changed| changed.contains(view.release.as_str()));
    (has_it && is_changed).then_some(name)
}
