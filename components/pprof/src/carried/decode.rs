//! From the wire form to a profile whose indices are all in range.

use phlare_proto::phlare::ingest::v1 as wire;
use prost::Message;

use super::{Carried, CarriedError};
use crate::hash::{ROOT, Seed};
use crate::normalized::{Function, Line, Location, Mapping, NO_TRACE, Sample, Stack};

impl Carried {
    /// Reads what [`super::encode`] made. `seed` is the key of the databases that will get it.
    ///
    /// # Errors
    /// [`CarriedError`], whatever the bytes: then nothing of the profile can be used.
    pub fn decode(bytes: &[u8], seed: Seed) -> Result<Self, CarriedError> {
        let message = wire::Profile::decode(bytes)
            .map_err(|error| CarriedError::Malformed(error.to_string()))?;
        Self::from_message(message, seed)
    }

    fn from_message(message: wire::Profile, seed: Seed) -> Result<Self, CarriedError> {
        if message
            .strings
            .first()
            .is_none_or(|first| !first.is_empty())
        {
            return Err(CarriedError::Value("the first string is not empty"));
        }
        if message.sample_types.is_empty() {
            return Err(CarriedError::Value("it has no sample type"));
        }
        let functions = functions(&message)?;
        let mappings = mappings(&message)?;
        let lines = lines(&message, functions.len())?;
        let locations = locations(&message, mappings.len(), lines.len())?;
        let trace_ids = trace_ids(&message)?;
        let samples = samples(&message, trace_ids.len())?;
        let values = values(&message, samples.len())?;

        let strings = message.strings.iter();
        let string_hashes: Vec<_> = strings.map(|text| seed.string(text.as_bytes())).collect();
        let string = |index: u32| at(&string_hashes, index);
        let function_hashes: Vec<_> = functions
            .iter()
            .map(|f| {
                let [name, system, file] = [f.name, f.system_name, f.filename].map(string);
                seed.function(name, system, file, f.start_line)
            })
            .collect();
        let mapping_hash = |m: &Mapping| {
            let [filename, build_id] = [m.filename, m.build_id].map(string);
            let (start, limit, offset) = (m.memory_start, m.memory_limit, m.file_offset);
            seed.mapping(start, limit, offset, filename, build_id, m.flags)
        };
        let mapping_hashes: Vec<_> = mappings.iter().map(mapping_hash).collect();
        let location_hash = |l: &Location| {
            let begun = seed.location(at(&mapping_hashes, l.mapping), l.address, l.is_folded);
            let end = l.first_line.saturating_add(l.line_count) as usize;
            let lines = lines.get(l.first_line as usize..end).unwrap_or_default();
            lines.iter().fold(begun, |hash, line| {
                let function = at(&function_hashes, line.function);
                seed.push_line(hash, function, line.line, line.column)
            })
        };
        let location_hashes: Vec<_> = locations.iter().map(location_hash).collect();
        let stacks = stacks(&message, &location_hashes, seed)?;
        Ok(Self {
            functions,
            mappings,
            locations,
            lines,
            string_hashes,
            function_hashes,
            mapping_hashes,
            location_hashes,
            stacks,
            samples,
            values,
            trace_ids,
            message,
        })
    }
}

fn at(hashes: &[u64], index: u32) -> u64 {
    hashes.get(index as usize).copied().unwrap_or_default()
}

/// All columns of a table have as many entries as its first.
fn same_length(table: &'static str, first: usize, others: &[usize]) -> Result<(), CarriedError> {
    match others.iter().all(|&other| other == first) {
        true => Ok(()),
        false => Err(CarriedError::Lengths { table }),
    }
}

/// An index of one table into another.
fn check(
    table: &'static str,
    of: &'static str,
    entries: usize,
    indices: &[u32],
) -> Result<(), CarriedError> {
    match indices.iter().find(|&&index| index as usize >= entries) {
        None => Ok(()),
        Some(&index) => Err(CarriedError::Index {
            table,
            index: index.into(),
            of,
            entries,
        }),
    }
}

fn functions(message: &wire::Profile) -> Result<Vec<Function>, CarriedError> {
    let names = &message.function_names;
    let systems = &message.function_system_names;
    let files = &message.function_filenames;
    let starts = &message.function_start_lines;
    same_length(
        "functions",
        names.len(),
        &[systems.len(), files.len(), starts.len()],
    )?;
    for column in [names, systems, files] {
        check("functions", "strings", message.strings.len(), column)?;
    }
    let columns = names.iter().zip(systems).zip(files).zip(starts);
    let function = |(((&name, &system_name), &filename), &start_line)| Function {
        name,
        system_name,
        filename,
        start_line,
    };
    Ok(columns.map(function).collect())
}

fn mappings(message: &wire::Profile) -> Result<Vec<Mapping>, CarriedError> {
    let mapping = |m: &wire::Mapping| {
        let indices = [m.filename, m.build_id];
        check("mappings", "strings", message.strings.len(), &indices)?;
        let flags = u8::try_from(m.flags).ok().filter(|flags| *flags < 16);
        Ok(Mapping {
            memory_start: m.memory_start,
            memory_limit: m.memory_limit,
            file_offset: m.file_offset,
            filename: m.filename,
            build_id: m.build_id,
            flags: flags.ok_or(CarriedError::Value("a mapping has unknown flags"))?,
        })
    };
    message.mappings.iter().map(mapping).collect()
}

