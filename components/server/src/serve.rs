//! The server: all routes behind one listener, from accept to drain.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use phlare_credentials::ServerTls;
use phlare_model::ErrorKind;
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::{debug, info, warn};

use crate::access::{self, Access};
use crate::config::{Config, unless_zero};
use crate::health::Health;
use crate::http::{compress, http_error, not_found, text};
use crate::inbound::Inbound;
use crate::login::{self, Door, Guard};
use crate::metrics::{self, Metrics, Registry};
use crate::offload::Offload;
use crate::rpc::{MethodOptions, Peer, Rpc, gate};
use crate::status::Status;
use crate::tenant::TenantMode;
use crate::tls::{ClientNames, Handshakes};

/// After a failed accept (no file descriptors left) the next one waits.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// What a server is made of.
#[derive(Debug)]
pub struct Parts {
    /// Whether requests say whose they are.
    pub tenants: TenantMode,
    /// Who may ask.
    pub guard: Guard,
    /// The server's metrics, registered in `registry`.
    pub metrics: Metrics,
    /// All metrics of the process.
    pub registry: Registry,
    /// Whether the process is ready.
    pub health: Health,
    /// Where answers are encoded and compressed.
    pub offload: Offload,
    /// Reads the bodies.
    pub inbound: Inbound,
    /// The RPC methods.
    pub rpc: Rpc,
    /// Plain routes, bounded by `-server.http-write-timeout`.
    pub routes: Router,
    /// Plain routes that take their time, such as profiles of the process itself.
    pub slow_routes: Router,
}

/// All routes, ready to be served.
#[derive(Debug)]
pub struct Server {
    config: Config,
    router: Router,
    health: Health,
    metrics: Metrics,
    handshakes: Option<Handshakes>,
}

impl Server {
    /// Puts the routes together: RPC, plain ones, and the server's own `/metrics`, `/ready`, `/livez`, `/healthz`.
    ///
    /// # Panics
    /// If two routes have the same path: a mistake in the wiring.
    #[must_use]
    pub fn new(config: Config, parts: Parts) -> Self {
        let Parts {
            tenants,
            guard,
            metrics,
            registry,
            health,
            offload,
            inbound,
            mut rpc,
            routes,
            slow_routes,
        } = parts;
        let checked = health.clone();
        let options = MethodOptions {
            tenant: false,
            ..MethodOptions::default()
        };
        rpc.unary_with("grpc.health.v1.Health/Check", options, move |_, request| {
            std::future::ready(checked.check(&request))
        });

        let longest = unless_zero(config.http_server_write_timeout);
        let timed = routes
            .merge(own_routes(registry, health.clone()))
            .layer(from_fn_with_state(longest, deadline));
        let gate_parts = gate::Parts {
            rpc,
            offload: offload.clone(),
            inbound,
            metrics: metrics.clone(),
            tenants,
        };
        let access = Access {
            metrics: metrics.clone(),
            tenants,
            log_all: config.log_request_at_info_level_enabled,
        };
        let door = Door::new(guard, tenants, offload.clone(), metrics.clone());
        let router = timed
            .merge(slow_routes)
            .merge(gate::routes(&config, gate_parts))
            .fallback(async || not_found())
            .layer(from_fn_with_state(offload, compress::layer))
            .layer(from_fn_with_state(door, login::layer))
            .layer(from_fn_with_state(access, access::layer));
        Self {
            config,
            router,
            health,
            metrics,
            handshakes: None,
        }
    }

    /// Serves over TLS.
    #[must_use]
    pub fn with_tls(mut self, tls: ServerTls) -> Self {
        self.handshakes = Some(Handshakes::new(tls, self.metrics.clone()));
        self
    }

    /// The routes without a listener: for tests that need no socket.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Serves until `shutdown`, then lets requests end for `-server.graceful-shutdown-timeout`.
    /// Returns when every connection has ended.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) {
        let Self {
            config,
            router,
            health,
            metrics,
            handshakes,
        } = self;
        let graceful = GracefulShutdown::new();
        let acceptor = Acceptor::new(&config, router, metrics.connections, handshakes);
        let mut tasks = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = acceptor.accept(&listener) => accepted,
                Some(_) = tasks.join_next() => continue,
                () = shutdown.cancelled() => break,
            };
            tasks.spawn(accepted.serve(graceful.watcher(), shutdown.clone()));
        }
        health.drain();
        drop(listener);
        drop(acceptor);
        let deadline = config.graceful_shutdown_timeout;
        info!(connections = tasks.len(), ?deadline, "server drains");
        let ended = timeout(deadline, async {
            graceful.shutdown().await;
            while tasks.join_next().await.is_some() {}
        });
        if ended.await.is_err() {
            warn!(
                connections = tasks.len(),
                ?deadline,
                "requests were cut off: they did not end in time"
            );
            tasks.shutdown().await;
        }
    }
}

fn own_routes(registry: Registry, health: Health) -> Router {
    Router::new()
        .route(
            "/metrics",
            get(
                async |Extension(registry): Extension<Arc<Registry>>, headers: http::HeaderMap| {
                    metrics::render(&registry, &headers)
                },
            ),
        )
        .route(
            "/ready",
            get(
                async |Extension(health): Extension<Health>, headers: http::HeaderMap| {
                    health.ready(&headers)
                },
            ),
        )
        .route("/livez", get(async || text(http::StatusCode::OK, "ok\n")))
        .route("/healthz", get(async || text(http::StatusCode::OK, "ok\n")))
        .layer(Extension(health))
        .layer(Extension(Arc::new(registry)))
}

