//! Calls over TLS, of those who show a certificate or a token.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use phlare_credentials::{
    CertificateEntry, ClientAuth, ClientTls, Figures, LoginsDocument, LoginsFile, PeerConfig,
    Right, ServerTls, ServerTlsConfig, TokenEntry, TokenFile,
};
use phlare_model::{ErrorKind, TenantId};
use phlare_peer::{CallError, Metrics, Own, Peers};
use phlare_proto::phlare::query::v1::scheduler_service_client::SchedulerServiceClient;
use phlare_proto::phlare::query::v1::{LeaveRequest, LeaveResponse};
use phlare_ring::{Heartbeat, Instance, State, Tokens};
use phlare_server::{
    Config, Guard, Health, Inbound, Offload, Parts, Registry, Rpc, Server, TenantMode, bind,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const TOKEN: &str = "token-of-the-processes";
const NAME: &str = "processes.test";

fn document(_: &str) -> Result<LoginsDocument, String> {
    Ok(LoginsDocument {
        tokens: vec![TokenEntry {
            name: "processes".to_owned(),
            sha256: None,
            token: Some(TOKEN.to_owned()),
            rights: vec![Right::Internal],
            tenants: None,
        }],
        certificates: vec![CertificateEntry {
            name: "processes".to_owned(),
            dns_name: NAME.to_owned(),
            rights: vec![Right::Internal],
            tenants: None,
        }],
        ..LoginsDocument::default()
    })
}

/// A process that serves, and a directory with all files.
struct Process {
    directory: TempDir,
    address: SocketAddr,
    running: JoinSet<()>,
}

impl Process {
    async fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let write = |name: &str, content: &str| {
            fs::write(directory.path().join(name), content).unwrap();
        };
        write("ca.crt", &issuer.pem());
        write("token", TOKEN);
        write("wrong", "another-token");
        write("logins", "");
        for (who, name) in [("process", NAME), ("stranger", "stranger.test")] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            write(&format!("{who}.crt"), &certificate.pem());
            write(&format!("{who}.key"), &key.serialize_pem());
        }
        let path = |name: &str| directory.path().join(name);
        let tls = ServerTlsConfig {
            cert_file: path("process.crt"),
            key_file: path("process.key"),
            client_auth_type: ClientAuth::IfGiven,
            client_ca_file: path("ca.crt"),
        };
        let tls = ServerTls::open(&tls, &Figures::default()).unwrap().unwrap();
        let logins = LoginsFile::open(&path("logins"), document, false, &Figures::default());
        let (address, running) = serve(tls, logins.unwrap()).await;
        Self {
            directory,
            address,
            running,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        match name {
            "" => PathBuf::new(),
            name => self.directory.path().join(name),
        }
    }

    /// Calls it as somebody who shows these files, if any.
    async fn call(&self, certificate: &str, token: &str) -> Result<LeaveResponse, CallError> {
        let pair = |ending: &str| match certificate {
            "" => PathBuf::new(),
            name => self.path(&format!("{name}.{ending}")),
        };
        let config = PeerConfig {
            tls_enabled: true,
            tls_cert_path: pair("crt"),
            tls_key_path: pair("key"),
            tls_ca_path: self.path("ca.crt"),
            tls_server_name: NAME.to_owned(),
            ..PeerConfig::default()
        };
        self.call_with(&config, token).await
    }

    async fn call_with(
        &self,
        config: &PeerConfig,
        token: &str,
    ) -> Result<LeaveResponse, CallError> {
        config.validate().unwrap();
        let figures = Figures::default();
        let own = Own {
            tls: ClientTls::open(config, &figures).unwrap(),
            token: TokenFile::open(&self.path(token), "token", &figures).unwrap(),
        };
        let instance = Instance {
            id: "process".into(),
            addr: self.address.to_string(),
            zone: "".into(),
            state: State::Active,
            tokens: Tokens::default(),
            registered_ms: 0,
            fresh: false,
            read_only: false,
            read_only_changed_ms: 0,
            heartbeat: Heartbeat::default(),
        };
        let channel = Peers::new(Metrics::default(), own).channel(&instance)?;
        let mut client = SchedulerServiceClient::new(channel);
        let tenant = TenantId::anonymous();
        let within = Duration::from_secs(20);
        let send = async |request| client.leave(request).await;
        phlare_peer::call(&instance, &tenant, within, LeaveRequest::default(), send).await
    }
}

async fn serve(tls: ServerTls, logins: LoginsFile) -> (SocketAddr, JoinSet<()>) {
    let config = Config {
        http_listen_address: "127.0.0.1".to_owned(),
        http_listen_port: 0,
        ..Config::default()
    };
    let mut registry = Registry::default();
    let metrics = phlare_server::Metrics::register(&mut registry);
    let offload = Offload::new("cpu", 1, 8, &metrics).unwrap();
    let mut rpc = Rpc::new();
    rpc.unary(
        "phlare.query.v1.SchedulerService/Leave",
        async |_, request| {
            let _: LeaveRequest = request;
            Ok(LeaveResponse::default())
        },
    );
    let parts = Parts {
        tenants: TenantMode::Single,
        guard: Guard {
            logins: Some(logins),
            ..Guard::default()
        },
        inbound: Inbound::new(&config, offload.clone(), &metrics),
        metrics,
        registry,
        health: Health::new(),
        offload,
        rpc,
        routes: Router::new(),
        slow_routes: Router::new(),
    };
    let listener = bind(&config).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new(config, parts).with_tls(tls);
    let mut running = JoinSet::new();
    running.spawn(server.run(listener, CancellationToken::new()));
    (address, running)
}

#[tokio::test]
async fn who_shows_what_is_known_is_answered() {
    let process = Arc::new(Process::start().await);
    process.call("process", "").await.unwrap();
    process.call("", "token").await.unwrap();
    // A token counts before a certificate.
    process.call("stranger", "token").await.unwrap();
    for (certificate, token) in [
        ("", ""),
        ("stranger", ""),
        ("", "wrong"),
        ("process", "wrong"),
    ] {
        let error = process.call(certificate, token).await.unwrap_err();
        assert_eq!(error.status.kind, ErrorKind::Unauthenticated, "{error:?}");
    }
    assert!(!process.running.is_empty());
}

#[tokio::test]
async fn another_name_than_the_one_that_is_meant_is_no_connection() {
    let process = Process::start().await;
    let config = PeerConfig {
        tls_enabled: true,
        tls_ca_path: process.path("ca.crt"),
        tls_server_name: "other.test".to_owned(),
        ..PeerConfig::default()
    };
    let error = process.call_with(&config, "token").await.unwrap_err();
    assert!(error.unavailable, "{error:?}");
    let message = &error.status.message;
    assert!(
        message.contains("TLS with 127.0.0.1") && message.contains("other.test"),
        "{message}"
    );
    // Without TLS it is no connection, either.
    process
        .call_with(&PeerConfig::default(), "token")
        .await
        .unwrap_err();
}
