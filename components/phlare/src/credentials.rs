//! The certificates of this process.

use std::sync::Arc;

use phlare_credentials::{ClientTls, Figures, Reload, ServerTls};
use phlare_server::{Registry, Server};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// What this process presents to others, and whom it believes.
pub(crate) struct Credentials {
    server: Option<ServerTls>,
    /// For calls of other processes.
    pub(crate) client: Option<ClientTls>,
}

impl Credentials {
    /// Reads all files that the settings name.
    ///
    /// # Errors
    /// One that is not there, or not what it should be.
    pub(crate) fn open(config: &Config, registry: &mut Registry) -> anyhow::Result<Self> {
        let figures = Figures::register(registry);
        Ok(Self {
            server: ServerTls::open(&config.server.http_tls_config, &figures)?,
            client: ClientTls::open(&config.peer, &figures)?,
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
        let client = self.client.iter().map(ClientTls::reload);
        let watched: Vec<Arc<dyn Reload>> = server.chain(client).collect();
        if !watched.is_empty() {
            tasks.spawn(phlare_credentials::run(watched, shutdown.clone()));
        }
    }
}
