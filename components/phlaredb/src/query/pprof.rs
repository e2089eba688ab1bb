//! One pprof of many profiles (api.md 8.6).

mod parts;
mod tables;

use phlare_model::query::{GoPgo, MergeQuery};
use phlare_proto::google::v1::{Function, Line, Location, Mapping, Profile, ValueType};
use rustc_hash::FxHashMap;

use super::calls::{self, CallSite};
use super::symbols::SymbolTables;
use super::values::Values;
use crate::symbols::{LocationId, StacktraceId};
pub(super) use parts::Parts;
pub use parts::{PprofMerge, PprofParts};
use tables::Tables;

/// The function that stands for frames cut at the limit of nodes.
const OTHER: &str = "other";

/// A pprof that grows source by source.
#[derive(Debug, Default)]
pub(super) struct Merge {
    tables: Tables,
    other: Option<u64>,
}

impl Merge {
    /// Adds the stack traces of one source as the query says.
    pub(super) fn add<S: SymbolTables>(
        &mut self,
        symbols: &S,
        values: &Values,
        query: &MergeQuery,
    ) {
        let mut source = Source {
            symbols,
            merge: self,
            locations: vec![0; symbols.locations()],
        };
        match query.go_pgo {
            Some(pgo) => source.add_for_pgo(values, pgo),
            None => {
                if let Some(site) = CallSite::find(symbols, &query.call_site) {
                    source.add(values, &site, query.max_nodes);
                }
            }
        }
    }

    /// The whole, with the link to documentation that all profiles have, if they have the same.
    pub(super) fn finish(mut self, query: &MergeQuery, doc_url: &str) -> Profile {
        if self.tables.out.sample.is_empty() {
            return Profile {
                sample_type: vec![ValueType::default()],
                period_type: Some(ValueType::default()),
                string_table: vec![String::new()],
                ..Profile::default()
            };
        }
        let tables = &mut self.tables;
        let asked = &query.profile_type;
        let kind = tables.string(&asked.sample_type);
        let sample_type = ValueType {
            r#type: kind,
            unit: tables.string(&asked.sample_unit),
        };
        let period_type = ValueType {
            r#type: tables.string(&asked.period_type),
            unit: tables.string(&asked.period_unit),
        };
        let range = query.range;
        Profile {
            sample_type: vec![sample_type],
            period_type: Some(period_type),
            default_sample_type: kind,
            period: match asked.name.as_str() {
                "process_cpu" => 1_000_000_000,
                "memory" => 512 << 10,
                _ => 1,
            },
            time_nanos: range.end_ms.saturating_mul(1_000_000),
            duration_nanos: range
                .end_ms
                .saturating_sub(range.start_ms)
                .saturating_mul(1_000_000),
            doc_url: tables.string(doc_url),
            ..self.tables.out
        }
    }
}

/// Translates ids of one source.
struct Source<'a, S> {
    symbols: &'a S,
    merge: &'a mut Merge,
    /// By id in the source, the id in the pprof; 0 is not known yet.
    locations: Vec<u64>,
}

