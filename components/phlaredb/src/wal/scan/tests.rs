use std::io::Cursor;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::frame::{put, segment_header};
use super::*;

const SEGMENT: SegmentId = SegmentId(5);

/// A segment, and where each frame lies in it.
#[derive(Debug, Default)]
struct Built {
    bytes: Vec<u8>,
    frames: Vec<(Vec<u8>, std::ops::Range<usize>)>,
}

fn build(payloads: &[Vec<u8>]) -> Built {
    let mut built = Built {
        bytes: segment_header(SEGMENT),
        frames: Vec::new(),
    };
    for payload in payloads {
        let from = built.bytes.len();
        put(
            &mut built.bytes,
            SEGMENT,
            from as u64,
            payload,
            frame::checksum(payload),
        );
        built
            .frames
            .push((payload.clone(), from..built.bytes.len()));
    }
    built
}

fn read(bytes: &[u8]) -> (Vec<(u64, Vec<u8>)>, Scan) {
    let mut records = Vec::new();
    let found = scan(Cursor::new(bytes), SEGMENT, &mut |record| {
        records.push((record.offset(), record.payload().to_vec()));
    });
    (records, found.unwrap())
}

/// Every byte of a segment is accounted for once.
#[track_caller]
fn accounted_for(bytes: &[u8], found: &Scan) {
    if found.foreign.is_some() {
        return;
    }
    let header = if frame::parse_segment_header(bytes) == Header::Damaged {
        0
    } else {
        SEGMENT_HEADER as u64
    };
    let frames = found.records * FRAME_HEADER as u64 + found.bytes;
    let lost: u64 = found
        .damage
        .iter()
        .chain(&found.tail)
        .map(|range| range.bytes)
        .sum();
    assert_eq!(header + frames + lost, bytes.len() as u64, "{found:?}");
}

#[test]
fn a_whole_segment_comes_back() {
    let built = build(&[
        b"one".to_vec(),
        Vec::new(),
        vec![7; 600_000],
        b"four".to_vec(),
    ]);
    let (records, found) = read(&built.bytes);
    let expected: Vec<_> = built
        .frames
        .iter()
        .map(|(payload, at)| (at.start as u64, payload.clone()))
        .collect();
    assert_eq!(records, expected);
    assert_eq!(
        found,
        Scan {
            records: 4,
            bytes: 600_007,
            ..Scan::default()
        }
    );
}

#[test]
fn the_format_on_disk_stays() {
    // Written by another program, from the description in `frame`.
    let bytes =
        include_bytes!("__fuzz__/wal__scan__tests__hostile_bytes_are_read_to_the_end/corpus/whole");
    let payloads = [b"one".to_vec(), Vec::new(), b"three".repeat(20)];
    assert_eq!(build(&payloads).bytes, bytes);
    let (records, found) = read(bytes);
    assert_eq!(
        records
            .into_iter()
            .map(|(_, payload)| payload)
            .collect::<Vec<_>>(),
        payloads
    );
    assert_eq!((found.tail, found.damage), (None, vec![]));
}

#[test]
fn a_cut_anywhere_in_the_last_frame_costs_that_frame_only() {
    let built = build(&[b"first".to_vec(), b"second".to_vec()]);
    let last = built.frames[1].1.clone();
    for cut in last.clone() {
        let (records, found) = read(&built.bytes[..cut]);
        assert_eq!(records.len(), 1, "cut at {cut}");
        let torn = (cut > last.start).then(|| Range {
            offset: last.start as u64,
            bytes: (cut - last.start) as u64,
        });
        assert_eq!(found.tail, torn);
        assert_eq!(found.damage, []);
    }
}

#[test]
fn zeros_behind_the_last_frame_are_a_tail() {
    let mut built = build(&[b"first".to_vec()]);
    let end = built.bytes.len() as u64;
    built.bytes.extend_from_slice(&[0; 4096]);
    let (records, found) = read(&built.bytes);
    assert_eq!(records.len(), 1);
    assert_eq!(
        found.tail,
        Some(Range {
            offset: end,
            bytes: 4096
        })
    );
}

#[test]
fn a_damaged_header_costs_no_record() {
    let mut built = build(&[b"first".to_vec(), b"second".to_vec()]);
    built.bytes[3] ^= 0xff;
    let (records, found) = read(&built.bytes);
    assert_eq!(records.len(), 2);
    assert_eq!(
        found.damage,
        [Range {
            offset: 0,
            bytes: SEGMENT_HEADER as u64
        }]
    );
}

#[test]
fn records_behind_damage_are_marked() {
    let mut built = build(&[b"first".to_vec(), b"second".to_vec(), b"third".to_vec()]);
    let hit = built.frames[1].1.start + FRAME_HEADER;
    built.bytes[hit] ^= 1;
    let mut marks = Vec::new();
    scan(Cursor::new(&built.bytes), SEGMENT, &mut |record| {
        marks.push(record.after_damage())
    })
    .unwrap();
    assert_eq!(marks, [false, true]);
}

