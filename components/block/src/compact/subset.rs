//! A part of a partition's symbols: some nodes of its tree of stack traces, and the rows that they need.

use super::ranks::{self, Ranks};
use crate::error::Error;
use crate::symbols::{Function, Line, Location, Mapping, Stacks, Symbols};

/// The symbols of `nodes`, which have the root and the caller of each of them among them. The new id of a node is its
/// rank; rows keep their order, too. O(source).
pub(super) fn subset(source: &Symbols, nodes: &Ranks) -> Result<Symbols, Error> {
    let needed = Needed::of(source, nodes);
    let mut part = Symbols::default();
    for id in needed.strings.iter() {
        part.strings.push(source.strings.get(id))?;
    }
    let string = |id: u32| needed.strings.get(id).unwrap_or(0);
    let functions = needed.functions.iter().map(|id| {
        let row = source.functions[id as usize];
        Function {
            name: string(row.name),
            system_name: string(row.system_name),
            filename: string(row.filename),
            ..row
        }
    });
    part.functions = functions.collect();
    let mappings = needed.mappings.iter().map(|id| {
        let row = source.mappings[id as usize];
        Mapping {
            filename: string(row.filename),
            build_id: string(row.build_id),
            ..row
        }
    });
    part.mappings = mappings.collect();
    part.locations.reserve_exact(needed.locations.len());
    for id in needed.locations.iter() {
        let row = source.locations[id as usize];
        part.locations.push(Location {
            mapping: needed.mappings.get(row.mapping).unwrap_or(0),
            first_line: part.lines.len() as u32,
            ..row
        });
        part.lines
            .extend(source.lines_of(id).iter().map(|line| Line {
                function: needed.functions.get(line.function).unwrap_or(0),
                ..*line
            }));
    }
    let Stacks { parents, locations } = &source.stacks;
    let inner = || nodes.iter().skip(1).map(|node| node as usize);
    let parent = |node: usize| nodes.get(parents[node]).unwrap_or(0);
    let location = |node: usize| needed.locations.get(locations[node]).unwrap_or(0);
    part.stacks.parents.extend(inner().map(parent));
    part.stacks.locations.extend(inner().map(location));
    Ok(part)
}

/// Adds the root and all callers of nodes to them.
pub(super) fn close(source: &Symbols, nodes: &mut [u64]) {
    ranks::set(nodes, 0);
    for node in (1..source.stacks.len() as u32).rev() {
        if ranks::has(nodes, node) {
            ranks::set(nodes, source.stacks.parents[node as usize]);
        }
    }
}

/// Rows that nodes need.
struct Needed {
    strings: Ranks,
    functions: Ranks,
    mappings: Ranks,
    locations: Ranks,
}

impl Needed {
    fn of(source: &Symbols, nodes: &Ranks) -> Self {
        let mut strings = ranks::bits(source.strings.len());
        let mut functions = ranks::bits(source.functions.len());
        let mut mappings = ranks::bits(source.mappings.len());
        let mut locations = ranks::bits(source.locations.len());
        for node in nodes.iter().skip(1) {
            ranks::set(&mut locations, source.stacks.locations[node as usize]);
        }
        let locations = Ranks::new(locations);
        for id in locations.iter() {
            ranks::set(&mut mappings, source.locations[id as usize].mapping);
            for line in source.lines_of(id) {
                ranks::set(&mut functions, line.function);
            }
        }
        let (functions, mappings) = (Ranks::new(functions), Ranks::new(mappings));
        // The empty string comes first in every partition.
        ranks::set(&mut strings, 0);
        for id in mappings.iter() {
            let row = source.mappings[id as usize];
            for text in [row.filename, row.build_id] {
                ranks::set(&mut strings, text);
            }
        }
        for id in functions.iter() {
            let row = source.functions[id as usize];
            for text in [row.name, row.system_name, row.filename] {
                ranks::set(&mut strings, text);
            }
        }
        Self {
            strings: Ranks::new(strings),
            functions,
            mappings,
            locations,
        }
    }
}

#[cfg(test)]
mod tests;
