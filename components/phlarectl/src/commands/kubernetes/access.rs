//! The API server, and through it the pages of pods.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Limited};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, Resource, ResourceExt};
use phlare_operator_api::PhlareCluster;

use crate::cli::AccessArgs;

/// Port of the pods' pages.
const PORT: u16 = 4040;
/// Largest page that is read.
const LARGEST: usize = 16 << 20;
/// How long a pod may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Label with the resource's name.
pub(super) const INSTANCE: &str = "app.kubernetes.io/instance";
/// Label with what a pod runs.
pub(super) const COMPONENT: &str = "app.kubernetes.io/component";
/// Label with the zone of a pod.
pub(super) const ZONE: &str = "phlare.dev/zone";

/// Why the API server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KubernetesError {
    /// It said no.
    #[error("{message} (the API server answers {code})")]
    Refused {
        /// The status of its answer.
        code: u16,
        /// Its words.
        message: String,
    },
    /// There is no definition of PhlareClusters.
    #[error(
        "this Kubernetes has no PhlareClusters: install crds/ and the operator, charts/phlare-operator; or choose another one \
         with --context"
    )]
    NotInstalled,
    /// It was not reached, or its answer makes no sense.
    #[error("the API server does not answer as it should")]
    Unreachable(#[source] Box<kube::Error>),
}

impl From<kube::Error> for KubernetesError {
    fn from(error: kube::Error) -> Self {
        match error {
            // A path that is not there has no message of its own.
            kube::Error::Api(status) if status.code == 404 && status.details.is_none() => {
                Self::NotInstalled
            }
            kube::Error::Api(status) => Self::Refused {
                code: status.code,
                message: status.message.clone(),
            },
            error => Self::Unreachable(Box::new(error)),
        }
    }
}

/// Why a page of a pod could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    /// It took too long.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    TooSlow,
    /// It answered with an error, or the API server did for it.
    #[error("answered {code}: {message}")]
    Refused {
        /// The status.
        code: u16,
        /// The first line of the answer.
        message: String,
    },
    /// It was not reached, or its answer is too long.
    #[error("not read: {0}")]
    Unreadable(String),
}

impl PageError {
    /// Whether the pod's process said so: `/ready` is 503, too, of one that answers.
    pub(super) fn is_of_the_pod(&self) -> bool {
        match self {
            Self::Refused { code, message } => {
                *code != 403 && !message.contains("error trying to reach service")
            }
            Self::TooSlow | Self::Unreadable(_) => false,
        }
    }
}

/// A Kubernetes and a namespace in it.
pub(super) struct Access {
    /// The API server.
    pub(super) client: Client,
    /// The namespace.
    pub(super) namespace: String,
}

impl Access {
    /// As kubectl would find it.
    pub(super) async fn new(args: &AccessArgs) -> anyhow::Result<Self> {
        let options = KubeConfigOptions {
            context: args.context.clone(),
            ..KubeConfigOptions::default()
        };
        let config = match (&args.kubeconfig, &args.context) {
            (Some(path), _) => {
                let file = Kubeconfig::read_from(path);
                let file = file.with_context(|| format!("read {}", path.display()))?;
                Config::from_custom_kubeconfig(file, &options).await?
            }
            (None, Some(_)) => Config::from_kubeconfig(&options).await?,
            (None, None) => Config::infer().await.context("find a Kubernetes")?,
        };
        let namespace = args.namespace.clone();
        Ok(Self {
            namespace: namespace.unwrap_or_else(|| config.default_namespace.clone()),
            client: Client::try_from(config).context("connect to the API server")?,
        })
    }

    /// Objects of a kind in the namespace.
    pub(super) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// A resource.
    pub(super) async fn cluster(&self, name: &str) -> Result<PhlareCluster, KubernetesError> {
        Ok(self.api().get(name).await?)
    }

    /// Pods of a resource, by name.
    pub(super) async fn pods(&self, name: &str) -> Result<Vec<Pod>, KubernetesError> {
        let mut pods = self.api::<Pod>().list(&of(name)).await?.items;
        pods.sort_by_key(ResourceExt::name_any);
        Ok(pods)
    }

    /// A page of a pod, as JSON if it has that form, too; but for `/ready`, which says in a line what is the matter.
    pub(super) async fn page(&self, pod: &str, page: &str) -> Result<Bytes, PageError> {
        let namespace = &self.namespace;
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{PORT}/proxy/{page}");
        let accepted = match page {
            "ready" => "text/plain",
            _ => "application/json, */*;q=0.1",
        };
        let request = Request::get(path)
            .header(header::ACCEPT, accepted)
            .body(Body::empty())
            .map_err(|error| PageError::Unreadable(error.to_string()))?;
        let read = async {
            let response = self.client.send(request).await;
            let response = response.map_err(|error| PageError::Unreadable(error.to_string()))?;
            let code = response.status();
            let body = Limited::new(response.into_body(), LARGEST).collect().await;
            let body = body.map_err(|error| PageError::Unreadable(error.to_string()))?;
            let body = body.to_bytes();
            match code.is_success() {
                true => Ok(body),
                false => Err(PageError::Refused {
                    code: code.as_u16(),
                    message: first_line(&body),
                }),
            }
        };
        let read = tokio::time::timeout(PATIENCE, read).await;
        read.unwrap_or(Err(PageError::TooSlow))
    }
}

/// Selects what belongs to a resource.
pub(super) fn of(name: &str) -> ListParams {
    ListParams::default().labels(&format!("app.kubernetes.io/name=phlare,{INSTANCE}={name}"))
}

/// What an error page says: the message of the API server's own, or its first line.
fn first_line(body: &[u8]) -> String {
    let own: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let own = own.as_ref().and_then(|own| own.get("message")?.as_str());
    let text = String::from_utf8_lossy(body);
    let text = own.unwrap_or(&text).lines().next().unwrap_or_default();
    text.chars().take(300).collect()
}
