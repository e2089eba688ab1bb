//! One port, one API, four protocols: Connect in protobuf and JSON, gRPC, gRPC-web; compressed or not.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use bytes::{Buf, Bytes};
use phlare_e2e::client::{self, CPU, PUSH};
use phlare_e2e::{Client, Pprof, Server, pprof};
use phlare_proto::METHODS;
use phlare_proto::push::v1::pusher_service_client::PusherServiceClient;
use phlare_proto::push::v1::{PushRequest, PushResponse};
use phlare_proto::querier::v1::querier_service_client::QuerierServiceClient;
use phlare_proto::querier::v1::{SelectMergeStacktracesRequest, SelectMergeStacktracesResponse};
use prost::Message;
use serde_json::{Value, json};
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};

/// The query that all protocols are tried with.
const QUERY: &str = "querier.v1.QuerierService/SelectMergeStacktraces";
/// What one profile of these tests sums to.
const TOTAL: i64 = 12;

fn push(service: &str) -> anyhow::Result<PushRequest> {
    let profile = Pprof::cpu()
        .stack(&["main", "work"], &[5])
        .stack(&["main", "rest"], &[7])
        .bytes();
    let labels = [("__name__", "process_cpu"), ("service_name", service)];
    Ok(PushRequest {
        series: vec![client::series(&labels, vec![pprof::gzip(&profile)?])],
    })
}

fn query(service: &str) -> SelectMergeStacktracesRequest {
    client::stacktraces(CPU, &format!("{{service_name={service:?}}}"))
}

