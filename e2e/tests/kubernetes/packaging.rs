//! The chart, and the plain manifests that are made of it.

use std::path::PathBuf;
use std::process::{Command, Output};

use phlare_e2e::{programs, runtimes};

use crate::bench::bench;

const HEAD: &str = "\
# Generated from charts/phlare-operator. `kubectl apply --server-side -f crds/ -f charts/phlare-operator.yaml`
---
apiVersion: v1
kind: Namespace
metadata:
  name: phlare-operator
  labels:
    pod-security.kubernetes.io/enforce: restricted
";

/// Renders charts; None, said on standard error, without Go.
async fn renderer() -> Option<PathBuf> {
    let source = programs::workspace().join("e2e/chart");
    runtimes::go(&source, "chart").await.unwrap()
}

fn rendered(renderer: &PathBuf, settings: &[&str]) -> Output {
    let chart = programs::workspace().join("charts/phlare-operator");
    let mut render = Command::new(renderer);
    render
        .arg(chart)
        .args(["phlare-operator", "phlare-operator"]);
    render.args(settings).output().unwrap()
}

#[tokio::test]
async fn the_plain_manifests_are_those_of_the_chart() {
    let Some(renderer) = renderer().await else {
        return;
    };
    let output = rendered(&renderer, &["crds.install=false"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = format!("{HEAD}{}", String::from_utf8(output.stdout).unwrap());
    let path = programs::workspace().join("charts/phlare-operator.yaml");
    if std::env::var_os("PHLARE_WRITE_MANIFESTS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap();
    assert!(
        there == text,
        "write them anew: PHLARE_WRITE_MANIFESTS=1 cargo test -p phlare-e2e --test kubernetes plain_manifests"
    );
}

#[tokio::test]
async fn the_chart_watches_one_namespace_if_it_is_told_to_and_refuses_odd_values() {
    let Some(renderer) = renderer().await else {
        return;
    };
    let output = rendered(&renderer, &["watchNamespace=obs"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("ClusterRole"), "{text}");
    assert!(text.contains("--namespace=obs"), "{text}");
    // The definition comes along, and stays when the chart goes.
    assert!(text.contains("helm.sh/resource-policy: keep"), "{text}");
    assert!(!text.contains("PodMonitor"), "{text}");
    let output = rendered(&renderer, &["podMonitor.enabled=true"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("kind: PodMonitor"), "{text}");
    let output = rendered(&renderer, &["replica=3"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.contains("replica"),
        "{said}"
    );
}

#[tokio::test]
async fn the_operator_needs_every_right_that_it_has_and_no_other() {
    let Some(bench) = bench().await else { return };
    bench.create("rights", serde_json::json!({})).await;
    bench.ready("rights").await;
    let asked = bench.cluster.audit().since(0, bench.user).unwrap();
    let forbidden: Vec<_> = asked.iter().filter(|request| request.code == 403).collect();
    assert!(forbidden.is_empty(), "{forbidden:?}");
    let kinds = [
        "phlareclusters",
        "deployments",
        "statefulsets",
        "services",
        "configmaps",
        "serviceaccounts",
        "poddisruptionbudgets",
        "networkpolicies",
        "pods",
        "persistentvolumeclaims",
        "secrets",
    ];
    for kind in kinds {
        let watched = asked
            .iter()
            .any(|request| request.resource == kind && request.verb == "watch");
        assert!(watched, "{kind} are not watched");
    }
}
