//! Real files, damaged: cut at each percent, and with 10 000 bytes changed. Whatever is left, it is read or refused with its
//! place, without a panic, and in memory that the file and the limit explain.

#![expect(unsafe_code, reason = "measuring memory needs an allocator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::{Path, PathBuf};

use phlare_formats::file::{self, Assumed};
use phlare_formats::otlp::Encoding;
use phlare_formats::{Format, Limits, SampleRate};
use phlare_pprof::gzip;
use prost::Message;

/// As many tenants have them; the trees are larger than by default.
const LIMITS: Limits = Limits {
    profile_bytes: 16 << 20,
    symbol_bytes: 65_535,
    stacktraces: 16_000,
};

const ASSUMED: Assumed<'_> = Assumed {
    suffix: "cpu",
    rate: SampleRate::DEFAULT,
    now_ns: 1,
};

/// Most bytes that are changed in all mutants of a file.
const FLIPS: usize = 10_000;
/// Bytes of all mutants of a file: of a large one there are fewer, with more flips each.
const WORK: usize = 12 << 20;

/// How much the thread has at most held since it was last asked.
struct Measuring;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

fn hold(bytes: isize) {
    let held = HELD.get() + bytes;
    HELD.set(held);
    MOST.set(MOST.get().max(held));
}

// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Measuring {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        hold(layout.size().cast_signed());
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        hold(-layout.size().cast_signed());
        // SAFETY: the pointer came from `alloc` above, so from the system.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Measuring = Measuring;

/// Same numbers each time: xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }
}

/// Reads what may be damaged; gives the error, if it is one.
#[track_caller]
fn read(format: Format, payload: &[u8], what: &dyn Fn() -> String) -> Option<String> {
    MOST.set(HELD.get());
    let before = HELD.get();
    let contents = file::read(format, payload, &ASSUMED, &LIMITS);
    let most = usize::try_from(MOST.get() - before).unwrap();
    // A few bytes of a file are a node or a message of 100 bytes, whatever they claim.
    let explained = payload.len() * 100 + (8 << 20);
    assert!(most <= explained, "{}: {most} bytes were held", what());
    match contents {
        Ok(contents) => {
            for profile in &contents.profiles {
                assert!(profile.pprof.len() <= LIMITS.profile_bytes, "{}", what());
            }
            None
        }
        Err(error) => {
            let text = phlare_model::chain(&error);
            let named = text.starts_with(&format!("read {format}: "));
            assert!(named, "{}: {text}", what());
            Some(text)
        }
    }
}

fn damage(name: &str, format: Format, bytes: &[u8]) {
    let whole = read(format, bytes, &|| name.to_owned());
    assert_eq!(whole, None, "{name}");
    for percent in 0..100 {
        let cut = &bytes[..bytes.len() * percent / 100];
        let what = || format!("{percent} % of {name}");
        if let Some(text) = read(format, cut, &what) {
            check_place(format, &text, &what());
        }
    }
    let mutants = (WORK / bytes.len().max(1)).clamp(8, FLIPS / 4);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut left = FLIPS;
    for mutant in 0..mutants {
        let flips = left / (mutants - mutant);
        left -= flips;
        let mut mutated = bytes.to_vec();
        for _ in 0..flips {
            let at = random.below(mutated.len());
            mutated[at] ^= u8::try_from(1 + random.below(255)).unwrap();
        }
        read(format, &mutated, &|| format!("mutant {mutant} of {name}"));
    }
}

/// Where a file that was cut is wrong: a byte, a line, or something that is missing as a whole.
#[track_caller]
fn check_place(format: Format, text: &str, what: &str) {
    let places = [
        "byte ",
        "line ",
        "has no `",
        "index ",
        "there is nothing",
        "it has no event",
    ];
    let said = places.iter().any(|place| text.contains(place));
    assert!(said, "{what}, {format}: {text}");
}

fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// Damages the files of a directory of the shared test data whose names end so, without their gzip.
fn damage_shared(directory: &str, endings: &[&str], format: Format) {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/testdata");
    let root = std::env::var_os("PHLARE_TESTDATA").map_or_else(|| shared.into(), PathBuf::from);
    let Ok(entries) = std::fs::read_dir(root.join(directory)) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        if endings.iter().any(|ending| name.ends_with(ending)) {
            let bytes = std::fs::read(&path).unwrap();
            damage(&name, format, &gzip::plain(&bytes, 1 << 28).unwrap());
        }
    }
}

/// The request of a real profiler as collapsed stacks, which are long and have all kinds of names.
fn collapsed() -> String {
    let bytes = std::fs::read(own("otel-ebpf-profile.pb.bin")).unwrap();
    let format = Format::Otlp(Encoding::Protobuf);
    let contents = file::read(format, &bytes, &ASSUMED, &LIMITS).unwrap();
    let limits = phlare_formats::calls::Limits {
        bytes: LIMITS.profile_bytes,
        depth: 1000,
        symbol_bytes: LIMITS.symbol_bytes,
    };
    let tree = |profile: &file::Profile| phlare_formats::calls::tree(&profile.pprof, 0, &limits);
    let merged = contents.merged();
    let trees = merged
        .iter()
        .map(|profile| tree(profile).unwrap().collapsed());
    trees.collect()
}

