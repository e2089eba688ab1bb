//! Settings of the query-frontend; YAML section `frontend`, flags `-query-frontend.*`.

use std::time::Duration;

use clap::Args;
use phlare_model::time::duration;
use serde::{Deserialize, Serialize};

/// Settings of the query-frontend.
#[derive(Clone, Debug, PartialEq, Eq, Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How often a query is asked again, of another query-scheduler if there is one, when its querier or its query-scheduler
    /// went away.
    #[arg(
        id = "query-frontend.max-retries",
        long = "query-frontend.max-retries",
        value_name = "COUNT"
    )]
    pub max_retries: usize,

    /// Where query-schedulers are, if `-query-scheduler.service-discovery-mode` is `dns`: `host:port`, `dns+host:port`,
    /// `dnssrv+service`, separated by commas.
    #[arg(
        id = "query-frontend.scheduler-address",
        long = "query-frontend.scheduler-address",
        value_name = "LIST",
        value_delimiter = ','
    )]
    #[serde(with = "phlare_model::flag::list")]
    pub scheduler_address: Vec<String>,

    /// How often these addresses are looked up.
    #[arg(id = "query-frontend.scheduler-dns-lookup-period", long = "query-frontend.scheduler-dns-lookup-period",
        value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub scheduler_dns_lookup_period: Duration,

    /// Largest answer that a querier brings.
    #[arg(
        id = "query-frontend.max-answer-bytes",
        long = "query-frontend.max-answer-bytes",
        value_name = "BYTES"
    )]
    pub max_answer_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_retries: 3,
            scheduler_address: Vec::new(),
            scheduler_dns_lookup_period: Duration::from_secs(10),
            max_answer_bytes: 256 << 20,
        }
    }
}
