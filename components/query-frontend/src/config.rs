//! Settings of the query-frontend; YAML section `frontend`, flags `-query-frontend.*`.

use clap::Args;
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
            max_answer_bytes: 256 << 20,
        }
    }
}
