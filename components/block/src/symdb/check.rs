//! Whether every id among symbols has a row.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::symbols::Symbols;

/// A table of symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Strings,
    Functions,
    Mappings,
    Locations,
    Stacktraces,
}

/// An id without a row, or another breach of what [`Symbols`] promises.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The table that is wrong.
    pub(super) table: Table,
    pub(super) problem: String,
}

/// Looks at every reference once.
pub(super) fn symbols(symbols: &Symbols) -> Result<(), Fault> {
    let fault = |table: Table, problem: String| Err(Fault { table, problem });
    if symbols.strings.is_empty() || !symbols.strings.get(0).is_empty() {
        let problem = "the first string is not the empty one".to_owned();
        return fault(Table::Strings, problem);
    }
    let outside = |row: usize, id: u32, rows: usize, what: &str| {
        format!("row {row} refers to {what} {id} of {rows}")
    };
    let strings = symbols.strings.len();
    let has = |id: u32, rows: usize| (id as usize) < rows;

    for (row, function) in symbols.functions.iter().enumerate() {
        for id in [function.name, function.system_name, function.filename] {
            if !has(id, strings) {
                return fault(Table::Functions, outside(row, id, strings, "string"));
            }
        }
    }
    for (row, mapping) in symbols.mappings.iter().enumerate() {
        for id in [mapping.filename, mapping.build_id] {
            if !has(id, strings) {
                return fault(Table::Mappings, outside(row, id, strings, "string"));
            }
        }
    }
    let mappings = symbols.mappings.len();
    let lines = symbols.lines.len() as u64;
    for (row, location) in symbols.locations.iter().enumerate() {
        if !has(location.mapping, mappings) {
            let problem = outside(row, location.mapping, mappings, "mapping");
            return fault(Table::Locations, problem);
        }
        let end = u64::from(location.first_line).saturating_add(u64::from(location.line_count));
        if end > lines {
            let problem = format!("row {row} has lines up to {end} of {lines}");
            return fault(Table::Locations, problem);
        }
    }
    let functions = symbols.functions.len();
    for (row, line) in symbols.lines.iter().enumerate() {
        if !has(line.function, functions) {
            let problem = outside(row, line.function, functions, "function");
            return fault(Table::Locations, format!("among the lines {problem}"));
        }
    }
    stacks(symbols).map_err(|problem| Fault {
        table: Table::Stacktraces,
        problem,
    })
}

fn stacks(symbols: &Symbols) -> Result<(), String> {
    let stacks = &symbols.stacks;
    let nodes = stacks.parents.len();
    if nodes == 0 || stacks.locations.len() != nodes {
        return Err("the tree has no root".to_owned());
    }
    let locations = symbols.locations.len();
    let pairs = stacks.parents.iter().zip(&stacks.locations);
    for (node, (&parent, &location)) in pairs.enumerate() {
        if parent as usize >= node.max(1) {
            return Err(format!("node {node} has the parent {parent}"));
        }
        if node > 0 && location as usize >= locations {
            let problem = format!("node {node} refers to location {location} of {locations}");
            return Err(problem);
        }
    }
    let ids = symbols.stack_nodes.iter().flatten();
    for (id, &node) in ids.enumerate() {
        if node as usize >= nodes {
            return Err(format!("stack trace {id} is node {node} of {nodes}"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod tests;
