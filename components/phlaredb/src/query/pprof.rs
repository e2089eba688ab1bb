//! One pprof of many profiles (api.md 8.6).

use phlare_model::query::{GoPgo, MergeQuery};
use phlare_proto::google::v1::{Function, Line, Location, Mapping, Profile, Sample, ValueType};
use rustc_hash::FxHashMap;

use super::calls::{self, CallSite};
use super::merge;
use super::values::Values;
use crate::head::Head;
use crate::symbols::{LocationId, StacktraceId, StringId, Symbols};

/// The function that stands for frames cut at the limit of nodes.
const OTHER: &str = "other";

pub(super) fn profile(head: &Head, query: &MergeQuery) -> Profile {
    let values = merge::values(head, query);
    let symbols = head.symbols.read();
    let mut builder = Builder::new(&symbols);
    match query.go_pgo {
        Some(pgo) => builder.add_for_pgo(&values, pgo),
        None => {
            if let Some(site) = CallSite::find(&symbols, &query.call_site) {
                builder.add(&values, &site, query.max_nodes);
            }
        }
    }
    let doc_url = values.doc_url().unwrap_or_default();
    builder.out.doc_url = builder.string(doc_url);
    builder.finish(query)
}

/// Collects what samples use; ids in the output are positions + 1.
struct Builder<'a> {
    symbols: &'a Symbols,
    out: Profile,
    strings: FxHashMap<StringId, i64>,
    /// By id in the head, the position + 1; 0 is not used yet.
    locations: Vec<u64>,
    functions: FxHashMap<u32, u64>,
    /// By pages, offset and file.
    mappings: FxHashMap<(u64, u64, StringId), u64>,
    other: Option<u64>,
}

impl<'a> Builder<'a> {
    fn new(symbols: &'a Symbols) -> Self {
        let out = Profile {
            string_table: vec![String::new()],
            ..Profile::default()
        };
        Self {
            symbols,
            out,
            strings: FxHashMap::from_iter([(0, 0)]),
            locations: vec![0; symbols.locations.rows().len()],
            functions: FxHashMap::default(),
            mappings: FxHashMap::default(),
            other: None,
        }
    }

    /// Adds every stack trace below the call site. With a limit of nodes, a stack trace that reaches into
    /// cut nodes ends with the first location there, and `other` stands for what called it further.
    fn add(&mut self, values: &Values, site: &CallSite, max_nodes: i64) {
        let kept = kept_calls(self.symbols, values, site, max_nodes);
        let calls = self.symbols.stacks.calls();
        let mut cut: FxHashMap<StacktraceId, (StacktraceId, u64)> = FxHashMap::default();
        for (stacktrace, value) in values
            .iter()
            .filter(|&(id, _)| site.keeps(calls[id as usize]))
        {
            let end = kept
                .as_ref()
                .map_or(stacktrace, |kept| self.first_cut(stacktrace, kept));
            if end == stacktrace {
                self.push_stacktrace(stacktrace, value);
            } else {
                let (_, sum) = cut.entry(end).or_insert((stacktrace, 0));
                *sum = sum.saturating_add(value);
            }
        }
        for (end, (example, value)) in cut {
            let mut frames = vec![0];
            self.frames(end, &mut frames);
            frames[0] = self.other_location(example);
            self.push(frames, value);
        }
    }

    /// The part of a stack trace that stays: up to the first location that is not kept, or nothing if
    /// that is its root.
    fn first_cut(&self, stacktrace: StacktraceId, kept: &[bool]) -> StacktraceId {
        let stacks = &self.symbols.stacks;
        let mut end = stacktrace;
        let mut node = stacktrace;
        while node != 0 && !kept[stacks.call(node) as usize] {
            end = node;
            node = stacks.parent(node);
        }
        if node == 0 && end != 0 { 0 } else { end }
    }

    fn push_stacktrace(&mut self, stacktrace: StacktraceId, value: u64) {
        let mut frames = Vec::new();
        self.frames(stacktrace, &mut frames);
        self.push(frames, value);
    }

    fn frames(&mut self, stacktrace: StacktraceId, out: &mut Vec<u64>) {
        let symbols = self.symbols;
        for location in symbols.stacks.frames(stacktrace) {
            out.push(self.location(location));
        }
    }

