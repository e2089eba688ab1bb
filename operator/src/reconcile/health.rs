//! Who of the pods is asked how all is, and what that means for a release.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use phlare_operator_api::{PhlareCluster, Rollout};

use crate::context::Context;
use crate::decide::health::{self, Held};
use crate::decide::rollout::View;
use crate::desired::{RELEASE, Workload, ZONE};
use crate::health::{Heard, Questions, Traffic};
use crate::live::{self, Live};
use crate::part::Part;

/// Pods that are asked for the ring.
const RINGS: usize = 3;
/// Pods of one workload that are asked how many of their requests fail, and of all together.
const OF_A_WORKLOAD: usize = 4;
const OF_ALL: usize = 24;
/// Pods without the release that are asked the same.
const OTHERS: usize = 6;

/// Asks.
pub(super) async fn hear(
    context: &Context,
    cluster: &PhlareCluster,
    release: &str,
    questions: &Questions,
) -> Heard {
    let uid = cluster.uid().unwrap_or_default();
    context.health.hear(&uid, release, questions).await
}

/// Who is asked what. `changed`: hashes of the templates that a release changes, if one is on its way.
pub(super) fn questions(live: &Live, changed: Option<&BTreeSet<&str>>) -> Questions {
    let mut questions = Questions {
        ring: one_of_each(
            live,
            &[
                Part::Distributor,
                Part::QueryFrontend,
                Part::Ingester,
                Part::Monolithic,
            ],
            live::is_ready,
        ),
        storage: one_of_each(
            live,
            &[Part::StoreGateway, Part::Ingester, Part::Monolithic],
            |_| true,
        ),
        ..Questions::default()
    };
    questions.ring.truncate(RINGS);
    let Some(changed) = changed else {
        return questions;
    };
    let has_it = |pod: &Pod| {
        let release = pod.annotations().get(RELEASE);
        release.is_some_and(|release| changed.contains(release.as_str()))
    };
    let ready = || live.pods.iter().filter(|pod| live::is_ready(pod));
    for release in changed {
        let mine = ready()
            .filter(|pod| pod.annotations().get(RELEASE).map(String::as_str) == Some(release));
        let mine = mine.filter_map(live::address).take(OF_A_WORKLOAD);
        questions.traffic.extend(mine);
    }
    questions.traffic.truncate(OF_ALL);
    if !questions.traffic.is_empty() {
        let others = ready().filter(|pod| !has_it(pod));
        questions.others = others.filter_map(live::address).take(OTHERS).collect();
    }
    questions
}

/// The first pod of each component that others can talk to, in each of its zones.
fn one_of_each(
    live: &Live,
    parts: &[Part],
    is_asked: impl Fn(&Pod) -> bool,
) -> Vec<(String, String)> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for part in parts {
        let all = live.pods.iter();
        let all = all.filter(|pod| live::part(*pod) == Some(*part));
        for pod in all.filter(|pod| is_asked(pod)) {
            let zone = pod.labels().get(ZONE);
            if let Some(address) = live::address(pod)
                && seen.insert((*part, zone))
            {
                found.push(address);
            }
        }
    }
    found
}

/// Why a workload's pods that have what it should have prove nothing yet.
pub(super) fn of_workload(
    workload: &Workload,
    live: &Live,
    heard: &Heard,
    rollout: &Rollout,
) -> Option<Held> {
    let gates = &rollout.health_gates;
    let mine = live.pods.iter().filter(|pod| {
        pod.annotations().get(RELEASE) == Some(&workload.release)
            && pod.metadata.deletion_timestamp.is_none()
    });
    let mine: Vec<_> = mine.map(ResourceExt::name_any).collect();
    if gates.ring_active && workload.part.holds_profiles() {
        let held = health::ring_gate(mine.iter().map(String::as_str), &heard.rings);
        if held.is_some() {
            return held;
        }
    }
    let traffic = mine.iter().filter_map(|pod| heard.traffic.get(pod));
    let traffic = traffic.fold(Traffic::default(), |sum, next| sum.and(*next));
    health::error_gate(&workload.object.name, traffic, &gates.error_ratio)
}

/// What holds a release: errors wherever they are, else what holds the workload that is waited for.
pub(super) fn of_release<'a>(views: &'a [View], step: Option<&str>) -> Option<&'a Held> {
    let has_it = |view: &&View| {
        let live = view.live.as_ref();
        live.is_some_and(|live| live.release == view.release)
    };
    let all = || views.iter().filter(has_it);
    let held = |view: &'a View| view.held.as_ref();
    let failing = all()
        .filter_map(held)
        .find(|held| matches!(held, Held::Failing(_)));
    failing.or_else(|| {
        let mut step = all().filter(|view| Some(view.name.as_str()) == step);
        step.find_map(held)
    })
}

/// Whether pods that lack the release fail as well; None if that is not known yet.
pub(super) fn others_fail(heard: &Heard, rollout: &Rollout) -> Option<bool> {
    let rules = &rollout.health_gates.error_ratio;
    health::others_fail(&heard.others, heard.before.as_ref(), rules)
}
