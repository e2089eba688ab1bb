mod broken;
mod small;
mod writer;

use phlare_proto::google::v1 as pprof;
use prost::Message;

use self::small::{EXECUTION, LIMITS, add, chunk, read_with, samples, setting, shown};
use self::writer::{DOUBLE, FLOAT, Field, INT, SHORT, TEXT, Writer};
use super::*;

#[test]
fn each_kind_of_event_becomes_its_profile() {
    let mut chunk = chunk(true, 0);
    add(&mut chunk, EXECUTION, 1, &[0; 5]);
    add(&mut chunk, EXECUTION, 2, &[0; 5]);
    add(&mut chunk, EXECUTION, 1, &[0; 5]);
    for (kind, rest) in [
        (102, &[3][..]),
        (103, &[16, 1024]),
        (104, &[4096]),
        (105, &[100]),
        (106, &[77]),
        (107, &[88]),
        (108, &[]),
        (109, &[64]),
    ] {
        add(&mut chunk, kind, 2, rest);
    }
    // A negative size: its object still counts.
    add(&mut chunk, 109, 2, &[u64::MAX]);
    let read = read_with(
        &chunk.encode(),
        SampleRate::DEFAULT,
        &LabelsSnapshot::default(),
    )
    .unwrap();
    assert_eq!(read.negative_values, 1);
    assert_eq!(
        shown(&read),
        [
            "process_cpu cpu [20000000] App.work:10;App.main:20",
            "process_cpu cpu [10000000] App.main:21",
            "wall wall [30000000] App.main:21",
            "memory alloc_in_new_tlab_objects,alloc_in_new_tlab_bytes [1, 1024] App.main:21",
            "memory alloc_outside_tlab_objects,alloc_outside_tlab_bytes [1, 4096] App.main:21",
            "memory alloc_sample_objects,alloc_sample_bytes [1, 100] App.main:21",
            "mutex contentions,delay [1, 77] App.main:21",
            "block contentions,delay [1, 88] App.main:21",
            "memory live [1] App.main:21",
            "memory malloc_objects,malloc_bytes [2, 64] App.main:21",
        ]
    );
}

#[test]
fn numbers_are_read_in_both_of_their_forms() {
    let [compact, fixed] = [true, false].map(|compact| {
        let mut chunk = chunk(compact, 0);
        setting(&mut chunk, EXECUTION, "event", "itimer");
        add(&mut chunk, EXECUTION, 1, &[0; 5]);
        add(&mut chunk, 103, 1, &[u64::MAX >> 1, 1 << 40]);
        samples(&chunk.encode())
    });
    assert_eq!(compact, fixed);
    assert_eq!(compact.len(), 2);
}

#[test]
fn ids_have_64_bits() {
    for base in [1 << 32, u64::MAX - 10] {
        let mut chunk = chunk(true, base);
        add(&mut chunk, EXECUTION, base + 1, &[0; 5]);
        let expected = ["process_cpu cpu [10000000] App.work:10;App.main:20"];
        assert_eq!(samples(&chunk.encode()), expected, "{base}");
    }
}

#[test]
fn each_chunk_has_constants_of_its_own() {
    let mut first = chunk(true, 0);
    add(&mut first, EXECUTION, 1, &[0; 5]);
    // The same constants under other ids, and other numbers; 2 is no stack here.
    let mut second = chunk(false, 100);
    add(&mut second, EXECUTION, 101, &[0; 5]);
    add(&mut second, EXECUTION, 2, &[0; 5]);
    assert_eq!(
        samples(&[first.encode(), second.encode()].concat()),
        [
            "process_cpu cpu [20000000] App.work:10;App.main:20",
            "process_cpu cpu [10000000] "
        ]
    );
}

#[test]
fn constants_may_come_in_several_events() {
    let mut chunk = chunk(true, 0);
    let mut more = Writer::new(true);
    more.long(26)
        .int(1)
        .long(3)
        .byte(0)
        .int(1)
        .long(2)
        .int(99)
        .int(0);
    chunk.pools.insert(0, (1, more.bytes));
    add(&mut chunk, EXECUTION, 3, &[0; 5]);
    add(&mut chunk, EXECUTION, 2, &[0; 5]);
    assert_eq!(
        samples(&chunk.encode()),
        [
            "process_cpu cpu [10000000] App.work:99",
            "process_cpu cpu [10000000] App.main:21"
        ]
    );
}

