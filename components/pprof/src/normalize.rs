//! From wire tables to [`Normalized`]: api.md 8.2 and 8.3, with our differences from field-reports.md.
//!
//! Order of errors: wire format, sample types, number of samples, strings, ids, string indices, then sample by sample.

mod fold;
mod go_order;
mod go_stacks;
mod ids;
mod labels;
mod lanes;
mod samples;
mod script_names;
mod stacks;
mod symbols;
mod text;

use self::go_stacks::CutAt;
use self::samples::{SampleBuffers, SampleLimits};
use self::script_names::ScriptNameBuffers;
use self::symbols::{SymbolBuffers, Symbols};
use self::text::{Text, TextBuffers};
use crate::error::Error;
use crate::normalized::{Dropped, Group, Normalized, Sample, ValueType};
use crate::options::{Options, OverLimit};
use crate::reuse::{reset, reset_text};
use crate::tables::{Span, Tables};

/// All buffers of a normalisation.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    text: TextBuffers,
    script_names: ScriptNameBuffers,
    symbols: SymbolBuffers,
    samples: SampleBuffers,
    type_names: String,
    keep: Vec<bool>,
    /// Result: samples and values in the order of their groups.
    grouped: Vec<Sample>,
    grouped_values: Vec<i64>,
    positions: Vec<u32>,
}

/// Nanoseconds of the year 1970.
const YEAR_1970_NS: i64 = 365 * 24 * 3600 * 1_000_000_000;

/// More strings than a profile has on the wire: room for those that normalisation adds.
const MORE_STRINGS: usize = 1;

pub(crate) fn normalize<'a>(
    bytes: &'a [u8],
    tables: &'a mut Tables,
    buffers: &'a mut Buffers,
    options: &Options<'_>,
) -> Result<Normalized<'a>, Error> {
    if tables.sample_types.is_empty() {
        return Err(Error::NoSampleTypes);
    }
    if options.over_limit == OverLimit::Refuse
        && options.max_samples > 0
        && tables.samples.len() > options.max_samples
    {
        return Err(Error::TooManySamples {
            samples: tables.samples.len(),
            limit: options.max_samples,
        });
    }
    check_first_string(bytes, &tables.strings)?;
    let Buffers {
        text,
        script_names,
        symbols,
        samples,
        type_names,
        keep,
        grouped,
        grouped_values,
        positions,
    } = buffers;

    let room = MORE_STRINGS
        + if options.script_names.is_some() {
            tables.functions.len()
        } else {
            0
        };
    let mut text = Text::build(
        bytes,
        &tables.strings,
        options.max_symbol_length,
        options.go_fixes,
        room,
        text,
    );
    if options.repair_function_ids {
        repair_function_ids(tables);
    }
    let header = tables.header;
    let sample_types = sample_types(tables, &text, options, type_names, keep)?;
    let string = |index: i64| {
        usize::try_from(index)
            .ok()
            .and_then(|index| text.strings.get(index))
            .copied()
    };
    let mut normalized = Normalized {
        time_ns: time(header.time_ns, options),
        duration_ns: header.duration_ns.max(0),
        period: header.period.max(0),
        period_type: header.period_type.map(|t| ValueType {
            kind: string(t.kind).unwrap_or_default(),
            unit: string(t.unit).unwrap_or_default(),
        }),
        sample_types,
        default_sample_type: string(header.default_sample_type).unwrap_or_default(),
        doc_url: string(header.doc_url).unwrap_or_default(),
        comments: tables
            .comments
            .iter()
            .filter_map(|&index| string(index))
            .collect(),
        ..Normalized::empty()
    };
    if let Some(which) = options.script_names {
        script_names.rename(which, options.seed, bytes.len(), tables, &mut text.strings);
    }
    let mut symbols = Symbols::new(options.seed, text, tables, symbols)?;
    let types = normalized.sample_types.len();
    let dropped = &mut normalized.dropped;
    let kinds = &normalized.sample_types;
    read_samples(bytes, kinds, keep, samples, &mut symbols, options, dropped)?;

    normalized.groups = group(samples, types, &symbols, grouped, grouped_values, positions);
    normalized.samples = grouped;
    normalized.values = grouped_values;
    normalized.stacks = samples.stacks.stacks();
    normalized.frames = samples.stacks.frames();
    normalized.trace_ids = samples.labels.trace_ids();
    let resolved = symbols.finish();
    dropped.unknown_mappings = resolved.unknown_mappings;
    dropped.repaired_strings = resolved.repaired_strings;
    dropped.truncated_strings = resolved.truncated_strings;
    normalized.strings = resolved.strings;
    normalized.functions = resolved.functions;
    normalized.mappings = resolved.mappings;
    normalized.locations = resolved.locations;
    normalized.lines = resolved.lines;
    normalized.string_hashes = resolved.string_hashes;
    normalized.function_hashes = resolved.function_hashes;
    normalized.mapping_hashes = resolved.mapping_hashes;
    normalized.location_hashes = resolved.location_hashes;
    Ok(normalized)
}

fn check_first_string(bytes: &[u8], strings: &[Span]) -> Result<(), Error> {
    let Some(first) = strings.first() else {
        return Err(Error::NoStrings);
    };
    if first.start == first.end {
        return Ok(());
    }
    let text = String::from_utf8_lossy(
        bytes
            .get(first.start as usize..first.end as usize)
            .unwrap_or_default(),
    );
    Err(Error::FirstString {
        first: text.chars().take(40).collect(),
    })
}

