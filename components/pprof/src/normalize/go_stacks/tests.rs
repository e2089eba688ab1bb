use std::collections::HashMap;
use std::path::{Path, PathBuf};

use phlare_proto::google::v1::{Function, Line, Location, Profile, Sample, ValueType};
use prost::Message;

use super::*;
use crate::gzip::Inflater;
use crate::normalize::symbols::SymbolBuffers;
use crate::normalize::text::{Text, TextBuffers};
use crate::tables::Tables;
use crate::wire::Reader;

/// Not small: small ones make equal hashes of small numbers.
const SEED: Seed = Seed::new(0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321);

/// Members that a group needed when the fixtures' results were made.
const MEMBERS_OF_FIXTURES: u32 = 2;

fn limits(members: u32) -> RepairLimits {
    RepairLimits { members, depth: 0 }
}

/// Stacks before and after the repair, as indices of locations.
struct Repaired {
    before: Vec<Vec<u32>>,
    after: Vec<Vec<u32>>,
    again: Vec<Vec<u32>>,
}

fn repair(profile: &Profile, cut: CutAt, limits: RepairLimits) -> Repaired {
    let bytes = profile.encode_to_vec();
    let mut tables = Tables::default();
    tables.read(&bytes).unwrap();
    let (mut text, mut buffers) = (TextBuffers::default(), SymbolBuffers::default());
    let text = Text::build(&bytes, &tables.strings, 65_535, true, 1, &mut text);
    let mut symbols = Symbols::new(SEED, text, &mut tables, &mut buffers).unwrap();
    let (mut pending, mut frames) = (Vec::new(), Vec::new());
    for span in symbols.samples() {
        let first = frames.len();
        let mut reader = Reader::part(&bytes, span.start, span.end);
        while let Some((field, wire)) = reader.tag().unwrap() {
            match field {
                1 => reader.numbers(wire, |id| frames.push(symbols.location_ids().get(id))),
                _ => reader.skip(wire),
            }
            .unwrap();
        }
        pending.push(Pending::of(first, frames.len() - first));
    }
    let stacks = |pending: &[Pending], frames: &[u32]| {
        let stack = |pending: &Pending| frames[pending.range()].to_vec();
        pending.iter().map(stack).collect()
    };
    let before = stacks(&pending, &frames);
    let wire = frames.len();
    let mut scratch = GoStacks::default();
    scratch.repair(cut, limits, &mut pending, &mut frames, &mut symbols);
    let after = stacks(&pending, &frames);
    let depth: usize = pending.iter().map(|stack| stack.range().len()).sum();
    assert!(depth <= 2 * wire, "{depth} frames of {wire}");
    scratch.repair(cut, limits, &mut pending, &mut frames, &mut symbols);
    Repaired {
        before,
        after,
        again: stacks(&pending, &frames),
    }
}