#[test]
fn what_recorders_add_is_skipped() {
    let mut chunk = chunk(true, 0);
    let fields: Vec<Field> = vec![
        ("a", DOUBLE, ""),
        ("b", FLOAT, "a"),
        ("c", SHORT, ""),
        ("d", 27, "a"),
        ("e", 27, ""),
        ("f", TEXT, "a"),
        ("empty", 201, "a"),
        ("empty", 201, ""),
    ];
    let execution = chunk
        .types
        .iter_mut()
        .find(|(id, ..)| *id == EXECUTION)
        .unwrap();
    execution.2.splice(1..1, fields.iter().copied());
    chunk.types.push((
        200,
        "jdk.New",
        vec![("x", 4_242, ""), ("stackTrace", 26, "p")],
    ));
    chunk.types.push((201, "jdk.settings.Empty", vec![]));
    let mut out = Writer::new(true);
    // Neither its fields nor its type are known.
    out.event(200, |body| {
        body.byte(1);
    });
    out.event(4_243, |body| {
        body.byte(1);
    });
    out.event(EXECUTION, |body| {
        body.long(5);
        body.bytes.extend(1.5_f64.to_be_bytes());
        body.int(1);
        body.bytes.extend(1.5_f32.to_be_bytes());
        body.int(300);
        body.int(2);
        for _ in 0..3 {
            body.long(1).int(2).int(3);
        }
        // Strings: none, empty, of the pool, UTF-8, UTF-16, Latin-1.
        body.int(6).byte(0).byte(1).byte(2).long(9).text("é");
        body.byte(4).int(2).int(0xe9).int(0x20ac);
        body.byte(5).int(1).byte(0xe9);
        body.int(1_000_000 % 7);
        body.long(1).long(1).long(0).long(0).long(0).long(0).long(0);
    });
    chunk.events = out.bytes;
    assert_eq!(
        samples(&chunk.encode()),
        ["process_cpu cpu [10000000] App.work:10;App.main:20"]
    );
}

#[test]
fn names_are_read_in_every_encoding() {
    let check = |encoded: &dyn Fn(&mut Writer), expected: &str| {
        let mut chunk = chunk(true, 0);
        let mut more = Writer::new(true);
        more.long(TEXT).int(1).long(9).text("pooled");
        more.long(31).int(1).long(3);
        encoded(&mut more);
        // The event that is read first has the name.
        chunk.pools.push((2, more.bytes));
        let first = &mut chunk.pools[0].1;
        let at = first.windows(4).position(|w| w == b"work").unwrap();
        first.splice(at..at + 4, *b"WORK");
        chunk.pools.swap(0, 1);
        add(&mut chunk, EXECUTION, 1, &[0; 5]);
        let read = read_with(
            &chunk.encode(),
            SampleRate::UNKNOWN,
            &LabelsSnapshot::default(),
        )
        .unwrap();
        let line = shown(&read);
        assert_eq!(
            read.repaired_names,
            u64::from(expected.contains('\u{fffd}'))
        );
        assert_eq!(
            line,
            [format!(
                "process_cpu cpu [10000000] App.{expected}:10;App.main:20"
            )]
        );
    };
    check(&|out| _ = out.text("work é"), "work é");
    check(&|out| _ = out.byte(2).long(9), "pooled");
    check(&|out| _ = out.byte(4).int(2).int(0x77).int(0xe9), "wé");
    check(&|out| _ = out.byte(5).int(2).byte(0x77).byte(0xe9), "wé");
    check(&|out| _ = out.byte(0), "");
    let damaged = |out: &mut Writer| {
        out.byte(3).int(2).byte(b'w').byte(0xff);
    };
    check(&damaged, "w\u{fffd}");
}

