//! How often a warm workspace allocates.

#![expect(unsafe_code, reason = "counting allocations needs an allocator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use phlare_pprof::{Options, Seed, Workspace};
use phlare_proto::google::v1::{Function, Line, Location, Profile, Sample, ValueType};
use prost::Message;

/// Counts what the thread allocates.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above, so from the system.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the pointer came from `alloc` above, so from the system.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(workspace: &mut Workspace, raw: &[u8]) -> usize {
    let options = Options::new(Seed::new(1, 2), 1);
    let before = COUNT.get();
    let n = workspace
        .decode(raw, 0)
        .unwrap()
        .normalize(&options)
        .unwrap();
    assert!(!n.is_empty());
    drop(n);
    COUNT.get() - before
}

fn profile(samples: u64) -> Profile {
    let locations = samples.div_ceil(4);
    Profile {
        sample_type: vec![ValueType { r#type: 1, unit: 2 }],
        string_table: ["", "cpu", "nanoseconds"]
            .map(String::from)
            .into_iter()
            .chain((0..locations).map(|i| format!("function {i}")))
            .collect(),
        function: (1..=locations)
            .map(|id| Function {
                id,
                name: id as i64 + 2,
                ..Function::default()
            })
            .collect(),
        location: (1..=locations)
            .map(|id| Location {
                id,
                line: vec![Line {
                    function_id: id,
                    line: 1,
                    column: 0,
                }],
                ..Location::default()
            })
            .collect(),
        sample: (0..samples)
            .map(|i| Sample {
                location_id: vec![i % locations + 1, i / 4 + 1],
                value: vec![1],
                label: Vec::new(),
            })
            .collect(),
        ..Profile::default()
    }
}

#[test]
fn a_warm_workspace_allocates_a_handful_of_times_whatever_the_size() {
    let mut counts = Vec::new();
    for samples in [100, 10_000] {
        let raw = phlare_pprof::gzip::gzip(&profile(samples).encode_to_vec(), 1);
        let mut workspace = Workspace::new();
        let cold = allocations(&mut workspace, &raw);
        let warm = allocations(&mut workspace, &raw);
        assert!(warm < cold);
        counts.push(warm);
    }
    assert_eq!(
        counts[0], counts[1],
        "independent of samples, locations and strings"
    );
    assert!(counts[0] <= 4, "{} allocations", counts[0]);
}

#[test]
fn labels_cost_one_allocation_for_each_distinct_set() {
    let raw = include_bytes!("data/go.cpu.labels.pprof");
    let mut workspace = Workspace::new();
    allocations(&mut workspace, raw);
    let groups = workspace
        .decode(raw, 0)
        .unwrap()
        .normalize(&Options::new(Seed::new(1, 2), 1))
        .unwrap()
        .groups
        .len();
    let warm = allocations(&mut workspace, raw);
    assert!(warm <= groups + 5, "{warm} allocations for {groups} groups");
}
