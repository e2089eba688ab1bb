//! What Prometheus and Grafana are told. What can't be made costs itself only: no pod needs it.

use crate::apply::{Error, Writer};
use crate::context::Context;
use crate::desired::{Desired, Object, Optional};
use crate::live::Live;

/// Whether all is there: with a reason and a message.
type Fact = (bool, &'static str, String);

/// Reason: the Kubernetes does not have a kind.
pub(super) const CRD_MISSING: &str = "CrdMissing";

/// Makes it, and says what came of it; None if nothing is asked for.
///
/// # Errors
/// The API server does not answer.
pub(super) async fn write(
    context: &Context,
    writer: &Writer,
    live: &Live,
    desired: &Desired,
) -> Result<Option<Fact>, Error> {
    for object in &desired.monitoring {
        if live.lacks(object).is_some() {
            continue;
        }
        match writer.apply(object, live.twin(object)).await {
            Ok(true) => context.metrics.wrote(&object.resource.kind),
            Ok(false) => {}
            Err(error) => {
                let Some((reason, message)) = error.trouble() else {
                    return Err(error);
                };
                return Ok(Some((false, reason, message)));
            }
        }
    }
    Ok(missing(desired, live).or_else(|| active(&desired.monitoring)))
}

/// The same without making it.
pub(super) fn seen(desired: &Desired, live: &Live) -> Option<Fact> {
    let absent = |object: &&Object| live.twin(object).is_none();
    missing(desired, live).or_else(|| match desired.monitoring.iter().find(absent) {
        Some(object) => {
            let message = format!("{} {} is not there", object.resource.kind, object.name);
            Some((false, "Pending", message))
        }
        None => active(&desired.monitoring),
    })
}

fn active(objects: &[Object]) -> Option<Fact> {
    let named = |object: &Object| format!("{} {}", object.resource.kind, object.name);
    let names: Vec<_> = objects.iter().map(named).collect();
    (!names.is_empty()).then(|| (true, "Active", format!("there are {}", names.join(", "))))
}

fn missing(desired: &Desired, live: &Live) -> Option<Fact> {
    let lacks = |object: &Object| live.lacks(object);
    let lacking: Vec<&Optional> = desired.monitoring.iter().filter_map(lacks).collect();
    let first = lacking.first()?;
    let by_same = |kind: &&&Optional| kind.by == first.by;
    let kinds: Vec<_> = lacking
        .iter()
        .filter(by_same)
        .map(|kind| kind.kind)
        .collect();
    let (group, version, by) = (first.group, first.version, first.by);
    let message = format!(
        "this Kubernetes has no {} ({group}/{version}), or does not show it to the Phlare operator: install {by}, or switch that off \
         in spec.monitoring and spec.grafana; all the rest is made",
        kinds.join(" and ")
    );
    Some((false, CRD_MISSING, message))
}
