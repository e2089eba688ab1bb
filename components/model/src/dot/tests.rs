use std::io::Read;

use phlare_proto::google::v1::{Function, Line, Location, Mapping, Sample, ValueType};
use proptest::prelude::*;
use prost::Message;

use super::*;

/// One sample type of a profile, every value `times` times, as a query answers it.
fn select(file: &[u8], sample_type: usize, times: i64) -> Profile {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(file)
        .read_to_end(&mut bytes)
        .unwrap();
    let mut profile = Profile::decode(bytes.as_slice()).unwrap();
    profile.sample_type = vec![profile.sample_type.swap_remove(sample_type)];
    for sample in &mut profile.sample {
        sample.value = vec![sample.value[sample_type] * times];
    }
    profile
}

/// The labels of nodes, and of edges with those of their ends, sorted: what recorded answers keep.
fn normal(dot: &str) -> String {
    let label = |line: &str| {
        let start = line.find("[label=\"").unwrap() + "[label=\"".len();
        line[start..start + line[start..].find("\" ").unwrap()]
            .trim()
            .to_owned()
    };
    let lines = || {
        dot.lines()
            .filter(|line| line.starts_with('N'))
            .map(|line| line.split_once(" [").unwrap())
    };
    let full = |ends: &str| {
        dot.lines()
            .find(|line| line.starts_with(&format!("{ends} [")))
            .map(label)
            .unwrap()
    };
    let mut nodes: Vec<String> = lines()
        .filter(|(ends, _)| !ends.contains("->"))
        .map(|(id, _)| full(id))
        .collect();
    let mut edges: Vec<[String; 3]> = lines()
        .filter_map(|(ends, _)| {
            ends.split_once(" -> ")
                .map(|(from, to)| [full(from), full(to), full(ends)])
        })
        .collect();
    nodes.sort();
    edges.sort();
    nodes
        .into_iter()
        .chain(edges.into_iter().map(|edge| edge.join("\t")))
        .map(|line| line + "\n")
        .collect()
}

#[test]
fn recorded_graphs_of_cpu_time_are_met() {
    let cpu = select(include_bytes!("../../tests/data/dot/cpu.pb.gz"), 1, 5);
    assert_eq!(
        normal(&render(&cpu, 5)),
        include_str!("../../tests/data/dot/cpu-5.tsv")
    );
    assert_eq!(
        normal(&render(&cpu, 100)),
        include_str!("../../tests/data/dot/cpu-100.tsv")
    );
}
#[test]
fn a_recorded_graph_of_memory_is_met() {
    let heap = select(include_bytes!("../../tests/data/dot/heap.pb.gz"), 3, 2);
    assert_eq!(
        normal(&render(&heap, 20)),
        include_str!("../../tests/data/dot/heap-20.tsv")
    );
}

