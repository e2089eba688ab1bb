//! The number of queriers, if it follows the load: the operator's own, or left to whom it was given.
//!
//! Giving it away and taking it back writes nothing: whoever has it goes on from the number that is there.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::DynamicObject;
use phlare_operator_api::{PhlareCluster, QuerierAutoscaling, Strategy};
use serde_json::Value;
use tracing::info;

use crate::autoscaler::Known;
use crate::conditions::{Autoscaled, Facts};
use crate::context::Context;
use crate::decide::autoscale::{self, By, Demand, Moment, Rules};
use crate::demand::Reading;
use crate::desired::{Desired, Object};
use crate::live::{self, Live};
use crate::part::Part;

/// Queries that a querier answers at a time, unless the resource says so.
const CONCURRENT: i32 = 4;
/// When KEDA's objects are looked at again: nobody watches them.
const KEDA_PERIOD: Duration = Duration::from_secs(60);
/// When KEDA is looked for again.
const KEDA_MISSING: Duration = Duration::from_secs(15);

const NOT_USED: &str = "components.querier.replicas is not used";

/// Puts the number of queriers into what should be there, and says who decides on it. How long until it has to be done
/// again, if nothing changes.
pub(super) async fn step(
    context: &Context,
    cluster: &PhlareCluster,
    live: &Live,
    desired: &mut Desired,
    facts: &mut Facts,
) -> Option<Duration> {
    let uid = cluster.uid().unwrap_or_default();
    let said = cluster.spec.autoscaling.querier.as_ref();
    let said = said.filter(|said| said.enabled);
    let asked = desired.objects.len();
    desired
        .objects
        .retain(|object| live.lacks(object).is_none());
    let has_keda = desired.objects.len() == asked;
    // What can't be seen can't be kept as it should be.
    let unseen = |object: &Object| live.forbidden.contains(&object.resource.kind);
    let may_scale = !desired.objects.iter().any(unseen);
    desired.objects.retain(|object| !unseen(object));
    let mut workloads = desired.workloads.iter_mut();
    let queriers = workloads.find(|workload| workload.part == Part::Querier);
    let (Some(said), Some(queriers)) = (said, queriers) else {
        context.autoscaler.forget(&uid, &context.metrics);
        return None;
    };
    let is_ours = said.strategy == Strategy::QueueDepth && said.min_replicas < said.max_replicas;
    if !is_ours {
        context.autoscaler.forget(&uid, &context.metrics);
    }
    let Some(there) = live.twin(&queriers.object) else {
        if said.strategy != Strategy::External {
            queriers.replicas = queriers.replicas.max(said.min_replicas);
            queriers.replicas = queriers.replicas.min(said.max_replicas);
        }
        let message = "the queriers are being made".to_owned();
        facts.autoscaling = Some(Autoscaled::of(true, "Active", message));
        return None;
    };
    let told = live::replicas(there);
    if said.strategy == Strategy::External {
        queriers.replicas = told;
        let message = format!("the number of queriers is somebody else's; {NOT_USED}");
        facts.autoscaling = Some(Autoscaled::of(true, "ExternalOwner", message));
        return None;
    }
    if said.min_replicas == said.max_replicas {
        queriers.replicas = said.min_replicas;
        let message = format!("minReplicas and maxReplicas leave no choice; {NOT_USED}");
        facts.autoscaling = Some(Autoscaled::of(true, "Active", message));
        return None;
    }
    if said.strategy == Strategy::QueueDepth {
        let queriers = Queriers {
            cluster,
            said,
            told,
            there: live::pods(there),
            name: queriers.object.name.clone(),
        };
        let (replicas, next) = queriers.follow(context, live, facts).await;
        set(desired, replicas);
        return Some(next);
    }
    queriers.replicas = told;
    if said.strategy == Strategy::Keda && !has_keda {
        let message = "this Kubernetes has no ScaledObject (keda.sh/v1alpha1), or does not show it to the Phlare operator: install KEDA, or choose another strategy";
        let message = message.to_owned();
        facts.autoscaling = Some(Autoscaled::of(false, "ScalingDisabled", message));
        return Some(KEDA_MISSING);
    }
    if !may_scale {
        let message =
            "the operator may not list HorizontalPodAutoscalers: apply the roles of its chart";
        let message = message.to_owned();
        facts.autoscaling = Some(Autoscaled::of(false, "RightsMissing", message));
        return None;
    }
    let kinds = ["ScaledObject", "HorizontalPodAutoscaler"];
    let mut objects = desired.objects.iter();
    let scaler = objects.find(|object| kinds.contains(&object.resource.kind.as_str()));
    facts.autoscaling = scaler.map(|object| of_scaler(object, live.twin(object)));
    (said.strategy == Strategy::Keda).then_some(KEDA_PERIOD)
}

