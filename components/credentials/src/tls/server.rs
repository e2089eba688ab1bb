//! What a server presents, and whom it lets in.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::SingleCertAndKey;
use serde::{Deserialize, Serialize};

use super::{pem, provider};
use crate::error::{ConfigError, Error};
use crate::figures::Figures;
use crate::watch::{Reload, Source, Watched};

/// TLS of the server; YAML section `server.http_tls_config`, flags `-server.http-tls-*`.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct ServerTlsConfig {
    /// File with the server's certificate and its chain (PEM); switches TLS on. Read again when it changes, as all of these.
    #[arg(long = "server.http-tls-cert-path", value_name = "FILE")]
    pub cert_file: PathBuf,

    /// File with the key of the certificate (PEM).
    #[arg(long = "server.http-tls-key-path", value_name = "FILE")]
    pub key_file: PathBuf,

    /// Certificates of clients: NoClientCert (default), VerifyClientCertIfGiven or RequireAndVerifyClientCert.
    #[arg(long = "server.http-tls-client-auth", value_name = "TYPE")]
    pub client_auth_type: ClientAuth,

    /// File with the certificates of those who may sign certificates of clients (PEM).
    #[arg(long = "server.http-tls-ca-path", value_name = "FILE")]
    pub client_ca_file: PathBuf,
}

/// Whether clients present certificates. Go's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// They may; one that is not good is refused.
    IfGiven,
    /// They have to.
    Required,
}

const NONE: &str = "NoClientCert";
const IF_GIVEN: &str = "VerifyClientCertIfGiven";
const REQUIRED: &str = "RequireAndVerifyClientCert";

impl FromStr for ClientAuth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" | NONE => Ok(Self::None),
            IF_GIVEN => Ok(Self::IfGiven),
            REQUIRED => Ok(Self::Required),
            "RequestClientCert" => Err(format!(
                "`{text}` would believe any certificate: write `{IF_GIVEN}`, which checks the one that is given"
            )),
            "RequireAnyClientCert" => Err(format!(
                "`{text}` would believe any certificate: write `{REQUIRED}`, which checks it"
            )),
            _ => Err(format!(
                "`{text}` is none of {NONE}, {IF_GIVEN}, {REQUIRED}"
            )),
        }
    }
}

impl TryFrom<String> for ClientAuth {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ClientAuth> for String {
    fn from(auth: ClientAuth) -> Self {
        let text = match auth {
            ClientAuth::None => NONE,
            ClientAuth::IfGiven => IF_GIVEN,
            ClientAuth::Required => REQUIRED,
        };
        text.to_owned()
    }
}

impl fmt::Display for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from(*self))
    }
}

impl ServerTlsConfig {
    /// Whether connections are encrypted.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.cert_file.as_os_str().is_empty()
    }

    /// Whether the settings fit together.
    ///
    /// # Errors
    /// Names the key that lacks another.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let error = |key, problem| Err(ConfigError { key, problem });
        let key_given = !self.key_file.as_os_str().is_empty();
        let ca_given = !self.client_ca_file.as_os_str().is_empty();
        let asks = self.client_auth_type != ClientAuth::None;
        match (self.is_on(), key_given) {
            (true, false) => {
                return error(
                    "server.http_tls_config.key_file",
                    "a certificate needs its key: set -server.http-tls-key-path",
                );
            }
            (false, true) => {
                return error(
                    "server.http_tls_config.cert_file",
                    "a key needs its certificate: set -server.http-tls-cert-path",
                );
            }
            (true, true) | (false, false) => {}
        }
        if (ca_given || asks) && !self.is_on() {
            return error(
                "server.http_tls_config.cert_file",
                "certificates of clients need TLS: set -server.http-tls-cert-path and -server.http-tls-key-path",
            );
        }
        match (asks, ca_given) {
            (true, false) => error(
                "server.http_tls_config.client_ca_file",
                "certificates of clients are checked against it: set -server.http-tls-ca-path",
            ),
            (false, true) => error(
                "server.http_tls_config.client_auth_type",
                "with -server.http-tls-ca-path it has to be VerifyClientCertIfGiven or RequireAndVerifyClientCert",
            ),
            (true, true) | (false, false) => Ok(()),
        }
    }
}

#[derive(Debug)]
struct Files(ServerTlsConfig);

impl Files {
    fn verifier(&self, contents: &[Vec<u8>]) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        let path = &self.0.client_ca_file;
        let content = contents.get(2).map(Vec::as_slice).unwrap_or_default();
        let roots = Arc::new(pem::roots(path, content)?);
        let builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
        let builder = match self.0.client_auth_type {
            ClientAuth::IfGiven => builder.allow_unauthenticated(),
            ClientAuth::None | ClientAuth::Required => builder,
        };
        builder.build().map_err(|error| Error::content(path, error))
    }
}

impl Source for Files {
    type Made = ServerConfig;

    fn files(&self) -> Vec<&Path> {
        let mut files = vec![self.0.cert_file.as_path(), &self.0.key_file];
        if self.0.client_auth_type != ClientAuth::None {
            files.push(&self.0.client_ca_file);
        }
        files
    }

    /// All of it anew: a session that somebody resumes was begun under the same certificates.
    fn make(&self, contents: &[Vec<u8>]) -> Result<ServerConfig, Error> {
        let [certificate, key, ..] = contents else {
            return Err(Error::content(&self.0.cert_file, "was not read"));
        };
        let certificate = (self.0.cert_file.as_path(), certificate.as_slice());
        let pair = pem::pair(certificate, (&self.0.key_file, key))?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::content(&self.0.cert_file, error))?;
        let builder = match self.0.client_auth_type {
            ClientAuth::None => builder.with_no_client_auth(),
            ClientAuth::IfGiven | ClientAuth::Required => {
                builder.with_client_cert_verifier(self.verifier(contents)?)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    fn not_after(&self, contents: &[Vec<u8>]) -> Option<i64> {
        pem::not_after(contents.first()?)
    }
}

/// TLS of a server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ServerTls(Arc<Watched<Files>>);

impl ServerTls {
    /// Reads the files that `config` names; `None` if TLS is off.
    ///
    /// # Errors
    /// A file that is not there, or not what it should be.
    pub fn open(config: &ServerTlsConfig, figures: &Figures) -> Result<Option<Self>, Error> {
        if !config.is_on() {
            return Ok(None);
        }
        let watched = Watched::open(Files(config.clone()), figures.of("server"))?;
        Ok(Some(Self(Arc::new(watched))))
    }

    /// For the next connection. ALPN is `h2`, `http/1.1`.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        self.0.current()
    }

    /// To look at the files again.
    #[must_use]
    pub fn reload(&self) -> Arc<dyn Reload> {
        Arc::clone(&self.0) as _
    }
}
