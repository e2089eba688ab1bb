use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const CART: &str = include_str!("../../tests/data/tree/cart.tsv");

/// A tree of lines `main;work 12`.
#[track_caller]
pub(crate) fn tree(stacks: &[&str]) -> Tree {
    let mut tree = Tree::new();
    for line in stacks {
        let (stack, value) = line.rsplit_once(' ').unwrap();
        tree.insert(stack.split(';'), value.parse().unwrap());
    }
    tree
}

/// A tree of rows depth, name, own value in pre-order, as recorded answers have them.
pub(crate) fn from_rows(rows: &str) -> Tree {
    let mut tree = Tree::new();
    let mut stack: Vec<&str> = Vec::new();
    for row in rows.lines() {
        let [depth, name, own] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{row}")
        };
        let depth: usize = depth.parse().unwrap();
        if depth > 0 {
            stack.truncate(depth - 1);
            stack.push(name);
            tree.insert(stack.iter().copied(), own.parse().unwrap());
        }
    }
    tree
}

/// The rows of [`from_rows`], siblings by name; nodes that got nothing because sums were cut off are left out.
pub(crate) fn rows(tree: &Tree) -> String {
    let name = |node: &NodeRef<'_>| {
        if node.depth == 0 {
            "total".to_owned()
        } else {
            node.name.to_owned()
        }
    };
    tree.walk(Order::Name)
        .filter(|node| node.depth == 0 || node.total > 0)
        .map(|node| format!("{}\t{}\t{}\n", node.depth, name(&node), node.self_value))
        .collect()
}

pub(crate) fn stacks() -> impl Strategy<Value = Vec<(Vec<String>, i64)>> {
    let frame =
        prop_oneof![4 => "[a-e]", 1 => Just("other".to_owned()), 1 => Just("total".to_owned())];
    vec(
        (
            vec(frame, 0..6),
            prop_oneof![20 => -1..100i64, 1 => Just(i64::MAX)],
        ),
        0..40,
    )
}

pub(crate) fn grow(stacks: &[(Vec<String>, i64)]) -> Tree {
    let mut tree = Tree::new();
    for (stack, value) in stacks {
        tree.insert(stack.iter().map(String::as_str), *value);
    }
    tree
}

fn is_modest(stacks: &[(Vec<String>, i64)]) -> bool {
    stacks.iter().all(|(_, value)| *value < 1000)
}

#[test]
fn stacks_with_a_common_start_share_nodes() {
    let tree = tree(&["main;b 2", "main;a 1", "main;b 3", "main 4"]);
    assert_eq!(tree.collapsed(), "main 4\nmain;a 1\nmain;b 5\n");
    assert_eq!((tree.len(), tree.total()), (4, 10));
    let main = tree.nodes().nth(1).unwrap();
    assert_eq!(
        main,
        NodeRef {
            index: 1,
            parent: 0,
            depth: 1,
            name: "main",
            self_value: 4,
            total: 10
        }
    );
}

#[test]
fn values_below_one_and_empty_stacks_are_ignored() {
    let mut tree = tree(&["a;b 0", "a;c -4", "a;d -9223372036854775808"]);
    tree.insert([], 5);
    assert!(tree.is_empty());
    assert_eq!(tree.total(), 0);
}

#[test]
fn a_sum_beyond_64_bits_is_cut_off() {
    let mut tree = tree(&["a;b 9223372036854775806", "a;c 5", "d 7"]);
    tree.merge(&tree.clone());
    assert_eq!(tree.total(), i64::MAX);
    assert_eq!(tree.collapsed(), "a;b 9223372036854775806\na;c 1\n");
    let parts = Tree::from_parts(
        Names::from_iter(["a", "b"]),
        vec![0, 0, 0],
        vec![0, 0, 1],
        vec![0, i64::MAX, 3],
    );
    assert_eq!(
        (parts.total(), parts.collapsed().as_str()),
        (i64::MAX, "a 9223372036854775807\n")
    );
}

#[test]
fn negative_parts_count_as_nothing() {
    let names = Names::from_iter(["a", "b"]);
    let tree = Tree::from_parts(names, vec![0, 0, 1], vec![0, 0, 1], vec![9, -5, 3]);
    assert_eq!((tree.total(), tree.collapsed().as_str()), (3, "a;b 3\n"));
}

#[test]
fn siblings_of_one_name_become_one_if_asked() {
    let names = Names::from_iter(["main", "work", "work", "leaf"]);
    let tree = Tree::from_unmerged_parts(
        &names,
        &[0, 0, 1, 1, 2, 3],
        &[0, 0, 1, 2, 3, 3],
        &[0, 0, 1, 2, 4, 8],
    );
    assert_eq!(tree.collapsed(), "main;work 3\nmain;work;leaf 12\n");
}

