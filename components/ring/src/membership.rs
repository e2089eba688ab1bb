//! The rings as this process knows them, and its place in them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use phlare_model::Clock;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::entry::{self, KeyValues};
use crate::forget::ForgetRule;
#[cfg(test)]
use crate::gossip::GossipSettings;
use crate::gossip::{Changes, Figures, Gossip, GossipError};
use crate::table::{Process, Table};
use crate::{Instance, InstanceId, Ring, RingKind, RingSettings};

/// How often rings are looked over, if nothing happens.
const LOOK: Duration = Duration::from_secs(1);

/// What readers of each ring agree on, and when it forgets.
#[derive(Clone, Debug, Default)]
pub struct Rings(BTreeMap<RingKind, (RingSettings, Option<ForgetRule>)>);

impl Rings {
    /// Settings of one ring; without, it has one replica and forgets nobody.
    #[must_use]
    pub fn with(
        mut self,
        kind: RingKind,
        settings: RingSettings,
        forget: Option<ForgetRule>,
    ) -> Self {
        self.0.insert(kind, (settings, forget));
        self
    }

    fn settings(&self, kind: RingKind) -> RingSettings {
        self.0
            .get(&kind)
            .map(|(settings, _)| settings.clone())
            .unwrap_or_default()
    }
}

/// The rings as this process knows them. Cheap to clone.
///
/// In a single process nothing leaves it: entries go straight into the rings. Several processes gossip.
#[derive(Clone, Debug)]
pub struct Membership(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    rings: Rings,
    table: Mutex<Table>,
    voice: Voice,
    figures: Figures,
}

/// Where this process says what it has to say.
#[derive(Debug)]
enum Voice {
    Alone(Mutex<KeyValues>),
    Gossip(Box<Gossip>),
}

impl Membership {
    /// For a process that is alone: no socket, no task.
    #[must_use]
    pub fn alone(rings: Rings, clock: Arc<dyn Clock>) -> Self {
        Self::new(
            rings,
            clock,
            Voice::Alone(Mutex::default()),
            Figures::default(),
        )
    }

    fn new(rings: Rings, clock: Arc<dyn Clock>, voice: Voice, figures: Figures) -> Self {
        let table = Table::new(|kind| rings.settings(kind));
        Self(Arc::new(Shared {
            clock,
            rings,
            table: Mutex::new(table),
            voice,
            figures,
        }))
    }

    /// For one process of several: listens on the gossip port. [`Membership::run`] does the rest.
    ///
    /// # Errors
    /// The settings make no sense, or the port cannot be listened on.
    pub async fn gossip(
        settings: crate::GossipConfig,
        rings: Rings,
        clock: Arc<dyn Clock>,
        figures: Figures,
    ) -> Result<Self, GossipError> {
        let settings = settings
            .check()
            .map_err(|error| GossipError(phlare_model::chain(&error)))?;
        info!(
            listen = %settings.listen,
            advertise = %settings.advertise,
            cluster = settings.cluster,
            sealed = !settings.secrets.is_empty(),
            "gossip"
        );
        let gossip = Gossip::begin(settings, clock.now_ms(), figures.clone()).await?;
        Ok(Self::new(
            rings,
            clock,
            Voice::Gossip(Box::new(gossip)),
            figures,
        ))
    }

    #[cfg(test)]
    pub(crate) async fn over(
        settings: GossipSettings,
        rings: Rings,
        clock: Arc<dyn Clock>,
        transport: &dyn chitchat::transport::Transport,
        names: Box<dyn crate::seeds::Names>,
    ) -> Result<Self, GossipError> {
        let gossip = Gossip::begin_over(settings, clock.now_ms(), transport, names).await?;
        Ok(Self::new(
            rings,
            clock,
            Voice::Gossip(Box::new(gossip)),
            Figures::default(),
        ))
    }

    /// The clock that heartbeats go by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    /// A ring as it is known now.
    #[must_use]
    pub fn ring(&self, kind: RingKind) -> Ring {
        self.0.table.lock().ring(kind)
    }

    /// A ring, and its changes. A heartbeat is no change: health is asked with a time.
    #[must_use]
    pub fn subscribe(&self, kind: RingKind) -> watch::Receiver<Ring> {
        self.0.table.lock().subscribe(kind)
    }

    /// Sets the entry of an instance of this process, with a heartbeat.
    pub async fn publish(&self, kind: RingKind, instance: &Instance) {
        let [tokens, body] = entry::entry(kind, instance);
        let beat = entry::beat(kind, &instance.id, instance.heartbeat.ms());
        self.say(&[tokens, beat, body], &[]).await;
    }

