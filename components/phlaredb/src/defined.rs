//! Which symbols and series the current log segment has defined already.

use phlare_model::labels::Labels;

use crate::record::Writer;
use crate::symbols::{FunctionId, LocationId, StacktraceId, StringId, Symbols};

/// For each id, the epoch in which it was defined last. A new epoch begins with each segment, and
/// after a record that the log refused: whatever it defined is defined again.
#[derive(Debug, Default)]
pub(crate) struct Defined {
    epoch: u32,
    strings: Marks,
    functions: Marks,
    mappings: Marks,
    locations: Marks,
    stacktraces: Marks,
    series: Marks,
    path: Vec<StacktraceId>,
}

#[derive(Debug, Default)]
struct Marks(Vec<u32>);

impl Marks {
    fn has(&self, id: u32, epoch: u32) -> bool {
        self.0.get(id as usize) == Some(&epoch)
    }

    /// True the first time for an id in an epoch.
    fn add(&mut self, id: u32, epoch: u32) -> bool {
        let index = id as usize;
        if index >= self.0.len() {
            self.0.resize(index + 1, 0);
        }
        std::mem::replace(&mut self.0[index], epoch) != epoch
    }
}

impl Defined {
    pub(crate) fn begin_epoch(&mut self) {
        self.epoch += 1;
    }

    pub(crate) fn size_bytes(&self) -> usize {
        let marks = [
            &self.strings,
            &self.functions,
            &self.mappings,
            &self.locations,
            &self.stacktraces,
            &self.series,
        ];
        marks
            .iter()
            .map(|marks| marks.0.capacity() * size_of::<u32>())
            .sum()
    }

    pub(crate) fn series(&mut self, out: &mut Writer, id: u32, labels: &Labels) {
        if self.series.add(id, self.epoch) {
            out.series(id, labels);
        }
    }

    pub(crate) fn string(&mut self, out: &mut Writer, symbols: &Symbols, id: StringId) {
        if self.strings.add(id, self.epoch) {
            out.string(id, symbols.strings.text(id));
        }
    }

    /// Defines a stack trace and all that it consists of.
    pub(crate) fn stacktrace(&mut self, out: &mut Writer, symbols: &Symbols, id: StacktraceId) {
        let mut path = std::mem::take(&mut self.path);
        let mut node = id;
        while node != 0 && !self.stacktraces.has(node, self.epoch) {
            path.push(node);
            node = symbols.stacks.parent(node);
        }
        for node in path.drain(..).rev() {
            let location = symbols.stacks.location(node);
            self.location(out, symbols, location);
            self.stacktraces.add(node, self.epoch);
            out.stacktrace(node, symbols.stacks.parent(node), location);
        }
        self.path = path;
    }

    fn location(&mut self, out: &mut Writer, symbols: &Symbols, id: LocationId) {
        if !self.locations.add(id, self.epoch) {
            return;
        }
        let row = symbols.locations.rows()[id as usize];
        let lines = symbols.location_lines(id);
        self.mapping(out, symbols, row.mapping);
        for line in lines {
            self.function(out, symbols, line.function);
        }
        out.location(id, &row, lines);
    }

    fn mapping(&mut self, out: &mut Writer, symbols: &Symbols, id: u32) {
        if self.mappings.add(id, self.epoch) {
            let row = symbols.mappings.rows()[id as usize];
            self.string(out, symbols, row.filename);
            self.string(out, symbols, row.build_id);
            out.mapping(id, &row);
        }
    }

    fn function(&mut self, out: &mut Writer, symbols: &Symbols, id: FunctionId) {
        if self.functions.add(id, self.epoch) {
            let row = symbols.functions.rows()[id as usize];
            for string in [row.name, row.system_name, row.filename] {
                self.string(out, symbols, string);
            }
            out.function(id, &row);
        }
    }
}
