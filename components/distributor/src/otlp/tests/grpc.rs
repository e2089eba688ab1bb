//! The RPC, through a real server.

use phlare_server::{
    Config, Health, Inbound, Metrics, Offload, Parts, Registry, Server, TenantMode, bind,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use super::*;

/// A server with the RPC, and a connection to it.
struct Wire {
    channel: Channel,
    /// Ends when this is dropped.
    _running: JoinSet<()>,
}

async fn serve(bench: &Bench) -> Wire {
    let config = Config {
        http_listen_address: "127.0.0.1".into(),
        http_listen_port: 0,
        ..Config::default()
    };
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let offload = Offload::new("wire", 1, 100, &metrics).unwrap();
    let mut rpc = Rpc::new();
    bench.distributor.register(&mut rpc);
    let parts = Parts {
        tenants: TenantMode::Multi,
        inbound: Inbound::new(&config, offload.clone(), &metrics),
        metrics,
        registry,
        health: Health::new(),
        offload,
        rpc,
        routes: bench.distributor.routes(),
        slow_routes: Router::new(),
        guard: phlare_server::Guard::default(),
    };
    let listener = bind(&config).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut running = JoinSet::new();
    running.spawn(Server::new(config, parts).run(listener, CancellationToken::new()));
    let channel = Endpoint::from_shared(url).unwrap().connect().await.unwrap();
    Wire {
        channel,
        _running: running,
    }
}

impl Wire {
    async fn export(
        &self,
        request: ExportProfilesServiceRequest,
        tenant: Option<&str>,
    ) -> Result<ExportProfilesServiceResponse, tonic::Status> {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.unwrap();
        let mut request = tonic::Request::new(request);
        if let Some(tenant) = tenant {
            request
                .metadata_mut()
                .insert("x-scope-orgid", tenant.parse().unwrap());
        }
        let path = PathAndQuery::from_static(
            "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export",
        );
        client
            .unary(request, path, ProstCodec::default())
            .await
            .map(tonic::Response::into_inner)
    }
}

#[tokio::test]
async fn requests_come_by_grpc() {
    let bench = bench();
    let wire = serve(&bench).await;
    let answer = wire.export(one(), Some("t")).await.unwrap();
    assert_eq!(
        (answer, bench.total()),
        (ExportProfilesServiceResponse::default(), 10_000_000)
    );
    assert_eq!(bench.stored()[0].tenant.as_str(), "t");
}

#[tokio::test]
async fn failures_have_their_codes() {
    let bench = bench();
    let wire = serve(&bench).await;
    let check = async |request, tenant, code, text: &str| {
        let status = wire.export(request, tenant).await.unwrap_err();
        assert_eq!(status.code(), code);
        assert!(status.message().contains(text), "{}", status.message());
    };
    let no_dictionary = ExportProfilesServiceRequest {
        dictionary: None,
        ..one()
    };
    check(
        no_dictionary,
        Some("t"),
        tonic::Code::InvalidArgument,
        "the request has no `dictionary`",
    )
    .await;
    check(one(), None, tonic::Code::Unauthenticated, "").await;
    *bench.recorder.fate.lock() = Fate::Refused;
    check(
        one(),
        Some("t"),
        tonic::Code::ResourceExhausted,
        "Maximum active series",
    )
    .await;
}

#[tokio::test]
async fn a_part_may_be_refused() {
    let bench = bench();
    let wire = serve(&bench).await;
    let answer = wire
        .export(request(&["s"], &[profile(NOW), profile(1)]), Some("t"))
        .await
        .unwrap();
    assert_eq!(answer.partial_success.unwrap().rejected_profiles, 1);
}
