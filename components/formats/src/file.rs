//! A file of any format as profiles: for what is uploaded by hand or converted, where nobody says what it is.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use hashbrown::HashMap;
use phlare_model::labels::names::{NAME, PROFILE_NAME};
use phlare_pprof::merge::merge;
use phlare_proto::google::v1 as pprof;
use prost::Message;
use serde::Deserialize;

use crate::kind::Kind;
use crate::otlp::{self, Encoding, Export};
use crate::rate::SampleRate;
use crate::recognise::Format;
use crate::stacks::{Limits, Stacks, Timing};
use crate::{error, groups, jfr, lines, perf, speedscope, tree, trie};

/// What a file does not say.
#[derive(Clone, Copy, Debug)]
pub struct Assumed<'a> {
    /// What the values of a file without units are, by the suffix that an application's name would have, see [`Kind`].
    pub suffix: &'a str,
    /// How often samples were taken; without it counts stay counts.
    pub rate: SampleRate,
    /// The time of OTLP profiles that have none, nanoseconds since the epoch.
    pub now_ns: i64,
}

/// A profile of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The label `__name__`; empty if the file does not tell it, as with pprof.
    pub name: String,
    /// Other labels that the file has.
    pub labels: Vec<(String, String)>,
    /// Uncompressed pprof.
    pub pprof: Vec<u8>,
}

impl Profile {
    /// The name that a file gives it among others that measure the same, as speedscope does.
    #[must_use]
    pub fn own_name(&self) -> Option<&str> {
        let found = self.labels.iter().find(|(name, _)| name == PROFILE_NAME);
        found.map(|(_, value)| value.as_str())
    }
}

/// What is in a file.
#[derive(Debug, Default)]
pub struct Contents {
    /// Those of its profiles that can be read; none if nothing was measured.
    pub profiles: Vec<Profile>,
    /// Those that cannot.
    pub refused: Vec<otlp::Refused>,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is not what it seems to be.
    #[error("read {format}")]
    Format {
        /// What it was taken for.
        format: Format,
        /// What is wrong with it.
        source: error::Error,
    },
    /// An export request that is none, or of another version.
    #[error("read {}", Format::Otlp(*encoding))]
    Otlp {
        /// How it was written.
        encoding: Encoding,
        /// What is wrong with it.
        source: otlp::Error,
    },
}

/// Reads a file of a known format, without its gzip.
///
/// # Errors
/// [`Unreadable`]. Of a request with several profiles a bad one costs itself only, see [`Contents::refused`].
pub fn read(
    format: Format,
    payload: &[u8],
    assumed: &Assumed<'_>,
    limits: &Limits,
) -> Result<Contents, Unreadable> {
    let of_format = |source| Unreadable::Format { format, source };
    let stacks = match format {
        Format::Pprof => return Ok(Contents::of_pprof(payload)),
        Format::Jfr => return of_jfr(payload, assumed, limits).map_err(of_format),
        Format::Otlp(encoding) => {
            return of_otlp(encoding, payload, assumed, limits)
                .map_err(|source| Unreadable::Otlp { encoding, source });
        }
        Format::Speedscope => {
            return of_speedscope(payload, assumed, limits).map_err(of_format);
        }
        Format::Trie => trie::parse(payload, limits),
        Format::Tree => tree::parse(payload, limits),
        Format::Groups => groups::parse(payload, limits),
        Format::Lines => lines::parse(payload, limits),
        Format::PerfScript => perf::parse(payload, limits),
    };
    stacks
        .and_then(|stacks| of_stacks(&stacks, assumed))
        .map_err(of_format)
}

impl Contents {
    fn of_pprof(payload: &[u8]) -> Self {
        let profile = Profile {
            name: String::new(),
            labels: Vec::new(),
            pprof: payload.to_vec(),
        };
        Self {
            profiles: vec![profile],
            refused: Vec::new(),
        }
    }

    /// The profiles, those that measure the same added up: a request has one for each process and interval. Of the labels
    /// are left those in which they agree. What cannot be added up stays as it is.
    #[must_use]
    pub fn merged(self) -> Vec<Profile> {
        let mut places: HashMap<Measured, usize> = HashMap::new();
        let mut groups: Vec<Vec<Profile>> = Vec::new();
        for profile in self.profiles {
            let place = *places.entry(Measured::by(&profile)).or_insert(groups.len());
            match groups.get_mut(place) {
                Some(group) => group.push(profile),
                None => groups.push(vec![profile]),
            }
        }
        groups.into_iter().flat_map(sum).collect()
    }

    fn add(&mut self, kind: &Kind, labels: Vec<(String, String)>, pprof: Option<Vec<u8>>) {
        self.profiles.extend(pprof.map(|pprof| Profile {
            name: kind.name.to_owned(),
            labels,
            pprof,
        }));
    }
}

/// What a profile is about: its names, and the types and units of its values and of its period.
#[derive(PartialEq, Eq, Hash)]
struct Measured {
    name: String,
    /// The profile's own name, which those of speedscope have.
    own: Option<String>,
    types: Vec<(String, String)>,
}

