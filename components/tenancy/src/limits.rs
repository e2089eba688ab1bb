//! The limits of one tenant: flag, YAML key, documentation and default at once.
//!
//! Names and defaults: api.md 7, components.md 13.4.

mod exported;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::ArgAction;
use phlare_model::flag::go_bool;
use phlare_model::time::duration;
use serde::{Deserialize, Serialize};

use crate::relabel::RelabelRules;

const MIB: f64 = 1_048_576.0;

/// What one tenant may do; YAML section `limits`.
#[derive(Clone, Debug, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Ingestion rate of a tenant in MB of uncompressed profiles per second; 0 is unlimited.
    #[arg(long = "distributor.ingestion-rate-limit-mb", value_name = "MB")]
    pub ingestion_rate_mb: f64,

    /// Size of the token bucket of the ingestion rate in MB. The bucket that is used is never smaller than
    /// `max_profile_size_bytes`, so that an allowed profile passes on an idle server.
    #[arg(long = "distributor.ingestion-burst-size-mb", value_name = "MB")]
    pub ingestion_burst_size_mb: f64,

    /// Largest body of an ingestion request in MB, after decompression; 0 is unlimited.
    #[arg(long = "distributor.ingestion-body-limit-mb", value_name = "MB")]
    pub ingestion_body_limit_mb: f64,

    /// How many series of one push are worked on at the same time; 0 is unlimited.
    #[arg(long = "distributor.push.max-concurrency", value_name = "COUNT")]
    pub push_max_concurrency: usize,

    /// Rules applied to the labels of each series, as JSON or YAML in one line; syntax of Prometheus' `relabel_config`.
    #[arg(long = "distributor.ingestion-relabeling-rules", value_name = "RULES")]
    pub ingestion_relabeling_rules: RelabelRules,

    /// Where the built-in rules stand among the tenant's: first, last or disabled.
    #[arg(
        long = "distributor.ingestion-relabeling-default-rules-position",
        value_name = "POSITION"
    )]
    pub ingestion_relabeling_default_rules_position: RulesPosition,

    /// Rules that drop or rename sample types; they see `__type__`, `__unit__` and the series' labels.
    #[arg(
        long = "distributor.sample-type-relabeling-rules",
        value_name = "RULES"
    )]
    pub sample_type_relabeling_rules: RelabelRules,

    /// Longest label name in bytes.
    #[arg(long = "validation.max-length-label-name", value_name = "BYTES")]
    pub max_label_name_length: usize,

    /// Longest label value in bytes.
    #[arg(long = "validation.max-length-label-value", value_name = "BYTES")]
    pub max_label_value_length: usize,

    /// Most labels of a series.
    #[arg(long = "validation.max-label-names-per-series", value_name = "COUNT")]
    pub max_label_names_per_series: usize,

    /// Most session ids of a series; 0 drops the session label.
    #[arg(long = "validation.max-sessions-per-series", value_name = "COUNT")]
    pub max_sessions_per_series: usize,

    /// Stores the labels of a series so that the most common ones come first.
    #[arg(long = "validation.enforce-labels-order", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    pub enforce_labels_order: bool,

    /// Keeps label names as they are; otherwise `.` and other odd characters become `_`.
    #[arg(long = "validation.disable-label-sanitization", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    pub disable_label_sanitization: bool,

    /// Largest profile in bytes, uncompressed; 0 is unlimited.
    #[arg(long = "validation.max-profile-size-bytes", value_name = "BYTES")]
    pub max_profile_size_bytes: usize,

    /// Most samples of a profile; what is above is folded into one stack `other`, or refused (see
    /// `-validation.refuse-profiles-over-samples-limit`); 0 is unlimited.
    #[arg(
        long = "validation.max-profile-stacktrace-samples",
        value_name = "COUNT"
    )]
    pub max_profile_stacktrace_samples: usize,

    /// Refuses a profile with more samples than the limit instead of folding its lightest stacks.
    #[arg(long = "validation.refuse-profiles-over-samples-limit", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    pub refuse_profiles_over_samples_limit: bool,

    /// Most labels of a sample; 0 is unlimited.
    #[arg(
        long = "validation.max-profile-stacktrace-sample-labels",
        value_name = "COUNT"
    )]
    pub max_profile_stacktrace_sample_labels: usize,

    /// Most frames of a stack; deeper frames, at the leaf's side, are cut; 0 is unlimited.
    #[arg(long = "validation.max-profile-stacktrace-depth", value_name = "COUNT")]
    pub max_profile_stacktrace_depth: usize,

    /// Longest string of a profile in bytes; of a longer one the end is kept; 0 is unlimited.
    #[arg(
        long = "validation.max-profile-symbol-value-length",
        value_name = "BYTES"
    )]
    pub max_profile_symbol_value_length: usize,

    /// Refuses profiles older than this; 0 accepts any age.
    #[arg(long = "validation.reject-older-than", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub reject_older_than: Duration,

    /// Refuses profiles that lie further in the future than this; 0 accepts any.
    #[arg(long = "validation.reject-newer-than", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub reject_newer_than: Duration,

    /// Ingesters that a tenant's profiles are spread over; 0 is all.
    #[arg(long = "distributor.ingestion-tenant-shard-size", value_name = "COUNT")]
    pub ingestion_tenant_shard_size: usize,

    /// Compactors that merge a tenant's blocks; 0 is all.
    #[arg(long = "compactor.compactor-tenant-shard-size", value_name = "COUNT")]
    pub compactor_tenant_shard_size: usize,

    /// Most active series of a tenant in one ingester; 0 is unlimited.
    #[arg(long = "ingester.max-local-series-per-tenant", value_name = "COUNT")]
    pub max_local_series_per_tenant: usize,

    /// Most active series of a tenant in the whole system; 0 is unlimited.
    #[arg(long = "ingester.max-global-series-per-tenant", value_name = "COUNT")]
    pub max_global_series_per_tenant: usize,

    /// How far back queries see; 0 is unlimited.
    #[arg(long = "querier.max-query-lookback", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub max_query_lookback: Duration,

    /// Longest time range of a query; 0 is unlimited.
    #[arg(long = "querier.max-query-length", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub max_query_length: Duration,

    /// Most parts of a split query that run at the same time; 0 is unlimited.
    #[arg(long = "querier.max-query-parallelism", value_name = "COUNT")]
    pub max_query_parallelism: usize,

    /// How many queriers answer the queries of a tenant, always the same ones as far as possible; 0 is all.
    #[arg(long = "query-scheduler.max-queriers-per-tenant", value_name = "COUNT")]
    pub max_queriers_per_tenant: usize,

    /// Splits queries at multiples of this; 0 does not split.
    #[arg(long = "querier.split-queries-by-interval", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub split_queries_by_interval: Duration,

    /// Answers AnalyzeQuery.
    #[arg(long = "querier.query-analysis-enabled", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    pub query_analysis_enabled: bool,

    /// AnalyzeQuery counts series, too.
    #[arg(long = "querier.query-analysis-series-enabled", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    pub query_analysis_series_enabled: bool,

    /// Nodes of a flame graph when the query names no number.
    #[arg(long = "querier.max-flamegraph-nodes-default", value_name = "COUNT")]
    pub max_flamegraph_nodes_default: i64,

    /// Most nodes that a query may ask for; 0 is unlimited.
    #[arg(long = "querier.max-flamegraph-nodes-max", value_name = "COUNT")]
    pub max_flamegraph_nodes_max: i64,

    /// Applies the two node limits to SelectMergeProfile, too.
    #[arg(long = "querier.max-flamegraph-nodes-on-select-merge-profile", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    pub max_flamegraph_nodes_on_select_merge_profile: bool,

    /// Most steps of a SelectSeries query (range divided by step); 0 is unlimited.
    #[arg(long = "querier.max-query-points", value_name = "COUNT")]
    pub max_query_points: usize,

    /// How long profiles are kept in the bucket, counted from the end of the block that they are in; 0 keeps them for ever.
    #[arg(long = "compactor.blocks-retention-period", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub compactor_blocks_retention_period: Duration,

    /// Blocks that merged blocks are split into, by series; 0 does not split.
    #[arg(long = "compactor.split-and-merge-shards", value_name = "COUNT")]
    pub compactor_split_and_merge_shards: u32,

    /// Shards that are written in one pass; 0 is all. Fewer take less memory and more time.
    #[arg(long = "compactor.split-and-merge-stage-size", value_name = "COUNT")]
    pub compactor_split_and_merge_stage_size: u32,

    /// Groups that blocks are split in, each at once; only with shards.
    #[arg(long = "compactor.split-groups", value_name = "COUNT")]
    pub compactor_split_groups: u32,

    /// How long a directory of a block without `meta.json` stays untouched before it is taken for garbage, at least 4 hours;
    /// 0 keeps it for ever.
    #[arg(long = "compactor.partial-block-deletion-delay", value_name = "DURATION", value_parser = duration::parse)]
    #[serde(with = "duration")]
    pub compactor_partial_block_deletion_delay: Duration,

    /// Writes tables with sums beside merged profiles, if `-compactor.downsampler-enabled` is on, too.
    #[arg(long = "compactor.compactor-downsampler-enabled", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    pub compactor_downsampler_enabled: bool,
}

