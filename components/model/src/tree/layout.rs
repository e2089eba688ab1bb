//! From a tree's arrays to what is drawn: truncation, order of children, levels.
//!
//! `SIDES` is 1 for a flame graph and 2 for a difference of two; no step compares names twice or allocates per node.

use phlare_proto::querier::v1::Level;

use super::OTHER;
use super::names::Names;

/// What the root is called in a graph.
const ROOT: &str = "total";

/// Which nodes to leave out, besides those without any value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// None.
    None,
    /// As api.md 1.11 says for one tree: all but about `max_nodes`, the root not counted, children named
    /// [`OTHER`] replaced.
    ReplacingOther { max_nodes: usize },
    /// As api.md 1.11 says for two: all but about `max_nodes`, the root counted, children named [`OTHER`] kept
    /// like all others.
    KeepingOther { max_nodes: usize },
}

/// The nodes that are left, each parent before its children, the root first.
///
/// A child [`OTHER`] that truncation made has the name id `names.len()`.
#[derive(Debug)]
pub(crate) struct Kept<const SIDES: usize> {
    pub(crate) parents: Vec<u32>,
    pub(crate) name_ids: Vec<u32>,
    pub(crate) selves: Vec<[i64; SIDES]>,
    pub(crate) totals: Vec<[i64; SIDES]>,
}

/// The children of all nodes, by node and then by name; a child [`OTHER`] that truncation made is the last.
#[derive(Debug)]
pub(crate) struct Children {
    starts: Vec<u32>,
    nodes: Vec<u32>,
}

/// A level encoded graph: for each node and side offset, total, self; then the name's number.
#[derive(Debug)]
pub(crate) struct Levels {
    pub(crate) names: Vec<String>,
    pub(crate) levels: Vec<Level>,
    pub(crate) max_self: i64,
}

/// Cuts a tree. O(nodes).
pub(crate) fn keep<const SIDES: usize>(
    names: &Names,
    parents: &[u32],
    name_ids: &[u32],
    selves: &[[i64; SIDES]],
    cut: Cut,
) -> Kept<SIDES> {
    const GONE: u32 = u32::MAX;
    let totals = totals(parents, selves);
    let (least, replaced) = match cut {
        Cut::None => (1, None),
        Cut::ReplacingOther { max_nodes } => {
            (nth_heaviest(&totals[1..], max_nodes), names.find(OTHER))
        }
        Cut::KeepingOther { max_nodes } => (nth_heaviest(&totals, max_nodes), None),
    };

    let mut places = vec![GONE; parents.len()];
    let mut kept = Kept {
        parents: vec![0],
        name_ids: vec![0],
        selves: vec![selves[0]],
        totals: vec![totals[0]],
    };
    let mut removed = vec![[0; SIDES]];
    places[0] = 0;
    for node in 1..parents.len() {
        let parent = places[parents[node] as usize];
        if parent == GONE {
            continue;
        }
        if heavier(&totals[node]) >= least && Some(name_ids[node]) != replaced {
            places[node] = kept.push(parent, name_ids[node], selves[node], totals[node]);
            removed.push([0; SIDES]);
        } else {
            add(&mut removed[parent as usize], &totals[node]);
        }
    }
    kept.push_others(&removed, names.len());
    kept
}

impl<const SIDES: usize> Kept<SIDES> {
    pub(crate) fn len(&self) -> usize {
        self.parents.len()
    }

    fn push(&mut self, parent: u32, name: u32, own: [i64; SIDES], total: [i64; SIDES]) -> u32 {
        let place = number(self.parents.len());
        self.parents.push(parent);
        self.name_ids.push(name);
        self.selves.push(own);
        self.totals.push(total);
        place
    }

    fn push_others(&mut self, removed: &[[i64; SIDES]], names: usize) {
        for (parent, sum) in (0..).zip(removed) {
            if heavier(sum) > 0 {
                self.push(parent, number(names), *sum, *sum);
            }
        }
    }

    /// Draws the graph from the root down. O(nodes) besides sorting the names.
    pub(crate) fn levels(&self, names: &Names) -> Levels {
        const UNSEEN: i64 = -1;
        let children = Children::by_name(names, &self.parents, &self.name_ids);
        let mut graph = Levels {
            names: vec![ROOT.to_owned()],
            levels: Vec::new(),
            max_self: 0,
        };
        let mut name_places = vec![UNSEEN; names.len() + 1];
        let mut level = vec![(0u32, [0i64; SIDES])];
        let mut next = Vec::new();
        while !level.is_empty() {
            let mut values = Vec::with_capacity(level.len() * (3 * SIDES + 1));
            let mut ends = [0; SIDES];
            for &(node, left) in &level {
                let (own, total) = (&self.selves[node as usize], &self.totals[node as usize]);
                for side in 0..SIDES {
                    values.extend([left[side] - ends[side], total[side], own[side]]);
                    ends[side] = left[side] + total[side];
                }
                graph.max_self = graph.max_self.max(heavier(own));
                values.push(if node == 0 {
                    0
                } else {
                    let id = self.name_ids[node as usize];
                    let place = &mut name_places[id as usize];
                    if *place == UNSEEN {
                        *place = graph.name_place(if id as usize == names.len() {
                            OTHER
                        } else {
                            names.get(id)
                        });
                    }
                    *place
                });
                let mut x = left;
                add(&mut x, own);
                for &child in children.of(node) {
                    next.push((child, x));
                    add(&mut x, &self.totals[child as usize]);
                }
            }
            graph.levels.push(Level { values });
            level.clear();
            std::mem::swap(&mut level, &mut next);
        }
        graph
    }
}

