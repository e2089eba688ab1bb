//! The symbols of one partition as queries use them.

use std::sync::OnceLock;

use phlare_block::symbols::Symbols as Tables;
use rustc_hash::FxHashMap;

use crate::query::SymbolTables;
use crate::symbols::{
    CallId, CallTree, Function, Line, Location, LocationId, Mapping, StacktraceId, StringId,
};

/// Symbols with the call tree of their stack traces, which is made at the first query.
#[derive(Debug)]
pub(crate) struct Partition {
    tables: Tables,
    calls: OnceLock<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    tree: CallTree,
    /// By stack trace.
    nodes: Vec<CallId>,
}

impl Partition {
    pub(crate) fn new(tables: Tables) -> Self {
        Self {
            tables,
            calls: OnceLock::new(),
        }
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Bytes of memory, with those of the call tree that will be.
    pub(crate) fn size_bytes(&self) -> usize {
        // A node of a stack trace becomes at least one of the call tree: 13 bytes, and 4 for the way there.
        self.tables.size_bytes() + self.tables.stacks.len() * 17
    }

    fn made(&self) -> &Calls {
        self.calls.get_or_init(|| Calls::of(&self.tables))
    }
}

impl Calls {
    fn of(tables: &Tables) -> Self {
        let mut tree = CallTree::default();
        let mut nodes = vec![0; tables.stacks.len()];
        // Strings of other writers may repeat; siblings of one name are one node.
        let mut ids: FxHashMap<&str, StringId> = FxHashMap::default();
        let mut canonical: Vec<Option<StringId>> = vec![None; tables.functions.len()];
        for node in 1..nodes.len() {
            let mut call = nodes[tables.stacks.parents[node] as usize];
            // The outermost function of a location is its last line, and the one nearest to the root.
            for line in tables.lines_of(tables.stacks.locations[node]).iter().rev() {
                let Some(known) = canonical.get_mut(line.function as usize) else {
                    continue;
                };
                let name = *known.get_or_insert_with(|| {
                    let name = tables.functions[line.function as usize].name;
                    *ids.entry(tables.strings.get(name)).or_insert(name)
                });
                // Full is only a tree of 4 billion nodes: what does not fit counts to its caller.
                call = tree.child(call, name).unwrap_or(call);
            }
            nodes[node] = call;
        }
        Self { tree, nodes }
    }
}

impl SymbolTables for Partition {
    fn text(&self, id: StringId) -> &str {
        self.tables.strings.get(id)
    }

    fn strings(&self) -> usize {
        self.tables.strings.len()
    }

    fn find_string(&self, text: &str) -> Option<StringId> {
        (0..self.tables.strings.len() as u32).find(|&id| self.tables.strings.get(id) == text)
    }

    fn function(&self, id: u32) -> Function {
        let functions = &self.tables.functions;
        functions.get(id as usize).copied().unwrap_or_default()
    }

    fn mapping(&self, id: u32) -> Mapping {
        let mappings = &self.tables.mappings;
        mappings.get(id as usize).copied().unwrap_or_default()
    }

    fn location(&self, id: LocationId) -> Location {
        let locations = &self.tables.locations;
        locations.get(id as usize).copied().unwrap_or_default()
    }

    fn locations(&self) -> usize {
        self.tables.locations.len()
    }

    fn lines(&self, id: LocationId) -> &[Line] {
        self.tables.lines_of(id)
    }

    fn parent(&self, id: StacktraceId) -> StacktraceId {
        self.tables.stacks.parents[id as usize]
    }

    fn location_of(&self, id: StacktraceId) -> LocationId {
        self.tables.stacks.locations[id as usize]
    }

    fn calls(&self) -> &CallTree {
        &self.made().tree
    }

    fn calls_of(&self) -> &[CallId] {
        &self.made().nodes
    }
}
