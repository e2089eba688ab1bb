//! Settings of the other members: the same ones for each ring, under names of its own.

use std::sync::Arc;
use std::time::Duration;

use phlare_model::time::duration;
use serde::{Deserialize, Serialize};

use super::{ConfigError, host_name};
use crate::address::{advertised, host_and_port};
use crate::{ForgetRule, Identity, MemberSettings, RingKind, RingSettings};

/// What the settings of each ring say, whatever their names are.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberConfig {
    /// Which ring.
    pub kind: RingKind,
    /// How many tokens a member has.
    pub tokens: usize,
    /// How many members own a key.
    pub replication_factor: usize,
    /// A silent member is forgotten after as many heartbeat timeouts.
    pub forget_timeouts: u32,
    /// How often a member says that it is alive.
    pub heartbeat_period: Duration,
    /// Age of the last heartbeat from which on it is unhealthy.
    pub heartbeat_timeout: Duration,
    /// Its name; empty is the host name.
    pub instance_id: String,
    /// Its address; empty is that of the default route.
    pub instance_addr: String,
    /// Its port; 0 is that of the server.
    pub instance_port: u16,
    /// Its availability zone.
    pub zone: String,
    /// Its entry goes when it stops.
    pub unregister_on_shutdown: bool,
}

impl MemberConfig {
    /// Checks what can be checked without looking at the machine.
    ///
    /// # Errors
    /// Names the key, its value and what it may be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.heartbeat_period.is_zero() || self.heartbeat_period >= self.heartbeat_timeout {
            return Err(ConfigError::Range {
                key: match self.kind {
                    RingKind::Ingester => "ingester.lifecycler.heartbeat_period",
                    RingKind::Distributor => "distributor.ring.heartbeat_period",
                    RingKind::StoreGateway => "store_gateway.sharding_ring.heartbeat_period",
                    RingKind::Compactor => "compactor.sharding_ring.heartbeat_period",
                    RingKind::QueryScheduler => "query_scheduler.ring.heartbeat_period",
                    RingKind::OverridesExporter => "overrides_exporter.ring.heartbeat_period",
                },
                value: phlare_model::time::format_duration(self.heartbeat_period),
                allowed: "more than 0 and less than `heartbeat_timeout`",
            });
        }
        Ok(())
    }

    /// As readers need them.
    #[must_use]
    pub fn settings(&self) -> RingSettings {
        RingSettings {
            replication_factor: self.replication_factor,
            heartbeat_timeout: self.heartbeat_timeout,
            zone_awareness: false,
            excluded_zones: Vec::new(),
        }
    }

    /// When a member is forgotten. None of them holds data.
    #[must_use]
    pub fn forget(&self) -> ForgetRule {
        ForgetRule {
            after: self.heartbeat_timeout.saturating_mul(self.forget_timeouts),
            only_replicated: false,
        }
    }

    /// How a member lives.
    #[must_use]
    pub fn member(&self) -> MemberSettings {
        MemberSettings {
            tokens: self.tokens,
            heartbeat_period: self.heartbeat_period,
            join_after: Duration::ZERO,
            observe_period: Duration::ZERO,
            min_ready_duration: Duration::ZERO,
            unregister_on_shutdown: self.unregister_on_shutdown,
        }
    }

    /// Who a member is, if the server listens on `port`.
    ///
    /// # Errors
    /// No address is set, and the system does not tell one.
    pub fn identity(&self, port: u16) -> Result<Identity, ConfigError> {
        let address = advertised(&self.instance_addr).map_err(|problem| ConfigError::Address {
            key: "instance_addr",
            problem,
        })?;
        let port = match self.instance_port {
            0 => port,
            port => port,
        };
        Ok(Identity {
            ring: self.kind.to_string(),
            id: match self.instance_id.as_str() {
                "" => host_name().as_str().into(),
                id => id.into(),
            },
            addr: host_and_port(address, port),
            zone: Arc::from(self.zone.as_str()),
        })
    }
}

/// A ring's settings: the flags begin with `$prefix`.
macro_rules! ring_config {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:expr, tokens: $tokens:literal, factor: $factor:literal, forget: $forget:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
        #[group(skip)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            /// How often a member of this ring says that it is alive.
            #[arg(long = concat!($prefix, ".heartbeat-period"), id = concat!($prefix, ".heartbeat-period"), value_name = "DURATION", value_parser = duration::parse)]
            #[serde(with = "duration")]
            pub heartbeat_period: Duration,

            /// Age of the last heartbeat from which on a member of this ring is unhealthy.
            #[arg(long = concat!($prefix, ".heartbeat-timeout"), id = concat!($prefix, ".heartbeat-timeout"), value_name = "DURATION", value_parser = duration::parse)]
            #[serde(with = "duration")]
            pub heartbeat_timeout: Duration,

            /// Name in this ring; empty is the host name.
            #[arg(long = concat!($prefix, ".instance-id"), id = concat!($prefix, ".instance-id"), value_name = "NAME")]
            pub instance_id: String,

            /// Address under which others of this ring reach this process; empty is that of another ring, or of the default route.
            #[arg(long = concat!($prefix, ".instance-addr"), id = concat!($prefix, ".instance-addr"), value_name = "ADDRESS")]
            pub instance_addr: String,

            /// Port under which others of this ring reach this process; 0 is that of the server.
            #[arg(long = concat!($prefix, ".instance-port"), id = concat!($prefix, ".instance-port"), value_name = "PORT")]
            pub instance_port: u16,
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    heartbeat_period: Duration::from_secs(15),
                    heartbeat_timeout: Duration::from_secs(60),
                    instance_id: String::new(),
                    instance_addr: String::new(),
                    instance_port: 0,
                }
            }
        }

        impl $name {
            /// What they say.
            #[must_use]
            pub fn member(&self) -> MemberConfig {
                MemberConfig {
                    kind: $kind,
                    tokens: $tokens,
                    replication_factor: $factor,
                    forget_timeouts: $forget,
                    heartbeat_period: self.heartbeat_period,
                    heartbeat_timeout: self.heartbeat_timeout,
                    instance_id: self.instance_id.clone(),
                    instance_addr: self.instance_addr.clone(),
                    instance_port: self.instance_port,
                    zone: String::new(),
                    unregister_on_shutdown: true,
                }
            }
        }
    };
}

ring_config! {
    /// Settings of distributors as members; YAML section `distributor.ring`.
    DistributorRing, "distributor.ring", RingKind::Distributor, tokens: 1, factor: 1, forget: 10
}
ring_config! {
    /// Settings of store-gateways as members; YAML section `store_gateway.sharding_ring`.
    StoreGatewayRing, "store-gateway.sharding-ring", RingKind::StoreGateway, tokens: 512, factor: 3, forget: 10
}
ring_config! {
    /// Settings of compactors as members; YAML section `compactor.sharding_ring`.
    CompactorRing, "compactor.ring", RingKind::Compactor, tokens: 512, factor: 1, forget: 10
}
ring_config! {
    /// Settings of query-schedulers as members; YAML section `query_scheduler.ring`.
    QuerySchedulerRing, "query-scheduler.ring", RingKind::QueryScheduler, tokens: 1, factor: 1, forget: 4
}
