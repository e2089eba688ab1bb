//! The handshake of one connection: in its own task, within a time, counted if it fails.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use phlare_credentials::{ServerTls, dns_names};
use rustls::{AlertDescription, Error as TlsError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use crate::metrics::Metrics;
use crate::rpc::Peer;

/// How long a handshake may take, first byte included.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The log has one warning in this time.
const WARN_EVERY: Duration = Duration::from_secs(10);
/// First byte of a TLS record with a handshake.
const HANDSHAKE_RECORD: u8 = 22;
/// A byte suffices to see that the first request has begun; larger reads go past the buffer.
const FIRST_BYTES: usize = 16;

/// Most that is read of a client that does not speak TLS, so that it gets to read the answer.
const DRAIN_BYTES: u64 = 64 << 10;
const DRAIN_TIME: Duration = Duration::from_millis(500);
const PLAIN_HTTP: &str = "HTTP/1.0 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Connection: close\r\n\r\n\
    Client sent an HTTP request to an HTTPS server.\n";

/// DNS names of the certificate that the client presented, which was checked; an extension of every request. `None` if it
/// presented none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientNames(pub Option<Arc<[String]>>);

/// A connection after its handshake.
pub(crate) struct Secured {
    pub(crate) stream: BufReader<TlsStream<TcpStream>>,
    /// Otherwise HTTP/1.1.
    pub(crate) is_http2: bool,
    pub(crate) names: ClientNames,
}

/// TLS of a listener.
#[derive(Clone, Debug)]
pub(crate) struct Handshakes {
    tls: ServerTls,
    metrics: Metrics,
    warned: Arc<Mutex<Warned>>,
}

#[derive(Debug, Default)]
struct Warned {
    at: Option<Instant>,
    since: u64,
}

/// Why there is no connection.
#[derive(Debug)]
struct Failed {
    reason: &'static str,
    error: String,
    /// Somebody should see to it: one side does not trust the other, or does not speak TLS.
    is_worth_a_warning: bool,
}

impl Failed {
    fn quiet(reason: &'static str, error: impl ToString) -> Self {
        Self {
            reason,
            error: error.to_string(),
            is_worth_a_warning: false,
        }
    }

    fn warned(reason: &'static str, error: impl ToString) -> Self {
        Self {
            is_worth_a_warning: true,
            ..Self::quiet(reason, error)
        }
    }
}

impl Handshakes {
    pub(crate) fn new(tls: ServerTls, metrics: Metrics) -> Self {
        Self {
            tls,
            metrics,
            warned: Arc::default(),
        }
    }

    /// `None`: the client went away, or did not get through; that was counted and logged.
    pub(crate) async fn accept(&self, socket: TcpStream, peer: Peer) -> Option<Secured> {
        let failed = match self.handshake(socket).await {
            Ok(secured) => return secured,
            Err(failed) => failed,
        };
        self.metrics.handshake_failed(failed.reason);
        self.log(&failed, peer);
        None
    }

    async fn handshake(&self, socket: TcpStream) -> Result<Option<Secured>, Failed> {
        let deadline = Instant::now() + HANDSHAKE;
        let late = || Failed::quiet("timeout", format!("it took longer than {HANDSHAKE:?}"));
        let mut first = [0];
        match timeout_at(deadline, socket.peek(&mut first)).await {
            Ok(Ok(1..)) => {}
            // Who looks whether the port is open says nothing.
            Ok(_) => return Ok(None),
            Err(_) => return Err(late()),
        }
        match first {
            [HANDSHAKE_RECORD] => {}
            [b'A'..=b'Z'] => {
                refuse_plain(socket).await;
                let error = "the client sent plain HTTP: it has to use https://";
                return Err(Failed::warned("plain_http", error));
            }
            _ => return Err(Failed::quiet("no_tls", "what the client sent is no TLS")),
        }
        let acceptor = TlsAcceptor::from(self.tls.config());
        let stream = match timeout_at(deadline, acceptor.accept(socket)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(failed(&error)),
            Err(_) => return Err(late()),
        };
        let (_, session) = stream.get_ref();
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        let names = certificate.map(|certificate| dns_names(certificate).into());
        Ok(Some(Secured {
            stream: BufReader::with_capacity(FIRST_BYTES, stream),
            is_http2,
            names: ClientNames(names),
        }))
    }

    fn log(&self, failed: &Failed, Peer(peer): Peer) {
        let Failed { reason, error, .. } = failed;
        debug!(%peer, reason, error, "TLS handshake failed");
        if !failed.is_worth_a_warning {
            return;
        }
        let mut warned = self.warned.lock();
        warned.since += 1;
        if warned.at.is_some_and(|at| at.elapsed() < WARN_EVERY) {
            return;
        }
        let failures = std::mem::take(&mut warned.since);
        warned.at = Some(Instant::now());
        warn!(%peer, reason, error, failures, "TLS handshake failed");
    }
}

fn failed(error: &io::Error) -> Failed {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<TlsError>());
    match inner {
        Some(TlsError::NoCertificatesPresented) => {
            Failed::warned("no_certificate", "the client presented no certificate")
        }
        Some(error @ TlsError::InvalidCertificate(_)) => Failed::warned("bad_certificate", error),
        Some(TlsError::AlertReceived(AlertDescription::CloseNotify)) | None => {
            Failed::quiet("closed", error)
        }
        Some(error @ TlsError::AlertReceived(_)) => Failed::warned("refused_by_client", error),
        Some(error) => Failed::quiet("protocol", error),
    }
}

/// Says what is wrong as Go's servers do.
async fn refuse_plain(mut socket: TcpStream) {
    let answer = async {
        // Reading a request first: closing with bytes unread takes the answer with it.
        let mut read = [0; 1024];
        let _ = socket.read(&mut read).await?;
        socket.write_all(PLAIN_HTTP.as_bytes()).await?;
        socket.shutdown().await?;
        tokio::io::copy(&mut socket.take(DRAIN_BYTES), &mut tokio::io::sink()).await
    };
    // Late or not, the connection ends.
    let _ = timeout(DRAIN_TIME, answer).await;
}
