//! From one process to a fleet, or back: what is left of the mode that the resource had before.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use phlare_operator_api::Mode;
use serde_json::{Value, json};

use crate::conditions::Facts;
use crate::context::Context;
use crate::decide::mode::{self, Fate, Old};
use crate::decide::rollout::{self, View};
use crate::desired::{self, Desired, Meta, Object, Workload, ZONE};
use crate::live::{self, Live};
use crate::part::Part;

/// Workloads of another mode than the one that the resource asks for.
#[derive(Debug)]
pub(super) struct Switch {
    /// The mode that is left.
    from: Mode,
    old: Vec<(Old, Workload)>,
    is_served_by_new: bool,
}

/// What a pass does about it.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// Whom the Service that clients use selects, if it is not who should get it in the end.
    pub(super) front: Option<Part>,
    /// Old workloads that are there, and how many pods they are to have.
    pub(super) leaving: Vec<Workload>,
    /// Names of old workloads that are deleted.
    gone: BTreeSet<String>,
    /// Names of all old workloads.
    old: BTreeSet<String>,
    /// Whether the Service changes hands in this pass.
    changes_hands: bool,
    /// Names of objects of the old workloads, which stay as long as one of these is there.
    pub(super) kept: BTreeSet<String>,
    /// What is going on.
    pub(super) progress: Option<String>,
}

const fn other(mode: Mode) -> Mode {
    match mode {
        Mode::Monolithic => Mode::Microservices,
        Mode::Microservices => Mode::Monolithic,
    }
}

impl Switch {
    /// None if nothing is left of another mode.
    pub(super) fn of(meta: &Meta<'_>, live: &Live) -> Option<Self> {
        let from = other(meta.spec.mode);
        let mut old = Vec::new();
        for (resource, object) in live.objects_by_kind() {
            if !matches!(resource.kind.as_str(), "Deployment" | "StatefulSet") {
                continue;
            }
            let part = live::part(object).filter(|part| Part::of(from).contains(part));
            let (Some(part), true) = (part, meta.owns(object)) else {
                continue;
            };
            let name = object.name_any();
            let replicas = live::replicas(object);
            let workload = Workload {
                part,
                zone: object.labels().get(ZONE).cloned(),
                replicas,
                release: String::new(),
                object: Object {
                    resource: resource.clone(),
                    name: name.clone(),
                    body: Value::Null,
                },
            };
            let pods = live.pods_of(part, workload.zone.as_deref()).count();
            let old_one = Old {
                name,
                part,
                replicas,
                pods: i32::try_from(pods).unwrap_or(i32::MAX),
            };
            old.push((old_one, workload));
        }
        let front = live.get("Service", meta.name);
        let selected = front.and_then(|front| front.data.pointer("/spec/selector"));
        let selected: Option<BTreeMap<String, String>> =
            selected.and_then(|selector| serde_json::from_value(selector.clone()).ok());
        let new = meta.selector(Some(Part::front(meta.spec.mode)), None);
        (!old.is_empty()).then(|| Self {
            from,
            old,
            is_served_by_new: selected == Some(new),
        })
    }

