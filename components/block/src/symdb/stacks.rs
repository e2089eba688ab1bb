//! The tree of stack traces of a partition, out of its chunks.
//!
//! Old writers cut the tree into chunks: with M nodes a chunk at most, ids of chunk c begin at c × M. Format:
//! blocks.md 4.4.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::ops::Range;

use bytes::Bytes;

use super::chunk;
use super::index::Chunk;
use crate::error::Error;
use crate::fields::crc32c;
use crate::symbols::Stacks;

/// Ids that may be left out between two chunks, however small they are. A writer leaves out fewer than a stack trace
/// has locations.
const GAP: u64 = 1024;

/// Where the chunks lie.
pub(super) fn ranges(chunks: &[Chunk]) -> Vec<Range<u64>> {
    let range = |chunk: &Chunk| chunk.offset..chunk.offset.saturating_add(chunk.size);
    chunks.iter().map(range).collect()
}

/// The tree whose `chunks` are `parts`. Ids that no chunk has, and the roots of all chunks but the first, are nodes
/// without location below the root; nothing refers to them.
///
/// Memory: 8 bytes for each node and id left out, of which there are no more than nodes, or 1024 for each chunk.
pub(super) fn read(file: &str, chunks: &[Chunk], parts: &[Bytes]) -> Result<Stacks, Error> {
    let mut stacks = Stacks {
        parents: Vec::new(),
        locations: Vec::new(),
    };
    let mut id = 0_u64;
    let mut before = 0_u64;
    for (chunk, bytes) in chunks.iter().zip(parts) {
        let corrupt = |at: usize, problem: String| {
            Error::corrupt(file, chunk.offset.saturating_add(at as u64), problem)
        };
        if crc32c(bytes) != chunk.crc {
            return Err(corrupt(0, "the checksum of a chunk is wrong".to_owned()));
        }
        let gap = id.checked_sub(stacks.len() as u64);
        match gap.filter(|&gap| gap <= before.max(GAP)) {
            Some(gap) => {
                let padded = stacks.len().saturating_add(gap as usize);
                stacks.parents.resize(padded, 0);
                stacks.locations.resize(padded, 0);
            }
            None => {
                let problem = format!("the first id of a chunk is {id} behind {}", stacks.len());
                return Err(corrupt(0, problem));
            }
        }
        chunk::decode(bytes, chunk.nodes, &mut stacks)
            .map_err(|damage| corrupt(damage.at, damage.problem))?;
        before = u64::from(chunk.nodes);
        id = id.saturating_add(u64::from(chunk.max_nodes));
    }
    if stacks.parents.is_empty() {
        return Ok(Stacks::default());
    }
    Ok(stacks)
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    /// Chunks of the nodes given, one location each.
    fn chunks(max_nodes: u32, nodes: &[u32]) -> (Vec<Chunk>, Vec<Bytes>) {
        let one = |&nodes: &u32| {
            let stacks = Stacks {
                parents: (0..nodes).map(|node| node.saturating_sub(1)).collect(),
                locations: (0..nodes).collect(),
            };
            let mut bytes = Vec::new();
            chunk::encode(&stacks, &mut bytes);
            let chunk = Chunk {
                offset: 100,
                size: bytes.len() as u64,
                nodes,
                max_nodes,
                crc: crc32c(&bytes),
            };
            (chunk, Bytes::from(bytes))
        };
        nodes.iter().map(one).unzip()
    }

    fn read_all(max_nodes: u32, nodes: &[u32]) -> Result<Stacks, Error> {
        let (chunks, parts) = chunks(max_nodes, nodes);
        read("stacks", &chunks, &parts)
    }

    #[test]
    fn no_chunk_is_a_tree_of_nothing_but_a_root() {
        assert_eq!(read("stacks", &[], &[]).unwrap(), Stacks::default());
        assert_eq!(read_all(7, &[0]).unwrap(), Stacks::default());
    }

    #[test]
    fn ids_of_a_chunk_begin_at_a_multiple() {
        let stacks = read_all(7, &[4, 3]).unwrap();
        assert_eq!(stacks.parents, [0, 0, 1, 2, 0, 0, 0, 0, 0, 8]);
        assert_eq!(stacks.locations, [0, 1, 2, 3, 0, 0, 0, 0, 1, 2]);
        assert_eq!(stacks.frames(9).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn chunks_that_overlap_are_refused() {
        for max_nodes in [0, 3] {
            let error = read_all(max_nodes, &[4, 4]).unwrap_err();
            assert!(error.is_corruption(), "{error}");
        }
    }

    #[test]
    fn memory_is_bounded_by_the_nodes_there_are() {
        assert_eq!(read_all(1000, &[4, 4]).unwrap().len(), 1004);
        assert_eq!(read_all(4000, &[3000, 4]).unwrap().len(), 4004);
        for max_nodes in [1 << 20, u32::MAX] {
            assert!(read_all(max_nodes, &[4, 4]).is_err());
        }
    }

    #[test]
    fn a_wrong_checksum_names_the_chunk() {
        let (mut chunks, parts) = chunks(7, &[4, 3]);
        chunks[1].crc ^= 1;
        let error = read("stacks", &chunks, &parts).unwrap_err().to_string();
        assert_eq!(
            error,
            "stacks is damaged at byte 100: the checksum of a chunk is wrong"
        );
    }
}
