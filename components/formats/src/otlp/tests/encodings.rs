//! Protobuf and JSON say the same, and both survive strings that are not UTF-8.

use opentelemetry_proto::tonic::common::v1::{EntityRef, InstrumentationScope, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::*;

/// Each field that the schema table has, as JSON.
const EVERYTHING: &str = r#"{
  "resourceProfiles": [{
    "resource": {
      "attributes": [{"key": "ZZ", "keyStrindex": 1, "value": {"stringValue": "ZZ"}}],
      "entityRefs": [{"schemaUrl": "ZZ", "type": "ZZ", "idKeys": ["ZZ"], "descriptionKeys": ["ZZ"]}]
    },
    "scopeProfiles": [{
      "scope": {"name": "ZZ", "version": "ZZ", "attributes": [
        {"value": {"intValue": "-5"}},
        {"value": {"arrayValue": {"values": [{"stringValueStrindex": 3}]}}},
        {"value": {"kvlistValue": {"values": [{"key": "ZZ"}]}}}
      ]},
      "profiles": [{
        "sampleType": {"typeStrindex": 1, "unitStrindex": 2},
        "samples": [{"stackIndex": 1, "attributeIndices": [2, 3], "linkIndex": 4, "values": ["5", 6, -7],
          "timestampsUnixNano": ["8", 9]}],
        "timeUnixNano": "18446744073709551615", "durationNano": 10.0,
        "periodType": {"typeStrindex": 3, "unitStrindex": 4}, "period": "11", "originalPayloadFormat": "ZZ"
      }],
      "schemaUrl": "ZZ"
    }],
    "schemaUrl": "ZZ"
  }],
  "dictionary": {
    "mappingTable": [{"memoryStart": "18446744073709551615", "memoryLimit": 2, "fileOffset": "3",
      "filenameStrindex": 4, "attributeIndices": [5]}],
    "locationTable": [{"mappingIndex": 1, "address": "2", "attributeIndices": [3],
      "lines": [{"functionIndex": 4, "line": "5", "column": "6"}]}],
    "functionTable": [{"nameStrindex": 1, "systemNameStrindex": 2, "filenameStrindex": 3, "startLine": "4"}],
    "linkTable": [{"traceId": "0102030405060708090A0b0c0d0e0f10", "spanId": "0102030405060708"}],
    "stringTable": ["ZZ", "ZZ"],
    "attributeTable": [{"keyStrindex": 1, "value": {"stringValue": "ZZ"}, "unitStrindex": 2}],
    "stackTable": [{"locationIndices": [1, 2]}]
  }
}"#;

fn everything(text: &str) -> ExportProfilesServiceRequest {
    let s = || text.to_owned();
    let key_value = |key: &str, key_strindex, value| KeyValue {
        key: key.to_owned(),
        value,
        key_strindex,
    };
    let entity = EntityRef {
        schema_url: s(),
        r#type: s(),
        id_keys: vec![s()],
        description_keys: vec![s()],
    };
    let by_index = AnyValue {
        value: Some(Value::StringValueStrindex(3)),
    };
    let scope = InstrumentationScope {
        name: s(),
        version: s(),
        attributes: vec![
            key_value("", 0, some(Value::IntValue(-5))),
            key_value(
                "",
                0,
                some(Value::ArrayValue(ArrayValue {
                    values: vec![by_index],
                })),
            ),
            key_value(
                "",
                0,
                some(Value::KvlistValue(KeyValueList {
                    values: vec![key_value(text, 0, None)],
                })),
            ),
        ],
        dropped_attributes_count: 0,
    };
    let sample = proto::Sample {
        stack_index: 1,
        attribute_indices: vec![2, 3],
        link_index: 4,
        values: vec![5, 6, -7],
        timestamps_unix_nano: vec![8, 9],
    };
    let profile = proto::Profile {
        sample_type: Some(proto::ValueType {
            type_strindex: 1,
            unit_strindex: 2,
        }),
        samples: vec![sample],
        time_unix_nano: u64::MAX,
        duration_nano: 10,
        period_type: Some(proto::ValueType {
            type_strindex: 3,
            unit_strindex: 4,
        }),
        period: 11,
        original_payload_format: s(),
        ..Default::default()
    };
    let resource = Resource {
        attributes: vec![key_value(text, 1, some(Value::StringValue(s())))],
        entity_refs: vec![entity],
        ..Default::default()
    };
    ExportProfilesServiceRequest {
        resource_profiles: vec![proto::ResourceProfiles {
            resource: Some(resource),
            scope_profiles: vec![proto::ScopeProfiles {
                scope: Some(scope),
                profiles: vec![profile],
                schema_url: s(),
            }],
            schema_url: s(),
        }],
        dictionary: Some(every_table(text)),
    }
}

