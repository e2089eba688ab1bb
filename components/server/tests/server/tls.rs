//! The same server over TLS.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use phlare_credentials::{ClientAuth, Figures, ServerTls, ServerTlsConfig};
use phlare_server::Guard;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, date_time_ymd,
};
use reqwest::{Certificate, Identity, Version};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{LABEL_NAMES, SOON, TestServer, client};

/// Who signs, and a directory with what was signed for the server.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("ca.crt"), issuer.pem()).unwrap();
        let authority = Self { issuer, directory };
        authority.sign_server(2100);
        authority
    }

    /// Certificate and key, good until that year.
    fn signed(&self, year: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.not_after = date_time_ymd(year, 1, 1);
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        params.subject_alt_names = vec![SanType::IpAddress(address)];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn sign_server(&self, year: i32) {
        let (certificate, key) = self.signed(year);
        fs::write(self.directory.path().join("tls.crt"), certificate).unwrap();
        fs::write(self.directory.path().join("tls.key"), key).unwrap();
    }

    fn tls(&self, client_auth_type: ClientAuth) -> ServerTls {
        let path = |name| self.directory.path().join(name);
        let config = ServerTlsConfig {
            cert_file: path("tls.crt"),
            key_file: path("tls.key"),
            client_auth_type,
            client_ca_file: path("ca.crt"),
        };
        let opened = ServerTls::open(&config, &Figures::default());
        opened.unwrap().unwrap()
    }

    /// A client that believes this authority, and presents a certificate if it has one.
    fn client(&self, own: Option<(String, String)>) -> reqwest::Client {
        // Installs the provider.
        client();
        let root = Certificate::from_pem(self.issuer.pem().as_bytes()).unwrap();
        let mut builder = reqwest::Client::builder().tls_certs_only([root]);
        if let Some((certificate, key)) = own {
            let pem = format!("{certificate}{key}");
            builder = builder.identity(Identity::from_pem(pem.as_bytes()).unwrap());
        }
        builder.build().unwrap()
    }

    async fn server(&self) -> TestServer {
        let mut server = TestServer::secured(self.tls(ClientAuth::None), Guard::default()).await;
        server.client = self.client(None);
        server
    }
}

/// All that the server answers until it closes the connection.
async fn answer(server: &TestServer, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut read = Vec::new();
    // A connection that is reset has ended, too.
    let _ = timeout(SOON, socket.read_to_end(&mut read)).await.unwrap();
    String::from_utf8_lossy(&read).into_owned()
}

#[tokio::test]
async fn one_port_speaks_both_versions() {
    let authority = Authority::new();
    let server = authority.server().await;
    let ready = server.get("/ready").await;
    assert_eq!(ready.version(), Version::HTTP_2);
    let response = server.label_names("a").await;
    assert!(response.text().await.unwrap().contains("anonymous"));

    let root = Certificate::from_pem(authority.issuer.pem().as_bytes()).unwrap();
    let builder = reqwest::Client::builder().tls_certs_only([root]);
    let old = builder.http1_only().build().unwrap();
    let request = old.post(server.url(LABEL_NAMES)).body("{}");
    let request = request.header("content-type", "application/json");
    let response = request.send().await.unwrap();
    assert_eq!(response.version(), Version::HTTP_11);
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn plain_http_is_told_so() {
    let server = Authority::new().server().await;
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = answer(&server, request.as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.0 400 Bad Request\r\n"), "{answer}");
        assert_eq!(body, "Client sent an HTTP request to an HTTPS server.\n");
    }
    let counted = "phlare_server_tls_handshakes_failed_total{reason=\"plain_http\"}";
    assert_eq!(server.metric(counted).await, Some(2.0));
}

#[tokio::test]
async fn hostile_bytes_end_their_connection_only() {
    let server = Authority::new().server().await;
    let noise: [&[u8]; 5] = [
        b"\0\0\0\0",
        b"\x16\x03\x01\xff\xffgarbage that is no handshake",
        b"\x16\x03\x01\0\x05\x01\0\0\x01\0",
        b"\x80\x2e\x01\0\x02",
        &[0xff; 4096],
    ];
    for bytes in noise {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut read = Vec::new();
        let _ = timeout(SOON, socket.read_to_end(&mut read)).await.unwrap();
        assert!(!read.starts_with(b"HTTP"));
    }
    assert_eq!(server.get("/livez").await.status(), 200);
}

#[tokio::test]
async fn a_handshake_that_does_not_end_keeps_nobody_out() {
    let server = Authority::new().server().await;
    let mut stuck = Vec::new();
    for _ in 0..50 {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(b"\x16").await.unwrap();
        stuck.push(socket);
    }
    assert_eq!(server.get("/livez").await.status(), 200);
}

/// Nothing else goes on, so the clock goes to where the server gives up.
#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_end_is_given_up() {
    let server = Authority::new().server().await;
    for bytes in [b"".as_slice(), b"\x16\x03\x01"] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        assert_eq!(socket.read(&mut [0]).await.unwrap_or(0), 0);
    }
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_not_believed() {
    let authority = Authority::new();
    authority.sign_server(2020);
    let server = authority.server().await;
    let asked = server.client.get(server.url("/livez")).send().await;
    let error = format!("{:?}", asked.unwrap_err());
    assert!(error.to_lowercase().contains("expired"), "{error}");
}