fn set(desired: &mut Desired, replicas: i32) {
    let mut workloads = desired.workloads.iter_mut();
    if let Some(queriers) = workloads.find(|workload| workload.part == Part::Querier) {
        queriers.replicas = replicas;
    }
}

/// What an object to which the number was given says of itself.
fn of_scaler(object: &Object, live: Option<&DynamicObject>) -> Autoscaled {
    let (kind, name) = (&object.resource.kind, &object.name);
    let condition = |r#type: &str| -> Option<(&str, &str, &str)> {
        let conditions = live?.data.pointer("/status/conditions")?.as_array()?;
        let found = conditions
            .iter()
            .find(|found| found.get("type").and_then(Value::as_str) == Some(r#type))?;
        let text = |key: &str| found.get(key).and_then(Value::as_str).unwrap_or_default();
        Some((text("status"), text("reason"), text("message")))
    };
    let working = condition("ScalingActive").or_else(|| condition("Ready"));
    match (working, condition("ScalingLimited")) {
        (Some(("False", "ScalingDisabled", message)), _) => Autoscaled::of(
            false,
            "ScalingDisabled",
            format!("{kind} {name}: {message}"),
        ),
        (Some(("False", _, message)), _) => Autoscaled::of(
            false,
            "MetricsUnavailable",
            format!("{kind} {name}: {message}"),
        ),
        (_, Some(("True", "TooManyReplicas", _))) => {
            let message = format!("{kind} {name} would have more queriers than maxReplicas");
            Autoscaled::of(true, "ScalingLimited", message)
        }
        _ => {
            let message = format!("{kind} {name} sets the number of queriers; {NOT_USED}");
            Autoscaled::of(true, "Active", message)
        }
    }
}

/// Queriers whose number is the operator's.
struct Queriers<'a> {
    cluster: &'a PhlareCluster,
    said: &'a QuerierAutoscaling,
    told: i32,
    there: i32,
    name: String,
}

impl Queriers<'_> {
    /// How many there should be, and when to ask again.
    async fn follow(&self, context: &Context, live: &Live, facts: &mut Facts) -> (i32, Duration) {
        let autoscaler = &context.autoscaler;
        let cluster = self.cluster;
        let uid = cluster.uid().unwrap_or_default();
        let period = period(&self.said.queue_depth.sync_period);
        let before = autoscaler.known(&uid);
        if facts.paused {
            let state = cluster
                .status
                .as_ref()
                .and_then(|status| status.autoscaling.clone());
            facts.autoscaling = Some(Autoscaled {
                state: before.map_or(state, |before| before.said.state),
                ..Autoscaled::of(false, "ScalingDisabled", "spec.paused is set".to_owned())
            });
            return (self.told, period);
        }
        let now = Instant::now();
        if let Some(before) = &before
            && before.generation == cluster.metadata.generation
            && let Some(left) = period.checked_sub(now.duration_since(before.asked))
            && !left.is_zero()
        {
            facts.autoscaling = Some(before.said.clone());
            return (self.told, left);
        }
        let namespace = cluster.namespace().unwrap_or_default();
        let mut known = before.unwrap_or_else(|| {
            let state = cluster
                .status
                .as_ref()
                .and_then(|status| status.autoscaling.clone());
            Known::new(
                &namespace,
                &cluster.name_any(),
                now,
                state.unwrap_or_default(),
            )
        });
        let reading = autoscaler.demand.read(&query_schedulers(live)).await;
        let demand = match (reading.heard, reading.unheard.len()) {
            (0, _) => Demand::Unknown,
            (_, 0) => Demand::Whole(known.peak(now, reading.queries)),
            _ => Demand::AtLeast(reading.queries),
        };
        let concurrent = cluster.spec.components.querier.max_concurrent;
        let rules = Rules::of(self.said, concurrent.unwrap_or(CONCURRENT));
        let moment = Moment {
            at: Timestamp::now(),
            before: known.decided,
            told: self.told,
            there: self.there,
        };
        let state = known.said.state.unwrap_or_default();
        let decision = autoscale::decide(&rules, &state, moment, demand);
        if decision.replicas != self.told {
            info!(%namespace, name = self.name, from = self.told, to = decision.replicas, ?demand, "scaled");
        }
        let step = (self.told, decision.replicas);
        context
            .metrics
            .autoscaled(&namespace, &cluster.name_any(), step, demand);
        if matches!(decision.by, By::Load | By::Most) {
            known.decided = Some(moment.at);
        }
        known.generation = cluster.metadata.generation;
        known.asked = now;
        known.said = Autoscaled {
            state: Some(decision.state),
            ..self.said(decision.by, &reading)
        };
        facts.autoscaling = Some(known.said.clone());
        autoscaler.learn(&uid, known, &context.metrics);
        let next = period.saturating_sub(now.elapsed());
        (decision.replicas, next.max(Duration::from_secs(1)))
    }

    fn said(&self, by: By, reading: &Reading) -> Autoscaled {
        let most = self.said.max_replicas;
        match by {
            By::Load | By::Range => Autoscaled::of(
                true,
                "Active",
                format!("the number of queriers follows the queries that wait and run; {NOT_USED}"),
            ),
            By::Most => Autoscaled::of(
                true,
                "ScalingLimited",
                format!(
                    "the queries that wait and run call for more queriers than maxReplicas, {most}; {NOT_USED}"
                ),
            ),
            By::Nobody => Autoscaled::of(
                false,
                "ScalingDisabled",
                format!(
                    "Deployment {} was set to 0 pods, which switches autoscaling off: set another number to switch it on",
                    self.name
                ),
            ),
            By::Guess => {
                let first = reading.unheard.first().map(ToString::to_string);
                let first = first.unwrap_or_else(|| "no query-scheduler runs".to_owned());
                let message = format!(
                    "the number of queriers stays while query-schedulers don't say how many queries wait and run: {first}"
                );
                Autoscaled::of(false, "MetricsUnavailable", message)
            }
        }
    }
}