#[test]
fn functions_count_recursion_once() {
    let tree = tree(&["a;b;a 1", "a;b 2", "c;a 4"]);
    let functions: Vec<_> = tree
        .functions()
        .into_iter()
        .map(|f| (f.name, f.self_value, f.total))
        .collect();
    assert_eq!(functions, [("a", 5, 7), ("b", 2, 3), ("c", 0, 4)]);
}

#[test]
fn a_walk_takes_the_heaviest_child_first_if_asked() {
    let tree = tree(&["m;a 1", "m;b 5", "m;c 1"]);
    let names = |order| tree.walk(order).map(|node| node.name).collect::<Vec<_>>();
    assert_eq!(names(Order::Name), ["", "m", "a", "b", "c"]);
    assert_eq!(names(Order::Heaviest), ["", "m", "b", "a", "c"]);
}

#[test]
fn collapsed_lines_stay_lines() {
    let mut tree = Tree::new();
    tree.insert(["a;b\nc", ""], 3);
    assert_eq!(tree.collapsed(), "a:b c; 3\n");
}

#[test]
fn truncation_keeps_ties_and_replaces_other() {
    let whole = tree(&["a 5", "b;c 5", "b;d 1", "other;x 9", "e 2"]);
    assert_eq!(
        whole.truncate(4).collapsed(),
        "a 5\nb;c 5\nb;other 1\nother 11\n"
    );
    assert_eq!(whole.truncate(0).collapsed(), whole.collapsed());
    assert_eq!(
        whole.truncate(7).collapsed(),
        whole.collapsed(),
        "the tree has 7 nodes"
    );
    assert_eq!(whole.truncate(i64::MIN).len(), whole.len());
    assert_eq!(whole.truncate(i64::MAX).len(), whole.len());
}

/// Upstream truncates what its store finds, and again what it sends and draws.
#[test]
fn recorded_truncations_are_met() {
    let recorded = [
        (1, include_str!("../../tests/data/tree/cart-1.tsv")),
        (2, include_str!("../../tests/data/tree/cart-2.tsv")),
        (5, include_str!("../../tests/data/tree/cart-5.tsv")),
        (20, include_str!("../../tests/data/tree/cart-20.tsv")),
        (50, include_str!("../../tests/data/tree/cart-50.tsv")),
    ];
    let whole = from_rows(CART);
    assert_eq!(
        (whole.total(), rows(&whole).as_str()),
        (2_500_000_000, CART)
    );
    for (max_nodes, expected) in recorded {
        let cut = whole
            .truncate(max_nodes)
            .truncate(max_nodes)
            .truncate(max_nodes);
        assert_eq!(rows(&cut), rows(&from_rows(expected)), "{max_nodes} nodes");
    }
}

#[test]
fn bytes_are_those_of_the_format() {
    let tree = tree(&["main;a 1", "main;b 300"]);
    assert_eq!(
        tree.to_bytes(),
        b"\0\0\x01\x04main\0\x02\x01b\xac\x02\0\x01a\x01\0"
    );
    assert_eq!(Tree::new().to_bytes(), b"");
    assert!(Tree::from_bytes(b"\0").unwrap().is_empty());
}

