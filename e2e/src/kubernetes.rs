//! A Kubernetes on this machine: `controlplane` beside these sources, built once, one for each test program.

mod audit;
mod images;
mod lethal;
mod operator;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, bail, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use kube::{Client, Config, ResourceExt};
use serde::Deserialize;

pub use self::audit::{Audit, Request};
pub use self::images::{NEXT, images, real_nodes_allowed};
pub use self::lethal::Lethal;
pub use self::operator::{Operator, Rights};
use crate::{programs, shared};

/// What a cluster is made of.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Nodes run containers; otherwise pods are records that are ready at once.
    pub real: bool,
    /// Images for real nodes.
    pub images: Vec<PathBuf>,
    /// Where its files are; it is emptied.
    pub directory: PathBuf,
}

/// A running Kubernetes. It ends when this is dropped, or with the process.
#[derive(Debug)]
pub struct Cluster {
    child: Child,
    talk: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    directory: PathBuf,
    /// An HTTP proxy into the network of pods; only with real nodes.
    pub proxy: Option<String>,
}

/// Builds `controlplane`; None, said on standard error, without Go.
///
/// # Errors
/// If it does not build, or Go is missing although it must not be.
pub fn program() -> anyhow::Result<Option<PathBuf>> {
    if !shared::runtime("go", &["version"], &[1, 24])? {
        return Ok(None);
    }
    let target = programs::target()?.join("controlplane");
    fs::create_dir_all(&target)?;
    let lock = fs::File::create(target.join("lock"))?;
    lock.lock().context("wait for another build")?;
    let script = programs::workspace().join("e2e/controlplane/build.sh");
    let built = Command::new(script)
        .arg(&target)
        .output()
        .context("start e2e/controlplane/build.sh")?;
    ensure!(
        built.status.success(),
        "e2e/controlplane does not build:\n{}",
        String::from_utf8_lossy(&built.stderr)
    );
    Ok(Some(target.join("controlplane")))
}

impl Cluster {
    /// Starts one, with the CustomResourceDefinitions of this project in it. None, said on standard error, without Go.
    ///
    /// # Errors
    /// If it does not start.
    pub fn up(options: &Options) -> anyhow::Result<Option<Self>> {
        let Some(program) = program()? else {
            return Ok(None);
        };
        let crds = programs::workspace().join("crds");
        let mut up = Command::new(program);
        up.args(["up", "-audit", "-apply"]).arg(&crds);
        if options.real {
            up.arg("-real");
        }
        for image in &options.images {
            up.arg("-image").arg(image);
        }
        up.arg(&options.directory);
        up.stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut child = up.spawn().context("start controlplane")?;
        let stdin = child.stdin.take().context("its standard input")?;
        let mut stdout = BufReader::new(child.stdout.take().context("its standard output")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        if !line.starts_with("ready ") {
            bail!(
                "controlplane did not get ready: {line:?}, {:?}",
                child.wait()
            );
        }
        let proxy = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix("proxy="));
        Ok(Some(Self {
            child,
            talk: Mutex::new((stdin, stdout)),
            directory: options.directory.clone(),
            proxy: proxy.map(ToOwned::to_owned),
        }))
    }

    /// Process of the control plane.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Does something to a component or a node: `kill apiserver`, `crash node-1`.
    ///
    /// # Errors
    /// It says so.
    pub fn fault(&self, what: &str) -> anyhow::Result<()> {
        let mut talk = self
            .talk
            .lock()
            .map_err(|_| anyhow::anyhow!("an earlier fault failed"))?;
        writeln!(talk.0, "{what}")?;
        let mut answer = String::new();
        talk.1.read_line(&mut answer)?;
        ensure!(answer.starts_with("ok"), "{what}: {answer}");
        Ok(())
    }

    /// File with the address of the API server and an administrator's key.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    /// Its files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A client that may do everything. Belongs to the runtime that makes it.
    ///
    /// # Errors
    /// The file is not readable.
    pub async fn client(&self) -> anyhow::Result<Client> {
        client(&self.kubeconfig()).await
    }

    /// What was asked of the API server.
    #[must_use]
    pub fn audit(&self) -> Audit {
        Audit::of(&self.directory.join("audit.log"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = rustix::process::Pid::from_raw(self.child.id().cast_signed())
            .map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM));
        let _ = self.child.wait();
    }
}

/// A client of whoever a file names.
///
/// # Errors
/// The file is not readable.
pub async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    // A second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let file = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Makes a namespace.
///
/// # Errors
/// The API server refuses.
pub async fn namespace(client: &Client, name: &str) -> anyhow::Result<()> {
    let object = Namespace {
        metadata: kube::core::ObjectMeta {
            name: Some(name.to_owned()),
            ..Default::default()
        },
        ..Namespace::default()
    };
    let api: Api<Namespace> = Api::all(client.clone());
    api.create(&PostParams::default(), &object).await?;
    Ok(())
}

/// The documents of a file in YAML.
///
/// # Errors
/// It is none.
pub fn documents(text: &str) -> anyhow::Result<Vec<DynamicObject>> {
    let mut all = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = serde_json::Value::deserialize(document)?;
        if !value.is_null() {
            all.push(serde_json::from_value(value)?);
        }
    }
    Ok(all)
}

/// Applies objects as `kubectl apply --server-side` does; those that name no namespace go to `namespace`.
///
/// # Errors
/// The API server refuses one.
pub async fn apply(
    client: &Client,
    namespace: &str,
    objects: &[DynamicObject],
) -> anyhow::Result<()> {
    for object in objects {
        let types = object.types.clone().context("a document without kind")?;
        let resource = resource(&types)?;
        let in_namespace = object.namespace().unwrap_or_else(|| namespace.to_owned());
        let api: Api<DynamicObject> = if is_namespaced(&types.kind) {
            Api::namespaced_with(client.clone(), &in_namespace, &resource)
        } else {
            Api::all_with(client.clone(), &resource)
        };
        let name = object.name_any();
        let params = PatchParams::apply("a-user").force();
        api.patch(&name, &params, &Patch::Apply(object))
            .await
            .with_context(|| format!("apply {} {name}", types.kind))?;
    }
    Ok(())
}

fn resource(types: &TypeMeta) -> anyhow::Result<ApiResource> {
    let kind = GroupVersionKind::try_from(types)?;
    Ok(ApiResource::from_gvk(&kind))
}

fn is_namespaced(kind: &str) -> bool {
    !matches!(
        kind,
        "Namespace" | "ClusterRole" | "ClusterRoleBinding" | "CustomResourceDefinition"
    )
}
