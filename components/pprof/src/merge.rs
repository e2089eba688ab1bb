//! One profile out of several (api.md 8.4), on decoded messages: for clients and tests, clear rather than fast.

use hashbrown::HashMap;
use phlare_proto::google::v1::{
    Function, Label, Line, Location, Mapping, Profile, Sample, ValueType,
};

use crate::Error;

/// Mappings of the same file may differ in size by less than a page.
const PAGE: u64 = 4096;

/// Merges profiles: equal symbols become one, samples with equal stack and labels are summed.
///
/// Profiles without samples are left out; with none left the result is an empty profile. Samples that refer to what
/// their profile does not define are dropped.
/// Errors: [`Error::Incompatible`] if sample types or period types differ.
pub fn merge(profiles: &[Profile]) -> Result<Profile, Error> {
    let mut merged = Merged::default();
    for (position, profile) in profiles
        .iter()
        .enumerate()
        .filter(|(_, p)| !p.sample.is_empty() && p.string_table.len() >= 2)
    {
        merged.add(position, profile)?;
    }
    Ok(merged.finish())
}

/// Content of a function: its strings are indices of the result.
type FunctionKey = (i64, i64, i64, i64);
/// Size, offset, and build id or file.
type MappingKey = (u64, u64, i64);
/// Address, mapping, and (function, line, column) of each line.
type LocationKey = (u64, u64, Vec<(u64, i64, i64)>);
/// Stack and (key, text) of each label.
type SampleKey = (Vec<u64>, Vec<(i64, i64)>);

/// The result while it grows, and where its parts are.
#[derive(Default)]
struct Merged {
    profile: Profile,
    any: bool,
    strings: HashMap<String, i64>,
    functions: HashMap<FunctionKey, u64>,
    mappings: HashMap<MappingKey, u64>,
    locations: HashMap<LocationKey, u64>,
    samples: HashMap<SampleKey, usize>,
}

impl Merged {
    fn add(&mut self, position: usize, source: &Profile) -> Result<(), Error> {
        self.header(position, source)?;
        let functions: HashMap<u64, u64> = source
            .function
            .iter()
            .map(|f| (f.id, self.function(source, f)))
            .collect();
        let mappings: HashMap<u64, u64> = source
            .mapping
            .iter()
            .map(|m| (m.id, self.mapping(source, m)))
            .collect();
        let mut locations = HashMap::new();
        for location in &source.location {
            if let Some(id) = self.location(location, &functions, &mappings) {
                locations.insert(location.id, id);
            }
        }
        for sample in source
            .sample
            .iter()
            .filter(|s| s.value.len() == source.sample_type.len())
        {
            let stack: Option<Vec<u64>> = sample
                .location_id
                .iter()
                .map(|id| locations.get(id).copied())
                .collect();
            if let Some(stack) = stack {
                self.sample(source, sample, stack);
            }
        }
        Ok(())
    }

    fn header(&mut self, position: usize, source: &Profile) -> Result<(), Error> {
        let types: Vec<ValueType> = source
            .sample_type
            .iter()
            .map(|t| self.value_type(source, *t))
            .collect();
        let period_type = source.period_type.map(|t| self.value_type(source, t));
        let doc_url = self.string(source, source.doc_url);
        let default_sample_type = self.string(source, source.default_sample_type);
        let (drop_frames, keep_frames) = (
            self.string(source, source.drop_frames),
            self.string(source, source.keep_frames),
        );
        let p = &mut self.profile;
        if !self.any {
            self.any = true;
            p.sample_type = types;
            p.period_type = period_type;
            (p.drop_frames, p.keep_frames, p.doc_url) = (drop_frames, keep_frames, doc_url);
            p.time_nanos = source.time_nanos;
        } else if p.sample_type != types {
            return Err(self.incompatible(position, "sample types", &types));
        } else if p.period_type.unwrap_or_default() != period_type.unwrap_or_default() {
            return Err(self.incompatible(
                position,
                "period types",
                &[period_type.unwrap_or_default()],
            ));
        }
        let p = &mut self.profile;
        p.time_nanos = p.time_nanos.min(source.time_nanos);
        p.duration_nanos = p.duration_nanos.saturating_add(source.duration_nanos);
        p.period = p.period.max(source.period);
        if p.default_sample_type == 0 {
            p.default_sample_type = default_sample_type;
        }
        if p.doc_url != doc_url {
            p.doc_url = 0;
        }
        Ok(())
    }

