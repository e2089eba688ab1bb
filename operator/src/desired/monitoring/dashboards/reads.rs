//! Charts of the way of queries.

use super::{Row, one, several};

pub(super) fn queue() -> Row {
    Row {
        title: "Queue",
        panels: vec![
            one(
                "Queries that wait",
                "short",
                "sum(pyroscope_query_scheduler_queue_length{$$})",
                "waiting",
                "Waiting for a querier. If it stays above zero, there are too few queriers.",
            ),
            one(
                "Time in the queue",
                "s",
                "histogram_quantile(0.9, sum by (le) (rate(pyroscope_query_scheduler_queue_duration_seconds_bucket{$$}[$__rate_interval])))",
                "90 %",
                "",
            ),
            several(
                "Queries at work",
                "short",
                &[
                    (
                        "sum(phlare_querier_taken_queries_running{$$})",
                        "running at queriers",
                    ),
                    (
                        "sum(phlare_query_scheduler_inflight_requests{$$})",
                        "waiting or running",
                    ),
                    (
                        "sum(pyroscope_query_scheduler_connected_querier_clients{$$})",
                        "queriers connected",
                    ),
                ],
                "",
            ),
        ],
    }
}

pub(super) fn trouble() -> Row {
    Row {
        title: "Queries that did not go well",
        panels: vec![
            one(
                "Refused",
                "ops",
                "sum by (reason) (rate(phlare_query_frontend_refused_queries_total{$$}[$__rate_interval]))",
                "{{reason}}",
                "Refused before anything was read, by the limit.",
            ),
            one(
                "Asked again",
                "ops",
                "sum by (operation) (rate(phlare_query_frontend_repeated_queries_total{$$}[$__rate_interval]))",
                "{{operation}}",
                "Their querier or query-scheduler went away.",
            ),
            several(
                "Calls of stores",
                "ops",
                &[
                    (
                        "sum(rate(phlare_querier_store_calls_total{$$}[$__rate_interval]))",
                        "calls",
                    ),
                    (
                        "sum(rate(phlare_querier_store_call_failures_total{$$}[$__rate_interval]))",
                        "failed",
                    ),
                ],
                "Queriers ask ingesters and store-gateways.",
            ),
        ],
    }
}

pub(super) fn reading() -> Row {
    Row {
        title: "What queries read",
        panels: vec![
            one(
                "Time of a query",
                "s",
                "histogram_quantile(0.9, sum by (operation, le) (rate(phlare_querier_query_duration_seconds_bucket{$$}[$__rate_interval])))",
                "{{operation}}",
                "90 % of the answers took less.",
            ),
            one(
                "Bytes of blocks for a query",
                "bytes",
                "histogram_quantile(0.9, sum by (operation, le) (rate(phlare_querier_query_read_bytes_bucket{$$}[$__rate_interval])))",
                "{{operation}}",
                "90 % of the answers read less.",
            ),
            one(
                "Cache of blocks",
                "percentunit",
                "sum(rate(phlare_block_cache_hits_total{$$}[$__rate_interval])) / (sum(rate(phlare_block_cache_hits_total{$$}[$__rate_interval])) + sum(rate(phlare_block_cache_misses_total{$$}[$__rate_interval])))",
                "found in memory",
                "Pieces of blocks that were in memory already.",
            ),
        ],
    }
}