/// A profile of functions called by their letters: stacks root first, each with its value.
fn profile(stacks: &[(&str, i64)]) -> Profile {
    let letters = 'a'..='z';
    Profile {
        sample_type: vec![ValueType { r#type: 1, unit: 2 }],
        string_table: ["", "objects", "count", "bin/app"]
            .map(str::to_owned)
            .into_iter()
            .chain(letters.clone().map(String::from))
            .collect(),
        mapping: vec![Mapping {
            id: 1,
            filename: 3,
            ..Mapping::default()
        }],
        function: (1..)
            .zip(letters.clone())
            .map(|(id, _)| Function {
                id,
                name: id as i64 + 3,
                ..Function::default()
            })
            .collect(),
        location: (1..)
            .zip(letters)
            .map(|(id, _)| Location {
                id,
                mapping_id: 1,
                line: vec![Line {
                    function_id: id,
                    ..Line::default()
                }],
                ..Location::default()
            })
            .collect(),
        sample: stacks
            .iter()
            .map(|(stack, value)| Sample {
                location_id: stack
                    .bytes()
                    .rev()
                    .map(|letter| u64::from(letter - b'a') + 1)
                    .collect(),
                value: vec![*value],
                ..Sample::default()
            })
            .collect(),
        ..Profile::default()
    }
}

#[test]
fn a_recursive_function_counts_once() {
    let dot = normal(&render(&profile(&[("aba", 3), ("aab", 1)]), 0));
    assert_eq!(
        dot,
        "a\\n3 (75.00%)\\nof 4 (100%)\nb\\n1 (25.00%)\\nof 4 (100%)\n\
        a\\n3 (75.00%)\\nof 4 (100%)\tb\\n1 (25.00%)\\nof 4 (100%)\t4\n\
        b\\n1 (25.00%)\\nof 4 (100%)\ta\\n3 (75.00%)\\nof 4 (100%)\t3\n"
    );
}

#[test]
fn calls_over_left_out_nodes_are_dotted() {
    let dot = render(&profile(&[("abc", 90), ("az", 10)]), 2);
    assert!(dot.contains("Showing top 2 nodes out of 4"), "{dot}");
    let edges: Vec<_> = dot.lines().filter(|line| line.contains(" -> N")).collect();
    assert_eq!(edges.len(), 1, "{dot}");
    assert!(
        edges[0]
            .ends_with("tooltip=\"a ... c (90)\" labeltooltip=\"a ... c (90)\" style=\"dotted\"]"),
        "{dot}"
    );
}

#[test]
fn frames_without_a_function_show_what_is_known() {
    let mut profile = profile(&[("ab", 1)]);
    profile.location[0].line.clear();
    profile.location[0].address = 0x1f;
    profile.location[1].line[0].function_id = 99;
    profile.location[1].mapping_id = 99;
    let dot = normal(&render(&profile, 0));
    assert!(
        dot.starts_with("000000000000001f\\n[app]\\n0 of 1 (100%)\n<unknown>\\n1 (100%)\n"),
        "{dot}"
    );
}

#[test]
fn inlined_calls_are_marked() {
    let mut profile = profile(&[("a", 1)]);
    profile.location[0].line.insert(
        0,
        Line {
            function_id: 2,
            line: 7,
            ..Line::default()
        },
    );
    let dot = normal(&render(&profile, 0));
    assert!(
        dot.ends_with("a\\n0 of 1 (100%)\tb\\n:7\\n1 (100%)\t1\\n (inline)\n"),
        "{dot}"
    );
}

#[test]
fn no_samples_are_no_text() {
    assert_eq!(render(&profile(&[]), 100), "");
    assert_eq!(render(&Profile::default(), 0), "");
}

#[test]
fn names_cannot_leave_their_quotes() {
    let mut profile = profile(&[("a", 1)]);
    profile.string_table[4] = "x\"]; \\ y\n".to_owned();
    profile.string_table[3] = "a\"b".to_owned();
    let dot = render(&profile, 0);
    assert!(dot.starts_with("digraph \"a\\\"b\" {\n"), "{dot}");
    assert!(dot.contains(r#"label="x\"]; \\ y\l\n1 (100%)""#), "{dot}");
}

proptest! {
    #[test]
    fn ids_that_lead_nowhere_do_no_harm(
        locations in proptest::collection::vec((0..4u64, 0..4u64, proptest::collection::vec((0..4u64, any::<i64>()), 0..3)), 0..4),
        samples in proptest::collection::vec((proptest::collection::vec(0..5u64, 0..5), proptest::collection::vec(any::<i64>(), 0..2)), 0..6),
        strings in proptest::collection::vec(".*", 0..3),
        max_nodes in -1..4i64,
    ) {
        let line = |(function_id, line)| Line { function_id, line, ..Line::default() };
        let profile = Profile {
            sample_type: vec![ValueType { r#type: -1, unit: 9 }],
            string_table: strings,
            function: vec![Function { id: 1, name: 2, filename: i64::MAX, ..Function::default() }],
            mapping: vec![Mapping { id: 1, filename: i64::MIN, ..Mapping::default() }],
            location: locations
                .into_iter()
                .map(|(id, mapping_id, lines)| Location { id, mapping_id, line: lines.into_iter().map(line).collect(), ..Location::default() })
                .collect(),
            sample: samples.into_iter().map(|(location_id, value)| Sample { location_id, value, ..Sample::default() }).collect(),
            ..Profile::default()
        };
        let dot = render(&profile, max_nodes);
        prop_assert_eq!(dot.is_empty(), profile.sample.is_empty());
    }
}
