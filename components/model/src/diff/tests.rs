use proptest::prelude::*;

use super::*;
use crate::tree::tests::{from_rows, grow, stacks, tree};

/// Rows depth, name, own value left and right, siblings by name, then by values.
fn rows(graph: &FlameGraphDiff) -> Vec<String> {
    struct Node {
        ranges: [(i64, i64); 2],
        row: (String, i64, i64),
        children: Vec<usize>,
    }
    let mut nodes: Vec<Node> = Vec::new();
    let mut above = 0..0;
    for level in &graph.levels {
        let first = nodes.len();
        let mut ends = [0, 0];
        let mut caller = above.start;
        for v in level.values.chunks(7) {
            let mut ranges = [(0, 0); 2];
            for side in 0..2 {
                let start = ends[side] + v[3 * side];
                ends[side] = start + v[3 * side + 1];
                ranges[side] = (start, ends[side]);
            }
            if first > 0 {
                let inside = |nodes: &[Node], caller: usize| {
                    ranges
                        .iter()
                        .zip(&nodes[caller].ranges)
                        .all(|(own, its)| its.0 <= own.0 && own.1 <= its.1)
                };
                while !inside(&nodes, caller) {
                    caller += 1;
                    assert!(
                        caller < above.end,
                        "a node lies outside every node above it"
                    );
                }
                let node = nodes.len();
                nodes[caller].children.push(node);
            }
            let row = (graph.names[v[6] as usize].clone(), v[2], v[5]);
            nodes.push(Node {
                ranges,
                row,
                children: Vec::new(),
            });
        }
        above = first..nodes.len();
    }
    let mut rows = Vec::new();
    let mut open = vec![(0usize, 0)];
    while let Some((depth, node)) = open.pop() {
        let (name, left, right) = &nodes[node].row;
        rows.push(format!("{depth}\t{name}\t{left}\t{right}"));
        let mut children = nodes[node].children.clone();
        children.sort_by(|&a, &b| nodes[b].row.cmp(&nodes[a].row));
        open.extend(children.into_iter().map(|child| (depth + 1, child)));
    }
    rows
}

#[test]
fn both_sides_have_all_nodes() {
    let graph = flame_graph_diff(&tree(&["m;a 1", "m;b 4"]), &tree(&["m;b 2", "n 8"]), 0);
    assert_eq!(graph.names, ["total", "m", "n", "a", "b"]);
    let levels: Vec<_> = graph
        .levels
        .iter()
        .map(|level| level.values.clone())
        .collect();
    assert_eq!(levels[0], [0, 5, 0, 0, 10, 0, 0]);
    assert_eq!(levels[1], [0, 5, 0, 0, 2, 0, 1, 0, 0, 0, 0, 8, 8, 2]);
    assert_eq!(levels[2], [0, 1, 1, 0, 0, 0, 3, 0, 4, 4, 0, 2, 2, 4]);
    assert_eq!(
        (
            graph.left_ticks,
            graph.right_ticks,
            graph.total,
            graph.max_self
        ),
        (5, 10, 15, 8)
    );
}

#[test]
fn no_data_on_either_side_is_one_empty_root() {
    let graph = flame_graph_diff(&Tree::new(), &Tree::new(), 8);
    assert_eq!(graph.names, ["total"]);
    assert_eq!(graph.levels[0].values, [0; 7]);
    assert_eq!(graph.levels.len(), 1);
}

#[test]
fn recorded_differences_are_met() {
    let left = from_rows(include_str!("../../tests/data/tree/cart.tsv"));
    let right = from_rows(include_str!("../../tests/data/tree/api.tsv"));
    let recorded = [
        (0, include_str!("../../tests/data/tree/diff.tsv")),
        (5, include_str!("../../tests/data/tree/diff-5.tsv")),
        (8, include_str!("../../tests/data/tree/diff-8.tsv")),
    ];
    for (max_nodes, expected) in recorded {
        let graph = flame_graph_diff(
            &left.truncate(max_nodes),
            &right.truncate(max_nodes),
            max_nodes,
        );
        assert_eq!(
            rows(&graph),
            expected.lines().collect::<Vec<_>>(),
            "{max_nodes} nodes"
        );
        assert_eq!(
            (graph.left_ticks, graph.right_ticks),
            (2_500_000_000, 2_350_000_000)
        );
    }
}

proptest! {
    #[test]
    fn a_difference_nests_and_keeps_totals(left in stacks(), right in stacks(), max_nodes in -1..20i64) {
        let (left, right) = (grow(&left), grow(&right));
        let graph = flame_graph_diff(&left, &right, max_nodes);
        let rows = rows(&graph);
        let sum = |column: usize| -> i64 { rows.iter().map(|row| row.split('\t').nth(column).unwrap().parse::<i64>().unwrap()).sum() };
        prop_assert_eq!((sum(2), sum(3)), (left.total(), right.total()));
        prop_assert_eq!((graph.left_ticks, graph.right_ticks), (left.total(), right.total()));
    }
}
