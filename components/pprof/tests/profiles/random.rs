//! Random profiles: whatever their encoding, the result says what the message says, and hashes depend on content alone.

use std::collections::BTreeMap;

use phlare_pprof::{Normalized, Options, Workspace};
use phlare_proto::google::v1::{
    Function, Label, Line, Location, Mapping, Profile, Sample, ValueType,
};
use proptest::prelude::*;
use prost::Message;

use super::build::options;
use super::canonical::{of_message, of_result};

/// A small generator: the seed that proptest prints repeats a failure.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// Some position of a table of `count` entries, one in `n` times perhaps behind its end.
    fn position(&mut self, count: u64, n: u64) -> u64 {
        let beyond = u64::from(self.one_in(n));
        self.below((count + beyond).max(1))
    }

    fn many<T>(&mut self, most: u64, mut make: impl FnMut(&mut Self, u64) -> T) -> Vec<T> {
        let count = self.below(most + 1);
        (0..count).map(|i| make(self, i)).collect()
    }
}

const TEXTS: [&str; 14] = [
    "",
    "",
    "cpu",
    "main",
    "work",
    "a.go",
    "main",
    "span_id",
    "profile_id",
    "trace_id",
    "0011223344556677",
    "00112233445566778899aabbccddeeff",
    "κ",
    "region",
];

/// How the ids of a table are made from positions.
fn ids(random: &mut Random) -> impl Fn(u64) -> u64 + use<> {
    let (step, offset) = [(1, 1), (1, 1), (3, 2), (1 << 40, 5)][random.below(4) as usize];
    move |i| i * step + offset
}

pub(crate) fn profile(seed: u64) -> Profile {
    let r = &mut Random(seed);
    let text = |r: &mut Random| r.below(TEXTS.len() as u64) as i64;
    let (mapping_id, function_id, location_id) = (ids(r), ids(r), ids(r));
    let types = 1 + r.below(3);
    let mapping = r.many(3, |r, i| Mapping {
        id: mapping_id(i),
        memory_start: r.below(3),
        filename: text(r),
        has_functions: r.one_in(2),
        has_inline_frames: r.one_in(2),
        ..Mapping::default()
    });
    let function = r.many(6, |r, i| Function {
        id: function_id(i),
        name: text(r),
        filename: text(r),
        start_line: r.below(2) as i64,
        system_name: 0,
    });
    let functions = function.len() as u64;
    let location = r.many(12, |r, i| Location {
        id: location_id(if r.one_in(20) { 0 } else { i }),
        mapping_id: if r.one_in(8) {
            r.below(9)
        } else {
            mapping_id(r.below(mapping.len() as u64 + 1))
        },
        address: if r.one_in(4) { 0 } else { r.below(4) },
        line: r.many(2, |r, _| Line {
            function_id: function_id(r.position(functions, 9)),
            line: r.below(2) as i64,
            column: r.below(2) as i64,
        }),
        is_folded: r.one_in(9),
    });
    let locations = location.len() as u64;
    let labels = if r.one_in(2) { 0 } else { 3 };
    let sample = r.many(30, |r, _| Sample {
        location_id: r.many(6, |r, _| location_id(r.position(locations, 40))),
        value: (0..types)
            .map(|_| {
                if r.one_in(12) {
                    -1
                } else if r.one_in(30) {
                    i64::MAX
                } else {
                    r.below(4) as i64
                }
            })
            .collect(),
        label: r.many(labels, |r, _| Label {
            key: text(r),
            str: text(r),
            num: r.below(2) as i64,
            num_unit: 0,
        }),
    });
    Profile {
        sample_type: (0..types)
            .map(|_| ValueType {
                r#type: 2,
                unit: text(r),
            })
            .collect(),
        sample,
        mapping,
        location,
        function,
        string_table: TEXTS.map(String::from).to_vec(),
        time_nanos: 1 + r.below(5) as i64,
        ..Profile::default()
    }
}

/// The same message on the wire in another form: fields of the profile in any order, lists unpacked, fields nobody knows.
fn another_encoding(p: &Profile, r: &mut Random) -> Vec<u8> {
    let mut queues: Vec<Vec<Vec<u8>>> = Vec::new();
    let part = |part: Profile| part.encode_to_vec();
    queues.push(
        p.sample_type
            .iter()
            .map(|&t| {
                part(Profile {
                    sample_type: vec![t],
                    ..Profile::default()
                })
            })
            .collect(),
    );
    queues.push(
        p.mapping
            .iter()
            .map(|&m| {
                part(Profile {
                    mapping: vec![m],
                    ..Profile::default()
                })
            })
            .collect(),
    );
    queues.push(
        p.location
            .iter()
            .map(|l| {
                part(Profile {
                    location: vec![l.clone()],
                    ..Profile::default()
                })
            })
            .collect(),
    );
    queues.push(
        p.function
            .iter()
            .map(|&f| {
                part(Profile {
                    function: vec![f],
                    ..Profile::default()
                })
            })
            .collect(),
    );
    queues.push(
        p.string_table
            .iter()
            .map(|s| {
                part(Profile {
                    string_table: vec![s.clone()],
                    ..Profile::default()
                })
            })
            .collect(),
    );
    queues.push(vec![
        part(Profile {
            time_nanos: 99,
            ..Profile::default()
        }),
        part(Profile {
            time_nanos: p.time_nanos,
            ..Profile::default()
        }),
    ]);
    queues.push(p.sample.iter().map(|s| unpacked(s, r)).collect());
    queues.push(vec![vec![0x98, 6, 1], vec![0x9a, 6, 2, 0, 0]]); // field 99
    let mut bytes = Vec::new();
    for queue in &mut queues {
        queue.reverse();
    }
    while queues.iter().any(|queue| !queue.is_empty()) {
        let at = r.below(queues.len() as u64) as usize;
        bytes.extend(queues[at].pop().unwrap_or_default());
    }
    bytes
}

