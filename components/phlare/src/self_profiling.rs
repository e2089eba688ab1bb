//! Pushes profiles of this process to a server: this one, or another.

use std::time::Duration;

use phlare_credentials::{ClientTls, TokenFile};
use phlare_model::TenantId;
use phlare_proto::push::v1::{PushRequest, RawProfileSeries, RawSample};
use phlare_proto::types::v1::LabelPair;
use prost::Message;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::profiler::Profiler;

/// One warning in this many failures: a server that is away does not fill the log.
const WARN_EVERY: u64 = 40;

/// What is pushed, and where.
#[derive(Debug)]
pub(crate) struct SelfProfiling {
    pub(crate) profiler: Profiler,
    pub(crate) url: String,
    pub(crate) tenant: TenantId,
    pub(crate) interval: Duration,
    /// Whom to believe; otherwise those whom the system does.
    pub(crate) tls: Option<ClientTls>,
    /// Sent with each profile.
    pub(crate) token: Option<TokenFile>,
    pub(crate) target: String,
}

impl SelfProfiling {
    /// Profiles and pushes until shutdown.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        info!(url = self.url, interval = ?self.interval, "self-profiling on");
        let plain = reqwest::Client::new();
        let mut failures = 0_u64;
        loop {
            let outcome = tokio::select! {
                outcome = self.once(&plain) => outcome,
                () = shutdown.cancelled() => return,
            };
            let Err(error) = outcome else { continue };
            if failures.is_multiple_of(WARN_EVERY) {
                warn!(
                    url = self.url,
                    error = format!("{error:#}"),
                    failures,
                    "a profile of this process was not pushed"
                );
            }
            failures += 1;
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// With own certificates a new one for each push: they may have changed.
    fn client(&self, plain: &reqwest::Client) -> reqwest::Result<reqwest::Client> {
        let Some(tls) = &self.tls else {
            return Ok(plain.clone());
        };
        let tls = tls.config(&[b"http/1.1"]);
        let builder = reqwest::Client::builder();
        builder.tls_backend_preconfigured(tls).build()
    }

    async fn once(&self, plain: &reqwest::Client) -> anyhow::Result<()> {
        let profile = self.profiler.cpu(self.interval).await?;
        if profile.sample.is_empty() {
            return Ok(());
        }
        let label = |name: &str, value: &str| LabelPair {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let series = RawProfileSeries {
            labels: vec![
                label("__name__", "process_cpu"),
                label("service_name", "phlare"),
                label("target", &self.target),
                label("version", env!("CARGO_PKG_VERSION")),
            ],
            samples: vec![RawSample {
                raw_profile: profile.encode_to_vec().into(),
                id: String::new(),
            }],
            annotations: Vec::new(),
        };
        let mut request = self
            .client(plain)?
            .post(format!(
                "{}/push.v1.PusherService/Push",
                self.url.trim_end_matches('/')
            ))
            .header("content-type", "application/proto")
            .header("x-scope-orgid", self.tenant.as_str())
            .timeout(Duration::from_secs(30))
            .body(
                PushRequest {
                    series: vec![series],
                }
                .encode_to_vec(),
            );
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.current());
        }
        let response = request.send().await?;
        let status = response.status();
        anyhow::ensure!(
            status.is_success(),
            "{status}: {}",
            response.text().await.unwrap_or_default()
        );
        Ok(())
    }
}
