use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConnection, ServerConnection};
use tempfile::TempDir;

use super::client::{ClientTls, PeerConfig};
use super::server::{ClientAuth, ServerTls, ServerTlsConfig};

use crate::{Figures, dns_names};

/// Who signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Certificate and key in PEM.
    fn signed(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }
}

/// A directory with `server.crt`, `server.key`, `client.crt`, `client.key`, `ca.crt`.
struct Files {
    directory: TempDir,
    authority: Authority,
    registry: Registry,
    figures: Figures,
}

impl Files {
    fn new() -> Self {
        let mut registry = Registry::default();
        let files = Self {
            directory: TempDir::new().unwrap(),
            authority: Authority::new(),
            figures: Figures::register(&mut registry),
            registry,
        };
        files.write("ca.crt", &files.authority.pem());
        files.sign("server", "phlare.test");
        files.sign("client", "process.test");
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    fn sign(&self, who: &str, name: &str) {
        let (certificate, key) = self.authority.signed(name);
        self.write(&format!("{who}.crt"), &certificate);
        self.write(&format!("{who}.key"), &key);
    }

    fn server(&self, client_auth_type: ClientAuth) -> ServerTls {
        let config = ServerTlsConfig {
            cert_file: self.path("server.crt"),
            key_file: self.path("server.key"),
            client_auth_type,
            client_ca_file: self.path("ca.crt"),
        };
        ServerTls::open(&config, &self.figures).unwrap().unwrap()
    }

    fn client_config(&self) -> PeerConfig {
        PeerConfig {
            tls_enabled: true,
            tls_cert_path: self.path("client.crt"),
            tls_key_path: self.path("client.key"),
            tls_ca_path: self.path("ca.crt"),
            tls_server_name: "phlare.test".to_owned(),
            ..PeerConfig::default()
        }
    }

    fn client(&self) -> ClientTls {
        ClientTls::open(&self.client_config(), &self.figures)
            .unwrap()
            .unwrap()
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        text
    }
}

/// Both ends of a handshake in memory: the names in both certificates, the server's first.
fn handshake(server: &ServerTls, client: &ClientTls) -> Result<[Vec<String>; 2], String> {
    let name = client.server_name("127.0.0.1").unwrap();
    let mut client = ClientConnection::new(Arc::new(client.config(&[b"h2"])), name).unwrap();
    let mut server = ServerConnection::new(server.config()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut io::Cursor::new(bytes)).unwrap();
        server.process_new_packets().map_err(|e| e.to_string())?;
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut io::Cursor::new(bytes)).unwrap();
        client.process_new_packets().map_err(|e| e.to_string())?;
    }
    assert_eq!(server.alpn_protocol(), Some(b"h2".as_slice()));
    let of = |certificates: Option<&[CertificateDer<'static>]>| {
        let first = certificates.and_then(<[_]>::first);
        first.map(dns_names).unwrap_or_default()
    };
    Ok([
        of(client.peer_certificates()),
        of(server.peer_certificates()),
    ])
}

#[test]
fn both_ends_know_each_other() {
    let files = Files::new();
    let names = |server: &str, client: &[&str]| {
        Ok([
            vec![server.to_owned()],
            client.iter().map(|&name| name.to_owned()).collect(),
        ])
    };
    let check = |auth, expected| {
        assert_eq!(handshake(&files.server(auth), &files.client()), expected);
    };
    check(ClientAuth::None, names("phlare.test", &[]));
    check(ClientAuth::IfGiven, names("phlare.test", &["process.test"]));
    check(
        ClientAuth::Required,
        names("phlare.test", &["process.test"]),
    );
}

#[test]
fn a_server_of_another_name_is_not_believed() {
    let files = Files::new();
    let mut config = files.client_config();
    config.tls_server_name = "other.test".to_owned();
    let client = ClientTls::open(&config, &files.figures).unwrap().unwrap();
    let error = handshake(&files.server(ClientAuth::None), &client).unwrap_err();
    assert!(
        error.contains("NotValidForName") || error.contains("not valid for name"),
        "{error}"
    );
    config.tls_insecure_skip_verify = true;
    let client = ClientTls::open(&config, &files.figures).unwrap().unwrap();
    handshake(&files.server(ClientAuth::None), &client).unwrap();
}