fn unpacked(sample: &Sample, r: &mut Random) -> Vec<u8> {
    let mut body = Vec::new();
    let (some, rest) = sample
        .location_id
        .split_at(r.below(sample.location_id.len() as u64 + 1) as usize);
    body.extend(
        Sample {
            label: sample.label.clone(),
            location_id: some.to_vec(),
            ..Sample::default()
        }
        .encode_to_vec(),
    );
    for (field, numbers) in [
        (1, rest.to_vec()),
        (2, sample.value.iter().map(|&v| v as u64).collect()),
    ] {
        for number in numbers {
            body.push(field << 3);
            prost::encoding::encode_varint(number, &mut body);
        }
    }
    let mut bytes = vec![2 << 3 | 2];
    prost::encoding::encode_varint(body.len() as u64, &mut bytes);
    bytes.extend(body);
    bytes
}

fn with_result<T>(
    workspace: &mut Workspace,
    bytes: &[u8],
    options: &Options<'_>,
    look: impl FnOnce(&Normalized<'_>) -> T,
) -> Option<T> {
    match workspace.decode(bytes, 0).unwrap().normalize(options) {
        Ok(n) => Some(look(&n)),
        Err(phlare_pprof::Error::NothingLeft { .. }) => None,
        Err(other) => panic!("{other}"),
    }
}

/// Values by the hash of their stack.
fn by_hash(n: &Normalized<'_>) -> BTreeMap<u64, Vec<Vec<i64>>> {
    let mut stacks = BTreeMap::<u64, Vec<Vec<i64>>>::new();
    for (s, sample) in n.samples.iter().enumerate() {
        stacks
            .entry(n.stacks[sample.stack as usize].hash)
            .or_default()
            .push(n.values_of(s).to_vec());
    }
    stacks.values_mut().for_each(|values| values.sort());
    stacks
}

/// The same content with strings in reverse and other ids.
fn shuffled(p: &Profile) -> Profile {
    let mut p = p.clone();
    let last = p.string_table.len() as i64 - 1;
    p.string_table[1..].reverse();
    let string = |s: &mut i64| *s = if *s == 0 { 0 } else { last + 1 - *s };
    for f in &mut p.function {
        f.id += 1000;
        string(&mut f.name);
        string(&mut f.filename);
    }
    for m in &mut p.mapping {
        string(&mut m.filename);
    }
    for l in &mut p.location {
        l.id += 77;
        l.line.iter_mut().for_each(|line| line.function_id += 1000);
    }
    for s in &mut p.sample {
        s.location_id.iter_mut().for_each(|id| *id += 77);
        s.label.iter_mut().for_each(|l| {
            string(&mut l.key);
            string(&mut l.str);
        });
    }
    p.sample_type.iter_mut().for_each(|t| {
        string(&mut t.r#type);
        string(&mut t.unit);
    });
    p.function.reverse();
    p
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_result_says_what_the_message_says(seed in any::<u64>(), max_depth in 0_usize..8) {
        let p = profile(seed);
        let options = Options { max_depth, ..options() };
        let expected = of_message(&p, &options);
        let mut workspace = Workspace::new();
        let got = with_result(&mut workspace, &p.encode_to_vec(), &options, of_result).unwrap_or_default();
        prop_assert_eq!(&got, &expected);
        let other = another_encoding(&p, &mut Random(seed));
        prop_assert_eq!(Profile::decode(&*other).unwrap(), p);
        let got = with_result(&mut workspace, &other, &options, of_result).unwrap_or_default();
        prop_assert_eq!(&got, &expected);
    }

    #[test]
    fn hashes_depend_on_content_alone(seed in any::<u64>()) {
        let p = profile(seed);
        let mut workspace = Workspace::new();
        let one = with_result(&mut workspace, &p.encode_to_vec(), &options(), |n| (by_hash(n), of_result(n)));
        let two = with_result(&mut workspace, &shuffled(&p).encode_to_vec(), &options(), |n| (by_hash(n), of_result(n)));
        // Reversing functions changes which of two with equal ids counts, but ids are distinct here.
        prop_assert_eq!(one, two);
    }

    #[test]
    fn folding_never_changes_totals_and_keeps_the_limit(seed in any::<u64>(), max_samples in 1_usize..12) {
        let p = profile(seed).encode_to_vec();
        let mut workspace = Workspace::new();
        let all = with_result(&mut workspace, &p, &options(), |n| n.values.chunks(n.sample_types.len()).map(<[i64]>::to_vec).collect::<Vec<_>>());
        let folded = with_result(&mut workspace, &p, &Options { max_samples, ..options() }, |n| (of_result(n), n.totals(), n.samples.len()));
        prop_assert_eq!(all.is_some(), folded.is_some());
        if let (Some(all), Some((_, totals, samples))) = (all, folded) {
            prop_assert!(samples <= max_samples);
            for (t, total) in totals.iter().enumerate() {
                let sum = all.iter().map(|row| i128::from(row[t])).sum::<i128>().min(i128::from(i64::MAX));
                prop_assert_eq!(i128::from(*total), sum);
            }
        }
    }
}
