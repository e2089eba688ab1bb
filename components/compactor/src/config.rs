//! Settings; YAML section `compactor`, flags `-compactor.*`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgAction, Args};
use phlare_model::flag::go_bool;
use phlare_model::time::{duration, durations};
use phlare_ring::CompactorRing;
use serde::{Deserialize, Serialize};

/// Settings of the compactor.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Directory for blocks that are being merged, and for copies of `meta.json`. It is emptied at the start.
    #[arg(long = "compactor.data-dir", value_name = "DIR")]
    pub data_dir: PathBuf,

    /// Time ranges that blocks are merged into, from short to long, separated by commas; each divides the next.
    #[arg(long = "compactor.block-ranges", value_name = "DURATIONS", value_delimiter = ',', value_parser = duration::parse)]
    #[serde(with = "durations")]
    pub block_ranges: Vec<Duration>,

    /// How often blocks are merged.
    #[arg(long = "compactor.compaction-interval", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub compaction_interval: Duration,

    /// Blocks that are made at once.
    #[arg(long = "compactor.compaction-concurrency", value_name = "NUMBER")]
    pub compaction_concurrency: usize,

    /// How often a tenant is tried in one run before the next tenant's turn.
    #[arg(long = "compactor.compaction-retries", value_name = "NUMBER")]
    pub compaction_retries: usize,

    /// How long one tenant may take in one run; 0 is unlimited. The rest follows in the next run.
    #[arg(long = "compactor.max-compaction-time", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub max_compaction_time: Duration,

    /// How long blocks of ingesters wait for those of other ingesters before they are merged.
    #[arg(long = "compactor.first-level-compaction-wait-period", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub first_level_compaction_wait_period: Duration,

    /// Objects of blocks that are read or written at once.
    #[arg(long = "compactor.block-sync-concurrency", value_name = "NUMBER")]
    pub block_sync_concurrency: usize,

    /// Most blocks that are merged at once. What is more is merged with the result.
    #[arg(long = "compactor.max-blocks-per-job", value_name = "NUMBER")]
    pub max_blocks_per_job: usize,

    /// Memory for pages and row groups while blocks are merged, in bytes, for each job.
    #[arg(long = "compactor.memory-bytes", value_name = "BYTES")]
    pub memory_bytes: u64,

    /// How often old blocks are deleted and the index of the bucket is renewed.
    #[arg(long = "compactor.cleanup-interval", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub cleanup_interval: Duration,

    /// Tenants that are cleaned at once.
    #[arg(long = "compactor.cleanup-concurrency", value_name = "NUMBER")]
    pub cleanup_concurrency: usize,

    /// How long a block that is marked for deletion stays, for readers that still use it.
    #[arg(long = "compactor.deletion-delay", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub deletion_delay: Duration,

    /// Writes tables with sums over 5 minutes and an hour beside merged profiles, if the tenant's limits allow.
    #[arg(long = "compactor.downsampler-enabled", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    pub downsampler_enabled: bool,

    /// Tenants whose blocks are merged, separated by commas; empty is all.
    #[arg(
        long = "compactor.enabled-tenants",
        value_name = "TENANTS",
        value_delimiter = ','
    )]
    #[serde(with = "phlare_model::flag::list")]
    pub enabled_tenants: Vec<String>,

    /// Tenants whose blocks are not merged, separated by commas.
    #[arg(
        long = "compactor.disabled-tenants",
        value_name = "TENANTS",
        value_delimiter = ','
    )]
    #[serde(with = "phlare_model::flag::list")]
    pub disabled_tenants: Vec<String>,

    /// Which blocks are merged first: smallest-range-oldest-blocks-first or newest-blocks-first.
    #[arg(long = "compactor.compaction-jobs-order", value_name = "ORDER")]
    pub compaction_jobs_order: JobsOrder,

    /// Those who share the work.
    #[command(flatten)]
    pub sharding_ring: CompactorRing,
}

impl Default for Config {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(3600);
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            data_dir: PathBuf::from("./data/compactor"),
            block_ranges: vec![HOUR, HOUR * 2, HOUR * 8],
            compaction_interval: MINUTE * 30,
            compaction_concurrency: 1,
            compaction_retries: 3,
            max_compaction_time: HOUR,
            first_level_compaction_wait_period: MINUTE * 25,
            block_sync_concurrency: 8,
            max_blocks_per_job: 64,
            memory_bytes: 256 << 20,
            cleanup_interval: MINUTE * 15,
            cleanup_concurrency: 20,
            deletion_delay: HOUR * 12,
            downsampler_enabled: false,
            enabled_tenants: Vec::new(),
            disabled_tenants: Vec::new(),
            compaction_jobs_order: JobsOrder::default(),
            sharding_ring: CompactorRing::default(),
        }
    }
}

