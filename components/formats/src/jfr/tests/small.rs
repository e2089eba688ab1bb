//! A small recording, and what is read of it.

use phlare_proto::google::v1 as pprof;
use prost::Message;

use super::super::*;
use super::writer::{BOOLEAN, Chunk, Field, INT, LONG, TEXT, Writer};

pub(super) const LIMITS: Limits = Limits {
    profile_bytes: 1 << 16,
    symbol_bytes: 1 << 16,
    stacktraces: 16_000,
};
pub(super) const SETTING: u64 = 100;
pub(super) const EXECUTION: u64 = 101;

/// A chunk with two stacks, `App.work:10;App.main:20` and `App.main:21`, and types of all events that are looked at.
/// Ids of constants begin after `base`.
pub(super) fn chunk(compact: bool, base: u64) -> Chunk {
    let sample: &[Field] = &[
        ("startTime", LONG, ""),
        ("stackTrace", 26, "p"),
        ("state", 25, "p"),
    ];
    let origin: &[Field] = &[
        ("spanId", LONG, ""),
        ("spanName", LONG, ""),
        ("contextId", LONG, ""),
        ("traceIdHi", LONG, ""),
        ("traceIdLo", LONG, ""),
    ];
    let with = |fields: &[Field]| [sample, fields].concat();
    let types = vec![
        (
            21,
            "java.lang.Class",
            vec![("classLoader", 99, "p"), ("name", 31, "p")],
        ),
        (25, "jdk.types.ThreadState", vec![("name", TEXT, "")]),
        (
            26,
            "jdk.types.StackTrace",
            vec![("truncated", BOOLEAN, ""), ("frames", 27, "a")],
        ),
        (
            27,
            "jdk.types.StackFrame",
            vec![
                ("method", 28, "p"),
                ("lineNumber", INT, ""),
                ("bytecodeIndex", INT, ""),
            ],
        ),
        (
            28,
            "jdk.types.Method",
            vec![("type", 21, "p"), ("name", 31, "p"), ("modifiers", INT, "")],
        ),
        (31, "jdk.types.Symbol", vec![("string", TEXT, "")]),
        (
            SETTING,
            "jdk.ActiveSetting",
            vec![("id", LONG, ""), ("name", TEXT, ""), ("value", TEXT, "")],
        ),
        (EXECUTION, "jdk.ExecutionSample", with(origin)),
        (
            102,
            "profiler.WallClockSample",
            with(&[("samples", INT, "")]),
        ),
        (
            103,
            "jdk.ObjectAllocationInNewTLAB",
            with(&[("allocationSize", LONG, ""), ("tlabSize", LONG, "")]),
        ),
        (
            104,
            "jdk.ObjectAllocationOutsideTLAB",
            with(&[("allocationSize", LONG, "")]),
        ),
        (
            105,
            "jdk.ObjectAllocationSample",
            with(&[("weight", LONG, "")]),
        ),
        (
            106,
            "jdk.JavaMonitorEnter",
            [&[("duration", LONG, "")], sample].concat(),
        ),
        (
            107,
            "jdk.ThreadPark",
            [&[("duration", LONG, "")], sample].concat(),
        ),
        (108, "profiler.LiveObject", with(&[])),
        (109, "profiler.Malloc", with(&[("size", LONG, "")])),
    ];
    Chunk {
        compact,
        types,
        pools: vec![(6, constants(compact, base))],
        events: Vec::new(),
    }
}

pub(super) fn constants(compact: bool, base: u64) -> Vec<u8> {
    let mut out = Writer::new(compact);
    out.long(31).int(3);
    for (id, symbol) in [(1, "App"), (2, "main"), (3, "work")] {
        out.long(base + id).text(symbol);
    }
    out.long(21).int(1).long(base + 1).long(0).long(base + 1);
    out.long(28).int(2);
    out.long(base + 1).long(base + 1).long(base + 2).int(1);
    out.long(base + 2).long(base + 1).long(base + 3).int(1);
    out.long(26).int(2);
    out.long(base + 1).byte(0).int(2);
    out.long(base + 2)
        .int(10)
        .int(7)
        .long(base + 1)
        .int(20)
        .int(7);
    out.long(base + 2)
        .byte(0)
        .int(1)
        .long(base + 1)
        .int(21)
        .int(0);
    out.long(25).int(2);
    out.long(1)
        .text("STATE_RUNNABLE")
        .long(2)
        .text("STATE_SLEEPING");
    // A type that nobody looks at.
    out.long(27).int(1).long(5).long(1).int(2).int(3);
    out.bytes
}

/// Adds an event: type, stack trace, and what follows the thread's state.
pub(super) fn add(chunk: &mut Chunk, kind: u64, stack_trace: u64, rest: &[u64]) {
    let mut out = Writer::new(chunk.compact);
    out.event(kind, |body| {
        let rest = match kind {
            106 | 107 => {
                body.long(rest[0]);
                &rest[1..]
            }
            _ => rest,
        };
        body.long(5).long(stack_trace).long(1);
        for value in rest {
            match kind {
                102 => body.int(*value as u32),
                _ => body.long(*value),
            };
        }
    });
    chunk.events.extend(out.bytes);
}

pub(super) fn setting(chunk: &mut Chunk, id: u64, name: &str, value: &str) {
    let mut out = Writer::new(chunk.compact);
    out.event(SETTING, |body| {
        body.long(id).text(name).text(value);
    });
    chunk.events.extend(out.bytes);
}

pub(super) fn read_with(
    recording: &[u8],
    rate: SampleRate,
    labels: &LabelsSnapshot,
) -> Result<Recording, Error> {
    let timing = Timing::default();
    parse(
        recording,
        &Options {
            limits: LIMITS,
            rate,
            timing,
            labels,
        },
    )
}

/// One line for each sample: name, types, values, stack, labels.
pub(super) fn shown(recording: &Recording) -> Vec<String> {
    let mut lines = Vec::new();
    for profile in &recording.profiles {
        let pprof = pprof::Profile::decode(&*profile.pprof).unwrap();
        let string = |index: i64| pprof.string_table[index as usize].as_str();
        let types = pprof.sample_type.iter().map(|t| string(t.r#type));
        let types = types.collect::<Vec<_>>().join(",");
        for sample in &pprof.sample {
            let frame = |id: &u64| {
                let line = &pprof.location[*id as usize - 1].line[0];
                let function = &pprof.function[line.function_id as usize - 1];
                format!("{}:{}", string(function.name), line.line)
            };
            let stack = sample
                .location_id
                .iter()
                .map(frame)
                .collect::<Vec<_>>()
                .join(";");
            let mut line = format!("{} {types} {:?} {stack}", profile.name, sample.value);
            for label in &sample.label {
                line += &format!(" {}={}", string(label.key), string(label.str));
            }
            lines.push(line);
        }
    }
    lines
}

pub(super) fn samples(recording: &[u8]) -> Vec<String> {
    let read = read_with(recording, SampleRate::UNKNOWN, &LabelsSnapshot::default());
    shown(&read.unwrap())
}
