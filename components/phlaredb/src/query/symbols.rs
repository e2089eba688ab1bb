//! Symbols as queries see them, of a head or of a partition of a block.

use crate::symbols::{
    CallId, CallTree, Function, Line, Location, LocationId, Mapping, StacktraceId, StringId,
    Symbols,
};

/// Tables of symbols with the call tree of their stack traces. Ids are positions, and those of one table only.
pub(crate) trait SymbolTables {
    fn text(&self, id: StringId) -> &str;
    fn strings(&self) -> usize;
    fn find_string(&self, text: &str) -> Option<StringId>;
    fn function(&self, id: u32) -> Function;
    fn mapping(&self, id: u32) -> Mapping;
    fn location(&self, id: LocationId) -> Location;
    fn locations(&self) -> usize;
    fn lines(&self, id: LocationId) -> &[Line];
    fn parent(&self, id: StacktraceId) -> StacktraceId;
    fn location_of(&self, id: StacktraceId) -> LocationId;
    fn calls(&self) -> &CallTree;
    /// By stack trace, its node of the call tree.
    fn calls_of(&self) -> &[CallId];

    /// Locations of a stack trace from the leaf to the root.
    fn frames(&self, id: StacktraceId) -> impl Iterator<Item = LocationId> {
        std::iter::successors((id != 0).then_some(id), |&node| {
            Some(self.parent(node)).filter(|&parent| parent != 0)
        })
        .map(|node| self.location_of(node))
    }
}

impl SymbolTables for Symbols {
    fn text(&self, id: StringId) -> &str {
        self.strings.text(id)
    }

    fn strings(&self) -> usize {
        self.strings.len()
    }

    fn find_string(&self, text: &str) -> Option<StringId> {
        Self::find_string(self, text)
    }

    fn function(&self, id: u32) -> Function {
        self.functions.rows()[id as usize]
    }

    fn mapping(&self, id: u32) -> Mapping {
        self.mappings.rows()[id as usize]
    }

    fn location(&self, id: LocationId) -> Location {
        self.locations.rows()[id as usize]
    }

    fn locations(&self) -> usize {
        self.locations.rows().len()
    }

    fn lines(&self, id: LocationId) -> &[Line] {
        self.location_lines(id)
    }

    fn parent(&self, id: StacktraceId) -> StacktraceId {
        self.stacks.parent(id)
    }

    fn location_of(&self, id: StacktraceId) -> LocationId {
        self.stacks.location(id)
    }

    fn calls(&self) -> &CallTree {
        &self.calls
    }

    fn calls_of(&self) -> &[CallId] {
        self.stacks.calls()
    }
}
