//! One profile as pprof: one for each service that its samples name.

mod symbols;

use std::collections::HashMap;

use opentelemetry_proto::tonic::profiles::v1development as proto;
use phlare_proto::google::v1 as pprof;
use prost::Message;

use self::symbols::Symbols;
use super::Limits;
use super::error::Error;
use super::labels::SERVICE;
use super::tables::{From, Tables};

/// Length of a profile that does not say.
const DEFAULT_DURATION_NS: u64 = 10_000_000_000;

/// What one profile became.
#[derive(Debug)]
pub(super) struct Built<'a> {
    /// The label `__name__`.
    pub(super) name: &'a str,
    /// Services (`None`: that of the resource) and their pprofs.
    pub(super) services: Vec<(Option<&'a str>, Vec<u8>)>,
    pub(super) negative_values: u64,
}

/// How many bytes may still come out.
#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    profile: usize,
    total: usize,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            limits: *limits,
            profile: limits.profile_bytes,
            total: limits.total_bytes,
        }
    }

    /// Takes at most what the encoded pprof will have. To be called before the work: what a request can refer to
    /// again and again is paid for again and again.
    fn take(&mut self, bytes: usize) -> Result<(), Error> {
        self.take_labels(bytes)?;
        let limit = self.limits.profile_bytes;
        let left = self.profile.checked_sub(bytes);
        self.profile = left.ok_or(Error::ProfileSize { limit })?;
        Ok(())
    }

    /// Takes what is beside the pprof.
    pub(super) fn take_labels(&mut self, bytes: usize) -> Result<(), Error> {
        let limit = self.limits.total_bytes;
        let left = self.total.checked_sub(bytes);
        self.total = left.ok_or(Error::TotalSize { limit })?;
        Ok(())
    }
}

/// What the values mean, and what they become.
struct Meaning<'a> {
    name: &'a str,
    sample_type: (&'a str, &'a str),
    period_type: (&'a str, &'a str),
    /// What a value is multiplied by.
    scale: i64,
}

impl<'a> Meaning<'a> {
    /// Bytes of its strings.
    fn size(&self) -> usize {
        let ((kind, unit), (period, period_unit)) = (self.sample_type, self.period_type);
        [kind, unit, period, period_unit].map(str::len).iter().sum()
    }

    fn of(profile: &proto::Profile, tables: &Tables<'a>) -> Result<Self, Error> {
        let resolve = |value_type: Option<&proto::ValueType>, what| {
            let Some(proto::ValueType {
                type_strindex,
                unit_strindex,
            }) = value_type
            else {
                return Ok(("", ""));
            };
            let from = From(what, 0);
            Ok((
                tables.string(*type_strindex, from)?,
                tables.string(*unit_strindex, from)?,
            ))
        };
        let sample_type = resolve(profile.sample_type.as_ref(), "sample_type")?;
        let period_type = resolve(profile.period_type.as_ref(), "period_type")?;
        let as_it_is = |name| Self {
            name,
            sample_type,
            period_type,
            scale: 1,
        };
        match (sample_type, period_type) {
            (("", _), _) => Err(Error::NoSampleType),
            (("samples", "count"), ("cpu", "nanoseconds")) if profile.period <= 0 => {
                Err(Error::Period {
                    period: profile.period,
                })
            }
            (("samples", "count"), ("cpu", "nanoseconds")) => Ok(Self {
                name: "process_cpu",
                sample_type: ("cpu", "nanoseconds"),
                period_type,
                scale: profile.period,
            }),
            (("off_cpu", "nanoseconds"), ("", "")) => Ok(as_it_is("off_cpu")),
            (_, (period, _)) => Ok(as_it_is(period)),
        }
    }
}