fn total(response: SelectMergeStacktracesResponse) -> anyhow::Result<i64> {
    Ok(response
        .flamegraph
        .context("the answer has a flame graph")?
        .total)
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_in_protobuf_takes_and_answers() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let client = server.client()?;
    let PushResponse {} = client.call(PUSH, &push("proto")?).await?;
    ensure!(total(client.call(QUERY, &query("proto")).await?)? == TOTAL);
    server.stop_quiet(&[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_in_json_takes_and_answers() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let client = server.client()?;
    let taken = client
        .json(PUSH, &serde_json::to_value(push("json")?)?)
        .await?
        .ok()?;
    ensure!(taken.value()? == json!({}), "{}", taken.text());
    let answer = client
        .json(QUERY, &serde_json::to_value(query("json"))?)
        .await?
        .ok()?;
    // Integers of 64 bits are text in JSON.
    ensure!(
        answer.value()?["flamegraph"]["total"] == json!(TOTAL.to_string()),
        "{}",
        answer.text()
    );
    server.stop_quiet(&[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_takes_and_answers_compressed_or_not() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let mut pusher = PusherServiceClient::new(channel(&server).await?);
    let mut querier = QuerierServiceClient::new(channel(&server).await?);
    pusher.push(push("grpc")?).await?;
    ensure!(
        total(
            querier
                .select_merge_stacktraces(query("grpc"))
                .await?
                .into_inner()
        )? == TOTAL
    );
    let gzip = CompressionEncoding::Gzip;
    let mut pusher = pusher.send_compressed(gzip).accept_compressed(gzip);
    let mut querier = querier.send_compressed(gzip).accept_compressed(gzip);
    pusher.push(push("grpc-gzip")?).await?;
    let answer = querier.select_merge_stacktraces(query("grpc-gzip")).await?;
    let encoding = answer
        .metadata()
        .get("grpc-encoding")
        .map(|value| value.to_str().map(str::to_owned))
        .transpose()?;
    ensure!(total(answer.into_inner())? == TOTAL);
    ensure!(
        encoding.as_deref() == Some("gzip"),
        "the answer came as {encoding:?}"
    );
    server.stop_quiet(&[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_errors_carry_code_and_message() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let mut querier = QuerierServiceClient::new(channel(&server).await?);
    let bad = SelectMergeStacktracesRequest {
        label_selector: "{service_name=".to_owned(),
        ..query("x")
    };
    let status = querier
        .select_merge_stacktraces(bad)
        .await
        .err()
        .context("the selector is bad")?;
    ensure!(status.code() == Code::InvalidArgument, "{status:?}");
    ensure!(!status.message().is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_web_takes_and_answers() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let client = server.client()?;
    let PushResponse {} = grpc_web(&client, PUSH, &push("web")?).await?;
    ensure!(total(grpc_web(&client, QUERY, &query("web")).await?)? == TOTAL);
    server.stop_quiet(&[]).await
}

async fn channel(server: &Server) -> anyhow::Result<Channel> {
    Ok(Endpoint::from_shared(server.url().to_owned())?
        .connect()
        .await?)
}

/// A call in gRPC-web: a frame each for the message and, in the answer, the trailers.
async fn grpc_web<R: Message + Default>(
    client: &Client,
    method: &str,
    request: &impl Message,
) -> anyhow::Result<R> {
    let message = request.encode_to_vec();
    let mut body = vec![0];
    body.extend(u32::try_from(message.len())?.to_be_bytes());
    body.extend(message);
    let kind = "application/grpc-web+proto";
    let reply = client
        .post(
            &format!("/{method}"),
            &[("content-type", kind), ("x-grpc-web", "1")],
            body,
        )
        .await?
        .ok()?;
    let (mut rest, mut answer, mut trailers) = (reply.body.clone(), None, String::new());
    while !rest.is_empty() {
        ensure!(rest.len() >= 5, "half a frame in {:?}", reply.body);
        let (flags, length) = (rest.get_u8(), usize::try_from(rest.get_u32())?);
        ensure!(rest.len() >= length, "half a message in {:?}", reply.body);
        let frame: Bytes = rest.split_to(length);
        match flags {
            0 => answer = Some(R::decode(frame)?),
            0x80 => trailers = String::from_utf8(frame.to_vec())?.to_lowercase(),
            other => anyhow::bail!("a frame with flags {other:#x}"),
        }
    }
    ensure!(
        trailers.replace(' ', "").contains("grpc-status:0"),
        "trailers {trailers:?}"
    );
    answer.context("the answer has a message")
}

#[tokio::test(flavor = "multi_thread")]
async fn connect_takes_gzip_and_answers_in_gzip_to_those_who_accept_it() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let client = server.client()?;
    let headers = [
        ("content-type", "application/proto"),
        ("content-encoding", "gzip"),
    ];
    // Small answers are not worth compressing, so this one is large.
    let mut large = Pprof::cpu();
    for number in 0..500 {
        large = large.stack(
            &[
                "main",
                &format!("function with a long name, number {number}"),
            ],
            &[1],
        );
    }
    let labels = [("__name__", "process_cpu"), ("service_name", "gzip")];
    let request = PushRequest {
        series: vec![client::series(&labels, vec![large.bytes()])],
    };
    client
        .post(
            &format!("/{PUSH}"),
            &headers,
            pprof::gzip(&request.encode_to_vec())?,
        )
        .await?
        .ok()?;
    ensure!(client.total(CPU, "{}").await? == 500);
    // A client that does not unpack by itself sees what came.
    let plain = reqwest::Client::builder().gzip(false).build()?;
    for (accept, expected) in [("gzip", Some("gzip")), ("identity", None)] {
        let request = plain
            .post(format!("{}/{QUERY}", server.url()))
            .header("content-type", "application/proto")
            .header("accept-encoding", accept)
            .body(query("gzip").encode_to_vec());
        let response = request.send().await?.error_for_status()?;
        let encoding = response
            .headers()
            .get("content-encoding")
            .map(|v| v.to_str().map(str::to_owned))
            .transpose()?;
        ensure!(
            encoding.as_deref() == expected,
            "accepting {accept} the answer came as {encoding:?}"
        );
        let body = response.bytes().await?;
        ensure!(
            body.starts_with(&[0x1f, 0x8b]) == expected.is_some(),
            "the bytes are not what the header says"
        );
    }
    server.stop_quiet(&[]).await
}

/// Methods that this version has.
fn present(path: &str) -> bool {
    let querier =
        path.starts_with("querier.v1.QuerierService/") && !path.ends_with("/SelectHeatmap");
    querier || PRESENT.contains(&path)
}

/// Those besides the querier's.
const PRESENT: [&str; 11] = [
    PUSH,
    "adhocprofiles.v1.AdHocProfileService/Diff",
    "adhocprofiles.v1.AdHocProfileService/Get",
    "adhocprofiles.v1.AdHocProfileService/List",
    "adhocprofiles.v1.AdHocProfileService/Upload",
    "capabilities.v1.FeatureFlagsService/GetFeatureFlags",
    "grpc.health.v1.Health/Check",
    "settings.v1.SettingsService/Delete",
    "settings.v1.SettingsService/Get",
    "settings.v1.SettingsService/Set",
    "version.v1.Version/Version",
];

#[tokio::test(flavor = "multi_thread")]
async fn methods_of_the_api_that_are_not_there_say_so_and_name_themselves() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let client = server.client()?;
    let mut missing = BTreeSet::new();
    for method in METHODS
        .iter()
        .filter(|method| !method.client_streaming && !method.server_streaming)
    {
        let reply = client.json(method.path, &json!({})).await?;
        if reply.status != 501 {
            ensure!(reply.status != 404, "{} is no route", method.path);
            continue;
        }
        let body: Value = reply.value()?;
        ensure!(
            body["code"] == json!("unimplemented"),
            "{}: {body}",
            method.path
        );
        let name = method.path.rsplit('/').next().unwrap_or_default();
        ensure!(
            body["message"]
                .as_str()
                .is_some_and(|text| text.contains(name)),
            "{}: {body}",
            method.path
        );
        missing.insert(method.path);
    }
    let unary = METHODS
        .iter()
        .filter(|method| !method.client_streaming && !method.server_streaming);
    let expected: BTreeSet<&str> = unary
        .map(|method| method.path)
        .filter(|path| !present(path))
        .collect();
    let (more, fewer): (Vec<_>, Vec<_>) = (
        missing.difference(&expected).collect(),
        expected.difference(&missing).collect(),
    );
    ensure!(
        more.is_empty() && fewer.is_empty(),
        "missing against expectation: {more:?}; there, and not in the list: {fewer:?}"
    );
    Ok(())
}

/// The ring page, which is neither call nor query: people get HTML, programs JSON, and a form forgets.
#[tokio::test(flavor = "multi_thread")]
async fn the_ring_shows_its_one_member_and_forgets_for_a_moment() -> anyhow::Result<()> {
    let mut server = Server::start().await?;
    let client = server.client()?;
    let page = client.get("/ring").await?.ok()?.text();
    ensure!(
        page.contains("ACTIVE") && page.contains("100.00 %"),
        "{page}"
    );
    let http = reqwest::Client::new();
    let url = format!("{}/ring", server.url());
    let asked = http.get(&url).header("Accept", "application/json");
    let ring: Value = serde_json::from_slice(&asked.send().await?.bytes().await?)?;
    let member = &ring["instances"][0];
    ensure!(
        member["state"] == "ACTIVE" && member["healthy"] == true && member["tokens"] == 128,
        "{ring}"
    );
    let figures = client.get("/metrics").await?.ok()?.text();
    let figure = r#"pyroscope_ring_members{name="ingester",state="ACTIVE"} 1"#;
    ensure!(figures.contains(figure), "{figures}");

    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let nobody = client.post("/ring", &form, "forget=nobody").await?;
    nobody.refused(404, &["no instance `nobody`"])?;
    let elsewhere = [form[0], ("Sec-Fetch-Site", "cross-site")];
    let id = member["id"].as_str().context("its name")?;
    let refused = client
        .post("/ring", &elsewhere, format!("forget={id}"))
        .await?;
    refused.refused(403, &["another site"])?;
    let after = client
        .post("/ring", &form, format!("forget={id}"))
        .await?
        .ok()?;
    ensure!(after.text().contains("0 members"), "{}", after.text());
    server.stop_quiet(&["message=\"request failed\""]).await
}
