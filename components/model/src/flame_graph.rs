//! Flame graphs: a tree's nodes level by level, as Grafana draws them (api.md 1.11).

use phlare_proto::querier::v1::{FlameGraph, Level};

use crate::tree::{Names, Tree, TreeError};

/// What a node of a level is: offset, total, own value, name.
const WIDTH: usize = 4;

/// The flame graph of no data: the shape that all answers share (field-reports.md B26).
#[must_use]
pub fn empty() -> FlameGraph {
    Tree::new().flame_graph(0)
}

impl Tree {
    /// The flame graph of the tree after [`Self::truncate`], which is not built. A `max_nodes` of 0 or below sets no
    /// limit. Siblings are in order of their names, [`crate::tree::OTHER`] after them.
    #[must_use]
    pub fn flame_graph(&self, max_nodes: i64) -> FlameGraph {
        let graph = self.kept(max_nodes).levels(self.names());
        FlameGraph {
            names: graph.names,
            levels: graph.levels,
            total: self.total(),
            max_self: graph.max_self,
        }
    }

    /// The tree that a flame graph shows; an answer in one form can be merged with answers in the other.
    ///
    /// # Errors
    /// [`TreeError::Unnested`] if a name is missing, a value is negative or a node lies outside all nodes above it.
    pub fn from_flame_graph(graph: &FlameGraph) -> Result<Self, TreeError> {
        let mut names = Names::with_capacity(graph.names.len(), 0);
        for name in &graph.names {
            names.push(name);
        }
        let mut arrays = Arrays {
            parents: vec![0],
            name_ids: vec![0],
            selves: vec![0],
        };
        let mut above = vec![Span {
            node: 0,
            start: 0,
            end: i64::MAX,
        }];
        for (depth, level) in graph.levels.iter().enumerate().skip(1) {
            above = arrays
                .read_level(level, &above, graph.names.len())
                .map_err(|what| TreeError::Unnested { level: depth, what })?;
        }
        Ok(Self::from_unmerged_parts(
            &names,
            &arrays.parents,
            &arrays.name_ids,
            &arrays.selves,
        ))
    }
}

/// From where to where a node reaches.
struct Span {
    node: u32,
    start: i64,
    end: i64,
}

struct Arrays {
    parents: Vec<u32>,
    name_ids: Vec<u32>,
    selves: Vec<i64>,
}

impl Arrays {
    fn read_level(
        &mut self,
        level: &Level,
        above: &[Span],
        names: usize,
    ) -> Result<Vec<Span>, &'static str> {
        let mut above = above.iter().peekable();
        let mut spans = Vec::with_capacity(level.values.len() / WIDTH);
        let mut at = 0i64;
        let (nodes, rest) = level.values.as_chunks::<WIDTH>();
        if !rest.is_empty() {
            return Err("values that are no multiple of four");
        }
        for &[offset, total, own, name] in nodes {
            if total < 0 || own < 0 {
                return Err("a negative value");
            }
            let name = u32::try_from(name)
                .ok()
                .filter(|&name| (name as usize) < names)
                .ok_or("a name that is missing")?;
            let start = at
                .checked_add(offset)
                .ok_or("an offset that is too large")?;
            let end = start
                .checked_add(total)
                .ok_or("a total that is too large")?;
            at = end;
            while above
                .next_if(|span| span.end <= start && span.end < end)
                .is_some()
            {}
            let caller = above
                .peek()
                .filter(|span| span.start <= start && end <= span.end);
            let caller = caller.ok_or("a node outside all nodes above it")?;
            let node = u32::try_from(self.parents.len()).map_err(|_| "too many nodes")?;
            self.parents.push(caller.node);
            self.name_ids.push(name);
            self.selves.push(own);
            spans.push(Span { node, start, end });
        }
        Ok(spans)
    }
}

#[cfg(test)]
mod tests;
