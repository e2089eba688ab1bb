//! Objects whose inside is Kubernetes' own: passed on as they are, judged by the API server.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An object of any shape.
///
/// The schemas of some of Kubernetes' types (`Affinity`, `PodTemplateSpec`) are larger than all of ours; with them the
/// definition would pass what `kubectl apply` can keep in an annotation (field report B52).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Opaque(pub Map<String, Value>);

impl JsonSchema for Opaque {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Opaque".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
    }
}
