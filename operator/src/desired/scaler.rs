//! Objects to which the number of queriers is given: a HorizontalPodAutoscaler, or a ScaledObject of KEDA.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
    MetricTarget, ResourceMetricSource,
};
use phlare_operator_api::{Hpa, QuerierAutoscaling, Strategy};
use serde_json::json;

use super::{Error, Meta, OPTIONAL, Object};
use crate::part::Part;

/// Use of CPU in percent, unless the resource says what to go by.
const CPU: i32 = 80;

/// The object of the resource's strategy. There is none if it would have no choice.
pub(super) fn of(meta: &Meta<'_>) -> Result<Option<Object>, Error> {
    let said = meta.spec.autoscaling.querier.as_ref();
    let has_choice =
        |said: &&QuerierAutoscaling| said.enabled && said.min_replicas < said.max_replicas;
    let Some(said) = said.filter(has_choice) else {
        return Ok(None);
    };
    match said.strategy {
        Strategy::Hpa => Ok(Some(Object::of(&autoscaler(said, meta)?)?)),
        Strategy::Keda => Ok(Some(keda(said, meta)?)),
        Strategy::QueueDepth | Strategy::External => Ok(None),
    }
}

fn autoscaler(
    said: &QuerierAutoscaling,
    meta: &Meta<'_>,
) -> Result<HorizontalPodAutoscaler, Error> {
    let behavior = said.behavior.as_ref();
    let behavior = behavior.map(|behavior| serde_json::from_value(json!(behavior)));
    Ok(HorizontalPodAutoscaler {
        metadata: meta.object(
            meta.named(Part::Querier),
            meta.labels_of(Part::Querier, None),
        ),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name: meta.named(Part::Querier),
            },
            min_replicas: Some(said.min_replicas),
            max_replicas: said.max_replicas,
            metrics: Some(metrics(said.hpa)),
            behavior: behavior.transpose()?,
        }),
        ..HorizontalPodAutoscaler::default()
    })
}

fn metrics(said: Hpa) -> Vec<MetricSpec> {
    let (cpu, memory) = (said.target_cpu_utilization, said.target_memory_utilization);
    let cpu = match (cpu, memory) {
        (None, None) => Some(CPU),
        _ => cpu,
    };
    let metric = |name: &str, percent: Option<i32>| {
        percent.map(|percent| MetricSpec {
            type_: "Resource".to_owned(),
            resource: Some(ResourceMetricSource {
                name: name.to_owned(),
                target: MetricTarget {
                    type_: "Utilization".to_owned(),
                    average_utilization: Some(percent),
                    ..MetricTarget::default()
                },
            }),
            ..MetricSpec::default()
        })
    };
    let all = [metric("cpu", cpu), metric("memory", memory)];
    all.into_iter().flatten().collect()
}

fn keda(said: &QuerierAutoscaling, meta: &Meta<'_>) -> Result<Object, Error> {
    let name = meta.named(Part::Querier);
    let triggers = match &said.keda {
        Some(keda) => json!(keda.triggers),
        None => {
            json!([{"type": "cpu", "metricType": "Utilization", "metadata": {"value": CPU.to_string()}}])
        }
    };
    let mut spec = json!({
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicaCount": said.min_replicas,
        "maxReplicaCount": said.max_replicas,
        "triggers": triggers,
    });
    if let Some(behavior) = &said.behavior {
        spec["advanced"] = json!({"horizontalPodAutoscalerConfig": {"behavior": behavior}});
    }
    let [.., kind] = OPTIONAL;
    let resource = kind.resource();
    let metadata = meta.object(name.clone(), meta.labels_of(Part::Querier, None));
    let body = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": serde_json::to_value(metadata)?,
        "spec": spec,
    });
    Ok(Object {
        resource,
        name,
        body,
    })
}