/// Gives a plain route no more time than the setting.
async fn deadline(
    State(longest): State<Option<Duration>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(longest) = longest else {
        return next.run(request).await;
    };
    timeout(longest, next.run(request))
        .await
        .unwrap_or_else(|_| {
            let message = format!(
                "the request took longer than {longest:?} (`-server.http-write-timeout`): \
             ask for a shorter time range, or select fewer series"
            );
            http_error(Status::new(ErrorKind::DeadlineExceeded, message))
        })
}

/// Takes connections off the listener.
struct Acceptor {
    http: auto::Builder<TokioExecutor>,
    router: Router,
    idle: Duration,
    permits: Option<Arc<Semaphore>>,
    open: Gauge,
    handshakes: Option<Handshakes>,
}

/// One connection, not yet served.
struct Accepted {
    socket: TcpStream,
    handshakes: Option<Handshakes>,
    speaking: Speaking,
    _permit: Option<tokio::sync::OwnedSemaphorePermit>,
    _open: Open,
}

/// What is spoken on a connection once it is there.
struct Speaking {
    peer: Peer,
    http: auto::Builder<TokioExecutor>,
    router: Router,
    idle: Duration,
}

struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Acceptor {
    fn new(config: &Config, router: Router, open: Gauge, handshakes: Option<Handshakes>) -> Self {
        let idle = config.http_server_idle_timeout;
        let mut http = auto::Builder::new(TokioExecutor::new());
        // One timer: it starts when a connection is idle and ends with the header of the next request.
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(idle);
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(20))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(config.grpc_server_max_concurrent_streams);
        let limit = config.http_listen_conn_limit;
        let permits =
            (limit > 0).then(|| Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))));
        Self {
            http,
            router,
            idle,
            permits,
            open,
            handshakes,
        }
    }

    /// The next connection. Cancel-safe: a permit that was taken is given back, and `accept` loses nothing.
    async fn accept(&self, listener: &TcpListener) -> Accepted {
        let permit = match &self.permits {
            Some(permits) => Some(
                Arc::clone(permits)
                    .acquire_owned()
                    .await
                    .expect("nobody closes the semaphore"),
            ),
            None => None,
        };
        let (socket, peer) = loop {
            match listener.accept().await {
                Ok(accepted) => break accepted,
                Err(error) if is_the_clients(&error) => {
                    debug!(%error, "a connection was gone before it was accepted")
                }
                Err(error) => {
                    warn!(%error, "connections cannot be accepted; trying again");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        };
        // Small answers would wait for the client's acknowledgement of the one before.
        if let Err(error) = socket.set_nodelay(true) {
            debug!(%error, %peer, "TCP_NODELAY was refused");
        }
        self.open.inc();
        Accepted {
            socket,
            handshakes: self.handshakes.clone(),
            speaking: Speaking {
                peer: Peer(peer),
                http: self.http.clone(),
                router: self.router.clone(),
                idle: self.idle,
            },
            _permit: permit,
            _open: Open(self.open.clone()),
        }
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

impl Accepted {
    async fn serve(self, watcher: Watcher, shutdown: CancellationToken) {
        let Self {
            socket,
            handshakes,
            speaking,
            _permit,
            _open,
        } = self;
        match handshakes {
            Some(handshakes) => {
                let serving = speaking.secured(socket, &handshakes, watcher, shutdown);
                Box::pin(serving).await;
            }
            None => Box::pin(speaking.plain(socket, watcher, shutdown)).await,
        }
    }
}

impl Speaking {
    async fn plain(self, socket: TcpStream, watcher: Watcher, shutdown: CancellationToken) {
        // To tell HTTP/1 from HTTP/2 the first bytes are needed, and for those hyper would wait for ever.
        let mut first = [0];
        let begun = tokio::select! {
            peeked = timeout(self.idle, socket.peek(&mut first)) => matches!(peeked, Ok(Ok(1..))),
            () = shutdown.cancelled() => false,
        };
        if begun {
            self.serve(socket, ClientNames::default(), watcher).await;
        }
    }

    async fn secured(
        mut self,
        socket: TcpStream,
        handshakes: &Handshakes,
        watcher: Watcher,
        shutdown: CancellationToken,
    ) {
        let secured = tokio::select! {
            secured = handshakes.accept(socket, self.peer) => secured,
            () = shutdown.cancelled() => None,
        };
        let Some(mut secured) = secured else {
            return;
        };
        let begun = tokio::select! {
            filled = timeout(self.idle, secured.stream.fill_buf()) => matches!(filled, Ok(Ok([_, ..]))),
            () = shutdown.cancelled() => false,
        };
        if begun {
            // What was agreed on in the handshake counts.
            self.http = match secured.is_http2 {
                true => self.http.http2_only(),
                false => self.http.http1_only(),
            };
            self.serve(secured.stream, secured.names, watcher).await;
        }
    }

    async fn serve<S>(self, stream: S, names: ClientNames, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let peer = self.peer;
        let app = self
            .router
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(peer);
                request.extensions_mut().insert(names.clone());
                request
            });
        let connection = self
            .http
            .serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(app));
        if let Err(error) = watcher.watch(connection.into_owned()).await {
            debug!(%error, peer = %peer.0, "connection ended early");
        }
    }
}
