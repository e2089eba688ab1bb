//! Alerts: what somebody has to see to, and what to do.

use serde_json::{Value, json};

use super::{PUSHES, QUERIES, Scope};

/// How soon somebody has to look.
#[derive(Clone, Copy)]
enum Severity {
    /// Profiles or answers are being lost.
    Critical,
    /// They will be.
    Warning,
}

/// An alert; `$$` in the expression selects the resource's figures.
struct Alert {
    name: &'static str,
    severity: Severity,
    /// For how long it has to hold.
    lasting: &'static str,
    expression: String,
    summary: &'static str,
    what_to_do: &'static str,
}

/// Groups of a PrometheusRule.
pub(super) fn groups(scope: &Scope) -> Vec<Value> {
    let groups = [
        ("components", components()),
        ("writes", writes()),
        ("reads", reads()),
        ("storage", storage()),
    ];
    let mut all: Vec<_> = groups
        .into_iter()
        .map(|(name, alerts)| {
            let rules = alerts.iter().map(|alert| rule(scope, alert, Scope::query));
            group(scope, name, rules.collect())
        })
        .collect();
    let alerts = operators();
    let rules = alerts
        .iter()
        .map(|alert| rule(scope, alert, Scope::operators_query));
    all.push(group(scope, "operator", rules.collect()));
    all
}

fn group(scope: &Scope, name: &str, rules: Vec<Value>) -> Value {
    json!({"name": format!("phlare-{}-{name}", scope.name), "rules": rules})
}

fn rule(scope: &Scope, alert: &Alert, about: fn(&Scope, &str) -> String) -> Value {
    let severity = match alert.severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
    };
    let Scope { namespace, name } = scope;
    let summary = format!("Phlare {namespace}/{name}: {}", alert.summary);
    json!({
        "alert": alert.name,
        "expr": about(scope, &alert.expression),
        "for": alert.lasting,
        "labels": {"severity": severity, "phlare_namespace": namespace, "phlare_cluster": name},
        "annotations": {"summary": summary, "description": alert.what_to_do},
    })
}

