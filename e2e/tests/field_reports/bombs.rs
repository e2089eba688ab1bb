//! B06: bodies that are small and inflate without end.

use std::io::{Read, Write};

use anyhow::{Context, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use phlare_e2e::client::{CPU, PUSH, series};
use phlare_e2e::{Client, Options, Reply, Server};
use phlare_proto::push::v1::PushRequest;
use phlare_proto::push::v1::pusher_service_client::PusherServiceClient;
use prost::Message;
use tokio::task::JoinSet;
use tonic::Code;
use tonic::transport::Endpoint;

use super::{cpu_of, work};

/// Of each kind at a time.
const AT_ONCE: usize = 50;
/// What the server may grow by: far less than the 250 GiB that the bodies of the test stand for.
const GROWTH: u64 = 768 << 20;

/// About 1 MiB that inflates to 1 GiB.
fn bomb() -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::copy(&mut std::io::repeat(0).take(1 << 30), &mut encoder)?;
    encoder.flush()?;
    Ok(encoder.finish()?)
}

/// The most memory that a process has ever had.
fn peak(server: &Server) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("the peak of memory")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? << 10)
}

/// A bomb is refused at the cap of its kind, or where all bodies together meet theirs; the limit is named.
fn defused(reply: &Reply, limit: &str) -> anyhow::Result<()> {
    match reply.status {
        503 => reply.refused(503, &["max-inflight-bytes"]),
        status => {
            ensure!(
                [400, 413, 422, 429].contains(&status),
                "status {status}: {}",
                reply.text()
            );
            reply.refused(status, &[limit])
        }
    }
}

async fn as_raw_profile(client: Client, bomb: Vec<u8>) -> anyhow::Result<()> {
    let reply = client.try_push(&cpu_of("bomb"), vec![bomb]).await?;
    defused(&reply, "max_profile_size_bytes")
}

async fn as_connect_body(client: Client, bomb: Vec<u8>) -> anyhow::Result<()> {
    let headers = [
        ("content-type", "application/proto"),
        ("content-encoding", "gzip"),
    ];
    let reply = client.post(&format!("/{PUSH}"), &headers, bomb).await?;
    defused(&reply, "limit")
}

async fn as_ingest_pprof(client: Client, bomb: Vec<u8>) -> anyhow::Result<()> {
    let reply = client
        .post("/ingest?name=bomb&format=pprof", &[], bomb)
        .await?;
    defused(&reply, "max_profile_size_bytes")
}

async fn as_form(client: Client, bomb: Vec<u8>) -> anyhow::Result<()> {
    let head =
        b"--bound\r\nContent-Disposition: form-data; name=\"profile\"; filename=\"p\"\r\n\r\n";
    let body = [head.as_slice(), &bomb, b"\r\n--bound--\r\n"].concat();
    let kind = ("content-type", "multipart/form-data; boundary=bound");
    let reply = client.post("/ingest?name=bomb", &[kind], body).await?;
    defused(&reply, "max_profile_size_bytes")
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_refused_while_they_inflate_and_others_go_on() -> anyhow::Result<()> {
    let server = Options::new()
        .flag("-auth.multitenancy-enabled=true")
        .flag("-distributor.ingestion-rate-limit-mb=0")
        .start()
        .await?;
    let (client, bomb) = (server.client()?.tenant("bad"), bomb()?);
    let good = server.client()?.tenant("good");
    good.push(&cpu_of("good"), work(1).bytes()).await?;
    let before = peak(&server)?;
    let mut storm: JoinSet<anyhow::Result<()>> = JoinSet::new();
    for _ in 0..AT_ONCE {
        storm.spawn(as_raw_profile(client.clone(), bomb.clone()));
        storm.spawn(as_connect_body(client.clone(), bomb.clone()));
        storm.spawn(as_ingest_pprof(client.clone(), bomb.clone()));
        storm.spawn(as_form(client.clone(), bomb.clone()));
    }
    let mut pushed = 1;
    while let Some(outcome) = storm.join_next().await {
        outcome??;
        if storm.len() % 20 == 0 {
            good.push(&cpu_of("good"), work(1).bytes()).await?;
            pushed += 1;
        }
    }
    ensure!(
        good.total(CPU, "{}").await? == pushed,
        "another tenant's profiles are lost"
    );
    let grown = peak(&server)?.saturating_sub(before);
    ensure!(grown < GROWTH, "the server grew by {grown} bytes");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_answers_resource_exhausted_or_invalid_argument_to_a_bomb() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let channel = Endpoint::from_shared(server.url().to_owned())?
        .connect()
        .await?;
    let mut pusher = PusherServiceClient::new(channel);
    let request = PushRequest {
        series: vec![series(&cpu_of("bomb"), vec![bomb()?])],
    };
    ensure!(request.encoded_len() > 1 << 19, "the bomb is small");
    let status = pusher
        .push(request)
        .await
        .err()
        .context("a bomb is refused")?;
    ensure!(
        [Code::ResourceExhausted, Code::InvalidArgument].contains(&status.code()),
        "{status:?}"
    );
    ensure!(
        status.message().contains("max_profile_size_bytes"),
        "{status:?}"
    );
    Ok(())
}