/// More shards than this are a mistake: each is a block of its own in every window.
const MAX_SHARDS: u32 = 1024;

impl Default for Limits {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(3600);
        Self {
            ingestion_rate_mb: 4.0,
            ingestion_burst_size_mb: 2.0,
            ingestion_body_limit_mb: 256.0,
            push_max_concurrency: 256,
            ingestion_relabeling_rules: RelabelRules::default(),
            ingestion_relabeling_default_rules_position: RulesPosition::First,
            sample_type_relabeling_rules: RelabelRules::default(),
            max_label_name_length: 1024,
            max_label_value_length: 2048,
            max_label_names_per_series: 30,
            max_sessions_per_series: 0,
            enforce_labels_order: false,
            disable_label_sanitization: true,
            max_profile_size_bytes: 4 << 20,
            max_profile_stacktrace_samples: 16_000,
            refuse_profiles_over_samples_limit: false,
            max_profile_stacktrace_sample_labels: 100,
            max_profile_stacktrace_depth: 1000,
            max_profile_symbol_value_length: 65_535,
            reject_older_than: HOUR,
            reject_newer_than: Duration::from_secs(600),
            ingestion_tenant_shard_size: 0,
            compactor_tenant_shard_size: 0,
            max_local_series_per_tenant: 0,
            max_global_series_per_tenant: 5000,
            max_query_lookback: HOUR * 24 * 7,
            max_query_length: HOUR * 24,
            max_query_parallelism: 0,
            max_queriers_per_tenant: 0,
            split_queries_by_interval: Duration::ZERO,
            query_analysis_enabled: true,
            query_analysis_series_enabled: false,
            max_flamegraph_nodes_default: 8192,
            max_flamegraph_nodes_max: 1 << 20,
            max_flamegraph_nodes_on_select_merge_profile: false,
            max_query_points: 100_000,
            compactor_blocks_retention_period: Duration::ZERO,
            compactor_split_and_merge_shards: 0,
            compactor_split_and_merge_stage_size: 0,
            compactor_split_groups: 1,
            compactor_partial_block_deletion_delay: HOUR * 24,
            compactor_downsampler_enabled: true,
        }
    }
}

