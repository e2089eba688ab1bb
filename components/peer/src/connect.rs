//! How another process is reached: over TCP, or over TLS with what the certificates say now.

use std::io;
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use phlare_credentials::ClientTls;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

/// How long a connection may take. A process that is there answers within milliseconds.
const CONNECT: Duration = Duration::from_secs(2);
/// How often a connection is tried, and how long its other end may stay silent then.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(5);

const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("connect to {address}: {source}")]
    Tcp { address: String, source: io::Error },
    #[error("TLS with {address}: {source}")]
    Tls { address: String, source: io::Error },
    #[error("{0:?} is no address")]
    Address(String),
    #[error("{0} does not speak HTTP/2 over TLS: what listens there is no process of this cluster")]
    Protocol(String),
}

/// A connection to `addr`, `host:port`, opened by the first call and anew when it is lost.
pub(crate) fn connect(
    addr: &str,
    tls: Option<&ClientTls>,
) -> Result<Channel, tonic::transport::Error> {
    // What is encrypted is known here, not to tonic.
    let endpoint = Endpoint::from_shared(format!("http://{addr}"))?
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(SILENCE)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let Some(tls) = tls.cloned() else {
        return Ok(endpoint.connect_lazy());
    };
    let endpoint = match format!("https://{addr}").parse() {
        Ok(origin) => endpoint.origin(origin),
        Err(_) => endpoint,
    };
    let connector = tower::service_fn(move |uri: Uri| secured(uri, tls.clone()));
    Ok(endpoint.connect_with_connector_lazy(connector))
}

async fn secured(uri: Uri, tls: ClientTls) -> Result<TokioIo<TlsStream<TcpStream>>, Error> {
    let authority = uri.authority();
    let address = authority.map(ToString::to_string).unwrap_or_default();
    let name = tls.server_name(uri.host().unwrap_or_default());
    let name = name.map_err(|_| Error::Address(address.clone()))?;
    let connecting = TcpStream::connect(&address).await;
    let tcp = |source| Error::Tcp {
        address: address.clone(),
        source,
    };
    let socket = connecting.map_err(tcp)?;
    socket.set_nodelay(true).map_err(tcp)?;
    // Made for each connection: certificates may have changed since the last one.
    let connector = TlsConnector::from(std::sync::Arc::new(tls.config(&[b"h2"])));
    let connected = connector.connect(name, socket).await;
    let stream = connected.map_err(|source| Error::Tls {
        address: address.clone(),
        source,
    })?;
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(Error::Protocol(address));
    }
    Ok(TokioIo::new(stream))
}