/// The query-schedulers that may have queries, by name and address: not those that have not begun, and not those that
/// are told to end.
fn query_schedulers(live: &Live) -> Vec<(String, String)> {
    let serves = |pod: &&Pod| {
        let status = pod.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref());
        phase == Some("Running") && pod.metadata.deletion_timestamp.is_none()
    };
    let pods = live.pods_of(Part::QueryScheduler, None).filter(serves);
    let named = pods.map(|pod| {
        let address = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
        (pod.name_any(), address.unwrap_or_default())
    });
    named.collect()
}

/// `15s`, `1m`: the definition lets nothing else through.
fn period(text: &str) -> Duration {
    let minutes = text
        .strip_suffix('m')
        .and_then(|count| count.parse::<u64>().ok());
    let seconds = text.strip_suffix('s').and_then(|count| count.parse().ok());
    let seconds = minutes.map(|count| count.saturating_mul(60)).or(seconds);
    Duration::from_secs(seconds.unwrap_or(15).clamp(5, 300))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::desired::OPTIONAL;

    fn hpa(conditions: Value) -> DynamicObject {
        serde_json::from_value(json!({
            "metadata": {"name": "prod-querier"},
            "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    fn said(conditions: Value) -> Autoscaled {
        let [.., kind] = OPTIONAL;
        let object = Object {
            resource: kind.resource(),
            name: "prod-querier".to_owned(),
            body: Value::Null,
        };
        of_scaler(&object, Some(&hpa(conditions)))
    }

    #[test]
    fn what_a_scaler_says_of_itself_is_passed_on() {
        let none = said(json!([]));
        assert_eq!((none.active, none.reason), (true, "Active"));
        let works = said(
            json!([{"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}]),
        );
        assert_eq!((works.active, works.reason), (true, "Active"));
        let blind = said(
            json!([{"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": "no metrics"}]),
        );
        assert_eq!((blind.active, blind.reason), (false, "MetricsUnavailable"));
        assert_eq!(blind.message, "ScaledObject prod-querier: no metrics");
        let off = said(
            json!([{"type": "ScalingActive", "status": "False", "reason": "ScalingDisabled", "message": "0"}]),
        );
        assert_eq!(off.reason, "ScalingDisabled");
        let full = said(
            json!([{"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas"}]),
        );
        assert_eq!((full.active, full.reason), (true, "ScalingLimited"));
        let keda = said(
            json!([{"type": "Ready", "status": "False", "reason": "ScaledObjectCheckFailed", "message": "no trigger"}]),
        );
        assert_eq!(keda.reason, "MetricsUnavailable");
    }

    #[test]
    fn periods_are_seconds_or_minutes_within_reason() {
        assert_eq!(period("15s"), Duration::from_secs(15));
        assert_eq!(period("2m"), Duration::from_secs(120));
        assert_eq!(period("1s"), Duration::from_secs(5));
        assert_eq!(period("99999999999999999999m"), Duration::from_secs(15));
    }
}
