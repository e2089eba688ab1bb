//! What Prometheus and Grafana are told: nothing that a pod needs.

mod alerts;
mod dashboards;
mod datasource;
mod panels;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::{ApiResource, GroupVersionKind};
use phlare_operator_api::DatasourceKind;
use serde_json::{Value, json};

use super::meta::labels;
use super::{Error, Meta, Object, ZONE};

/// Label of all figures of a resource, beside `namespace`.
const CLUSTER: &str = "phlare_cluster";

/// A kind whose definition need not be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Optional {
    /// Its group.
    pub group: &'static str,
    /// Version of the group.
    pub version: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// Its name in paths.
    pub plural: &'static str,
    /// Who brings its definition.
    pub by: &'static str,
}

impl Optional {
    /// Where its API is.
    #[must_use]
    pub fn resource(self) -> ApiResource {
        let kind = GroupVersionKind::gvk(self.group, self.version, self.kind);
        ApiResource::from_gvk_with_plural(&kind, self.plural)
    }
}

/// Kinds of which the operator makes objects if their definitions are there.
pub const OPTIONAL: [Optional; 4] = [
    Optional {
        group: "monitoring.coreos.com",
        version: "v1",
        kind: "ServiceMonitor",
        plural: "servicemonitors",
        by: "the Prometheus operator",
    },
    Optional {
        group: "monitoring.coreos.com",
        version: "v1",
        kind: "PrometheusRule",
        plural: "prometheusrules",
        by: "the Prometheus operator",
    },
    Optional {
        group: "grafana.integreatly.org",
        version: "v1beta1",
        kind: "GrafanaDatasource",
        plural: "grafanadatasources",
        by: "the Grafana operator",
    },
    Optional {
        group: "keda.sh",
        version: "v1alpha1",
        kind: "ScaledObject",
        plural: "scaledobjects",
        by: "KEDA",
    },
];

/// Everything that the resource asks for.
pub(super) fn objects(meta: &Meta<'_>) -> Result<Vec<Object>, Error> {
    let monitoring = &meta.spec.monitoring;
    let [monitor, rule, grafana, _] = OPTIONAL;
    let mut objects = Vec::new();
    if monitoring.service_monitor.enabled {
        let labels = &monitoring.service_monitor.labels;
        objects.push(custom(meta, monitor, labels, &service_monitor(meta))?);
    }
    if monitoring.prometheus_rule.enabled {
        let labels = &monitoring.prometheus_rule.labels;
        let groups = json!({"groups": alerts::groups(&Scope::of(meta))});
        objects.push(custom(meta, rule, labels, &groups)?);
    }
    if monitoring.dashboards.enabled {
        let labels = &monitoring.dashboards.labels;
        let files = dashboards::files(meta)?;
        objects.push(Object::of(&files_in(meta, "dashboards", labels, files))?);
    }
    let source = &meta.spec.grafana.datasource;
    if source.enabled {
        objects.push(match source.kind {
            DatasourceKind::ConfigMap => {
                let files = datasource::file(meta, source)?;
                let files = BTreeMap::from([files]);
                Object::of(&files_in(meta, "datasource", &source.labels, files))?
            }
            DatasourceKind::GrafanaDatasource => {
                let spec = datasource::resource(meta, source)?;
                custom(meta, grafana, &source.labels, &spec)?
            }
        });
    }
    Ok(objects)
}

/// An object of an optional kind, named as the resource.
fn custom(
    meta: &Meta<'_>,
    kind: Optional,
    labels: &BTreeMap<String, String>,
    spec: &Value,
) -> Result<Object, Error> {
    let resource = kind.resource();
    let metadata = meta.object(meta.name.to_owned(), labelled(meta, labels));
    Ok(Object {
        name: meta.name.to_owned(),
        body: json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": serde_json::to_value(metadata)?,
            "spec": spec,
        }),
        resource,
    })
}

fn files_in(
    meta: &Meta<'_>,
    what: &str,
    labels: &BTreeMap<String, String>,
    files: BTreeMap<String, String>,
) -> ConfigMap {
    ConfigMap {
        metadata: meta.object(meta.named(what), labelled(meta, labels)),
        data: Some(files),
        ..ConfigMap::default()
    }
}

/// Labels by which others select an object, and those by which the operator knows it.
fn labelled(meta: &Meta<'_>, labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut all = labels.clone();
    all.extend(meta.labels());
    all
}

/// Scrapes all pods through the one Service in which all are, which is the one without a component.
fn service_monitor(meta: &Meta<'_>) -> Value {
    let of_pod = |label: &str, target: &str| {
        let letters = label.replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
        let source = format!("__meta_kubernetes_pod_label_{letters}");
        json!({"sourceLabels": [source], "targetLabel": target})
    };
    json!({
        "selector": {
            "matchLabels": meta.selector(None, None),
            "matchExpressions": [{"key": labels::COMPONENT, "operator": "DoesNotExist"}],
        },
        "endpoints": [{
            "port": "http",
            "path": "/metrics",
            "interval": meta.spec.monitoring.service_monitor.interval,
            "relabelings": [
                {"targetLabel": CLUSTER, "replacement": meta.name},
                of_pod(labels::COMPONENT, "component"),
                of_pod(ZONE, "zone"),
            ],
        }],
    })
}

/// Which figures are meant, in PromQL.
struct Scope {
    namespace: String,
    name: String,
}

impl Scope {
    fn of(meta: &Meta<'_>) -> Self {
        Self {
            namespace: meta.namespace.to_owned(),
            name: meta.name.to_owned(),
        }
    }

    /// `template` about this resource: `$$` is what selects its figures, to be followed by more.
    fn query(&self, template: &str) -> String {
        let Self { namespace, name } = self;
        let figures = format!(r#"namespace="{namespace}",{CLUSTER}="{name}""#);
        template.replace("$$", &figures)
    }

    /// The same about what the operator says of this resource.
    fn operators_query(&self, template: &str) -> String {
        let Self { namespace, name } = self;
        let figures = format!(r#"of_namespace="{namespace}",of_cluster="{name}""#);
        template.replace("$$", &figures)
    }
}

/// Routes on which profiles come, as a label has them.
const PUSHES: &str = "push_v1_.*|ingest|v1development_profiles|opentelemetry_proto_.*";
/// Routes on which queries come.
const QUERIES: &str = "querier_v1_.*|pyroscope_.*";
