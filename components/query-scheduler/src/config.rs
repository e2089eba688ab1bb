//! Settings of the query-scheduler; YAML section `query_scheduler`, flags `-query-scheduler.*`.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use phlare_model::time::duration;
use phlare_ring::QuerySchedulerRing;
use serde::{Deserialize, Serialize};

/// Settings of the query-scheduler.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Most queries of a tenant that wait in one query-scheduler; more are refused.
    #[arg(
        long = "query-scheduler.max-outstanding-requests-per-tenant",
        value_name = "COUNT"
    )]
    pub max_outstanding_requests_per_tenant: usize,

    /// How long a querier that went without saying so keeps its place among the queriers of tenants.
    #[arg(long = "query-scheduler.querier-forget-delay", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub querier_forget_delay: Duration,

    /// How queriers and query-frontends find query-schedulers: `ring`, or `dns`, by the addresses of
    /// `-query-frontend.scheduler-address` and `-querier.scheduler-address`.
    #[arg(long = "query-scheduler.service-discovery-mode", value_name = "MODE")]
    pub service_discovery_mode: DiscoveryMode,

    /// How many query-schedulers are used; 0 is all.
    #[arg(long = "query-scheduler.max-used-instances", value_name = "COUNT")]
    pub max_used_instances: usize,

    /// Where queriers and query-frontends find query-schedulers.
    #[command(flatten)]
    pub ring: QuerySchedulerRing,
}

/// How query-schedulers are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiscoveryMode {
    /// In their ring.
    Ring,
    /// By addresses that are looked up again and again.
    Dns,
}

impl FromStr for DiscoveryMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ring" => Ok(Self::Ring),
            "dns" => Ok(Self::Dns),
            _ => Err(format!(
                "`{text}` is no way to find them: write ring or dns"
            )),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_outstanding_requests_per_tenant: 100,
            querier_forget_delay: Duration::ZERO,
            service_discovery_mode: DiscoveryMode::Ring,
            max_used_instances: 0,
            ring: QuerySchedulerRing::default(),
        }
    }
}

/// Settings that cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Every query would be refused.
    #[error(
        "`query_scheduler.max_outstanding_requests_per_tenant` is 0: every query would be refused; the default is 100"
    )]
    NoQueue,
}

impl Config {
    /// Whether the settings can hold.
    ///
    /// # Errors
    /// Names the key that cannot.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self.max_outstanding_requests_per_tenant {
            0 => Err(ConfigError::NoQueue),
            _ => Ok(()),
        }
    }
}