impl Measured {
    fn by(profile: &Profile) -> Self {
        let decoded = pprof::Profile::decode(&*profile.pprof).unwrap_or_default();
        let text = |index: i64| {
            let index = usize::try_from(index).ok();
            let text = index.and_then(|index| decoded.string_table.get(index));
            text.cloned().unwrap_or_default()
        };
        let types = decoded.sample_type.iter().chain(&decoded.period_type);
        Self {
            name: profile.name.clone(),
            own: profile.own_name().map(str::to_owned),
            types: types
                .map(|kind| (text(kind.r#type), text(kind.unit)))
                .collect(),
        }
    }
}

fn sum(group: Vec<Profile>) -> Vec<Profile> {
    let [first, rest @ ..] = group.as_slice() else {
        return group;
    };
    let decoded = group
        .iter()
        .map(|profile| pprof::Profile::decode(&*profile.pprof))
        .collect::<Result<Vec<_>, _>>();
    let merged = decoded.ok().and_then(|profiles| merge(&profiles).ok());
    let Some(merged) = merged.filter(|_| !rest.is_empty()) else {
        return group;
    };
    let common = |label: &&(String, String)| rest.iter().all(|other| other.labels.contains(label));
    let sum = Profile {
        name: first.name.clone(),
        labels: first.labels.iter().filter(common).cloned().collect(),
        pprof: merged.encode_to_vec(),
    };
    vec![sum]
}

fn of_stacks(stacks: &Stacks, assumed: &Assumed<'_>) -> Result<Contents, error::Error> {
    let app = format!("file.{}", assumed.suffix);
    let (_, kind) = Kind::of_name(&app)?;
    let mut contents = Contents::default();
    contents.add(
        kind,
        Vec::new(),
        stacks.to_pprof(kind, assumed.rate, Timing::default())?,
    );
    Ok(contents)
}

fn of_jfr(
    payload: &[u8],
    assumed: &Assumed<'_>,
    limits: &Limits,
) -> Result<Contents, error::Error> {
    let options = jfr::Options {
        limits: *limits,
        rate: assumed.rate,
        timing: Timing::default(),
        labels: &jfr::LabelsSnapshot::default(),
    };
    let profiles = jfr::parse(payload, &options)?.profiles.into_iter();
    let profiles = profiles.map(|profile| Profile {
        name: profile.name.to_owned(),
        labels: Vec::new(),
        pprof: profile.pprof,
    });
    Ok(Contents {
        profiles: profiles.collect(),
        refused: Vec::new(),
    })
}

/// The part of a speedscope file that says what it measures.
#[derive(Deserialize)]
struct Units {
    profiles: Vec<Unit>,
}

#[derive(Deserialize)]
struct Unit {
    unit: String,
}

fn of_speedscope(
    payload: &[u8],
    assumed: &Assumed<'_>,
    limits: &Limits,
) -> Result<Contents, error::Error> {
    let units: Option<Units> = serde_json::from_slice(payload).ok();
    let first = units.as_ref().and_then(|units| units.profiles.first());
    // The name of an application says what is measured, and a file has none.
    let app = match first.map(|profile| profile.unit.as_str()) {
        Some("none") | None => format!("file.{}", assumed.suffix),
        Some(unit) => format!("file.{unit}"),
    };
    let mut contents = Contents::default();
    for profile in speedscope::parse(payload, &app, assumed.rate, limits)? {
        let named = match profile.name.as_str() {
            "" => Vec::new(),
            name => vec![(PROFILE_NAME.to_owned(), name.to_owned())],
        };
        contents.add(profile.kind, named, profile.to_pprof(Timing::default())?);
    }
    Ok(contents)
}

fn of_otlp(
    encoding: Encoding,
    payload: &[u8],
    assumed: &Assumed<'_>,
    limits: &Limits,
) -> Result<Contents, otlp::Error> {
    let export = match encoding {
        Encoding::Protobuf => Export::from_protobuf(payload),
        Encoding::Json => Export::from_json(payload),
    }?;
    let limits = otlp::Limits {
        profile_bytes: limits.profile_bytes,
        total_bytes: limits.profile_bytes,
    };
    let converted = export.convert(&limits, assumed.now_ns)?;
    let mut contents = Contents::default();
    for mut profile in converted.profiles {
        let is_name = |(name, _): &(String, String)| name == NAME;
        let name = profile
            .labels
            .iter()
            .position(is_name)
            .map(|at| profile.labels.swap_remove(at).1);
        contents.profiles.push(Profile {
            name: name.unwrap_or_default(),
            labels: profile.labels,
            pprof: profile.pprof,
        });
    }
    match (contents.profiles.is_empty(), converted.refused.first()) {
        (true, Some(refused)) => Err(refused.error.clone()),
        _ => {
            contents.refused = converted.refused;
            Ok(contents)
        }
    }
}

#[cfg(test)]
mod tests;
