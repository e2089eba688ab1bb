//! The certificates and tokens of this process, and the logins that it knows.

use std::sync::Arc;

use phlare_credentials::{
    ClientAuth, ClientTls, Figures, LoginsDocument, LoginsFile, Reload, Right, ServerTls, TokenFile,
};
use phlare_peer::Own;
use phlare_server::{Guard, Registry, Server};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;
use crate::yaml;

/// What this process presents to others, whom it believes, and who may ask it.
pub(crate) struct Credentials {
    server: Option<ServerTls>,
    /// For calls of other processes.
    pub(crate) own: Own,
    /// For pushing profiles of this process.
    pub(crate) pushing: Option<TokenFile>,
    pub(crate) guard: Guard,
}

impl Credentials {
    /// Reads all files that the settings name.
    ///
    /// # Errors
    /// One that is not there, or not what it should be.
    pub(crate) fn open(config: &Config, registry: &mut Registry) -> anyhow::Result<Self> {
        let figures = Figures::register(registry);
        let tls = &config.server.http_tls_config;
        let token = TokenFile::open(&config.peer.token_file, "token", &figures)?;
        let profiling = &config.self_profiling;
        let own = TokenFile::open(&profiling.token_file, "self_profiling_token", &figures)?;
        let to_itself = token.clone().filter(|_| profiling.url.is_empty());
        Ok(Self {
            server: ServerTls::open(tls, &figures)?,
            pushing: own.or(to_itself),
            own: Own {
                tls: ClientTls::open(&config.peer, &figures)?,
                token,
            },
            guard: guard(config, &figures)?,
        })
    }

    /// The server, over TLS if that is on.
    pub(crate) fn secured(&self, server: Server) -> Server {
        match &self.server {
            Some(tls) => server.with_tls(tls.clone()),
            None => server,
        }
    }

    /// Looks at the files again and again, if there are any.
    pub(crate) fn watch(&self, tasks: &mut JoinSet<()>, shutdown: &CancellationToken) {
        let server = self.server.iter().map(ServerTls::reload);
        let client = self.own.tls.iter().map(ClientTls::reload);
        let tokens = self.own.token.iter().chain(&self.pushing);
        let logins = self.guard.logins.iter().map(LoginsFile::reload);
        let files = server.chain(client).chain(logins);
        let watched: Vec<Arc<dyn Reload>> = files.chain(tokens.map(TokenFile::reload)).collect();
        if !watched.is_empty() {
            tasks.spawn(phlare_credentials::run(watched, shutdown.clone()));
        }
    }
}

fn guard(config: &Config, figures: &Figures) -> anyhow::Result<Guard> {
    let auth = &config.auth;
    let clients = config.server.http_tls_config.client_auth_type;
    if auth.file.as_os_str().is_empty() {
        return Ok(Guard {
            certificate_needed: clients == ClientAuth::IfGiven,
            metrics_open: auth.metrics_open,
            ..Guard::default()
        });
    }
    let several_tenants = config.multitenancy_enabled;
    let logins = LoginsFile::open(&auth.file, read_logins, several_tenants, figures)?;
    if config.is_one_of_several() && !logins.current().anybody_may(Right::Internal) {
        warn!(
            file = %auth.file.display(),
            "no login has the right `internal`: processes of this fleet are let in by nobody"
        );
    }
    if !config.server.http_tls_config.is_on() {
        info!(
            "logins arrive unencrypted: see to it that whatever is in front of this server speaks TLS"
        );
    }
    Ok(Guard {
        logins: Some(logins),
        metrics_open: auth.metrics_open,
        ..Guard::default()
    })
}

/// What is wrong is said without what is in the file: that may be a token.
fn read_logins(text: &str) -> Result<LoginsDocument, String> {
    yaml::read(text).map_err(|error| {
        let line = error.line.map(|line| format!("line {line}: "));
        let line = line.unwrap_or_default();
        match error.problem.split_once(", expected ") {
            Some((_, expected)) => format!("{line}expected {expected}"),
            None => error.to_string(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_in_the_file_is_said_without_tokens() {
        let check = |text: &str, expected: &[&str]| {
            let error = read_logins(text).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
            for part in expected {
                assert!(error.contains(part), "{error}");
            }
        };
        check("tokens:\n- hunter2 and more\n", &["line 2", "expected"]);
        check("tokens: hunter2\n", &["expected a sequence"]);
        check(
            "tokens:\n- {name: a, rights: [reed]}\n",
            &["line 2", "`read`"],
        );
        check("tokens:\n- {name: a, rigths: []}\n", &["rigths", "rights"]);
        read_logins("").unwrap();
        let read = "tokens:\n- {name: a, sha256: b, rights: [read, internal], tenants: [t]}\n";
        assert_eq!(read_logins(read).unwrap().tokens.len(), 1);
    }
}