    #[cold]
    fn incompatible(&self, position: usize, what: &'static str, other: &[ValueType]) -> Error {
        let text = |index: i64| {
            usize::try_from(index)
                .ok()
                .and_then(|i| self.profile.string_table.get(i))
                .map_or("", String::as_str)
        };
        let list = |types: &[ValueType]| {
            types
                .iter()
                .map(|t| format!("{}:{}", text(t.r#type), text(t.unit)))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let first = match what {
            "sample types" => list(&self.profile.sample_type),
            _ => list(&[self.profile.period_type.unwrap_or_default()]),
        };
        Error::Incompatible {
            position,
            what,
            first,
            other: list(other),
        }
    }

    fn finish(self) -> Profile {
        let mut profile = self.profile;
        if !self.any {
            profile.sample_type = vec![ValueType::default()];
            profile.period_type = Some(ValueType::default());
        }
        if profile.string_table.is_empty() {
            profile.string_table.push(String::new());
        }
        profile
    }

    /// Index in the result of a string of `source`; those out of range are empty.
    fn string(&mut self, source: &Profile, index: i64) -> i64 {
        let text = usize::try_from(index)
            .ok()
            .and_then(|i| source.string_table.get(i))
            .map_or("", String::as_str);
        let table = &mut self.profile.string_table;
        if table.is_empty() {
            table.push(String::new());
            self.strings.insert(String::new(), 0);
        }
        *self.strings.entry_ref(text).or_insert_with(|| {
            table.push(text.to_owned());
            table.len() as i64 - 1
        })
    }

    fn value_type(&mut self, source: &Profile, t: ValueType) -> ValueType {
        ValueType {
            r#type: self.string(source, t.r#type),
            unit: self.string(source, t.unit),
        }
    }

    fn function(&mut self, source: &Profile, f: &Function) -> u64 {
        let [name, system_name, filename] =
            [f.name, f.system_name, f.filename].map(|s| self.string(source, s));
        let functions = &mut self.profile.function;
        *self
            .functions
            .entry((name, system_name, filename, f.start_line))
            .or_insert_with(|| {
                let id = functions.len() as u64 + 1;
                functions.push(Function {
                    id,
                    name,
                    system_name,
                    filename,
                    start_line: f.start_line,
                });
                id
            })
    }

    fn mapping(&mut self, source: &Profile, m: &Mapping) -> u64 {
        let [filename, build_id] = [m.filename, m.build_id].map(|s| self.string(source, s));
        let size = m.memory_limit.saturating_sub(m.memory_start).div_ceil(PAGE);
        let identity = if build_id != 0 { build_id } else { filename };
        let mappings = &mut self.profile.mapping;
        *self
            .mappings
            .entry((size, m.file_offset, identity))
            .or_insert_with(|| {
                let id = mappings.len() as u64 + 1;
                mappings.push(Mapping {
                    id,
                    filename,
                    build_id,
                    ..*m
                });
                id
            })
    }

    /// `None` if the location refers to a function that does not exist, or is nothing at all.
    fn location(
        &mut self,
        location: &Location,
        functions: &HashMap<u64, u64>,
        mappings: &HashMap<u64, u64>,
    ) -> Option<u64> {
        if location.line.is_empty() && location.address == 0 {
            return None;
        }
        let mut line = Vec::with_capacity(location.line.len());
        for source in &location.line {
            line.push(Line {
                function_id: *functions.get(&source.function_id)?,
                ..*source
            });
        }
        let mapping_id = match mappings.get(&location.mapping_id) {
            Some(&id) if location.mapping_id != 0 => id,
            _ => self.mapping(&Profile::default(), &Mapping::default()),
        };
        let key = (
            location.address,
            mapping_id,
            line.iter()
                .map(|l| (l.function_id, l.line, l.column))
                .collect(),
        );
        let locations = &mut self.profile.location;
        Some(*self.locations.entry(key).or_insert_with(|| {
            let id = locations.len() as u64 + 1;
            locations.push(Location {
                id,
                mapping_id,
                line,
                address: location.address,
                is_folded: location.is_folded,
            });
            id
        }))
    }

    fn sample(&mut self, source: &Profile, sample: &Sample, stack: Vec<u64>) {
        let mut label = Vec::with_capacity(sample.label.len());
        for l in &sample.label {
            let [key, str, num_unit] = [l.key, l.str, l.num_unit].map(|s| self.string(source, s));
            label.push(Label {
                key,
                str,
                num_unit,
                num: l.num,
            });
        }
        let mut texts: Vec<(i64, i64)> = label
            .iter()
            .filter(|l| l.str != 0)
            .map(|l| (l.key, l.str))
            .collect();
        texts.sort_unstable();
        let samples = &mut self.profile.sample;
        let next = samples.len();
        let at = *self.samples.entry((stack.clone(), texts)).or_insert(next);
        match samples.get_mut(at) {
            Some(known) => {
                for (sum, value) in known.value.iter_mut().zip(&sample.value) {
                    *sum = sum.saturating_add(*value);
                }
            }
            None => samples.push(Sample {
                location_id: stack,
                value: sample.value.clone(),
                label,
            }),
        }
    }
}

#[cfg(test)]
mod tests;
