//! Why a StatefulSet does not get its pods: it says so in events only, unlike a Deployment.

use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams};
use tracing::warn;

use crate::context::Context;
use crate::live::{self, Live};
use crate::trouble::Trouble;

/// Older events say nothing about pods that are missing now: it tries again within this time.
const RECENT: Duration = Duration::from_secs(20 * 60);

/// What keeps the first StatefulSet that lacks pods from making them. It is for people: that it can't be asked is no reason
/// to leave anything undone.
pub(super) async fn pods(context: &Context, namespace: &str, live: &Live) -> Option<Trouble> {
    let lacks = |object: &&DynamicObject| {
        let state = live::state(object);
        is_stateful_set(object) && state.pods < state.replicas
    };
    let name = live.objects().find(lacks)?.name_any();
    let events: Api<Event> = Api::namespaced(context.client.clone(), namespace);
    let of_it = ListParams::default()
        .fields(&format!(
            "involvedObject.kind=StatefulSet,involvedObject.name={name},reason=FailedCreate"
        ))
        .limit(100);
    match events.list(&of_it).await {
        Ok(found) => why(&name, &found.items, Timestamp::now()),
        Err(error) => {
            warn!(%error, namespace, name, "events are not readable");
            None
        }
    }
}

fn is_stateful_set(object: &DynamicObject) -> bool {
    let types = object.types.as_ref();
    types.is_some_and(|types| types.kind == "StatefulSet")
}

/// What the newest of some events says.
fn why(name: &str, events: &[Event], now: Timestamp) -> Option<Trouble> {
    let time = |event: &&Event| event.last_timestamp.as_ref().map(|time| time.0);
    let newest = events.iter().max_by_key(time)?;
    let age = Duration::try_from(now.duration_since(time(&newest)?)).unwrap_or_default();
    if age > RECENT {
        return None;
    }
    let message = newest.message.as_deref()?;
    let said = message.rsplit_once("failed error: ");
    let said = said.map_or(message, |(_, said)| said);
    Some((
        "ForbiddenByQuota",
        format!("pods of {name} can't be made: {said}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn event(second: i64, message: &str) -> Event {
        Event {
            last_timestamp: Some(Time(at(second))),
            message: Some(message.to_owned()),
            ..Event::default()
        }
    }

    #[test]
    fn the_newest_reason_is_given_without_what_is_around_it() {
        let events = [
            event(
                10,
                "create Pod p-0 in StatefulSet p failed error: pods \"p-0\" is forbidden: exceeded quota: few",
            ),
            event(5, "older"),
        ];
        let (reason, message) = why("p", &events, at(60)).unwrap();
        assert_eq!(reason, "ForbiddenByQuota");
        assert_eq!(
            message,
            "pods of p can't be made: pods \"p-0\" is forbidden: exceeded quota: few"
        );
    }

    #[test]
    fn what_was_an_hour_ago_says_nothing() {
        assert_eq!(why("p", &[event(10, "older")], at(3_700)), None);
        assert_eq!(why("p", &[], at(0)), None);
    }
}
