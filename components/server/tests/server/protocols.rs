//! The same calls over Connect, gRPC and gRPC-web.

use phlare_proto::querier::v1::querier_service_client::QuerierServiceClient;
use phlare_proto::types::v1::{LabelNamesRequest, LabelNamesResponse};
use phlare_server::{Config, TenantMode};
use prost::Message;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};

use crate::support::{FOREIGN, LABEL_NAMES, PUSH, TestServer, gunzip, gzip};

fn request(matcher: &str) -> LabelNamesRequest {
    LabelNamesRequest {
        matchers: vec![matcher.into()],
        ..Default::default()
    }
}

async fn grpc(server: &TestServer) -> QuerierServiceClient<Channel> {
    let channel = Endpoint::from_shared(server.url(""))
        .unwrap()
        .connect()
        .await
        .unwrap();
    QuerierServiceClient::new(channel)
}

#[tokio::test]
async fn connect_in_protobuf() {
    let server = TestServer::start().await;
    let response = server
        .post(
            LABEL_NAMES,
            "application/proto",
            request("a").encode_to_vec(),
        )
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/proto");
    let answer = LabelNamesResponse::decode(response.bytes().await.unwrap()).unwrap();
    assert_eq!(answer.names, ["a", "anonymous"]);
}

#[tokio::test]
async fn connect_in_json() {
    let server = TestServer::start().await;
    for content_type in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
    ] {
        let body = r#"{"matchers":["a"],"start":"5","end":7,"unknown":{}}"#;
        let response = server
            .post(LABEL_NAMES, content_type, body)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{content_type}");
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(
            response.text().await.unwrap(),
            r#"{"names":["a","anonymous"]}"#
        );
    }
}

#[tokio::test]
async fn an_empty_message_is_protobuf_but_not_json() {
    let server = TestServer::start().await;
    let proto = server
        .post(LABEL_NAMES, "application/proto", "")
        .send()
        .await
        .unwrap();
    assert_eq!(proto.status(), 200);
    let json = server
        .post(LABEL_NAMES, "application/json", "")
        .send()
        .await
        .unwrap();
    assert_eq!(json.status(), 400);
}

