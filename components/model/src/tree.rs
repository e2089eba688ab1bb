//! Call trees of function names: what queries add up, cut down and draw.
//!
//! Wire forms: api.md 1.11 (flame graph), 1.12 (tree bytes).

mod bytes;
mod index;
mod layout;
mod names;
mod report;
#[cfg(test)]
pub(crate) mod tests;

use index::Index;
pub(crate) use layout::{Cut, Kept, keep};

pub use bytes::TreeError;
pub use names::Names;
pub use report::{Function, Order, Walk};

/// The name of the child that stands for all that truncation removed.
pub const OTHER: &str = "other";

/// A call tree. Node 0 is the root: it has no name and no value of its own.
///
/// Nodes lie in arrays, every parent before its children; siblings have different names, in no order. Values are never
/// negative and their sum fits an `i64`: what would exceed it is cut off, so totals add up exactly. 16 B per node, and
/// about 30 B more once the tree has grown by [`Self::insert`] or [`Self::merge`].
#[derive(Clone, Debug)]
pub struct Tree {
    names: Names,
    parents: Vec<u32>,
    name_ids: Vec<u32>,
    selves: Vec<i64>,
    total: i64,
    index: Option<Box<Index>>,
}

/// One node, as [`Tree::nodes`] and [`Tree::walk`] show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeRef<'a> {
    /// Position among the tree's nodes; 0 is the root.
    pub index: usize,
    /// Position of the caller, smaller than `index`; 0 for the root itself.
    pub parent: usize,
    /// Number of callers above: 0 for the root.
    pub depth: usize,
    /// Function name; empty for the root.
    pub name: &'a str,
    /// Value of the stacks that end here.
    pub self_value: i64,
    /// Value of the stacks that pass or end here.
    pub total: i64,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// A tree of nothing but its root.
    #[must_use]
    pub fn new() -> Self {
        Self {
            names: Names::new(),
            parents: vec![0],
            name_ids: vec![0],
            selves: vec![0],
            total: 0,
            index: None,
        }
    }

    /// Takes over finished arrays, without hashing or copying: O(nodes).
    ///
    /// Node 0 is the root (its name and value are ignored), `parents[i] < i` for all others; siblings have different
    /// names, and no name is there twice ([`Self::from_unmerged_parts`] asks for less). Negative values count as 0.
    ///
    /// # Panics
    /// In debug builds, if the arrays differ in length or a number is out of range.
    #[must_use]
    pub fn from_parts(
        names: Names,
        parents: Vec<u32>,
        name_ids: Vec<u32>,
        mut selves: Vec<i64>,
    ) -> Self {
        debug_assert!(parents.len() == name_ids.len() && parents.len() == selves.len());
        debug_assert!(
            parents
                .iter()
                .enumerate()
                .skip(1)
                .all(|(i, &parent)| (parent as usize) < i)
        );
        debug_assert!(
            name_ids
                .iter()
                .skip(1)
                .all(|&name| (name as usize) < names.len())
        );
        if parents.is_empty() {
            return Self::new();
        }
        selves[0] = 0;
        let mut total = 0i64;
        for value in &mut selves {
            *value = (*value).clamp(0, i64::MAX - total);
            total += *value;
        }
        Self {
            names,
            parents,
            name_ids,
            selves,
            total,
            index: None,
        }
    }

    /// As [`Self::from_parts`], where siblings may have the same name (two lines of one function, say) and names may
    /// repeat: such nodes become one. One hash lookup per node.
    #[must_use]
    pub fn from_unmerged_parts(
        names: &Names,
        parents: &[u32],
        name_ids: &[u32],
        selves: &[i64],
    ) -> Self {
        debug_assert!(parents.len() == name_ids.len() && parents.len() == selves.len());
        let mut tree = Self::new();
        let nodes = tree.graft(names, parents, name_ids);
        for (&node, &value) in nodes.iter().zip(selves).skip(1) {
            tree.add(node, value);
        }
        tree
    }

    /// Adds a stack, root first. Values of 0 and below are ignored, and so are empty stacks.
    pub fn insert<'s>(&mut self, stack: impl IntoIterator<Item = &'s str>, value: i64) {
        if value <= 0 {
            return;
        }
        let mut index = self.take_index();
        let mut node = 0;
        for name in stack {
            let name = index.intern(&mut self.names, name);
            node = self.child(&mut index, node, name);
        }
        self.index = Some(index);
        if node != 0 {
            self.add(node, value);
        }
    }

    /// Adds all stacks of another tree. O(nodes of `other`), besides the first time that this tree grows.
    pub fn merge(&mut self, other: &Self) {
        if self.is_empty() {
            *self = other.clone();
            return;
        }
        let nodes = self.graft(&other.names, &other.parents, &other.name_ids);
        for (&node, &value) in nodes.iter().zip(&other.selves) {
            self.add(node, value);
        }
    }

    /// Sum of all values.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.total
    }

    /// Number of nodes, the root included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parents.len()
    }

    /// Whether there is nothing but the root.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 1
    }

    /// All nodes as they are stored: parents before children, the root first.
    pub fn nodes(&self) -> impl Iterator<Item = NodeRef<'_>> {
        let totals = self.totals();
        let mut depths = vec![0usize; self.len()];
        for node in 1..self.len() {
            depths[node] = depths[self.parents[node] as usize] + 1;
        }
        totals
            .into_iter()
            .zip(depths)
            .enumerate()
            .map(|(index, (total, depth))| NodeRef {
                index,
                parent: self.parents[index] as usize,
                depth,
                name: self.name(index),
                self_value: self.selves[index],
                total,
            })
    }

    /// The tree with about `max_nodes` of its heaviest nodes, if it has more (api.md 1.11).
    ///
    /// The root does not count. A node stays if its total is at least that of the `max_nodes`-th heaviest, so ties
    /// stay. What a node loses, and its child [`OTHER`] if it had one, becomes one child [`OTHER`].
    #[must_use]
    pub fn truncate(&self, max_nodes: i64) -> Self {
        if !self.exceeds(max_nodes) {
            return self.clone();
        }
        let kept = self.kept(max_nodes);
        let other = self.names.len() as u64;
        let mut names = Names::new();
        let mut new_ids = vec![None; self.names.len() + 1];
        let mut name_ids = Vec::with_capacity(kept.len());
        name_ids.push(0);
        for &id in &kept.name_ids[1..] {
            let text = if u64::from(id) == other {
                OTHER
            } else {
                self.names.get(id)
            };
            name_ids.push(*new_ids[id as usize].get_or_insert_with(|| names.push(text)));
        }
        let selves = kept.selves.into_iter().map(|[value]| value).collect();
        Self::from_parts(names, kept.parents, name_ids, selves)
    }

    pub(crate) fn kept(&self, max_nodes: i64) -> Kept<1> {
        let cut = if self.exceeds(max_nodes) {
            Cut::ReplacingOther {
                max_nodes: usize::try_from(max_nodes).unwrap_or(usize::MAX),
            }
        } else {
            Cut::None
        };
        let selves: Vec<[i64; 1]> = self.selves.iter().map(|&value| [value]).collect();
        keep(&self.names, &self.parents, &self.name_ids, &selves, cut)
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// The union of both trees' nodes, with the values of either.
    pub(crate) fn side_by_side(&self, right: &Self) -> (Self, Vec<[i64; 2]>) {
        let mut union = self.clone();
        let nodes = union.graft(&right.names, &right.parents, &right.name_ids);
        let mut selves: Vec<[i64; 2]> = union.selves.iter().map(|&value| [value, 0]).collect();
        for (&node, &value) in nodes.iter().zip(&right.selves) {
            selves[node as usize][1] += value;
        }
        (union, selves)
    }

    pub(crate) fn parents(&self) -> &[u32] {
        &self.parents
    }

    pub(crate) fn name_ids(&self) -> &[u32] {
        &self.name_ids
    }

    fn exceeds(&self, max_nodes: i64) -> bool {
        max_nodes > 0 && usize::try_from(max_nodes).is_ok_and(|max| self.len() - 1 > max)
    }

    fn name(&self, node: usize) -> &str {
        if node == 0 {
            ""
        } else {
            self.names.get(self.name_ids[node])
        }
    }

    fn totals(&self) -> Vec<i64> {
        let mut totals = self.selves.clone();
        for node in (1..totals.len()).rev() {
            totals[self.parents[node] as usize] += totals[node];
        }
        totals
    }

    fn take_index(&mut self) -> Box<Index> {
        self.index
            .take()
            .unwrap_or_else(|| Box::new(Index::build(&self.names, &self.parents, &self.name_ids)))
    }

    /// The child of `parent` with this name, new if need be.
    fn child(&mut self, index: &mut Index, parent: u32, name: u32) -> u32 {
        let new = u32::try_from(self.len()).expect("a tree has fewer than 2^32 nodes");
        let child = index.child(parent, name, new);
        if child == new {
            self.parents.push(parent);
            self.name_ids.push(name);
            self.selves.push(0);
        }
        child
    }

    /// Makes nodes where other nodes have none here, without values. Returns for each of those its node here.
    fn graft(&mut self, names: &Names, parents: &[u32], name_ids: &[u32]) -> Vec<u32> {
        let mut index = self.take_index();
        let mut known = vec![None; names.len()];
        let mut nodes = Vec::with_capacity(parents.len());
        nodes.push(0);
        for (&parent, &name) in parents.iter().zip(name_ids).skip(1) {
            let name = *known[name as usize]
                .get_or_insert_with(|| index.intern(&mut self.names, names.get(name)));
            nodes.push(self.child(&mut index, nodes[parent as usize], name));
        }
        self.index = Some(index);
        nodes
    }

    fn add(&mut self, node: u32, value: i64) {
        let value = value.clamp(0, i64::MAX - self.total);
        self.selves[node as usize] += value;
        self.total += value;
    }
}