#[test]
fn frames_inside_a_payload_are_no_records() {
    let inner = build(&[b"not a record".to_vec(), b"nor this".to_vec()]);
    let mut built = build(&[inner.bytes, b"a record".to_vec()]);
    let outer = built.frames[0].1.start;
    built.bytes[outer] ^= 1; // the length is gone: the next frame has to be searched for
    let (records, found) = read(&built.bytes);
    assert_eq!(
        records,
        [(built.frames[1].1.start as u64, b"a record".to_vec())]
    );
    assert_eq!(found.damage.len(), 1);
}

#[test]
fn frames_of_another_segment_are_no_records() {
    let mut bytes = segment_header(SegmentId(SEGMENT.0 - 1));
    put(&mut bytes, SEGMENT, 24, b"stale", frame::checksum(b"stale"));
    let (records, found) = read(&bytes);
    assert_eq!(records, []);
    assert_eq!(found.renamed_from, Some(SegmentId(SEGMENT.0 - 1)));
    accounted_for(&bytes, &found);
}

#[test]
fn a_renamed_segment_comes_back() {
    let built = build(&[b"first".to_vec()]);
    let mut records = 0;
    let found = scan(Cursor::new(&built.bytes), SegmentId(77), &mut |_| {
        records += 1
    })
    .unwrap();
    assert_eq!(records, 1);
    assert_eq!(found.renamed_from, Some(SEGMENT));
}

#[test]
fn a_segment_of_a_newer_format_is_left_alone() {
    let mut bytes = segment_header(SEGMENT)[..SEGMENT_HEADER - 4].to_vec();
    bytes[8] = 2;
    bytes.extend_from_slice(&frame::checksum(&bytes).to_le_bytes());
    put(
        &mut bytes,
        SEGMENT,
        24,
        b"of another kind",
        frame::checksum(b"of another kind"),
    );
    let (records, found) = read(&bytes);
    assert_eq!(records, []);
    assert_eq!(found.foreign, Some(2));
}

#[test]
fn a_search_through_much_damage_is_one_pass() {
    // Every four bytes look like the beginning of a frame with a huge payload.
    let bytes = FRAME_MAGIC.repeat(1 << 20);
    let (records, found) = read(&bytes);
    assert_eq!(records, []);
    assert_eq!(
        found.tail,
        Some(Range {
            offset: 0,
            bytes: 4 << 20
        })
    );
}

/// Something bad that happens to a file.
#[derive(Clone, Debug)]
enum Harm {
    /// Bytes are changed.
    Flip {
        at: prop::sample::Index,
        mask: Vec<u8>,
    },
    /// The end is gone.
    Cut { at: prop::sample::Index },
}

fn harms() -> impl Strategy<Value = Harm> {
    prop_oneof![
        4 => (any::<prop::sample::Index>(), vec(1..=255_u8, 1..40)).prop_map(|(at, mask)| Harm::Flip { at, mask }),
        1 => any::<prop::sample::Index>().prop_map(|at| Harm::Cut { at }),
    ]
}

proptest! {
    #[test]
    fn damage_costs_only_the_records_it_hits(
        payloads in vec(vec(any::<u8>(), 0..200), 1..20),
        harm in vec(harms(), 0..4),
    ) {
        let built = build(&payloads);
        let mut bytes = built.bytes.clone();
        for harm in harm {
            if bytes.is_empty() {
                break;
            }
            match harm {
                Harm::Flip { at, mask } => {
                    let at = at.index(bytes.len());
                    for (byte, mask) in bytes[at..].iter_mut().zip(mask) {
                        *byte ^= mask;
                    }
                }
                Harm::Cut { at } => bytes.truncate(at.index(bytes.len())),
            }
        }
        let unharmed: Vec<_> = built
            .frames
            .iter()
            .filter(|(_, at)| bytes.get(at.clone()) == Some(&built.bytes[at.clone()]))
            .map(|(payload, at)| (at.start as u64, payload.clone()))
            .collect();
        let (records, found) = read(&bytes);
        prop_assert_eq!(records, unharmed);
        accounted_for(&bytes, &found);
    }
}

#[test]
fn hostile_bytes_are_read_to_the_end() {
    bolero::check!()
        .with_test_time(Duration::from_secs(1))
        .with_max_len(4096)
        .for_each(|bytes: &[u8]| {
            let (records, found) = read(bytes);
            accounted_for(bytes, &found);
            for (offset, payload) in records {
                let from = usize::try_from(offset).unwrap() + FRAME_HEADER;
                assert_eq!(
                    bytes.get(from..from + payload.len()),
                    Some(payload.as_slice())
                );
            }
        });
}