#[test]
fn a_client_of_another_authority_is_not_believed() {
    let files = Files::new();
    let (certificate, key) = Authority::new().signed("process.test");
    files.write("client.crt", &certificate);
    files.write("client.key", &key);
    for auth in [ClientAuth::IfGiven, ClientAuth::Required] {
        handshake(&files.server(auth), &files.client()).unwrap_err();
    }
}

#[test]
fn who_presents_nothing_is_let_in_if_that_may_be() {
    let files = Files::new();
    let mut config = files.client_config();
    (config.tls_cert_path, config.tls_key_path) = Default::default();
    let client = ClientTls::open(&config, &files.figures).unwrap().unwrap();
    let names = handshake(&files.server(ClientAuth::IfGiven), &client).unwrap();
    assert!(names[1].is_empty());
    handshake(&files.server(ClientAuth::Required), &client).unwrap_err();
}

#[test]
fn new_files_count_from_the_next_connection_on() {
    let files = Files::new();
    let (server, client) = (files.server(ClientAuth::Required), files.client());
    files.sign("server", "new.test");
    files.sign("client", "new-process.test");
    assert_eq!(handshake(&server, &client).unwrap()[1], ["process.test"]);
    server.reload().reload();
    client.reload().reload();
    let error = handshake(&server, &client).unwrap_err();
    assert!(error.contains("new.test"), "{error}");
    files.sign("server", "phlare.test");
    server.reload().reload();
    assert_eq!(
        handshake(&server, &client).unwrap()[1],
        ["new-process.test"]
    );
}

#[test]
fn a_new_authority_counts_for_clients_that_are_to_come() {
    let files = Files::new();
    let (server, client) = (files.server(ClientAuth::Required), files.client());
    files.write("ca.crt", &Authority::new().pem());
    server.reload().reload();
    handshake(&server, &client).unwrap_err();
    // Both, while certificates are replaced.
    let both = format!("{}{}", Authority::new().pem(), files.authority.pem());
    files.write("ca.crt", &both);
    server.reload().reload();
    handshake(&server, &client).unwrap();
}

#[test]
fn what_is_broken_leaves_in_force_what_was_there() {
    let files = Files::new();
    let (server, client) = (files.server(ClientAuth::None), files.client());
    let good = fs::read_to_string(files.path("server.key")).unwrap();
    let successful = |expected: u8| {
        let line = format!("phlare_credentials_reload_successful{{use=\"server\"}} {expected}\n");
        let metrics = files.metrics();
        assert!(metrics.contains(&line), "{metrics}");
    };
    successful(1);
    let other = files.authority.signed("phlare.test").1;
    for key in ["", "nonsense", other.as_str()] {
        files.write("server.key", key);
        server.reload().reload();
        successful(0);
        handshake(&server, &client).unwrap();
    }
    fs::remove_file(files.path("server.key")).unwrap();
    server.reload().reload();
    successful(0);
    files.write("server.key", &good);
    server.reload().reload();
    successful(1);
    handshake(&server, &client).unwrap();
}

/// As Kubernetes mounts secrets: a link to a directory is replaced.
#[test]
fn files_behind_a_link_are_followed() {
    let files = Files::new();
    let versions = ["one.test", "two.test"].map(|name| {
        let (certificate, key) = files.authority.signed(name);
        fs::create_dir(files.path(name)).unwrap();
        files.write(&format!("{name}/tls.crt"), &certificate);
        files.write(&format!("{name}/tls.key"), &key);
        name
    });
    let link = |to: &str| {
        std::os::unix::fs::symlink(to, files.path("new")).unwrap();
        fs::rename(files.path("new"), files.path("data")).unwrap();
    };
    link(versions[0]);
    let config = ServerTlsConfig {
        cert_file: files.path("data/tls.crt"),
        key_file: files.path("data/tls.key"),
        ..ServerTlsConfig::default()
    };
    let server = ServerTls::open(&config, &files.figures).unwrap().unwrap();
    let mut config = files.client_config();
    config.tls_server_name = String::new();
    config.tls_insecure_skip_verify = true;
    let client = ClientTls::open(&config, &files.figures).unwrap().unwrap();
    assert_eq!(handshake(&server, &client).unwrap()[0], ["one.test"]);
    link(versions[1]);
    server.reload().reload();
    assert_eq!(handshake(&server, &client).unwrap()[0], ["two.test"]);
}

