//! The rings of this process, and their pages.

use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Form, Json, Router};
use futures_util::future::join_all;
use phlare_compactor::Sharding;
use phlare_model::time::format_duration;
use phlare_model::{Clock, ErrorKind};
use phlare_ring::{
    Figures, Identity, InstanceId, InstanceStatus, Lifecycle, Member, MemberConfig, MemberState,
    MemberTask, Membership, Origin, RingKind, RingStatus, Tokens, host_and_port,
};
use phlare_server::{Health, Registry, Status};
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::target::{Target, Targets};

/// The rings, and this process as a member.
pub(crate) struct Rings {
    pub(crate) membership: Membership,
    /// This process in the ring of ingesters, if it is one.
    pub(crate) ingester: Option<Member>,
    /// This process in the other rings.
    pub(crate) others: Vec<Member>,
    /// Where others reach this process: one address, unless settings say otherwise. None if nobody does.
    pub(crate) advertised: Vec<String>,
    tasks: Vec<MemberTask>,
}

impl fmt::Debug for Rings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rings")
            .field("ingester", &self.ingester)
            .field("others", &self.others)
            .finish_non_exhaustive()
    }
}

impl Rings {
    /// Joins the rings of the components that `targets` names. A process that is alone is its only ingester: its ring
    /// needs no gossip. `port`: where this process serves.
    pub(crate) async fn begin(
        config: &Config,
        targets: &Targets,
        clock: Arc<dyn Clock>,
        port: u16,
        (registry, health): (&mut Registry, &Health),
    ) -> anyhow::Result<Self> {
        let several = config.is_one_of_several();
        let members = members(config);
        let ingesters = &config.ingester.lifecycler.ring;
        let mut rings = phlare_ring::Rings::default().with(
            RingKind::Ingester,
            ingesters.settings(several),
            ingesters.forget(),
        );
        for (_, member) in &members {
            rings = rings.with(member.kind, member.settings(), Some(member.forget()));
        }
        let membership = if several {
            let figures = Figures::register(registry);
            Membership::gossip(config.memberlist.clone(), rings, clock, figures).await?
        } else {
            Membership::alone(rings, clock)
        };
        let mut begun = Self {
            membership,
            ingester: None,
            others: Vec::new(),
            advertised: Vec::new(),
            tasks: Vec::new(),
        };
        if targets.has(Target::Ingester) {
            begun.ingester = Some(begun.join_ingesters(config, port)?);
        }
        for (target, settings) in members {
            if several && targets.has(target) {
                let identity = settings.identity(port)?;
                let lifecycle = Lifecycle::new(settings.member(), identity, Origin::default());
                let member = begun.join(settings.kind, lifecycle, None);
                begun.others.push(member);
            }
        }
        if several && let Some(ingester) = &begun.ingester {
            let state = ingester.state();
            health.register("ring", move || {
                let MemberState { ready, state, .. } = *state.borrow();
                match ready {
                    true => Ok(()),
                    false => Err(format!("{state} in the ring, not ready for long enough")),
                }
            });
        }
        let shown = shown(several).iter().map(|(kind, _)| *kind).collect();
        let mine = begun.members();
        let mine = mine.map(|member| (member.kind(), member.id().clone()));
        let mine = mine.collect();
        phlare_ring::metrics::register(registry, &begun.membership, shown, mine);
        Ok(begun)
    }

    fn join_ingesters(&mut self, config: &Config, port: u16) -> anyhow::Result<Member> {
        let mut lifecycler = config.ingester.lifecycler.clone();
        if lifecycler.address.is_empty() {
            lifecycler.address = address(config);
        }
        let identity = match lifecycler.identity(port) {
            Ok(identity) => identity,
            // Nobody connects to it by this address, so a machine without one is no reason not to start.
            Err(_) if !config.is_one_of_several() => nowhere(port),
            Err(error) => return Err(error.into()),
        };
        let tokens_file = Some(&lifecycler.tokens_file_path);
        let tokens_file = tokens_file.filter(|path| !path.as_os_str().is_empty());
        let tokens = match tokens_file {
            Some(path) => Tokens::load(path)?,
            None => None,
        };
        let origin = Origin {
            tokens,
            holds_data: holds_data(config),
            seed: rand::random(),
        };
        let lifecycle = Lifecycle::new(lifecycler.member(), identity, origin);
        Ok(self.join(RingKind::Ingester, lifecycle, tokens_file.cloned()))
    }

    fn join(&mut self, kind: RingKind, lifecycle: Lifecycle, tokens: Option<PathBuf>) -> Member {
        let address = lifecycle.addr().to_owned();
        if !self.advertised.contains(&address) {
            self.advertised.push(address);
        }
        let (member, task) = Member::new(self.membership.clone(), kind, lifecycle, tokens);
        self.tasks.push(task);
        member
    }

    /// This process in one of the other rings.
    pub(crate) fn other(&self, kind: RingKind) -> Option<&Member> {
        self.others.iter().find(|member| member.kind() == kind)
    }

    /// The place of this process's compactor among others.
    pub(crate) fn compactors(&self) -> Option<Sharding> {
        let me = self.other(RingKind::Compactor)?;
        Some(Sharding {
            ring: self.membership.subscribe(me.kind()),
            me: me.id().clone(),
        })
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.ingester.iter().chain(&self.others)
    }