    fn push(&mut self, location_id: Vec<u64>, value: u64) {
        let value = vec![i64::try_from(value).unwrap_or(i64::MAX)];
        self.out.sample.push(Sample {
            location_id,
            value,
            label: Vec::new(),
        });
    }

    /// Keeps the leaf side of every stack trace; equal ones are added up.
    fn add_for_pgo(&mut self, values: &Values, pgo: GoPgo) {
        let keep = if pgo.keep_locations == 0 {
            usize::MAX
        } else {
            pgo.keep_locations as usize
        };
        let mut sums: FxHashMap<Vec<u64>, u64> = FxHashMap::default();
        for (stacktrace, value) in values.iter() {
            let mut frames = Vec::new();
            for (depth, location) in self
                .symbols
                .stacks
                .frames(stacktrace)
                .take(keep)
                .enumerate()
            {
                frames.push(match depth {
                    0 if pgo.aggregate_callees => self.callee(location),
                    _ => self.location(location),
                });
            }
            let sum = sums.entry(frames).or_default();
            *sum = sum.saturating_add(value);
        }
        for (frames, value) in sums {
            self.push(frames, value);
        }
    }

    /// A leaf whose first line number is 0: calls of one function from one place are one edge.
    fn callee(&mut self, location: LocationId) -> u64 {
        let row = self.symbols.locations.rows()[location as usize];
        let mapping_id = self.mapping(row.mapping);
        let mut line = self.lines(location);
        if let Some(first) = line.first_mut() {
            first.line = 0;
        }
        let wanted = |known: &Location| known.mapping_id == mapping_id && known.line == line;
        if let Some(known) = self.out.location.iter().find(|known| wanted(known)) {
            return known.id;
        }
        let id = self.out.location.len() as u64 + 1;
        let address = if line.is_empty() { row.address } else { 0 };
        self.out.location.push(Location {
            id,
            mapping_id,
            address,
            line,
            is_folded: row.is_folded,
        });
        id
    }

    fn location(&mut self, location: LocationId) -> u64 {
        let known = self.locations[location as usize];
        if known != 0 {
            return known;
        }
        let row = self.symbols.locations.rows()[location as usize];
        let mapping_id = self.mapping(row.mapping);
        let line = self.lines(location);
        let id = self.out.location.len() as u64 + 1;
        self.out.location.push(Location {
            id,
            mapping_id,
            address: row.address,
            line,
            is_folded: row.is_folded,
        });
        self.locations[location as usize] = id;
        id
    }

    fn lines(&mut self, location: LocationId) -> Vec<Line> {
        let symbols = self.symbols;
        let line = |line: &crate::symbols::Line| Line {
            function_id: self.function(line.function),
            line: line.line,
            column: i64::from(line.column),
        };
        symbols.location_lines(location).iter().map(line).collect()
    }

    fn function(&mut self, function: u32) -> u64 {
        if let Some(&known) = self.functions.get(&function) {
            return known;
        }
        let row = self.symbols.functions.rows()[function as usize];
        let id = self.out.function.len() as u64 + 1;
        let made = Function {
            id,
            name: self.string(row.name),
            system_name: self.string(row.system_name),
            filename: self.string(row.filename),
            start_line: row.start_line,
        };
        self.out.function.push(made);
        self.functions.insert(function, id);
        id
    }

    /// Mappings that differ only in their place or their flags are one, and so are all without build id
    /// and file (api.md 8.4).
    fn mapping(&mut self, mapping: u32) -> u64 {
        let row = self.symbols.mappings.rows()[mapping as usize];
        let size = row.memory_limit.saturating_sub(row.memory_start);
        let pages = size.div_ceil(4096);
        let file = if row.build_id == 0 {
            row.filename
        } else {
            row.build_id
        };
        let key = match file {
            0 => (0, 0, 0),
            file => (pages, row.file_offset, file),
        };
        if let Some(&known) = self.mappings.get(&key) {
            return known;
        }
        let id = self.out.mapping.len() as u64 + 1;
        let made = Mapping {
            id,
            memory_start: row.memory_start,
            memory_limit: row.memory_limit,
            file_offset: row.file_offset,
            filename: self.string(row.filename),
            build_id: self.string(row.build_id),
            has_functions: row.flags & 8 != 0,
            has_filenames: row.flags & 4 != 0,
            has_line_numbers: row.flags & 2 != 0,
            has_inline_frames: row.flags & 1 != 0,
        };
        self.out.mapping.push(made);
        self.mappings.insert(key, id);
        id
    }

