//! Finds the child of a node by name: what a tree needs while it grows.

use std::hash::BuildHasher;

use hashbrown::hash_map::Entry;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::names::Names;

/// Numbers of names. Names come from tenants, so hashes are seeded.
#[derive(Clone, Debug, Default)]
pub(super) struct NameTable {
    hasher: DefaultHashBuilder,
    ids: HashTable<u32>,
}

impl NameTable {
    fn build(names: &Names) -> Self {
        let mut table = Self {
            ids: HashTable::with_capacity(names.len()),
            ..Self::default()
        };
        for id in (0..).take(names.len()) {
            table.insert(names, id);
        }
        table
    }

    /// The number of `name`, which is added to `names` if it is new.
    pub(super) fn intern(&mut self, names: &mut Names, name: &str) -> u32 {
        let hash = self.hasher.hash_one(name);
        if let Some(&id) = self.ids.find(hash, |&id| names.get(id) == name) {
            return id;
        }
        let id = names.push(name);
        self.insert(names, id);
        id
    }

    fn insert(&mut self, names: &Names, id: u32) {
        let hash = |id: u32| self.hasher.hash_one(names.get(id));
        self.ids.insert_unique(hash(id), id, |&other| hash(other));
    }
}

/// Hash tables over a tree's names and its edges.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    names: NameTable,
    edges: HashMap<u64, u32>,
}

impl Index {
    /// Of the tree with these nodes, the root first.
    pub(super) fn build(names: &Names, parents: &[u32], name_ids: &[u32]) -> Self {
        let mut edges = HashMap::with_capacity(parents.len());
        for ((node, &parent), &name) in (0..).zip(parents).zip(name_ids).skip(1) {
            edges.insert(edge(parent, name), node);
        }
        Self {
            names: NameTable::build(names),
            edges,
        }
    }

    /// As [`NameTable::intern`].
    pub(super) fn intern(&mut self, names: &mut Names, name: &str) -> u32 {
        self.names.intern(names, name)
    }

    /// The child of `parent` with this name, or `new` as its child from now on.
    pub(super) fn child(&mut self, parent: u32, name: u32, new: u32) -> u32 {
        match self.edges.entry(edge(parent, name)) {
            Entry::Occupied(child) => *child.get(),
            Entry::Vacant(place) => *place.insert(new),
        }
    }
}

fn edge(parent: u32, name: u32) -> u64 {
    u64::from(parent) << 32 | u64::from(name)
}
