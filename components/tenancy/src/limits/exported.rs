//! Limits that are shown as figures.

use super::Limits;

impl Limits {
    /// The limits that upstream shows as figures, by the names that it uses there, durations in seconds
    /// (components.md 10).
    #[must_use]
    pub fn figures(&self) -> [(&'static str, f64); 14] {
        let count = |count: usize| count as f64;
        [
            ("ingestion_rate_mb", self.ingestion_rate_mb),
            ("ingestion_burst_size_mb", self.ingestion_burst_size_mb),
            (
                "max_global_series_per_tenant",
                count(self.max_global_series_per_tenant),
            ),
            (
                "max_series_per_tenant",
                count(self.max_local_series_per_tenant),
            ),
            ("max_label_name_length", count(self.max_label_name_length)),
            ("max_label_value_length", count(self.max_label_value_length)),
            (
                "max_label_names_per_series",
                count(self.max_label_names_per_series),
            ),
            (
                "max_sessions_per_series",
                count(self.max_sessions_per_series),
            ),
            ("max_query_lookback", self.max_query_lookback.as_secs_f64()),
            ("max_query_length", self.max_query_length.as_secs_f64()),
            ("max_query_parallelism", count(self.max_query_parallelism)),
            (
                "split_queries_by_interval",
                self.split_queries_by_interval.as_secs_f64(),
            ),
            (
                "max_flamegraph_nodes_default",
                self.max_flamegraph_nodes_default as f64,
            ),
            (
                "max_flamegraph_nodes_max",
                self.max_flamegraph_nodes_max as f64,
            ),
        ]
    }
}
