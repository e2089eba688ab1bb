//! Profiles made by hand, field by field, so that they may be wrong where a test wants them to be.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use anyhow::Context;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use phlare_proto::google::v1::{
    Function, Label, Line, Location, Mapping, Profile, Sample, ValueType,
};
use prost::Message;

/// A profile in the making: one mapping, one location and one function for each name.
#[derive(Clone, Debug)]
pub struct Pprof {
    /// The message, to be bent as a test likes.
    pub profile: Profile,
}

impl Pprof {
    /// A profile with these sample types, of a period type.
    #[must_use]
    pub fn new(sample_types: &[(&str, &str)], period: (&str, &str)) -> Self {
        let mut it = Self {
            profile: Profile {
                string_table: vec![String::new()],
                ..Profile::default()
            },
        };
        for &(kind, unit) in sample_types {
            let value_type = ValueType {
                r#type: it.string(kind),
                unit: it.string(unit),
            };
            it.profile.sample_type.push(value_type);
        }
        it.profile.period_type = Some(ValueType {
            r#type: it.string(period.0),
            unit: it.string(period.1),
        });
        it.profile.period = 1;
        it.profile.mapping.push(Mapping {
            id: 1,
            has_functions: true,
            ..Mapping::default()
        });
        it
    }

    /// A CPU profile in nanoseconds.
    #[must_use]
    pub fn cpu() -> Self {
        Self::new(&[("cpu", "nanoseconds")], ("cpu", "nanoseconds"))
    }

    /// At a time, in nanoseconds since the epoch.
    #[must_use]
    pub fn at(mut self, time_ns: i64) -> Self {
        self.profile.time_nanos = time_ns;
        self
    }

    /// With a sample: function names from the root to the leaf.
    #[must_use]
    pub fn stack(self, stack: &[&str], values: &[i64]) -> Self {
        self.labelled(stack, values, &[])
    }

    /// With a sample that has labels.
    #[must_use]
    pub fn labelled(mut self, stack: &[&str], values: &[i64], labels: &[(&str, &str)]) -> Self {
        let location_id = stack.iter().rev().map(|name| self.location(name)).collect();
        let label = labels
            .iter()
            .map(|&(key, value)| Label {
                key: self.string(key),
                str: self.string(value),
                ..Label::default()
            })
            .collect();
        self.profile.sample.push(Sample {
            location_id,
            value: values.to_vec(),
            label,
        });
        self
    }

    /// Index of a string, which is added if it is new.
    pub fn string(&mut self, text: &str) -> i64 {
        let table = &mut self.profile.string_table;
        let index = table
            .iter()
            .position(|known| known == text)
            .unwrap_or_else(|| {
                table.push(text.to_owned());
                table.len() - 1
            });
        index.cast_signed() as i64
    }

    /// Id of the function of this name, which is added if it is new.
    pub fn function(&mut self, name: &str) -> u64 {
        let name = self.string(name);
        let functions = &mut self.profile.function;
        if let Some(known) = functions.iter().find(|function| function.name == name) {
            return known.id;
        }
        let id = functions.len() as u64 + 1;
        functions.push(Function {
            id,
            name,
            system_name: name,
            ..Function::default()
        });
        id
    }

    /// Id of the location of the function of this name, which is added if it is new.
    pub fn location(&mut self, name: &str) -> u64 {
        let function_id = self.function(name);
        let locations = &mut self.profile.location;
        let lines = [Line {
            function_id,
            ..Line::default()
        }];
        if let Some(known) = locations.iter().find(|location| location.line == lines) {
            return known.id;
        }
        let id = locations.len() as u64 + 1;
        locations.push(Location {
            id,
            mapping_id: 1,
            line: lines.to_vec(),
            ..Location::default()
        });
        id
    }

    /// Its bytes, not compressed.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.profile.encode_to_vec()
    }
}

/// Reads a pprof, compressed or not.
///
/// # Errors
/// If it is none.
pub fn read(bytes: &[u8]) -> anyhow::Result<Profile> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        GzDecoder::new(bytes)
            .read_to_end(&mut plain)
            .context("decompress the profile")?;
        return Profile::decode(plain.as_slice()).context("decode the profile");
    }
    Profile::decode(bytes).context("decode the profile")
}

/// Compresses.
///
/// # Errors
/// Never in practice: memory takes everything.
pub fn gzip(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// Sums of the values of each sample type, by `type:unit`, negative ones left out.
#[must_use]
pub fn totals(profile: &Profile) -> BTreeMap<String, i64> {
    let text = |index: i64| {
        usize::try_from(index)
            .ok()
            .and_then(|i| profile.string_table.get(i))
            .map_or("", |s| s)
    };
    let sum = |column: usize| {
        profile
            .sample
            .iter()
            .filter_map(|s| s.value.get(column))
            .filter(|v| **v > 0)
            .sum()
    };
    let types = profile.sample_type.iter().enumerate();
    types
        .map(|(column, t)| (format!("{}:{}", text(t.r#type), text(t.unit)), sum(column)))
        .collect()
}

/// Puts bytes in place of others of the same length, to make strings that are no text.
#[must_use]
pub fn replace(mut bytes: Vec<u8>, old: &[u8], new: &[u8]) -> Vec<u8> {
    let at: Vec<usize> = bytes
        .windows(old.len())
        .enumerate()
        .filter(|(_, w)| *w == old)
        .map(|(i, _)| i)
        .collect();
    for start in at {
        if let Some(place) = bytes.get_mut(start..start + new.len()) {
            place.copy_from_slice(new);
        }
    }
    bytes
}