/// The part of requests on some routes that ended with some codes, of all of them.
fn ratio(routes: &str, codes: &str) -> String {
    let rate = |more: &str| {
        format!(
            r#"sum(rate(pyroscope_request_duration_seconds_count{{$$,route=~"{routes}"{more}}}[5m]))"#
        )
    };
    let codes = format!(r#",status_code=~"{codes}""#);
    format!("{} / {}", rate(&codes), rate(""))
}

fn components() -> Vec<Alert> {
    vec![
        Alert {
            name: "PhlareComponentDown",
            severity: Severity::Critical,
            lasting: "5m",
            expression: "up{$$} == 0".to_owned(),
            summary: "{{ $labels.component }} pod {{ $labels.pod }} does not answer",
            what_to_do: "See `kubectl phlare status` or `kubectl describe pod {{ $labels.pod }}`: whether it runs, and why it \
                         ended. If it runs, see its log, and whether a NetworkPolicy keeps Prometheus out.",
        },
        Alert {
            name: "PhlareRestarting",
            severity: Severity::Warning,
            lasting: "1m",
            expression: "changes(process_start_time_seconds{$$}[1h]) > 3".to_owned(),
            summary: "{{ $labels.component }} pod {{ $labels.pod }} starts again and again",
            what_to_do: "`kubectl logs --previous {{ $labels.pod }}` has its last words. If it was killed for its memory, raise \
                         `resources.limits.memory` of the component.",
        },
        Alert {
            name: "PhlareRingMembersUnhealthy",
            severity: Severity::Critical,
            lasting: "10m",
            expression: r#"max by (name) (pyroscope_ring_members{$$,state="Unhealthy"}) > 0"#
                .to_owned(),
            summary: "{{ $value }} members of the {{ $labels.name }} ring are not heard of",
            what_to_do: "`kubectl phlare ring` names them. If their pods are gone for good, forget them on the page `/ring`; if \
                         they run, see whether UDP 7946 passes between pods.",
        },
        Alert {
            name: "PhlarePanics",
            severity: Severity::Warning,
            lasting: "0m",
            expression: "increase(pyroscope_panic_total{$$}[15m]) > 0".to_owned(),
            summary: "a request made {{ $labels.pod }} panic",
            what_to_do: "A defect: the line `a request panicked` in the pod's log says where. Please report it with the archive \
                         that `kubectl phlare diagnose` makes.",
        },
    ]
}

fn writes() -> Vec<Alert> {
    vec![
        Alert {
            name: "PhlarePushesFailing",
            severity: Severity::Critical,
            lasting: "5m",
            expression: format!("{} > 0.01", ratio(PUSHES, "5..")),
            summary: "{{ $value | humanizePercentage }} of the pushes fail",
            what_to_do: "Profiles are lost unless clients repeat them. See the log of the distributors (or of the single \
                         process) for the reason; often too few ingesters are there, or a disk is full.",
        },
        Alert {
            name: "PhlarePushesRefused",
            severity: Severity::Warning,
            lasting: "15m",
            expression: format!("{} > 0.05", ratio(PUSHES, "4..")),
            summary: "{{ $value | humanizePercentage }} of the pushes are refused",
            what_to_do: "The dashboard Tenants shows who and why (`pyroscope_discarded_samples_total`). Raise the limit of the \
                         tenant in `spec.limits.overrides`, or have its clients send less.",
        },
        Alert {
            name: "PhlareLogFailing",
            severity: Severity::Critical,
            lasting: "0m",
            expression: "increase(phlare_wal_errors_total{$$}[10m]) > 0 or increase(phlare_wal_refused_records_total{$$}[10m]) > 0"
                .to_owned(),
            summary: "the disk of {{ $labels.pod }} fails or is too slow",
            what_to_do: "Pushes are refused until it recovers. See the pod's log for the error of the system, then the volume \
                         and its node.",
        },
        Alert {
            name: "PhlareDiskNearlyFull",
            severity: Severity::Warning,
            lasting: "5m",
            expression: "phlare_ingester_disk_free_bytes{$$} < 2 * phlare_ingester_disk_reserve_bytes{$$}".to_owned(),
            summary: "{{ $labels.pod }} has {{ $value | humanize1024 }}B left on its disk",
            what_to_do: "If blocks wait for their upload (`phlare_ingester_blocks_to_upload`), see to the object store first. \
                         Otherwise raise `volume.size` of the component: the volume grows while the pod runs.",
        },
        Alert {
            name: "PhlareDiskFull",
            severity: Severity::Critical,
            lasting: "0m",
            expression: "increase(phlare_ingester_disk_full_refusals_total{$$}[5m]) > 0".to_owned(),
            summary: "{{ $labels.pod }} refuses profiles: its disk is full",
            what_to_do: "Raise `volume.size` of the component: the volume grows while the pod runs. If blocks wait for their \
                         upload, see to the object store.",
        },
        Alert {
            name: "PhlareHeadNearlyFull",
            severity: Severity::Warning,
            lasting: "10m",
            expression: "pyroscope_head_size_bytes{$$} > 0.9 * phlare_ingester_head_max_bytes{$$}".to_owned(),
            summary: "the profiles in memory of {{ $labels.pod }} are near their limit",
            what_to_do: "More would be refused. Give the component more memory or more pods.",
        },
    ]
}

fn reads() -> Vec<Alert> {
    vec![
        Alert {
            name: "PhlareQueriesFailing",
            severity: Severity::Critical,
            lasting: "10m",
            expression: format!("{} > 0.02", ratio(QUERIES, "5..")),
            summary: "{{ $value | humanizePercentage }} of the queries fail",
            what_to_do: "See the log of the query-frontends (or of the single process): each failed query is a line with its \
                         reason and a traceID that is the same in all processes that worked for it.",
        },
        Alert {
            name: "PhlareQueryQueueFull",
            severity: Severity::Warning,
            lasting: "5m",
            expression: "sum by (tenant) (rate(pyroscope_query_scheduler_discarded_requests_total{$$}[5m])) > 0".to_owned(),
            summary: "queries of tenant {{ $labels.tenant }} are refused because too many wait",
            what_to_do: "Give the resource more queriers (`components.querier.replicas`), or see which dashboard of the tenant \
                         asks so much.",
        },
        Alert {
            name: "PhlareQueriesWait",
            severity: Severity::Warning,
            lasting: "15m",
            expression: "histogram_quantile(0.9, sum by (le) (rate(pyroscope_query_scheduler_queue_duration_seconds_bucket{$$}[5m]))) > 10"
                .to_owned(),
            summary: "one query in ten waits for more than {{ $value | humanizeDuration }}",
            what_to_do: "All queriers are busy: give the resource more of them (`components.querier.replicas`).",
        },
        Alert {
            name: "PhlareBlocksLeftOut",
            severity: Severity::Warning,
            lasting: "0m",
            expression: "increase(phlare_blocks_left_out_total{$$}[30m]) > 0".to_owned(),
            summary: "{{ $labels.pod }} leaves damaged blocks out of answers",
            what_to_do: "Its log names them. `phlarectl blocks verify` says what is wrong with a block, `phlarectl blocks rewrite` \
                         saves what can be read.",
        },
    ]
}

fn storage() -> Vec<Alert> {
    vec![
        Alert {
            name: "PhlareUploadsFailing",
            severity: Severity::Critical,
            lasting: "15m",
            expression: "increase(pyroscope_shipper_upload_failures_total{$$}[15m]) > 0".to_owned(),
            summary: "{{ $labels.pod }} can't upload blocks",
            what_to_do: "Nothing is lost while its disk has room. `/ready` and the log of the pod name the operation, the \
                         credentials, the store's answer and what to do.",
        },
        Alert {
            name: "PhlareBucketFailing",
            severity: Severity::Warning,
            lasting: "10m",
            expression: "sum by (operation) (rate(objstore_bucket_operation_failures_total{$$}[5m])) / sum by (operation) (rate(objstore_bucket_operations_total{$$}[5m])) > 0.05"
                .to_owned(),
            summary: "{{ $value | humanizePercentage }} of the operations `{{ $labels.operation }}` on the object store fail",
            what_to_do: "The logs name the store's answers. Look at the store's own figures, at its limits of requests, and at \
                         the secret in `spec.storage`.",
        },
        Alert {
            name: "PhlareBucketNotListed",
            severity: Severity::Warning,
            lasting: "5m",
            expression: "time() - (pyroscope_bucket_stores_blocks_last_successful_sync_timestamp_seconds{$$} > 0) > 3600".to_owned(),
            summary: "{{ $labels.pod }} has not listed the bucket for {{ $value | humanizeDuration }}",
            what_to_do: "Queries miss blocks that the compactor made meanwhile. The pod's log says why listing fails.",
        },
        Alert {
            name: "PhlareCompactorBehind",
            severity: Severity::Warning,
            lasting: "5m",
            expression: "time() - max(pyroscope_compactor_last_successful_run_timestamp_seconds{$$} > 0) > 21600".to_owned(),
            summary: "no compaction has succeeded for {{ $value | humanizeDuration }}",
            what_to_do: "Queries get slower and old blocks stay. The log of the compactor names the block and the reason; a damaged \
                         block is marked and left out by itself.",
        },
        Alert {
            name: "PhlareCleanupFailing",
            severity: Severity::Warning,
            lasting: "5m",
            expression: "time() - max(pyroscope_compactor_block_cleanup_last_successful_run_timestamp_seconds{$$} > 0) > 21600"
                .to_owned(),
            summary: "no old block could be deleted for {{ $value | humanizeDuration }}",
            what_to_do: "The bucket grows. The log of the compactor says why: often the credentials may not delete.",
        },
    ]
}

fn operators() -> Vec<Alert> {
    vec![
        Alert {
            name: "PhlareOperatorStalled",
            severity: Severity::Warning,
            lasting: "10m",
            expression: r#"max(phlare_operator_condition{$$,type="Stalled"}) > 0"#.to_owned(),
            summary: "a change can't be carried out",
            what_to_do: "`kubectl phlare status` says what keeps it and what to do. It goes on by itself when that is put right.",
        },
        Alert {
            name: "PhlareNotReady",
            severity: Severity::Warning,
            lasting: "15m",
            expression: r#"max(phlare_operator_condition{$$,type="Ready"}) == 0"#.to_owned(),
            summary: "not all pods are ready",
            what_to_do: "`kubectl phlare status` lists the pods and what keeps each from being ready.",
        },
        Alert {
            name: "PhlareNotAccepted",
            severity: Severity::Warning,
            lasting: "10m",
            expression: r#"max(phlare_operator_condition{$$,type="Accepted"}) == 0"#.to_owned(),
            summary: "the resource can't be carried out as it is written",
            what_to_do: "`kubectl phlare status` says which field or secret is wrong.",
        },
    ]
}
