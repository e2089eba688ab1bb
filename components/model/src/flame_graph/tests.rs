use proptest::prelude::*;

use super::*;
use crate::tree::tests::{grow, rows, stacks, tree};

fn values(graph: &FlameGraph) -> Vec<&[i64]> {
    graph
        .levels
        .iter()
        .map(|level| level.values.as_slice())
        .collect()
}

#[test]
fn the_example_of_the_format_is_met() {
    let graph = tree(&["main;a 1", "main;b 2"]).flame_graph(0);
    assert_eq!(graph.names, ["total", "main", "a", "b"]);
    assert_eq!(
        values(&graph),
        [&[0, 3, 0, 0][..], &[0, 3, 0, 1], &[0, 1, 1, 2, 0, 2, 2, 3]]
    );
    assert_eq!((graph.total, graph.max_self), (3, 2));
}

#[test]
fn own_time_comes_before_that_of_children() {
    let graph = tree(&["a 5", "a;x 2", "b;y 3"]).flame_graph(0);
    assert_eq!(
        values(&graph)[1..],
        [&[0, 7, 5, 1, 0, 3, 0, 2][..], &[5, 2, 2, 3, 0, 3, 3, 4]]
    );
}

#[test]
fn no_data_is_one_empty_root() {
    let graph = empty();
    assert_eq!(graph.names, ["total"]);
    assert_eq!(values(&graph), [[0, 0, 0, 0]]);
    assert_eq!((graph.total, graph.max_self), (0, 0));
}

#[test]
fn a_function_called_total_shares_the_roots_name() {
    let graph = tree(&["total;x 1"]).flame_graph(0);
    assert_eq!(graph.names, ["total", "x"]);
    assert_eq!(values(&graph)[1], [0, 1, 1 - 1, 0]);
}

#[test]
fn other_is_the_last_child_and_only_used_names_appear() {
    let graph = tree(&["a 1", "m;z 9", "m;b 8", "other 2"]).flame_graph(2);
    assert_eq!(graph.names, ["total", "m", "other", "z"]);
    assert_eq!(
        values(&graph),
        [
            &[0, 20, 0, 0][..],
            &[0, 17, 0, 1, 0, 3, 3, 2],
            &[0, 9, 9, 3, 0, 8, 8, 2]
        ]
    );
}

#[test]
fn nodes_that_do_not_nest_are_refused() {
    let graph = |values: &[i64]| FlameGraph {
        names: vec!["total".into(), "a".into()],
        levels: vec![
            Level {
                values: vec![0, 9, 0, 0],
            },
            Level {
                values: values.to_vec(),
            },
            Level {
                values: vec![4, 2, 2, 1],
            },
        ],
        total: 9,
        max_self: 0,
    };
    assert_eq!(
        Tree::from_flame_graph(&graph(&[0, 9, 0, 1]))
            .unwrap()
            .collapsed(),
        "a;a 2\n"
    );
    #[track_caller]
    fn check(graph: &FlameGraph, level: usize, what: &'static str) {
        assert_eq!(
            Tree::from_flame_graph(graph).unwrap_err(),
            TreeError::Unnested { level, what }
        );
    }
    check(
        &graph(&[0, 5, 0, 1]),
        2,
        "a node outside all nodes above it",
    );
    check(&graph(&[0, 9, 0, 2]), 1, "a name that is missing");
    check(&graph(&[0, 9, 0, -1]), 1, "a name that is missing");
    check(&graph(&[0, 9, -1, 1]), 1, "a negative value");
    check(&graph(&[0, 9, 0]), 1, "values that are no multiple of four");
    check(&graph(&[i64::MAX, 9, 0, 1]), 1, "a total that is too large");
    check(
        &graph(&[0, i64::MAX, 0, 1, 5, 1, 0, 1]),
        1,
        "an offset that is too large",
    );
}

proptest! {
    /// The reader knows nothing of the writer but the format: it nests nodes by their ranges.
    #[test]
    fn graphs_nest_and_add_up(stacks in stacks(), max_nodes in -1..20i64) {
        let whole = grow(&stacks);
        let graph = whole.flame_graph(max_nodes);
        let back = Tree::from_flame_graph(&graph).unwrap();
        prop_assert_eq!(rows(&back), rows(&whole.truncate(max_nodes)));
        prop_assert_eq!(graph.total, whole.total());
        prop_assert_eq!(graph.max_self, back.nodes().map(|node| node.self_value).max().unwrap());
        let totals: Vec<i64> = graph.levels.iter().flat_map(|l| l.values.chunks(4)).map(|node| node[1]).collect();
        prop_assert!(totals[1..].iter().all(|&total| total > 0));
        let mut nodes: Vec<i64> = back.nodes().map(|node| node.total).collect();
        nodes.sort_unstable();
        let mut drawn = totals;
        drawn.sort_unstable();
        prop_assert_eq!(drawn, nodes, "each total is that of the node and the nodes below it");
    }
}
