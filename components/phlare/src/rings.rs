//! The rings of this process, and their pages.
//!
//! A single process is its only ingester: its ring has one member and needs no gossip.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Form, Json, Router};
use phlare_model::time::format_duration;
use phlare_model::{Clock, ErrorKind};
use phlare_ring::{
    InstanceId, InstanceStatus, Lifecycle, Lifecycler, Member, MemberTask, Membership, Origin,
    RingKind, RingStatus, host_and_port,
};
use phlare_server::{Registry, Status};
use serde::Deserialize;

/// The rings, and this process as a member.
pub(crate) struct Rings {
    pub(crate) membership: Membership,
    pub(crate) ingester: Member,
    pub(crate) task: MemberTask,
}

impl Rings {
    /// A process that is alone, and serves on `port`.
    pub(crate) fn alone(clock: Arc<dyn Clock>, port: u16, registry: &mut Registry) -> Self {
        let settings = Lifecycler::default();
        let rings = phlare_ring::Rings::default().with(
            RingKind::Ingester,
            settings.ring.settings(),
            settings.ring.forget(),
        );
        let membership = Membership::alone(rings, clock);
        // Nobody connects to it by this address, so a machine without one is no reason not to start.
        let identity = settings
            .identity(port)
            .unwrap_or_else(|_| phlare_ring::Identity {
                ring: RingKind::Ingester.to_string(),
                id: phlare_ring::host_name().as_str().into(),
                addr: host_and_port(std::net::Ipv4Addr::LOCALHOST.into(), port),
                zone: "".into(),
            });
        let me = (RingKind::Ingester, identity.id.clone());
        let lifecycle = Lifecycle::new(settings.member(), identity, Origin::default());
        let (ingester, task) = Member::new(membership.clone(), RingKind::Ingester, lifecycle, None);
        phlare_ring::metrics::register(registry, &membership, vec![RingKind::Ingester], vec![me]);
        Self {
            membership,
            ingester,
            task,
        }
    }
}

/// `/ring`: who is in the ring of ingesters; a form there forgets one who is dead.
pub(crate) fn routes(membership: Membership) -> Router {
    Router::new()
        .route("/ring", get(show).post(forget))
        .with_state(membership)
}

async fn show(State(membership): State<Membership>, headers: HeaderMap) -> Response {
    let now_ms = membership.clock().now_ms();
    let status = RingStatus::of(
        RingKind::Ingester,
        &membership.ring(RingKind::Ingester),
        now_ms,
    );
    if wants_json(&headers) {
        Json(status).into_response()
    } else {
        Html(page(&status)).into_response()
    }
}

/// Whether the first media type that the client names is JSON.
fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let first = accept.unwrap_or_default().split([',', ';']).next();
    first.is_some_and(|kind| kind.trim() == "application/json")
}

#[derive(Debug, Deserialize)]
struct Forget {
    forget: String,
}

async fn forget(
    State(membership): State<Membership>,
    headers: HeaderMap,
    Form(asked): Form<Forget>,
) -> Result<Response, Status> {
    // A page elsewhere that somebody happens to look at must not press the button.
    if headers
        .get("sec-fetch-site")
        .is_some_and(|site| site == "cross-site")
    {
        return Err(Status::new(
            ErrorKind::PermissionDenied,
            "the form of another site".to_owned(),
        ));
    }
    let id = InstanceId::from(asked.forget.as_str());
    if !membership.forget(RingKind::Ingester, &id).await {
        return Err(Status::new(
            ErrorKind::NotFound,
            format!("no instance `{}` in the ring", asked.forget),
        ));
    }
    Ok(Redirect::to("ring").into_response())
}

fn page(status: &RingStatus) -> String {
    let mut rows = String::new();
    for instance in &status.instances {
        row(&mut rows, instance);
    }
    format!(
        "<!doctype html>
<html lang=\"en\"><meta charset=\"utf-8\"><title>Ring: {ring}</title>
<style>body{{font:14px sans-serif}}td,th{{padding:.2em .8em;text-align:left}}tr:nth-child(even){{background:#8881}}</style>
<h1>Ring: {ring}</h1>
<p>{count} members, replication factor {factor}{zones}. A member that is forgotten and alive comes back by itself.
<form method=\"post\"><table>
<tr><th>Name<th>State<th>Zone<th>Address<th>Last heartbeat<th>Tokens<th>Ownership<th>
{rows}</table></form>
</html>
",
        ring = status.ring,
        count = status.instances.len(),
        factor = status.replication_factor,
        zones = if status.zone_awareness { ", zones" } else { "" },
    )
}

fn row(rows: &mut String, instance: &InstanceStatus) {
    let age = std::time::Duration::from_millis(instance.heartbeat_age_ms.unsigned_abs());
    // Writing into a text does not fail.
    let _ = writeln!(
        rows,
        "<tr><td>{id}<td>{state}{read_only}<td>{zone}<td>{address}<td>{age} ago<td>{tokens}<td>{ownership:.2} %\
         <td><button name=\"forget\" value=\"{id}\">Forget</button>",
        id = escaped(&instance.id),
        state = instance.shown(),
        read_only = if instance.read_only {
            ", read-only"
        } else {
            ""
        },
        zone = escaped(&instance.zone),
        address = escaped(&instance.address),
        age = format_duration(age),
        tokens = instance.tokens,
        ownership = instance.ownership * 100.0,
    );
}

/// Text that other members chose, for a page.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(id: &str) -> RingStatus {
        RingStatus {
            ring: "ingester",
            now_ms: 0,
            replication_factor: 3,
            zone_awareness: true,
            instances: vec![InstanceStatus {
                id: id.to_owned(),
                address: "10.0.0.1:4040".to_owned(),
                zone: "a".to_owned(),
                state: "ACTIVE",
                healthy: false,
                read_only: true,
                heartbeat_age_ms: 61_000,
                registered_ms: 0,
                tokens: 128,
                ownership: 0.25,
            }],
        }
    }

    #[test]
    fn a_page_shows_members_and_runs_none_of_their_text() {
        let page = page(&status("<script>'\"&"));
        assert!(
            page.contains("value=\"&lt;script&gt;&#39;&quot;&amp;\""),
            "{page}"
        );
        assert!(!page.contains("<script>"));
        assert!(
            page.contains("UNHEALTHY, read-only")
                && page.contains("1m1s ago")
                && page.contains("25.00 %"),
            "{page}"
        );
    }

    #[test]
    fn programs_get_json() {
        let asks = |accept: &'static str| {
            wants_json(&HeaderMap::from_iter([(
                ACCEPT,
                axum::http::HeaderValue::from_static(accept),
            )]))
        };
        assert!(asks("application/json") && asks("application/json, text/html;q=0.5"));
        assert!(!asks("text/html,application/json;q=0.9") && !asks("*/*"));
        assert!(!wants_json(&HeaderMap::new()));
    }
}
