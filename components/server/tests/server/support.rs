//! A server with one small service, which does what the first matcher says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use phlare_credentials::ServerTls;
use phlare_model::ErrorKind;
use phlare_proto::types::v1::{LabelNamesRequest, LabelNamesResponse};
use phlare_server::{
    BodyLimit, Config, Context, Guard, Health, Inbound, MethodOptions, Metrics, Offload, Parts,
    Registry, Rpc, Server, Status, Tenant, TenantMode, bind,
};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) const LABEL_NAMES: &str = "/querier.v1.QuerierService/LabelNames";
pub(crate) const PUSH: &str = "/push.v1.PusherService/Push";
pub(crate) const FOREIGN: &str = "/somebody.else.v1.Service/Count";
pub(crate) const PUSH_LIMIT: usize = 64 << 10;

/// How long a test waits for something that should happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// What the handlers were seen doing.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) begun: Notify,
    pub(crate) dropped: Notify,
    pub(crate) release: Notify,
    pub(crate) pushes: AtomicUsize,
}

struct OnDrop(Arc<Seen>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.dropped.notify_one();
    }
}

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    scheme: &'static str,
    pub(crate) seen: Arc<Seen>,
    pub(crate) health: Health,
    pub(crate) shutdown: CancellationToken,
    pub(crate) client: reqwest::Client,
    running: JoinSet<()>,
}

async fn label_names(
    seen: Arc<Seen>,
    context: Context,
    request: LabelNamesRequest,
) -> Result<LabelNamesResponse, Status> {
    let mut names = request.matchers;
    match names.first().map(String::as_str) {
        Some("hang") => {
            let _guard = OnDrop(Arc::clone(&seen));
            seen.begun.notify_one();
            std::future::pending::<()>().await;
        }
        Some("wait") => {
            seen.begun.notify_one();
            seen.release.notified().await;
        }
        Some("panic") => panic!("on purpose"),
        Some("busy") => {
            let status = Status::new(ErrorKind::ResourceExhausted, "slower, please");
            return Err(status.with_retry_after(Duration::from_millis(1200)));
        }
        Some("internal") => return Err(Status::new(ErrorKind::Internal, "disk sda1 failed")),
        Some("large") => names = (0..40_000).map(|i| format!("name_{}", i % 100)).collect(),
        _ => {}
    }
    names.push(context.tenant.to_string());
    Ok(LabelNamesResponse { names })
}

fn methods(seen: &Arc<Seen>) -> Rpc {
    let mut rpc = Rpc::new();
    let for_names = Arc::clone(seen);
    rpc.unary(
        "querier.v1.QuerierService/LabelNames",
        move |context, request| label_names(Arc::clone(&for_names), context, request),
    );
    let for_push = Arc::clone(seen);
    let limit = Some(BodyLimit {
        bytes: PUSH_LIMIT,
        name: "ingestion_body_limit_mb",
    });
    rpc.unary_with(
        "push.v1.PusherService/Push",
        MethodOptions {
            limit,
            ..Default::default()
        },
        move |_, request| {
            let request: phlare_proto::push::v1::PushRequest = request;
            for_push.pushes.fetch_add(1, Ordering::SeqCst);
            std::future::ready(if request.series.is_empty() {
                Err(Status::invalid_argument("no series"))
            } else {
                Ok(phlare_proto::push::v1::PushResponse::default())
            })
        },
    );
    let open = MethodOptions {
        tenant: false,
        ..Default::default()
    };
    rpc.unary_with("version.v1.Version/Version", open, |_, request| {
        let _: phlare_proto::version::v1::VersionRequest = request;
        std::future::ready(Ok(phlare_proto::version::v1::VersionResponse {
            querier_api: 1,
        }))
    });
    let plain = Router::new().route(
        FOREIGN,
        post(async |Tenant(tenant): Tenant, body: String| format!("plain {tenant} {body}")),
    );
    rpc.foreign(
        "somebody.else.v1.Service/Count",
        MethodOptions::default(),
        plain,
        async |context: Context, body| {
            let body: bytes::Bytes = body;
            Ok(format!("rpc {} {}", context.tenant, body.len()).into())
        },
    );
    rpc
}

fn routes(seen: &Arc<Seen>) -> Router {
    let hanging = Arc::clone(seen);
    Router::new()
        .route(
            "/whoami",
            get(async |Tenant(tenant): Tenant| tenant.to_string()),
        )
        .route("/large", get(async || "0123456789abcdef".repeat(10_000)))
        .route("/panic", get(async || -> String { panic!("on purpose") }))
        .route(
            "/hang",
            get(move || {
                let seen = Arc::clone(&hanging);
                async move {
                    let _guard = OnDrop(Arc::clone(&seen));
                    seen.begun.notify_one();
                    std::future::pending::<String>().await
                }
            }),
        )
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::with(TenantMode::Single, Config::default()).await
    }

    pub(crate) async fn with(tenants: TenantMode, config: Config) -> Self {
        Self::begin(tenants, config, Guard::default(), None).await
    }

    /// Over TLS. Its own client does not know whom to believe.
    pub(crate) async fn secured(tls: ServerTls, guard: Guard) -> Self {
        Self::begin(TenantMode::Single, Config::default(), guard, Some(tls)).await
    }

    pub(crate) async fn guarded(tenants: TenantMode, guard: Guard) -> Self {
        Self::begin(tenants, Config::default(), guard, None).await
    }

    async fn begin(
        tenants: TenantMode,
        config: Config,
        guard: Guard,
        tls: Option<ServerTls>,
    ) -> Self {
        let config = Config {
            http_listen_address: "127.0.0.1".into(),
            http_listen_port: 0,
            ..config
        };
        config.validate().unwrap();
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let offload = Offload::new("cpu", 2, config.cpu_queue, &metrics).unwrap();
        let seen = Arc::new(Seen::default());
        let health = Health::new();
        let parts = Parts {
            tenants,
            guard,
            inbound: Inbound::new(&config, offload.clone(), &metrics),
            metrics,
            registry,
            health: health.clone(),
            offload,
            rpc: methods(&seen),
            routes: routes(&seen),
            slow_routes: Router::new(),
        };
        let listener = bind(&config).await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let mut running = JoinSet::new();
        let mut server = Server::new(config, parts);
        if let Some(tls) = tls {
            server = server.with_tls(tls);
        }
        running.spawn(server.run(listener, shutdown.clone()));
        Self {
            address,
            scheme,
            seen,
            health,
            shutdown,
            client: client(),
            running,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    pub(crate) fn post(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> reqwest::RequestBuilder {
        self.client
            .post(self.url(path))
            .header("content-type", content_type)
            .body(body)
    }

    pub(crate) async fn label_names(&self, matcher: &str) -> reqwest::Response {
        let body = format!(r#"{{"matchers":["{matcher}"]}}"#);
        self.post(LABEL_NAMES, "application/json", body)
            .send()
            .await
            .unwrap()
    }

    /// The value of a metric, written as on `/metrics`.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let text = self.get("/metrics").await.text().await.unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        line.parse().ok()
    }

    /// Waits for the server to end by itself.
    pub(crate) async fn ended(mut self) {
        tokio::time::timeout(SOON, self.running.join_next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
}

pub(crate) fn client() -> reqwest::Client {
    // A second call finds the provider in place.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_gzip().build().unwrap()
}

pub(crate) fn gzip(data: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn gunzip(data: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(data), &mut plain).unwrap();
    plain
}
