//! The call graph: which frames call which, and how much goes that way.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet, VecDeque};

use phlare_proto::google::v1::{Profile, Sample};

use super::frames::Frames;

/// A call.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) weight: i64,
    /// Whether frames in between were left out.
    pub(super) residual: bool,
    pub(super) inline: bool,
}

/// Nodes have the numbers of their frames.
#[derive(Debug)]
pub(super) struct Graph {
    flats: Vec<i64>,
    cums: Vec<i64>,
    edges: BTreeMap<(u32, u32), Edge>,
    /// The nodes that have a value, those first that tell most about the profile.
    pub(super) order: Vec<u32>,
}

/// Sum of all values, whatever their sign.
pub(super) fn total(profile: &Profile) -> i64 {
    profile.sample.iter().fold(0i64, |sum, sample| {
        sum.saturating_add(value(sample).saturating_abs())
    })
}

fn value(sample: &Sample) -> i64 {
    sample.value.first().copied().unwrap_or(0)
}

impl Graph {
    /// Of all frames, or of those in `kept`. A value is counted once for a frame and a call however often the stack has
    /// them.
    pub(super) fn build(frames: &Frames<'_>, profile: &Profile, kept: Option<&[bool]>) -> Self {
        let mut graph = Self {
            flats: vec![0; frames.len()],
            cums: vec![0; frames.len()],
            edges: BTreeMap::new(),
            order: Vec::new(),
        };
        let mut last_seen = vec![usize::MAX; frames.len()];
        let mut seen_edges = HashSet::new();
        for (number, sample) in profile.sample.iter().enumerate() {
            let weight = value(sample);
            if weight == 0 {
                continue;
            }
            seen_edges.clear();
            let mut caller = None;
            let mut residual = false;
            for call in frames.stack(sample) {
                let node = call.frame;
                if kept.is_some_and(|kept| !kept[node as usize]) {
                    residual = true;
                    continue;
                }
                if std::mem::replace(&mut last_seen[node as usize], number) != number {
                    add(&mut graph.cums[node as usize], weight);
                }
                if let Some(caller) = caller.filter(|&caller| caller != node)
                    && seen_edges.insert((caller, node))
                {
                    graph.add_edge(
                        (caller, node),
                        Edge {
                            weight,
                            residual,
                            inline: call.inline,
                        },
                    );
                }
                caller = Some(node);
                residual = false;
            }
            if let Some(leaf) = caller.filter(|_| !residual) {
                add(&mut graph.flats[leaf as usize], weight);
            }
        }
        graph.sort_nodes(frames);
        graph
    }

    pub(super) fn flat(&self, node: u32) -> i64 {
        self.flats[node as usize]
    }

    pub(super) fn cum(&self, node: u32) -> i64 {
        self.cums[node as usize]
    }

    /// The heaviest first, then by the names of both ends.
    pub(super) fn sorted_edges(&self, frames: &Frames<'_>) -> Vec<(&(u32, u32), &Edge)> {
        let mut edges: Vec<_> = self.edges.iter().collect();
        edges.sort_by_cached_key(|((from, to), edge)| {
            (
                Reverse(edge.weight.unsigned_abs()),
                frames.get(*from).printable(),
                frames.get(*to).printable(),
            )
        });
        edges
    }

    /// Removes calls over left out frames where another way leads from the caller to the callee: they only clutter.
    pub(super) fn remove_redundant_edges(&mut self, frames: &Frames<'_>) {
        let mut callers: Vec<Vec<u32>> = vec![Vec::new(); self.flats.len()];
        for &(from, to) in self.edges.keys() {
            callers[to as usize].push(from);
        }
        for &node in self.order.iter().rev() {
            let mut incoming = callers[node as usize].clone();
            incoming.sort_by_cached_key(|&from| {
                (
                    Reverse(self.edges[&(from, node)].weight.unsigned_abs()),
                    frames.get(from).printable(),
                )
            });
            // Nothing heavier than a direct call goes: the picture would look wrong.
            let lightest_first = incoming.into_iter().rev();
            for from in lightest_first
                .take_while(|&from| self.edges[&(from, node)].residual)
                .collect::<Vec<_>>()
            {
                if leads_otherwise(&callers, from, node) {
                    self.edges.remove(&(from, node));
                    callers[node as usize].retain(|&caller| caller != from);
                }
            }
        }
    }

    fn add_edge(&mut self, ends: (u32, u32), call: Edge) {
        self.edges
            .entry(ends)
            .and_modify(|edge| {
                add(&mut edge.weight, call.weight);
                edge.residual |= call.residual;
                edge.inline &= call.inline;
            })
            .or_insert(call);
    }

    fn sort_nodes(&mut self, frames: &Frames<'_>) {
        let (mut incoming, mut outgoing) = (
            vec![Vec::new(); frames.len()],
            vec![Vec::new(); frames.len()],
        );
        for (&(from, to), edge) in &self.edges {
            outgoing[from as usize].push(edge.weight);
            incoming[to as usize].push(edge.weight);
        }
        let score = |node: u32| {
            let at = node as usize;
            let spread = entropy(&incoming[at], 0) + entropy(&outgoing[at], self.flats[at]);
            ((spread * self.cums[at] as f64) as i64).saturating_add(self.flats[at])
        };
        let nodes = (0..).take(frames.len());
        let mut order: Vec<u32> = nodes
            .filter(|&node| self.cum(node) != 0 || self.flat(node) != 0)
            .collect();
        order.sort_by_cached_key(|&node| {
            (
                Reverse(score(node)),
                frames.get(node).printable(),
                Reverse(self.flat(node).unsigned_abs()),
            )
        });
        self.order = order;
    }
}

/// How evenly a node's value is spread over its calls, in bits; entry nodes and leaves count as one bit.
fn entropy(calls: &[i64], own: i64) -> f64 {
    if calls.is_empty() {
        return 1.0;
    }
    let total = calls
        .iter()
        .filter(|&&call| call > 0)
        .fold(own, |sum, &call| sum.saturating_add(call));
    if total == 0 {
        return 0.0;
    }
    let part = |value: i64| {
        let part = value.unsigned_abs() as f64 / total as f64;
        if part > 0.0 { -part * part.log2() } else { 0.0 }
    };
    calls.iter().map(|&call| part(call)).sum::<f64>() + if own > 0 { part(own) } else { 0.0 }
}

/// Whether a way leads from `from` to `to` besides the direct one.
fn leads_otherwise(callers: &[Vec<u32>], from: u32, to: u32) -> bool {
    let mut seen = HashSet::from([to]);
    let mut open = VecDeque::from([to]);
    while let Some(node) = open.pop_front() {
        for &caller in &callers[node as usize] {
            if (node, caller) == (to, from) || seen.contains(&caller) {
                continue;
            }
            if caller == from {
                return true;
            }
            seen.insert(caller);
            open.push_back(caller);
        }
    }
    false
}

fn add(sum: &mut i64, value: i64) {
    *sum = sum.saturating_add(value);
}
