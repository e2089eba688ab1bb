//! One address answers all that Grafana and clients ask (field report B55): a process that is alone, and one of a fleet that
//! takes profiles and queries for the others.

use anyhow::{Context, ensure};
use phlare_e2e::client::{self, CPU};
use phlare_e2e::fleet::Settings;
use phlare_e2e::{Client, Options, Pprof, now_ms, now_ns, until};
use phlare_proto::types::v1::{LabelValuesRequest, LabelValuesResponse};
use serde_json::{Value, json};

const SETTINGS: &str = "settings.v1.SettingsService";
const AD_HOC: &str = "adhocprofiles.v1.AdHocProfileService";
/// `main;work 3`
const LEFT: &str = "bWFpbjt3b3JrIDMK";
/// `main;work 5` and `main;rest 1`
const RIGHT: &str = "bWFpbjt3b3JrIDUKbWFpbjtyZXN0IDEK";

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_alone_answers_everything() -> anyhow::Result<()> {
    let mut server = Options::new().start().await?;
    everything(&server.client()?).await?;
    kept_settings(&server.client()?).await?;
    uploaded_files(&server.client()?).await?;
    server.stop_quiet(&["status=4", "request failed"]).await?;
    let server = Options::new().directory(server.directory()).start().await?;
    settings_are(&server.client()?, &["a", "b"]).await?;
    files_are(&server.client()?, 2).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_front_of_a_fleet_answers_everything() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let settings = Settings::new(directory.path())
        .flag("-pyroscopedb.retention-policy-min-free-disk-gb=0")
        .flag("-auth.multitenancy-enabled=true");
    let mut fleet = Box::pin(settings.start()).await?;
    let front = fleet.client("front-0")?.tenant("team-1");
    everything(&front).await?;
    kept_settings(&front).await?;
    uploaded_files(&front).await?;
    // Whoever else answers queries knows them at once; another tenant has none.
    settings_are(
        &fleet.client("query-frontend-1")?.tenant("team-1"),
        &["a", "b"],
    )
    .await?;
    settings_are(&fleet.client("front-0")?.tenant("team-2"), &[]).await?;
    files_are(&fleet.client("front-0")?.tenant("team-2"), 0).await?;
    let nobody = fleet.client("front-0")?;
    let asked = nobody.json(&format!("{SETTINGS}/Get"), &json!({})).await?;
    asked.refused(401, &["no org id"])?;
    let both = nobody.tenant("team-1|team-2");
    let asked = both.json(&format!("{SETTINGS}/Get"), &json!({})).await?;
    asked.refused(401, &["multiple org IDs present"])?;
    fleet.stop("front-0").await?;
    fleet.restart("front-0").await?;
    settings_are(&front, &["a", "b"]).await?;
    files_are(&front, 2).await?;
    fleet.down().await
}