#[test]
fn otlp_in_protobuf() {
    let bytes = std::fs::read(own("otel-ebpf-profile.pb.bin")).unwrap();
    damage("otlp", Format::Otlp(Encoding::Protobuf), &bytes);
}

#[test]
fn otlp_in_json() {
    let bytes = std::fs::read(own("otel-ebpf-profile-20.pb.json")).unwrap();
    damage("otlp", Format::Otlp(Encoding::Json), &bytes);
    damage_shared("otlp", &[".pb.json"], Format::Otlp(Encoding::Json));
}

#[test]
fn speedscope_files() {
    for name in ["simple.speedscope.json", "two-sampled.speedscope.json"] {
        damage(name, Format::Speedscope, &std::fs::read(own(name)).unwrap());
    }
}

#[test]
fn trees() {
    damage_shared("model", &["left_tree.bin", "right_tree.bin"], Format::Tree);
}

#[test]
fn recordings() {
    damage_shared("jfr", &[".jfr.gz"], Format::Jfr);
}

/// Stacks as a trie: nodes end where the stacks below them part.
fn trie(stacks: &[(&[u8], u64)], from: usize, out: &mut Vec<u8>) {
    let common = |a: &[u8], b: &[u8]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let [(first, value), rest @ ..] = stacks else {
        return;
    };
    let end = rest.iter().map(|(other, _)| common(first, other)).min();
    let end = end.unwrap_or(first.len());
    let (own, below) = match first.len() == end {
        true => (*value, rest),
        false => (0, stacks),
    };
    let children: Vec<_> = below
        .chunk_by(|(a, _), (b, _)| a.get(end) == b.get(end))
        .collect();
    prost::encoding::encode_varint((end - from) as u64, out);
    out.extend_from_slice(&first[from..end]);
    prost::encoding::encode_varint(own, out);
    prost::encoding::encode_varint(children.len() as u64, out);
    for child in children {
        trie(child, end, out);
    }
}

#[test]
fn tries() {
    let collapsed = collapsed();
    let mut stacks: Vec<(&[u8], u64)> = Vec::new();
    for line in collapsed.lines() {
        let (stack, value) = line.rsplit_once(' ').unwrap();
        stacks.push((stack.as_bytes(), value.parse().unwrap()));
    }
    stacks.sort_unstable();
    stacks.dedup_by_key(|(stack, _)| *stack);
    let mut bytes = Vec::new();
    trie(&stacks, 0, &mut bytes);
    assert_eq!(phlare_formats::recognise(&bytes), Some(Format::Trie));
    damage("trie", Format::Trie, &bytes);
}

#[test]
fn texts() {
    let collapsed = collapsed();
    assert!(collapsed.len() > 10_000, "{}", collapsed.len());
    damage("collapsed", Format::Groups, collapsed.as_bytes());
    let lines: String = collapsed
        .lines()
        .filter_map(|line| Some(format!("{}\n", line.rsplit_once(' ')?.0)))
        .collect();
    damage("lines", Format::Lines, lines.as_bytes());
}

/// Events as `perf script` writes them, of the stacks of a real profiler.
#[test]
fn perf_scripts() {
    let mut script = String::new();
    for (number, line) in collapsed().lines().enumerate() {
        let (stack, _) = line.rsplit_once(' ').unwrap();
        script += &format!("app 12/{number} [000] {number}.5: 1 cycles:u: \n");
        for (at, frame) in stack.rsplit(';').enumerate() {
            script += &format!(
                "\t{:>16x} {frame}+0x{at:x} (/usr/bin/app)\n",
                0x40_0000 + at
            );
        }
        script.push('\n');
    }
    damage("perf script", Format::PerfScript, script.as_bytes());
}

/// How often is allocated for a sample: its stack, its value, and names that are new.
#[test]
fn a_sample_takes_few_allocations() {
    let bytes = std::fs::read(own("otel-ebpf-profile.pb.bin")).unwrap();
    let text = collapsed();
    for (format, payload, most) in [
        (Format::Otlp(Encoding::Protobuf), bytes.as_slice(), 50),
        (Format::Groups, text.as_bytes(), 25),
    ] {
        let before = COUNT.get();
        let contents = file::read(format, payload, &ASSUMED, &LIMITS).unwrap();
        let count = COUNT.get() - before;
        let samples = |profile: &file::Profile| {
            let profile = phlare_proto::google::v1::Profile::decode(&*profile.pprof).unwrap();
            profile.sample.len()
        };
        let samples: usize = contents.profiles.iter().map(samples).sum();
        let each = count.div_ceil(samples);
        eprintln!("{format}: {count} allocations, {samples} samples, {each} each");
        assert!(
            each <= most,
            "{format}: {each} for each of {samples} samples"
        );
    }
}