#[tokio::test]
async fn certificates_of_clients_are_checked() {
    let authority = Authority::new();
    let ask = async |auth, own| {
        let server = TestServer::secured(authority.tls(auth), Guard::default()).await;
        let client = authority.client(own);
        let asked = client.get(server.url("/livez")).send().await;
        asked.map(|response| response.status().as_u16())
    };
    let stranger = Authority::new();
    for auth in [ClientAuth::IfGiven, ClientAuth::Required] {
        let good = authority.signed(2100);
        assert_eq!(ask(auth, Some(good)).await.unwrap(), 200);
        ask(auth, Some(authority.signed(2020))).await.unwrap_err();
        ask(auth, Some(stranger.signed(2100))).await.unwrap_err();
    }
    assert_eq!(ask(ClientAuth::IfGiven, None).await.unwrap(), 200);
    ask(ClientAuth::Required, None).await.unwrap_err();
}

/// Probes have no certificate.
#[tokio::test]
async fn without_a_certificate_only_probes_are_answered() {
    let authority = Authority::new();
    let guard = Guard {
        certificate_needed: true,
        ..Guard::default()
    };
    let server = TestServer::secured(authority.tls(ClientAuth::IfGiven), guard).await;
    let ask = async |client: &reqwest::Client, path| {
        let asked = client.get(server.url(path)).send().await;
        asked.unwrap().status().as_u16()
    };
    let nobody = authority.client(None);
    assert_eq!(ask(&nobody, "/ready").await, 200);
    assert_eq!(ask(&nobody, "/livez").await, 200);
    assert_eq!(ask(&nobody, "/metrics").await, 401);
    assert_eq!(ask(&nobody, "/whoami").await, 401);
    let known = authority.client(Some(authority.signed(2100)));
    assert_eq!(ask(&known, "/metrics").await, 200);
    assert_eq!(ask(&known, "/whoami").await, 200);
}

#[tokio::test]
async fn a_connection_outlives_its_certificate() {
    let authority = Authority::new();
    let tls = authority.tls(ClientAuth::None);
    let server = TestServer::secured(tls.clone(), Guard::default()).await;
    let old = authority.client(None);
    let ask = async |client: &reqwest::Client| {
        let asked = client.get(server.url("/livez")).send().await;
        asked.map(|response| response.status().as_u16())
    };
    assert_eq!(ask(&old).await.unwrap(), 200);
    let other = Arc::new(Authority::new());
    for name in ["tls.crt", "tls.key"] {
        let (from, to) = (other.directory.path(), authority.directory.path());
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    tls.reload().reload();
    assert_eq!(ask(&old).await.unwrap(), 200);
    assert_eq!(ask(&other.client(None)).await.unwrap(), 200);
    ask(&authority.client(None)).await.unwrap_err();
}