/// One function and location for each number up to the largest. Short stacks at the end have those that are left,
/// so that locations have their ids as numbers.
fn profile(stacks: &[Vec<u64>]) -> Profile {
    let count = stacks.iter().flatten().copied().max().unwrap_or_default();
    let all: Vec<u64> = (1..=count).collect();
    Profile {
        sample_type: vec![ValueType { r#type: 0, unit: 0 }],
        string_table: (0..=count)
            .map(|id| {
                if id == 0 {
                    String::new()
                } else {
                    id.to_string()
                }
            })
            .collect(),
        function: (1..=count)
            .map(|id| Function {
                id,
                name: id as i64,
                ..Function::default()
            })
            .collect(),
        location: (1..=count)
            .map(|id| Location {
                id,
                line: vec![Line {
                    function_id: id,
                    ..Line::default()
                }],
                ..Location::default()
            })
            .collect(),
        sample: (stacks.iter().map(Vec::as_slice))
            .chain(all.chunks(TAIL_FRAMES - 1))
            .map(|stack| Sample {
                location_id: stack.to_vec(),
                value: vec![1],
                ..Sample::default()
            })
            .collect(),
        ..Profile::default()
    }
}

/// Repairs as a heap profile; stacks as ids.
fn heap(stacks: &[Vec<u64>], limits: RepairLimits) -> Vec<Vec<u64>> {
    let ids = |stack: Vec<u32>| {
        stack
            .into_iter()
            .map(|index| u64::from(index) + 1)
            .collect()
    };
    let repaired = repair(&profile(stacks), CutAt::Heap, limits);
    assert_eq!(repaired.after, repaired.again);
    let after = repaired.after.into_iter().take(stacks.len());
    after.map(ids).collect()
}

fn path(ids: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    ids.collect()
}

/// The last of all stacks in order, which stays as it is: the number 255 makes the greatest first byte.
fn last() -> Vec<u64> {
    vec![255; 24]
}

#[test]
fn a_stack_that_was_cut_goes_on_like_one_that_reaches_farther() {
    // 1 to 32 is cut; 9 to 40 is cut farther up, 17 to 42 has its root.
    let stacks = [path(1..=32), path(9..=40), path(17..=42), last()];
    let expected = [path(1..=42), path(9..=42), path(17..=42), last()];
    assert_eq!(heap(&stacks, limits(1)), expected);
}

#[test]
fn nothing_happens_where_no_stack_has_the_depth_of_the_cut() {
    let stacks = [path(1..=31), path(8..=39), last()];
    assert_ne!(heap(&stacks, limits(1)), stacks);
    let stacks = [path(1..=31), path(9..=39), last()];
    assert_eq!(heap(&stacks, limits(1)), stacks);
    let cpu = repair(
        &profile(&[path(1..=32), path(9..=40)]),
        CutAt::Cpu,
        limits(1),
    );
    assert_eq!(cpu.before, cpu.after, "64 in CPU profiles");
}

#[test]
fn sixteen_frames_in_common_are_needed_and_enough() {
    let stacks = [path(1..=32), path(17..=41), last()];
    assert_eq!(heap(&stacks, limits(1))[0], path(1..=32), "9 farther: 15");
    let stacks = [path(1..=32), path(17..=40), last()];
    assert_eq!(heap(&stacks, limits(1))[0], path(1..=40), "8 farther: 16");
}

#[test]
fn what_leads_farthest_is_taken_then_what_has_the_smallest_first_byte() {
    let with = |start, end, more: &[u64]| [path(start..=end), more.to_vec()].concat();
    // The number 257 begins with the byte 1, the numbers 100 and 200 are one byte.
    let near = [
        with(1, 32, &[]),
        with(16, 32, &[100]),
        with(10, 32, &[200, 201]),
        last(),
    ];
    assert_eq!(heap(&near, limits(1))[0], with(1, 32, &[200, 201]));
    let equal = [
        with(1, 32, &[]),
        with(10, 32, &[100]),
        with(10, 32, &[257]),
        last(),
    ];
    assert_eq!(heap(&equal, limits(1))[0], with(1, 32, &[257]));
}

#[test]
fn groups_can_be_asked_for_members() {
    let one = [path(1..=32), path(9..=40), last()];
    assert_eq!(heap(&one, limits(2)), one);
    let two = [path(1..=32), path(9..=40), path(8..=40), last()];
    assert_eq!(heap(&two, limits(2))[0], path(1..=40));
}

#[test]
fn a_recursion_is_not_unrolled_and_a_circle_ends() {
    let recursion = [vec![7; 32], vec![7; 33], last()];
    assert_eq!(heap(&recursion, limits(1)), recursion);
    let round = |start: u64| (0..32).map(|n| (start + n) % 36 + 1).collect::<Vec<_>>();
    let circle: Vec<_> = (0..36).map(round).chain([last()]).collect();
    let after = heap(&circle, limits(1));
    assert!(
        after.iter().all(|stack| stack.len() <= 32 * (1 + ROUNDS)),
        "{after:?}"
    );
}

#[test]
fn no_stack_gets_deeper_than_allowed() {
    let stacks = [path(1..=32), path(9..=40), last()];
    let at = |depth| RepairLimits { members: 1, depth };
    assert_eq!(heap(&stacks, at(40))[0], path(1..=40));
    assert_eq!(heap(&stacks, at(39)), stacks);
}

#[test]
fn a_small_profile_does_not_become_a_large_one() {
    // A way of 800 frames in steps of 8; each of 2000 short stacks would get nearly all of it.
    let steps = (0..97).map(|step| path(1 + 8 * step..=24 + 8 * step));
    let many = (0..2000).map(|leaf| [vec![1000 + leaf], path(1..=24)].concat());
    let stacks: Vec<_> = steps
        .chain(many)
        .chain([path(1..=800), path(1..=32)])
        .collect();
    // `repair` looks at the sum of all frames.
    let repaired = repair(&profile(&stacks), CutAt::Heap, limits(1));
    assert_ne!(repaired.before, repaired.after);
}

#[test]
fn stacks_with_frames_that_do_not_exist_neither_give_nor_take() {
    let mut p = profile(&[path(1..=32), path(9..=40), last()]);
    p.location[39].line[0].function_id = 999;
    let repaired = repair(&p, CutAt::Heap, limits(1));
    assert_eq!(repaired.before, repaired.after);
}

#[test]
fn the_sample_types_say_what_cuts() {
    assert_eq!(CutAt::of(["samples", "cpu"]), Some(CutAt::Cpu));
    assert_eq!(CutAt::of(["inuse_space"]), Some(CutAt::Heap));
    assert_eq!(CutAt::of(["contentions", "delay"]), None);
}

/// A file of `tests/data`, else of the shared test data, if it is there.
fn fixture(name: &str) -> Option<Profile> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata");
    let shared = std::env::var_os("PHLARE_TESTDATA").map_or(beside, PathBuf::from);
    let raw = [own, shared.join("pprof/pprof/gotruncatefix")]
        .iter()
        .find_map(|dir| std::fs::read(dir.join(name)).ok())?;
    let mut plain = Vec::new();
    Inflater::new().gunzip(&raw, 1 << 30, &mut plain).unwrap();
    Some(Profile::decode(&plain[..]).unwrap())
}

/// What a location is, without what differs by how its type parameters were cut.
type Content = Vec<(String, String, i64)>;

fn contents(profile: &Profile) -> Vec<Content> {
    let functions: HashMap<u64, &Function> = profile.function.iter().map(|f| (f.id, f)).collect();
    let line = |line: &Line| {
        let function = functions[&line.function_id];
        let [name, file] = [function.name, function.filename]
            .map(|index| profile.string_table[index as usize].clone());
        (without_parameters(&name), file, line.line)
    };
    let content = |location: &Location| location.line.iter().map(line).collect();
    profile.location.iter().map(content).collect()
}

/// Cuts out `[...]`, which the fixtures have instead of shapes, and shapes.
fn without_parameters(name: &str) -> String {
    let mut depth = 0;
    let mut out = String::new();
    for (at, character) in name.char_indices() {
        let rest = &name[at..];
        let opens = rest.starts_with("[...]") || rest.starts_with("[go.shape.");
        match character {
            '[' if depth > 0 || opens => depth += 1,
            ']' if depth > 0 => depth -= 1,
            _ if depth == 0 => out.push(character),
            _ => {}
        }
    }
    out
}

/// How many stacks with their values are not as in the fixture's result.
fn differences(name: &str, cut: CutAt, double: bool) -> Option<(usize, usize)> {
    let (profile, fixed) = (fixture(name)?, fixture(&format!("{name}.fixed"))?);
    let repaired = repair(&profile, cut, limits(MEMBERS_OF_FIXTURES));
    let mut numbers: HashMap<Content, usize> = HashMap::new();
    let mut number = |profile: &Profile| -> Vec<usize> {
        let mut of = |content| {
            let next = numbers.len();
            *numbers.entry(content).or_insert(next)
        };
        contents(profile).into_iter().map(&mut of).collect()
    };
    let (ours, theirs) = (number(&profile), number(&fixed));
    let ids: HashMap<u64, usize> = fixed.location.iter().map(|l| l.id).zip(theirs).collect();
    let mut left: HashMap<(Vec<usize>, Vec<i64>), i64> = HashMap::new();
    for sample in &fixed.sample {
        let stack = sample.location_id.iter().map(|id| ids[id]).collect();
        *left.entry((stack, sample.value.clone())).or_default() += 1;
    }
    for (stack, sample) in repaired.after.iter().zip(&profile.sample) {
        let stack = stack.iter().map(|&index| ours[index as usize]).collect();
        let values = sample.value.iter().map(|value| value << u32::from(double));
        *left.entry((stack, values.collect())).or_default() -= 1;
    }
    let wrong: i64 = left.values().filter(|&&count| count > 0).sum();
    let changed = repaired.before.iter().zip(&repaired.after);
    Some((wrong as usize, changed.filter(|(a, b)| a != b).count()))
}

#[test]
fn real_stacks_are_repaired_as_upstream_does() {
    let cpu = differences("cpu_go_truncated_1.pb.gz", CutAt::Cpu, false);
    assert_eq!(cpu, Some((0, 119)));
    // The heap fixtures are large and not part of this repository; their results have all values twice.
    if let Some(differences) = differences("heap_go_truncated_1.pb.gz", CutAt::Heap, true) {
        assert_eq!(differences, (0, 2086));
    }
    // Here six stacks depend on which of equal ones is first, and the order of that profile is not known.
    if let Some(differences) = differences("heap_go_truncated_3.pb.gz", CutAt::Heap, true) {
        assert_eq!(differences, (6, 16_367));
    }
}

#[test]
fn repaired_stacks_begin_as_before_and_stay_as_they_are() {
    for (name, cut) in [
        ("cpu_go_truncated_1.pb.gz", CutAt::Cpu),
        ("heap_go_truncated_1.pb.gz", CutAt::Heap),
        ("heap_go_truncated_3.pb.gz", CutAt::Heap),
    ] {
        let Some(profile) = fixture(name) else {
            continue;
        };
        let Repaired {
            before,
            after,
            again,
        } = repair(&profile, cut, limits(1));
        assert!(
            after
                .iter()
                .zip(&before)
                .all(|(after, before)| after.starts_with(before))
        );
        assert!(after == again, "{name}");
    }
}
