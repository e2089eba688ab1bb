//! Large trees of a real service: read, cut and drawn as the format says. Needs the test data beside the repository.

use std::path::PathBuf;

use phlare_model::Tree;
use phlare_model::diff::flame_graph_diff;

/// `None`, with a word about it, in a checkout without the data.
#[expect(
    clippy::print_stdout,
    reason = "says that a test did not look at anything"
)]
fn read(name: &str) -> Option<Vec<u8>> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata");
    let path = std::env::var_os("PHLARE_TESTDATA")
        .map_or_else(beside, PathBuf::from)
        .join("model")
        .join(name);
    let bytes = std::fs::read(&path);
    if bytes.is_err() {
        println!("skipped: no {}", path.display());
    }
    bytes.ok()
}

fn trees() -> Option<(Tree, Tree)> {
    let (left, right) = (read("diff_left_tree.bin")?, read("diff_right_tree.bin")?);
    let trees = (
        Tree::from_bytes(&left).expect("upstream wrote a tree"),
        Tree::from_bytes(&right).expect("upstream wrote a tree"),
    );
    assert_eq!(
        trees.0.to_bytes().len(),
        left.len(),
        "only the order of siblings differs"
    );
    assert_eq!(
        trees.1.to_bytes().len(),
        right.len(),
        "only the order of siblings differs"
    );
    Some(trees)
}

/// Node counts and totals were found by an independent reader of the format.
#[test]
fn large_trees_are_read_whole() {
    let Some((left, right)) = trees() else { return };
    assert_eq!((left.len(), left.total()), (220_120, 4_182_162_110_000_000));
    assert_eq!(
        (right.len(), right.total()),
        (216_774, 3_564_001_560_000_000)
    );
    assert_eq!(
        Tree::from_bytes(&left.to_bytes()).unwrap().to_bytes(),
        left.to_bytes()
    );
}

#[test]
fn large_trees_are_cut_to_their_heaviest_nodes() {
    let Some((left, _)) = trees() else { return };
    let cut = left.truncate(8192);
    assert_eq!(cut.total(), left.total());
    let mut totals: Vec<i64> = left.nodes().skip(1).map(|node| node.total).collect();
    totals.sort_unstable_by_key(|&total| std::cmp::Reverse(total));
    let ties = totals
        .iter()
        .filter(|&&total| total >= totals[8191])
        .count();
    let kept = cut
        .nodes()
        .skip(1)
        .filter(|node| node.name != "other")
        .count();
    assert_eq!(kept, ties);
    assert_eq!(
        Tree::from_flame_graph(&left.flame_graph(8192))
            .unwrap()
            .to_bytes(),
        cut.to_bytes()
    );
}

#[test]
fn a_large_difference_keeps_both_totals() {
    let Some((left, right)) = trees() else { return };
    let mut union = left.clone();
    union.merge(&right);
    let graph = flame_graph_diff(&left, &right, 0);
    assert_eq!(
        graph
            .levels
            .iter()
            .map(|level| level.values.len() / 7)
            .sum::<usize>(),
        union.len()
    );
    let graph = flame_graph_diff(&left, &right, 8192);
    let sum = |side: usize| -> i64 {
        graph
            .levels
            .iter()
            .flat_map(|level| level.values.chunks(7))
            .map(|node| node[3 * side + 2])
            .sum()
    };
    assert_eq!((sum(0), sum(1)), (left.total(), right.total()));
}
