//! Stack traces as a tree of parent pointers: shared prefixes are stored once.
//!
//! A stack trace is the node of its leaf frame; node 0 is the empty stack trace. A parent's id is
//! smaller than its children's. The same shape as in symbol files of blocks (blocks.md 4.4).

use hashbrown::HashTable;
use phlare_pprof::hash::ROOT;

use super::calls::CallId;
use super::table::{Full, next_id};
use super::{LocationId, StacktraceId};

/// All stack traces; 25 bytes a node.
#[derive(Debug)]
pub(crate) struct Stacks {
    parents: Vec<u32>,
    locations: Vec<u32>,
    hashes: Vec<u64>,
    calls: Vec<CallId>,
    index: HashTable<u32>,
}

impl Default for Stacks {
    fn default() -> Self {
        let mut index = HashTable::new();
        index.insert_unique(ROOT, 0, |_| ROOT);
        Self {
            parents: vec![0],
            locations: vec![0],
            hashes: vec![ROOT],
            calls: vec![0],
            index,
        }
    }
}

impl Stacks {
    pub(crate) fn len(&self) -> usize {
        self.parents.len()
    }

    pub(crate) fn hash(&self, id: StacktraceId) -> u64 {
        self.hashes[id as usize]
    }

    /// The node of the call tree for this stack trace's leaf function.
    pub(crate) fn call(&self, id: StacktraceId) -> CallId {
        self.calls[id as usize]
    }

    /// For each stack trace, its node of the call tree.
    pub(crate) fn calls(&self) -> &[CallId] {
        &self.calls
    }

    pub(crate) fn parent(&self, id: StacktraceId) -> StacktraceId {
        self.parents[id as usize]
    }

    pub(crate) fn location(&self, id: StacktraceId) -> LocationId {
        self.locations[id as usize]
    }

    /// Found by its hash alone: with a secret 64-bit key, a million stack traces collide with a chance of 3 in 10⁸.
    pub(crate) fn find(&self, hash: u64) -> Option<StacktraceId> {
        self.index
            .find(hash, |&id| self.hashes[id as usize] == hash)
            .copied()
    }

    pub(crate) fn push(
        &mut self,
        hash: u64,
        parent: StacktraceId,
        location: LocationId,
        call: CallId,
    ) -> Result<StacktraceId, Full> {
        let id = next_id(self.parents.len())?;
        self.parents.push(parent);
        self.locations.push(location);
        self.hashes.push(hash);
        self.calls.push(call);
        let hashes = &self.hashes;
        self.index
            .insert_unique(hash, id, |&id| hashes[id as usize]);
        Ok(id)
    }

    pub(crate) fn size_bytes(&self) -> usize {
        (self.parents.capacity() + self.locations.capacity() + self.calls.capacity())
            * size_of::<u32>()
            + self.hashes.capacity() * size_of::<u64>()
            + self.index.allocation_size()
    }
}
