use std::sync::Arc;

use phlare_model::labels::Labels;
use phlare_model::query::{Analysis, ProfileStats};
use phlare_model::{ErrorKind, TimeRange};
use phlare_proto::querier::v1::{AnalyzeQueryRequest, ProfileTypesRequest, SeriesRequest};
use phlare_proto::types::v1::{GetProfileStatsRequest, LabelNamesRequest, LabelValuesRequest};
use phlare_tenancy::Limits;

use crate::accept::LabelNames;
use crate::testing::{CPU, DAY_MS, MINUTE_MS, NOW_MS, Store, over, tenant, with_limits};

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[tokio::test]
async fn profile_types_are_values_of_a_label() {
    let heap = "memory:inuse_space:bytes:space:bytes";
    let store = Arc::new(Store {
        values: texts(&[CPU, "broken", heap, CPU]),
        ..Store::default()
    });
    let answer = over(&store)
        .profile_types(tenant(), ProfileTypesRequest::default())
        .await
        .unwrap();
    let ids: Vec<&str> = answer
        .profile_types
        .iter()
        .map(|kind| kind.id.as_str())
        .collect();
    assert_eq!(ids, [heap, CPU]);
    assert_eq!(answer.profile_types[0].sample_unit, "bytes");
    assert_eq!(store.asked(), ["team: values of __profile_type__ [] ever"]);
}

#[tokio::test]
async fn label_values_need_a_name_and_come_sorted() {
    let store = Arc::new(Store {
        values: texts(&["b", "a", "b"]),
        ..Store::default()
    });
    let frontend = over(&store);
    let error = frontend
        .label_values(tenant(), LabelValuesRequest::default())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.message.starts_with("name is required")),
        (ErrorKind::InvalidArgument, true)
    );
    let request = LabelValuesRequest {
        name: "odd name".to_owned(),
        matchers: texts(&["{a=\"b\"}", "process_cpu"]),
        start: NOW_MS - MINUTE_MS,
        end: NOW_MS,
    };
    assert_eq!(
        frontend
            .label_values(tenant(), request)
            .await
            .unwrap()
            .names,
        ["a", "b"]
    );
    assert_eq!(
        store.asked(),
        ["team: values of odd name [{a=\"b\"} or {__name__=\"process_cpu\"}] -60000..0"]
    );
}

#[tokio::test]
async fn odd_names_are_listed_for_clients_that_know_them() {
    let store = Arc::new(Store {
        names: texts(&["z", "k8s.pod", "__name__", "9a", "z"]),
        ..Store::default()
    });
    let ask = async |shown| {
        over(&store)
            .label_names(tenant(), LabelNamesRequest::default(), shown)
            .await
    };
    assert_eq!(
        ask(LabelNames::Legacy).await.unwrap().names,
        ["__name__", "z"]
    );
    assert_eq!(
        ask(LabelNames::Utf8).await.unwrap().names,
        ["9a", "__name__", "k8s.pod", "z"]
    );
}

