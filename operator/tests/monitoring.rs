//! What Prometheus and Grafana are told.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeSet;

use phlare_operator::credentials::Credentials;
use phlare_operator::desired::{Desired, Inputs, desired};
use phlare_operator_api::PhlareCluster;
use serde_json::{Value, json};

fn made(spec: &Value) -> Desired {
    let cluster: PhlareCluster = serde_json::from_value(json!({
        "apiVersion": "phlare.dev/v1alpha1",
        "kind": "PhlareCluster",
        "metadata": {"name": "prod", "namespace": "obs", "uid": "00000000-0000-0000-0000-000000000001"},
        "spec": spec,
    }))
    .unwrap();
    let inputs = Inputs {
        cluster: &cluster,
        image: "phlare/phlare:0.1.0".to_owned(),
        version: "0.1.0".to_owned(),
        credentials: &Credentials::default(),
        operator_namespace: "phlare-operator",
    };
    desired(&inputs).unwrap()
}

fn everything() -> Value {
    json!({
        "networkPolicy": {"mode": "RestrictIngress"},
        "tenancy": {"enabled": true},
        "monitoring": {
            "serviceMonitor": {"enabled": true, "interval": "1m", "labels": {"release": "prometheus"}},
            "prometheusRule": {"enabled": true, "labels": {"release": "prometheus"}},
            "dashboards": {"enabled": true},
        },
        "grafana": {"datasource": {"enabled": true, "tenant": "team-a"}},
    })
}

fn of<'a>(desired: &'a Desired, kind: &str, name: &str) -> &'a Value {
    let mut all = desired.monitoring.iter().chain(&desired.objects);
    let found = all.find(|object| object.resource.kind == kind && object.name == name);
    &found.unwrap().body
}

fn dashboards(desired: &Desired) -> Vec<(String, Value)> {
    let files = of(desired, "ConfigMap", "prod-dashboards")["data"]
        .as_object()
        .unwrap();
    let read = |text: &Value| serde_json::from_str(text.as_str().unwrap()).unwrap();
    files
        .iter()
        .map(|(name, text)| (name.clone(), read(text)))
        .collect()
}

/// Dashboards as a list of what they show; their JSON is long.
fn outline(desired: &Desired) -> String {
    let mut lines = Vec::new();
    for (name, dashboard) in dashboards(desired) {
        lines.push(format!(
            "{name}: {} {}",
            dashboard["uid"], dashboard["title"]
        ));
        for panel in dashboard["panels"].as_array().unwrap() {
            lines.push(format!("  {} {}", panel["title"], panel["gridPos"]));
            for target in panel["targets"].as_array().into_iter().flatten() {
                lines.push(format!("    {}", target["expr"].as_str().unwrap()));
            }
        }
    }
    lines.join("\n")
}

#[test]
fn everything_that_can_be_told() {
    let desired = made(&everything());
    let text = |kind, name| serde_yaml::to_string(of(&desired, kind, name)).unwrap();
    let all = [
        text("ServiceMonitor", "prod"),
        text("PrometheusRule", "prod"),
        text("ConfigMap", "prod-datasource"),
        text("NetworkPolicy", "prod-metrics"),
        text("Service", "prod-members"),
        outline(&desired),
    ];
    insta::assert_snapshot!(all.join("---\n"));
}

#[test]
fn nothing_is_told_unless_it_is_asked_for() {
    assert_eq!(made(&json!({})).monitoring, []);
}

#[test]
fn one_service_has_all_pods_and_no_component() {
    // The ServiceMonitor selects by that: another Service without a component would have pods scraped twice.
    for mode in ["Monolithic", "Microservices"] {
        let mut spec = everything();
        spec["mode"] = json!(mode);
        spec["storage"] = json!({"type": "S3", "s3": {"bucket": "profiles", "authentication": "WorkloadIdentity"}});
        let desired = made(&spec);
        let services = desired
            .objects
            .iter()
            .filter(|object| object.resource.kind == "Service");
        let without: Vec<_> = services
            .filter(|object| {
                object.body["metadata"]["labels"]
                    .get("app.kubernetes.io/component")
                    .is_none()
            })
            .map(|object| object.name.as_str())
            .collect();
        assert_eq!(without, ["prod-members"]);
    }
}

#[test]
fn a_grafana_of_the_grafana_operator_gets_its_data_source_from_another_namespace() {
    let select = json!({"matchLabels": {"dashboards": "grafana"}});
    let desired = made(&json!({"grafana": {"datasource": {
        "enabled": true, "kind": "GrafanaDatasource", "instanceSelector": select,
    }}}));
    let source = of(&desired, "GrafanaDatasource", "prod");
    assert_eq!(source["apiVersion"], "grafana.integreatly.org/v1beta1");
    assert_eq!(
        source["spec"],
        json!({
            "allowCrossNamespaceImport": true,
            "instanceSelector": select,
            "datasource": {
                "name": "Phlare prod (obs)",
                "type": "grafana-pyroscope-datasource",
                "access": "proxy",
                "url": "http://prod.obs:4040",
            },
        })
    );
}

#[test]
fn alerts_have_names_of_their_own_and_say_what_to_do() {
    let desired = made(&everything());
    let rule = of(&desired, "PrometheusRule", "prod");
    let groups = rule["spec"]["groups"].as_array().unwrap();
    let mut names = BTreeSet::new();
    for rule in groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
    {
        let name = rule["alert"].as_str().unwrap();
        assert!(names.insert(name), "{name} is there twice");
        let expression = rule["expr"].as_str().unwrap();
        assert!(
            expression.contains("\"obs\"") && expression.contains("\"prod\""),
            "{name}: {expression}"
        );
        let annotations = &rule["annotations"];
        assert!(
            annotations["summary"]
                .as_str()
                .unwrap()
                .starts_with("Phlare obs/prod: "),
            "{name}"
        );
        assert!(
            annotations["description"].as_str().unwrap().len() > 40,
            "{name}"
        );
    }
    assert!(names.len() > 15, "{names:?}");
}

#[test]
fn panels_have_identities_and_places_of_their_own() {
    for (name, dashboard) in dashboards(&made(&everything())) {
        let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
        for panel in dashboard["panels"].as_array().unwrap() {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: {panel}");
            let place = |side: &str| panel["gridPos"][side].as_u64().unwrap();
            assert!(place("x") + place("w") <= 24, "{name}: {panel}");
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(cells.insert((x, y)), "{name}: {panel} lies on another one");
                }
            }
        }
        assert!(dashboard["uid"].as_str().unwrap().len() <= 40, "{name}");
    }
}

#[test]
fn two_resources_share_no_file_and_no_identity() {
    let other = |desired: &Desired| {
        let files = dashboards(desired);
        let uids = files.iter().map(|(_, file)| file["uid"].to_string());
        let names = files.iter().map(|(name, _)| name.clone());
        names.chain(uids).collect::<BTreeSet<_>>()
    };
    let one = made(&everything());
    let cluster: PhlareCluster = serde_json::from_value(json!({
        "apiVersion": "phlare.dev/v1alpha1", "kind": "PhlareCluster",
        "metadata": {"name": "prod", "namespace": "staging"}, "spec": everything(),
    }))
    .unwrap();
    let two = desired(&Inputs {
        cluster: &cluster,
        image: String::new(),
        version: String::new(),
        credentials: &Credentials::default(),
        operator_namespace: "phlare-operator",
    })
    .unwrap();
    assert!(other(&one).is_disjoint(&other(&two)));
}
