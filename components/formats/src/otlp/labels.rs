//! The labels of a series, from the attributes of resource and scope.

use std::collections::HashSet;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::profiles::v1development as proto;
use phlare_model::labels::names::{DELTA, NAME, OTEL, SERVICE_NAME, UNKNOWN_SERVICE};

use super::error::Error;
use super::tables::{From, Tables};

/// The attribute that names the service, of a resource or of a sample.
pub(super) const SERVICE: &str = "service.name";

const EXECUTABLE: &str = "process.executable.name";

/// Labels that all profiles of a scope have.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    attributes: Vec<(&'a str, String)>,
}

impl<'a> Shared<'a> {
    /// Attributes of the resource, then of the scope; the first of each name counts.
    pub(super) fn new(
        tables: &Tables<'a>,
        resource: &'a proto::ResourceProfiles,
        scope: &'a proto::ScopeProfiles,
    ) -> Result<Self, Error> {
        let none: &[KeyValue] = &[];
        let of_resource = resource
            .resource
            .as_ref()
            .map_or(none, |resource| &resource.attributes);
        let of_scope = scope.scope.as_ref().map_or(none, |scope| &scope.attributes);
        let of_resource = of_resource
            .iter()
            .enumerate()
            .map(|(at, attribute)| (From("resource attribute", at), attribute));
        let of_scope = of_scope
            .iter()
            .enumerate()
            .map(|(at, attribute)| (From("scope attribute", at), attribute));
        let mut seen = HashSet::new();
        let mut attributes = Vec::new();
        for (from, attribute) in of_resource.chain(of_scope) {
            let key = tables.key(attribute, from)?;
            // Names that begin with `__` are the server's to set, and the service has its own rule.
            if key.is_empty() || key.starts_with("__") || key == SERVICE_NAME {
                continue;
            }
            if let Some(value) = tables.label(attribute.value.as_ref(), from)?
                && seen.insert(key)
            {
                attributes.push((key, value));
            }
        }
        Ok(Self { attributes })
    }

    /// The labels of a profile with this `__name__`, whose samples may name their service themselves.
    pub(super) fn of_service(&self, name: &str, service: Option<&str>) -> Vec<(String, String)> {
        let service = match service.or_else(|| self.get(SERVICE)) {
            Some(service) => service.to_owned(),
            None => match self.get(EXECUTABLE) {
                Some(executable) => format!("{UNKNOWN_SERVICE}:{executable}"),
                None => UNKNOWN_SERVICE.to_owned(),
            },
        };
        let own = [
            (DELTA, "false"),
            (OTEL, "true"),
            (NAME, name),
            (SERVICE_NAME, &service),
        ];
        let attributes = self
            .attributes
            .iter()
            .map(|(key, value)| (*key, value.as_str()));
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        own.into_iter().chain(attributes).map(owned).collect()
    }

    /// At least the bytes of all labels of a profile.
    pub(super) fn size(&self) -> usize {
        let sizes = self
            .attributes
            .iter()
            .map(|(key, value)| key.len().saturating_add(value.len()));
        sizes.fold(0, usize::saturating_add)
    }

    fn get(&self, key: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(other, _)| *other == key);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }
}
