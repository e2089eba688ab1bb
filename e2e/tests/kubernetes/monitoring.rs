//! What Prometheus and Grafana are told: only where their operators are, and only figures that there are.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use phlare_e2e::{Pprof, Server, client::CPU, kubernetes, now_ns, programs, until};
use serde_json::{Value, json};

use crate::bench::{Bench, bench};

const OTHERS: [(&str, &str, &str, &str); 3] = [
    (
        "monitoring.coreos.com",
        "v1",
        "ServiceMonitor",
        "servicemonitors",
    ),
    (
        "monitoring.coreos.com",
        "v1",
        "PrometheusRule",
        "prometheusrules",
    ),
    (
        "grafana.integreatly.org",
        "v1beta1",
        "GrafanaDatasource",
        "grafanadatasources",
    ),
];

fn asked(enabled: bool) -> Value {
    json!({
        "monitoring": {
            "serviceMonitor": {"enabled": enabled, "labels": {"release": "prometheus"}},
            "prometheusRule": {"enabled": enabled},
            "dashboards": {"enabled": enabled},
        },
        "grafana": {"datasource": {"enabled": enabled, "kind": "GrafanaDatasource", "instanceSelector": {}}},
    })
}

/// The kinds of the other operators, as far as their names go.
async fn define(bench: &Bench) {
    let definitions = OTHERS.map(|(group, version, kind, plural)| {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.{group}")},
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
                "versions": [{
                    "name": version, "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
                }],
            },
        })
    });
    let definitions = definitions.map(|definition| serde_json::from_value(definition).unwrap());
    kubernetes::apply(&bench.client, "default", &definitions)
        .await
        .unwrap();
}

fn api(bench: &Bench, kind: &str) -> Api<DynamicObject> {
    let (group, version, kind, plural) = OTHERS.into_iter().find(|other| other.2 == kind).unwrap();
    let resource =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    Api::namespaced_with(bench.client.clone(), &bench.namespace, &resource)
}

#[tokio::test]
async fn what_others_define_is_made_where_it_is_defined() {
    let Some(bench) = bench().await else { return };
    bench.create("told", asked(true)).await;
    let missing = bench
        .wait("told", "MonitoringActive", "False", "CrdMissing")
        .await;
    let said =
        "this Kubernetes has no ServiceMonitor and PrometheusRule (monitoring.coreos.com/v1)";
    assert!(missing.message.starts_with(said), "{}", missing.message);
    assert!(
        missing.message.contains("install the Prometheus operator"),
        "{}",
        missing.message
    );
    // Nothing waits for it.
    bench.ready("told").await;
    let maps: Api<ConfigMap> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let boards = maps.get("told-dashboards").await.unwrap();
    assert_eq!(boards.labels()["grafana_dashboard"], "1");

    define(&bench).await;
    bench
        .wait("told", "MonitoringActive", "True", "Active")
        .await;
    let monitor = api(&bench, "ServiceMonitor").get("told").await.unwrap();
    assert_eq!(monitor.labels()["release"], "prometheus");
    let rule = api(&bench, "PrometheusRule").get("told").await.unwrap();
    let source = api(&bench, "GrafanaDatasource").get("told").await.unwrap();
    let url = format!("http://told.{}:4040", bench.namespace);
    assert_eq!(source.data["spec"]["datasource"]["url"], json!(url));

    // What others add stays, and is no reason to write.
    let theirs = Patch::Merge(
        json!({"spec": {"sampleLimit": 7}, "metadata": {"annotations": {"theirs": "stays"}}}),
    );
    let params = PatchParams::default();
    api(&bench, "ServiceMonitor")
        .patch("told", &params, &theirs)
        .await
        .unwrap();
    nothing_is_written(&bench, "told").await;
    let monitor = api(&bench, "ServiceMonitor").get("told").await.unwrap();
    assert_eq!(
        (
            &monitor.annotations()["theirs"],
            &monitor.data["spec"]["sampleLimit"]
        ),
        (&"stays".to_owned(), &json!(7))
    );

    let named = names(&rule, &boards);
    assert!(named.len() > 40, "{named:?}");
    exported(&named).await;

    bench.change("told", asked(false)).await;
    until("all of it is gone", async || {
        let mut left = maps.get_opt("told-dashboards").await?.is_some();
        for (_, _, kind, _) in OTHERS {
            left |= !api(&bench, kind)
                .list(&ListParams::default())
                .await?
                .items
                .is_empty();
        }
        let told = bench.clusters().get("told").await?.status.unwrap();
        left |= told
            .conditions
            .iter()
            .any(|condition| condition.type_ == "MonitoringActive");
        Ok(!left)
    })
    .await
    .unwrap();
    bench.ready("told").await;
}

