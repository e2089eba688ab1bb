//! From a normalised profile to its wire form.

use phlare_proto::phlare::ingest::v1 as wire;

use crate::normalized::{NO_TRACE, Normalized, StringIndex, ValueType};

/// The wire form of a profile: what its samples use. O(profile).
#[must_use]
pub fn encode(profile: &Normalized<'_>) -> wire::Profile {
    let mut writer = Writer {
        profile,
        out: wire::Profile::default(),
        strings: Renumbered::of(profile.strings.len()),
        functions: Renumbered::of(profile.functions.len()),
        mappings: Renumbered::of(profile.mappings.len()),
        locations: Renumbered::of(profile.locations.len()),
        stacks: Renumbered::of(profile.stacks.len()),
    };
    // Index 0 is the empty string in every table.
    writer.out.strings.push(String::new());
    writer.strings.set(0, 0);
    writer.head();
    for sample in 0..profile.samples.len() {
        writer.sample(sample);
    }
    writer.finish()
}

/// From old indices to new ones, in the order in which they are met.
struct Renumbered(Vec<u32>);

impl Renumbered {
    const UNSEEN: u32 = u32::MAX;

    fn of(entries: usize) -> Self {
        Self(vec![Self::UNSEEN; entries])
    }

    fn get(&self, old: u32) -> Option<u32> {
        let new = self.0.get(old as usize).copied();
        new.filter(|&new| new != Self::UNSEEN)
    }

    fn set(&mut self, old: u32, new: usize) {
        if let Some(slot) = self.0.get_mut(old as usize) {
            *slot = new as u32;
        }
    }
}

struct Writer<'a> {
    profile: &'a Normalized<'a>,
    out: wire::Profile,
    strings: Renumbered,
    functions: Renumbered,
    mappings: Renumbered,
    locations: Renumbered,
    stacks: Renumbered,
}

impl Writer<'_> {
    fn head(&mut self) {
        let profile = self.profile;
        let value_type = |value: &ValueType<'_>| wire::ValueType {
            kind: value.kind.to_owned(),
            unit: value.unit.to_owned(),
        };
        let out = &mut self.out;
        out.time_ns = profile.time_ns;
        out.duration_ns = profile.duration_ns;
        out.period = profile.period;
        out.period_type = profile.period_type.as_ref().map(value_type);
        out.sample_types = profile.sample_types.iter().map(value_type).collect();
        profile
            .default_sample_type
            .clone_into(&mut out.default_sample_type);
        profile.doc_url.clone_into(&mut out.doc_url);
        out.comments = profile.comments.iter().map(|&text| text.into()).collect();
        out.group_counts = profile.groups.iter().map(|group| group.count).collect();
        // What is below zero does not exist here.
        out.values = profile.values.iter().map(|&value| value as u64).collect();
        out.trace_ids = profile.trace_ids.concat();
    }

    fn sample(&mut self, at: usize) {
        let Some(sample) = self.profile.samples.get(at) else {
            return;
        };
        let stack = self.stack(sample.stack);
        self.out.sample_stacks.push(stack);
        self.out.sample_spans.push(sample.span_id);
        let trace = match sample.trace {
            NO_TRACE => 0,
            trace => trace.saturating_add(1),
        };
        self.out.sample_traces.push(trace);
    }

    fn stack(&mut self, old: u32) -> u32 {
        if let Some(known) = self.stacks.get(old) {
            return known;
        }
        let new = self.out.stack_depths.len();
        self.stacks.set(old, new);
        let stack = self.profile.stacks.get(old as usize);
        let frames = stack.map_or(&[] as &[u32], |stack| self.profile.frames_of(stack));
        for &frame in frames {
            let location = self.location(frame);
            self.out.frames.push(location);
        }
        self.out.stack_depths.push(frames.len() as u32);
        new as u32
    }

    fn location(&mut self, old: u32) -> u32 {
        if let Some(known) = self.locations.get(old) {
            return known;
        }
        let location = self.profile.locations.get(old as usize);
        let location = location.copied().unwrap_or_default();
        let mapping = self.mapping(location.mapping);
        let lines = self.profile.lines_of(&location);
        for line in lines {
            let function = self.function(line.function);
            self.out.line_functions.push(function);
            self.out.line_numbers.push(line.line);
            self.out.line_columns.push(line.column);
        }
        let new = self.out.location_mappings.len();
        self.locations.set(old, new);
        self.out.location_mappings.push(mapping);
        self.out.location_addresses.push(location.address);
        self.out.location_line_counts.push(lines.len() as u32);
        if location.is_folded {
            self.out.folded_locations.push(new as u32);
        }
        new as u32
    }

    fn mapping(&mut self, old: u32) -> u32 {
        if let Some(known) = self.mappings.get(old) {
            return known;
        }
        let mapping = self.profile.mappings.get(old as usize);
        let mapping = mapping.copied().unwrap_or_default();
        let mapping = wire::Mapping {
            memory_start: mapping.memory_start,
            memory_limit: mapping.memory_limit,
            file_offset: mapping.file_offset,
            filename: self.string(mapping.filename),
            build_id: self.string(mapping.build_id),
            flags: mapping.flags.into(),
        };
        let new = self.out.mappings.len();
        self.mappings.set(old, new);
        self.out.mappings.push(mapping);
        new as u32
    }

    fn function(&mut self, old: u32) -> u32 {
        if let Some(known) = self.functions.get(old) {
            return known;
        }
        let function = self.profile.functions.get(old as usize);
        let function = function.copied().unwrap_or_default();
        let [name, system_name, filename] =
            [function.name, function.system_name, function.filename].map(|s| self.string(s));
        let new = self.out.function_names.len();
        self.functions.set(old, new);
        self.out.function_names.push(name);
        self.out.function_system_names.push(system_name);
        self.out.function_filenames.push(filename);
        self.out.function_start_lines.push(function.start_line);
        new as u32
    }

    fn string(&mut self, old: StringIndex) -> u32 {
        if let Some(known) = self.strings.get(old) {
            return known;
        }
        let new = self.out.strings.len();
        self.strings.set(old, new);
        self.out.strings.push(self.profile.string(old).to_owned());
        new as u32
    }

    /// Columns that say nothing are left out.
    fn finish(mut self) -> wire::Profile {
        let out = &mut self.out;
        clear_zeros(&mut out.line_columns);
        clear_zeros(&mut out.sample_spans);
        clear_zeros(&mut out.sample_traces);
        self.out
    }
}

fn clear_zeros<T: Default + PartialEq>(column: &mut Vec<T>) {
    if column.iter().all(|value| *value == T::default()) {
        column.clear();
    }
}
