//! What tenants may do.

#![expect(
    unreachable_pub,
    reason = "the derive makes a second type of each, which nobody reaches"
)]

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::Opaque;

/// What tenants may do: all of them, and single ones. A change reaches the running pods without a restart.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
pub struct TenantLimits {
    /// Limits of every tenant that has none of its own.
    #[serde(default)]
    pub defaults: Limits,

    /// Limits by tenant; what one does not say is as in `defaults`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 2000))]
    #[x_kube(validation = Rule::new("self.all(tenant, tenant.size() <= 150 && tenant.matches('^[-a-zA-Z0-9!_.*\\'()]+$'))").message(
        "spec.limits.overrides: a tenant's name has up to 150 letters, digits and -!_.*'()"
    ))]
    pub overrides: BTreeMap<String, Limits>,
}

/// Limits of one tenant, as in the section `limits` of Phlare's configuration; what is not said is Phlare's default.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Ingestion rate of a tenant in MB of uncompressed profiles per second; 0 is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ingestion_rate_mb: Option<f64>,

    /// Size of the token bucket of the ingestion rate in MB. The bucket that is used is never smaller than
    /// `max_profile_size_bytes`, so that an allowed profile passes on an idle server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ingestion_burst_size_mb: Option<f64>,

    /// Largest body of an ingestion request in MB, after decompression; 0 is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ingestion_body_limit_mb: Option<f64>,

    /// How many series of one push are worked on at the same time; 0 is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub push_max_concurrency: Option<i64>,

    /// Rules applied to the labels of each series, as JSON or YAML in one line; syntax of Prometheus' `relabel_config`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "atomic"))]
    pub ingestion_relabeling_rules: Option<Vec<Opaque>>,

    /// Where the built-in rules stand among the tenant's: first, last or disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = "^(first|last|disabled)$"))]
    pub ingestion_relabeling_default_rules_position: Option<String>,

    /// Rules that drop or rename sample types; they see `__type__`, `__unit__` and the series' labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "atomic"))]
    pub sample_type_relabeling_rules: Option<Vec<Opaque>>,

    /// Longest label name in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_label_name_length: Option<i64>,

    /// Longest label value in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_label_value_length: Option<i64>,

    /// Most labels of a series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_label_names_per_series: Option<i64>,

    /// Most session ids of a series; 0 drops the session label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_sessions_per_series: Option<i64>,

    /// Stores the labels of a series so that the most common ones come first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforce_labels_order: Option<bool>,

    /// Keeps label names as they are; otherwise `.` and other odd characters become `_`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_label_sanitization: Option<bool>,

    /// Largest profile in bytes, uncompressed; 0 is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_profile_size_bytes: Option<i64>,

    /// Most samples of a profile; what is above is folded into one stack `other`, or refused (see
    /// `-validation.refuse-profiles-over-samples-limit`); 0 is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_profile_stacktrace_samples: Option<i64>,

    /// Refuses a profile with more samples than the limit instead of folding its lightest stacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuse_profiles_over_samples_limit: Option<bool>,

    /// Most labels of a sample; 0 is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_profile_stacktrace_sample_labels: Option<i64>,

    /// Most frames of a stack; deeper frames, at the leaf's side, are cut; 0 is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_profile_stacktrace_depth: Option<i64>,

    /// Longest string of a profile in bytes; of a longer one the end is kept; 0 is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_profile_symbol_value_length: Option<i64>,

    /// Refuses profiles older than this; 0 accepts any age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub reject_older_than: Option<String>,

    /// Refuses profiles that lie further in the future than this; 0 accepts any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub reject_newer_than: Option<String>,

    /// Ingesters that a tenant's profiles are spread over; 0 is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ingestion_tenant_shard_size: Option<i64>,

    /// Compactors that merge a tenant's blocks; 0 is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub compactor_tenant_shard_size: Option<i64>,

    /// Most active series of a tenant in one ingester; 0 is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_local_series_per_tenant: Option<i64>,

    /// Most active series of a tenant in the whole system; 0 is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_global_series_per_tenant: Option<i64>,

    /// How far back queries see; 0 is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub max_query_lookback: Option<String>,

    /// Longest time range of a query; 0 is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub max_query_length: Option<String>,

    /// Most parts of a split query that run at the same time; 0 is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_query_parallelism: Option<i64>,

    /// How many queriers answer the queries of a tenant, always the same ones as far as possible; 0 is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_queriers_per_tenant: Option<i64>,

    /// Splits queries at multiples of this; 0 does not split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub split_queries_by_interval: Option<String>,

    /// Answers AnalyzeQuery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_analysis_enabled: Option<bool>,

    /// AnalyzeQuery counts series, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_analysis_series_enabled: Option<bool>,

    /// Nodes of a flame graph when the query names no number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_flamegraph_nodes_default: Option<i64>,

    /// Most nodes that a query may ask for; 0 is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_flamegraph_nodes_max: Option<i64>,

    /// Applies the two node limits to SelectMergeProfile, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_flamegraph_nodes_on_select_merge_profile: Option<bool>,

    /// Most steps of a SelectSeries query (range divided by step); 0 is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_query_points: Option<i64>,

    /// How long profiles are kept in the bucket, counted from the end of the block that they are in; 0 keeps them for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub compactor_blocks_retention_period: Option<String>,

    /// Blocks that merged blocks are split into, by series; 0 does not split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub compactor_split_and_merge_shards: Option<i64>,

    /// Shards that are written in one pass; 0 is all. Fewer take less memory and more time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub compactor_split_and_merge_stage_size: Option<i64>,

    /// Groups that blocks are split in, each at once; only with shards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub compactor_split_groups: Option<i64>,

    /// How long a directory of a block without `meta.json` stays untouched before it is taken for garbage, at least 4 hours;
    /// 0 keeps it for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub compactor_partial_block_deletion_delay: Option<String>,

    /// Writes tables with sums beside merged profiles, if `-compactor.downsampler-enabled` is on, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compactor_downsampler_enabled: Option<bool>,
}
