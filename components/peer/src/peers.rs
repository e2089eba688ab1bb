//! Connections to the members of a ring.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use phlare_credentials::{ClientTls, TokenFile};
use phlare_ring::{Instance, InstanceId, Ring};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tracing::debug;

use crate::connect::connect;
use crate::{CallError, Channel};

/// Figures of connections.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    connections: Gauge,
}

impl Metrics {
    /// Registers them. `clients`: who is connected to, for example `ingester`.
    pub fn register(registry: &mut Registry, clients: &'static str) -> Self {
        let metrics = Self::default();
        let labels = [("peer".into(), clients.into())].into_iter();
        registry.sub_registry_with_labels(labels).register(
            "phlare_peer_connections",
            "Members of the ring to which there is a connection, or was one",
            metrics.connections.clone(),
        );
        metrics
    }
}

/// Connections to the members of one ring. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Peers(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// By instance: an address that another instance has taken over is another connection.
    channels: Mutex<HashMap<InstanceId, (String, Channel)>>,
    metrics: Metrics,
    own: Own,
}

/// What this process has to show others, and whom it believes. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// `None`: nothing is encrypted.
    pub tls: Option<ClientTls>,
    /// Sent with each call.
    pub token: Option<TokenFile>,
}

impl Peers {
    /// No connections yet.
    #[must_use]
    pub fn new(metrics: Metrics, own: Own) -> Self {
        Self(Arc::new(Shared {
            channels: Mutex::default(),
            metrics,
            own,
        }))
    }

    /// The connection to an instance; it is opened by the first call. Needs a tokio runtime.
    ///
    /// # Errors
    /// The instance has an address that is none.
    pub fn channel(&self, instance: &Instance) -> Result<Channel, CallError> {
        let mut channels = self.0.channels.lock();
        if let Some((addr, channel)) = channels.get(&instance.id)
            && *addr == instance.addr
        {
            return Ok(channel.clone());
        }
        let Own { tls, token } = &self.0.own;
        let channel = connect(&instance.addr, tls.as_ref())
            .map_err(|error| CallError::address(instance, &error))?;
        let channel = Channel::new(channel, token.clone());
        let entry = (instance.addr.clone(), channel.clone());
        channels.insert(instance.id.clone(), entry);
        self.count(&channels);
        Ok(channel)
    }

    /// Closes connections to instances that have left a ring, until nobody changes it any more.
    pub async fn follow(self, mut ring: watch::Receiver<Ring>) {
        loop {
            self.keep(&[ring.borrow_and_update().clone()]);
            if ring.changed().await.is_err() {
                return;
            }
        }
    }

    /// As [`Self::follow`], for members of either ring.
    pub async fn follow_either(
        self,
        mut one: watch::Receiver<Ring>,
        mut other: watch::Receiver<Ring>,
    ) {
        loop {
            let rings = [&mut one, &mut other].map(|ring| ring.borrow_and_update().clone());
            self.keep(&rings);
            let changed = tokio::select! {
                changed = one.changed() => changed,
                changed = other.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }

    fn keep(&self, rings: &[Ring]) {
        let mut channels = self.0.channels.lock();
        channels.retain(|id, (addr, _)| {
            let mut known = rings.iter().filter_map(|ring| ring.instance(id));
            let kept = known.any(|known| known.addr == *addr);
            if !kept {
                debug!(instance = %id, addr, "no member any more: its connection is closed");
            }
            kept
        });
        self.count(&channels);
    }

    fn count(&self, channels: &HashMap<InstanceId, (String, Channel)>) {
        let connections = i64::try_from(channels.len()).unwrap_or(i64::MAX);
        self.0.metrics.connections.set(connections);
    }
}

#[cfg(test)]
mod tests {
    use phlare_ring::{Heartbeat, RingSettings, State, Tokens};

    use super::*;

    fn instance(id: &str, addr: &str) -> Arc<Instance> {
        Arc::new(Instance {
            id: id.into(),
            addr: addr.to_owned(),
            zone: "".into(),
            state: State::Active,
            tokens: Tokens::default(),
            registered_ms: 0,
            fresh: false,
            read_only: false,
            read_only_changed_ms: 0,
            heartbeat: Heartbeat::default(),
        })
    }

    #[tokio::test]
    async fn connections_live_as_long_as_their_members() {
        let peers = Peers::default();
        let connected = || peers.0.metrics.connections.get();
        let (a, b) = (instance("a", "127.0.0.1:1"), instance("b", "[::1]:2"));
        peers.channel(&a).unwrap();
        peers.channel(&a).unwrap();
        peers.channel(&b).unwrap();
        assert_eq!(connected(), 2);
        // Another instance at the address of one that is gone.
        let c = instance("c", "127.0.0.1:1");
        peers.channel(&c).unwrap();
        let ring = Ring::new(Arc::new(RingSettings::default()), vec![b, c]);
        peers.keep(&[ring]);
        assert_eq!(connected(), 2);
        assert!(!peers.0.channels.lock().contains_key(&a.id));
        peers.keep(&[Ring::new(Arc::new(RingSettings::default()), Vec::new())]);
        assert_eq!(connected(), 0);
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_named() {
        let error = Peers::default().channel(&instance("a", "no address"));
        let text = error.unwrap_err().status.message;
        assert!(
            text.contains("`a`") && text.contains("no address"),
            "{text}"
        );
    }
}
