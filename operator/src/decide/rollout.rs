//! Which workloads may get a new template now.
//!
//! A release reaches one workload after the other, and the next one only when everything before it is up to date and
//! ready, for as long as it is to soak. So a release that does not work stops at the first workload that it breaks, a pod
//! that comes back in a zone that is not yet due comes back as it was, and nothing has to be remembered: the hash that
//! each workload carries says how far it is.
//!
//! Before all that, canaries get it: the workload that has some gets the template for its last pods only (the partition
//! of a StatefulSet), and for all when its turn comes.

use std::fmt;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::part::Part;

/// A workload, as it is and as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its name.
    pub name: String,
    /// What its pods run.
    pub part: Part,
    /// Hash of the template that it should have.
    pub release: String,
    /// Pods of it that get a template before all others: none if 0.
    pub canaries: i32,
    /// How long all its pods must have been ready before others get the release.
    pub soak: Duration,
    /// As it is; None if it is not there.
    pub live: Option<Live>,
}

/// A workload as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Hash of its template.
    pub release: String,
    /// Whether its status is about the template that it has.
    pub observed: bool,
    /// Pods that it should have.
    pub replicas: i32,
    /// Pods that there are.
    pub pods: i32,
    /// Pods that are ready. Counted against `replicas`, never against the pods that happen to be there.
    pub ready: i32,
    /// Pods made from its template.
    pub updated: i32,
    /// Pods that keep the template before this one: those with ordinals below it.
    pub partition: i32,
    /// When the last of its pods became ready.
    pub since: Option<Timestamp>,
}

impl Live {
    /// Whether all pods are there, ready, and made from the template if they are to be. Pods of an older template that
    /// are still there may be those that are ready.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.observed
            && self.pods <= self.replicas
            && self.ready >= self.replicas
            && self.updated >= self.replicas - self.partition
    }

    /// Until when it has to soak.
    fn soaks(&self, soak: Duration, now: Timestamp) -> bool {
        let Some(since) = self.since else {
            return false;
        };
        let past = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        past < soak
    }
}

/// What may be done with a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be made to what it should be; pods with ordinals below the partition stay as they are.
    Apply {
        /// 0 is all pods.
        partition: i32,
    },
    /// Its template stays for now.
    Wait(Reason),
}

/// Why a workload waits for its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An earlier one has not got the release yet.
    Turn(String),
    /// An earlier one, or another zone, is not complete.
    Incomplete(String),
    /// An earlier one is complete, and has to stay so for a while.
    Soaks(String),
}

impl Reason {
    /// The workload that is waited for.
    #[must_use]
    pub fn step(&self) -> &str {
        match self {
            Self::Turn(name) | Self::Incomplete(name) | Self::Soaks(name) => name,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Turn(name) => write!(f, "waits for {name}, which gets the release first"),
            Self::Incomplete(name) => write!(f, "waits until all pods of {name} are ready"),
            Self::Soaks(name) => {
                write!(
                    f,
                    "waits until all pods of {name} have been ready for a while"
                )
            }
        }
    }
}

const ALL: Verdict = Verdict::Apply { partition: 0 };

/// A verdict for each workload; they are given in the order in which releases reach them.
#[must_use]
pub fn verdicts(views: &[View], now: Timestamp) -> Vec<Verdict> {
    if let Some(canary) = views.iter().position(|view| needs_canary(view, now)) {
        return canary_first(views, canary, now);
    }
    let mut before: Option<Reason> = None;
    let mut verdicts = Vec::with_capacity(views.len());
    for view in views {
        let Some(live) = &view.live else {
            // Nobody runs on it yet, so nobody is disturbed.
            verdicts.push(ALL);
            continue;
        };
        let has_it = live.release == view.release;
        if has_it && live.partition == 0 {
            verdicts.push(ALL);
            before = before.or_else(|| unsettled(view, live, now));
            continue;
        }
        let reason = before.clone().or_else(|| sick_sibling(view, views));
        verdicts.push(match reason {
            None => ALL,
            // Canaries stay until the others get what they have.
            Some(_) if has_it => Verdict::Apply {
                partition: live.partition,
            },
            Some(reason) => Verdict::Wait(reason),
        });
        before = before.or_else(|| Some(Reason::Turn(view.name.clone())));
    }
    verdicts
}

