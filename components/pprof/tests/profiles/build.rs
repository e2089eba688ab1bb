//! Valid profiles in one line; what a test is about is then changed in place.

use phlare_pprof::{Error, Normalized, Options, Seed, Workspace};
use phlare_proto::google::v1::{
    Function, Label, Line, Location, Mapping, Profile, Sample, ValueType,
};
use prost::Message;

pub(crate) const SEED: Seed = Seed::new(0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321);
pub(crate) const NOW_NS: i64 = 1_700_000_000_000_000_000;

pub(crate) const fn options() -> Options<'static> {
    Options::new(SEED, NOW_NS)
}

/// CPU of one sample: `f` calls `g`, value 5. Strings 5 and 6, `k` and `v`, are for labels.
pub(crate) fn profile() -> Profile {
    Profile {
        sample_type: vec![ValueType { r#type: 1, unit: 2 }],
        string_table: ["", "cpu", "nanoseconds", "f", "g", "k", "v"]
            .map(String::from)
            .to_vec(),
        function: vec![function(1, 3), function(2, 4)],
        mapping: vec![Mapping {
            id: 1,
            has_functions: true,
            ..Mapping::default()
        }],
        location: vec![location(1, 1, &[(1, 1)]), location(2, 1, &[(2, 2)])],
        sample: vec![sample(&[2, 1], &[5])],
        period_type: Some(ValueType { r#type: 1, unit: 2 }),
        period: 1,
        time_nanos: NOW_NS - 60,
        ..Profile::default()
    }
}

pub(crate) fn function(id: u64, name: i64) -> Function {
    Function {
        id,
        name,
        ..Function::default()
    }
}

pub(crate) fn location(id: u64, mapping_id: u64, lines: &[(u64, i64)]) -> Location {
    let line = lines
        .iter()
        .map(|&(function_id, line)| Line {
            function_id,
            line,
            column: 0,
        })
        .collect();
    Location {
        id,
        mapping_id,
        line,
        ..Location::default()
    }
}

pub(crate) fn sample(stack: &[u64], values: &[i64]) -> Sample {
    Sample {
        location_id: stack.to_vec(),
        value: values.to_vec(),
        label: Vec::new(),
    }
}

/// Adds a string and returns its index.
pub(crate) fn string(profile: &mut Profile, text: impl Into<String>) -> i64 {
    profile.string_table.push(text.into());
    profile.string_table.len() as i64 - 1
}

/// Adds a label to a sample.
pub(crate) fn label(profile: &mut Profile, sample: usize, key: &str, text: &str) {
    let label = Label {
        key: string(profile, key),
        str: string(profile, text),
        ..Label::default()
    };
    profile.sample[sample].label.push(label);
}

/// Normalises and hands the result to `look`, as it cannot leave.
#[track_caller]
pub(crate) fn normalized<T>(
    profile: &Profile,
    options: &Options<'_>,
    look: impl FnOnce(&Normalized<'_>) -> T,
) -> T {
    look(
        &Workspace::new()
            .decode(&profile.encode_to_vec(), 0)
            .unwrap()
            .normalize(options)
            .unwrap(),
    )
}

/// Why a profile is refused.
#[track_caller]
pub(crate) fn refused(profile: &Profile, options: &Options<'_>) -> Error {
    Workspace::new()
        .decode(&profile.encode_to_vec(), 0)
        .unwrap()
        .normalize(options)
        .unwrap_err()
}

/// Each row as `labels stack value,value`, root first, sorted; `#` before a span id.
pub(crate) fn rows(n: &Normalized<'_>) -> Vec<String> {
    let mut rows = Vec::new();
    for group in &n.groups {
        let labels: Vec<String> = group
            .labels
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        for s in group.first..group.first + group.count {
            let sample = n.samples[s as usize];
            let mut names = Vec::new();
            for &frame in n.frames_of(&n.stacks[sample.stack as usize]).iter().rev() {
                for line in n.lines_of(&n.locations[frame as usize]).iter().rev() {
                    names.push(n.string(n.functions[line.function as usize].name));
                }
            }
            let values: Vec<String> = n
                .values_of(s as usize)
                .iter()
                .map(ToString::to_string)
                .collect();
            let span = if sample.span_id == 0 {
                String::new()
            } else {
                format!(" #{:x}", sample.span_id)
            };
            rows.push(format!(
                "{{{}}} {} {}{span}",
                labels.join(","),
                names.join(";"),
                values.join(",")
            ));
        }
    }
    rows.sort();
    rows
}

/// The rows of a profile that is accepted.
#[track_caller]
pub(crate) fn accepted(profile: &Profile) -> Vec<String> {
    normalized(profile, &options(), rows)
}
