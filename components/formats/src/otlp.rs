//! OTLP profiles: one export request with many profiles that share a dictionary of symbols.
//!
//! Schema: `opentelemetry.proto.profiles.v1development` of opentelemetry-proto v1.10.0; our rules: api.md 4.6.
//! The signal is unstable: fields moved between its versions, so whatever looks like a request of another
//! version is refused with an error that says so.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod build;
mod error;
mod json;
mod labels;
mod place;
mod repair;
mod schema;
mod tables;

use std::borrow::Cow;
use std::fmt;

use opentelemetry_proto::tonic::collector::profiles::v1development::ExportProfilesServiceRequest;
use opentelemetry_proto::tonic::profiles::v1development as proto;
use prost::Message;

pub use self::error::{Encoding, Error};
pub use opentelemetry_proto::tonic::collector::profiles::v1development::{
    ExportProfilesPartialSuccess, ExportProfilesServiceResponse,
};

use self::build::Budget;
use self::tables::Tables;

/// A request, read.
#[derive(Debug)]
pub struct Export {
    request: ExportProfilesServiceRequest,
    /// Strings in which bytes that are not UTF-8 were replaced by U+FFFD.
    pub repaired_strings: u64,
}

/// How much may come out of a request.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one pprof; `max_profile_size_bytes`.
    pub profile_bytes: usize,
    /// Bytes of all of them; `ingestion_body_limit_mb`. A few bytes of a request can stand for a long stack,
    /// again and again.
    pub total_bytes: usize,
}

/// Where a profile stands in its request; all count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// In `resource_profiles`.
    pub resource: usize,
    /// In `scope_profiles` of that.
    pub scope: usize,
    /// In `profiles` of that.
    pub profile: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            resource,
            scope,
            profile,
        } = self;
        write!(f, "resource {resource}, scope {scope}, profile {profile}")
    }
}

/// The samples of one profile that belong to one service.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The profile that they are from.
    pub place: Place,
    /// Labels of the series, every name once.
    pub labels: Vec<(String, String)>,
    /// Uncompressed pprof of one sample type.
    pub pprof: Vec<u8>,
}

/// A profile that cannot be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// The profile.
    pub place: Place,
    /// Why.
    pub error: Error,
    /// Its size in the request, without what it uses of the dictionary.
    pub bytes: usize,
}

/// What became of a request.
#[derive(Debug, Default)]
pub struct Converted {
    /// What can be stored. Profiles without samples are not here: there is nothing in them.
    pub profiles: Vec<Profile>,
    /// Profiles that cannot, in the order of the request.
    pub refused: Vec<Refused>,
    /// Number of profiles in the request.
    pub received: usize,
    /// Values below zero, left out.
    pub negative_values: u64,
}

impl Export {
    /// Reads protobuf.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn from_protobuf(body: &[u8]) -> Result<Self, Error> {
        let malformed = |error: prost::DecodeError| match place::first_fault(body) {
            Some(at) => Error::malformed(Encoding::Protobuf, format_args!("byte {at}: {error}")),
            None => Error::malformed(Encoding::Protobuf, error),
        };
        let error = match ExportProfilesServiceRequest::decode(body) {
            Ok(request) => {
                return Ok(Self {
                    request,
                    repaired_strings: 0,
                });
            }
            Err(error) => error,
        };
        // The likely reason is a string that is not UTF-8: no name that a profiler cut may cost the profile.
        let (repaired, strings) = repair::strings(body).ok_or_else(|| malformed(error))?;
        let request = ExportProfilesServiceRequest::decode(&*repaired).map_err(malformed)?;
        Ok(Self {
            request,
            repaired_strings: strings,
        })
    }

    /// Reads OTLP/JSON.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn from_json(body: &[u8]) -> Result<Self, Error> {
        let text = String::from_utf8_lossy(body);
        let repaired_strings = u64::from(matches!(text, Cow::Owned(_)));
        let protobuf = json::to_protobuf(&text, &schema::REQUEST)
            .map_err(|error| Error::malformed(Encoding::Json, error))?;
        let request = ExportProfilesServiceRequest::decode(&*protobuf)
            .map_err(|error| Error::malformed(Encoding::Json, error))?;
        Ok(Self {
            request,
            repaired_strings,
        })
    }

    /// The profiles as pprof, those without a time taken at `now_ns`.
    ///
    /// # Errors
    /// [`Error::Missing`] for a request that consists of nothing. What is wrong with a profile costs that
    /// profile only, see [`Converted::refused`].
    pub fn convert(&self, limits: &Limits, now_ns: i64) -> Result<Converted, Error> {
        if self.request.resource_profiles.is_empty() {
            return Err(Error::Missing("resource_profiles"));
        }
        let dictionary = self.request.dictionary.as_ref();
        let tables = Tables::new(dictionary.ok_or(Error::Missing("dictionary"))?);
        let mut converted = Converted::default();
        let mut budget = Budget::new(limits);
        for (resource, of_resource) in self.request.resource_profiles.iter().enumerate() {
            for (scope, of_scope) in of_resource.scope_profiles.iter().enumerate() {
                let labels = labels::Shared::new(&tables, of_resource, of_scope);
                for (profile, message) in of_scope.profiles.iter().enumerate() {
                    let place = Place {
                        resource,
                        scope,
                        profile,
                    };
                    converted.received = converted.received.saturating_add(1);
                    converted.add(place, message, &tables, &labels, &mut budget, now_ns);
                }
            }
        }
        Ok(converted)
    }
}

impl Converted {
    fn add(
        &mut self,
        place: Place,
        message: &proto::Profile,
        tables: &Tables<'_>,
        labels: &Result<labels::Shared<'_>, Error>,
        budget: &mut Budget,
        now_ns: i64,
    ) {
        let built = labels.as_ref().map_err(Error::clone).and_then(|labels| {
            let built = build::profile(message, tables, budget, now_ns)?;
            for (service, _) in &built.services {
                let own = built.name.len().saturating_add(service.map_or(0, str::len));
                budget.take_labels(labels.size().saturating_add(own))?;
            }
            Ok((labels, built))
        });
        match built {
            Ok((labels, built)) => {
                self.negative_values = self.negative_values.saturating_add(built.negative_values);
                for (service, pprof) in built.services {
                    let labels = labels.of_service(built.name, service);
                    self.profiles.push(Profile {
                        place,
                        labels,
                        pprof,
                    });
                }
            }
            Err(error) => self.refused.push(Refused {
                place,
                error,
                bytes: message.encoded_len(),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
