//! `phlarectl kubernetes`, and the same program as a part of kubectl.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output};

use flate2::read::GzDecoder;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use phlare_e2e::programs;
use serde_json::{Value, json};

use crate::bench::{Bench, bench};

/// Runs the program with the rights of an administrator, in the test's namespace.
async fn run(bench: &Bench, program: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    if program.ends_with("phlarectl") {
        command.arg("kubernetes");
    }
    command.arg("--kubeconfig").arg(bench.cluster.kubeconfig());
    command
        .args(["--namespace", &bench.namespace])
        .args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

/// What it prints, if it ends with this exit code.
async fn says(bench: &Bench, code: i32, arguments: &[&str]) -> String {
    let output = run(bench, &programs::phlarectl().unwrap(), arguments).await;
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

#[tokio::test]
async fn status_says_how_it_is_and_what_to_do() {
    let Some(bench) = bench().await else { return };
    let nothing = says(&bench, 0, &["status"]).await;
    assert!(
        nothing.contains("-A looks into all namespaces"),
        "{nothing}"
    );
    bench.create("well", json!({})).await;
    bench.ready("well").await;
    let well = says(&bench, 0, &["status", "well"]).await;
    for part in [
        "1/1 pods",
        "monolithic",
        "nothing: all is well",
        "data-well-monolithic-0",
    ] {
        assert!(well.contains(part), "{part} is not in\n{well}");
    }
    bench.create("ill", json!({"version": "bad"})).await;
    bench.wait("ill", "Stalled", "True", "ImagePullError").await;
    let ill = says(&bench, 0, &["status", "ill"]).await;
    for part in [
        "0/1 pods",
        "✗ Stalled",
        "ill-monolithic-0",
        "correct spec.image or spec.version",
    ] {
        assert!(ill.contains(part), "{part} is not in\n{ill}");
    }
    let json = says(&bench, 0, &["status", "ill", "--output", "json"]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["ready"], &json["unready_pods"][0]["name"]),
        (&json!(false), &json!("ill-monolithic-0"))
    );

    // All of them, by the name that kubectl looks for.
    let directory = tempfile::tempdir().unwrap();
    let plugin = directory.path().join("kubectl-phlare");
    std::os::unix::fs::symlink(programs::phlarectl().unwrap(), &plugin).unwrap();
    let listed = run(&bench, &plugin, &["status"]).await;
    let listed = String::from_utf8(listed.stdout).unwrap();
    let lines: Vec<_> = listed
        .lines()
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert_eq!(lines, ["name", "ill", "well"], "{listed}");

    let wrong = says(&bench, 3, &["status", "nobody"]).await;
    assert!(wrong.contains("\"nobody\" not found"), "{wrong}");
}

#[tokio::test]
async fn a_rollout_is_watched_to_its_end() {
    let Some(bench) = bench().await else { return };
    bench.create("roll", json!({"version": "1.0.0"})).await;
    let done = says(&bench, 0, &["rollout", "roll", "--watch"]).await;
    assert!(done.contains("version 1.0.0"), "{done}");
    bench.change("roll", json!({"version": "bad"})).await;
    let stuck = says(&bench, 1, &["rollout", "roll", "--watch"]).await;
    assert!(stuck.contains("ImagePullError"), "{stuck}");
    bench.change("roll", json!({"version": "2.0.0"})).await;
    bench.ready("roll").await;

    says(&bench, 0, &["rollout", "roll", "pause"]).await;
    bench.wait("roll", "Ready", "True", "Paused").await;
    bench.change("roll", json!({"version": "3.0.0"})).await;
    let paused = says(&bench, 1, &["rollout", "roll", "--watch"]).await;
    assert!(paused.contains("paused"), "{paused}");
    let status = says(&bench, 0, &["status", "roll"]).await;
    assert!(status.contains("rollout roll resume"), "{status}");
    let done = says(&bench, 0, &["rollout", "roll", "resume", "--watch"]).await;
    assert!(done.contains("version 3.0.0"), "{done}");

    let undone = says(&bench, 0, &["rollout", "roll", "undo", "--watch"]).await;
    assert!(
        undone.contains("undone: all pods run version 2.0.0 again"),
        "{undone}"
    );
    bench.wait("roll", "Stalled", "True", "RolledBack").await;
    let status = says(&bench, 0, &["status", "roll"]).await;
    assert!(status.contains("was taken back (Undone)"), "{status}");
    let retried = says(&bench, 0, &["rollout", "roll", "retry", "--watch"]).await;
    assert!(retried.contains("version 3.0.0"), "{retried}");
    bench.ready("roll").await;

    let gone = says(&bench, 3, &["rollout", "nobody", "--watch"]).await;
    assert!(gone.contains("\"nobody\" not found"), "{gone}");
}

#[tokio::test]
async fn a_diagnosis_has_the_resource_and_no_secret() {
    let Some(bench) = bench().await else { return };
    let secrets: Api<Secret> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let login: Secret = serde_json::from_value(json!({
        "metadata": {"name": "login"},
        "stringData": {"access_key_id": "AKIAOFTHESECRET1", "secret_access_key": "of-the-secret-2"},
    }))
    .unwrap();
    secrets
        .create(&PostParams::default(), &login)
        .await
        .unwrap();
    let spec = json!({
        "storage": {"type": "S3", "s3": {"bucket": "profiles", "credentialsSecretRef": {"name": "login"}}},
        "commonAnnotations": {"example.com/api-token": "of-the-secret-3"},
        "config": {"overlay": {"tracing": {"headers": {"authorization": "Bearer of-the-secret-4"}}}},
        "components": {"all": {
            "env": [{"name": "HTTPS_PROXY", "value": "http://me:of-the-secret-5@proxy:3128"}],
            "extraArgs": ["-x.secret-key=of-the-secret-6"],
        }},
    });
    bench.create("ask", spec).await;
    bench.ready("ask").await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ask.tar.gz");
    let path = file.to_str().unwrap();
    let said = says(&bench, 0, &["diagnose", "ask", "-o", path]).await;
    assert!(
        said.contains("phlarecluster.yaml") && said.contains("Secrets were not read"),
        "{said}"
    );
    let files = unpacked(&file);
    let names: Vec<_> = files.keys().collect();
    let find = |end: &str| {
        files
            .iter()
            .find(|(name, _)| name.ends_with(end))
            .unwrap_or_else(|| panic!("{end}: {names:?}"))
            .1
    };
    assert!(find("/phlarecluster.yaml").contains("kind: PhlareCluster"));
    assert!(find("/objects/StatefulSet/ask-monolithic.yaml").contains("-target=all"));
    assert!(find("/objects/ConfigMap/ask-overrides.yaml").contains("overrides"));
    for (name, text) in &files {
        assert!(
            !text.contains("of-the-secret") && !text.contains("OFTHESECRET"),
            "{name}: {text}"
        );
    }
    // An archive that is there is not lost.
    let again = says(&bench, 1, &["diagnose", "ask", "-o", path]).await;
    assert!(again.contains("--force"), "{again}");

    let user = "admin";
    let asked = bench.cluster.audit().since(0, user).unwrap();
    let read = asked
        .iter()
        .filter(|request| request.resource == "secrets" && request.namespace == bench.namespace);
    let read: Vec<_> = read.filter(|request| !request.is_write()).collect();
    assert!(read.is_empty(), "{read:?}");
}

/// Texts in an archive by their paths.
fn unpacked(file: &Path) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(GzDecoder::new(std::fs::File::open(file).unwrap()));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        files.insert(name, text);
    }
    files
}
