//! Grafana's data source.

use phlare_operator_api::Datasource;
use serde_json::{Value, json};

use super::super::{Error, Meta, PORT};
use crate::hash;

/// A provisioning file, and its name: the sidecar puts files of all namespaces into one directory.
pub(super) fn file(
    meta: &Meta<'_>,
    source: &Datasource,
) -> Result<(String, String), serde_json::Error> {
    let mut entry = entry(meta, source);
    let place = format!("{}/{}", meta.namespace, meta.name);
    entry["uid"] = Value::from(format!("phlare-{}", hash::of(place.as_bytes())));
    // JSON is YAML.
    let text = serde_json::to_string_pretty(&json!({"apiVersion": 1, "datasources": [entry]}))?;
    Ok((
        format!("phlare-{}-{}.yaml", meta.namespace, meta.name),
        text,
    ))
}

/// What a GrafanaDatasource says.
pub(super) fn resource(meta: &Meta<'_>, source: &Datasource) -> Result<Value, Error> {
    Ok(json!({
        "allowCrossNamespaceImport": true,
        "instanceSelector": source.instance_selector.clone().unwrap_or_default(),
        "datasource": entry(meta, source),
    }))
}

fn entry(meta: &Meta<'_>, source: &Datasource) -> Value {
    let mut entry = json!({
        "name": format!("Phlare {} ({})", meta.name, meta.namespace),
        "type": "grafana-pyroscope-datasource",
        "access": "proxy",
        "url": format!("http://{}.{}:{PORT}", meta.name, meta.namespace),
    });
    if let Some(tenant) = &source.tenant {
        entry["jsonData"] = json!({"httpHeaderName1": "X-Scope-OrgID"});
        // Grafana takes values of headers from here only; a tenant's name is no secret.
        entry["secureJsonData"] = json!({"httpHeaderValue1": tenant});
    }
    entry
}
