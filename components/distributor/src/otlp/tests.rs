mod grpc;
mod refusals;

use axum::body::Body;
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::profiles::v1development as proto;
use opentelemetry_proto::tonic::resource::v1::Resource;
use phlare_tenancy::Limits;
use tower::ServiceExt;

use super::*;
use crate::testing::{Bench, Fate, NOW, bench, bench_with, gzip};

const S: i64 = 1_000_000_000;

/// An answer: status, content type, body.
#[derive(Debug)]
struct Answer {
    status: u16,
    content_type: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    fn accepted(&self) {
        assert_eq!(
            (self.status, self.body.as_slice()),
            (200, &[][..]),
            "{}",
            String::from_utf8_lossy(&self.body)
        );
        assert_eq!(self.content_type, PROTOBUF);
    }

    /// Number of refused profiles, and what is said about them.
    #[track_caller]
    fn partial(&self) -> (i64, String) {
        assert_eq!(self.status, 200, "{}", self.text());
        let answer = ExportProfilesServiceResponse::decode(&*self.body).unwrap();
        let partial = answer.partial_success.unwrap();
        (partial.rejected_profiles, partial.error_message)
    }
}

async fn send(bench: &Bench, request: http::request::Builder, body: impl Into<Body>) -> Answer {
    let request = request.body(body.into()).unwrap();
    let response = bench.distributor.routes().oneshot(request).await.unwrap();
    let content_type = response.headers().get(CONTENT_TYPE);
    let content_type = content_type
        .map_or("", |value| value.to_str().unwrap())
        .to_owned();
    let status = response.status().as_u16();
    let body = response
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes()
        .to_vec();
    Answer {
        status,
        content_type,
        body,
    }
}

fn to(content_type: &str) -> http::request::Builder {
    Request::builder()
        .method("POST")
        .uri(PATH)
        .header("X-Scope-OrgID", "t")
        .header(CONTENT_TYPE, content_type)
}

async fn post_request(bench: &Bench, request: &ExportProfilesServiceRequest) -> Answer {
    send(bench, to(PROTOBUF), request.encode_to_vec()).await
}

