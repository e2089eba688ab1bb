//! The samples of a pprof with the symbols that they use.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

use opentelemetry_proto::tonic::profiles::v1development as proto;
use phlare_proto::google::v1 as pprof;

use super::super::error::Error;
use super::super::labels::SERVICE;
use super::super::tables::{From, Tables};
use super::Budget;

/// The attribute of a mapping that identifies the binary.
const BUILD_ID: &str = "process.executable.build_id.gnu";

/// A pprof that grows by samples. Symbols are taken from the dictionary as samples need them.
#[derive(Debug)]
pub(super) struct Symbols<'a> {
    tables: Tables<'a>,
    profile: pprof::Profile,
    strings: HashMap<&'a str, i64>,
    mappings: HashMap<(i32, Has), u64>,
    /// By index and mapping.
    locations: HashMap<(i32, u64), u64>,
    functions: HashMap<i32, u64>,
    stacks: HashMap<i32, Vec<u64>>,
    /// By location.
    has: HashMap<i32, Has>,
}

/// What all locations of a mapping in one stack have. Stacks that differ in it have mappings of their own, for it
/// is what tools go by when they look for symbols that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Has {
    functions: bool,
    filenames: bool,
    lines: bool,
    inlined: bool,
}

impl Has {
    const ALL: Self = Self {
        functions: true,
        filenames: true,
        lines: true,
        inlined: true,
    };

    fn and(self, other: Self) -> Self {
        Self {
            functions: self.functions && other.functions,
            filenames: self.filenames && other.filenames,
            lines: self.lines && other.lines,
            inlined: self.inlined && other.inlined,
        }
    }
}

impl<'a> Symbols<'a> {
    pub(super) fn new(tables: Tables<'a>) -> Self {
        Self {
            tables,
            profile: pprof::Profile {
                string_table: vec![String::new()],
                ..Default::default()
            },
            strings: HashMap::from([("", 0)]),
            mappings: HashMap::new(),
            locations: HashMap::new(),
            functions: HashMap::new(),
            stacks: HashMap::new(),
            has: HashMap::new(),
        }
    }

    pub(super) fn into_profile(self) -> pprof::Profile {
        self.profile
    }

    /// Adds a sample with its stack, its link, and its attributes, except for the one that names the service.
    pub(super) fn sample(
        &mut self,
        sample: &proto::Sample,
        value: i64,
        attributes: &[(&'a str, &'a str)],
        from: From,
        budget: &mut Budget,
    ) -> Result<(), Error> {
        let location_id = self.stack(sample.stack_index, from, budget)?;
        let mut label = Vec::new();
        for (key, value) in attributes.iter().filter(|(key, _)| *key != SERVICE) {
            label.push(self.label(key, value, budget)?);
        }
        if let Some(link) = self.tables.link(sample.link_index, from)? {
            for (key, id) in [("span_id", &link.span_id), ("trace_id", &link.trace_id)] {
                if id.iter().any(|byte| *byte != 0) {
                    label.push(self.id(key, id, budget)?);
                }
            }
        }
        self.profile.sample.push(pprof::Sample {
            location_id,
            value: vec![value],
            label,
        });
        Ok(())
    }

    fn label(
        &mut self,
        key: &'a str,
        value: &'a str,
        budget: &mut Budget,
    ) -> Result<pprof::Label, Error> {
        budget.take(4)?;
        Ok(pprof::Label {
            key: self.string(key, budget)?,
            str: self.string(value, budget)?,
            ..Default::default()
        })
    }

    /// A label of which the value is made here.
    fn id(
        &mut self,
        key: &'static str,
        id: &[u8],
        budget: &mut Budget,
    ) -> Result<pprof::Label, Error> {
        budget.take(id.len().saturating_mul(2).saturating_add(4))?;
        let mut hex = String::with_capacity(id.len().saturating_mul(2));
        for byte in id {
            write!(hex, "{byte:02x}").expect("a string takes all that is written");
        }
        let value = index(self.profile.string_table.len());
        self.profile.string_table.push(hex);
        Ok(pprof::Label {
            key: self.string(key, budget)?,
            str: value,
            ..Default::default()
        })
    }

    /// The ids of a stack's locations, leaf first.
    fn stack(&mut self, at: i32, from: From, budget: &mut Budget) -> Result<Vec<u64>, Error> {
        let stack = self.tables.stack(at, from)?;
        budget.take(stack.len().saturating_add(4))?;
        if let Some(ids) = self.stacks.get(&at) {
            return Ok(ids.clone());
        }
        let from = From("stack", usize::try_from(at).unwrap_or_default());
        let mut has: HashMap<i32, Has> = HashMap::new();
        for &at in stack {
            let Some(location) = self.tables.location(at, from)? else {
                continue;
            };
            let of_location = self.has(at, location, budget)?;
            let of_mapping = has.entry(location.mapping_index).or_insert(Has::ALL);
            *of_mapping = of_mapping.and(of_location);
        }
        let mut ids = Vec::with_capacity(stack.len());
        for &location in stack {
            ids.push(self.location(location, &has, from, budget)?);
        }
        self.stacks.insert(at, ids.clone());
        Ok(ids)
    }

