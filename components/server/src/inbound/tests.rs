use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderValue;
use prometheus_client::registry::Registry;

use super::*;

const LIMIT: BodyLimit = BodyLimit {
    bytes: 1 << 20,
    name: "the.limit",
};

fn inbound(config: &Config) -> (Inbound, Metrics) {
    let metrics = Metrics::register(&mut Registry::default());
    let offload = Offload::new("test", 1, 8, &metrics).unwrap();
    (Inbound::new(config, offload, &metrics), metrics)
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn encoded(encoding: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(encoding))])
}

fn chunked(chunks: usize, size: usize) -> Body {
    let frames =
        (0..chunks).map(move |i| Ok::<_, std::io::Error>(Bytes::from(vec![i as u8; size])));
    Body::from_stream(futures_util::stream::iter(frames))
}

#[tokio::test]
async fn bodies_arrive_whole_and_are_accounted_for() {
    let (inbound, metrics) = inbound(&Config::default());
    let received = inbound
        .read(&HeaderMap::new(), chunked(10, 1000), LIMIT)
        .await
        .unwrap();
    assert_eq!(received.bytes.len(), 10_000);
    assert_eq!(
        (
            received.bytes[999],
            received.bytes[1000],
            received.bytes[9999]
        ),
        (0, 1, 9)
    );
    assert_eq!(metrics.inflight_bytes.get(), 10_000);
    drop(received);
    assert_eq!(metrics.inflight_bytes.get(), 0);
}

#[tokio::test]
async fn gzip_is_undone_also_of_several_members() {
    let (inbound, metrics) = inbound(&Config::default());
    let data: Vec<u8> = (0..300_000_u32)
        .map(|i| (i % 997 * (i % 251) % 241) as u8)
        .collect();
    let (a, b) = data.split_at(100_000);
    let body = [gzip(a), gzip(b)].concat();
    let received = inbound
        .read(&encoded("GZIP"), body.into(), LIMIT)
        .await
        .unwrap();
    assert_eq!(received.bytes, data);
    assert_eq!(metrics.inflight_bytes.get(), 300_000);
}

#[tokio::test]
async fn an_empty_body_is_empty_in_every_encoding() {
    let (inbound, _) = inbound(&Config::default());
    for encoding in ["gzip", "identity"] {
        let received = inbound
            .read(&encoded(encoding), Body::empty(), LIMIT)
            .await
            .unwrap();
        assert!(received.bytes.is_empty());
    }
}

#[track_caller]
fn refused(result: Result<Received, Status>, kind: ErrorKind, text: &str) {
    let status = result.unwrap_err();
    assert_eq!(status.kind, kind, "{status:?}");
    assert!(status.message.contains(text), "{status:?}");
}

#[tokio::test]
async fn what_is_too_large_is_refused_by_the_limits_name() {
    let (inbound, metrics) = inbound(&Config::default());
    let none = HeaderMap::new();
    refused(
        inbound.read(&none, chunked(2000, 1000), LIMIT).await,
        ErrorKind::PayloadTooLarge,
        "`the.limit`",
    );
    let length = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static("9999999999"))]);
    refused(
        inbound.read(&length, chunked(1, 1), LIMIT).await,
        ErrorKind::PayloadTooLarge,
        "`the.limit`",
    );
    let bomb = gzip(&vec![0; 64 << 20]);
    assert!(bomb.len() < LIMIT.bytes);
    refused(
        inbound.read(&encoded("gzip"), bomb.into(), LIMIT).await,
        ErrorKind::PayloadTooLarge,
        "`the.limit`",
    );
    assert_eq!(metrics.inflight_bytes.get(), 0);
    assert_eq!(
        inbound
            .read(&none, chunked(1024, 1024), LIMIT)
            .await
            .unwrap()
            .bytes
            .len(),
        LIMIT.bytes
    );
}

#[tokio::test]
async fn damage_is_the_clients_fault() {
    let (inbound, _) = inbound(&Config::default());
    let good = gzip(b"some text that is long enough to be cut");
    for bad in [
        b"{}".to_vec(),
        good[..20].to_vec(),
        good[..good.len() - 1].to_vec(),
    ] {
        refused(
            inbound.read(&encoded("gzip"), bad.into(), LIMIT).await,
            ErrorKind::InvalidArgument,
            "gzip",
        );
    }
    refused(
        inbound.read(&encoded("br"), Body::empty(), LIMIT).await,
        ErrorKind::Unimplemented,
        "gzip",
    );
}

#[tokio::test]
async fn all_bodies_together_are_bounded() {
    let config = Config {
        max_inflight_bytes: 4 << 20,
        max_message_bytes: 1 << 20,
        ..Config::default()
    };
    let (inbound, metrics) = inbound(&config);
    let none = HeaderMap::new();
    let wide = BodyLimit {
        bytes: 64 << 20,
        ..LIMIT
    };
    let held = inbound
        .read(&none, chunked(2048, 1024), wide)
        .await
        .unwrap();
    refused(
        inbound.read(&none, chunked(2048, 1024), wide).await,
        ErrorKind::Unavailable,
        "max-inflight-bytes",
    );
    refused(
        inbound
            .read(&encoded("gzip"), gzip(&vec![0; 32 << 20]).into(), wide)
            .await,
        ErrorKind::Unavailable,
        "max-inflight-bytes",
    );
    assert_eq!(metrics.inflight_bytes_refused.get(), 2);
    drop(held);
    inbound
        .read(&none, chunked(2048, 1024), wide)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let config = Config {
        http_server_read_timeout: Duration::from_millis(20),
        ..Config::default()
    };
    let (inbound, _) = inbound(&config);
    let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    refused(
        inbound.read(&HeaderMap::new(), never, LIMIT).await,
        ErrorKind::DeadlineExceeded,
        "-server.http-read-timeout",
    );
}
