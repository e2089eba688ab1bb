//! B06: bodies that are small and inflate without end.

use anyhow::{Context, ensure};
use flate2::{Compress, Compression, FlushCompress};
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
/// What one of them inflates to.
const MEBIBYTES: usize = 1024;
/// What the server may grow by: a few bodies, not the 200 GiB that those of the test stand for.
const GROWTH: u64 = 1536 << 20;

/// About a megabyte that inflates to a gigabyte: one compressed mebibyte of zeros, again and again. Who reads to the end
/// finds no checksum there.
fn bomb() -> anyhow::Result<Vec<u8>> {
    let mut mebibyte = Vec::with_capacity(1 << 16);
    let mut compress = Compress::new(Compression::best(), false);
    // After a full flush nothing refers to what came before.
    compress.compress_vec(&vec![0; 1 << 20], &mut mebibyte, FlushCompress::Full)?;
    ensure!(compress.total_in() == 1 << 20, "the buffer is too small");
    let mut bomb = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    for _ in 0..MEBIBYTES {
        bomb.extend_from_slice(&mebibyte);
    }
    Ok(bomb)
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

/// The doors, what a bomb is wrapped in there, and the limit that an answer names.
const DOORS: [(&str, &str); 6] = [
    ("raw profile", "max_profile_size_bytes"),
    ("Connect body", "ingestion_body_limit_mb"),
    ("/ingest as pprof", "max_profile_size_bytes"),
    ("/ingest as form", "max_profile_size_bytes"),
    ("jfr", "max_profile_size_bytes"),
    ("labels", "max_profile_size_bytes"),
];

async fn send(client: &Client, door: &str, bomb: Vec<u8>) -> anyhow::Result<Reply> {
    match door {
        "raw profile" => client.try_push(&cpu_of("bomb"), vec![bomb]).await,
        "Connect body" => {
            let headers = [
                ("content-type", "application/proto"),
                ("content-encoding", "gzip"),
            ];
            client.post(&format!("/{PUSH}"), &headers, bomb).await
        }
        "/ingest as pprof" => {
            client
                .post("/ingest?name=bomb&format=pprof", &[], bomb)
                .await
        }
        form => {
            let part = |name: &str, content: &[u8]| {
                let head = format!(
                    "--bound\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"p\"\r\n\r\n"
                );
                [head.as_bytes(), content, b"\r\n"].concat()
            };
            let (query, parts) = match form {
                "jfr" => ("&format=jfr", part("jfr", &bomb)),
                "labels" => (
                    "&format=jfr",
                    [part("jfr", b""), part("labels", &bomb)].concat(),
                ),
                _ => ("", part("profile", &bomb)),
            };
            let body = [parts.as_slice(), b"--bound--\r\n"].concat();
            let kind = ("content-type", "multipart/form-data; boundary=bound");
            client
                .post(&format!("/ingest?name=bomb{query}"), &[kind], body)
                .await
        }
    }
}

/// A bomb is refused at the cap of its door, or where all bodies together meet theirs; the limit is named. A server
/// that is busy may hang up before the whole body is there.
fn defused(reply: anyhow::Result<Reply>, door: &str, limit: &str) -> anyhow::Result<()> {
    let Ok(reply) = reply else { return Ok(()) };
    if reply.status == 503 {
        return reply.refused(503, &["max-inflight-bytes"]);
    }
    ensure!(
        [400, 413, 422].contains(&reply.status),
        "{door}: status {}: {}",
        reply.status,
        reply.text()
    );
    reply.refused(reply.status, &[limit])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_door_refuses_a_bomb_with_the_name_of_its_limit() -> anyhow::Result<()> {
    let server = Server::start().await?;
    let client = server.client()?;
    for (door, limit) in DOORS {
        let reply = send(&client, door, bomb()?).await?;
        ensure!(reply.status != 503, "{door}: {}", reply.text());
        defused(Ok(reply), door, limit)?;
    }
    Ok(())
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
        for (door, limit) in DOORS {
            let (client, bomb) = (client.clone(), bomb.clone());
            storm.spawn(async move { defused(send(&client, door, bomb).await, door, limit) });
        }
    }
    let mut pushed = 1;
    while let Some(outcome) = storm.join_next().await {
        outcome??;
        if storm.len().is_multiple_of(20) {
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
