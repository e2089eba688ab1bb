use std::sync::Arc;

use phlare_model::tree::Tree;
use phlare_proto::google::v1::{Profile, Sample};
use phlare_proto::querier::v1::{
    AsyncQueryRequest, DiffRequest, ProfileFormat, SelectMergeProfileRequest,
    SelectMergeSpanProfileRequest, SelectMergeStacktracesRequest,
};
use phlare_proto::types::v1::{GoPgo, Location, StackTraceSelector};
use phlare_server::Status;
use serde::Serialize;

use super::cut;
use crate::testing::{CPU, DAY_MS, MINUTE_MS, NOW_MS, Store, over, small_tree, tenant};

const SPAN: &str = "9cda327950856346";

fn request() -> SelectMergeStacktracesRequest {
    SelectMergeStacktracesRequest {
        profile_type_id: CPU.to_owned(),
        label_selector: "{a=\"b\"}".to_owned(),
        start: NOW_MS - MINUTE_MS,
        end: NOW_MS,
        ..SelectMergeStacktracesRequest::default()
    }
}

fn store(tree: Tree) -> Arc<Store> {
    let sample = Sample {
        value: vec![7],
        ..Sample::default()
    };
    let profile = Profile {
        sample: vec![sample],
        ..Profile::default()
    };
    Arc::new(Store {
        tree,
        profile,
        ..Store::default()
    })
}

fn json(answer: Result<impl Serialize, Status>) -> String {
    answer.map_or_else(
        |status| format!("{}: {}", status.code(), status.message),
        |answer| serde_json::to_string(&answer).unwrap(),
    )
}

async fn ask(store: &Arc<Store>, change: impl Fn(&mut SelectMergeStacktracesRequest)) -> String {
    let mut request = request();
    change(&mut request);
    json(
        over(store)
            .select_merge_stacktraces(tenant(), request)
            .await,
    )
}

const EMPTY: &str = r#"{"flamegraph":{"names":["total"],"levels":[{"values":["0","0","0","0"]}]}}"#;