    fn string(&mut self, string: StringId) -> i64 {
        let Self {
            symbols,
            out,
            strings,
            ..
        } = self;
        *strings.entry(string).or_insert_with(|| {
            out.string_table
                .push(symbols.strings.text(string).to_owned());
            out.string_table.len() as i64 - 1
        })
    }

    /// A string of the query; those are few and may repeat one of the table.
    fn text(&mut self, text: &str) -> i64 {
        if let Some(known) = self.out.string_table.iter().position(|known| known == text) {
            return known as i64;
        }
        self.out.string_table.push(text.to_owned());
        self.out.string_table.len() as i64 - 1
    }

    /// Lies in the first mapping; if there is none yet, in that of an example of what it stands for.
    fn other_location(&mut self, example: StacktraceId) -> u64 {
        if let Some(known) = self.other {
            return known;
        }
        if self.out.mapping.is_empty() {
            let location = self.symbols.stacks.location(example);
            self.mapping(self.symbols.locations.rows()[location as usize].mapping);
        }
        let name = self.text(OTHER);
        let function_id = self.out.function.len() as u64 + 1;
        self.out.function.push(Function {
            id: function_id,
            name,
            system_name: name,
            ..Function::default()
        });
        let id = self.out.location.len() as u64 + 1;
        let line = vec![Line {
            function_id,
            ..Line::default()
        }];
        self.out.location.push(Location {
            id,
            mapping_id: 1,
            line,
            ..Location::default()
        });
        self.other = Some(id);
        id
    }

    fn finish(mut self, query: &MergeQuery) -> Profile {
        if self.out.sample.is_empty() {
            return Profile {
                sample_type: vec![ValueType::default()],
                period_type: Some(ValueType::default()),
                string_table: vec![String::new()],
                ..Profile::default()
            };
        }
        let asked = &query.profile_type;
        let kind = self.text(&asked.sample_type);
        self.out.sample_type = vec![ValueType {
            r#type: kind,
            unit: self.text(&asked.sample_unit),
        }];
        self.out.period_type = Some(ValueType {
            r#type: self.text(&asked.period_type),
            unit: self.text(&asked.period_unit),
        });
        self.out.default_sample_type = kind;
        self.out.period = match asked.name.as_str() {
            "process_cpu" => 1_000_000_000,
            "memory" => 512 << 10,
            _ => 1,
        };
        self.out.time_nanos = query.range.end_ms.saturating_mul(1_000_000);
        self.out.duration_nanos = query
            .range
            .end_ms
            .saturating_sub(query.range.start_ms)
            .saturating_mul(1_000_000);
        self.out
    }
}

/// By node of the call tree, whether it is large enough to stay; `None` if all may stay.
fn kept_calls(
    symbols: &Symbols,
    values: &Values,
    site: &CallSite,
    max_nodes: i64,
) -> Option<Vec<bool>> {
    let max_nodes = usize::try_from(max_nodes).ok().filter(|&limit| limit > 0)?;
    let mut totals = calls::selves(symbols, values, site);
    for node in (1..totals.len()).rev() {
        let parent = symbols.calls.parents()[node] as usize;
        totals[parent] = totals[parent].saturating_add(totals[node]);
    }
    let mut sizes: Vec<u64> = totals
        .iter()
        .skip(1)
        .copied()
        .filter(|&total| total > 0)
        .collect();
    if sizes.len() <= max_nodes {
        return None;
    }
    let (_, &mut threshold, _) = sizes.select_nth_unstable_by(max_nodes - 1, |a, b| b.cmp(a));
    let mut kept: Vec<bool> = totals.iter().map(|&total| total >= threshold).collect();
    kept[0] = true;
    Some(kept)
}