#[test]
fn a_file_that_is_no_good_at_the_start_is_named() {
    let files = Files::new();
    let check = |cert: &Path, key: &Path, texts: &[&str]| {
        let config = ServerTlsConfig {
            cert_file: cert.to_owned(),
            key_file: key.to_owned(),
            ..ServerTlsConfig::default()
        };
        let error = ServerTls::open(&config, &files.figures).unwrap_err();
        let error = error.to_string();
        for text in texts {
            assert!(error.contains(text), "{error}");
        }
    };
    let (cert, key) = (files.path("server.crt"), files.path("server.key"));
    check(&files.path("none"), &key, &["read", "none"]);
    check(&key, &key, &["server.key", "no certificate"]);
    check(&cert, &cert, &["server.crt", "no private key"]);
    check(
        &cert,
        &files.path("client.key"),
        &["client.key", "server.crt"],
    );
}

#[test]
fn the_time_of_expiry_is_a_figure() {
    let files = Files::new();
    let _server = files.server(ClientAuth::None);
    let metrics = files.metrics();
    let line = "phlare_tls_certificate_not_after_seconds{use=\"server\"} 67";
    assert!(metrics.contains(line), "{metrics}");
    assert!(
        !metrics.contains("not_after_seconds{use=\"client\"}"),
        "{metrics}"
    );
}

#[test]
fn settings_that_lack_something_say_what() {
    let check = |config: ServerTlsConfig, text: &str| {
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    };
    let ok = || ServerTlsConfig {
        cert_file: "a".into(),
        key_file: "b".into(),
        ..ServerTlsConfig::default()
    };
    ok().validate().unwrap();
    ServerTlsConfig::default().validate().unwrap();
    check(
        ServerTlsConfig {
            key_file: "".into(),
            ..ok()
        },
        "-server.http-tls-key-path",
    );
    check(
        ServerTlsConfig {
            cert_file: "".into(),
            ..ok()
        },
        "-server.http-tls-cert-path",
    );
    check(
        ServerTlsConfig {
            client_auth_type: ClientAuth::Required,
            ..ok()
        },
        "-server.http-tls-ca-path",
    );
    check(
        ServerTlsConfig {
            client_ca_file: "c".into(),
            ..ok()
        },
        "VerifyClientCertIfGiven",
    );
    let alone = ServerTlsConfig {
        client_ca_file: "c".into(),
        ..ServerTlsConfig::default()
    };
    check(alone, "need TLS");
    let error = "RequireAnyClientCert".parse::<ClientAuth>().unwrap_err();
    assert!(
        error.contains("write `RequireAndVerifyClientCert`"),
        "{error}"
    );

    let check = |config: PeerConfig, text: &str| {
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    };
    let ok = || PeerConfig {
        tls_enabled: true,
        tls_ca_path: "a".into(),
        ..PeerConfig::default()
    };
    ok().validate().unwrap();
    PeerConfig::default().validate().unwrap();
    check(
        PeerConfig {
            tls_enabled: false,
            ..ok()
        },
        "-peer.tls-enabled",
    );
    check(
        PeerConfig {
            tls_ca_path: "".into(),
            ..ok()
        },
        "-peer.tls-ca-path",
    );
    check(
        PeerConfig {
            tls_key_path: "k".into(),
            ..ok()
        },
        "-peer.tls-cert-path",
    );
    check(
        PeerConfig {
            tls_server_name: "no name".into(),
            ..ok()
        },
        "tls_server_name",
    );
}