/// The list of the report, in its order.
async fn everything(client: &Client) -> anyhow::Result<()> {
    settings_are(client, &[]).await?;
    let list = client
        .json(&format!("{AD_HOC}/List"), &json!({}))
        .await?
        .ok()?;
    ensure!(list.value()? == json!({}), "{}", list.text());
    let method = "capabilities.v1.FeatureFlagsService/GetFeatureFlags";
    let flags = client.json(method, &json!({})).await?.ok()?.value()?;
    ensure!(
        flags["featureFlags"]
            .as_array()
            .is_some_and(|flags| !flags.is_empty()),
        "{flags}"
    );

    let labels = [("__name__", "process_cpu"), ("service_name", "pushed")];
    let profile = Pprof::cpu()
        .at(now_ns())
        .stack(&["main", "work"], &[7])
        .bytes();
    client.push(&labels, profile).await?;
    let ingested = client.post(
        "/ingest?name=ingested.cpu&format=groups",
        &[],
        "main;work 3\n",
    );
    ingested.await?.ok()?;
    let as_json = [("content-type", "application/json")];
    let otlp = client.post(
        "/v1development/profiles",
        &as_json,
        otlp("exported").to_string(),
    );
    otlp.await?.ok()?;

    let request = LabelValuesRequest {
        name: "service_name".to_owned(),
        ..LabelValuesRequest::default()
    };
    until(
        "label values without times name what was sent just now",
        async || {
            let values: LabelValuesResponse = client
                .call("querier.v1.QuerierService/LabelValues", &request)
                .await?;
            Ok(["exported", "ingested", "pushed"]
                .iter()
                .all(|&name| values.names.iter().any(|value| value == name)))
        },
    )
    .await?;
    ensure!(client.total(CPU, r#"{service_name="pushed"}"#).await? == 7);

    let (from, until) = client::last_hour();
    let query = format!("{CPU}%7Bservice_name%3D%22pushed%22%7D");
    let render = format!("/pyroscope/render?query={query}&from={from}&until={until}");
    let drawn = client.get(&render).await?.ok()?.value()?;
    ensure!(drawn["flamebearer"]["numTicks"] == 7, "{drawn}");
    Ok(())
}

/// Makes, replaces and deletes settings; `a` and `b` are left.
async fn kept_settings(client: &Client) -> anyhow::Result<()> {
    let set = async |setting: Value| {
        client
            .json(&format!("{SETTINGS}/Set"), &json!({ "setting": setting }))
            .await
    };
    let before = now_ms();
    let made = set(json!({"name": "a", "value": "1"}))
        .await?
        .ok()?
        .value()?;
    let time = made["setting"]["modifiedAt"].as_str().context("a time")?;
    ensure!((before..=now_ms()).contains(&time.parse()?), "{made}");
    let old = set(json!({"name": "a", "value": "0", "modifiedAt": "5"})).await?;
    old.refused(409, &["already_exists", "newer"])?;
    set(json!({"name": "b", "value": "[2]", "modifiedAt": "5"}))
        .await?
        .ok()?;
    set(json!({"name": "c", "value": "", "modifiedAt": "5"}))
        .await?
        .ok()?;
    let delete = json!({"name": "c"});
    client
        .json(&format!("{SETTINGS}/Delete"), &delete)
        .await?
        .ok()?;
    let none = client.json(&format!("{SETTINGS}/Set"), &json!({})).await?;
    none.refused(400, &["invalid_argument", "no setting"])?;
    settings_are(client, &["a", "b"]).await
}

/// Uploads two files and compares them; they are left.
async fn uploaded_files(client: &Client) -> anyhow::Result<()> {
    let mut ids = Vec::new();
    for (name, file) in [("my left.txt", LEFT), ("right", RIGHT)] {
        let upload = json!({"name": name, "profile": file});
        let shown = client
            .json(&format!("{AD_HOC}/Upload"), &upload)
            .await?
            .ok()?
            .value()?;
        ensure!(
            shown["name"] == name && shown["profileTypes"] == json!(["samples"]),
            "{shown}"
        );
        let id = shown["id"].as_str().context("its id")?.to_owned();
        ensure!(
            id.ends_with(&format!("-{}", name.replace(' ', "_"))),
            "{id}"
        );
        ids.push(id);
    }
    let get = json!({"id": ids[0], "profileType": "samples", "maxNodes": "10"});
    let shown = client
        .json(&format!("{AD_HOC}/Get"), &get)
        .await?
        .ok()?
        .value()?;
    let drawn: Value = serde_json::from_str(shown["flamebearerProfile"].as_str().context("JSON")?)?;
    ensure!(
        drawn["flamebearer"]["names"] == json!(["total", "main", "work"]),
        "{drawn}"
    );
    let diff = json!({"leftId": ids[0], "rightId": ids[1]});
    let compared = client
        .json(&format!("{AD_HOC}/Diff"), &diff)
        .await?
        .ok()?
        .value()?;
    let drawn = compared["flamebearerProfile"].as_str().context("JSON")?;
    let drawn: Value = serde_json::from_str(drawn)?;
    ensure!(
        drawn["leftTicks"] == 3 && drawn["rightTicks"] == 6,
        "{drawn}"
    );
    let odd = client
        .json(&format!("{AD_HOC}/Get"), &json!({"id": "../../x"}))
        .await?;
    odd.refused(400, &["invalid_argument", "is no id"])?;
    let gone = client
        .json(&format!("{AD_HOC}/Get"), &json!({"id": "gone"}))
        .await?;
    gone.refused(404, &["not_found", "gone"])?;
    let jfr = json!({"name": "x", "profile": "RkxSAAAC"});
    let refused = client.json(&format!("{AD_HOC}/Upload"), &jfr).await?;
    refused.refused(400, &["JFR", "accepted: pprof"])?;
    files_are(client, 2).await
}

async fn files_are(client: &Client, count: usize) -> anyhow::Result<()> {
    let list = client
        .json(&format!("{AD_HOC}/List"), &json!({}))
        .await?
        .ok()?
        .value()?;
    let found = list["profiles"].as_array().map_or(0, Vec::len);
    ensure!(found == count, "{list}");
    Ok(())
}

async fn settings_are(client: &Client, names: &[&str]) -> anyhow::Result<()> {
    let answer = client.json(&format!("{SETTINGS}/Get"), &json!({})).await?;
    let answer = answer.ok()?.value()?;
    let found = answer["settings"].as_array().cloned().unwrap_or_default();
    let found: Vec<&str> = found
        .iter()
        .filter_map(|setting| setting["name"].as_str())
        .collect();
    ensure!(found == names, "{answer}");
    Ok(())
}

/// An export of one profile with one sample.
fn otlp(service: &str) -> Value {
    json!({
        "resourceProfiles": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
            "scopeProfiles": [{"profiles": [{
                "sampleType": {"typeStrindex": 3, "unitStrindex": 4},
                "samples": [{"stackIndex": 1, "values": ["3"]}],
                "timeUnixNano": now_ns().to_string(),
                "durationNano": "5000000000",
                "periodType": {"typeStrindex": 1, "unitStrindex": 2},
                "period": "10000000",
            }]}],
        }],
        "dictionary": {
            "stringTable": ["", "cpu", "nanoseconds", "samples", "count", "main"],
            "mappingTable": [{}, {"memoryStart": "4096", "memoryLimit": "8192"}],
            "functionTable": [{}, {"nameStrindex": 5}],
            "locationTable": [{}, {"mappingIndex": 1, "lines": [{"functionIndex": 1, "line": "12"}]}],
            "linkTable": [{}],
            "attributeTable": [{}],
            "stackTable": [{}, {"locationIndices": [1]}],
        },
    })
}
