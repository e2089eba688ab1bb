//! Settings of the ingester; YAML section `ingester`, flags `-ingester.*`.

use clap::Args;
use serde::{Deserialize, Serialize};

/// Settings of the ingester.
#[derive(Clone, Debug, PartialEq, Eq, Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Tenants that may have a database here; a further tenant's profiles are refused. 0 is unlimited.
    #[arg(long = "ingester.max-tenants", value_name = "NUMBER")]
    pub max_tenants: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_tenants: 10_000,
        }
    }
}
