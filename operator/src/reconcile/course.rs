//! Which release pods are to run now: the one that the resource asks for, or the one before it.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use phlare_operator_api::{PhlareCluster, Rejected};

use super::pass::views;
use crate::apply::Error;
use crate::context::Context;
use crate::decide::release::{Course, Situation, WISH, Wish, course};
use crate::decide::rollout::{self, Reason, View};
use crate::desired::{Desired, Meta, RELEASE};
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
    /// Why the release that the resource asks for is not what pods are to run.
    pub(super) back: Option<Rejected>,
    /// The release does not work, and this has to be written down before anything is done about it.
    pub(super) reject: Option<Rejected>,
    /// The release does not work and stays where it is.
    pub(super) halted: Option<Trouble>,
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
    let mut chosen = Chosen {
        kept: releases::list(&context.client, meta).await?,
        back: None,
        reject: None,
        halted: None,
        target,
        desired,
    };
    let release = cluster
        .status
        .as_ref()
        .and_then(|status| status.release.as_ref());
    let wish = cluster.annotations().get(WISH);
    let wish = wish.and_then(|wish| Wish::of(wish, &chosen.target));
    let rejected = release.and_then(|release| release.rejected.as_ref());
    let rejected = rejected.filter(|rejected| rejected.release == chosen.target);
    let has_reached_all = chosen
        .kept
        .first()
        .is_some_and(|newest| newest.release == chosen.target);
    if has_reached_all && rejected.is_none() && wish.is_none() {
        return Ok(chosen);
    }
    let earlier = earlier(context, meta, &chosen).await?;
    let changed = earlier
        .as_ref()
        .map(|earlier| earlier.changed_by(&chosen.desired));
    let sick = changed.as_ref().and_then(|changed| sick(live, changed));
    let views = views(&chosen.desired, live, &cluster.spec.rollout);
    let now = Timestamp::now();
    let step = step(&views, now, changed.as_ref());
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
        sick: sick.as_ref(),
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
        Some(known) => Ok(releases::load(&context.client, meta, known).await?),
        None => Ok(None),
    }
}

/// What is wrong with a pod that the release made. Pods that it leaves as they are say nothing about it.
fn sick(live: &Live, changed: &BTreeSet<&str>) -> Option<Trouble> {
    let made = live.pods.iter().filter(|pod| {
        let release = pod.annotations().get(RELEASE);
        release.is_some_and(|release| changed.contains(release.as_str()))
    });
    trouble::of_pods(made)
}

/// The workload that is to get ready next, if the release changes it, or if there is no release before it.
fn step(views: &[View], now: Timestamp, changed: Option<&BTreeSet<&str>>) -> Option<String> {
    let reason = rollout::waits_for(views, &rollout::verdicts(views, now))?;
    if matches!(reason, Reason::Soaks(_)) {
        return None;
    }
    let view = views.iter().find(|view| view.name == reason.step())?;
    let is_changed = changed.is_none_or(|changed| changed.contains(view.release.as_str()));
    is_changed.then(|| view.name.clone())
}
