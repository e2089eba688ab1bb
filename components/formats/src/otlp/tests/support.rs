//! A request made by hand, and what is in a pprof.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use phlare_proto::google::v1 as pprof;

use super::*;

pub(super) const NOW: i64 = 1_763_000_000_000_000_000;

pub(super) const LIMITS: Limits = Limits {
    profile_bytes: 4 << 20,
    total_bytes: 64 << 20,
};

pub(super) const STRINGS: [&str; 20] = [
    "",
    "cpu",
    "nanoseconds",
    "samples",
    "count",
    "main",
    "work",
    "main.go",
    "wall",
    "off_cpu",
    "app.bin",
    "thread.name",
    "service.name",
    "process.executable.build_id.gnu",
    "events",
    "idle",
    "abcdef0123",
    "inner",
    "thread.id",
    "t3",
];

/// Where a string of [`STRINGS`] is.
pub(super) fn at(text: &str) -> i32 {
    STRINGS.iter().position(|string| *string == text).unwrap() as i32
}

pub(super) fn some(value: Value) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

pub(super) fn text(text: &str) -> Option<AnyValue> {
    some(Value::StringValue(text.to_owned()))
}

pub(super) fn attribute(key: &str, value: Option<AnyValue>) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value,
        key_strindex: 0,
    }
}

/// Stacks: 1 is `main;work`, 2 is `main;0x1234`, 3 is `main;idle` inlined.
/// Attributes: 1 and 2 are names of threads, 3 is a service, 4 a build id, 5 a number, 6 a name by reference.
pub(super) fn dictionary() -> proto::ProfilesDictionary {
    let function = |name: &str, file: &str| proto::Function {
        name_strindex: at(name),
        filename_strindex: at(file),
        ..Default::default()
    };
    let line = |function_index, line| proto::Line {
        function_index,
        line,
        column: 0,
    };
    let location = |address, lines: &[proto::Line]| proto::Location {
        mapping_index: 1,
        address,
        lines: lines.to_vec(),
        ..Default::default()
    };
    let table = |key: &str, value| proto::KeyValueAndUnit {
        key_strindex: at(key),
        value,
        unit_strindex: 0,
    };
    let stack = |locations: &[i32]| proto::Stack {
        location_indices: locations.to_vec(),
    };
    proto::ProfilesDictionary {
        mapping_table: vec![
            proto::Mapping::default(),
            proto::Mapping {
                memory_start: 4096,
                memory_limit: 8192,
                file_offset: 0,
                filename_strindex: at("app.bin"),
                attribute_indices: vec![4],
            },
        ],
        location_table: vec![
            proto::Location::default(),
            location(4097, &[line(1, 12)]),
            location(4098, &[line(2, 33)]),
            location(0x1234, &[]),
            location(0, &[line(3, 1), line(1, 5)]),
        ],
        function_table: vec![
            proto::Function::default(),
            function("main", "main.go"),
            function("work", "main.go"),
            function("idle", ""),
        ],
        link_table: vec![
            proto::Link::default(),
            proto::Link {
                trace_id: (1..=16).collect(),
                span_id: (1..=8).collect(),
            },
        ],
        string_table: STRINGS.map(str::to_owned).to_vec(),
        attribute_table: vec![
            proto::KeyValueAndUnit::default(),
            table("thread.name", text("t1")),
            table("thread.name", text("t2")),
            table("service.name", text("of-sample")),
            table("process.executable.build_id.gnu", text("abcdef0123")),
            table("thread.id", some(Value::IntValue(7))),
            table("thread.name", some(Value::StringValueStrindex(at("t3")))),
        ],
        stack_table: vec![stack(&[]), stack(&[2, 1]), stack(&[3, 1]), stack(&[4])],
    }
}

pub(super) fn value_type(kind: &str, unit: &str) -> Option<proto::ValueType> {
    Some(proto::ValueType {
        type_strindex: at(kind),
        unit_strindex: at(unit),
    })
}

pub(super) fn sample(stack_index: i32, values: &[i64]) -> proto::Sample {
    proto::Sample {
        stack_index,
        values: values.to_vec(),
        ..Default::default()
    }
}

