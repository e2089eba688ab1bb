use phlare_proto::querier::v1::SelectSeriesRequest;

use super::*;
use crate::testing::{CPU, DAY_MS, MINUTE_MS, NOW_MS};

#[track_caller]
fn outcome<T>(found: Result<T, Error>, show: impl Fn(T) -> String) -> String {
    match found {
        Ok(value) => show(value),
        Err(error) => format!("{}: {error}", error.reason()),
    }
}

fn with<T>(limits: &Limits, ask: impl Fn(&Checks<'_>) -> T) -> T {
    ask(&Checks {
        limits,
        now_ms: NOW_MS,
    })
}

fn relative(range: TimeRange) -> String {
    format!("{}..{}", range.start_ms - NOW_MS, range.end_ms - NOW_MS)
}

#[test]
fn ranges_are_required_ordered_clamped_and_limited() {
    let check = |start: i64, end: i64, expected: &str| {
        let limits = Limits::default();
        let found = with(&limits, |checks| checks.range(start, end));
        let found = outcome(found, |range| range.map_or("nothing".to_owned(), relative));
        assert!(
            found.starts_with(expected),
            "{start}..{end}: {found:?} instead of {expected:?}"
        );
    };
    check(NOW_MS - MINUTE_MS, NOW_MS, "-60000..0");
    check(NOW_MS, NOW_MS, "0..0");
    check(NOW_MS + DAY_MS, NOW_MS + DAY_MS + 1, "86400000..86400001");
    check(0, 0, "missing_time_range: missing time range in the query");
    check(NOW_MS - 1, 0, "missing_time_range");
    check(0, NOW_MS, "missing_time_range");
    check(
        NOW_MS,
        NOW_MS - 1,
        "invalid_time_range: query start time is after end time",
    );
    check(NOW_MS - DAY_MS, NOW_MS, "-86400000..0");
    check(
        NOW_MS - DAY_MS - 1,
        NOW_MS,
        "query_limit: the query time range is",
    );
    check(1, NOW_MS, "query_limit");
    check(i64::MIN, i64::MAX, "query_limit");
    check(
        NOW_MS - 8 * DAY_MS,
        NOW_MS - 7 * DAY_MS + MINUTE_MS,
        "-604800000..-604740000",
    );
    check(NOW_MS - 8 * DAY_MS, NOW_MS - 7 * DAY_MS - 1, "nothing");
    check(-5, -1, "nothing");
    check(1000, 4000, "nothing");
    check(
        NOW_MS / 1000 - 60,
        NOW_MS / 1000,
        "invalid_time_range: `start` 1767225540 looks like seconds",
    );
    check(
        NOW_MS - MINUTE_MS,
        NOW_MS / 1000,
        "invalid_time_range: `end` 1767225600 looks like seconds",
    );
}

#[test]
fn limits_of_zero_are_off() {
    let limits = Limits {
        max_query_length: Duration::ZERO,
        max_query_lookback: Duration::ZERO,
        ..Limits::default()
    };
    let found = with(&limits, |checks| checks.range(1, NOW_MS)).unwrap();
    assert_eq!(
        found,
        Some(TimeRange {
            start_ms: 1,
            end_ms: NOW_MS
        })
    );
}

#[test]
fn metadata_queries_need_no_range() {
    let check = |start: i64, end: i64, matchers: &[&str], expected: &str| {
        let matchers: Vec<String> = matchers.iter().map(|&text| text.to_owned()).collect();
        let limits = Limits::default();
        let found = with(&limits, |checks| checks.metadata(start, end, &matchers));
        let found = outcome(found, |query| match query {
            None => "nothing".to_owned(),
            Some(MetadataQuery { selectors, range }) => {
                format!(
                    "{} {}",
                    selectors.len(),
                    range.map_or("ever".to_owned(), relative)
                )
            }
        });
        assert!(
            found.starts_with(expected),
            "{start}..{end} {matchers:?}: {found:?} instead of {expected:?}"
        );
    };
    check(0, 0, &[], "0 ever");
    check(NOW_MS, 0, &[], "0 ever");
    check(0, NOW_MS, &[], "0 ever");
    check(NOW_MS - 1, NOW_MS, &["{}", "{a=\"b\"}"], "2 -1..0");
    check(1000, 4000, &[], "nothing");
    check(1000, 4000, &["{"], "invalid_query");
    check(0, 0, &["{a=}"], "invalid_query");
    check(0, 0, &[""], "invalid_query");
    check(NOW_MS, NOW_MS - 1, &[], "invalid_time_range");
    check(NOW_MS - 2 * DAY_MS, NOW_MS, &[], "query_limit");
    check(NOW_MS / 1000 - 60, NOW_MS / 1000, &[], "invalid_time_range");
}

#[test]
fn node_limits() {
    let check = |limits: &Limits, asked: i64, drawn: &str, exported: &str| {
        let show = |nodes: i64| nodes.to_string();
        let found = outcome(with(limits, |checks| checks.max_nodes(asked)), show);
        assert!(found.starts_with(drawn), "{asked}: {found}");
        let found = outcome(with(limits, |checks| checks.export_max_nodes(asked)), show);
        assert!(found.starts_with(exported), "{asked}: {found}");
    };
    let limits = Limits::default();
    check(&limits, 0, "8192", "0");
    check(&limits, 1, "1", "1");
    check(&limits, 1_048_576, "1048576", "1048576");
    check(
        &limits,
        1_048_577,
        "flamegraph_limit: max nodes limit 1048577 is greater",
        "1048577",
    );
    check(&limits, 1 << 62, "flamegraph_limit", "4611686018427387904");
    check(
        &limits,
        -1,
        "flamegraph_limit: max nodes limit -1 must be set",
        "0",
    );
    let unlimited = Limits {
        max_flamegraph_nodes_max: 0,
        ..Limits::default()
    };
    check(&unlimited, -1, "0", "0");
    check(
        &unlimited,
        1 << 62,
        "4611686018427387904",
        "4611686018427387904",
    );
    let exports = Limits {
        max_flamegraph_nodes_on_select_merge_profile: true,
        ..Limits::default()
    };
    check(&exports, 0, "8192", "8192");
    check(&exports, -1, "flamegraph_limit", "flamegraph_limit");
}

fn series_request() -> SelectSeriesRequest {
    SelectSeriesRequest {
        profile_type_id: CPU.to_owned(),
        label_selector: "{}".to_owned(),
        start: NOW_MS - DAY_MS,
        end: NOW_MS,
        step: 60.0,
        ..SelectSeriesRequest::default()
    }
}

#[track_caller]
fn check_series(change: impl Fn(&mut SelectSeriesRequest), expected: &str) {
    let mut request = series_request();
    change(&mut request);
    let limits = Limits::default();
    let found = with(&limits, |checks| checks.series(&request));
    let found = outcome(found, |query| {
        query.map_or("nothing".to_owned(), |query| {
            format!(
                "step {} by {} {:?}",
                query.step_ms,
                query.group_by.join(","),
                query.aggregation
            )
        })
    });
    assert!(
        found.starts_with(expected),
        "{found:?} instead of {expected:?}"
    );
}

#[test]
fn steps_without_a_meaning_are_refused() {
    let check = |step: f64, expected: &str| check_series(|request| request.step = step, expected);
    check(60.0, "step 60000");
    check(0.9999, "step 1000");
    check(86_400.0, "step 86400000");
    check(1e9, "step 1000000000000");
    check(0.0, "invalid_query: `step` 0 has no meaning");
    check(-1.0, "invalid_query");
    check(0.0001, "invalid_query");
    check(f64::NAN, "invalid_query");
    check(f64::INFINITY, "invalid_query");
    check(1e18, "invalid_query");
    check(1e300, "invalid_query");
    check(
        0.001,
        "series_limit: `step` 1 ms makes 86400001 points of this range, the limit is 100000",
    );
    check(0.864, "series_limit");
    check(0.865, "step 865");
}

#[test]
fn groups_are_named_once_and_their_number_is_limited() {
    let check = |names: Vec<String>, expected: &str| {
        check_series(|r| r.group_by.clone_from(&names), expected)
    };
    let names = |count: usize| (0..count).map(|at| format!("l{at}")).collect::<Vec<_>>();
    check(
        vec!["b".into(), "a".into(), "b".into()],
        "step 60000 by b,a Sum",
    );
    check(names(200), "step 60000 by l0,l1,");
    check(names(256), "step 60000 by l0,l1,");
    check(
        names(257),
        "series_limit: `group_by` has 257 names, the limit is 256",
    );
    check(
        vec![String::new()],
        "invalid_query: name is required: `group_by` is empty",
    );
}

#[test]
fn aggregations_and_exemplars() {
    let aggregation =
        |value: i32, expected: &str| check_series(|r| r.aggregation = Some(value), expected);
    aggregation(0, "step 60000 by  Sum");
    aggregation(1, "step 60000 by  Average");
    aggregation(9, "invalid_query: `aggregation` has the unknown value 9");
    let exemplars =
        |value: i32, expected: &str| check_series(|r| r.exemplar_type = value, expected);
    exemplars(0, "step");
    exemplars(1, "step");
    exemplars(2, "unsupported: `exemplar_type` is not supported");
    exemplars(3, "unsupported");
    exemplars(77, "invalid_query");
}

#[test]
fn mistakes_are_found_in_old_ranges_too() {
    let old = |request: &mut SelectSeriesRequest| {
        request.start = NOW_MS - 20 * DAY_MS;
        request.end = NOW_MS - 19 * DAY_MS;
    };
    check_series(old, "nothing");
    check_series(
        |request| {
            old(request);
            request.label_selector = "{".to_owned();
        },
        "invalid_query: invalid selector \"{\" in `label_selector`",
    );
    check_series(
        |request| {
            old(request);
            request.profile_type_id = "cpu".to_owned();
        },
        "invalid_query: invalid profile type in `profile_typeID`",
    );
}
