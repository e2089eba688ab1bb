//! Labels that dependencies, relays and users set.

use anyhow::ensure;
use phlare_e2e::client::{CPU, last_hour};
use phlare_e2e::{Options, Pprof, Server, shared};
use serde_json::json;

use super::{cpu_of, metric, work};

/// B01.
#[tokio::test(flavor = "multi_thread")]
async fn a_label_that_a_dependency_sets_never_costs_the_profile() -> anyhow::Result<()> {
    for keep in [true, false] {
        let flag = format!("-validation.disable-label-sanitization={keep}");
        let mut server = Options::new().flag(&flag).start().await?;
        let client = server.client()?;
        let odd = [
            ("process-description", "x"),
            ("local root span id", "9"),
            ("k8s.pod", "é"),
        ];
        let mut profile = Pprof::cpu();
        for number in 0..100 {
            let labels: Vec<(&str, &str)> = odd.get(number).copied().into_iter().collect();
            profile = profile.labelled(
                &["main", &format!("work{number}")],
                &[i64::try_from(number)? + 1],
                &labels,
            );
        }
        let scope = [
            ("otel.scope.name", "scope"),
            ("otel.scope.version", "1.2.3"),
        ];
        let labels = [cpu_of("s").as_slice(), &scope].concat();
        client.push(&labels, profile.bytes()).await?;
        let total = client.total(CPU, "{service_name=\"s\"}").await?;
        ensure!(total == 5050, "with {flag} the total is {total}");
        let rewritten = metric(&client, "pyroscope_sanitized_label_names_total", &[]).await?;
        ensure!(
            (rewritten > 0.0) != keep,
            "with {flag} {rewritten} names were rewritten"
        );
        if keep {
            let pod = client
                .total(CPU, "{\"k8s.pod\"=\"é\",\"otel.scope.name\"=\"scope\"}")
                .await?;
            ensure!(pod == 3, "the odd name is not stored as it is: {pod}");
        }
        server.stop_quiet(&[]).await?;
    }
    Ok(())
}

/// B02.
#[tokio::test(flavor = "multi_thread")]
async fn label_values_come_back_byte_for_byte() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let client = server.client()?;
    let note = "a\"b\\c\nd/é";
    let values = [
        ("path", "/conversations/{id}"),
        ("method", "GET"),
        ("note", note),
    ];
    client
        .push(
            &[cpu_of("ns/app").as_slice(), &values].concat(),
            work(7).bytes(),
        )
        .await?;
    for selector in [
        r#"{path="/conversations/{id}",method="GET"}"#,
        r#"{note="a\"b\\c\nd/é"}"#,
        r#"{path=~"/conversations/\\{.*\\}"}"#,
        r#"{service_name="ns/app"}"#,
    ] {
        ensure!(client.total(CPU, selector).await? == 7, "{selector}");
    }
    let (start, end) = last_hour();
    let request = json!({"name": "note", "start": start, "end": end});
    let answer = client
        .json("querier.v1.QuerierService/LabelValues", &request)
        .await?
        .ok()?;
    ensure!(
        answer.value()?["names"] == json!([note]),
        "{}",
        answer.text()
    );
    let series = client.series(CPU, "{}", &["path"]).await?;
    let path: Vec<&str> = series
        .iter()
        .flat_map(|s| &s.labels)
        .map(|label| label.value.as_str())
        .collect();
    ensure!(path == ["/conversations/{id}"], "{path:?}");
    server.stop_quiet(&[]).await
}

/// B02, the other door.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_the_name_of_ingest_cannot_carry_is_refused_and_not_cut_short()
-> anyhow::Result<()> {
    let server = Server::start().await?;
    let client = server.client()?;
    let good = client
        .post("/ingest?name=ns-1/app%7Bm%3DGET%7D", &[], "a;b 1")
        .await?;
    good.ok()?;
    for name in [
        "ns-1/app%7Bpath%3D/c/%7Bid%7D,m%3DGET%7D",
        "app%7Bpath%3D/c%7D/d%7D",
    ] {
        let reply = client
            .post(&format!("/ingest?name={name}"), &[], "a;b 1")
            .await?;
        reply.refused(400, &["}"])?;
    }
    let total = client.total(CPU, "{service_name=\"ns-1/app\"}").await?;
    ensure!(
        total == 10_000_000,
        "one sample of the good name at 100 Hz, got {total}"
    );
    Ok(())
}

/// B03.
#[tokio::test(flavor = "multi_thread")]
async fn equal_repeats_of_a_label_fold_and_different_ones_are_named() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let client = server.client()?;
    let twice = [cpu_of("app").as_slice(), &[("service_name", "app")]].concat();
    client.push(&twice, work(3).bytes()).await?;
    ensure!(client.total(CPU, "{service_name=\"app\"}").await? == 3);
    let different = [cpu_of("app-one").as_slice(), &[("service_name", "app-two")]].concat();
    let reply = client.try_push(&different, vec![work(3).bytes()]).await?;
    reply.refused(400, &["service_name", "app-one", "app-two"])?;
    // The last label of a name in `/ingest` meets the ones that the server adds.
    let name = "relay%7Bservice_name%3Drelay%2Capp_name%3Drelay%7D";
    client
        .post(
            &format!("/ingest?name={name}&format=pprof"),
            &[],
            work(5).bytes(),
        )
        .await?
        .ok()?;
    client
        .post(&format!("/ingest?name={name}&format=lines"), &[], "a;b\n")
        .await?
        .ok()?;
    client
        .post(&format!("/ingest?name={name}"), &[], "a;b 2")
        .await?
        .ok()?;
    if let Some(shared) = shared::directory()? {
        let recording = std::fs::read(shared.join("testdata/jfr/dump1.jfr.gz"))?;
        let path = format!("/ingest?name={name}&format=jfr");
        client.post(&path, &[], recording).await?.ok()?;
        let event = "{service_name=\"relay\",jfr_event=\"itimer\"}";
        ensure!(client.total(CPU, event).await? == 21_880_000_000);
    }
    let types = client.total(CPU, "{service_name=\"relay\"}").await?;
    ensure!(types > 5, "what came through /ingest is not there: {types}");
    Ok(())
}