    /// Keeps rings and members up to date. Ends when all members are gone and `left` says so.
    pub(crate) fn run(&mut self, tasks: &mut JoinSet<()>, left: CancellationToken) {
        let membership = self.membership.clone();
        let own = std::mem::take(&mut self.tasks);
        let settling = membership.clone();
        tasks.spawn(async move {
            // Who was in the ring before takes up its entry, so others have to be heard first.
            settling.settled(SETTLE).await;
            join_all(own.into_iter().map(MemberTask::run)).await;
        });
        tasks.spawn(async move {
            if let Err(error) = membership.run(left).await {
                tracing::error!(%error, "the rings are not kept up to date any more");
            }
        });
    }

    /// All that this process is a member of gets nothing new.
    pub(crate) fn leave(&self) {
        self.members().for_each(Member::leave);
    }

    /// Nothing is left here that others would miss.
    pub(crate) fn drained(&self) {
        self.members().for_each(Member::drained);
    }
}

/// The other rings, as the settings want them.
fn members(config: &Config) -> [(Target, MemberConfig); 4] {
    let address = address(config);
    let members = [
        (Target::Distributor, config.distributor.ring.member()),
        (
            Target::StoreGateway,
            config.store_gateway.sharding_ring.member(),
        ),
        (Target::Compactor, config.compactor.sharding_ring.member()),
        (Target::QueryScheduler, config.query_scheduler.ring.member()),
    ];
    members.map(|(target, mut member)| {
        if member.instance_addr.is_empty() {
            member.instance_addr.clone_from(&address);
        }
        (target, member)
    })
}

/// The address of this process, if the settings of any ring say it: there is one process, whatever runs in it.
fn address(config: &Config) -> String {
    let addresses = [
        &config.ingester.lifecycler.address,
        &config.distributor.ring.instance_addr,
        &config.store_gateway.sharding_ring.instance_addr,
        &config.compactor.sharding_ring.instance_addr,
        &config.query_scheduler.ring.instance_addr,
    ];
    let mut known = addresses.into_iter().filter(|address| !address.is_empty());
    known.next().cloned().unwrap_or_default()
}

/// How long a process that starts waits to hear of others.
const SETTLE: Duration = Duration::from_secs(5);

fn nowhere(port: u16) -> Identity {
    Identity {
        ring: RingKind::Ingester.to_string(),
        id: phlare_ring::host_name().as_str().into(),
        addr: host_and_port(std::net::Ipv4Addr::LOCALHOST.into(), port),
        zone: "".into(),
    }
}

/// Whether there is something from an earlier run: reads would miss it until this ingester is active.
fn holds_data(config: &Config) -> bool {
    let ingester = config.pyroscopedb.data_path.join("ingester");
    let mut entries = std::fs::read_dir(ingester).into_iter().flatten().flatten();
    entries.any(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
}

/// The ring of each kind: who is in it; a form there forgets one who is dead.
pub(crate) fn routes(membership: &Membership, several: bool) -> Router {
    let page = |kind| {
        let shown = Shown {
            membership: membership.clone(),
            kind,
        };
        get(show).post(forget).with_state(shown)
    };
    let routes = shown(several).iter();
    routes.fold(Router::new(), |routes, &(kind, path)| {
        routes.route(path, page(kind))
    })
}

/// The rings and their pages; the first is there even if the process is alone.
const PAGES: [(RingKind, &str); 5] = [
    (RingKind::Ingester, "/ring"),
    (RingKind::Distributor, "/distributor/ring"),
    (RingKind::StoreGateway, "/store-gateway/ring"),
    (RingKind::Compactor, "/compactor/ring"),
    (RingKind::QueryScheduler, "/query-scheduler/ring"),
];

fn shown(several: bool) -> &'static [(RingKind, &'static str)] {
    if several { &PAGES } else { &PAGES[..1] }
}

/// What a page shows.
#[derive(Clone, Debug)]
struct Shown {
    membership: Membership,
    kind: RingKind,
}

async fn show(State(Shown { membership, kind }): State<Shown>, headers: HeaderMap) -> Response {
    let now_ms = membership.clock().now_ms();
    let status = RingStatus::of(kind, &membership.ring(kind), now_ms);
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
    State(Shown { membership, kind }): State<Shown>,
    headers: HeaderMap,
    Form(asked): Form<Forget>,
) -> Result<Response, Status> {
    refuse_other_sites(&headers)?;
    let id = InstanceId::from(asked.forget.as_str());
    if !membership.forget(kind, &id).await {
        return Err(Status::new(
            ErrorKind::NotFound,
            format!("no instance `{}` in the ring", asked.forget),
        ));
    }
    Ok(Redirect::to("ring").into_response())
}

/// A page elsewhere that somebody happens to look at must not press a button here.
pub(crate) fn refuse_other_sites(headers: &HeaderMap) -> Result<(), Status> {
    let site = headers.get("sec-fetch-site");
    if site.is_some_and(|site| site == "cross-site") {
        let message = "the form of another site".to_owned();
        return Err(Status::new(ErrorKind::PermissionDenied, message));
    }
    Ok(())
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
    let age = Duration::from_millis(instance.heartbeat_age_ms.unsigned_abs());
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
