//! A way to the API server on which whoever writes gets no answer: what was asked is done, and the asker ends before it
//! knows.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use kube::config::Kubeconfig;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Cluster;

/// The way.
#[derive(Debug)]
pub struct Lethal {
    kubeconfig: PathBuf,
    written: mpsc::Receiver<String>,
    _serving: JoinSet<()>,
}

impl Lethal {
    /// A way to a cluster for whoever has a token in a file such as the cluster's.
    ///
    /// # Errors
    /// There is no port, or the file is none.
    pub async fn to(cluster: &Cluster, kubeconfig: &Path) -> anyhow::Result<Self> {
        let file = Kubeconfig::read_from(kubeconfig)?;
        let server = file
            .clusters
            .first()
            .and_then(|named| named.cluster.clone());
        let server = server.context("a cluster in the file")?;
        let url = server.server.context("an address in the file")?;
        let authority = cluster.directory().join("pki/ca.crt");
        let authority = fs::read_to_string(authority).context("the cluster's authority")?;
        let authority = reqwest::Certificate::from_pem(authority.as_bytes())?;
        let client = reqwest::Client::builder()
            .tls_certs_only([authority])
            .build()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let to = cluster.directory().join("lethal.kubeconfig");
        let mut value = serde_json::to_value(Kubeconfig::read_from(kubeconfig)?)?;
        for cluster in value["clusters"].as_array_mut().context("clusters")? {
            cluster["cluster"] = json!({"server": format!("http://{address}")});
        }
        fs::write(&to, serde_json::to_vec(&value)?)?;
        let (tell, written) = mpsc::channel(64);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (client, url, tell) = (client.clone(), url.clone(), tell.clone());
                let pass = service_fn(move |request| {
                    let (client, url, tell) = (client.clone(), url.clone(), tell.clone());
                    async move { Ok::<_, Infallible>(pass(request, &client, &url, &tell).await) }
                });
                connections.spawn(async move {
                    let http = auto::Builder::new(TokioExecutor::new());
                    // Clients that go away are what this is for.
                    let _ = http.serve_connection(TokioIo::new(socket), pass).await;
                });
            }
        });
        Ok(Self {
            kubeconfig: to,
            written,
            _serving: serving,
        })
    }

    /// The file for whoever takes this way.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The next write that was done and not answered.
    ///
    /// # Errors
    /// The way is closed.
    pub async fn written(&mut self) -> anyhow::Result<String> {
        self.written.recv().await.context("the way is closed")
    }
}

async fn pass(
    request: Request<Incoming>,
    client: &reqwest::Client,
    url: &str,
    tell: &mpsc::Sender<String>,
) -> Response<reqwest::Body> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    // Leases and events are not what this is about.
    let counts =
        parts.method != Method::GET && !path.contains("/leases") && !path.contains("/events");
    let what = format!("{} {}", parts.method, parts.uri.path());
    let answer = async {
        let body = body.collect().await?.to_bytes();
        let mut headers = parts.headers.clone();
        headers.remove("host");
        // Whether bodies are compressed is between the two ends of each way.
        headers.remove("accept-encoding");
        let request = client.request(parts.method.clone(), format!("{url}{path}"));
        let answer = request.headers(headers).body(body).send().await?;
        anyhow::Ok(answer)
    };
    match answer.await {
        Ok(answer) => {
            if counts && answer.status().is_success() {
                let _ = tell.send(what).await;
                std::future::pending::<()>().await;
            }
            let mut response = Response::new(reqwest::Body::from(""));
            *response.status_mut() = answer.status();
            *response.headers_mut() = answer.headers().clone();
            *response.body_mut() = answer.into();
            response
        }
        Err(error) => {
            let mut response = Response::new(reqwest::Body::from(format!("{error:#}")));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    }
}