    /// Says that an instance of this process is alive.
    pub async fn beat(&self, kind: RingKind, id: &InstanceId, now_ms: i64) {
        self.say(&[entry::beat(kind, id, now_ms)], &[]).await;
    }

    /// Takes an instance of this process out of its ring.
    pub async fn remove(&self, kind: RingKind, id: &InstanceId) {
        self.say(&[], &entry::keys(kind, id)).await;
    }

    /// Takes an instance out of a ring, whoever's it is. It comes back with its next heartbeat, if it is alive.
    /// False if the ring does not have it.
    pub async fn forget(&self, kind: RingKind, id: &InstanceId) -> bool {
        let last = self.0.table.lock().last_beat(kind, id);
        let (Some(last), Some(_)) = (last, self.ring(kind).instance(id)) else {
            return false;
        };
        self.say(&[entry::forget(kind, id, last)], &[]).await;
        true
    }

    async fn say(&self, set: &[(String, String)], delete: &[String]) {
        match &self.0.voice {
            Voice::Alone(values) => {
                // Locked until it is heard: what is said last counts last.
                let mut values = values.lock();
                values.extend(set.iter().cloned());
                values.retain(|key, _| !delete.contains(key));
                self.hear([(Process::alone(), values.clone())]);
            }
            Voice::Gossip(gossip) => {
                let values = gossip.say(set, delete).await;
                self.hear([(gossip.own(), values)]);
            }
        }
    }

    fn hear(&self, said: impl IntoIterator<Item = (Process, KeyValues)>) {
        let now_ms = self.0.clock.now_ms();
        let mut table = self.0.table.lock();
        for (process, values) in said {
            let said = entry::read(&values);
            self.0.figures.bad(said.bad);
            table.update(process, said, now_ms);
        }
        table.publish();
    }

    /// Members of the cluster that gossip calls alive, and dead. Alone: one.
    pub async fn members(&self) -> (usize, usize) {
        match &self.0.voice {
            Voice::Alone(_) => (1, 0),
            Voice::Gossip(gossip) => gossip.members().await,
        }
    }

    /// Waits until another process was met or there is none, at most `within`, so that a member that starts finds
    /// the entry of its earlier run.
    pub async fn settled(&self, within: Duration) {
        if let Voice::Gossip(gossip) = &self.0.voice {
            gossip.settled(within).await;
            self.look().await;
        }
    }

    /// Joins, keeps the rings up to date and forgets who is to be forgotten, until `shutdown`; then leaves.
    ///
    /// # Errors
    /// The gossip socket broke.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<(), GossipError> {
        let Voice::Gossip(gossip) = &self.0.voice else {
            self.look_until(&shutdown, None).await;
            return Ok(());
        };
        let changes = gossip.changes().await;
        tokio::select! {
            () = self.look_until(&shutdown, Some(changes)) => {}
            () = gossip.join(&shutdown) => {}
            error = gossip.broken() => return Err(GossipError(error)),
        }
        gossip.leave().await;
        Ok(())
    }

    async fn look_until(&self, shutdown: &CancellationToken, mut changes: Option<Changes>) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let changed = async {
                match &mut changes {
                    Some(changes) => changes.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {
                    self.look().await;
                    self.forget_the_dead().await;
                }
                () = changed => self.look().await,
            }
        }
    }

    /// Takes in what others said.
    async fn look(&self) {
        let Voice::Gossip(gossip) = &self.0.voice else {
            return;
        };
        let news = gossip.news().await;
        self.0
            .table
            .lock()
            .retain(|process| news.known.contains(process));
        self.hear(news.changed);
    }

    async fn forget_the_dead(&self) {
        let now_ms = self.0.clock.now_ms();
        for (kind, (_, rule)) in &self.0.rings.0 {
            let Some(rule) = rule else { continue };
            for id in rule.forgettable(&self.ring(*kind), now_ms) {
                warn!(ring = %kind, instance = %id, after = ?rule.after, "a dead instance is forgotten");
                self.forget(*kind, &id).await;
            }
        }
        let over = self.0.table.lock().idle_forgets(&self.own());
        if !over.is_empty() {
            let keys: Vec<_> = over
                .iter()
                .map(|(kind, id)| entry::forget_key(*kind, id))
                .collect();
            self.say(&[], &keys).await;
        }
    }

    fn own(&self) -> Process {
        match &self.0.voice {
            Voice::Alone(_) => Process::alone(),
            Voice::Gossip(gossip) => gossip.own(),
        }
    }
}

#[cfg(test)]
mod tests;