/// Some .NET profilers leave out all function ids and mean those of the locations (api.md 4.3).
fn repair_function_ids(tables: &mut Tables) {
    if tables.function_ids.len() == tables.location_ids.len()
        && tables.function_ids.iter().all(|&id| id == 0)
    {
        tables.function_ids.copy_from_slice(&tables.location_ids);
    }
}

fn time(time_ns: i64, options: &Options<'_>) -> i64 {
    match options.time_of_1970_ns {
        Some(instead) if (0..YEAR_1970_NS).contains(&time_ns) => instead,
        _ if time_ns <= 0 => options.now_ns,
        _ => time_ns,
    }
}

/// The sample types that are kept; `keep` gets an entry for each on the wire.
fn sample_types<'a>(
    tables: &Tables,
    text: &Text<'a>,
    options: &Options<'_>,
    names: &'a mut String,
    keep: &mut Vec<bool>,
) -> Result<Vec<ValueType<'a>>, Error> {
    let strings = text.strings.len();
    let string = |index: i64| {
        usize::try_from(index)
            .ok()
            .and_then(|index| text.strings.get(index))
            .copied()
    };
    reset_text(names);
    let mut types = Vec::with_capacity(tables.sample_types.len());
    for (position, raw) in tables.sample_types.iter().enumerate() {
        let Some(kind) = string(raw.kind) else {
            return Err(Error::StringIndex {
                of: "sample_type",
                position,
                index: raw.kind,
                strings,
            });
        };
        if kind.contains('-') && !options.rename_dashes {
            return Err(Error::Dash {
                position,
                name: kind.to_owned(),
            });
        }
        if kind.contains('-') {
            names.extend(kind.chars().map(|c| if c == '-' { '_' } else { c }));
        }
        types.push(ValueType {
            kind,
            unit: string(raw.unit).unwrap_or_default(),
        });
    }
    // Renamed ones lie one after the other in `names`.
    let mut renamed: &'a str = names;
    for kind in types
        .iter_mut()
        .map(|t| &mut t.kind)
        .filter(|kind| kind.contains('-'))
    {
        (*kind, renamed) = renamed.split_at(kind.len());
    }
    reset(keep);
    keep.extend(
        types
            .iter()
            .map(|t| options.keep_type.is_none_or(|keep| keep(t.kind, t.unit))),
    );
    let mut kept = keep.iter();
    types.retain(|_| kept.next().copied().unwrap_or_default());
    Ok(types)
}

fn read_samples(
    bytes: &[u8],
    types: &[ValueType<'_>],
    keep: &[bool],
    samples: &mut SampleBuffers,
    symbols: &mut Symbols<'_>,
    options: &Options<'_>,
    dropped: &mut Dropped,
) -> Result<(), Error> {
    samples.clear();
    let limits = SampleLimits {
        labels: options.max_sample_labels,
        depth: options.max_depth,
        cut: if options.go_fixes {
            CutAt::of(types.iter().map(|of| of.kind))
        } else {
            None
        },
    };
    samples.read(bytes, keep, limits, symbols, dropped)?;
    if let Some(first) = samples.nothing_left(bytes, symbols) {
        return Err(Error::NothingLeft {
            samples: dropped.broken_samples,
            first,
        });
    }
    if options.max_samples > 0 {
        dropped.folded_samples = fold::fold(options.max_samples, types.len(), samples, symbols);
    }
    Ok(())
}

/// Sorts the samples by group, keeping their order inside of each.
fn group<'a>(
    samples: &SampleBuffers,
    types: usize,
    symbols: &Symbols<'a>,
    grouped: &mut Vec<Sample>,
    grouped_values: &mut Vec<i64>,
    positions: &mut Vec<u32>,
) -> Vec<Group<'a>> {
    let rows = &samples.rows;
    reset(grouped);
    reset(grouped_values);
    reset(positions);
    positions.resize(samples.labels.group_count(), 0);
    for row in &rows.rows {
        positions[row.group as usize] += 1;
    }
    let mut groups = Vec::with_capacity(positions.len());
    let mut first = 0;
    for (position, group) in positions.iter_mut().zip(0..) {
        let count = *position;
        if count > 0 {
            groups.push(Group {
                labels: samples.labels.labels(group, symbols),
                first,
                count,
            });
        }
        *position = first;
        first += count;
    }
    if groups.len() <= 1 {
        grouped.extend(rows.rows.iter().map(|row| row.sample));
        grouped_values.extend_from_slice(&rows.values);
        return groups;
    }
    grouped.resize(
        rows.rows.len(),
        Sample {
            stack: 0,
            span_id: 0,
            trace: 0,
        },
    );
    grouped_values.resize(rows.values.len(), 0);
    for (row, values) in rows.rows.iter().zip(rows.values.chunks(types.max(1))) {
        let at = positions[row.group as usize] as usize;
        positions[row.group as usize] += 1;
        grouped[at] = row.sample;
        grouped_values[at * types..(at + 1) * types].copy_from_slice(values);
    }
    groups
}

#[cfg(test)]
mod tests;