#[tokio::test]
async fn connect_with_gzip_both_ways() {
    let server = TestServer::start().await;
    let body = gzip(br#"{"matchers":["large"]}"#);
    let call = server.post(LABEL_NAMES, "application/json", body);
    let response = call
        .header("content-encoding", "gzip")
        .header("accept-encoding", "gzip")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let packed = response.bytes().await.unwrap();
    let text = String::from_utf8(gunzip(&packed)).unwrap();
    assert!(text.starts_with(r#"{"names":["name_0","#) && packed.len() * 10 < text.len());
}

#[tokio::test]
async fn who_does_not_take_gzip_gets_none() {
    let server = TestServer::start().await;
    let response = server.label_names("large").await;
    assert!(!response.headers().contains_key("content-encoding"));
    assert!(response.text().await.unwrap().len() > 100_000);
}

#[tokio::test]
async fn grpc_by_tonic() {
    let server = TestServer::start().await;
    let plain = grpc(&server).await;
    let packed = plain
        .clone()
        .send_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Gzip);
    for mut client in [plain, packed] {
        let answer = client.label_names(request("a")).await.unwrap().into_inner();
        assert_eq!(answer.names, ["a", "anonymous"]);
        let answer = client
            .label_names(request("large"))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.names.len(), 40_001);
    }
}

#[tokio::test]
async fn grpc_errors_have_code_and_text() {
    let server = TestServer::start().await;
    let mut client = grpc(&server).await;
    let busy = client.label_names(request("busy")).await.unwrap_err();
    assert_eq!(
        (busy.code(), busy.message()),
        (tonic::Code::ResourceExhausted, "slower, please")
    );
    assert_eq!(busy.metadata().get("retry-after").unwrap(), "2");
    let unserved = client
        .select_heatmap(phlare_proto::querier::v1::SelectHeatmapRequest::default())
        .await
        .unwrap_err();
    assert_eq!(unserved.code(), tonic::Code::Unimplemented);
    assert!(
        unserved
            .message()
            .contains("querier.v1.QuerierService/SelectHeatmap"),
        "{unserved}"
    );
    let panicked = client.label_names(request("panic")).await.unwrap_err();
    assert_eq!(panicked.code(), tonic::Code::Internal);
}

#[tokio::test]
async fn grpc_names_its_tenant_in_the_metadata() {
    let server = TestServer::with(TenantMode::Multi, Config::default()).await;
    let mut client = grpc(&server).await;
    let mut call = tonic::Request::new(request("a"));
    assert_eq!(
        client.label_names(request("a")).await.unwrap_err().code(),
        tonic::Code::Unauthenticated
    );
    call.metadata_mut()
        .insert("x-scope-orgid", "team-a".parse().unwrap());
    assert_eq!(
        client.label_names(call).await.unwrap().into_inner().names,
        ["a", "team-a"]
    );
}

#[tokio::test]
async fn grpc_health() {
    let server = TestServer::with(TenantMode::Multi, Config::default()).await;
    let check = async || {
        let body = server
            .post("/grpc.health.v1.Health/Check", "application/json", "{}")
            .send()
            .await
            .unwrap();
        body.text().await.unwrap()
    };
    assert_eq!(check().await, r#"{"status":"SERVING"}"#);
    server.health.register("log", || Err("replaying".into()));
    assert_eq!(check().await, r#"{"status":"NOT_SERVING"}"#);
}

fn frame(flags: u8, message: &[u8]) -> Vec<u8> {
    let mut framed = vec![flags];
    framed.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend_from_slice(message);
    framed
}

/// Frames as (flags, content).
fn frames(mut body: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    while let Some(([flags, length @ ..], rest)) = body.split_first_chunk::<5>() {
        let (content, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        found.push((*flags, content.to_vec()));
        body = rest;
    }
    found
}

#[tokio::test]
async fn grpc_web_by_hand() {
    let server = TestServer::start().await;
    let plain = frame(0, &request("a").encode_to_vec());
    let packed = frame(1, &gzip(&request("a").encode_to_vec()));
    for body in [plain, packed] {
        let call = server
            .post(LABEL_NAMES, "application/grpc-web+proto", body)
            .header("grpc-encoding", "gzip");
        let response = call
            .header("grpc-accept-encoding", "identity")
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        let frames = frames(&response.bytes().await.unwrap());
        let [(0, message), (0x80, trailers)] = frames.as_slice() else {
            panic!("{frames:?}")
        };
        assert_eq!(
            LabelNamesResponse::decode(message.as_slice())
                .unwrap()
                .names,
            ["a", "anonymous"]
        );
        assert!(String::from_utf8_lossy(trailers).contains("grpc-status: 0"));
    }
    let body = frame(0, &request("busy").encode_to_vec());
    let response = server
        .post(LABEL_NAMES, "application/grpc-web+proto", body)
        .send()
        .await
        .unwrap();
    let frames = frames(&response.bytes().await.unwrap());
    let [(0x80, trailers)] = frames.as_slice() else {
        panic!("{frames:?}")
    };
    assert!(String::from_utf8_lossy(trailers).contains("grpc-status: 8"));
}

#[tokio::test]
async fn a_bomb_is_refused_at_the_limit_in_every_protocol() {
    let server = TestServer::start().await;
    let bomb = gzip(&vec![0; 64 << 20]);
    let connect = server
        .post(PUSH, "application/proto", bomb.clone())
        .header("content-encoding", "gzip");
    let response = connect.send().await.unwrap();
    assert_eq!(response.status(), 413);
    let text = response.text().await.unwrap();
    assert!(
        text.starts_with(r#"{"code":"resource_exhausted""#)
            && text.contains("ingestion_body_limit_mb"),
        "{text}"
    );

    let small_bomb = gzip(&vec![0; 1 << 20]);
    let web = server
        .post(PUSH, "application/grpc-web", frame(1, &small_bomb))
        .header("grpc-encoding", "gzip");
    let frames = frames(&web.send().await.unwrap().bytes().await.unwrap());
    let [(0x80, trailers)] = frames.as_slice() else {
        panic!("{frames:?}")
    };
    assert!(String::from_utf8_lossy(trailers).contains("grpc-status: 8"));
    assert_eq!(
        server.seen.pushes.load(std::sync::atomic::Ordering::SeqCst),
        0
    );
}

#[tokio::test]
async fn grpc_messages_have_their_own_limit() {
    let config = Config {
        grpc_server_max_recv_msg_size: 2048,
        ..Config::default()
    };
    let server = TestServer::with(TenantMode::Single, config).await;
    let long = "x".repeat(4000);
    let error = grpc(&server)
        .await
        .label_names(request(&long))
        .await
        .unwrap_err();
    assert_eq!(error.code(), tonic::Code::ResourceExhausted);
    assert!(
        error
            .message()
            .contains("-server.grpc-max-recv-msg-size-bytes"),
        "{error}"
    );
    assert_eq!(server.label_names(&long).await.status(), 200);
}

#[tokio::test]
async fn a_foreign_method_is_served_in_protobuf_and_by_plain_http() {
    let server = TestServer::with(TenantMode::Multi, Config::default()).await;
    let check = async |content_type: &str, body: &[u8], status: u16, expected: &[u8]| {
        let call = server.post(FOREIGN, content_type, body.to_vec());
        let response = call.header("x-scope-orgid", "t").send().await.unwrap();
        assert_eq!(response.status(), status, "{content_type}");
        let body = response.bytes().await.unwrap();
        assert!(body.starts_with(expected), "{content_type}: {body:?}");
    };
    check("application/proto", b"abc", 200, b"rpc t 3").await;
    let framed = b"\0\0\0\0\x03abc";
    check("application/grpc-web", framed, 200, b"\0\0\0\0\x07rpc t 3").await;
    check("application/grpc", framed, 200, b"\0\0\0\0\x07rpc t 3").await;
    check("application/json", b"abc", 200, b"plain t abc").await;
    check("application/x-protobuf", b"abc", 200, b"plain t abc").await;
    // Its JSON is not known here: gRPC says so in a trailer.
    check("application/grpc-web+json", framed, 200, b"\x80").await;
}

#[tokio::test]
async fn a_foreign_method_asks_for_the_tenant_and_for_post() {
    let server = TestServer::with(TenantMode::Multi, Config::default()).await;
    for content_type in ["application/proto", "application/json"] {
        let response = server.post(FOREIGN, content_type, "abc").send().await;
        assert_eq!(response.unwrap().status(), 401, "{content_type}");
    }
    assert_eq!(server.get(FOREIGN).await.status(), 405);
}
