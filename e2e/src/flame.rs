//! Reading a flame graph: which stacks it holds, and whether it hangs together.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use phlare_proto::querier::v1::FlameGraph;

struct Bar {
    start: i64,
    end: i64,
    stack: String,
    children: i64,
    own: i64,
}

/// Own values by stack, root first, joined with `;`. The root itself, `total`, is left out.
///
/// # Errors
/// If a bar does not lie inside its parent, or values and totals do not add up.
pub fn stacks(graph: &FlameGraph) -> anyhow::Result<BTreeMap<String, i64>> {
    let mut found: BTreeMap<String, i64> = BTreeMap::new();
    let mut above: Vec<Bar> = Vec::new();
    for (depth, level) in graph.levels.iter().enumerate() {
        let mut bars: Vec<Bar> = Vec::new();
        for quadruple in level.values.chunks(4) {
            let &[offset, total, own, name] = quadruple else {
                anyhow::bail!("level {depth} has {} values", level.values.len());
            };
            let start = bars.last().map_or(0, |bar| bar.end) + offset;
            let end = start
                .checked_add(total)
                .context("a bar ends beyond the integers")?;
            let name = usize::try_from(name)
                .ok()
                .and_then(|i| graph.names.get(i))
                .context("the bar has a name")?;
            let stack = match above
                .iter_mut()
                .find(|p| p.start + p.own <= start && end <= p.end && p.start < p.end)
            {
                Some(parent) => {
                    parent.children += total;
                    if depth == 1 {
                        name.clone()
                    } else {
                        format!("{};{name}", parent.stack)
                    }
                }
                None if depth == 0 => name.clone(),
                None => {
                    anyhow::bail!("{name} at {start}..{end} of level {depth} lies in no parent")
                }
            };
            ensure!(
                total >= 0 && own >= 0 && own <= total,
                "{stack}: own value {own} of {total}"
            );
            if depth > 0 && own > 0 {
                *found.entry(stack.clone()).or_default() += own;
            }
            bars.push(Bar {
                start,
                end,
                stack,
                children: 0,
                own,
            });
        }
        sums(&above)?;
        above = bars;
    }
    sums(&above)?;
    let sum: i64 = found.values().sum();
    ensure!(
        sum == graph.total,
        "own values sum to {sum}, the total is {}",
        graph.total
    );
    Ok(found)
}

fn sums(level: &[Bar]) -> anyhow::Result<()> {
    for bar in level {
        let (total, inside) = (bar.end - bar.start, bar.own + bar.children);
        ensure!(
            inside == total,
            "{}: {total} wide, {inside} inside",
            bar.stack
        );
    }
    Ok(())
}

/// Whether some stack has a function whose name holds this text.
#[must_use]
pub fn mentions(graph: &FlameGraph, function: &str) -> bool {
    graph.names.iter().any(|name| name.contains(function))
}

#[cfg(test)]
mod tests {
    use phlare_proto::querier::v1::Level;

    use super::*;

    fn graph(levels: &[&[i64]]) -> FlameGraph {
        FlameGraph {
            names: ["total", "main", "b", "a"].map(str::to_owned).to_vec(),
            levels: levels
                .iter()
                .map(|values| Level {
                    values: values.to_vec(),
                })
                .collect(),
            total: 3,
            max_self: 2,
        }
    }

    #[test]
    fn stacks_are_read_back() {
        let graph = graph(&[&[0, 3, 0, 0], &[0, 3, 0, 1], &[0, 1, 1, 3, 0, 2, 2, 2]]);
        let found = stacks(&graph).unwrap();
        assert_eq!(
            found,
            BTreeMap::from([("main;a".to_owned(), 1), ("main;b".to_owned(), 2)])
        );
    }

    #[test]
    fn a_child_wider_than_its_parent_is_found() {
        assert!(stacks(&graph(&[&[0, 3, 0, 0], &[0, 3, 0, 1], &[0, 4, 4, 3]])).is_err());
        assert!(stacks(&graph(&[&[0, 3, 0, 0], &[0, 3, 0, 1], &[0, 2, 2, 3]])).is_err());
    }
}
