//! The rings of the system.

use std::fmt;
use std::str::FromStr;

/// Which ring.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RingKind {
    /// Where series are stored.
    Ingester,
    /// Who shares global rate limits.
    Distributor,
    /// Who serves which blocks.
    StoreGateway,
    /// Who compacts what.
    Compactor,
    /// Where queries queue.
    QueryScheduler,
    /// Who exports limits.
    OverridesExporter,
}

impl RingKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Ingester,
        Self::Distributor,
        Self::StoreGateway,
        Self::Compactor,
        Self::QueryScheduler,
        Self::OverridesExporter,
    ];

    /// As metrics, pages and gossip name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingester => "ingester",
            Self::Distributor => "distributor",
            Self::StoreGateway => "store-gateway",
            Self::Compactor => "compactor",
            Self::QueryScheduler => "query-scheduler",
            Self::OverridesExporter => "overrides-exporter",
        }
    }

    pub(crate) const fn place(self) -> usize {
        self as usize
    }
}

impl fmt::Display for RingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no ring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no ring")]
pub struct UnknownRing(String);

impl FromStr for RingKind {
    type Err = UnknownRing;

    fn from_str(text: &str) -> Result<Self, UnknownRing> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownRing(text.to_owned()))
    }
}