#[tokio::test]
async fn series_are_unique_after_odd_names_are_left_out() {
    let sets = [
        Labels::from_pairs([("service_name", "b"), ("k8s.pod", "1")]),
        Labels::from_pairs([("service_name", "a")]),
        Labels::from_pairs([("service_name", "b"), ("k8s.pod", "2")]),
        Labels::empty(),
    ];
    let store = Arc::new(Store {
        label_sets: sets.to_vec(),
        ..Store::default()
    });
    let ask = async |shown| {
        let request = SeriesRequest {
            label_names: texts(&["service_name"]),
            ..SeriesRequest::default()
        };
        let answer = over(&store).series(tenant(), request, shown).await.unwrap();
        serde_json::to_string(&answer).unwrap()
    };
    insta::assert_snapshot!(ask(LabelNames::Legacy).await, @r#"{"labelsSet":[{},{"labels":[{"name":"service_name","value":"a"}]},{"labels":[{"name":"service_name","value":"b"}]}]}"#);
    insta::assert_snapshot!(ask(LabelNames::Utf8).await, @r#"{"labelsSet":[{},{"labels":[{"name":"k8s.pod","value":"1"},{"name":"service_name","value":"b"}]},{"labels":[{"name":"k8s.pod","value":"2"},{"name":"service_name","value":"b"}]},{"labels":[{"name":"service_name","value":"a"}]}]}"#);
    assert_eq!(store.asked()[0], "team: series [\"service_name\"] [] ever");
}

#[tokio::test]
async fn old_ranges_have_no_labels_and_ask_nobody() {
    let store = Arc::new(Store {
        names: texts(&["a"]),
        values: texts(&["a"]),
        ..Store::default()
    });
    let frontend = over(&store);
    let (start, end) = (NOW_MS - 20 * DAY_MS, NOW_MS - 19 * DAY_MS);
    let names = LabelNamesRequest {
        start,
        end,
        ..LabelNamesRequest::default()
    };
    assert!(
        frontend
            .label_names(tenant(), names, LabelNames::Utf8)
            .await
            .unwrap()
            .names
            .is_empty()
    );
    let types = ProfileTypesRequest { start, end };
    assert!(
        frontend
            .profile_types(tenant(), types)
            .await
            .unwrap()
            .profile_types
            .is_empty()
    );
    assert_eq!(store.asked(), <[&str; 0]>::default());
}

#[tokio::test]
async fn stats_without_data_are_zeros() {
    let check = async |times: Option<TimeRange>, expected: &str| {
        let store = Arc::new(Store {
            stats: ProfileStats { times },
            ..Store::default()
        });
        let answer = over(&store)
            .get_profile_stats(tenant(), GetProfileStatsRequest {})
            .await
            .unwrap();
        assert_eq!(serde_json::to_string(&answer).unwrap(), expected);
    };
    check(None, "{}").await;
    check(
        Some(TimeRange {
            start_ms: 1,
            end_ms: 2,
        }),
        r#"{"dataIngested":true,"oldestProfileTime":"1","newestProfileTime":"2"}"#,
    )
    .await;
}

#[tokio::test]
async fn analyses_name_the_stores_and_what_is_in_them() {
    let analysis = Analysis {
        series: 1,
        profiles: 2,
        samples: 3,
        bytes: 4,
    };
    let store = Arc::new(Store {
        analysis,
        ..Store::default()
    });
    let ask = async |limits: Limits, query: &str, start: i64| {
        let request = AnalyzeQueryRequest {
            start,
            end: NOW_MS,
            query: query.to_owned(),
        };
        let answer = with_limits(&store, limits)
            .analyze_query(tenant(), request)
            .await;
        answer.map_or_else(
            |status| status.code().to_owned(),
            |answer| serde_json::to_string(&answer).unwrap(),
        )
    };
    let start = NOW_MS - MINUTE_MS;
    let series = Limits {
        query_analysis_series_enabled: true,
        ..Limits::default()
    };
    insta::assert_snapshot!(ask(Limits::default(), "{a=\"b\"}", start).await, @r#"{"queryScopes":[{"componentType":"Short term storage","componentCount":"1","seriesCount":"1","profileCount":"2","sampleCount":"3","profileBytes":"4"},{"componentType":"Long term storage"}],"queryImpact":{"totalBytesInTimeRange":"4"}}"#);
    insta::assert_snapshot!(ask(series, &format!("{CPU}{{}}"), start).await, @r#"{"queryScopes":[{"componentType":"Short term storage","componentCount":"1","seriesCount":"1","profileCount":"2","sampleCount":"3","profileBytes":"4"},{"componentType":"Long term storage"}],"queryImpact":{"totalBytesInTimeRange":"4","totalQueriedSeries":"1"}}"#);
    let off = Limits {
        query_analysis_enabled: false,
        ..Limits::default()
    };
    assert_eq!(ask(off, "{}", start).await, "{}");
    assert_eq!(ask(Limits::default(), "{}", 0).await, "{}");
    assert_eq!(ask(Limits::default(), "", start).await, "invalid_argument");
    assert_eq!(ask(Limits::default(), "{", start).await, "invalid_argument");
    assert_eq!(
        ask(Limits::default(), "{}", NOW_MS + 1).await,
        "invalid_argument"
    );
    assert_eq!(
        store.asked(),
        [
            "team: analyze any type {a=\"b\"}",
            &format!("team: analyze {CPU} {{}}")
        ]
    );
}