/// A pass that sees what is there writes nothing.
async fn nothing_is_written(bench: &Bench, name: &str) {
    let audit = bench.cluster.audit();
    let mark = audit.mark().unwrap();
    let touch = Patch::Merge(json!({"metadata": {"annotations": {"touched": "yes"}}}));
    bench
        .clusters()
        .patch(name, &PatchParams::default(), &touch)
        .await
        .unwrap();
    until("the operator has looked", async || {
        let mine = audit.since(mark, bench.user)?;
        let mut here = mine
            .iter()
            .filter(|request| request.namespace == bench.namespace);
        Ok(here
            .any(|request| request.verb == "list" && request.resource == "persistentvolumeclaims"))
    })
    .await
    .unwrap();
    let mine = audit.since(mark, bench.user).unwrap();
    let here = mine
        .iter()
        .filter(|request| request.namespace == bench.namespace);
    let writes: Vec<_> = here.filter(|request| request.is_write()).collect();
    assert!(writes.is_empty(), "{writes:?}");
}

/// Figures that rules and dashboards name.
fn names(rule: &DynamicObject, boards: &ConfigMap) -> BTreeSet<String> {
    let mut expressions = Vec::new();
    collect(&rule.data, &mut expressions);
    for text in boards.data.iter().flat_map(BTreeMap::values) {
        collect(&serde_json::from_str(text).unwrap(), &mut expressions);
    }
    expressions
        .iter()
        .flat_map(|expression| figures(expression))
        .collect()
}

fn collect(value: &Value, expressions: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value.as_str() {
                    Some(text) if key == "expr" || key == "query" => {
                        expressions.push(text.to_owned())
                    }
                    _ => collect(value, expressions),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, expressions)),
        _ => {}
    }
}

/// Names in an expression that are those of figures: what stands before braces, but for functions and labels.
fn figures(expression: &str) -> Vec<String> {
    let mut rest = expression;
    let mut found = Vec::new();
    while let Some((before, after)) = rest.split_once('{') {
        let name = before.rsplit(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        found.extend(name.take(1).map(ToOwned::to_owned));
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    found
}

/// A figure without what Prometheus appends.
fn stem(name: &str) -> &str {
    let ends = ["_total", "_bucket", "_count", "_sum"];
    ends.iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(name)
}

/// Each figure is on the page of a server that took a profile and answered a query; or, if only processes of another
/// kind or with another fate have it, in the source text by its name.
async fn exported(named: &BTreeSet<String>) {
    let server = Server::start().await.unwrap();
    let client = server.client().unwrap();
    let profile = Pprof::cpu().at(now_ns()).stack(&["main"], &[1]).bytes();
    client
        .push(
            &[("__name__", "process_cpu"), ("service_name", "shop")],
            profile,
        )
        .await
        .unwrap();
    client.total(CPU, "{}").await.unwrap();
    let page = client.get("/metrics").await.unwrap().ok().unwrap().text();
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let samples: BTreeSet<_> = samples
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let declared: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let mut sources = String::new();
    for room in ["components", "operator/src"] {
        read_all(&programs::workspace().join(room), &mut sources);
    }
    let (mut on_page, mut unknown) = (0, Vec::new());
    for name in named.iter().filter(|name| *name != "up") {
        if samples.contains(name.as_str()) {
            on_page += 1;
        } else if declared.contains(stem(name)) {
            // Declared as something else: a rate of it would never have a value.
            let kind = format!("# TYPE {} ", stem(name));
            let kind = page.lines().find(|line| line.starts_with(&kind)).unwrap();
            let fits = match name.strip_prefix(stem(name)).unwrap() {
                "_total" => kind.ends_with(" counter"),
                "" => kind.ends_with(" gauge"),
                _ => kind.ends_with(" histogram"),
            };
            assert!(fits, "{name} against {kind}");
        } else if !is_registered(&sources, name) {
            unknown.push(name);
        }
    }
    assert!(unknown.is_empty(), "nobody exports {unknown:?}");
    assert!(
        on_page > 20,
        "only {on_page} of {} are on the page",
        named.len()
    );
}

/// Whether the source text has a figure's name, alone, without what Prometheus appends, or without its unit.
fn is_registered(sources: &str, name: &str) -> bool {
    let stem = stem(name);
    let bare = ["_seconds", "_bytes"].iter();
    let bare = bare.filter_map(|unit| stem.strip_suffix(unit));
    let mut spellings = [name, stem].into_iter().chain(bare);
    spellings.any(|spelling| sources.contains(&format!("\"{spelling}\"")))
}

fn read_all(directory: &std::path::Path, text: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}