#[test]
fn threads_that_sleep_take_no_cpu() {
    let mut chunk = chunk(true, 0);
    let mut out = Writer::new(true);
    for state in [1, 2, 7] {
        out.event(EXECUTION, |body| {
            body.long(5).long(2).long(state);
            for _ in 0..5 {
                body.long(0);
            }
        });
    }
    chunk.events.extend(out.bytes);
    assert_eq!(
        samples(&chunk.encode()),
        ["process_cpu cpu [20000000] App.main:21"]
    );
    setting(&mut chunk, EXECUTION, "event", "wall");
    let read = read_with(
        &chunk.encode(),
        SampleRate::UNKNOWN,
        &LabelsSnapshot::default(),
    )
    .unwrap();
    assert_eq!(read.event, "wall");
    assert_eq!(
        shown(&read),
        [
            "process_cpu cpu [20000000] App.main:21",
            "wall wall [30000000] App.main:21"
        ]
    );
}

#[test]
fn a_sample_stands_for_the_named_rate_or_for_the_interval_of_the_recording() {
    let check = |settings: &[(u64, &str, &str)], rate: SampleRate, expected: i64| {
        let mut chunk = chunk(true, 0);
        for (id, name, value) in settings {
            setting(&mut chunk, *id, name, value);
        }
        add(&mut chunk, EXECUTION, 2, &[0; 5]);
        let read = read_with(&chunk.encode(), rate, &LabelsSnapshot::default()).unwrap();
        assert_eq!(
            shown(&read),
            [format!("process_cpu cpu [{expected}] App.main:21")]
        );
    };
    let own = [(EXECUTION, "interval", "20000000")];
    check(&own, SampleRate::hertz(50), 20_000_000);
    check(&own, SampleRate::hertz(1000), 1_000_000);
    check(&own, SampleRate::UNKNOWN, 20_000_000);
    check(
        &[(EXECUTION, "period", "20 ms")],
        SampleRate::UNKNOWN,
        20_000_000,
    );
    check(&[], SampleRate::UNKNOWN, 10_000_000);
    // Of another type of events, and none.
    check(
        &[(103, "interval", "5"), (EXECUTION, "interval", "0")],
        SampleRate::UNKNOWN,
        10_000_000,
    );
}

#[test]
fn samples_have_the_labels_of_their_context_and_span() {
    // contexts {7: {1: 2}}, strings {1: "thread", 2: "t-1", 3: "GET /"}
    let snapshot = b"\x0a\x0a\x08\x07\x12\x06\x0a\x04\x08\x01\x10\x02\
        \x12\x0a\x08\x01\x12\x06thread\x12\x07\x08\x02\x12\x03t-1\x12\x09\x08\x03\x12\x05GET /";
    let snapshot = LabelsSnapshot::read(snapshot).unwrap();
    let mut chunk = chunk(true, 0);
    add(&mut chunk, EXECUTION, 2, &[0xabc, 3, 7, 1, 2]);
    add(&mut chunk, EXECUTION, 2, &[0; 5]);
    add(&mut chunk, EXECUTION, 2, &[0xabc, 3, 7, 1, 2]);
    let read = read_with(&chunk.encode(), SampleRate::DEFAULT, &snapshot).unwrap();
    assert_eq!(
        shown(&read),
        [
            "process_cpu cpu [20000000] App.main:21 thread=t-1 profile_id=0000000000000abc span_name=GET / \
             trace_id=00000000000000010000000000000002",
            "process_cpu cpu [10000000] App.main:21",
        ]
    );
}

#[test]
fn a_recording_says_when_it_was_taken() {
    let mut chunk = chunk(true, 0);
    add(&mut chunk, EXECUTION, 2, &[0; 5]);
    let mut later = chunk.encode();
    // Start and length in the header; of the first chunk they are 1 and 2.
    later[32..48].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 50, 0, 0, 0, 0, 0, 0, 0, 7]);
    let recording = [chunk.encode(), later].concat();
    for (time_ns, expected) in [(0, (1, 56)), (9, (9, 5))] {
        let labels = LabelsSnapshot::default();
        let options = Options {
            limits: LIMITS,
            rate: SampleRate::UNKNOWN,
            timing: Timing {
                time_ns,
                duration_ns: 5,
            },
            labels: &labels,
        };
        let read = parse(&recording, &options).unwrap();
        let pprof = pprof::Profile::decode(&*read.profiles[0].pprof).unwrap();
        assert_eq!((pprof.time_nanos, pprof.duration_nanos), expected);
    }
}

#[test]
fn nothing_is_an_empty_recording() {
    assert!(samples(b"").is_empty());
    assert!(samples(&chunk(true, 0).encode()).is_empty());
}
