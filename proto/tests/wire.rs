//! Pins what other implementations depend on: numbers, names and the JSON form.

#![expect(clippy::unwrap_used, reason = "a failure is the test's own")]

use std::collections::HashSet;

use bytes::Bytes;
use phlare_proto::{METHODS, google, grpc, ingester, push, querier, settings, types, version};
use prost::Message;
use serde_json::json;

#[track_caller]
fn bytes_are(message: &impl Message, expected: &[u8]) {
    assert_eq!(message.encode_to_vec(), expected);
}

#[track_caller]
fn json_is(message: &impl serde::Serialize, expected: serde_json::Value) {
    assert_eq!(serde_json::to_value(message).unwrap(), expected);
}

fn pair(name: &str, value: &str) -> types::v1::LabelPair {
    types::v1::LabelPair {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

#[test]
fn a_push_has_the_numbers_of_the_api() {
    let request = push::v1::PushRequest {
        series: vec![push::v1::RawProfileSeries {
            labels: vec![pair("a", "b")],
            samples: vec![push::v1::RawSample {
                raw_profile: Bytes::from_static(b"xyz"),
                id: "i".to_owned(),
            }],
            annotations: vec![],
        }],
    };
    let label = [0x0a, 6, 0x0a, 1, b'a', 0x12, 1, b'b'];
    let sample = [0x12, 8, 0x0a, 3, b'x', b'y', b'z', 0x12, 1, b'i'];
    let series = [&label[..], &sample[..]].concat();
    bytes_are(&request, &[&[0x0a, 18], &series[..]].concat());
    json_is(
        &request,
        json!({"series": [{
            "labels": [{"name": "a", "value": "b"}],
            "samples": [{"rawProfile": "eHl6", "ID": "i"}],
        }]}),
    );
}

#[test]
fn a_raw_profile_is_a_slice_of_the_request() {
    let request = Bytes::from_static(&[0x0a, 3, b'x', b'y', b'z']);
    let sample = push::v1::RawSample::decode(request.clone()).unwrap();
    assert_eq!(sample.raw_profile.as_ptr(), request[2..].as_ptr());
}

#[test]
fn a_query_for_stacktraces_has_the_numbers_of_the_api() {
    let request = querier::v1::SelectMergeStacktracesRequest {
        profile_type_id: "t".to_owned(),
        label_selector: "{}".to_owned(),
        start: 1,
        end: 2,
        max_nodes: Some(0),
        format: querier::v1::ProfileFormat::Pprof.into(),
        span_selector: vec!["s".to_owned()],
        ..Default::default()
    };
    bytes_are(
        &request,
        &[
            0x0a, 1, b't', 0x12, 2, b'{', b'}', 0x18, 1, 0x20, 2, 0x28, 0, 0x30, 4, 0x5a, 1, b's',
        ],
    );
    json_is(
        &request,
        json!({
            "profileTypeID": "t",
            "labelSelector": "{}",
            "start": "1",
            "end": "2",
            "maxNodes": "0",
            "format": "PROFILE_FORMAT_PPROF",
            "spanSelector": ["s"],
        }),
    );
}

#[test]
fn json_names_with_capitals_are_kept_as_written() {
    json_is(
        &types::v1::ProfileType {
            id: "i".to_owned(),
            sample_type: "cpu".to_owned(),
            ..Default::default()
        },
        json!({"ID": "i", "sampleType": "cpu"}),
    );
    json_is(
        &version::v1::VersionResponse { querier_api: 1 },
        json!({"QuerierAPI": "1"}),
    );
    json_is(
        &settings::v1::Setting {
            modified_at: 5,
            ..Default::default()
        },
        json!({"modifiedAt": "5"}),
    );
    json_is(
        &querier::v1::FlameGraphDiff {
            max_self: 3,
            left_ticks: 1,
            right_ticks: 2,
            ..Default::default()
        },
        json!({"maxSelf": "3", "leftTicks": "1", "rightTicks": "2"}),
    );
}

#[test]
fn json_input_may_use_the_original_names_and_plain_numbers() {
    let text = r#"{"profile_typeID": "t", "label_selector": "{}", "start": 1, "end": "2",
        "max_nodes": 7, "format": 2, "stackTraceSelector": {"call_site": [{"name": "main"}]}}"#;
    let request: querier::v1::SelectMergeStacktracesRequest = serde_json::from_str(text).unwrap();
    assert_eq!(request.profile_type_id, "t");
    assert_eq!(request.label_selector, "{}");
    assert_eq!((request.start, request.end), (1, 2));
    assert_eq!(request.max_nodes, Some(7));
    assert_eq!(request.format(), querier::v1::ProfileFormat::Tree);
    let selector = request.stack_trace_selector.unwrap();
    assert_eq!(selector.call_site[0].name, "main");
}

#[test]
fn unknown_json_fields_are_ignored() {
    let text = r#"{"name": "a", "surprise": {"deep": [1, null]}, "matchers": ["{}"]}"#;
    let request: types::v1::LabelValuesRequest = serde_json::from_str(text).unwrap();
    assert_eq!(request.name, "a");
    assert_eq!(request.matchers, ["{}"]);
}

#[test]
fn an_unset_aggregation_differs_from_sum() {
    let unset = querier::v1::SelectSeriesRequest::default();
    let sum = querier::v1::SelectSeriesRequest {
        aggregation: Some(types::v1::TimeSeriesAggregationType::Sum.into()),
        ..Default::default()
    };
    bytes_are(&unset, &[]);
    bytes_are(&sum, &[0x38, 0]);
    json_is(&unset, json!({}));
    json_is(
        &sum,
        json!({"aggregation": "TIME_SERIES_AGGREGATION_TYPE_SUM"}),
    );
}

#[test]
fn doubles_that_are_no_numbers_are_read_from_strings() {
    let nan: types::v1::Point = serde_json::from_str(r#"{"value": "NaN"}"#).unwrap();
    let infinite: types::v1::Point = serde_json::from_str(r#"{"value": "-Infinity"}"#).unwrap();
    assert!(nan.value.is_nan());
    assert_eq!(infinite.value, f64::NEG_INFINITY);
}

#[test]
fn pprof_has_columns_and_the_address_of_its_page() {
    let profile = google::v1::Profile {
        location: vec![google::v1::Location {
            line: vec![google::v1::Line {
                function_id: 1,
                line: 2,
                column: 3,
            }],
            ..Default::default()
        }],
        default_sample_type: 4,
        doc_url: 5,
        ..Default::default()
    };
    bytes_are(
        &profile,
        &[
            0x22, 8, 0x22, 6, 0x08, 1, 0x10, 2, 0x18, 3, 0x70, 4, 0x78, 5,
        ],
    );
}

#[test]
fn numbers_that_skip_one_are_kept() {
    let labels = types::v1::Labels {
        labels: vec![pair("a", "")],
    };
    bytes_are(
        &querier::v1::SeriesResponse {
            labels_set: vec![labels],
        },
        &[0x12, 5, 0x0a, 3, 0x0a, 1, b'a'],
    );
    bytes_are(
        &querier::v1::AnalyzeQueryRequest {
            start: 1,
            end: 2,
            query: "q".to_owned(),
        },
        &[0x10, 1, 0x18, 2, 0x22, 1, b'q'],
    );
    bytes_are(
        &ingester::v1::MergeProfilesStacktracesResponse {
            selected_profiles: None,
            result: Some(ingester::v1::MergeProfilesStacktracesResult {
                format: ingester::v1::StacktracesMergeFormat::MergeFormatTree.into(),
                tree_bytes: vec![9],
                ..Default::default()
            }),
        },
        &[0x1a, 5, 0x18, 2, 0x22, 1, 9],
    );
    bytes_are(
        &grpc::health::v1::HealthCheckResponse { status: 1 },
        &[0x08, 1],
    );
}

#[test]
fn every_method_of_the_query_api_is_listed() {
    let listed: Vec<&str> = METHODS
        .iter()
        .filter(|method| !method.client_streaming && !method.server_streaming)
        .filter_map(|method| method.path.strip_prefix("querier.v1.QuerierService/"))
        .collect();
    assert_eq!(
        listed,
        [
            "ProfileTypes",
            "LabelValues",
            "LabelNames",
            "Series",
            "SelectMergeStacktraces",
            "SelectMergeSpanProfile",
            "SelectMergeProfile",
            "SelectSeries",
            "SelectHeatmap",
            "Diff",
            "GetProfileStats",
            "AnalyzeQuery",
        ]
    );
}

#[test]
fn streaming_methods_are_marked() {
    let streams = |path: &str| {
        let method = METHODS.iter().find(|method| method.path == path).unwrap();
        (method.client_streaming, method.server_streaming)
    };
    assert_eq!(
        streams("ingester.v1.IngesterService/MergeProfilesPprof"),
        (true, true)
    );
    assert_eq!(
        streams("schedulerpb.SchedulerForQuerier/QuerierLoop"),
        (true, true)
    );
    assert_eq!(streams("grpc.health.v1.Health/Watch"), (false, true));
    assert_eq!(streams("push.v1.PusherService/Push"), (false, false));
}

#[test]
fn no_method_is_listed_twice() {
    let paths: HashSet<&str> = METHODS.iter().map(|method| method.path).collect();
    assert_eq!(paths.len(), METHODS.len());
    assert_eq!(
        METHODS.len(),
        12 + 1 + 13 + 10 + 3 + 4 + 4 + 6 + 4 + 10 + 1 + 10 + 1 + 5
    );
}