impl<S: SymbolTables> Source<'_, S> {
    /// Adds every stack trace below the call site. With a limit of nodes, a stack trace that reaches into
    /// cut nodes ends with the first location there, and `other` stands for what called it further.
    fn add(&mut self, values: &Values, site: &CallSite, max_nodes: i64) {
        let kept = kept_calls(self.symbols, values, site, max_nodes);
        let calls = self.symbols.calls_of();
        let mut cut: FxHashMap<StacktraceId, (StacktraceId, u64)> = FxHashMap::default();
        let mut frames = Vec::new();
        for (stacktrace, value) in values
            .iter()
            .filter(|&(id, _)| site.keeps(calls[id as usize]))
        {
            let end = kept
                .as_ref()
                .map_or(stacktrace, |kept| self.first_cut(stacktrace, kept));
            if end == stacktrace {
                frames.clear();
                self.frames(stacktrace, &mut frames);
                self.merge.tables.sample(&frames, value);
            } else {
                let (_, sum) = cut.entry(end).or_insert((stacktrace, 0));
                *sum = sum.saturating_add(value);
            }
        }
        for (end, (example, value)) in cut {
            frames.clear();
            frames.push(0);
            self.frames(end, &mut frames);
            frames[0] = self.other_location(example);
            self.merge.tables.sample(&frames, value);
        }
    }

    /// The part of a stack trace that stays: up to the first location that is not kept, or nothing if
    /// that is its root.
    fn first_cut(&self, stacktrace: StacktraceId, kept: &[bool]) -> StacktraceId {
        let calls = self.symbols.calls_of();
        let mut end = stacktrace;
        let mut node = stacktrace;
        while node != 0 && !kept[calls[node as usize] as usize] {
            end = node;
            node = self.symbols.parent(node);
        }
        if node == 0 && end != 0 { 0 } else { end }
    }

    fn frames(&mut self, stacktrace: StacktraceId, out: &mut Vec<u64>) {
        let symbols = self.symbols;
        for location in symbols.frames(stacktrace) {
            out.push(self.location(location));
        }
    }

    /// Keeps the leaf side of every stack trace; equal ones are added up.
    fn add_for_pgo(&mut self, values: &Values, pgo: GoPgo) {
        let keep = match pgo.keep_locations {
            0 => usize::MAX,
            keep => keep as usize,
        };
        let symbols = self.symbols;
        let mut frames = Vec::new();
        for (stacktrace, value) in values.iter() {
            frames.clear();
            for (depth, location) in symbols.frames(stacktrace).take(keep).enumerate() {
                frames.push(match depth {
                    0 if pgo.aggregate_callees => self.callee(location),
                    _ => self.location(location),
                });
            }
            self.merge.tables.sample(&frames, value);
        }
    }

    /// A leaf whose first line number is 0: calls of one function from one place are one edge.
    fn callee(&mut self, location: LocationId) -> u64 {
        let mut made = self.translate(location);
        if let Some(first) = made.line.first_mut() {
            (first.line, made.address) = (0, 0);
        }
        self.merge.tables.location(made)
    }

    fn location(&mut self, location: LocationId) -> u64 {
        let known = self.locations[location as usize];
        if known != 0 {
            return known;
        }
        let made = self.translate(location);
        let id = self.merge.tables.location(made);
        self.locations[location as usize] = id;
        id
    }

    fn translate(&mut self, location: LocationId) -> Location {
        let symbols = self.symbols;
        let row = symbols.location(location);
        let mapping_id = self.mapping(row.mapping);
        let line = |line: &crate::symbols::Line| Line {
            function_id: self.function(line.function),
            line: line.line,
            column: i64::from(line.column),
        };
        Location {
            id: 0,
            mapping_id,
            address: row.address,
            line: symbols.lines(location).iter().map(line).collect(),
            is_folded: row.is_folded,
        }
    }

    fn function(&mut self, function: u32) -> u64 {
        let row = self.symbols.function(function);
        let tables = &mut self.merge.tables;
        let made = Function {
            id: 0,
            name: tables.string(self.symbols.text(row.name)),
            system_name: tables.string(self.symbols.text(row.system_name)),
            filename: tables.string(self.symbols.text(row.filename)),
            start_line: row.start_line,
        };
        tables.function(made)
    }

    fn mapping(&mut self, mapping: u32) -> u64 {
        let row = self.symbols.mapping(mapping);
        let tables = &mut self.merge.tables;
        let made = Mapping {
            id: 0,
            memory_start: row.memory_start,
            memory_limit: row.memory_limit,
            file_offset: row.file_offset,
            filename: tables.string(self.symbols.text(row.filename)),
            build_id: tables.string(self.symbols.text(row.build_id)),
            has_functions: row.flags & 8 != 0,
            has_filenames: row.flags & 4 != 0,
            has_line_numbers: row.flags & 2 != 0,
            has_inline_frames: row.flags & 1 != 0,
        };
        tables.mapping(made)
    }

    /// Lies in the first mapping; if there is none yet, in that of an example of what it stands for.
    fn other_location(&mut self, example: StacktraceId) -> u64 {
        if let Some(known) = self.merge.other {
            return known;
        }
        if self.merge.tables.out.mapping.is_empty() {
            let location = self.symbols.location_of(example);
            self.mapping(self.symbols.location(location).mapping);
        }
        let tables = &mut self.merge.tables;
        let name = tables.string(OTHER);
        let function_id = tables.function(Function {
            name,
            system_name: name,
            ..Function::default()
        });
        let line = vec![Line {
            function_id,
            ..Line::default()
        }];
        let id = tables.location(Location {
            mapping_id: 1,
            line,
            ..Location::default()
        });
        self.merge.other = Some(id);
        id
    }
}

/// By node of the call tree, whether it is large enough to stay; `None` if all may stay.
fn kept_calls<S: SymbolTables>(
    symbols: &S,
    values: &Values,
    site: &CallSite,
    max_nodes: i64,
) -> Option<Vec<bool>> {
    let max_nodes = usize::try_from(max_nodes).ok().filter(|&limit| limit > 0)?;
    let mut totals = calls::selves(symbols, values, site);
    for node in (1..totals.len()).rev() {
        let parent = symbols.calls().parents()[node] as usize;
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