/// Which jobs come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobsOrder {
    /// Shorter ranges, and of those the older ones.
    #[default]
    SmallestRangeOldestBlocksFirst,
    /// Later ranges, and of those that end together the shorter ones.
    NewestBlocksFirst,
}

impl JobsOrder {
    const ALL: [Self; 2] = [
        Self::SmallestRangeOldestBlocksFirst,
        Self::NewestBlocksFirst,
    ];
}

impl fmt::Display for JobsOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SmallestRangeOldestBlocksFirst => "smallest-range-oldest-blocks-first",
            Self::NewestBlocksFirst => "newest-blocks-first",
        })
    }
}

impl FromStr for JobsOrder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let order = Self::ALL
            .into_iter()
            .find(|order| order.to_string() == text);
        order.ok_or_else(|| {
            let [first, second] = Self::ALL;
            format!("`{text}` is no order of jobs: write {first} or {second}")
        })
    }
}

/// Settings that cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// There are no ranges, or one is too short.
    #[error("`compactor.block_ranges` needs at least one range, and none shorter than a second")]
    Ranges,
    /// A range is not a multiple of the one before.
    #[error(
        "`compactor.block_ranges`: {} is no multiple of {}, the range before it",
        phlare_model::time::format_duration(*longer), phlare_model::time::format_duration(*shorter)
    )]
    NoMultiple {
        /// The range before.
        shorter: Duration,
        /// The range.
        longer: Duration,
    },
    /// A number that must not be 0.
    #[error("`compactor.{0}` is 0: nothing would ever be done")]
    Zero(&'static str),
    /// With fewer than two blocks nothing can be merged.
    #[error("`compactor.max_blocks_per_job` is {0}: at least 2")]
    Blocks(usize),
}

impl Config {
    /// Whether the settings can hold.
    ///
    /// # Errors
    /// Names the first key that cannot.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let ranges = &self.block_ranges;
        if ranges.is_empty() || ranges.iter().any(|range| range.as_secs() == 0) {
            return Err(ConfigError::Ranges);
        }
        for pair in ranges.windows(2) {
            if let &[shorter, longer] = pair
                && (longer <= shorter || longer.as_millis() % shorter.as_millis() != 0)
            {
                return Err(ConfigError::NoMultiple { shorter, longer });
            }
        }
        let zeros = [
            ("compaction_interval", self.compaction_interval.is_zero()),
            ("compaction_concurrency", self.compaction_concurrency == 0),
            ("compaction_retries", self.compaction_retries == 0),
            ("block_sync_concurrency", self.block_sync_concurrency == 0),
            ("cleanup_interval", self.cleanup_interval.is_zero()),
            ("cleanup_concurrency", self.cleanup_concurrency == 0),
        ];
        if let Some((name, _)) = zeros.into_iter().find(|(_, zero)| *zero) {
            return Err(ConfigError::Zero(name));
        }
        match self.max_blocks_per_job {
            0 | 1 => Err(ConfigError::Blocks(self.max_blocks_per_job)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_can_hold() {
        Config::default().validate().unwrap();
    }

    #[test]
    fn settings_that_cannot_hold_are_named() {
        const HOUR: Duration = Duration::from_secs(3600);
        let with = |change: &dyn Fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        for (ranges, named) in [
            (vec![], "at least one range"),
            (vec![Duration::ZERO], "at least one range"),
            (vec![HOUR, HOUR], "1h0m0s is no multiple of 1h0m0s"),
            (vec![HOUR * 2, HOUR * 3], "3h0m0s is no multiple of 2h0m0s"),
        ] {
            let text = with(&|config| config.block_ranges = ranges.clone());
            assert!(text.contains(named), "{text}");
        }
        let text = with(&|config| config.compaction_concurrency = 0);
        assert!(
            text.contains("`compactor.compaction_concurrency` is 0"),
            "{text}"
        );
        let text = with(&|config| config.max_blocks_per_job = 1);
        assert!(text.contains("at least 2"), "{text}");
    }

    #[test]
    fn an_order_of_jobs_is_named_as_in_yaml() {
        for order in JobsOrder::ALL {
            assert_eq!(order.to_string().parse(), Ok(order));
        }
        let error = "oldest".parse::<JobsOrder>().unwrap_err();
        assert!(error.contains("newest-blocks-first"), "{error}");
    }
}