/// A profile with one sample of 10 ms on CPU.
fn profile(time_ns: i64) -> proto::Profile {
    proto::Profile {
        sample_type: Some(proto::ValueType {
            type_strindex: 3,
            unit_strindex: 4,
        }),
        period_type: Some(proto::ValueType {
            type_strindex: 1,
            unit_strindex: 2,
        }),
        period: 10_000_000,
        time_unix_nano: time_ns as u64,
        samples: vec![proto::Sample {
            stack_index: 1,
            values: vec![1],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// One resource for each service, with these profiles.
fn request(services: &[&str], profiles: &[proto::Profile]) -> ExportProfilesServiceRequest {
    let resource = |service: &&str| {
        let value = AnyValue {
            value: Some(Value::StringValue((*service).to_owned())),
        };
        let attribute = KeyValue {
            key: "service.name".to_owned(),
            value: Some(value),
            key_strindex: 0,
        };
        proto::ResourceProfiles {
            resource: Some(Resource {
                attributes: vec![attribute],
                ..Default::default()
            }),
            scope_profiles: vec![proto::ScopeProfiles {
                profiles: profiles.to_vec(),
                ..Default::default()
            }],
            ..Default::default()
        }
    };
    let stack = |locations: &[i32]| proto::Stack {
        location_indices: locations.to_vec(),
    };
    let line = proto::Line {
        function_index: 1,
        line: 1,
        column: 0,
    };
    let dictionary = proto::ProfilesDictionary {
        string_table: ["", "cpu", "nanoseconds", "samples", "count", "main"]
            .map(str::to_owned)
            .to_vec(),
        function_table: vec![
            proto::Function::default(),
            proto::Function {
                name_strindex: 5,
                ..Default::default()
            },
        ],
        location_table: vec![
            proto::Location::default(),
            proto::Location {
                lines: vec![line],
                ..Default::default()
            },
        ],
        stack_table: vec![stack(&[]), stack(&[1])],
        ..Default::default()
    };
    ExportProfilesServiceRequest {
        resource_profiles: services.iter().map(resource).collect(),
        dictionary: Some(dictionary),
    }
}

fn one() -> ExportProfilesServiceRequest {
    request(&["s"], &[profile(NOW)])
}

/// The request of a real profiler, as if it came now.
fn real() -> ExportProfilesServiceRequest {
    let path = format!(
        "{}/tests/data/otel-ebpf-profile.pb.bin",
        env!("CARGO_MANIFEST_DIR")
    );
    let mut request = ExportProfilesServiceRequest::decode(&*std::fs::read(path).unwrap()).unwrap();
    let scopes = request
        .resource_profiles
        .iter_mut()
        .flat_map(|resource| &mut resource.scope_profiles);
    for profile in scopes.flat_map(|scope| &mut scope.profiles) {
        profile.time_unix_nano = NOW as u64;
    }
    request
}

#[tokio::test]
async fn a_real_request_is_stored() {
    let bench = bench();
    post_request(&bench, &real()).await.accepted();
    let total = |name: &str| {
        let name = format!("__name__=\"{name}\"");
        let rows = bench
            .stored()
            .into_iter()
            .filter(|row| row.labels.contains(&name));
        rows.map(|row| row.total).sum::<i64>()
    };
    assert_eq!(
        (total("process_cpu"), total("off_cpu")),
        (500_000_000, 267_302_249_331)
    );
}

#[tokio::test]
async fn series_have_the_labels_of_the_resource() {
    let bench = bench();
    post_request(&bench, &one()).await.accepted();
    let expected = r#"{__name__="process_cpu", __period_type__="cpu", __period_unit__="nanoseconds", __profile_type__="process_cpu:cpu:nanoseconds:cpu:nanoseconds", __service_name__="s", __type__="cpu", __unit__="nanoseconds", service.name="s", service_name="s"} 10000000"#;
    assert_eq!(bench.shown(), [expected]);
    assert!(!bench.stored()[0].delta);
}

#[tokio::test]
async fn every_encoding_is_answered_in_protobuf() {
    let bench = bench();
    let plain = one().encode_to_vec();
    send(&bench, to("application/protobuf"), plain.clone())
        .await
        .accepted();
    send(
        &bench,
        to(PROTOBUF).header("Content-Encoding", "gzip"),
        gzip(&plain),
    )
    .await
    .accepted();
    let json = format!(
        r#"{{"resourceProfiles": [{{"scopeProfiles": [{{"profiles": [{{"timeUnixNano": "{NOW}", "period": 1,
            "sampleType": {{"typeStrindex": 3, "unitStrindex": 4}}, "periodType": {{"typeStrindex": 1, "unitStrindex": 2}},
            "samples": [{{"values": ["7"]}}]}}]}}]}}],
            "dictionary": {{"stringTable": ["", "cpu", "nanoseconds", "samples", "count"]}}}}"#
    );
    send(&bench, to("application/json"), json.clone())
        .await
        .accepted();
    send(
        &bench,
        to("application/json").header("Content-Encoding", "gzip"),
        gzip(json.as_bytes()),
    )
    .await
    .accepted();
    assert_eq!(bench.total(), 2 * 10_000_000 + 2 * 7);
}

/// A profiler that counts time from its own start must not cost its neighbours their profiles.
#[tokio::test]
async fn a_profile_without_a_time_was_taken_now() {
    let bench = bench();
    post_request(&bench, &request(&["s"], &[profile(0)]))
        .await
        .accepted();
    assert_eq!(bench.stored()[0].time_ns, NOW);
}

/// The values of the version before were field 2, where now the attributes are.
/// If each profile was waited for before the next, this would take more than a minute.
#[tokio::test]
async fn all_profiles_of_a_request_wait_together() {
    let bench = bench();
    *bench.recorder.fate.lock() = Fate::NeverDurable;
    let services: Vec<String> = (0..50).map(|i| format!("service-{i}")).collect();
    let services: Vec<&str> = services.iter().map(String::as_str).collect();
    let profiles = vec![profile(NOW); 26];
    let begun = std::time::Instant::now();
    let answer = post_request(&bench, &request(&services, &profiles)).await;
    assert_eq!((answer.status, bench.stored().len()), (503, 1300));
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_request_without_profiles_is_accepted() {
    let bench = bench();
    post_request(&bench, &request(&["s"], &[])).await.accepted();
    post_request(&bench, &request(&["s"], &[proto::Profile::default()]))
        .await
        .accepted();
    assert_eq!(bench.stored().len(), 0);
}
