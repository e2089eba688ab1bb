//! Certificates for processes under test, in a directory as Kubernetes mounts secrets.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

/// The DNS name of all processes.
pub const PROCESSES: &str = "processes.phlare.test";
/// The token that may do all that people may.
pub const OPERATOR: &str = "token of the operator";
/// A token that may push.
pub const AGENT: &str = "token of an agent";
/// A token that may query.
pub const READER: &str = "token of a reader";

/// Files with logins of those tokens, and certificates of an authority of its own.
#[derive(Debug)]
pub struct Certificates {
    directory: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
    versions: u32,
}

impl Certificates {
    /// Makes them in `directory`, good until 2100.
    ///
    /// # Errors
    /// If the files cannot be written.
    pub fn new(directory: &Path) -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let mut made = Self {
            directory: directory.join("certificates"),
            issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)?,
            versions: 0,
        };
        fs::create_dir_all(&made.directory).context("make the directory")?;
        fs::write(made.directory.join("logins.yaml"), logins())?;
        made.replace(2100)?;
        Ok(made)
    }

    /// Replaces certificate and key by new ones, good until `year`, both at one moment.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn replace(&mut self, year: i32) -> anyhow::Result<()> {
        self.versions += 1;
        let version = format!("version-{}", self.versions);
        let directory = self.directory.join(&version);
        fs::create_dir_all(&directory)?;
        let key = KeyPair::generate()?;
        let names = [PROCESSES, "localhost", "127.0.0.1"].map(str::to_owned);
        let mut params = CertificateParams::new(names)?;
        params.not_after = date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer)?;
        fs::write(directory.join("tls.crt"), certificate.pem())?;
        fs::write(directory.join("tls.key"), key.serialize_pem())?;
        fs::write(directory.join("ca.crt"), self.issuer.pem())?;
        let next = self.directory.join("next");
        std::os::unix::fs::symlink(version, &next)?;
        fs::rename(next, self.directory.join("data")).context("swap the link")
    }

    /// One of `tls.crt`, `tls.key`, `ca.crt`.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join("data").join(name)
    }

    /// What a client believes.
    #[must_use]
    pub fn ca(&self) -> String {
        self.issuer.pem()
    }

    /// Flags of a process that serves over TLS and knows the tokens.
    #[must_use]
    pub fn server(&self) -> Vec<String> {
        let path = |name| self.path(name).display().to_string();
        vec![
            format!("-server.http-tls-cert-path={}", path("tls.crt")),
            format!("-server.http-tls-key-path={}", path("tls.key")),
            "-server.http-tls-client-auth=VerifyClientCertIfGiven".to_owned(),
            format!("-server.http-tls-ca-path={}", path("ca.crt")),
            format!(
                "-auth.file={}",
                self.directory.join("logins.yaml").display()
            ),
        ]
    }

    /// Flags of a process that calls others over TLS, and presents its certificate.
    #[must_use]
    pub fn peer(&self) -> Vec<String> {
        let path = |name| self.path(name).display().to_string();
        vec![
            "-peer.tls-enabled".to_owned(),
            format!("-peer.tls-cert-path={}", path("tls.crt")),
            format!("-peer.tls-key-path={}", path("tls.key")),
            format!("-peer.tls-ca-path={}", path("ca.crt")),
            format!("-peer.tls-server-name={PROCESSES}"),
        ]
    }
}

fn logins() -> String {
    format!(
        "tokens:\n\
         - {{name: operator, token: {OPERATOR}, rights: [read, write, admin, metrics]}}\n\
         - {{name: agent, token: {AGENT}, rights: [write]}}\n\
         - {{name: reader, token: {READER}, rights: [read]}}\n\
         certificates:\n\
         - {{name: processes, dns_name: {PROCESSES}, rights: [internal]}}\n"
    )
}
