//! From ready to drained; clients that leave, handlers that panic.

use std::time::Duration;

use phlare_server::{Config, TenantMode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{LABEL_NAMES, SOON, TestServer};

/// A request by hand, for what a real client would not do.
async fn by_hand(server: &TestServer, path: &str, body: &str) -> TcpStream {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    socket.write_all((head + body).as_bytes()).await.unwrap();
    socket
}

#[tokio::test]
async fn ready_follows_the_checks() {
    let server = TestServer::start().await;
    assert_eq!(server.get("/ready").await.text().await.unwrap(), "ready\n");
    server
        .health
        .register("log", || Err("replaying segment 3 of 7".into()));
    let response = server.get("/ready").await;
    assert_eq!(response.status(), 503);
    assert_eq!(
        response.text().await.unwrap(),
        "not ready: log: replaying segment 3 of 7\n"
    );
    for path in ["/livez", "/healthz"] {
        assert_eq!(server.get(path).await.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_stops_the_work() {
    let server = TestServer::start().await;
    let socket = by_hand(&server, LABEL_NAMES, r#"{"matchers":["hang"]}"#).await;
    timeout(SOON, server.seen.begun.notified()).await.unwrap();
    drop(socket);
    timeout(SOON, server.seen.dropped.notified()).await.unwrap();
    let labels = r#"{method="POST",route="querier_v1_querierservice_labelnames",status_code="499",ws="false"}"#;
    let name = format!("pyroscope_request_duration_seconds_count{labels}");
    assert_eq!(server.metric(&name).await, Some(1.0));
}

#[tokio::test]
async fn panics_are_500_and_counted() {
    let server = TestServer::start().await;
    let rpc = server.label_names("panic").await;
    assert_eq!(rpc.status(), 500);
    assert!(
        rpc.text()
            .await
            .unwrap()
            .starts_with(r#"{"code":"internal""#)
    );
    let plain = server.get("/panic").await;
    assert_eq!(plain.status(), 500);
    assert!(
        plain
            .text()
            .await
            .unwrap()
            .starts_with(r#"{"code":"internal""#)
    );
    assert_eq!(server.metric("pyroscope_panic_total").await, Some(2.0));
    assert_eq!(server.label_names("a").await.status(), 200);
}

#[tokio::test]
async fn requests_are_measured_by_route() {
    let server = TestServer::start().await;
    server.label_names("a").await;
    server.label_names("busy").await;
    server.get("/no/such/route").await;
    let count = async |labels: &str| {
        server
            .metric(&format!(
                "pyroscope_request_duration_seconds_count{{{labels},ws=\"false\"}}"
            ))
            .await
    };
    let route = r#"method="POST",route="querier_v1_querierservice_labelnames""#;
    assert_eq!(
        count(&format!(r#"{route},status_code="200""#)).await,
        Some(1.0)
    );
    assert_eq!(
        count(&format!(r#"{route},status_code="429""#)).await,
        Some(1.0)
    );
    assert_eq!(
        count(r#"method="GET",route="notfound",status_code="404""#).await,
        Some(1.0)
    );
    assert_eq!(
        server
            .metric(&format!("pyroscope_inflight_requests{{{route}}}"))
            .await,
        Some(0.0)
    );
    assert_eq!(
        server
            .metric(&format!("pyroscope_request_message_bytes_sum{{{route}}}"))
            .await,
        Some(39.0)
    );
    assert!(
        server
            .metric(r#"pyroscope_tcp_connections{protocol="tcp"}"#)
            .await
            >= Some(1.0)
    );
}

#[tokio::test]
async fn a_stop_lets_requests_end() {
    let server = TestServer::start().await;
    let _silent = TcpStream::connect(server.address).await.unwrap();
    let mut socket = by_hand(&server, LABEL_NAMES, r#"{"matchers":["wait"]}"#).await;
    timeout(SOON, server.seen.begun.notified()).await.unwrap();
    server.shutdown.cancel();
    // Refused only once the listener is closed.
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!server.health.is_ready());
    server.seen.release.notify_one();
    let mut answer = String::new();
    timeout(SOON, socket.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with(r#"{"names":["wait","anonymous"]}"#),
        "{answer}"
    );
    server.ended().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let config = Config {
        graceful_shutdown_timeout: Duration::from_millis(50),
        ..Config::default()
    };
    let server = TestServer::with(TenantMode::Single, config).await;
    let _socket = by_hand(&server, LABEL_NAMES, r#"{"matchers":["hang"]}"#).await;
    timeout(SOON, server.seen.begun.notified()).await.unwrap();
    server.shutdown.cancel();
    timeout(SOON, server.seen.dropped.notified()).await.unwrap();
    server.ended().await;
}

#[tokio::test]
async fn silent_connections_are_closed() {
    let config = Config {
        http_server_idle_timeout: Duration::from_millis(50),
        ..Config::default()
    };
    let server = TestServer::with(TenantMode::Single, config).await;
    for begin in ["", "GET / HT"] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(begin.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        // A reset is as good as an end.
        let _ = timeout(SOON, socket.read_to_end(&mut rest)).await.unwrap();
    }
}

#[tokio::test]
async fn connections_above_the_limit_wait() {
    let config = Config {
        http_listen_conn_limit: 1,
        ..Config::default()
    };
    let server = TestServer::with(TenantMode::Single, config).await;
    let first = by_hand(&server, LABEL_NAMES, r#"{"matchers":["hang"]}"#).await;
    timeout(SOON, server.seen.begun.notified()).await.unwrap();
    let mut second = by_hand(&server, LABEL_NAMES, r#"{"matchers":["a"]}"#).await;
    let mut byte = [0];
    assert!(
        timeout(Duration::from_millis(50), second.read(&mut byte))
            .await
            .is_err(),
        "the second was served"
    );
    drop(first);
    assert_eq!(
        timeout(SOON, second.read(&mut byte))
            .await
            .unwrap()
            .unwrap(),
        1
    );
}