fn every_table(text: &str) -> proto::ProfilesDictionary {
    let s = || text.to_owned();
    proto::ProfilesDictionary {
        mapping_table: vec![proto::Mapping {
            memory_start: u64::MAX,
            memory_limit: 2,
            file_offset: 3,
            filename_strindex: 4,
            attribute_indices: vec![5],
        }],
        location_table: vec![proto::Location {
            mapping_index: 1,
            address: 2,
            lines: vec![proto::Line {
                function_index: 4,
                line: 5,
                column: 6,
            }],
            attribute_indices: vec![3],
        }],
        function_table: vec![proto::Function {
            name_strindex: 1,
            system_name_strindex: 2,
            filename_strindex: 3,
            start_line: 4,
        }],
        link_table: vec![proto::Link {
            trace_id: (1..=16).collect(),
            span_id: (1..=8).collect(),
        }],
        string_table: vec![s(), s()],
        attribute_table: vec![proto::KeyValueAndUnit {
            key_strindex: 1,
            value: some(Value::StringValue(s())),
            unit_strindex: 2,
        }],
        stack_table: vec![proto::Stack {
            location_indices: vec![1, 2],
        }],
    }
}

#[test]
fn json_has_every_field() {
    let export = Export::from_json(EVERYTHING.as_bytes()).unwrap();
    assert_eq!(
        (export.request, export.repaired_strings),
        (everything("ZZ"), 0)
    );
}

#[test]
fn every_string_is_repaired() {
    let broken = |bytes: Vec<u8>| {
        let mut bytes = bytes;
        let mut count = 0;
        for at in 0..bytes.len() - 1 {
            if bytes[at..].starts_with(b"ZZ") {
                bytes[at..at + 2].copy_from_slice(&[0xd6, 0xff]);
                count += 1;
            }
        }
        (bytes, count)
    };
    let (bytes, count) = broken(everything("ZZ").encode_to_vec());
    let export = Export::from_protobuf(&bytes).unwrap();
    assert_eq!(
        (&export.request, export.repaired_strings),
        (&everything("\u{fffd}\u{fffd}"), count)
    );

    let (bytes, _) = broken(EVERYTHING.as_bytes().to_vec());
    let export = Export::from_json(&bytes).unwrap();
    assert_eq!(
        (&export.request, export.repaired_strings),
        (&everything("\u{fffd}\u{fffd}"), 1)
    );
}