/// A combination of limits that cannot hold.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LimitsError {
    /// A number that makes no sense.
    #[error("`{name}` is {value}: must be a finite number, 0 or more")]
    Number {
        /// The YAML name.
        name: &'static str,
        /// What was given.
        value: f64,
    },
    /// A count that makes no sense.
    #[error("`{name}` is {value}: must be 0 or more")]
    Negative {
        /// The YAML name.
        name: &'static str,
        /// What was given.
        value: i64,
    },
    /// A limit that nothing can pass.
    #[error("`{name}` is 0: nothing could be stored; the default is {default}")]
    Zero {
        /// The YAML name.
        name: &'static str,
        /// The default value.
        default: usize,
    },
    /// The number of nodes that a query gets is more than one may ask for.
    #[error(
        "`max_flamegraph_nodes_default` ({default}) is above `max_flamegraph_nodes_max` ({max}): \
         every query without a number of nodes would be refused"
    )]
    DefaultNodes {
        /// `max_flamegraph_nodes_default`.
        default: i64,
        /// `max_flamegraph_nodes_max`.
        max: i64,
    },
    /// More shards than make sense.
    #[error("`compactor_split_and_merge_shards` is {0}: at most {MAX_SHARDS}")]
    Shards(u32),
    /// A body that cannot carry the largest allowed profile.
    #[error(
        "`ingestion_body_limit_mb` ({body_bytes} bytes) is below `max_profile_size_bytes` ({profile_bytes}): \
         a profile of the allowed size could never be sent"
    )]
    BodyBelowProfile {
        /// `ingestion_body_limit_mb` in bytes.
        body_bytes: usize,
        /// `max_profile_size_bytes`.
        profile_bytes: usize,
    },
}

