//! Dashboards: what there is to see of writes, reads, storage and tenants.

mod reads;
mod storage;
mod writes;

use std::collections::BTreeMap;

use super::super::{Error, Meta};
use super::panels::{Dashboard, Panel, Row};
use super::{PUSHES, QUERIES, Scope};
use crate::hash;

/// Files by name. The sidecar puts files of all namespaces into one directory.
pub(super) fn files(meta: &Meta<'_>) -> Result<BTreeMap<String, String>, Error> {
    let scope = Scope::of(meta);
    let uid = hash::of(format!("{}/{}", meta.namespace, meta.name).as_bytes());
    let file = |dashboard: Dashboard| {
        let text = serde_json::to_string(&dashboard.json(&scope, &uid))?;
        let name = format!(
            "phlare-{}-{}-{}.json",
            meta.namespace, meta.name, dashboard.key
        );
        Ok((name, text))
    };
    [writes(), reads(), storage(), tenants()]
        .into_iter()
        .map(file)
        .collect()
}

/// A chart of one query.
fn one(
    title: &'static str,
    unit: &'static str,
    query: impl Into<String>,
    legend: &'static str,
    description: &'static str,
) -> Panel {
    Panel {
        title,
        description,
        unit,
        queries: vec![(query.into(), legend)],
    }
}

/// A chart of several queries.
fn several(
    title: &'static str,
    unit: &'static str,
    queries: &[(&str, &'static str)],
    description: &'static str,
) -> Panel {
    let queries = queries
        .iter()
        .map(|&(query, legend)| (query.to_owned(), legend));
    Panel {
        title,
        description,
        unit,
        queries: queries.collect(),
    }
}

/// Rate, codes and times of requests on some routes.
fn requests(title: &'static str, routes: &str) -> Row {
    let rates = |by: &str| {
        format!(
            r#"sum by ({by}) (rate(pyroscope_request_duration_seconds_count{{$$,route=~"{routes}"}}[$__rate_interval]))"#
        )
    };
    let quantile = |q: &str| {
        format!(
            r#"histogram_quantile({q}, sum by (le) (rate(pyroscope_request_duration_seconds_bucket{{$$,route=~"{routes}"}}[$__rate_interval])))"#
        )
    };
    Row {
        title,
        panels: vec![
            one(
                "Requests by code",
                "reqps",
                rates("status_code"),
                "{{status_code}}",
                "4xx: refused, the client can do something about it. 5xx: failed.",
            ),
            one(
                "Requests by route",
                "reqps",
                rates("route"),
                "{{route}}",
                "",
            ),
            Panel {
                title: "Time",
                description: "Time until a request was answered.",
                unit: "s",
                queries: vec![(quantile("0.5"), "half"), (quantile("0.99"), "99 %")],
            },
        ],
    }
}

fn writes() -> Dashboard {
    Dashboard {
        key: "writes",
        title: "Writes",
        variable: None,
        rows: vec![
            requests("Pushes", PUSHES),
            writes::profiles(),
            writes::replicas(),
            writes::log_and_memory(),
            writes::processes(),
        ],
    }
}

fn reads() -> Dashboard {
    Dashboard {
        key: "reads",
        title: "Reads",
        variable: None,
        rows: vec![
            requests("Queries", QUERIES),
            reads::queue(),
            reads::trouble(),
            reads::reading(),
        ],
    }
}

fn storage() -> Dashboard {
    Dashboard {
        key: "storage",
        title: "Storage",
        variable: None,
        rows: vec![
            storage::object_store(),
            storage::uploads(),
            storage::compactor(),
            storage::blocks(),
        ],
    }
}

fn tenants() -> Dashboard {
    Dashboard {
        key: "tenants",
        title: "Tenants",
        variable: Some((
            "tenant",
            "pyroscope_distributor_received_decompressed_bytes_count",
        )),
        rows: vec![
            Row {
                title: "Pushes",
                panels: vec![
                    one(
                        "Profiles",
                        "ops",
                        r#"sum by (tenant) (rate(pyroscope_distributor_received_decompressed_bytes_count{$$,tenant=~"$tenant"}[$__rate_interval]))"#,
                        "{{tenant}}",
                        "",
                    ),
                    one(
                        "Bytes",
                        "Bps",
                        r#"sum by (tenant) (rate(pyroscope_distributor_received_decompressed_bytes_sum{$$,tenant=~"$tenant"}[$__rate_interval]))"#,
                        "{{tenant}}",
                        "Uncompressed; limit: `ingestionRateMb`.",
                    ),
                    one(
                        "Samples",
                        "ops",
                        r#"sum by (tenant) (rate(pyroscope_distributor_received_samples_sum{$$,tenant=~"$tenant"}[$__rate_interval]))"#,
                        "{{tenant}}",
                        "",
                    ),
                ],
            },
            Row {
                title: "Not stored",
                panels: vec![
                    one(
                        "Profiles",
                        "ops",
                        r#"sum by (tenant, reason) (rate(pyroscope_discarded_samples_total{$$,tenant=~"$tenant"}[$__rate_interval]))"#,
                        "{{tenant}}: {{reason}}",
                        "Limits are raised in `spec.limits.overrides`.",
                    ),
                    one(
                        "Bytes",
                        "Bps",
                        r#"sum by (tenant, reason) (rate(pyroscope_discarded_bytes_total{$$,tenant=~"$tenant"}[$__rate_interval]))"#,
                        "{{tenant}}: {{reason}}",
                        "",
                    ),
                ],
            },
            Row {
                title: "Queries",
                panels: vec![
                    one(
                        "Waiting",
                        "short",
                        r#"sum by (tenant) (pyroscope_query_scheduler_queue_length{$$,tenant=~"$tenant"})"#,
                        "{{tenant}}",
                        "",
                    ),
                    one(
                        "Refused because too many wait",
                        "ops",
                        r#"sum by (tenant) (rate(pyroscope_query_scheduler_discarded_requests_total{$$,tenant=~"$tenant"}[$__rate_interval]))"#,
                        "{{tenant}}",
                        "",
                    ),
                ],
            },
            Row {
                title: "Blocks",
                panels: vec![
                    one(
                        "In the bucket",
                        "short",
                        r#"sum by (user) (max by (user, compaction_level) (pyroscope_bucket_blocks_count{$$,user=~"$tenant"}))"#,
                        "{{user}}",
                        "",
                    ),
                    one(
                        "To be deleted",
                        "short",
                        r#"max by (user) (pyroscope_bucket_blocks_marked_for_deletion_count{$$,user=~"$tenant"})"#,
                        "{{user}}",
                        "",
                    ),
                ],
            },
        ],
    }
}