#[test]
fn json_is_read_as_liberally_as_by_upstream() {
    let check = |json: &str, expected: proto::Sample| {
        let json = format!(
            r#"{{"resourceProfiles": [{{"scopeProfiles": [{{"profiles": [{{"samples": [{json}]}}]}}]}}]}}"#
        );
        let export = Export::from_json(json.as_bytes()).unwrap();
        assert_eq!(
            export.request.resource_profiles[0].scope_profiles[0].profiles[0].samples,
            [expected],
            "{json}"
        );
    };
    check(
        r#"{"stackIndex": 1, "unknown": {"a": [1, null]}, "values": [1e3]}"#,
        sample(1, &[1000]),
    );
    check(
        r#"{"stack_index": "1", "link_index": null, "values": null}"#,
        sample(1, &[]),
    );
    check(r#"{"stackIndex": 5, "stackIndex": 1}"#, sample(1, &[]));
}

#[test]
fn ids_may_be_base64() {
    let check = |trace: &str, span: &str| {
        let json = format!(
            r#"{{"dictionary": {{"linkTable": [{{"traceId": "{trace}", "spanId": "{span}"}}]}}}}"#
        );
        let export = Export::from_json(json.as_bytes()).unwrap();
        let link = &export.request.dictionary.unwrap().link_table[0];
        assert_eq!(
            (&link.trace_id, &link.span_id),
            (&(1..=16).collect(), &(1..=8).collect())
        );
    };
    check("0102030405060708090a0b0c0d0e0f10", "0102030405060708");
    check("AQIDBAUGBwgJCgsMDQ4PEA==", "AQIDBAUGBwg=");
}

#[test]
fn json_of_the_wrong_type_is_refused_with_its_place() {
    let check = |json: &str, expected: &str| {
        let error = Export::from_json(json.as_bytes()).unwrap_err().to_string();
        let error = error.split("; this server reads").next().unwrap();
        let reason = error
            .strip_prefix("the body is no ExportProfilesServiceRequest as JSON: ")
            .unwrap();
        assert_eq!(
            reason.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' '),
            expected,
            "{json}"
        );
    };
    let in_dictionary = |table: &str| format!(r#"{{"dictionary": {{{table}}}}}"#);
    check("", "EOF while parsing a value at line 1 column");
    check(
        "[]",
        "invalid type: sequence, expected an object at line 1 column",
    );
    check("{} {}", "trailing characters at line 1 column");
    check(
        r#"{"dictionary": 5}"#,
        "invalid type: a number, expected an object for `dictionary` at line 1 column",
    );
    check(
        &in_dictionary(r#""stringTable": ["", 5]"#),
        "invalid type: a number, expected a string for `stringTable` at line 1 column",
    );
    check(
        &in_dictionary(r#""stringTable": ["", null]"#),
        "invalid type: null, expected a string for `stringTable` at line 1 column",
    );
    check(
        &in_dictionary(r#""stringTable": "x""#),
        "invalid type: \"x\", expected an array for `stringTable` at line 1 column",
    );
    check(
        &in_dictionary(r#""stackTable": [{"locationIndices": [2147483648]}]"#),
        "2147483648 is out of range for `locationIndices` at line 1 column",
    );
    check(
        &in_dictionary(r#""stackTable": [{"locationIndices": [[1]]}]"#),
        "invalid type: sequence, expected a whole number or a string with one for `locationIndices` at line 1 column",
    );
    check(
        &in_dictionary(r#""functionTable": [{"startLine": 1.5}]"#),
        "invalid type: floating point `1.5`, expected a whole number or a string with one for `startLine` at line 1 column",
    );
    check(
        &in_dictionary(r#""functionTable": [{"startLine": "many"}]"#),
        "invalid type: \"many\", expected a whole number or a string with one for `startLine` at line 1 column",
    );
    check(
        &in_dictionary(r#""linkTable": [{"spanId": "01020304050607+8"}]"#),
        "invalid type: \"01020304050607+8\", expected a string in hexadecimal for `spanId` at line 1 column",
    );
}

#[test]
fn damaged_protobuf_is_refused() {
    let bytes = request(&service("s"), &[], vec![on_cpu(vec![sample(1, &[1])])]).encode_to_vec();
    let error = Export::from_protobuf(&bytes[..bytes.len() - 3]).unwrap_err();
    assert_eq!(error.reason(), "malformed_profile");
    assert!(
        error.to_string().contains("opentelemetry-proto v1.10.0"),
        "{error}"
    );
}

#[test]
fn nesting_is_bounded() {
    let json = format!(
        r#"{{"resourceProfiles": [{{"resource": {{"attributes": [{{"value": {}}}]}}}}]}}"#,
        r#"{"arrayValue": {"values": ["#.repeat(10_000)
    );
    assert!(Export::from_json(json.as_bytes()).is_err());
    let mut nested = vec![0xff];
    for _ in 0..10_000 {
        // An `ArrayValue` in an `AnyValue`, and the other way round, around what is no string.
        let mut outer = Vec::new();
        json::put_bytes(&mut outer, 5, &{
            let mut array = Vec::new();
            json::put_bytes(&mut array, 1, &nested);
            array
        });
        nested = outer;
    }
    let mut attribute = Vec::new();
    json::put_bytes(&mut attribute, 2, &nested);
    let mut resource = Vec::new();
    json::put_bytes(&mut resource, 1, &attribute);
    let mut profiles = Vec::new();
    json::put_bytes(&mut profiles, 1, &resource);
    let mut request = Vec::new();
    json::put_bytes(&mut request, 1, &profiles);
    assert!(Export::from_protobuf(&request).is_err());
}