impl LimitsError {
    /// The YAML names of the limits that it is about.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        match self {
            Self::Number { name, .. } | Self::Negative { name, .. } | Self::Zero { name, .. } => {
                vec![name]
            }
            Self::DefaultNodes { .. } => {
                vec!["max_flamegraph_nodes_default", "max_flamegraph_nodes_max"]
            }
            Self::Shards(_) => vec!["compactor_split_and_merge_shards"],
            Self::BodyBelowProfile { .. } => {
                vec!["ingestion_body_limit_mb", "max_profile_size_bytes"]
            }
        }
    }
}

impl Limits {
    /// Whether the limits can hold together.
    ///
    /// # Errors
    /// Names the first key that cannot, its value and what it collides with.
    pub fn validate(&self) -> Result<(), LimitsError> {
        for (name, value) in [
            ("ingestion_rate_mb", self.ingestion_rate_mb),
            ("ingestion_burst_size_mb", self.ingestion_burst_size_mb),
            ("ingestion_body_limit_mb", self.ingestion_body_limit_mb),
        ] {
            if !value.is_finite() || value < 0.0 {
                return Err(LimitsError::Number { name, value });
            }
        }
        let defaults = Self::default();
        for (name, value, default) in [
            (
                "max_label_name_length",
                self.max_label_name_length,
                defaults.max_label_name_length,
            ),
            (
                "max_label_value_length",
                self.max_label_value_length,
                defaults.max_label_value_length,
            ),
            (
                "max_label_names_per_series",
                self.max_label_names_per_series,
                defaults.max_label_names_per_series,
            ),
        ] {
            if value == 0 {
                return Err(LimitsError::Zero { name, default });
            }
        }
        for (name, value) in [
            (
                "max_flamegraph_nodes_default",
                self.max_flamegraph_nodes_default,
            ),
            ("max_flamegraph_nodes_max", self.max_flamegraph_nodes_max),
        ] {
            if value < 0 {
                return Err(LimitsError::Negative { name, value });
            }
        }
        let (default, max) = (
            self.max_flamegraph_nodes_default,
            self.max_flamegraph_nodes_max,
        );
        if max > 0 && default > max {
            return Err(LimitsError::DefaultNodes { default, max });
        }
        if self.compactor_split_and_merge_shards > MAX_SHARDS {
            return Err(LimitsError::Shards(self.compactor_split_and_merge_shards));
        }
        let (body_bytes, profile_bytes) = (
            self.ingestion_body_limit_bytes(),
            self.max_profile_size_bytes,
        );
        if body_bytes.is_some_and(|body| body < profile_bytes) {
            return Err(LimitsError::BodyBelowProfile {
                body_bytes: body_bytes.unwrap_or_default(),
                profile_bytes,
            });
        }
        Ok(())
    }

    /// Bytes per second that a tenant may send; `None` if unlimited.
    #[must_use]
    pub fn ingestion_rate_bytes(&self) -> Option<f64> {
        (self.ingestion_rate_mb > 0.0).then_some(self.ingestion_rate_mb * MIB)
    }

    /// Size of the token bucket: `ingestion_burst_size_mb`, and at least `max_profile_size_bytes` with
    /// some room for the labels, so that what is allowed at all passes on an idle server.
    #[must_use]
    pub fn ingestion_burst_bytes(&self) -> f64 {
        const LABELS: usize = 64 << 10;
        let profile = self.max_profile_size_bytes.saturating_add(LABELS);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a size limit, exact far beyond any memory"
        )]
        let profile = profile as f64;
        (self.ingestion_burst_size_mb * MIB).max(profile)
    }

    /// Largest body of an ingestion request; `None` if unlimited.
    #[must_use]
    pub fn ingestion_body_limit_bytes(&self) -> Option<usize> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "`as` saturates, and the value is positive"
        )]
        let bytes = (self.ingestion_body_limit_mb * MIB) as usize;
        (bytes > 0).then_some(bytes)
    }
}

/// Where the built-in relabel rules stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RulesPosition {
    /// Before the tenant's rules.
    #[default]
    First,
    /// After the tenant's rules.
    Last,
    /// Nowhere.
    Disabled,
}

impl fmt::Display for RulesPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "first",
            Self::Last => "last",
            Self::Disabled => "disabled",
        })
    }
}

impl FromStr for RulesPosition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "first" => Ok(Self::First),
            "last" => Ok(Self::Last),
            "disabled" => Ok(Self::Disabled),
            _ => Err(format!(
                "`{text}` is no position: write first, last or disabled"
            )),
        }
    }
}

#[cfg(test)]
mod tests;
