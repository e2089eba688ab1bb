use super::*;

const RECORDING: &[u8] = include_bytes!("../../../../formats/tests/data/jfr/dump1.jfr.gz");
const LABELS: &[u8] = include_bytes!("../../../../formats/tests/data/jfr/dump1.labels.pb.gz");
/// Samples of the recording, each 10 ms.
const TOTAL: i64 = 21_880_000_000;

fn plain() -> Vec<u8> {
    let mut plain = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(RECORDING);
    std::io::Read::read_to_end(&mut decoder, &mut plain).unwrap();
    plain
}

#[tokio::test]
async fn a_recording_comes_raw_or_in_a_form_compressed_or_not() {
    let whole = form(&[("jfr", RECORDING), ("labels", LABELS)]);
    for (content_type, body, series) in [
        (RAW, RECORDING.to_vec(), 1),
        (RAW, plain(), 1),
        (FORM, form(&[("jfr", RECORDING)]), 1),
        (FORM, form(&[("jfr", &plain()), ("labels", b"")]), 1),
        (FORM, whole, 5),
    ] {
        let bench = bench();
        let query = "name=my.app%7Bregion%3Deu%7D&format=jfr&spyName=javaspy";
        let answer = post(&bench, query, content_type, body).await;
        assert_eq!((answer, bench.total()), ((200, String::new()), TOTAL));
        let shown = bench.shown();
        assert_eq!(shown.len(), series, "{shown:#?}");
        for series in shown {
            for label in [
                r#"__profile_type__="process_cpu:cpu:nanoseconds:cpu:nanoseconds""#,
                r#"jfr_event="itimer""#,
                r#"pyroscope_spy="javaspy""#,
                r#"region="eu""#,
                r#"service_name="my.app""#,
            ] {
                assert!(series.contains(label), "{label}: {series}");
            }
        }
    }
}

#[tokio::test]
async fn the_name_is_a_label_of_its_own_if_a_tag_names_the_service() {
    let bench = bench();
    let query = "name=app%7Bservice_name%3Dchosen%7D&format=jfr";
    assert_eq!(post(&bench, query, RAW, RECORDING).await.0, 200);
    let shown = bench.shown();
    assert!(
        shown[0].contains(r#"app_name="app""#) && shown[0].contains(r#"service_name="chosen""#),
        "{shown:?}"
    );
    // Equal repeats are one label.
    let query = "name=app%7Bservice_name%3Dapp%2Capp_name%3Dapp%7D&format=jfr";
    assert_eq!(post(&bench, query, RAW, RECORDING).await.0, 200);
}

#[tokio::test]
async fn a_rate_that_means_nothing_leaves_the_interval_of_the_recording() {
    for (rate, total) in [
        ("", TOTAL),
        ("&sampleRate=0", TOTAL),
        ("&sampleRate=-1", TOTAL),
        ("&sampleRate=abc", TOTAL),
        ("&sampleRate=50", 2 * TOTAL),
    ] {
        let bench = bench();
        let answer = post(&bench, &format!("name=a&format=jfr{rate}"), RAW, RECORDING).await;
        assert_eq!(
            (answer.0, bench.total()),
            (200, total),
            "{rate}: {}",
            answer.1
        );
    }
}

#[tokio::test]
async fn an_empty_recording_is_no_profile() {
    let bench = bench();
    for (content_type, body) in [(RAW, Vec::new()), (FORM, form(&[("jfr", b"")]))] {
        let answer = post(&bench, "name=a&format=jfr", content_type, body).await;
        assert_eq!((answer.0, bench.stored().len()), (200, 0), "{}", answer.1);
    }
}

#[tokio::test]
async fn what_is_no_recording_is_refused_with_the_reason() {
    let bench = bench();
    let cut = plain()[..5000].to_vec();
    for (content_type, body, expected, text) in [
        (
            RAW,
            b"FLR\0".to_vec(),
            422,
            "the body is not a JFR recording (`jfr`), which `format=jfr` says it is: byte 4: the version",
        ),
        (
            RAW,
            b"main;a 1".to_vec(),
            422,
            "byte 0: a chunk begins with",
        ),
        (
            RAW,
            cut,
            422,
            "byte 8: the chunk has 330509 bytes, of which 5000 are there",
        ),
        (RAW, RECORDING[..9000].to_vec(), 422, "the part `jfr`: "),
        (FORM, form(&[("labels", LABELS)]), 422, "has no part `jfr`"),
        (
            FORM,
            form(&[("jfr", RECORDING), ("labels", b"\xff\xff\xff")]),
            422,
            "the labels beside the recording cannot be read",
        ),
        (
            FORM,
            form(&[("jfr", RECORDING), ("labels", &LABELS[..50])]),
            422,
            "the part `labels`: ",
        ),
    ] {
        let (status, answer) = post(&bench, "name=a&format=jfr", content_type, body).await;
        assert_eq!(status, expected, "{answer}");
        assert!(answer.contains(text), "{text}: {answer}");
    }
    assert!(bench.stored().is_empty());
}

#[tokio::test]
async fn limits_hold_while_a_part_inflates() {
    let plain = vec![0; 9 << 20];
    let zeros = gzip(&plain);
    let limits = Limits {
        max_profile_size_bytes: 1 << 19,
        ..Limits::default()
    };
    let bench = bench_with(limits, NOW);
    for (body, text) in [
        (
            form(&[("jfr", &plain)]),
            "the part `jfr` has more than 8388608 bytes uncompressed, 16 times the limit `max_profile_size_bytes`",
        ),
        (
            form(&[("jfr", &zeros)]),
            "the part `jfr` has more than 8388608 bytes uncompressed, 16 times the limit `max_profile_size_bytes`",
        ),
        (
            form(&[("jfr", RECORDING), ("labels", &zeros)]),
            "the part `labels` has more than 524288 bytes uncompressed, the limit `max_profile_size_bytes`",
        ),
    ] {
        let (status, answer) = post(&bench, "name=a&format=jfr", FORM, body).await;
        assert_eq!(status, 413, "{answer}");
        assert!(answer.contains(text), "{answer}");
    }
}
