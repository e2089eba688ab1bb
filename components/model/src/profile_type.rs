//! Profile types: what the values of a profile mean.
//!
//! Source: api.md 1.9.

use std::fmt;
use std::str::FromStr;

use phlare_proto::types::v1 as proto;

use crate::error::{Classify, ErrorKind};

/// `name:sample_type:sample_unit:period_type:period_unit`, such as `process_cpu:cpu:nanoseconds:cpu:nanoseconds`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileType {
    /// The profile's name: `process_cpu`, `memory`, …
    pub name: String,
    /// What is counted: `cpu`, `alloc_space`, …
    pub sample_type: String,
    /// The unit of the values.
    pub sample_unit: String,
    /// What the period counts; may be empty.
    pub period_type: String,
    /// The unit of the period; may be empty.
    pub period_unit: String,
}

/// Why a text is no profile type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "profile type {id:?} has {parts} parts: expected `<name>:<sample-type>:<sample-unit>:<period-type>:<period-unit>` \
     (5 parts, or 6 with a trailing `:delta`)"
)]
pub struct ProfileTypeError {
    /// The text, shortened if it is long.
    pub id: String,
    /// Its parts between colons.
    pub parts: usize,
}

impl ProfileType {
    /// The message with this type.
    #[must_use]
    pub fn to_proto(&self) -> proto::ProfileType {
        proto::ProfileType {
            id: self.to_string(),
            name: self.name.clone(),
            sample_type: self.sample_type.clone(),
            sample_unit: self.sample_unit.clone(),
            period_type: self.period_type.clone(),
            period_unit: self.period_unit.clone(),
        }
    }
}

impl FromStr for ProfileType {
    type Err = ProfileTypeError;

    /// A sixth part is allowed and forgotten: it was `delta` once, and never part of the type.
    fn from_str(id: &str) -> Result<Self, ProfileTypeError> {
        let mut parts = id.split(':');
        let mut next = || parts.next().map(str::to_owned);
        let (
            Some(name),
            Some(sample_type),
            Some(sample_unit),
            Some(period_type),
            Some(period_unit),
        ) = (next(), next(), next(), next(), next())
        else {
            return Err(ProfileTypeError::new(id));
        };
        if parts.nth(1).is_some() {
            return Err(ProfileTypeError::new(id));
        }
        Ok(Self {
            name,
            sample_type,
            sample_unit,
            period_type,
            period_unit,
        })
    }
}

impl fmt::Display for ProfileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            sample_type,
            sample_unit,
            period_type,
            period_unit,
        } = self;
        write!(
            f,
            "{name}:{sample_type}:{sample_unit}:{period_type}:{period_unit}"
        )
    }
}

impl ProfileTypeError {
    fn new(id: &str) -> Self {
        const SHOWN: usize = 128;
        let parts = id.split(':').count();
        let id = match id.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", &id[..end]),
            None => id.to_owned(),
        };
        Self { id, parts }
    }
}

impl Classify for ProfileTypeError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        let check = |id: &str, expected: Result<&str, usize>| {
            let parsed = id.parse::<ProfileType>();
            assert_eq!(
                parsed.map(|t| t.to_string()).map_err(|e| e.parts),
                expected.map(str::to_owned),
                "{id:?}"
            );
        };
        check(
            "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
            Ok("process_cpu:cpu:nanoseconds:cpu:nanoseconds"),
        );
        check(
            "memory:inuse_space:bytes:space:bytes:delta",
            Ok("memory:inuse_space:bytes:space:bytes"),
        );
        check("wall:cpu:nanoseconds::", Ok("wall:cpu:nanoseconds::"));
        check("::::", Ok("::::"));
        check("", Err(1));
        check("process_cpu", Err(1));
        check("a:b:c:d", Err(4));
        check("a:b:c:d:e:f:g", Err(7));
    }

    #[test]
    fn a_refusal_names_the_form_and_the_number_of_parts() {
        let error = "cpu".parse::<ProfileType>().unwrap_err().to_string();
        assert!(error.contains("1 parts"), "{error}");
        assert!(
            error.contains("<name>:<sample-type>:<sample-unit>:<period-type>:<period-unit>"),
            "{error}"
        );
    }

    #[test]
    fn a_refusal_of_a_long_text_is_short() {
        let error = "é".repeat(100_000).parse::<ProfileType>().unwrap_err();
        assert!(error.to_string().len() < 600);
    }

    #[test]
    fn the_message_carries_every_part() {
        let message = "a:b:c:d:e:delta".parse::<ProfileType>().unwrap().to_proto();
        assert_eq!(
            message,
            proto::ProfileType {
                id: "a:b:c:d:e".into(),
                name: "a".into(),
                sample_type: "b".into(),
                sample_unit: "c".into(),
                period_type: "d".into(),
                period_unit: "e".into(),
            }
        );
    }
}
