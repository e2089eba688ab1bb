//! Settings of ingesters as members; YAML section `ingester.lifecycler`, flags `-ingester.*`, `-ring.*`,
//! `-distributor.*`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ArgAction;
use phlare_model::flag::go_bool;
use phlare_model::time::duration;
use serde::{Deserialize, Serialize};

use super::{ConfigError, host_name};
use crate::address::{advertised, host_and_port};
use crate::{ForgetRule, Identity, MemberSettings, RingKind, RingSettings};

/// Settings of an ingester as a member of its ring.
#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct Lifecycler {
    /// What all who read the ring agree on.
    #[command(flatten)]
    pub ring: IngesterRing,

    /// Tokens of this ingester.
    #[arg(long = "ingester.num-tokens", value_name = "NUMBER")]
    pub num_tokens: usize,

    /// How often this ingester says that it is alive.
    #[arg(long = "ingester.heartbeat-period", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub heartbeat_period: Duration,

    /// How long this ingester waits before it takes tokens, if it has none from an earlier run.
    #[arg(long = "ingester.join-after", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub join_after: Duration,

    /// How long this ingester watches for others with the same tokens before it is active.
    #[arg(long = "ingester.observe-period", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub observe_period: Duration,

    /// How long this ingester is active before it is ready.
    #[arg(long = "ingester.min-ready-duration", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub min_ready_duration: Duration,

    /// File that keeps the tokens; empty: they follow from the name of the ingester.
    #[arg(long = "ingester.tokens-file-path", value_name = "FILE")]
    pub tokens_file_path: PathBuf,

    /// Takes this ingester out of the ring when it stops. Otherwise it stays as LEAVING, and its keys come back to it.
    #[arg(long = "ingester.unregister-on-shutdown", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    pub unregister_on_shutdown: bool,

    /// Availability zone of this ingester.
    #[arg(long = "ingester.availability-zone", value_name = "ZONE")]
    pub availability_zone: String,

    /// Name of this ingester; empty is the host name.
    #[arg(long = "ingester.lifecycler.ID", value_name = "NAME")]
    pub id: String,

    /// Address under which others reach this ingester; empty is that of the default route.
    #[arg(long = "ingester.lifecycler.addr", value_name = "ADDRESS")]
    pub address: String,
}

/// What all who read the ring of ingesters agree on.
#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct IngesterRing {
    /// Ingesters that store each series; 0 is 3, or 1 if this process is the whole system.
    #[arg(long = "distributor.replication-factor", value_name = "NUMBER")]
    pub replication_factor: usize,

    /// Stores each series in as many zones as it has replicas.
    #[arg(long = "distributor.zone-awareness-enabled", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    pub zone_awareness_enabled: bool,

    /// Zones whose ingesters are not used, separated by commas.
    #[arg(long = "distributor.excluded-zones", value_name = "LIST")]
    pub excluded_zones: String,

    /// Age of the last heartbeat from which on an ingester is unhealthy.
    #[arg(long = "ring.heartbeat-timeout", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub heartbeat_timeout: Duration,

    /// How long after it became unhealthy an ingester is forgotten, if its replicas have all it held: never with one replica, and never while more are unhealthy than replicas cover. 0 is never.
    #[arg(long = "ring.auto-forget-after", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub auto_forget_after: Duration,
}

impl Default for Lifecycler {
    fn default() -> Self {
        Self {
            ring: IngesterRing::default(),
            num_tokens: 128,
            heartbeat_period: Duration::from_secs(5),
            join_after: Duration::ZERO,
            observe_period: Duration::ZERO,
            min_ready_duration: Duration::from_secs(15),
            tokens_file_path: PathBuf::new(),
            unregister_on_shutdown: true,
            availability_zone: String::new(),
            id: String::new(),
            address: String::new(),
        }
    }
}

impl Default for IngesterRing {
    fn default() -> Self {
        Self {
            replication_factor: 0,
            zone_awareness_enabled: false,
            excluded_zones: String::new(),
            heartbeat_timeout: Duration::from_secs(60),
            auto_forget_after: Duration::from_secs(600),
        }
    }
}

impl IngesterRing {
    /// As readers need them. `several`: the process is one of several.
    #[must_use]
    pub fn settings(&self, several: bool) -> RingSettings {
        let zones = self.excluded_zones.split(',').map(str::trim);
        RingSettings {
            replication_factor: match self.replication_factor {
                0 if several => 3,
                factor => factor.max(1),
            },
            heartbeat_timeout: self.heartbeat_timeout,
            zone_awareness: self.zone_awareness_enabled,
            excluded_zones: zones
                .filter(|zone| !zone.is_empty())
                .map(str::to_owned)
                .collect(),
        }
    }

    /// When an ingester is forgotten, if ever.
    #[must_use]
    pub fn forget(&self) -> Option<ForgetRule> {
        (!self.auto_forget_after.is_zero()).then(|| ForgetRule {
            after: self
                .heartbeat_timeout
                .saturating_add(self.auto_forget_after),
            only_replicated: true,
        })
    }
}

impl Lifecycler {
    /// Checks what can be checked without looking at the machine.
    ///
    /// # Errors
    /// Names the key, its value and what it may be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let number = |key, value: usize, least: usize, most: usize, allowed| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(ConfigError::Range {
                key,
                value: value.to_string(),
                allowed,
            })
        };
        number(
            "ingester.lifecycler.num_tokens",
            self.num_tokens,
            1,
            4096,
            "between 1 and 4096",
        )?;
        let factor = self.ring.replication_factor;
        number(
            "ingester.lifecycler.ring.replication_factor",
            factor,
            0,
            64,
            "at most 64",
        )?;
        if self.heartbeat_period.is_zero() || self.heartbeat_period >= self.ring.heartbeat_timeout {
            return Err(ConfigError::Range {
                key: "ingester.lifecycler.heartbeat_period",
                value: phlare_model::time::format_duration(self.heartbeat_period),
                allowed: "more than 0 and less than `ring.heartbeat_timeout`",
            });
        }
        Ok(())
    }

    /// Who this ingester is, if it serves on `port`.
    ///
    /// # Errors
    /// No address is set, and the system does not tell one.
    pub fn identity(&self, port: u16) -> Result<Identity, ConfigError> {
        let address = advertised(&self.address).map_err(|problem| ConfigError::Address {
            key: "ingester.lifecycler.address",
            problem,
        })?;
        Ok(Identity {
            ring: RingKind::Ingester.to_string(),
            id: match self.id.as_str() {
                "" => host_name().as_str().into(),
                id => id.into(),
            },
            addr: host_and_port(address, port),
            zone: Arc::from(self.availability_zone.as_str()),
        })
    }

    /// How this ingester lives.
    #[must_use]
    pub fn member(&self) -> MemberSettings {
        MemberSettings {
            tokens: self.num_tokens,
            heartbeat_period: self.heartbeat_period,
            join_after: self.join_after,
            observe_period: self.observe_period,
            min_ready_duration: self.min_ready_duration,
            unregister_on_shutdown: self.unregister_on_shutdown,
        }
    }
}
