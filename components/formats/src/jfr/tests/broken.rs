//! Recordings that do not follow the format.

use super::*;

#[track_caller]
fn refused(recording: &[u8]) -> String {
    let read = read_with(recording, SampleRate::DEFAULT, &LabelsSnapshot::default());
    let error = read.unwrap_err();
    assert!(matches!(error, Error::Bytes { .. }), "{error}");
    error.to_string()
}

#[track_caller]
fn check(recording: &[u8], expected: &str) {
    let error = refused(recording);
    assert!(error.contains(expected), "{error}");
}

fn good() -> Vec<u8> {
    let mut chunk = chunk(true, 0);
    setting(&mut chunk, EXECUTION, "event", "cpu");
    add(&mut chunk, EXECUTION, 1, &[0; 5]);
    add(&mut chunk, 103, 2, &[16, 1024]);
    chunk.encode()
}

fn with(recording: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut recording = recording.to_vec();
    recording[at..at + bytes.len()].copy_from_slice(bytes);
    recording
}

#[test]
fn damaged_headers_are_refused_with_their_place() {
    let good = good();
    check(b"FLR", "byte 0: a chunk expected");
    check(b"\x1f\x8b\x08\0 and more", "byte 0: a chunk begins with");
    check(
        &with(&good, 4, &[0, 0]),
        "byte 4: the version of the chunk is neither 1 nor 2",
    );
    check(
        &with(&good, 8, &[0; 8]),
        "byte 8: the chunk was never finished",
    );
    check(
        &with(&good, 8, &[0, 0, 0, 0, 0, 0, 0, 67]),
        "the chunk has 67 bytes",
    );
    check(&good[..good.len() - 1], "byte 8: the chunk has");
    check(&with(&good, 16, &[0xff; 8]), "are outside of the chunk");
    check(
        &with(&good, 24, &[0; 8]),
        "the types at 0 are outside of the chunk",
    );
    let mut twice = [good.clone(), good].concat();
    let second = twice.len() / 2;
    twice[second] = b'X';
    check(&twice, &format!("byte {second}: a chunk begins with"));
}

#[test]
fn an_event_of_no_bytes_ends_the_reading() {
    for size in [
        [0x80, 0x80, 0x80, 0],
        [0x81, 0x80, 0x80, 0],
        [0xff, 0xff, 0xff, 0x7f],
    ] {
        check(&with(&good(), 68, &size), "byte 68: an event has");
    }
}

#[test]
fn constants_that_lead_in_circles_are_refused() {
    let mut chunk = chunk(false, 0);
    chunk.pools = vec![(0, Vec::new()); 2];
    let good = chunk.encode();
    assert!(samples(&good).is_empty());
    // Events of 41 bytes: size, type, start, length, and then how far back the one before it is.
    let second = 68 + 41;
    let at = second + 4 + 8 + 8 + 8;
    assert_eq!(good[at..at + 8], (-41_i64).to_be_bytes());
    for back in [41_i64, 1, -1_000, i64::MIN] {
        let damaged = with(&good, at, &back.to_be_bytes());
        check(&damaged, "byte 121: the constants before these are");
    }
    for back in -40..0 {
        refused(&with(&good, at, &i64::from(back).to_be_bytes()));
    }
}

#[test]
fn claims_of_more_than_there_is_are_refused_before_anything_is_allocated() {
    let mut chunk = chunk(true, 0);
    for (pools, content) in [
        (u32::MAX, &[][..]),
        (1, &[31, 0xff, 0xff, 0xff, 0x7f]),
        (1, &[31, 1, 1, 3, 0xff, 0xff, 0x7f]),
        (1, &[31, 1, 1, 4, 0xff, 0xff, 0x7f]),
        (1, &[26, 1, 1, 0, 0xff, 0xff, 0xff, 0x7f]),
    ] {
        chunk.pools = vec![(pools, content.to_vec())];
        check(&chunk.encode(), "expected");
    }
    chunk.pools = vec![(1, vec![31, 1, 1, 9])];
    check(
        &chunk.encode(),
        "constants of jdk.types.Symbol: a string begins with its encoding, 0 to 5, not 9",
    );
    chunk.pools = vec![(1, vec![77, 1, 1, 9])];
    check(
        &chunk.encode(),
        "constants of type 77, which the chunk does not describe",
    );
}