    /// What is to be done now that the new workloads are as they are.
    pub(super) fn steps(
        &self,
        meta: &Meta<'_>,
        desired: &Desired,
        live: &Live,
        views: &[View],
    ) -> Steps {
        let are_well = rollout::is_done(views)
            && views.iter().all(|view| view.held.is_none())
            && desired.workloads.iter().all(|new| has_its_pods(new, live));
        let serves_new = mode::serves_new(are_well, self.is_served_by_new);
        let all: Vec<_> = self.old.iter().map(|(old, _)| old.clone()).collect();
        let mut steps = Steps {
            front: (!serves_new).then(|| Part::front(self.from)),
            changes_hands: serves_new && !self.is_served_by_new,
            old: all.iter().map(|old| old.name.clone()).collect(),
            kept: Part::of(self.from)
                .iter()
                .map(|part| meta.named(*part))
                .collect(),
            ..Steps::default()
        };
        let fates = mode::fates(&all, serves_new);
        for ((_, workload), fate) in self.old.iter().zip(fates) {
            let mut workload = workload.clone();
            match fate {
                Fate::Goes => {
                    steps.gone.insert(workload.object.name);
                    continue;
                }
                Fate::Shrinks => workload.replicas = 0,
                Fate::Stays => {}
            }
            steps.leaving.push(workload);
        }
        let (from, to) = (self.from, meta.spec.mode);
        steps.progress = Some(match serves_new {
            false => format!("pods of mode {from:?} serve until all those of mode {to:?} are well"),
            true => format!("pods of mode {to:?} serve; those of mode {from:?} go"),
        });
        steps
    }
}

/// Whether a workload has the pods that it is to have. One that was scaled to none when the mode was last changed is
/// complete without any. Of those whose number others may set, one will do.
fn has_its_pods(workload: &Workload, live: &Live) -> bool {
    let least = match workload.part.is_stateful() {
        true => workload.replicas,
        false => workload.replicas.min(1),
    };
    let there = live.twin(&workload.object).map(live::state);
    there.is_some_and(|there| there.ready >= least)
}

impl Steps {
    /// Has ingesters upload what they hold where it is in fewer copies than readers count on: what the old ones hold before
    /// new readers are asked for it, and what old distributors sent to new ingesters before the old ones are forgotten. If
    /// one does not, this pass goes no further.
    pub(super) async fn settle(
        &mut self,
        context: &Context,
        meta: &Meta<'_>,
        live: &Live,
        facts: &mut Facts,
    ) {
        let copies = desired::replication_factor(meta.spec);
        let holders = |mode| Part::of(mode).iter().filter(|part| part.holds_profiles());
        let holders: Vec<_> = match (self.changes_hands, self.gone.is_empty()) {
            _ if copies == 1 => return,
            (true, _) => holders(other(meta.spec.mode)).collect(),
            (false, false) => holders(meta.spec.mode).collect(),
            (false, true) => return,
        };
        let is_holder = |pod: &&Pod| live::part(*pod).is_some_and(|part| holders.contains(&&part));
        let flushes = live.pods.iter().filter(is_holder).map(|pod| {
            let (name, address) = (pod.name_any(), live::address(pod));
            let drain = context.drain.clone();
            async move {
                let flushed = match address {
                    None => Err("it does not run".to_owned()),
                    Some((_, address)) => {
                        let flushed = drain.flush(&address).await;
                        flushed.map_err(|error| error.to_string())
                    }
                };
                (name, flushed)
            }
        });
        let flushes: Vec<_> = flushes.collect();
        for (name, flushed) in join_all(flushes).await {
            let Err(problem) = flushed else {
                continue;
            };
            let message = format!("pod {name} does not upload what it holds: {problem}");
            facts.stuck.get_or_insert(("FlushFailing", message));
            self.gone.clear();
            if self.changes_hands {
                self.front = Some(Part::front(other(meta.spec.mode)));
                self.leaving.clear();
            }
            return;
        }
    }

    /// An object as it is to be for now.
    pub(super) fn for_now(&self, meta: &Meta<'_>, object: &Object) -> Object {
        let mut object = object.clone();
        if let Some(front) = self.front
            && object.resource.kind == "Service"
            && object.name == meta.name
        {
            object.body["spec"]["selector"] = json!(meta.selector(Some(front), None));
        }
        object
    }

    /// Whether something of that kind and name is left of the old workloads, and stays for now.
    pub(super) fn keeps(&self, kind: &str, name: &str) -> bool {
        match kind {
            "Deployment" => self.old.contains(name) && !self.gone.contains(name),
            "StatefulSet" => !self.gone.contains(name),
            _ => self.kept.contains(name),
        }
    }
}
