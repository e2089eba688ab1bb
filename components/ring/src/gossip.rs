//! Members learn of each other: chitchat, sealed, and the join.

mod figures;
mod limited;
mod seal;
mod socket;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use chitchat::transport::Transport;
use chitchat::{
    ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, NodeState, ProtocolVersion,
    spawn_chitchat,
};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use figures::Figures;

use crate::entry::KeyValues;
use crate::seeds::{Names, Seed, SystemNames, resolve};
use crate::table::Process;

/// How long the state of a process that is dead for gossip is kept. Half of it is told to those who join.
const DEAD_IS_KEPT: Duration = Duration::from_secs(24 * 3600);

/// How long a deleted key is told to others.
const DELETED_IS_KEPT: Duration = Duration::from_secs(3600);

/// Members that a leaving one tells in person.
const TOLD_AT_LEAVE: usize = 16;

/// First pause between attempts to join; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// How gossip goes, checked.
#[derive(Clone, Debug)]
pub(crate) struct GossipSettings {
    pub(crate) cluster: String,
    pub(crate) name: String,
    pub(crate) listen: SocketAddr,
    pub(crate) advertise: SocketAddr,
    pub(crate) seeds: Vec<Seed>,
    pub(crate) default_port: u16,
    pub(crate) gossip_interval: Duration,
    pub(crate) rejoin_interval: Duration,
    pub(crate) leave_timeout: Duration,
    pub(crate) secrets: Vec<Vec<u8>>,
}

/// Gossip cannot begin.
#[derive(Debug, thiserror::Error)]
#[error("begin to gossip: {0}")]
pub struct GossipError(pub(crate) String);

/// A running gossip, and what it has told us so far.
pub(crate) struct Gossip {
    settings: GossipSettings,
    handle: ChitchatHandle,
    names: Box<dyn Names>,
    /// Versions of the processes whose keys are known.
    seen: parking_lot::Mutex<HashMap<ChitchatId, (u64, u64)>>,
    /// Set once another member was met, or it is clear that there is none.
    met: watch::Sender<bool>,
}

impl std::fmt::Debug for Gossip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gossip")
            .field("id", self.handle.chitchat_id())
            .finish_non_exhaustive()
    }
}

/// What changed since the last look.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) changed: Vec<(Process, KeyValues)>,
    pub(crate) known: BTreeSet<Process>,
}

fn process(id: &ChitchatId) -> Process {
    Process {
        name: id.node_id.to_string(),
        run: id.generation_id,
    }
}

impl Gossip {
    pub(crate) async fn begin(
        settings: GossipSettings,
        now_ms: i64,
        figures: Figures,
    ) -> Result<Self, GossipError> {
        let transport = socket::SealedTransport {
            cluster: settings.cluster.clone(),
            secrets: settings.secrets.clone(),
            figures,
        };
        Self::begin_over(settings, now_ms, &transport, Box::new(SystemNames)).await
    }

    pub(crate) async fn begin_over(
        settings: GossipSettings,
        now_ms: i64,
        transport: &dyn Transport,
        names: Box<dyn Names>,
    ) -> Result<Self, GossipError> {
        let run = u64::try_from(now_ms).unwrap_or_default();
        let config = ChitchatConfig {
            chitchat_id: ChitchatId::new(settings.name.as_str(), run, settings.advertise),
            cluster_id: settings.cluster.clone(),
            gossip_interval: settings.gossip_interval,
            listen_addr: settings.listen,
            // Looked up here, and again and again.
            seed_nodes: Vec::new(),
            failure_detector_config: FailureDetectorConfig {
                initial_interval: settings.gossip_interval.saturating_mul(5),
                dead_node_grace_period: DEAD_IS_KEPT,
                ..FailureDetectorConfig::default()
            },
            marked_for_deletion_grace_period: DELETED_IS_KEPT,
            catchup_callback: None,
            extra_liveness_predicate: None,
            protocol_version: ProtocolVersion::V1,
        };
        let handle = spawn_chitchat(config, Vec::new(), transport)
            .await
            .map_err(|error| GossipError(format!("{error:#}")))?;
        Ok(Self {
            settings,
            handle,
            names,
            seen: parking_lot::Mutex::default(),
            met: watch::Sender::new(false),
        })
    }

    /// The process that this is.
    pub(crate) fn own(&self) -> Process {
        process(self.handle.chitchat_id())
    }

    /// Changes what this process says; returns all it says.
    pub(crate) async fn say(&self, set: &[(String, String)], delete: &[String]) -> KeyValues {
        self.handle
            .with_chitchat(|chitchat| {
                let state = chitchat.self_node_state();
                for (key, value) in set {
                    state.set(key, value);
                }
                for key in delete {
                    if state.contains_key(key) {
                        state.delete(key);
                    }
                }
                owned(state.key_values())
            })
            .await
    }

    /// What others say that we did not know.
    pub(crate) async fn news(&self) -> News {
        let seen = &self.seen;
        self.handle
            .with_chitchat(|chitchat| {
                let mut seen = seen.lock();
                let mut news = News::default();
                for (id, state) in chitchat.node_states() {
                    news.known.insert(process(id));
                    let version = (state.last_gc_version(), state.max_version());
                    if seen.insert(id.clone(), version) != Some(version) {
                        news.changed.push((process(id), owned(state.key_values())));
                    }
                }
                seen.retain(|id, _| chitchat.node_state(id).is_some());
                news
            })
            .await
    }