fn lines(message: &wire::Profile, functions: usize) -> Result<Vec<Line>, CarriedError> {
    let ids = &message.line_functions;
    let columns = &message.line_columns;
    let lengths = [
        message.line_numbers.len(),
        if columns.is_empty() {
            ids.len()
        } else {
            columns.len()
        },
    ];
    same_length("lines", ids.len(), &lengths)?;
    check("lines", "functions", functions, ids)?;
    let line = |(at, (&function, &line)): (usize, (&u32, &i64))| Line {
        function,
        line,
        column: columns.get(at).copied().unwrap_or_default(),
    };
    let lines = ids.iter().zip(&message.line_numbers).enumerate();
    Ok(lines.map(line).collect())
}

fn locations(
    message: &wire::Profile,
    mappings: usize,
    lines: usize,
) -> Result<Vec<Location>, CarriedError> {
    let ids = &message.location_mappings;
    let counts = &message.location_line_counts;
    let addresses = &message.location_addresses;
    same_length("locations", ids.len(), &[counts.len(), addresses.len()])?;
    check("locations", "mappings", mappings, ids)?;
    let mut locations = Vec::with_capacity(ids.len());
    let mut first_line = 0_u32;
    for ((&mapping, &line_count), &address) in ids.iter().zip(counts).zip(addresses) {
        locations.push(Location {
            mapping,
            address,
            first_line,
            line_count,
            is_folded: false,
        });
        first_line = first_line.saturating_add(line_count);
    }
    if first_line as usize != lines {
        return Err(CarriedError::Lengths { table: "lines" });
    }
    let folded = &message.folded_locations;
    check("folded locations", "locations", locations.len(), folded)?;
    for &folded in folded {
        if let Some(location) = locations.get_mut(folded as usize) {
            location.is_folded = true;
        }
    }
    Ok(locations)
}

fn stacks(
    message: &wire::Profile,
    location_hashes: &[u64],
    seed: Seed,
) -> Result<Vec<Stack>, CarriedError> {
    let frames = &message.frames;
    check("frames", "locations", location_hashes.len(), frames)?;
    let mut first = 0_u32;
    let mut stacks = Vec::with_capacity(message.stack_depths.len());
    for &depth in &message.stack_depths {
        let end = first.saturating_add(depth);
        let Some(own) = frames.get(first as usize..end as usize) else {
            return Err(CarriedError::Lengths { table: "stacks" });
        };
        let root_first = own.iter().rev();
        let hash = root_first.fold(ROOT, |hash, &frame| {
            seed.push_frame(hash, at(location_hashes, frame))
        });
        stacks.push(Stack { hash, first, depth });
        first = end;
    }
    match first as usize == frames.len() {
        true => Ok(stacks),
        false => Err(CarriedError::Lengths { table: "frames" }),
    }
}

fn trace_ids(message: &wire::Profile) -> Result<Vec<[u8; 16]>, CarriedError> {
    let (ids, rest) = message.trace_ids.as_chunks::<16>();
    match rest.is_empty() {
        true => Ok(ids.to_vec()),
        false => Err(CarriedError::Lengths { table: "trace ids" }),
    }
}

fn samples(message: &wire::Profile, traces: usize) -> Result<Vec<Sample>, CarriedError> {
    let stacks = &message.sample_stacks;
    let (spans, trace) = (&message.sample_spans, &message.sample_traces);
    for optional in [spans.len(), trace.len()] {
        if optional != 0 {
            same_length("samples", stacks.len(), &[optional])?;
        }
    }
    check("samples", "stacks", message.stack_depths.len(), stacks)?;
    check("samples", "trace ids", traces.saturating_add(1), trace)?;
    let counts = message.group_counts.iter();
    let grouped = counts.fold(0_u64, |sum, &count| sum.saturating_add(count.into()));
    if grouped != stacks.len() as u64 || message.group_counts.contains(&0) {
        return Err(CarriedError::Lengths { table: "groups" });
    }
    let sample = |(at, &stack): (usize, &u32)| Sample {
        stack,
        span_id: spans.get(at).copied().unwrap_or_default(),
        trace: match trace.get(at).copied().unwrap_or_default() {
            0 => NO_TRACE,
            trace => trace.saturating_sub(1),
        },
    };
    Ok(stacks.iter().enumerate().map(sample).collect())
}

fn values(message: &wire::Profile, samples: usize) -> Result<Vec<i64>, CarriedError> {
    let expected = samples.saturating_mul(message.sample_types.len());
    same_length("values", expected, &[message.values.len()])?;
    let values = message.values.iter().map(|&value| i64::try_from(value));
    let values: Result<Vec<_>, _> = values.collect();
    values.map_err(|_| CarriedError::Value("a value is below zero"))
}
