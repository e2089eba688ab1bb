//! The call tree of function names, grown as stack traces arrive.
//!
//! A flame graph query adds values to its nodes and never walks a stack trace. Inlined functions are
//! nodes of their own; a location without lines adds none.

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use std::hash::BuildHasher;

use super::StringId;
use super::table::{Full, next_id};

/// Id of a node of the call tree; 0 is the root, a parent's id is smaller than its children's.
pub(crate) type CallId = u32;

/// Parents and names of all nodes; 13 bytes a node.
#[derive(Debug)]
pub(crate) struct CallTree {
    parents: Vec<CallId>,
    names: Vec<StringId>,
    index: HashTable<CallId>,
}

impl Default for CallTree {
    fn default() -> Self {
        Self {
            parents: vec![0],
            names: vec![0],
            index: HashTable::new(),
        }
    }
}

impl CallTree {
    pub(crate) fn len(&self) -> usize {
        self.parents.len()
    }

    pub(crate) fn parents(&self) -> &[CallId] {
        &self.parents
    }

    pub(crate) fn names(&self) -> &[StringId] {
        &self.names
    }

    /// The child of `parent` with this name, if a stack trace has it.
    pub(crate) fn find(&self, parent: CallId, name: StringId) -> Option<CallId> {
        let same =
            |&id: &CallId| (self.parents[id as usize], self.names[id as usize]) == (parent, name);
        self.index.find(hash(parent, name), same).copied()
    }

    /// The child of `parent` with this name, made if needed.
    pub(crate) fn child(&mut self, parent: CallId, name: StringId) -> Result<CallId, Full> {
        if let Some(id) = self.find(parent, name) {
            return Ok(id);
        }
        let id = next_id(self.parents.len())?;
        self.parents.push(parent);
        self.names.push(name);
        let Self {
            parents,
            names,
            index,
        } = self;
        index.insert_unique(hash(parent, name), id, |&id| {
            hash(parents[id as usize], names[id as usize])
        });
        Ok(id)
    }

    pub(crate) fn size_bytes(&self) -> usize {
        (self.parents.capacity() + self.names.capacity()) * size_of::<u32>()
            + self.index.allocation_size()
    }
}

fn hash(parent: CallId, name: StringId) -> u64 {
    FxBuildHasher.hash_one((parent, name))
}