    fn has(
        &mut self,
        at: i32,
        location: &proto::Location,
        budget: &mut Budget,
    ) -> Result<Has, Error> {
        if let Some(&has) = self.has.get(&at) {
            return Ok(has);
        }
        budget.take(location.lines.len().saturating_mul(2))?;
        let from = From("location", usize::try_from(at).unwrap_or_default());
        let mut filenames = false;
        for line in &location.lines {
            let function = self.tables.function(line.function_index, from)?;
            filenames |= function.is_some_and(|function| function.filename_strindex != 0);
        }
        let has = Has {
            functions: !location.lines.is_empty(),
            filenames,
            lines: location.lines.iter().any(|line| line.line > 0),
            inlined: location.lines.len() > 1,
        };
        self.has.insert(at, has);
        Ok(has)
    }

    fn location(
        &mut self,
        at: i32,
        has: &HashMap<i32, Has>,
        from: From,
        budget: &mut Budget,
    ) -> Result<u64, Error> {
        let location = self.tables.location(at, from)?;
        let location = location.map_or_else(Cow::default, Cow::Borrowed);
        let from = From("location", usize::try_from(at).unwrap_or_default());
        let has = has
            .get(&location.mapping_index)
            .copied()
            .unwrap_or(Has::ALL);
        let mapping_id = self.mapping(location.mapping_index, has, from, budget)?;
        if let Some(&id) = self.locations.get(&(at, mapping_id)) {
            return Ok(id);
        }
        budget.take(location.lines.len().saturating_mul(2).saturating_add(4))?;
        let mut line = Vec::with_capacity(location.lines.len());
        for proto::Line {
            function_index,
            line: number,
            column,
        } in &location.lines
        {
            line.push(pprof::Line {
                function_id: self.function(*function_index, from, budget)?,
                line: *number,
                column: *column,
            });
        }
        let id = id(self.profile.location.len());
        self.profile.location.push(pprof::Location {
            id,
            mapping_id,
            address: location.address,
            line,
            ..Default::default()
        });
        self.locations.insert((at, mapping_id), id);
        Ok(id)
    }

    fn function(&mut self, at: i32, from: From, budget: &mut Budget) -> Result<u64, Error> {
        if let Some(&id) = self.functions.get(&at) {
            return Ok(id);
        }
        let function = self.tables.function(at, from)?.copied().unwrap_or_default();
        budget.take(8)?;
        let from = From("function", usize::try_from(at).unwrap_or_default());
        let id = id(self.profile.function.len());
        let function = pprof::Function {
            id,
            name: self.dictionary_string(function.name_strindex, from, budget)?,
            system_name: self.dictionary_string(function.system_name_strindex, from, budget)?,
            filename: self.dictionary_string(function.filename_strindex, from, budget)?,
            start_line: function.start_line,
        };
        self.profile.function.push(function);
        self.functions.insert(at, id);
        Ok(id)
    }

    /// 0 for locations of which the mapping is not known.
    fn mapping(
        &mut self,
        at: i32,
        has: Has,
        from: From,
        budget: &mut Budget,
    ) -> Result<u64, Error> {
        if let Some(&id) = self.mappings.get(&(at, has)) {
            return Ok(id);
        }
        let Some(mapping) = self.tables.mapping(at, from)? else {
            return Ok(0);
        };
        // The attributes are not in the pprof, but looking at them is work.
        budget.take(mapping.attribute_indices.len().saturating_add(8))?;
        let from = From("mapping", usize::try_from(at).unwrap_or_default());
        let mut build_id = 0;
        for &attribute in &mapping.attribute_indices {
            let attribute = self.tables.attribute(attribute, from)?;
            if attribute.key == BUILD_ID
                && let Some(value) = self.tables.text(attribute.value, from)?
            {
                build_id = self.string(value, budget)?;
            }
        }
        let id = id(self.profile.mapping.len());
        let mapping = pprof::Mapping {
            id,
            memory_start: mapping.memory_start,
            memory_limit: mapping.memory_limit,
            file_offset: mapping.file_offset,
            filename: self.dictionary_string(mapping.filename_strindex, from, budget)?,
            build_id,
            has_functions: has.functions,
            has_filenames: has.filenames,
            has_line_numbers: has.lines,
            has_inline_frames: has.inlined,
        };
        self.profile.mapping.push(mapping);
        self.mappings.insert((at, has), id);
        Ok(id)
    }

    fn dictionary_string(
        &mut self,
        at: i32,
        from: From,
        budget: &mut Budget,
    ) -> Result<i64, Error> {
        let text = self.tables.string(at, from)?;
        self.string(text, budget)
    }

    fn string(&mut self, text: &'a str, budget: &mut Budget) -> Result<i64, Error> {
        if let Some(&at) = self.strings.get(text) {
            return Ok(at);
        }
        budget.take(text.len().saturating_add(2))?;
        let at = index(self.profile.string_table.len());
        self.profile.string_table.push(text.to_owned());
        self.strings.insert(text, at);
        Ok(at)
    }
}

/// Ids begin at 1.
fn id(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX).saturating_add(1)
}

fn index(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
