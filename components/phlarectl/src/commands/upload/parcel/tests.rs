use phlare_proto::google::v1::ValueType;

use super::*;
use crate::cli::FileFormat;

const NOW_MS: i64 = 1_700_000_000_000;

fn address(name: Option<&str>, time_ms: Option<i64>) -> Address {
    let labels = [("service_name", "s"), ("env", "x")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    Address {
        labels: labels.into(),
        name: name.map(str::to_owned),
        service_given: false,
        time_ms,
        now_ms: NOW_MS,
        format: None,
        sample_rate: None,
    }
}

fn profile(time_nanos: i64) -> Profile {
    Profile {
        string_table: ["", "alloc_space", "bytes"].map(String::from).to_vec(),
        sample_type: vec![ValueType { r#type: 1, unit: 2 }],
        time_nanos,
        ..Profile::default()
    }
}

fn series(parcel: &Parcel) -> &[(BTreeMap<String, String>, Bytes)] {
    match &parcel.content {
        Content::Series(series) => series,
        Content::Other { format, .. } => panic!("it goes to /ingest as {format}"),
    }
}

fn unpack(parcel: &Parcel) -> Profile {
    let plain = gzip::plain(&series(parcel)[0].1, 1 << 20).unwrap();
    Profile::decode(&*plain).unwrap()
}

/// What goes to `/ingest`: format, name of the application, body.
#[track_caller]
fn ingested(bytes: &[u8], address: &Address) -> (&'static str, String, Bytes) {
    let parcel = Parcel::pack(bytes, address).unwrap();
    match parcel.content {
        Content::Other {
            format,
            suffix,
            body,
            ..
        } => (format, application_name(&parcel.labels, &suffix), body),
        Content::Series(series) => panic!("it is pushed: {series:?}"),
    }
}

#[test]
fn a_profile_keeps_its_time_unless_told_otherwise() {
    let plain = profile(5_000_000).encode_to_vec();
    let parcel = Parcel::pack(&plain, &address(None, None)).unwrap();
    assert_eq!((parcel.time_ms, unpack(&parcel)), (5, profile(5_000_000)));
    assert_eq!(parcel.labels["__name__"], "memory");
    assert_eq!(parcel.labels["__delta__"], "false");

    let parcel = Parcel::pack(&plain, &address(Some("n"), Some(7))).unwrap();
    assert_eq!((parcel.time_ms, unpack(&parcel)), (7, profile(7_000_000)));
    assert_eq!(parcel.labels["__name__"], "n");
}

#[test]
fn a_profile_without_a_time_is_as_of_now() {
    let parcel = Parcel::pack(&profile(0).encode_to_vec(), &address(None, None)).unwrap();
    assert_eq!(unpack(&parcel).time_nanos, NOW_MS * 1_000_000);
}

#[test]
fn a_gzipped_file_is_sent_as_it_is() {
    let bytes = gzip::gzip(&profile(1).encode_to_vec(), 1);
    let parcel = Parcel::pack(&bytes, &address(None, None)).unwrap();
    let request = push_request(series(&parcel));
    assert_eq!(request.series[0].samples[0].raw_profile, bytes);
    assert_eq!(request.series[0].labels.len(), 4);
}

#[test]
fn other_formats_are_recognised_by_their_content() {
    let gzipped = gzip::gzip(b"a;b 1", 1);
    let expected = ("folded", "s.cpu{env=x}".to_owned(), "a;b 1".into());
    assert_eq!(ingested(&gzipped, &address(None, None)), expected);
    let (format, name, _) = ingested(b"a;b\na;c\n", &address(Some("wall"), None));
    assert_eq!((format, name.as_str()), ("lines", "s.wall{env=x}"));
    let tree = b"\0\0\x01\x04main\x01\0";
    assert_eq!(ingested(tree, &address(None, None)).0, "tree");
    let trie = b"\0\0\x01\x06main;a\x01\0";
    assert_eq!(ingested(trie, &address(None, None)).0, "trie");
    let speedscope = b"{\"profiles\": [{\"unit\": \"none\"}]}";
    assert_eq!(ingested(speedscope, &address(None, None)).0, "speedscope");
    let jfr = b"FLR\0\0\x02";
    let expected = ("jfr", "s{env=x}".to_owned(), jfr[..].into());
    assert_eq!(
        ingested(&gzip::gzip(jfr, 1), &address(None, None)),
        expected
    );
}

#[test]
fn what_a_file_is_can_be_said() {
    let said = Address {
        format: Some(FileFormat::Lines),
        ..address(None, None)
    };
    assert_eq!(ingested(b"main 1", &said).0, "lines");
}

#[test]
fn what_no_server_takes_is_converted() {
    let script = b"java 12 [002] 65.708352: cpu-clock: \n\t 7f0f read (libc)\n";
    let parcel = Parcel::pack(script, &address(None, None)).unwrap();
    assert_eq!((parcel.samples, parcel.time_ms), (Some(1), NOW_MS));
    assert_eq!(parcel.labels["__name__"], "process_cpu");
    assert_eq!(unpack(&parcel).sample[0].value, [10_000_000]);
}

#[test]
fn profiles_of_otlp_keep_their_labels() {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../formats/tests/data/otel-ebpf-profile.pb.bin"
    );
    let bytes = std::fs::read(file).unwrap();
    let parcel = Parcel::pack(&bytes, &address(None, None)).unwrap();
    let request = push_request(series(&parcel));
    assert_eq!(request.series.len(), 82);
    assert_eq!(parcel.labels["env"], "x");
    assert!(parcel.labels["service_name"].starts_with("unknown_service"));
    let given = Address {
        service_given: true,
        ..address(None, None)
    };
    let parcel = Parcel::pack(&bytes, &given).unwrap();
    assert_eq!(parcel.labels["service_name"], "s");
}

#[test]
fn what_cannot_be_sent_says_why() {
    let refused = |bytes: &[u8], address: &Address| {
        format!("{:#}", Parcel::pack(bytes, address).unwrap_err())
    };
    let plain = address(None, None);
    let text = refused(b"hello world", &plain);
    assert!(text.contains("begins with \"hello world\""), "{text}");
    assert!(refused(b"", &plain).contains("no format"));
    assert!(refused(b"\x1f\x8b\x08junk", &plain).contains("decompress"));
    let pprof = Address {
        format: Some(FileFormat::Pprof),
        ..address(None, None)
    };
    assert!(refused(b"hello world", &pprof).contains("not a pprof file"));
    assert!(refused(b"", &pprof).contains("no sample types"));
    let mut commas = address(None, None);
    commas.labels.insert("k".into(), "a,b".into());
    assert!(refused(b"a 1", &commas).contains("label `k`"));
}
