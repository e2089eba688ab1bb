//! Charts of the way of profiles.

use super::{Row, one, several};

pub(super) fn profiles() -> Row {
    Row {
        title: "Profiles",
        panels: vec![
            one(
                "Profiles received",
                "ops",
                "sum by (type) (rate(phlare_distributor_profile_bytes_count{$$}[$__rate_interval]))",
                "{{type}}",
                "Profiles per second by their kind.",
            ),
            one(
                "Bytes received",
                "Bps",
                "sum by (type) (rate(phlare_distributor_profile_bytes_sum{$$}[$__rate_interval]))",
                "{{type}}",
                "Uncompressed.",
            ),
            one(
                "Profiles not stored",
                "ops",
                "sum by (reason) (rate(pyroscope_discarded_samples_total{$$}[$__rate_interval]))",
                "{{reason}}",
                "By reason; the dashboard Tenants says whose.",
            ),
        ],
    }
}

pub(super) fn replicas() -> Row {
    Row {
        title: "Replicas",
        panels: vec![
            several(
                "Profiles at ingesters",
                "ops",
                &[
                    (
                        "sum(rate(phlare_distributor_replicas_stored_total{$$}[$__rate_interval]))",
                        "stored",
                    ),
                    (
                        "sum(rate(phlare_distributor_replicas_refused_total{$$}[$__rate_interval]))",
                        "refused",
                    ),
                    (
                        "sum(rate(phlare_distributor_replicas_unavailable_total{$$}[$__rate_interval]))",
                        "away or too slow",
                    ),
                    (
                        "sum(rate(phlare_distributor_replicas_stood_in_total{$$}[$__rate_interval]))",
                        "offered to another one",
                    ),
                ],
                "Of several processes only: how ingesters took the copies of profiles.",
            ),
            one(
                "Ring",
                "short",
                "max by (name, state) (pyroscope_ring_members{$$})",
                "{{name}} {{state}}",
                "Members by state; unhealthy ones are not heard of any more.",
            ),
        ],
    }
}

pub(super) fn log_and_memory() -> Row {
    Row {
        title: "Write-ahead log and memory",
        panels: vec![
            one(
                "Time to disk",
                "s",
                "histogram_quantile(0.99, sum by (pod, le) (rate(phlare_wal_fsync_duration_seconds_bucket{$$}[$__rate_interval])))",
                "{{pod}}",
                "99 % of the groups of records were on the disk within this time.",
            ),
            one(
                "Log on disk",
                "bytes",
                "phlare_wal_segment_bytes{$$}",
                "{{pod}}",
                "Goes down when a head has become blocks.",
            ),
            several(
                "Heads",
                "bytes",
                &[
                    ("pyroscope_head_size_bytes{$$}", "{{pod}}"),
                    ("max(phlare_ingester_head_max_bytes{$$})", "limit"),
                ],
                "Memory of recent profiles; beyond the limit pushes are refused.",
            ),
        ],
    }
}

pub(super) fn processes() -> Row {
    Row {
        title: "Processes",
        panels: vec![
            one(
                "Processor",
                "short",
                "sum by (component) (rate(process_cpu_seconds_total{$$}[$__rate_interval]))",
                "{{component}}",
                "Processors in use.",
            ),
            one(
                "Memory",
                "bytes",
                "max by (component) (process_resident_memory_bytes{$$})",
                "{{component}}",
                "Of the largest pod of each component.",
            ),
            one(
                "Pods",
                "short",
                "sum by (component) (up{$$})",
                "{{component}}",
                "Pods that answer Prometheus.",
            ),
        ],
    }
}
