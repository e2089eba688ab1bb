//! Members of a ring.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde::{Deserialize, Serialize};

use crate::Tokens;

/// Name of an instance, unique in its ring; a replacement with the same name takes over. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct InstanceId(Arc<str>);

impl InstanceId {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for InstanceId {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an instance is in its life. "Unhealthy" is no state: it is a heartbeat that is too old.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Known, owns nothing yet.
    Pending,
    /// Has tokens, is not ready to serve them.
    Joining,
    /// Serves.
    Active,
    /// Takes nothing new; still answers until it is gone.
    Leaving,
}

impl State {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Joining, Self::Active, Self::Leaving];

    /// As pages and metrics show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Joining => "JOINING",
            Self::Active => "ACTIVE",
            Self::Leaving => "LEAVING",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no state of an instance")]
pub struct UnknownState(String);

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| UnknownState(text.to_owned()))
    }
}

/// When an instance was last heard of. Shared by all snapshots of a ring, so that a heartbeat does not make a new one.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat(Arc<AtomicI64>);

impl Heartbeat {
    /// Heard at `ms` milliseconds since the epoch.
    #[must_use]
    pub fn at_ms(ms: i64) -> Self {
        Self(Arc::new(AtomicI64::new(ms)))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Heard at `ms`, unless it was heard later.
    pub fn beat(&self, ms: i64) {
        self.0.fetch_max(ms, Ordering::Relaxed);
    }
}

/// A member of a ring.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Its name.
    pub id: InstanceId,
    /// Where it serves: `host:port`, IPv6 in brackets.
    pub addr: String,
    /// Its availability zone; empty if there are none.
    pub zone: Arc<str>,
    /// Where it is in its life.
    pub state: State,
    /// What it owns.
    pub tokens: Tokens,
    /// When it first joined, in milliseconds since the epoch. Kept by a restart.
    pub registered_ms: i64,
    /// It was never active, so it holds nothing that a read could miss.
    pub fresh: bool,
    /// Takes nothing new, for a scale-down.
    pub read_only: bool,
    /// When `read_only` changed, in milliseconds since the epoch; 0 if never.
    pub read_only_changed_ms: i64,
    /// When it was last heard of.
    pub heartbeat: Heartbeat,
}

impl Instance {
    /// Whether it was heard of within `timeout_ms`.
    #[must_use]
    pub fn is_alive(&self, timeout_ms: i64, now_ms: i64) -> bool {
        now_ms.saturating_sub(self.heartbeat.ms()) <= timeout_ms
    }

    /// Somebody of whom nothing but the address is known: that is its name, too. It counts as alive.
    #[must_use]
    pub fn at(address: SocketAddr, state: State) -> Self {
        let addr = address.to_string();
        Self {
            id: addr.as_str().into(),
            addr,
            zone: "".into(),
            state,
            tokens: Tokens::default(),
            registered_ms: 0,
            fresh: false,
            read_only: false,
            read_only_changed_ms: 0,
            heartbeat: Heartbeat::at_ms(i64::MAX),
        }
    }

    /// Whether it has a name of its own, which calls can say.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.id.as_str() != self.addr
    }

    /// Equal but for the heartbeat.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.id == other.id
            && self.addr == other.addr
            && self.zone == other.zone
            && self.state == other.state
            && self.tokens == other.tokens
            && self.registered_ms == other.registered_ms
            && self.fresh == other.fresh
            && self.read_only == other.read_only
            && self.read_only_changed_ms == other.read_only_changed_ms
    }
}
