//! Settings of the ingester; YAML section `ingester`, flags `-ingester.*`.

use clap::Args;
use phlare_ring::Lifecycler;
use serde::{Deserialize, Serialize};

/// Settings of the ingester.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Tenants that may have a database here; a further tenant's profiles are refused. 0 is unlimited.
    #[arg(long = "ingester.max-tenants", value_name = "NUMBER")]
    pub max_tenants: usize,

    /// Its life as a member of the ring.
    #[command(flatten)]
    pub lifecycler: Lifecycler,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_tenants: 10_000,
            lifecycler: Lifecycler::default(),
        }
    }
}