/// Samples on CPU, each 10 ms.
pub(super) fn on_cpu(samples: Vec<proto::Sample>) -> proto::Profile {
    proto::Profile {
        sample_type: value_type("samples", "count"),
        period_type: value_type("cpu", "nanoseconds"),
        period: 10_000_000,
        samples,
        ..Default::default()
    }
}

/// Values of this type without a period.
pub(super) fn typed(kind: &str, unit: &str, samples: Vec<proto::Sample>) -> proto::Profile {
    proto::Profile {
        sample_type: value_type(kind, unit),
        samples,
        ..Default::default()
    }
}

/// A request of one resource and one scope.
pub(super) fn request(
    resource: &[KeyValue],
    scope: &[KeyValue],
    profiles: Vec<proto::Profile>,
) -> ExportProfilesServiceRequest {
    let resource = Resource {
        attributes: resource.to_vec(),
        ..Default::default()
    };
    let scope = InstrumentationScope {
        attributes: scope.to_vec(),
        ..Default::default()
    };
    let scope_profiles = proto::ScopeProfiles {
        scope: Some(scope),
        profiles,
        schema_url: String::new(),
    };
    ExportProfilesServiceRequest {
        resource_profiles: vec![proto::ResourceProfiles {
            resource: Some(resource),
            scope_profiles: vec![scope_profiles],
            schema_url: String::new(),
        }],
        dictionary: Some(dictionary()),
    }
}

pub(super) fn service(name: &str) -> Vec<KeyValue> {
    vec![attribute("service.name", text(name))]
}

pub(super) fn convert_with(
    request: &ExportProfilesServiceRequest,
    limits: &Limits,
) -> Result<Converted, Error> {
    Export::from_protobuf(&request.encode_to_vec())?.convert(limits, NOW)
}

#[track_caller]
pub(super) fn convert(request: &ExportProfilesServiceRequest) -> Converted {
    let converted = convert_with(request, &LIMITS).unwrap();
    assert_eq!(converted.refused, []);
    converted
}

/// The only pprof of a request with this profile.
#[track_caller]
pub(super) fn only(profile: proto::Profile) -> (Profile, pprof::Profile) {
    let converted = convert(&request(&service("s"), &[], vec![profile]));
    let [only] = <[Profile; 1]>::try_from(converted.profiles).unwrap();
    let pprof = pprof::Profile::decode(&*only.pprof).unwrap();
    (only, pprof)
}

pub(super) fn label<'a>(profile: &'a Profile, name: &str) -> Option<&'a str> {
    profile
        .labels
        .iter()
        .find(|(other, _)| other == name)
        .map(|(_, value)| value.as_str())
}

pub(super) fn string(profile: &pprof::Profile, at: i64) -> &str {
    &profile.string_table[at as usize]
}

/// The type as in `cpu:nanoseconds`.
pub(super) fn shown_type(
    profile: &pprof::Profile,
    value_type: Option<&pprof::ValueType>,
) -> String {
    value_type.map_or_else(String::new, |t| {
        format!("{}:{}", string(profile, t.r#type), string(profile, t.unit))
    })
}

/// Frames of a location, innermost first.
pub(super) fn frames(profile: &pprof::Profile, id: u64) -> Vec<String> {
    let location = &profile.location[id as usize - 1];
    if location.line.is_empty() {
        return vec![format!("{:#x}", location.address)];
    }
    let name = |line: &pprof::Line| {
        string(
            profile,
            profile.function[line.function_id as usize - 1].name,
        )
        .to_owned()
    };
    location.line.iter().map(name).collect()
}

/// `frame;frame value label=value`, in the order of the profile.
pub(super) fn shown(profile: &pprof::Profile) -> Vec<String> {
    let sample = |sample: &pprof::Sample| {
        let mut stack: Vec<String> = sample
            .location_id
            .iter()
            .flat_map(|id| frames(profile, *id))
            .collect();
        stack.reverse();
        let mut line = format!("{} {}", stack.join(";"), sample.value[0]);
        for label in &sample.label {
            line += &format!(
                " {}={}",
                string(profile, label.key),
                string(profile, label.str)
            );
        }
        line
    };
    profile.sample.iter().map(sample).collect()
}