/// Why those that come after a workload that has the release have to wait.
fn unsettled(view: &View, live: &Live, now: Timestamp) -> Option<Reason> {
    if !live.is_complete() {
        Some(Reason::Incomplete(view.name.clone()))
    } else if live.soaks(view.soak, now) {
        Some(Reason::Soaks(view.name.clone()))
    } else {
        None
    }
}

/// Whether a workload's canaries have not proved yet that the release works.
fn needs_canary(view: &View, now: Timestamp) -> bool {
    let Some(live) = &view.live else {
        return false;
    };
    if view.canaries == 0 || live.replicas == 0 {
        return false;
    }
    let has_it = live.release == view.release;
    match has_it {
        true => live.partition > 0 && unsettled(view, live, now).is_some(),
        false => true,
    }
}

/// Only the canaries of one workload get the release, after the workloads before it that are there for nothing else. It is
/// begun while all pods are well.
fn canary_first(views: &[View], canary: usize, now: Timestamp) -> Vec<Verdict> {
    let first = |index: usize, view: &View| index <= canary && view.part == Part::QuerierCanary;
    let mut before: Option<Reason> = None;
    let mut verdicts = Vec::with_capacity(views.len());
    for (index, view) in views.iter().enumerate() {
        let Some(live) = &view.live else {
            verdicts.push(ALL);
            continue;
        };
        let has_it = live.release == view.release;
        if index != canary && !first(index, view) {
            let turn = Reason::Turn(views[canary].name.clone());
            verdicts.push(match has_it {
                true => Verdict::Apply {
                    partition: live.partition,
                },
                false => Verdict::Wait(before.clone().unwrap_or(turn)),
            });
            continue;
        }
        let partition = match first(index, view) {
            true => 0,
            false => (live.replicas - view.canaries).max(0),
        };
        if has_it {
            verdicts.push(Verdict::Apply { partition });
            before = before.or_else(|| unsettled(view, live, now));
            continue;
        }
        let reason = before.clone().or_else(|| sick_sibling(view, views));
        verdicts.push(match reason {
            None => Verdict::Apply { partition },
            Some(reason) => Verdict::Wait(reason),
        });
        before = before.or_else(|| Some(Reason::Turn(view.name.clone())));
    }
    verdicts
}

/// Another zone of the same component in which pods are away: with one more, two zones would be.
fn sick_sibling(view: &View, views: &[View]) -> Option<Reason> {
    let others = views.iter();
    let mut others = others.filter(|other| other.part == view.part && other.name != view.name);
    let sick = others.find(|other| match &other.live {
        Some(live) => live.ready < live.replicas,
        None => false,
    })?;
    Some(Reason::Incomplete(sick.name.clone()))
}

/// Whether every workload is what it should be, and complete.
#[must_use]
pub fn is_done(views: &[View]) -> bool {
    unfinished(views).next().is_none()
}

/// The workloads that are not yet what they should be.
pub fn unfinished(views: &[View]) -> impl Iterator<Item = &View> {
    views.iter().filter(|view| match &view.live {
        Some(live) => live.release != view.release || live.partition != 0 || !live.is_complete(),
        None => true,
    })
}

/// What a release waits for: the first reason of all that wait, or else the first workload that is not complete.
#[must_use]
pub fn waits_for(views: &[View], verdicts: &[Verdict]) -> Option<Reason> {
    let reasons = verdicts.iter().find_map(|verdict| match verdict {
        Verdict::Wait(reason) => Some(reason.clone()),
        Verdict::Apply { .. } => None,
    });
    let incomplete = || unfinished(views).next();
    reasons.or_else(|| Some(Reason::Incomplete(incomplete()?.name.clone())))
}

/// Verdicts for a way back: who got the release last loses it first, and nobody soaks.
#[must_use]
pub fn verdicts_back(views: &[View], now: Timestamp) -> Vec<Verdict> {
    let mut back: Vec<View> = views.to_vec();
    back.reverse();
    for view in &mut back {
        view.canaries = 0;
        view.soak = Duration::ZERO;
    }
    let mut verdicts = verdicts(&back, now);
    verdicts.reverse();
    verdicts
}

#[cfg(test)]
mod tests;