impl Kept<1> {
    /// Name and own value of a node.
    pub(crate) fn node(&self, node: u32) -> (u32, i64) {
        let [own] = self.selves[node as usize];
        (self.name_ids[node as usize], own)
    }
}

impl Levels {
    /// Where the name of a node that is seen first goes. A function may be called as the root is.
    fn name_place(&mut self, name: &str) -> i64 {
        if name == ROOT {
            return 0;
        }
        self.names.push(name.to_owned());
        self.names.len() as i64 - 1
    }
}

impl Children {
    /// Sorts the names that occur, each once, then only counts: O(names × log names + nodes).
    /// A name id of `names.len()` comes after all others.
    pub(crate) fn by_name(names: &Names, parents: &[u32], name_ids: &[u32]) -> Self {
        let ranks = ranks(names, name_ids);
        let nodes = number(parents.len());
        let by_name = group(
            1..nodes,
            |node| ranks[name_ids[node as usize] as usize],
            names.len() + 1,
        );
        group(
            by_name.nodes.iter().copied(),
            |node| parents[node as usize],
            parents.len(),
        )
    }

    /// The children of one node.
    pub(crate) fn of(&self, node: u32) -> &[u32] {
        let node = node as usize;
        &self.nodes[self.starts[node] as usize..self.starts[node + 1] as usize]
    }

    /// Sorts the children of each node anew.
    pub(crate) fn sort_by_key<K: Ord>(&mut self, key: impl Fn(u32) -> K) {
        for group in self.starts.windows(2) {
            self.nodes[group[0] as usize..group[1] as usize].sort_by_key(|&node| key(node));
        }
    }
}

/// Whether no two children of one node have the same name. O(nodes).
pub(crate) fn siblings_differ(names: usize, parents: &[u32], name_ids: &[u32]) -> bool {
    let nodes = number(parents.len());
    let children = group(1..nodes, |node| parents[node as usize], parents.len());
    let mut callers = vec![u32::MAX; names];
    (0..nodes).all(|parent| {
        children.of(parent).iter().all(|&child| {
            std::mem::replace(&mut callers[name_ids[child as usize] as usize], parent) != parent
        })
    })
}

/// Counting sort, stable: `nodes` by their `key`, which is below `keys`.
fn group(
    nodes: impl Iterator<Item = u32> + Clone,
    key: impl Fn(u32) -> u32,
    keys: usize,
) -> Children {
    let mut starts = vec![0u32; keys + 1];
    let mut len = 0;
    for node in nodes.clone() {
        starts[key(node) as usize + 1] += 1;
        len += 1;
    }
    for key in 0..keys {
        starts[key + 1] += starts[key];
    }
    let mut places = starts.clone();
    let mut sorted = vec![0; len];
    for node in nodes {
        let place = &mut places[key(node) as usize];
        sorted[*place as usize] = node;
        *place += 1;
    }
    Children {
        starts,
        nodes: sorted,
    }
}

/// For each name that a node other than the root has, its place among them.
fn ranks(names: &Names, name_ids: &[u32]) -> Vec<u32> {
    let mut used = vec![false; names.len() + 1];
    for &id in &name_ids[1..] {
        used[id as usize] = true;
    }
    let mut sorted: Vec<(&str, u32)> = (0..number(names.len()))
        .filter(|&id| used[id as usize])
        .map(|id| (names.get(id), id))
        .collect();
    sorted.sort_unstable();
    let mut ranks = vec![number(names.len()); names.len() + 1];
    for (rank, (_, id)) in (0..).zip(sorted) {
        ranks[id as usize] = rank;
    }
    ranks
}

fn totals<const SIDES: usize>(parents: &[u32], selves: &[[i64; SIDES]]) -> Vec<[i64; SIDES]> {
    let mut totals = selves.to_vec();
    for node in (1..totals.len()).rev() {
        let total = totals[node];
        add(&mut totals[parents[node] as usize], &total);
    }
    totals
}

/// The n-th largest total, 1 if there are fewer or it is 0: a node without any value is never kept.
fn nth_heaviest<const SIDES: usize>(totals: &[[i64; SIDES]], n: usize) -> i64 {
    if n == 0 || totals.len() <= n {
        return 1;
    }
    let mut totals: Vec<i64> = totals.iter().map(heavier).collect();
    let (_, nth, _) = totals.select_nth_unstable_by(n - 1, |a, b| b.cmp(a));
    (*nth).max(1)
}

fn heavier<const SIDES: usize>(values: &[i64; SIDES]) -> i64 {
    values.iter().copied().max().unwrap_or(0)
}

/// Cannot overflow: a tree's values fit an `i64` together.
fn add<const SIDES: usize>(sum: &mut [i64; SIDES], values: &[i64; SIDES]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += value;
    }
}

fn number(len: usize) -> u32 {
    u32::try_from(len).expect("a tree has fewer than 2^32 nodes and names")
}