pub(super) fn profile<'a>(
    profile: &'a proto::Profile,
    tables: &Tables<'a>,
    budget: &mut Budget,
    now_ns: i64,
) -> Result<Built<'a>, Error> {
    let mut built = Built {
        name: "",
        services: Vec::new(),
        negative_values: 0,
    };
    if profile.samples.is_empty() {
        return Ok(built);
    }
    budget.profile = budget.limits.profile_bytes;
    // Before the types: of a profile of another version of the schema, this tells most.
    if let Some(sample) = profile.samples.iter().position(counts_nothing) {
        return Err(Error::NoValues { sample });
    }
    let meaning = Meaning::of(profile, tables)?;
    built.name = meaning.name;
    let mut places: HashMap<Option<&str>, usize> = HashMap::new();
    let mut services: Vec<(Option<&str>, Symbols<'a>)> = Vec::new();
    for (at, sample) in profile.samples.iter().enumerate() {
        let from = From("sample", at);
        let texts = texts(sample, tables, from)?;
        let named = texts
            .iter()
            .find(|(key, value)| *key == SERVICE && !value.is_empty());
        let service = named.map(|(_, value)| *value);
        let place = *places.entry(service).or_insert(services.len());
        if place == services.len() {
            services.push((service, Symbols::new(*tables)));
        }
        let Some((_, symbols)) = services.get_mut(place) else {
            continue;
        };
        let value = value(sample, meaning.scale, &mut built.negative_values);
        symbols.sample(sample, value, &texts, from, budget)?;
    }
    for (service, symbols) in services {
        budget.take(meaning.size())?;
        let pprof = finish(symbols.into_profile(), profile, &meaning, now_ns).encode_to_vec();
        built.services.push((service, pprof));
    }
    Ok(built)
}

fn counts_nothing(sample: &proto::Sample) -> bool {
    sample.values.is_empty() && sample.timestamps_unix_nano.is_empty()
}

/// A sample has one value, or one for each time at which it was seen, or only times: each is a 1 then.
fn value(sample: &proto::Sample, scale: i64, negative_values: &mut u64) -> i64 {
    let value = if sample.values.is_empty() {
        i64::try_from(sample.timestamps_unix_nano.len()).unwrap_or(i64::MAX)
    } else {
        let negative = sample.values.iter().filter(|value| **value < 0).count();
        *negative_values =
            negative_values.saturating_add(u64::try_from(negative).unwrap_or(u64::MAX));
        let values = sample.values.iter().filter(|value| **value >= 0);
        values.fold(0, |sum: i64, value| sum.saturating_add(*value))
    };
    value.saturating_mul(scale)
}

/// The attributes of a sample that are strings.
fn texts<'a>(
    sample: &'a proto::Sample,
    tables: &Tables<'a>,
    from: From,
) -> Result<Vec<(&'a str, &'a str)>, Error> {
    let mut texts = Vec::new();
    for &index in &sample.attribute_indices {
        let attribute = tables.attribute(index, from)?;
        if let Some(value) = tables.text(attribute.value, from)?
            && !attribute.key.is_empty()
        {
            texts.push((attribute.key, value));
        }
    }
    Ok(texts)
}

/// Adds what is not about single samples.
fn finish(
    mut pprof: pprof::Profile,
    profile: &proto::Profile,
    meaning: &Meaning<'_>,
    now_ns: i64,
) -> pprof::Profile {
    let strings = &mut pprof.string_table;
    let mut value_type = |(kind, unit): (&str, &str)| {
        let first = i64::try_from(strings.len()).unwrap_or(i64::MAX);
        strings.extend([kind.to_owned(), unit.to_owned()]);
        pprof::ValueType {
            r#type: first,
            unit: first.saturating_add(1),
        }
    };
    pprof.sample_type = vec![value_type(meaning.sample_type)];
    pprof.period_type = (meaning.period_type != ("", "")).then(|| value_type(meaning.period_type));
    pprof.period = profile.period;
    pprof.time_nanos = match profile.time_unix_nano {
        0 => now_ns,
        // A time beyond the numbers is refused later as one in the future.
        time => i64::try_from(time).unwrap_or(i64::MAX),
    };
    let duration = match profile.duration_nano {
        0 => DEFAULT_DURATION_NS,
        duration => duration,
    };
    pprof.duration_nanos = i64::try_from(duration).unwrap_or(i64::MAX);
    pprof
}
