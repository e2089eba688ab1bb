use proptest::collection::vec;
use proptest::prelude::*;

use super::super::testing::{REAL, real_path};
use super::*;

/// Decodes the first chunk.
fn decoded(bytes: &[u8], nodes: u32) -> Result<Stacks, Damage> {
    let mut stacks = Stacks {
        parents: Vec::new(),
        locations: Vec::new(),
    };
    decode(bytes, nodes, &mut stacks).map(|()| stacks)
}

fn encoded(stacks: &Stacks) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(stacks, &mut bytes);
    bytes
}

fn stacks(nodes: &[(u32, u32)]) -> Stacks {
    let (parents, locations) = nodes.iter().copied().unzip();
    Stacks { parents, locations }
}

/// The first chunk of the fixture of format 1.
const FIRST: [u8; 10] = [0, 1, 0, 2, 1, 0, 2, 2, 2, 3];

#[test]
fn the_first_chunk_of_the_fixture_is_decoded_and_encoded() {
    let expected = stacks(&[(0, 0), (0, 1), (1, 2), (2, 3)]);
    assert_eq!(decoded(&FIRST, 4).unwrap(), expected);
    assert_eq!(encoded(&expected), FIRST);
}

#[test]
fn a_stub_completes_an_odd_number_of_nodes() {
    let three = stacks(&[(0, 0), (0, 1), (1, 2)]);
    assert_eq!(encoded(&three), [0, 1, 0, 2, 1, 0, 2, 2, 0, 0]);
    assert_eq!(decoded(&FIRST, 3).unwrap(), three);
}

#[test]
fn children_of_the_root_of_a_later_chunk_are_children_of_the_root() {
    let mut both = stacks(&[(0, 0), (0, 9)]);
    decode(&FIRST, 4, &mut both).unwrap();
    let expected = [(0, 0), (0, 9), (0, 0), (0, 1), (3, 2), (4, 3)];
    assert_eq!(both, stacks(&expected));
}

#[test]
fn real_chunks_are_reproduced() {
    let mut chunks = 0;
    for (directory, _) in REAL.into_iter().chain([("symdb/v1", 3)]) {
        let Some(path) = real_path(directory) else {
            continue;
        };
        for place in ["", "symbols/"] {
            let (Ok(index), Ok(bytes)) = (
                std::fs::read(path.join(place).join("index.symdb")),
                std::fs::read(path.join(place).join("stacktraces.symdb")),
            ) else {
                continue;
            };
            let index = super::super::index::Index::parse("index", 0, &index).unwrap();
            for chunk in index
                .partitions
                .iter()
                .flat_map(|partition| &partition.chunks)
            {
                let start = chunk.offset as usize;
                let bytes = &bytes[start..start + chunk.size as usize];
                let stacks = decoded(bytes, chunk.nodes).unwrap();
                assert_eq!(stacks.len(), chunk.nodes as usize);
                assert!(encoded(&stacks) == bytes, "{directory}");
                chunks += 1;
            }
        }
    }
    assert!(chunks >= 7);
}

#[test]
fn a_chunk_of_fewer_bytes_than_nodes_need_is_refused() {
    assert_eq!(decoded(&FIRST, 5).unwrap_err().at, 0);
    assert_eq!(decoded(&FIRST, u32::MAX).unwrap_err().at, 0);
    // Enough bytes for the shortest groups, but these are longer.
    let long = encoded(&stacks(&[(0, 0), (0, 1 << 20), (1, 1 << 20), (2, 1 << 20)]));
    let error = decoded(&long[..long.len() - 1], 4).unwrap_err();
    assert_eq!(error.at, 7);
}

#[test]
fn impossible_parents_are_refused() {
    let root_with_parent = [0, 0, 0, 2, 1];
    let two_roots = [0, 1, 0, 0, 1];
    let own_parent = [0, 1, 0, 4, 1];
    for (bytes, problem) in [
        (root_with_parent, "node 0 has the parent 0"),
        (two_roots, "node 1 has the parent -1"),
        (own_parent, "node 1 has the parent 1"),
    ] {
        assert_eq!(decoded(&bytes, 2).unwrap_err().problem, problem);
    }
}

proptest! {
    #[test]
    fn trees_come_back(nodes in vec((any::<u32>(), any::<u32>(), 0..32_u32), 0..300)) {
        let mut tree = Stacks::default();
        for (parent, location, shift) in nodes {
            tree.parents.push(parent % tree.parents.len() as u32);
            tree.locations.push(location >> shift);
        }
        let bytes = encoded(&tree);
        prop_assert_eq!(decoded(&bytes, tree.len() as u32).unwrap(), tree);
    }
}
