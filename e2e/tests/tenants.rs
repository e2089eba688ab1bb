//! Tenants never see each other's profiles, whatever they ask.

use anyhow::ensure;
use phlare_e2e::client::CPU;
use phlare_e2e::fleet::Settings;
use phlare_e2e::server::Options;
use phlare_e2e::{Client, Pprof, now_ms, now_ns};
use phlare_proto::METHODS;
use serde_json::{Value, json};

/// Methods whose answer to the owner of a profile says nothing of it here.
const SILENT: [&str; 3] = [
    // The profile has no spans, no times at which its samples were taken, and is asked for once.
    "querier.v1.QuerierService/SelectMergeSpanProfile",
    "querier.v1.QuerierService/SelectHeatmap",
    "querier.v1.QuerierService/Diff",
];

/// Fits every query: fields that a method has not are ignored.
fn request() -> Value {
    let (start, end) = (
        now_ms() / 60_000 * 60_000 - 3_600_000,
        now_ms() / 60_000 * 60_000 + 600_000,
    );
    json!({
        "profileTypeID": CPU, "labelSelector": "{}", "matchers": ["{}"], "start": start, "end": end,
        "name": "service_name", "groupBy": ["service_name"], "step": 60.0,
        "query": format!("{CPU}{{}}"),
    })
}

/// Plain HTTP.
fn pages(request: &Value) -> Vec<String> {
    let (start, end) = (&request["start"], &request["end"]);
    let query = format!("query={CPU}%7B%7D&from={start}&until={end}");
    vec![
        format!("/pyroscope/render?{query}"),
        format!("/pyroscope/label-values?label=service_name&from={start}&until={end}"),
        format!(
            "/pyroscope/render-diff?leftQuery={CPU}%7B%7D&leftFrom={start}&leftUntil={end}\
             &rightQuery={CPU}%7B%7D&rightFrom={start}&rightUntil={end}"
        ),
    ]
}

/// Pushes as one tenant, and asks everything as it, as another one that has a profile of its own, and as one that has none.
async fn check(push: &Client, query: &Client) -> anyhow::Result<()> {
    let labels = [
        ("__name__", "process_cpu"),
        ("service_name", "secret-service"),
    ];
    let secret = Pprof::cpu()
        .at(now_ns())
        .stack(&["secret_function"], &[12_345]);
    push.tenant("owner").push(&labels, secret.bytes()).await?;
    let labels = [("__name__", "memory"), ("service_name", "other")];
    let other = Pprof::new(&[("space", "bytes")], ("space", "bytes"));
    let other = other.at(now_ns()).stack(&["f"], &[1]);
    push.tenant("other").push(&labels, other.bytes()).await?;

    let [owner, other, nobody] = ["owner", "other", "nobody"].map(|tenant| query.tenant(tenant));
    let request = request();
    let methods = METHODS.iter().map(|method| method.path);
    let methods: Vec<_> = methods
        .filter(|path| path.starts_with("querier.v1.QuerierService/"))
        .collect();
    ensure!(methods.len() >= 12, "{methods:?}");
    for path in methods {
        let said = owner.json(path, &request).await?;
        let of_other = other.json(path, &request).await?.text();
        let of_nobody = nobody.json(path, &request).await?.text();
        ensure!(!of_other.contains("secret"), "{path}: {of_other}");
        ensure!(!of_nobody.contains("secret"), "{path}: {of_nobody}");
        if !SILENT.contains(&path) {
            let said = said.ok()?.text();
            ensure!(said != of_nobody, "{path}: the owner gets {said}");
        }
    }
    for page in pages(&request) {
        let said = owner.get(&page).await?.ok()?.text();
        ensure!(said.contains("secret"), "{page}: the owner gets {said}");
        for stranger in [&other, &nobody] {
            let said = stranger.get(&page).await?.text();
            ensure!(!said.contains("secret"), "{page}: {said}");
        }
    }
    // Two tenants at once, none at all, and names that are paths.
    for tenant in ["owner|other", "../owner", "", ".."] {
        let named = query.tenant(tenant);
        let reply = named
            .json("querier.v1.QuerierService/LabelNames", &request)
            .await?;
        ensure!(reply.status >= 400, "{tenant:?}: {}", reply.text());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_of_one_process_are_apart() -> anyhow::Result<()> {
    let options = Options::new().flag("-auth.multitenancy-enabled");
    let server = options
        .flag("-querier.query-analysis-series-enabled")
        .start()
        .await?;
    let client = server.client()?;
    check(&client, &client).await?;
    // The same from blocks.
    client.post("/ingester/flush", &[], "").await?.ok()?;
    check(&client, &client).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_of_a_fleet_are_apart() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let settings = Settings::new(directory.path())
        .flag("-auth.multitenancy-enabled")
        .flag("-querier.query-analysis-series-enabled");
    let mut fleet = Box::pin(settings.start()).await?;
    check(
        &fleet.client("front-0")?,
        &fleet.client("query-frontend-0")?,
    )
    .await?;
    fleet.down().await
}
