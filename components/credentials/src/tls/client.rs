//! What a client presents, and whom it believes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ArgAction;
use phlare_model::flag::go_bool;
use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use serde::{Deserialize, Serialize};

use super::verify::{Anybody, Named};
use super::{pem, provider};
use crate::error::{ConfigError, Error};
use crate::figures::Figures;
use crate::watch::{Reload, Source, Watched};

/// How this process connects to others of its cluster; YAML section `peer`, flags `-peer.*`.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
#[group(skip)]
#[serde(default, deny_unknown_fields)]
pub struct PeerConfig {
    /// Calls other processes over TLS; all of them serve it then.
    #[arg(long = "peer.tls-enabled", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    pub tls_enabled: bool,

    /// File with the certificate that this process presents, and its chain (PEM). Read again when it changes, as all of these.
    #[arg(long = "peer.tls-cert-path", value_name = "FILE")]
    pub tls_cert_path: PathBuf,

    /// File with the key of that certificate (PEM).
    #[arg(long = "peer.tls-key-path", value_name = "FILE")]
    pub tls_key_path: PathBuf,

    /// File with the certificates of those who may sign certificates of the others (PEM).
    #[arg(long = "peer.tls-ca-path", value_name = "FILE")]
    pub tls_ca_path: PathBuf,

    /// The name that certificates of the others have: processes know each other by addresses.
    #[arg(long = "peer.tls-server-name", value_name = "NAME")]
    pub tls_server_name: String,

    /// Believes any certificate. Whoever can redirect connections can then read and answer them.
    #[arg(long = "peer.tls-insecure-skip-verify", value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", action = ArgAction::Set, value_parser = go_bool)]
    pub tls_insecure_skip_verify: bool,

    /// File with the token that this process sends to others; its login there needs the right `internal`.
    #[arg(id = "peer_token_file", long = "peer.token-file", value_name = "FILE")]
    pub token_file: PathBuf,
}

impl PeerConfig {
    /// Whether the settings fit together.
    ///
    /// # Errors
    /// Names the key that lacks another.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let error = |key, problem| Err(ConfigError { key, problem });
        let given = |path: &Path| !path.as_os_str().is_empty();
        let any = given(&self.tls_cert_path)
            || given(&self.tls_key_path)
            || given(&self.tls_ca_path)
            || !self.tls_server_name.is_empty()
            || self.tls_insecure_skip_verify;
        if any && !self.tls_enabled {
            return error(
                "peer.tls_enabled",
                "is false, so the other `peer.tls_*` mean nothing: set -peer.tls-enabled",
            );
        }
        if given(&self.tls_cert_path) != given(&self.tls_key_path) {
            return error(
                "peer.tls_cert_path",
                "certificate and key come together: set -peer.tls-cert-path and -peer.tls-key-path",
            );
        }
        if self.tls_enabled && !given(&self.tls_ca_path) && !self.tls_insecure_skip_verify {
            return error(
                "peer.tls_ca_path",
                "certificates of the others are checked against it: set -peer.tls-ca-path",
            );
        }
        if self.name().is_err() {
            return error("peer.tls_server_name", "is no DNS name and no address");
        }
        Ok(())
    }

    fn name(&self) -> Result<Option<ServerName<'static>>, Error> {
        if self.tls_server_name.is_empty() {
            return Ok(None);
        }
        let name = ServerName::try_from(self.tls_server_name.clone());
        name.map(Some)
            .map_err(|error| Error::content(&self.tls_server_name, error))
    }
}

#[derive(Debug)]
struct Files(PeerConfig);

impl Files {
    fn has_pair(&self) -> bool {
        !self.0.tls_cert_path.as_os_str().is_empty()
    }

    fn verifier(&self, ca: &[u8]) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        if self.0.tls_insecure_skip_verify {
            return Ok(Arc::new(Anybody(provider())));
        }
        let path = &self.0.tls_ca_path;
        let roots = Arc::new(pem::roots(path, ca)?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|error| Error::content(path, error))?;
        Ok(match self.0.name()? {
            Some(name) => Arc::new(Named { verifier, name }),
            None => verifier,
        })
    }
}

impl Source for Files {
    type Made = ClientConfig;

    fn files(&self) -> Vec<&Path> {
        let mut files = Vec::new();
        if self.has_pair() {
            files.extend([self.0.tls_cert_path.as_path(), &self.0.tls_key_path]);
        }
        if !self.0.tls_insecure_skip_verify {
            files.push(&self.0.tls_ca_path);
        }
        files
    }

    fn make(&self, contents: &[Vec<u8>]) -> Result<ClientConfig, Error> {
        let ca = contents.last().map(Vec::as_slice).unwrap_or_default();
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::content(&self.0.tls_ca_path, error))?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(ca)?);
        let (true, [certificate, key, ..]) = (self.has_pair(), contents) else {
            return Ok(builder.with_no_client_auth());
        };
        let certificate = (self.0.tls_cert_path.as_path(), certificate.as_slice());
        let pair = pem::pair(certificate, (&self.0.tls_key_path, key))?;
        Ok(builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair))))
    }

    fn not_after(&self, contents: &[Vec<u8>]) -> Option<i64> {
        pem::not_after(contents.first().filter(|_| self.has_pair())?)
    }
}

/// TLS of calls to other processes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ClientTls(Arc<Watched<Files>>);

impl ClientTls {
    /// Reads the files that `config` names; `None` if TLS is off.
    ///
    /// # Errors
    /// A file that is not there, or not what it should be.
    pub fn open(config: &PeerConfig, figures: &Figures) -> Result<Option<Self>, Error> {
        if !config.tls_enabled {
            return Ok(None);
        }
        let watched = Watched::open(Files(config.clone()), figures.of("client"))?;
        Ok(Some(Self(Arc::new(watched))))
    }

    /// For the next connection, with these protocols, the best first.
    #[must_use]
    pub fn config(&self, protocols: &[&[u8]]) -> ClientConfig {
        let mut config = ClientConfig::clone(&self.0.current());
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        config
    }

    /// Whom a connection to `host` is to reach: the name of the settings, or the host.
    ///
    /// # Errors
    /// The host is no name and no address.
    pub fn server_name(
        &self,
        host: &str,
    ) -> Result<ServerName<'static>, rustls::pki_types::InvalidDnsNameError> {
        let set = self.0.source().0.tls_server_name.as_str();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = if set.is_empty() { bare } else { set };
        ServerName::try_from(name.to_owned())
    }

    /// To look at the files again.
    #[must_use]
    pub fn reload(&self) -> Arc<dyn Reload> {
        Arc::clone(&self.0) as _
    }
}