#[tokio::test]
async fn a_flame_graph_is_the_default() {
    let store = store(small_tree());
    insta::assert_snapshot!(ask(&store, |_| {}).await, @r#"{"flamegraph":{"names":["total","idle","main","a","b"],"levels":[{"values":["0","6","0","0"]},{"values":["0","3","3","1","0","3","0","2"]},{"values":["3","1","1","3","0","2","2","4"]}],"total":"6","maxSelf":"3"}}"#);
    assert_eq!(store.asked(), ["team: tree {a=\"b\"} -60000..0"]);
}

#[tokio::test]
async fn all_empty_answers_have_one_shape() {
    let old = |request: &mut SelectMergeStacktracesRequest| {
        request.start = NOW_MS - 20 * DAY_MS;
        request.end = NOW_MS - 19 * DAY_MS;
    };
    let empty = store(Tree::new());
    assert_eq!(ask(&empty, |_| {}).await, EMPTY, "nothing matches");
    assert_eq!(
        ask(&empty, |request| request.span_selector =
            vec![SPAN.to_owned()])
        .await,
        EMPTY,
        "no such span"
    );
    let full = store(small_tree());
    assert_eq!(ask(&full, old).await, EMPTY, "older than the lookback");
    let spans = |start, end, spans: &[&str]| SelectMergeSpanProfileRequest {
        profile_type_id: CPU.to_owned(),
        label_selector: "{}".to_owned(),
        span_selector: spans.iter().map(|&span| span.to_owned()).collect(),
        start,
        end,
        ..SelectMergeSpanProfileRequest::default()
    };
    let (start, end) = (NOW_MS - 20 * DAY_MS, NOW_MS - 19 * DAY_MS);
    let answer = over(&full)
        .select_merge_span_profile(tenant(), spans(start, end, &[SPAN]))
        .await;
    assert_eq!(json(answer), EMPTY, "spans older than the lookback");
    let answer = over(&full)
        .select_merge_span_profile(tenant(), spans(NOW_MS - 1, NOW_MS, &[]))
        .await;
    assert_eq!(json(answer), EMPTY, "no span selects nothing");
    let mut side = request();
    old(&mut side);
    let sides = DiffRequest {
        left: Some(side.clone()),
        right: Some(side),
    };
    insta::assert_snapshot!(json(over(&full).diff(tenant(), sides).await), @r#"{"flamegraph":{"names":["total"],"levels":[{"values":["0","0","0","0","0","0","0"]}]}}"#);
    assert_eq!(full.asked(), <[&str; 0]>::default());
}

#[tokio::test]
async fn formats_decide_what_is_asked_and_answered() {
    let check =
        async |change: &dyn Fn(&mut SelectMergeStacktracesRequest), asked: &str, answer: &str| {
            let store = store(small_tree());
            let found = ask(&store, change).await;
            assert_eq!(store.asked(), [format!("team: {asked}")]);
            assert!(found.starts_with(answer), "{found}");
        };
    let query = "{a=\"b\"} -60000..0";
    let tree = ProfileFormat::Tree as i32;
    let pprof = ProfileFormat::Pprof as i32;
    check(
        &|r| r.format = tree,
        &format!("tree {query}"),
        "{\"tree\":\"",
    )
    .await;
    check(
        &|r| r.format = pprof,
        &format!("pprof {query}"),
        "{\"pprof\":{\"profile\":{",
    )
    .await;
    check(
        &|r| (r.format, r.max_nodes) = (pprof, Some(10)),
        &format!("pprof {query} max nodes 10"),
        "{\"pprof\":{\"profile\":{",
    )
    .await;
    check(
        &|r| (r.format, r.span_selector) = (pprof, vec![SPAN.to_owned()]),
        &format!("tree {query} spans [466385507932da9c]"),
        "{\"pprof\":{\"profile\":{",
    )
    .await;
    let site = StackTraceSelector {
        call_site: vec![Location {
            name: "main".to_owned(),
        }],
        go_pgo: None,
    };
    check(
        &|r| r.stack_trace_selector = Some(site.clone()),
        &format!("tree {query} call site main"),
        "{\"flamegraph\":{",
    )
    .await;
    let pgo = GoPgo {
        keep_locations: 5,
        aggregate_callees: true,
    };
    let pgo = StackTraceSelector {
        call_site: Vec::new(),
        go_pgo: Some(pgo),
    };
    check(
        &|r| (r.format, r.stack_trace_selector) = (pprof, Some(pgo.clone())),
        &format!("pprof {query} pgo 5 true"),
        "{\"pprof\":{",
    )
    .await;
    check(
        &|r| r.r#async = Some(AsyncQueryRequest::default()),
        &format!("tree {query}"),
        "{\"flamegraph\":{",
    )
    .await;
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_before_anything_is_read() {
    let check = async |change: &dyn Fn(&mut SelectMergeStacktracesRequest), expected: &str| {
        let store = store(small_tree());
        let found = ask(&store, change).await;
        assert!(
            found.starts_with(expected),
            "{found:?} instead of {expected:?}"
        );
        assert_eq!(store.asked(), <[&str; 0]>::default());
    };
    check(
        &|r| r.format = ProfileFormat::Dot as i32,
        "unimplemented: `format` PROFILE_FORMAT_DOT",
    )
    .await;
    check(
        &|r| r.format = 77,
        "invalid_argument: `format` has the unknown value 77",
    )
    .await;
    check(
        &|r| r.trace_id_selector = vec!["x".into()],
        "unimplemented: `trace_id_selector`",
    )
    .await;
    check(
        &|r| r.profile_id_selector = vec!["x".into()],
        "unimplemented: `profile_id_selector`",
    )
    .await;
    check(
        &|r| r.span_selector = vec!["ff".into()],
        "invalid_argument: invalid span id length",
    )
    .await;
    check(
        &|r| r.max_nodes = Some(-1),
        "invalid_argument: max nodes limit -1",
    )
    .await;
    check(&|r| r.start = 0, "invalid_argument: missing time range").await;
    let site = StackTraceSelector {
        call_site: vec![Location {
            name: "main".to_owned(),
        }],
        go_pgo: None,
    };
    check(
        &|r| {
            (r.span_selector, r.stack_trace_selector) = (vec![SPAN.to_owned()], Some(site.clone()))
        },
        "unimplemented: `span_selector` together with `stack_trace_selector`",
    )
    .await;
    let pgo = StackTraceSelector {
        call_site: Vec::new(),
        go_pgo: Some(GoPgo::default()),
    };
    check(
        &|r| r.stack_trace_selector = Some(pgo.clone()),
        "invalid_argument: `stack_trace_selector.go_pgo`",
    )
    .await;
}

#[tokio::test]
async fn refusals_are_counted_by_reason() {
    let frontend = over(&store(Tree::new()));
    let bad = SelectMergeStacktracesRequest::default();
    assert!(
        frontend
            .select_merge_stacktraces(tenant(), bad)
            .await
            .is_err()
    );
    assert_eq!(frontend.metrics().figures("missing_time_range"), (0, 1));
}

#[tokio::test]
async fn exports_are_whole_unless_a_limit_is_asked_for() {
    let check = async |max_nodes: Option<i64>, expected: &str| {
        let store = store(Tree::new());
        let request = SelectMergeProfileRequest {
            profile_type_id: CPU.to_owned(),
            label_selector: "{}".to_owned(),
            start: NOW_MS - MINUTE_MS,
            end: NOW_MS,
            max_nodes,
            ..SelectMergeProfileRequest::default()
        };
        let profile = over(&store)
            .select_merge_profile(tenant(), request)
            .await
            .unwrap();
        assert_eq!(store.asked(), [expected]);
        assert_eq!(
            (profile.duration_nanos, profile.time_nanos),
            (60_000_000_000, NOW_MS * 1_000_000)
        );
    };
    check(None, "team: pprof {} -60000..0").await;
    check(Some(0), "team: pprof {} -60000..0").await;
    check(Some(-1), "team: pprof {} -60000..0").await;
    check(
        Some(9_999_999_999),
        "team: pprof {} -60000..0 max nodes 9999999999",
    )
    .await;
}

#[tokio::test]
async fn a_diff_takes_the_larger_node_limit_and_needs_both_ranges() {
    let full = store(small_tree());
    let frontend = over(&full);
    let side = |max_nodes| {
        Some(SelectMergeStacktracesRequest {
            max_nodes,
            ..request()
        })
    };
    let sides = DiffRequest {
        left: side(Some(1)),
        right: side(Some(2)),
    };
    insta::assert_snapshot!(json(frontend.diff(tenant(), sides).await), @r#"{"flamegraph":{"names":["total","idle","main","other"],"levels":[{"values":["0","6","0","0","6","0","0"]},{"values":["0","3","3","0","3","3","1","0","3","0","0","3","0","2"]},{"values":["3","3","3","3","3","3","3"]}],"total":"12","maxSelf":"3","leftTicks":"6","rightTicks":"6"}}"#);
    assert_eq!(full.asked(), ["team: tree {a=\"b\"} -60000..0"; 2]);
    let sides = DiffRequest {
        left: None,
        right: side(None),
    };
    assert!(
        json(frontend.diff(tenant(), sides).await)
            .starts_with("invalid_argument: missing time range")
    );
    let sides = DiffRequest {
        left: side(Some(1_048_577)),
        right: side(None),
    };
    assert!(
        json(frontend.diff(tenant(), sides).await).starts_with("invalid_argument: max nodes limit")
    );
}

#[test]
fn trees_are_copied_only_to_be_cut() {
    let tree = small_tree();
    for (max_nodes, copied) in [(0, false), (-1, false), (5, false), (100, false), (1, true)] {
        assert_eq!(
            matches!(cut(&tree, max_nodes), std::borrow::Cow::Owned(_)),
            copied,
            "{max_nodes}"
        );
    }
}
