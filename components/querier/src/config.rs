//! Settings of the querier; YAML section `querier`, flags `-querier.*`.

use std::time::Duration;

use clap::Args;
use phlare_model::time::duration;
use serde::{Deserialize, Serialize};

/// Settings of the querier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Blocks of the bucket are asked only if they begin longer ago than this. 0, the default: all are asked, and nothing is
    /// counted twice. Ingesters keep their blocks at least so long.
    #[arg(long = "querier.query-store-after", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub query_store_after: Duration,
}
