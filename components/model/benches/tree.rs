//! What a query does with its tree, at the sizes of one service, of a fleet and of the limit.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use phlare_model::Tree;
use phlare_model::diff::flame_graph_diff;
use phlare_model::tree::Names;

/// The default of `-querier.max-flamegraph-nodes-default`.
const MAX_NODES: i64 = 8192;

type Parts = (Names, Vec<u32>, Vec<u32>, Vec<i64>);

/// A tree like those of Go programs: long names with common starts, mostly one child per node. The same for each run.
fn parts(nodes: u32, seed: u64) -> Parts {
    let mut state = seed;
    let mut random = move |below: u32| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % u64::from(below)) as u32
    };
    let functions = nodes / 6;
    let names = (0..functions).map(|i| {
        format!(
            "github.com/org/project{}/pkg/part.(*Type).Method{i}",
            i % 97
        )
    });
    let (mut parents, mut name_ids, mut selves) = (vec![0], vec![0], vec![0]);
    let mut children = vec![0u32];
    for node in 1..nodes {
        let parent = if random(4) == 0 {
            random(node)
        } else {
            node - 1
        };
        let sibling = children[parent as usize];
        children[parent as usize] += 1;
        children.push(0);
        parents.push(parent);
        // Neighbours in this order differ, so siblings do.
        name_ids.push((parent.wrapping_mul(31).wrapping_add(sibling)) % functions);
        selves.push(i64::from(random(1000) * random(2)));
    }
    (names.collect(), parents, name_ids, selves)
}

fn tree((names, parents, name_ids, selves): Parts) -> Tree {
    Tree::from_parts(names, parents, name_ids, selves)
}

fn benches(c: &mut Criterion) {
    for (size, nodes) in [("15k", 15_000), ("200k", 200_000), ("1m", 1_000_000)] {
        let parts = parts(nodes, 7);
        c.bench_function(&format!("parts to flame graph/{size}"), |b| {
            b.iter_batched(
                || parts.clone(),
                |parts| tree(parts).flame_graph(MAX_NODES),
                BatchSize::LargeInput,
            );
        });
        let (left, right) = (tree(parts), tree(self::parts(nodes, 8)));
        let bytes = left.to_bytes();
        c.bench_function(&format!("truncate/{size}"), |b| {
            b.iter(|| black_box(&left).truncate(MAX_NODES))
        });
        c.bench_function(&format!("to bytes/{size}"), |b| {
            b.iter(|| black_box(&left).to_bytes())
        });
        c.bench_function(&format!("from bytes/{size}"), |b| {
            b.iter(|| Tree::from_bytes(black_box(&bytes)))
        });
        c.bench_function(&format!("merge/{size}"), |b| {
            b.iter_batched_ref(
                || left.clone(),
                |tree| tree.merge(&right),
                BatchSize::LargeInput,
            );
        });
        c.bench_function(&format!("difference/{size}"), |b| {
            b.iter(|| flame_graph_diff(black_box(&left), &right, MAX_NODES));
        });
    }
}

criterion_group!(tree_benches, benches);
criterion_main!(tree_benches);
