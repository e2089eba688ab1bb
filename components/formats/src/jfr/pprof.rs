//! The samples of one kind as pprof.

use std::borrow::Cow;

use hashbrown::HashMap;
use phlare_proto::google::v1 as pprof;
use prost::Message;

use super::Options;
use super::kinds::{Kind, Samples, Scale, ValueType};
use super::symbols::{Location, Symbols};
use crate::error::Error;

/// Encodes a profile, with the symbols that it uses.
pub(super) fn encode(
    kind: Kind,
    samples: &Samples,
    scale: Scale,
    symbols: &Symbols,
    options: &Options<'_>,
) -> Result<Vec<u8>, Error> {
    let mut encoder = Encoder {
        strings: Strings::new(options.limits.profile_bytes),
        locations: vec![0; symbols.locations().len()],
        functions: vec![0; symbols.names().len()],
        profile: pprof::Profile::default(),
    };
    let mut labels: Vec<Option<Vec<pprof::Label>>> = vec![None; symbols.origins().len()];
    for ((stack, origin), values) in samples.iter() {
        let location_id = symbols.frames_of(stack).iter();
        let location_id = location_id.map(|&location| encoder.location(location, symbols));
        let location_id = location_id.collect::<Result<Vec<u64>, Error>>()?;
        let label = match labels.get_mut(origin as usize) {
            Some(Some(label)) => label.clone(),
            Some(none) => none
                .insert(encoder.labels(origin, symbols, options)?)
                .clone(),
            None => Vec::new(),
        };
        // A frame takes at least a byte, a label two numbers.
        let labels = label.len().saturating_mul(2);
        encoder
            .strings
            .pay(location_id.len().saturating_add(labels))?;
        let values = values.into_iter().take(kind.sample_types().len());
        let value = values.map(|value| match kind.is_timed() {
            true => scale.nanoseconds(value),
            false => value,
        });
        encoder.profile.sample.push(pprof::Sample {
            location_id,
            value: value.collect(),
            label,
        });
    }
    encoder.finish(kind, options)
}

struct Encoder<'a> {
    strings: Strings<'a>,
    /// Ids of locations and functions in this profile, 0 for those not used yet.
    locations: Vec<u64>,
    functions: Vec<u64>,
    profile: pprof::Profile,
}

impl<'a> Encoder<'a> {
    fn location(&mut self, number: u32, symbols: &'a Symbols) -> Result<u64, Error> {
        let at = number as usize;
        let known = self.locations.get(at).copied().unwrap_or(0);
        let (0, Some(Location { function, line })) = (known, symbols.locations().get(at).copied())
        else {
            return Ok(known);
        };
        let function_id = self.function(function, symbols)?;
        let id = id_after(self.profile.location.len());
        self.profile.location.push(pprof::Location {
            id,
            mapping_id: 1,
            line: vec![pprof::Line {
                function_id,
                line: line.into(),
                ..Default::default()
            }],
            ..Default::default()
        });
        if let Some(place) = self.locations.get_mut(at) {
            *place = id;
        }
        Ok(id)
    }

    fn function(&mut self, number: u32, symbols: &'a Symbols) -> Result<u64, Error> {
        let at = number as usize;
        let known = self.functions.get(at).copied().unwrap_or(0);
        let (0, Some(name)) = (known, symbols.names().get(at)) else {
            return Ok(known);
        };
        let name = self.strings.add(Cow::Borrowed(name))?;
        let id = id_after(self.profile.function.len());
        self.profile.function.push(pprof::Function {
            id,
            name,
            ..Default::default()
        });
        if let Some(place) = self.functions.get_mut(at) {
            *place = id;
        }
        Ok(id)
    }

    fn labels(
        &mut self,
        origin: u32,
        symbols: &Symbols,
        options: &Options<'a>,
    ) -> Result<Vec<pprof::Label>, Error> {
        let Some(origin) = symbols.origins().get(origin as usize) else {
            return Ok(Vec::new());
        };
        let labels = options.labels.of(origin).into_iter().map(|(name, value)| {
            Ok(pprof::Label {
                key: self.strings.add(name)?,
                str: self.strings.add(value)?,
                ..Default::default()
            })
        });
        labels.collect()
    }

    fn finish(mut self, kind: Kind, options: &Options<'_>) -> Result<Vec<u8>, Error> {
        let mut value_type = |(name, unit): ValueType| {
            Ok::<_, Error>(pprof::ValueType {
                r#type: self.strings.add(name.into())?,
                unit: self.strings.add(unit.into())?,
            })
        };
        let sample_type = kind.sample_types().iter().map(|value| value_type(*value));
        let sample_type = sample_type.collect::<Result<Vec<_>, _>>()?;
        let (period_type, period) = match kind.period() {
            Some((kind, period)) => (Some(value_type(kind)?), period),
            None => (None, 0),
        };
        let profile = pprof::Profile {
            default_sample_type: sample_type.first().map_or(0, |first| first.r#type),
            sample_type,
            mapping: vec![pprof::Mapping {
                id: 1,
                has_functions: true,
                ..Default::default()
            }],
            string_table: self
                .strings
                .table
                .into_iter()
                .map(Cow::into_owned)
                .collect(),
            time_nanos: options.timing.time_ns,
            duration_nanos: options.timing.duration_ns,
            period_type,
            period,
            ..self.profile
        };
        let limit = options.limits.profile_bytes;
        let bytes = profile.encode_to_vec();
        if bytes.len() > limit {
            return Err(Error::TooLarge { limit });
        }
        Ok(bytes)
    }
}

/// The string table; stops when the profile becomes larger than allowed.
struct Strings<'a> {
    table: Vec<Cow<'a, str>>,
    places: HashMap<Cow<'a, str>, i64>,
    left: usize,
    /// Bytes that may still be looked up: of many labels with one long value, each looks for it.
    lookups: usize,
    limit: usize,
}

/// How often as many bytes as a profile may have are looked up in it.
const LOOKUPS: usize = 64;

impl<'a> Strings<'a> {
    fn new(limit: usize) -> Self {
        Self {
            table: vec![Cow::Borrowed("")],
            places: HashMap::from([(Cow::Borrowed(""), 0)]),
            left: limit,
            lookups: limit.saturating_mul(LOOKUPS),
            limit,
        }
    }

    /// Takes bytes that the profile will have.
    fn pay(&mut self, bytes: usize) -> Result<(), Error> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or(Error::TooLarge { limit: self.limit })?;
        Ok(())
    }

    fn add(&mut self, text: Cow<'a, str>) -> Result<i64, Error> {
        let left = self.lookups.checked_sub(text.len());
        self.lookups = left.ok_or(Error::TooLarge { limit: self.limit })?;
        if let Some(&place) = self.places.get(&text) {
            return Ok(place);
        }
        self.pay(text.len())?;
        let place = i64::try_from(self.table.len()).unwrap_or(i64::MAX);
        self.table.push(text.clone());
        self.places.insert(text, place);
        Ok(place)
    }
}

fn id_after(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX).saturating_add(1)
}