#[track_caller]
fn check_malformed(bytes: &[u8], offset: usize, what: &str) {
    match Tree::from_bytes(bytes) {
        Err(TreeError::Malformed {
            offset: at,
            what: why,
        }) => assert_eq!((at, why), (offset, what)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn malformed_bytes_are_refused_with_their_place() {
    check_malformed(b"\0\0\x01", 2, "more children than what is left can hold");
    check_malformed(
        b"\0\0\x01\0\0",
        2,
        "more children than what is left can hold",
    );
    check_malformed(b"\0\0\x01\x05abc", 4, "a name longer than what is left");
    check_malformed(b"\0\0\x01\x01a\x80", 6, "the bytes end inside a node");
    check_malformed(b"\0\0\x00\0", 3, "more bytes than the nodes have");
    let negative = [b"\0\0\x01\x01a".as_slice(), &[0xff; 9], b"\x01\0"].concat();
    check_malformed(&negative, 5, "a negative value");
    let endless = [b"\0".as_slice(), &[0xff; 12]].concat();
    check_malformed(&endless, 10, "a number of more than 64 bits");
    let greedy = b"\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01a\x01\0";
    check_malformed(greedy, 2, "more children than what is left can hold");
}

#[test]
fn a_million_levels_are_read_and_drawn() {
    let depth = 1_000_000;
    let mut bytes = b"\0\0\x01".to_vec();
    for _ in 1..depth {
        bytes.extend_from_slice(b"\x01f\0\x01");
    }
    bytes.extend_from_slice(b"\x01f\x07\0");
    let tree = Tree::from_bytes(&bytes).unwrap();
    assert_eq!((tree.len(), tree.total()), (depth + 1, 7));
    assert_eq!(tree.to_bytes(), bytes);
    assert_eq!(tree.flame_graph(0).levels.len(), depth + 1);
    assert_eq!(tree.functions()[0].total, 7);
}

#[test]
fn siblings_of_one_name_are_read_as_one() {
    let tree =
        Tree::from_bytes(b"\0\0\x03\x01a\x01\x01\x01b\x02\0\x01c\x01\0\x01a\x04\x01\x01b\x08\0")
            .unwrap();
    assert_eq!(tree.collapsed(), "a 5\na;b 10\nc 1\n");
    assert_eq!(tree.len(), 4);
}

#[test]
fn names_that_are_no_utf8_are_repaired() {
    let tree = Tree::from_bytes(b"\0\0\x01\x02a\xff\x07\0").unwrap();
    assert_eq!(tree.collapsed(), "a\u{fffd} 7\n");
}

#[test]
fn hostile_bytes_never_panic() {
    bolero::check!(name = "tree").for_each(|bytes: &[u8]| {
        if let Ok(tree) = Tree::from_bytes(bytes) {
            assert_eq!(
                Tree::from_bytes(&tree.to_bytes()).unwrap().total(),
                tree.total()
            );
            assert_eq!(tree.flame_graph(3).total, tree.total());
        }
    });
}

proptest! {
    #[test]
    fn merge_commutes(a in stacks().prop_filter("sums fit", |s| is_modest(s)), b in stacks().prop_filter("sums fit", |s| is_modest(s))) {
        let (mut ab, mut ba) = (grow(&a), grow(&b));
        ab.merge(&grow(&b));
        ba.merge(&grow(&a));
        prop_assert_eq!(ab.to_bytes(), ba.to_bytes());
        let both = [a, b].concat();
        prop_assert_eq!(ab.to_bytes(), grow(&both).to_bytes());
    }

    #[test]
    fn bytes_are_read_back(stacks in stacks()) {
        let tree = grow(&stacks);
        let back = Tree::from_bytes(&tree.to_bytes()).unwrap();
        prop_assert_eq!(rows(&back), rows(&tree));
    }

    #[test]
    fn broken_bytes_never_panic(stacks in stacks(), at in 0..200usize, byte: u8) {
        let mut bytes = grow(&stacks).to_bytes();
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        let _ = Tree::from_bytes(&bytes);
    }

    #[test]
    fn truncation_keeps_the_total(stacks in stacks(), max_nodes in -1..30i64) {
        let whole = grow(&stacks);
        let cut = whole.truncate(max_nodes);
        prop_assert_eq!(cut.total(), whole.total());
        prop_assert_eq!(cut.walk(Order::Name).next().unwrap().total, whole.total());
        if max_nodes < 1 || whole.len() - 1 <= max_nodes as usize {
            prop_assert_eq!(rows(&cut), rows(&whole));
        }
    }

    #[test]
    fn truncation_keeps_exactly_what_reaches_the_threshold(stacks in stacks(), max_nodes in 1..20usize) {
        let whole = grow(&stacks);
        prop_assume!(whole.len() - 1 > max_nodes);
        let mut totals: Vec<i64> = whole.nodes().skip(1).map(|node| node.total).collect();
        totals.sort_unstable_by_key(|&total| std::cmp::Reverse(total));
        let least = totals[max_nodes - 1].max(1);
        let keeps = |tree: &Tree| -> Vec<(String, i64)> {
            let mut path: Vec<String> = Vec::new();
            let mut kept = Vec::new();
            for node in tree.walk(Order::Name).skip(1) {
                path.truncate(node.depth - 1);
                path.push(node.name.to_owned());
                if node.total >= least && !path.iter().any(|name| name == OTHER) {
                    kept.push((path.join(";"), node.total));
                }
            }
            kept
        };
        let cut = whole.truncate(max_nodes as i64);
        prop_assert_eq!(keeps(&cut), keeps(&whole));
        let named_other = cut.nodes().filter(|node| node.name == OTHER).count();
        prop_assert_eq!(cut.len() - 1, keeps(&whole).len() + named_other);
    }
}