#[test]
fn types_without_content_cost_nothing_however_often_they_are() {
    let mut chunk = chunk(true, 0);
    // Each level has two of the one below it: 2^60 of the last, in which nothing is.
    for level in 0..60 {
        let below = 300 + level + 1;
        chunk
            .types
            .push((300 + level, "x", vec![("a", below, ""), ("b", below, "")]));
    }
    chunk.types.push((360, "x", vec![]));
    // It is inside of itself, and takes a byte.
    chunk.types.push((
        400,
        "jdk.types.Loop",
        vec![("again", 400, ""), ("x", INT, "")],
    ));
    let execution = chunk
        .types
        .iter_mut()
        .find(|(id, ..)| *id == EXECUTION)
        .unwrap();
    execution.2.splice(0..0, [("a", 300, "a"), ("b", 300, "")]);
    let mut out = Writer::new(true);
    out.event(EXECUTION, |body| {
        body.int(3).long(5).long(1).long(1);
        for _ in 0..5 {
            body.long(0);
        }
    });
    chunk.events = out.bytes;
    assert_eq!(samples(&chunk.encode()).len(), 1);
    chunk.pools.push((1, vec![0x90, 3, 1, 1, 1, 1, 1]));
    check(
        &chunk.encode(),
        "constants of jdk.types.Loop: types are nested more than",
    );
}

#[test]
fn a_recording_that_becomes_too_large_is_refused() {
    let mut chunk = chunk(true, 0);
    let mut more = Writer::new(true);
    more.long(26).int(9);
    for id in 10..19 {
        more.long(id).byte(0).int(9_000);
        for line in 0..9_000 {
            more.long(1).int(line + id as u32).int(0);
        }
    }
    chunk.pools.push((1, more.bytes));
    for id in 10..19 {
        add(&mut chunk, EXECUTION, id, &[0; 5]);
    }
    let read = read_with(
        &chunk.encode(),
        SampleRate::DEFAULT,
        &LabelsSnapshot::default(),
    );
    assert_eq!(
        read.unwrap_err(),
        Error::TooLarge {
            limit: LIMITS.profile_bytes
        }
    );
}

#[test]
fn one_long_name_of_many_methods_is_not_read_for_each() {
    let mut chunk = chunk(true, 0);
    let mut more = Writer::new(true);
    let methods = 20_000;
    more.long(31).int(1).long(900).text(&"x".repeat(1 << 15));
    more.long(28).int(methods);
    for method in 0..methods {
        more.long(1_000 + u64::from(method))
            .long(0)
            .long(900)
            .int(0);
    }
    more.long(26).int(1).long(9).byte(0).int(methods);
    for method in 0..methods {
        more.long(1_000 + u64::from(method)).int(1).int(0);
    }
    chunk.pools.push((3, more.bytes));
    add(&mut chunk, EXECUTION, 9, &[0; 5]);
    let read = read_with(
        &chunk.encode(),
        SampleRate::DEFAULT,
        &LabelsSnapshot::default(),
    );
    let limit = LIMITS.profile_bytes;
    assert_eq!(read.unwrap_err(), Error::TooLarge { limit });
}

#[test]
fn one_long_label_of_many_samples_is_not_looked_up_for_each() {
    // contexts {7: {1: 2}}, strings {1: "k", 2: 60 000 bytes}
    let mut snapshot =
        b"\x0a\x0a\x08\x07\x12\x06\x0a\x04\x08\x01\x10\x02\x12\x05\x08\x01\x12\x01k".to_vec();
    snapshot.extend(b"\x12\xe6\xd4\x03\x08\x02\x12\xe0\xd4\x03");
    snapshot.extend([b'v'; 60_000]);
    let labels = LabelsSnapshot::read(&snapshot).unwrap();
    let mut chunk = chunk(true, 0);
    for span in 0..1_000 {
        add(&mut chunk, EXECUTION, 1, &[span, 0, 7, 0, 0]);
    }
    let read = read_with(&chunk.encode(), SampleRate::DEFAULT, &labels);
    let limit = LIMITS.profile_bytes;
    assert_eq!(read.unwrap_err(), Error::TooLarge { limit });
}

/// Cuts and flipped bytes are refused with their place, or read as something else; they never panic.
#[test]
fn no_damage_panics() {
    let good = good();
    for end in 0..good.len() {
        if end > 0 {
            refused(&good[..end]);
        }
    }
    for at in 0..good.len() {
        for bit in 0..8 {
            let damaged = with(&good, at, &[good[at] ^ 1 << bit]);
            let _ = read_with(&damaged, SampleRate::DEFAULT, &LabelsSnapshot::default());
        }
    }
}

#[test]
fn no_bytes_panic() {
    let good = good();
    bolero::check!()
        .with_type::<(Vec<u8>, Vec<(u16, u8)>)>()
        .for_each(|(bytes, changes)| {
            let labels = LabelsSnapshot::read(bytes).unwrap_or_default();
            let _ = read_with(bytes, SampleRate::DEFAULT, &labels);
            let mut changed = good.clone();
            for (at, byte) in changes {
                let at = usize::from(*at) % changed.len();
                changed[at] = *byte;
            }
            let _ = read_with(&changed, SampleRate::UNKNOWN, &labels);
        });
}
