//! A pprof that several stores make together: each says its part, whole, and cutting comes after all are merged.

use std::collections::BTreeMap;

use phlare_model::query::MergeQuery;
use phlare_pprof::Seed;
use phlare_proto::google::v1::{self as proto, Profile};

use super::{Merge, SymbolTables, Values};
use crate::error::Error;
use crate::query::Text;
use crate::query::values::Common;
use crate::symbols::{Full, Function, Line, Location, Mapping, StacktraceId, Symbols};

/// What one store adds to a pprof.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PprofParts {
    /// A pprof for each symbol partition if there is a limit of nodes, because it holds for each; else one, under 0.
    pub parts: Vec<(u64, Profile)>,
    /// The link to documentation that all profiles have, empty if they differ; `None` without profiles.
    pub doc_url: Option<String>,
}

/// Makes them.
#[derive(Debug)]
pub(in crate::query) struct Parts<'a> {
    query: &'a MergeQuery,
    uncut: MergeQuery,
    by_partition: BTreeMap<u64, Merge>,
}

impl<'a> Parts<'a> {
    pub(in crate::query) fn new(query: &'a MergeQuery) -> Self {
        Self {
            query,
            uncut: MergeQuery {
                max_nodes: 0,
                ..query.clone()
            },
            by_partition: BTreeMap::new(),
        }
    }

    /// Whether partitions are apart.
    pub(in crate::query) fn are_cut(query: &MergeQuery) -> bool {
        query.max_nodes > 0 && query.go_pgo.is_none()
    }

    pub(in crate::query) fn add<S: SymbolTables>(
        &mut self,
        partition: u64,
        symbols: &S,
        values: &Values,
    ) {
        let partition = match Self::are_cut(self.query) {
            true => partition,
            false => 0,
        };
        let merge = self.by_partition.entry(partition).or_default();
        merge.add(symbols, values, &self.uncut);
    }

    pub(in crate::query) fn finish(self, doc_url: Common<Text>) -> PprofParts {
        let parts = self.by_partition.into_iter();
        PprofParts {
            parts: parts
                .map(|(partition, merge)| (partition, merge.finish(&self.uncut, "")))
                .filter(|(_, profile)| !profile.sample.is_empty())
                .collect(),
            doc_url: match doc_url {
                Common::NoProfile => None,
                Common::Same(text) => Some(text.into()),
                Common::Different => Some(String::new()),
            },
        }
    }
}

/// Merges the parts of several stores and cuts the whole.
#[derive(Debug)]
pub struct PprofMerge {
    seed: Seed,
    by_partition: BTreeMap<u64, Imported>,
    doc_url: Common<Text>,
}

#[derive(Debug)]
struct Imported {
    symbols: Symbols,
    values: Values,
}

impl Default for PprofMerge {
    fn default() -> Self {
        Self {
            seed: Seed::random(),
            by_partition: BTreeMap::new(),
            doc_url: Common::NoProfile,
        }
    }
}

impl PprofMerge {
    /// Adds what one store counted. A reference to what the part does not have leads to nothing. O(size of the part).
    ///
    /// # Errors
    /// [`Error::AnswerSymbols`].
    pub fn add(&mut self, parts: PprofParts) -> Result<(), Error> {
        for (partition, profile) in &parts.parts {
            let imported = self.by_partition.entry(*partition);
            let imported = imported.or_insert_with(|| Imported {
                symbols: Symbols::new(self.seed),
                values: Values::default(),
            });
            import(imported, profile).map_err(|Full| Error::AnswerSymbols)?;
        }
        if let Some(doc_url) = parts.doc_url {
            let before = std::mem::take(&mut self.doc_url);
            self.doc_url = before.and(Common::Same(doc_url.into()));
        }
        Ok(())
    }

    /// The whole, as one view says it that holds all that was counted.
    #[must_use]
    pub fn finish(self, query: &MergeQuery) -> Profile {
        let mut merge = Merge::default();
        for imported in self.by_partition.values() {
            merge.add(&imported.symbols, &imported.values, query);
        }
        match &self.doc_url {
            Common::Same(text) => merge.finish(query, text),
            Common::NoProfile | Common::Different => merge.finish(query, ""),
        }
    }
}

fn import(into: &mut Imported, profile: &Profile) -> Result<(), Full> {
    let Imported { symbols, values } = into;
    let mut strings = Vec::with_capacity(profile.string_table.len());
    for text in &profile.string_table {
        strings.push(symbols.intern_string(text)?);
    }
    let text = |index: i64| {
        let index = usize::try_from(index).ok();
        index.and_then(|index| strings.get(index)).copied()
    };
    let text = |index| text(index).unwrap_or_default();
    let mut functions = Vec::with_capacity(profile.function.len());
    for function in &profile.function {
        functions.push(symbols.intern_function(Function {
            name: text(function.name),
            system_name: text(function.system_name),
            filename: text(function.filename),
            start_line: function.start_line,
        })?);
    }
    let mut mappings = Vec::with_capacity(profile.mapping.len());
    for mapping in &profile.mapping {
        mappings.push(symbols.intern_mapping(Mapping {
            memory_start: mapping.memory_start,
            memory_limit: mapping.memory_limit,
            file_offset: mapping.file_offset,
            filename: text(mapping.filename),
            build_id: text(mapping.build_id),
            flags: flags(mapping),
        })?);
    }
    let mut locations = Vec::with_capacity(profile.location.len());
    let mut lines = Vec::new();
    for location in &profile.location {
        let mapping = match at(&mappings, location.mapping_id) {
            Some(mapping) => mapping,
            None => symbols.intern_mapping(Mapping::default())?,
        };
        lines.clear();
        lines.extend(location.line.iter().filter_map(|line| {
            Some(Line {
                function: at(&functions, line.function_id)?,
                line: line.line,
                column: i32::try_from(line.column).unwrap_or(i32::MAX),
            })
        }));
        let row = Location {
            mapping,
            address: location.address,
            is_folded: location.is_folded,
            ..Location::default()
        };
        locations.push(symbols.intern_location(row, &lines)?);
    }
    for sample in &profile.sample {
        let mut node: StacktraceId = 0;
        for id in sample.location_id.iter().rev() {
            if let Some(location) = at(&locations, *id) {
                node = symbols.intern_frame(node, location)?;
            }
        }
        let value = sample.value.first().copied().unwrap_or_default();
        values.add(node, u64::try_from(value).unwrap_or_default());
    }
    Ok(())
}

/// Ids in our own pprofs are positions + 1.
fn at(ids: &[u32], id: u64) -> Option<u32> {
    let position = usize::try_from(id).ok()?.checked_sub(1)?;
    ids.get(position).copied()
}

fn flags(mapping: &proto::Mapping) -> u8 {
    u8::from(mapping.has_functions) << 3
        | u8::from(mapping.has_filenames) << 2
        | u8::from(mapping.has_line_numbers) << 1
        | u8::from(mapping.has_inline_frames)
}
