//! The operator as a process on this machine, with the rights that its chart gives it and no others.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::Context;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Client;
use kube::api::{Api, PostParams};
use kube::config::Kubeconfig;
use rustix::process::Signal;

use super::{Cluster, apply, documents};
use crate::process::send;
use crate::programs;

/// Namespace of the operator in the manifests.
const HOME: &str = "phlare-operator";

/// The account of the operator and a key to it.
#[derive(Clone, Debug)]
pub struct Rights {
    kubeconfig: PathBuf,
    /// The account, as the audit log names it.
    pub user: String,
}

impl Rights {
    /// Everything.
    #[must_use]
    pub fn of_an_administrator(cluster: &Cluster) -> Self {
        Self {
            kubeconfig: cluster.kubeconfig(),
            user: "admin".to_owned(),
        }
    }

    /// The same rights by another way to the API server.
    #[must_use]
    pub fn through(&self, kubeconfig: &Path) -> Self {
        Self {
            kubeconfig: kubeconfig.to_owned(),
            user: self.user.clone(),
        }
    }

    /// The file with the key.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Applies what the plain manifests say of accounts and roles, and makes a key.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn of(cluster: &Cluster, client: &Client) -> anyhow::Result<Self> {
        let manifests = programs::workspace().join("charts/phlare-operator.yaml");
        let text = fs::read_to_string(&manifests)
            .with_context(|| format!("read {}", manifests.display()))?;
        let mut objects = documents(&text)?;
        objects.retain(|object| {
            let kind = object.types.as_ref().map(|types| types.kind.as_str());
            kind != Some("Deployment")
        });
        apply(client, HOME, &objects).await?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), HOME);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: Vec::new(),
                expiration_seconds: Some(24 * 3600),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let answer = accounts
            .create_token_request(HOME, &PostParams::default(), &request)
            .await?;
        let token = answer.status.context("a token")?.token;
        let kubeconfig = cluster.directory().join("operator.kubeconfig");
        write_kubeconfig(&cluster.kubeconfig(), &kubeconfig, &token)?;
        Ok(Self {
            kubeconfig,
            user: format!("system:serviceaccount:{HOME}:{HOME}"),
        })
    }
}

/// The administrator's file with another key.
fn write_kubeconfig(from: &Path, to: &Path, token: &str) -> anyhow::Result<()> {
    let file = Kubeconfig::read_from(from)?;
    let mut value = serde_json::to_value(&file)?;
    let users = value["users"].as_array_mut().context("users")?;
    for user in users {
        user["user"] = serde_json::json!({"token": token});
    }
    fs::write(to, serde_json::to_vec(&value)?)?;
    Ok(())
}

/// A running operator. It is killed when this is dropped.
#[derive(Debug)]
pub struct Operator {
    child: Child,
    log: PathBuf,
}

impl Operator {
    /// Starts one. `name` tells several apart; `arguments` come after the usual ones.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(
        cluster: &Cluster,
        rights: &Rights,
        name: &str,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let log = cluster.directory().join(format!("{name}.log"));
        let child = Command::new(programs::operator()?)
            .args(["run", "--listen=127.0.0.1:0", "--identity", name])
            .env("POD_NAMESPACE", HOME)
            .args(arguments)
            .env("KUBECONFIG", &rights.kubeconfig)
            .env("RUST_LOG", "info,phlare_operator=debug")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::options().create(true).append(true).open(&log)?)
            .spawn()
            .context("start the operator")?;
        Ok(Self { child, log })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to stop, and waits until it has.
    ///
    /// # Errors
    /// The system does not let it.
    pub fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        send(&self.child, Signal::TERM)?;
        Ok(self.child.wait()?)
    }

    /// Ends it at once, as a lost node does.
    ///
    /// # Errors
    /// The system does not let it.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// What it said.
    ///
    /// # Errors
    /// The file is not readable.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
