//! The CustomResourceDefinition.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

use crate::PhlareCluster;

/// The definition of `PhlareCluster`, as it goes into a Kubernetes.
#[must_use]
pub fn definition() -> CustomResourceDefinition {
    PhlareCluster::crd()
}

/// The same as JSON, without what an API server would only warn about.
///
/// # Errors
/// Never: the definition is made of types that have a form in JSON.
pub fn json() -> Result<Value, serde_json::Error> {
    let mut value = serde_json::to_value(definition())?;
    strip(&mut value);
    Ok(value)
}

/// `nullable` invites manifests with `null`, which mean the same as without; numbers have no `format` that says more than
/// their range.
fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("nullable") == Some(&Value::Bool(true)) {
                map.remove("nullable");
            }
            map.values_mut().for_each(strip);
        }
        Value::Array(values) => values.iter_mut().for_each(strip),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubectl_apply_can_keep_the_definition_in_an_annotation() {
        let text = serde_yaml::to_string(&json().unwrap()).unwrap();
        assert!(text.len() < 200_000, "{} bytes", text.len());
    }
}
