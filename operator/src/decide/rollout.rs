//! Which workloads may get a new template now.
//!
//! A release reaches one workload after the other, and the next one only when everything before it is up to date and
//! ready, for as long as it is to soak. So a release that does not work stops at the first workload that it breaks, a pod
//! that comes back in a zone that is not yet due comes back as it was, and nothing has to be remembered: the hash that
//! each workload carries says how far it is.
//!
//! Ready is not all: ingesters that have it must be active in the ring, and requests must not fail (`health`).
//!
//! Before all that, canaries get it: the workload that has some gets the template for its last pods only (the partition
//! of a StatefulSet), and for all when its turn comes.

use std::fmt;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::health::Held;
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
    /// The same of its canaries.
    pub canary_soak: Duration,
    /// Why its pods that have the release prove nothing yet although they are ready.
    pub held: Option<Held>,
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
    /// Pods that are ready and would not be canaries.
    pub stable: i32,
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
    /// An earlier one is complete, but its pods are not well otherwise.
    Held(String, Held),
    /// An earlier one is complete, and has to stay so for a while.
    Soaks(String),
}

impl Reason {
    /// The workload that is waited for.
    #[must_use]
    pub fn step(&self) -> &str {
        match self {
            Self::Turn(name) | Self::Incomplete(name) | Self::Held(name, _) | Self::Soaks(name) => {
                name
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Turn(name) => write!(f, "waits for {name}, which gets the release first"),
            Self::Incomplete(name) => write!(f, "waits until all pods of {name} are ready"),
            Self::Held(name, held) => write!(f, "waits for {name}: {held}"),
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

/// A verdict for each workload; they are given in the order in which releases reach them, zones of a component together.
#[must_use]
pub fn verdicts(views: &[View], now: Timestamp) -> Vec<Verdict> {
    match (0..views.len()).find(|&index| needs_canary(views, index, now)) {
        Some(canary) => canary_first(views, canary, now),
        None => in_turn(views, now),
    }
}

/// Verdicts for a way back. Components don't wait for each other: what is taken back serves nobody. Of zones, the last one
/// that got the release loses it first.
#[must_use]
pub fn verdicts_back(views: &[View], now: Timestamp) -> Vec<Verdict> {
    let mut back: Vec<View> = views.to_vec();
    back.reverse();
    for view in &mut back {
        view.soak = Duration::ZERO;
        // Zones that are not well keep others from being disturbed. What is not known keeps nothing from being cured.
        view.held = view
            .held
            .take()
            .filter(|held| matches!(held, Held::Inactive(..)));
    }
    let mut verdicts = Vec::with_capacity(back.len());
    for zones in back.chunk_by(|one, next| one.part == next.part) {
        verdicts.extend(in_turn(zones, now));
    }
    verdicts.reverse();
    verdicts
}

fn in_turn(views: &[View], now: Timestamp) -> Vec<Verdict> {
    let mut before: Option<Reason> = None;
    let mut verdicts = Vec::with_capacity(views.len());
    for zones in views.chunk_by(|one, next| one.part == next.part) {
        let mut own: Option<Reason> = None;
        for view in zones {
            let Some(live) = &view.live else {
                // Nobody runs on it yet, so nobody is disturbed.
                verdicts.push(ALL);
                continue;
            };
            if live.release == view.release && live.partition == 0 {
                verdicts.push(ALL);
                own = own.or_else(|| unsettled(view, live, view.soak, now));
                continue;
            }
            let reason = before.clone().or_else(|| not_its_turn(view, zones, now));
            own = Some(match &reason {
                Some(reason) if before.is_none() => reason.clone(),
                _ => Reason::Turn(view.name.clone()),
            });
            verdicts.push(match reason {
                None => ALL,
                // Canaries stay until the others get what they have.
                Some(_) if live.release == view.release => Verdict::Apply {
                    partition: live.partition,
                },
                Some(reason) => Verdict::Wait(reason),
            });
        }
        before = before.or(own);
    }
    verdicts
}

/// Why a zone that lacks the release does not get it now. One zone is disturbed at a time. A zone in which pods are away is
/// the first to get what may cure it: it is disturbed already, and waiting for it would be waiting for ever.
fn not_its_turn(view: &View, zones: &[View], now: Timestamp) -> Option<Reason> {
    let there = || {
        zones
            .iter()
            .filter_map(|zone| Some((zone, zone.live.as_ref()?)))
    };
    let has_it = |zone: &View, live: &Live| live.release == zone.release;
    let others = there().filter(|(zone, live)| zone.name != view.name && has_it(zone, live));
    let mut unsettled = others.filter_map(|(zone, live)| unsettled(zone, live, zone.soak, now));
    if let Some(reason) = unsettled.next() {
        return Some(reason);
    }
    let lack = || there().filter(|(zone, live)| !has_it(zone, live) || live.partition > 0);
    let disturbed = lack().filter(|(_, live)| !live.is_complete());
    let sickest = disturbed.min_by_key(|(_, live)| live.ready);
    let (first, _) = sickest.or_else(|| lack().next())?;
    (first.name != view.name).then(|| Reason::Turn(first.name.clone()))
}

/// Why those that come after a workload that has the release have to wait.
fn unsettled(view: &View, live: &Live, soak: Duration, now: Timestamp) -> Option<Reason> {
    if !live.is_complete() {
        Some(Reason::Incomplete(view.name.clone()))
    } else if let Some(held) = &view.held {
        Some(Reason::Held(view.name.clone(), held.clone()))
    } else if live.soaks(soak, now) {
        Some(Reason::Soaks(view.name.clone()))
    } else {
        None
    }
}

/// Whether a workload's canaries are to prove that the release works. Canaries are no cure: where other pods are sick,
/// the release takes its usual way.
fn needs_canary(views: &[View], index: usize, now: Timestamp) -> bool {
    let view = &views[index];
    let Some(live) = &view.live else {
        return false;
    };
    if view.canaries == 0 || live.replicas == 0 {
        return false;
    }
    let lacks = |view: &View| {
        let live = view.live.as_ref();
        live.is_some_and(|live| live.release != view.release)
    };
    if lacks(view) {
        let mut siblings = views.iter().filter(|other| other.part == view.part);
        let are_well = siblings.all(|other| {
            let live = other.live.as_ref();
            other.name == view.name || live.is_none_or(Live::is_complete)
        });
        return are_well && live.stable >= live.replicas - view.canaries;
    }
    let mut earlier = views[..index].iter();
    let is_first = earlier.any(|other| other.part != Part::QuerierCanary && lacks(other));
    (live.partition > 0 || is_first) && unsettled(view, live, view.canary_soak, now).is_some()
}

/// Only the canaries of one workload get the release, after those among the queriers.
fn canary_first(views: &[View], canary: usize, now: Timestamp) -> Vec<Verdict> {
    let proves = |index: usize, view: &View| index == canary || view.part == Part::QuerierCanary;
    let mut before: Option<Reason> = None;
    let mut verdicts = Vec::with_capacity(views.len());
    for (index, view) in views.iter().enumerate() {
        let Some(live) = view.live.as_ref().filter(|_| proves(index, view)) else {
            verdicts.push(ALL);
            continue;
        };
        let (partition, soak) = match index == canary {
            true => ((live.replicas - view.canaries).max(0), view.canary_soak),
            false => (0, view.soak),
        };
        if live.release == view.release {
            verdicts.push(Verdict::Apply { partition });
            before = before.or_else(|| unsettled(view, live, soak, now));
            continue;
        }
        verdicts.push(match before.clone() {
            None => Verdict::Apply { partition },
            Some(reason) => Verdict::Wait(reason),
        });
        before = before.or_else(|| Some(Reason::Turn(view.name.clone())));
    }
    let turn = || Reason::Turn(views[canary].name.clone());
    for (index, view) in views.iter().enumerate() {
        if let Some(live) = view.live.as_ref().filter(|_| !proves(index, view)) {
            verdicts[index] = match live.release == view.release {
                true => Verdict::Apply {
                    partition: live.partition,
                },
                false => Verdict::Wait(before.clone().unwrap_or_else(turn)),
            };
        }
    }
    verdicts
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

/// What a release waits for: the first reason of all that wait, or else the first workload that is not what it should be.
#[must_use]
pub fn waits_for(views: &[View], verdicts: &[Verdict]) -> Option<Reason> {
    let reasons = verdicts.iter().find_map(|verdict| match verdict {
        Verdict::Wait(reason) => Some(reason.clone()),
        Verdict::Apply { .. } => None,
    });
    let incomplete = || {
        let view = unfinished(views).next()?;
        let live = view.live.as_ref();
        let is_well = |live: &Live| live.release == view.release && live.is_complete();
        Some(match (live.is_some_and(is_well), &view.held) {
            (true, Some(held)) => Reason::Held(view.name.clone(), held.clone()),
            (true, None) => Reason::Soaks(view.name.clone()),
            (false, _) => Reason::Incomplete(view.name.clone()),
        })
    };
    reasons.or_else(incomplete)
}

#[cfg(test)]
mod tests;
