//! Two trees in one flame graph (api.md 1.11).

use phlare_proto::querier::v1::FlameGraphDiff;

use crate::tree::{Cut, Tree, keep};

/// Draws both trees over each other: every node that either has, with the values of both.
///
/// With more than `max_nodes` nodes (0 and below: no limit), those whose larger total is below that of the
/// `max_nodes`-th heaviest, the root included, become one child `other` of their caller. A node that is called so
/// already stays beside it, as it does upstream.
#[must_use]
pub fn flame_graph_diff(left: &Tree, right: &Tree, max_nodes: i64) -> FlameGraphDiff {
    let (union, selves) = left.side_by_side(right);
    let cut = match usize::try_from(max_nodes) {
        Ok(max_nodes @ 1..) => Cut::KeepingOther { max_nodes },
        _ => Cut::None,
    };
    let graph = keep(
        union.names(),
        union.parents(),
        union.name_ids(),
        &selves,
        cut,
    )
    .levels(union.names());
    FlameGraphDiff {
        names: graph.names,
        levels: graph.levels,
        total: left.total().saturating_add(right.total()),
        max_self: graph.max_self,
        left_ticks: left.total(),
        right_ticks: right.total(),
    }
}

#[cfg(test)]
mod tests;
