//! Which instance owns what: hash rings, the life cycle of their members, and the gossip by which members learn of
//! each other.
//!
//! Knows nothing of profiles, blocks, HTTP or the components that use it. Decisions (who owns a key, which instances
//! a tenant has, what a member does next, who may be forgotten) are pure functions of a [`Ring`] and a time.

mod address;
mod config;
mod discovery;
mod entry;
mod error;
mod forget;
mod gossip;
mod instance;
mod kind;
mod lifecycle;
mod member;
mod membership;
pub mod metrics;
mod replication;
mod ring;
mod seeds;
mod shard;
mod status;
mod table;
mod token;
mod tokens;

#[cfg(test)]
mod testing;

pub use self::ring::{Ring, RingSettings};
pub use address::{AddressError, advertised, host_and_port};
pub use config::{
    CompactorRing, ConfigError, DistributorRing, GossipConfig, IngesterRing, Lifecycler,
    MemberConfig, QuerySchedulerRing, StoreGatewayRing, host_name,
};
pub use discovery::Discovery;
pub use error::Error;
pub use forget::ForgetRule;
pub use gossip::{Figures, GossipError};
pub use instance::{Heartbeat, Instance, InstanceId, State, UnknownState};
pub use kind::{RingKind, UnknownRing};
pub use lifecycle::{End, Identity, Lifecycle, MemberSettings, Origin, Step, Wish};
pub use member::{Member, MemberState, MemberTask};
pub use membership::{Membership, Rings};
pub use replication::{Operation, Quorum, ReplicationSet, Tally, Verdict};
pub use seeds::BadSeed;
pub use status::{InstanceStatus, RingStatus};
pub use token::Token;
pub use tokens::{BadTokens, Tokens, TokensFileError};
