//! Settings of the querier; YAML section `querier`, flags `-querier.*`.

use std::time::Duration;

use clap::Args;
use phlare_model::time::duration;
use serde::{Deserialize, Serialize};

/// Settings of the querier.
#[derive(Clone, Debug, PartialEq, Eq, Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Blocks of the bucket are asked only if they begin longer ago than this. 0, the default: all are asked, and nothing is
    /// counted twice. Ingesters keep their blocks at least so long.
    #[arg(long = "querier.query-store-after", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub query_store_after: Duration,

    /// In a fleet: most profiles that a query may match in one store. Each costs 8 bytes in both.
    #[arg(long = "querier.max-profile-keys", value_name = "COUNT")]
    pub max_profile_keys: usize,

    /// In a fleet: a store that has not answered after this is not waited for if others have the same profiles.
    #[arg(long = "querier.store-hedge-after", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub store_hedge_after: Duration,

    /// In a fleet: how long a store may take for one call.
    #[arg(long = "querier.store-timeout", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub store_timeout: Duration,

    /// In a fleet: largest answer of one store.
    #[arg(long = "querier.store-max-message-bytes", value_name = "BYTES")]
    pub store_max_message_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            query_store_after: Duration::ZERO,
            max_profile_keys: 16 << 20,
            store_hedge_after: Duration::from_secs(1),
            store_timeout: Duration::from_secs(60),
            store_max_message_bytes: 512 << 20,
        }
    }
}

/// How a querier takes queries from query-schedulers; YAML section `frontend_worker`.
#[derive(Clone, Debug, PartialEq, Eq, Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerConfig {
    /// Name of this querier where it takes queries from; empty is the host name.
    #[arg(id = "querier.id", long = "querier.id", value_name = "NAME")]
    pub id: String,

    /// As `-query-frontend.scheduler-address`, for the queries that this querier takes.
    #[arg(
        id = "querier.scheduler-address",
        long = "querier.scheduler-address",
        value_name = "LIST",
        value_delimiter = ','
    )]
    #[serde(with = "phlare_model::flag::list")]
    pub scheduler_address: Vec<String>,

    /// How often these addresses are looked up.
    #[arg(id = "querier.dns-lookup-period", long = "querier.dns-lookup-period",
        value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub dns_lookup_duration: Duration,

    /// Queries that this querier answers at once.
    #[arg(long = "querier.max-concurrent", value_name = "COUNT")]
    pub max_concurrent: usize,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            id: String::new(),
            scheduler_address: Vec::new(),
            dns_lookup_duration: Duration::from_secs(10),
            max_concurrent: 4,
        }
    }
}