    /// Members that gossip calls alive, this one included, and those it calls dead.
    pub(crate) async fn members(&self) -> (usize, usize) {
        self.handle
            .with_chitchat(|chitchat| {
                (chitchat.live_nodes().count(), chitchat.dead_nodes().count())
            })
            .await
    }

    /// Ends when the socket is broken.
    pub(crate) async fn broken(&self) -> String {
        match self.handle.termination_watcher().await {
            Ok(()) => "gossip has ended".to_owned(),
            Err(error) => format!("{error:#}"),
        }
    }

    /// Tells when members or what they say change.
    pub(crate) async fn changes(&self) -> Changes {
        Changes(
            self.handle
                .with_chitchat(|chitchat| chitchat.live_nodes_watcher())
                .await,
        )
    }

    /// Waits until another member was met, or none is to be found, at most `within`.
    pub(crate) async fn settled(&self, within: Duration) {
        let mut met = self.met.subscribe();
        let _ = timeout(within, met.wait_for(|met| *met)).await;
    }

    /// Meets the members of the list, until one answers and then now and then, so that halves find each other again.
    pub(crate) async fn join(&self, shutdown: &CancellationToken) {
        if self.settings.seeds.is_empty() {
            self.met.send_replace(true);
            return shutdown.cancelled().await;
        }
        let mut pause = FIRST_PAUSE;
        let mut alone_told = false;
        loop {
            let (found, failed) = self.ask_seeds().await;
            let (alive, _) = tokio::select! {
                () = shutdown.cancelled() => return,
                members = self.answers(pause.min(FIRST_PAUSE)) => members,
            };
            let nobody = found == 0 && failed.is_empty();
            if alive > 1 || nobody {
                if !self.met.send_replace(true) {
                    info!(members = alive, "joined");
                }
                pause = FIRST_PAUSE;
                alone_told = false;
            } else if !alone_told {
                alone_told = true;
                warn!(
                    asked = found,
                    failed = failed.join("; "),
                    "no member answers yet"
                );
            }
            let wait = if alive > 1 {
                self.settings.rejoin_interval
            } else {
                pause
            };
            pause = pause.saturating_mul(2).min(LAST_PAUSE);
            if wait.is_zero() {
                return shutdown.cancelled().await;
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = sleep(wait) => {}
            }
        }
    }

    /// Says hello to each address of the list that is not a member yet. How many, and what could not be looked up.
    async fn ask_seeds(&self) -> (usize, Vec<String>) {
        let settings = &self.settings;
        let (mut addresses, failed) = resolve(
            &settings.seeds,
            self.names.as_ref(),
            settings.default_port,
            Some(settings.advertise.ip()),
        )
        .await;
        addresses.remove(&settings.advertise);
        let alive: BTreeSet<SocketAddr> = self
            .handle
            .with_chitchat(|chitchat| {
                chitchat
                    .live_nodes()
                    .map(|id| id.gossip_advertise_addr)
                    .collect()
            })
            .await;
        for address in addresses.difference(&alive) {
            // It only fails when gossip has ended, which is seen elsewhere.
            let _ = self.handle.gossip(*address);
        }
        (addresses.len(), failed)
    }

    /// Waits for an answer, at most `within`; members alive and dead.
    async fn answers(&self, within: Duration) -> (usize, usize) {
        let ticks = async {
            let mut ticks = interval(self.settings.gossip_interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while self.members().await.0 <= 1 {
                ticks.tick().await;
            }
        };
        let _ = timeout(within, ticks).await;
        self.members().await
    }

    /// Tells others what was said last, then ends.
    pub(crate) async fn leave(&self) {
        let alive: Vec<SocketAddr> = self
            .handle
            .with_chitchat(|chitchat| {
                let own = chitchat.self_chitchat_id().clone();
                let others = chitchat.live_nodes().filter(|id| **id != own);
                others
                    .map(|id| id.gossip_advertise_addr)
                    .take(TOLD_AT_LEAVE)
                    .collect()
            })
            .await;
        if !alive.is_empty() {
            for address in &alive {
                let _ = self.handle.gossip(*address);
            }
            // A hello, its answer, and what we say to that; and some rounds of the usual kind.
            let rounds = self.settings.gossip_interval.saturating_mul(5);
            sleep(rounds.min(self.settings.leave_timeout)).await;
        }
        if let Err(error) = self.handle.initiate_shutdown() {
            warn!(error = format!("{error:#}"), "gossip had ended already");
        }
    }
}

/// When members or what they say changed.
pub(crate) struct Changes(watch::Receiver<BTreeMap<ChitchatId, NodeState>>);

impl Changes {
    pub(crate) async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // Gossip has ended, which is seen elsewhere.
            std::future::pending::<()>().await;
        }
    }
}

fn owned<'a>(values: impl Iterator<Item = (&'a str, &'a str)>) -> KeyValues {
    values
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests;
