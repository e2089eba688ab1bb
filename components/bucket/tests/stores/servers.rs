//! Stores that others wrote, as processes: started for a test, ended with it.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use object_store::azure::{AzureAccessKey, AzureAuthorizer, AzureCredential};
use phlare_e2e::{runtimes, shared};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// How long a server may take to start, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, or several that belong together.
pub(crate) struct Running {
    pub(crate) url: String,
    directory: TempDir,
    processes: Vec<Child>,
}

impl Drop for Running {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // It may have ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Running {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            url: String::new(),
            directory: TempDir::new()?,
            processes: Vec::new(),
        })
    }

    /// Starts one in its directory; what it says goes into a file there.
    fn start(&mut self, mut command: Command) -> anyhow::Result<()> {
        let log = self
            .directory
            .path()
            .join(format!("log-{}", self.processes.len()));
        let file = File::create(log)?;
        command
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let name = Path::new(command.get_program()).display().to_string();
        self.processes
            .push(command.spawn().with_context(|| format!("start {name}"))?);
        Ok(())
    }

    /// What all of them said.
    fn said(&self) -> String {
        let log =
            |i: usize| std::fs::read_to_string(self.directory.path().join(format!("log-{i}")));
        (0..self.processes.len())
            .filter_map(|i| log(i).ok())
            .collect()
    }

    /// Waits until something is so.
    async fn until(&mut self, ready: impl AsyncFn(&Self) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if ready(self).await {
                return Ok(());
            }
            for process in &mut self.processes {
                if let Some(status) = process.try_wait()? {
                    bail!("a server ended with {status}:\n{}", self.said());
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
        bail!("a server is not ready after {PATIENCE:?}:\n{}", self.said())
    }

    /// Waits until somebody listens.
    async fn until_reachable(&mut self) -> anyhow::Result<()> {
        let address = self.url.replace("http://", "");
        self.until(async |_| tokio::net::TcpStream::connect(&address).await.is_ok())
            .await
    }
}

fn source(server: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "servers", server]
        .iter()
        .collect()
}

/// A port that nobody has at the moment.
fn port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// gofakes3 with one bucket.
pub(crate) async fn gofakes3(bucket: &str) -> anyhow::Result<Option<Running>> {
    let Some(program) = runtimes::go(&source("gofakes3"), "stores/gofakes3").await? else {
        return Ok(None);
    };
    let mut running = Running::new()?;
    let mut command = Command::new(program);
    command.arg(bucket);
    running.start(command)?;
    running
        .until(async |running| running.said().ends_with('\n'))
        .await?;
    running.url = running.said().trim().to_owned();
    Ok(Some(running))
}

/// versitygw with one bucket, for keys `key` and `secret`; only if somebody says where it is.
pub(crate) async fn versitygw(bucket: &str) -> anyhow::Result<Option<Running>> {
    let Some(program) = std::env::var_os("PHLARE_VERSITYGW") else {
        return Ok(None);
    };
    let mut running = Running::new()?;
    let data = running.directory.path().join("data");
    std::fs::create_dir_all(data.join(bucket))?;
    let port = port()?;
    let mut command = Command::new(program);
    command
        .env("ROOT_ACCESS_KEY", "key")
        .env("ROOT_SECRET_KEY", "secret")
        .args(["--port", &format!("127.0.0.1:{port}"), "posix"])
        .arg(data);
    running.start(command)?;
    running.url = format!("http://127.0.0.1:{port}");
    running.until_reachable().await?;
    Ok(Some(running))
}

/// Azurite without a container.
pub(crate) async fn azurite() -> anyhow::Result<Option<Running>> {
    let Some(directory) = runtimes::node(&source("azurite"), "stores/azurite").await? else {
        return Ok(None);
    };
    let mut running = Running::new()?;
    let port = port()?;
    let mut command = Command::new("node");
    command
        .arg(directory.join("node_modules/azurite/dist/src/blob/main.js"))
        .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
        .args(["--silent", "--skipApiVersionCheck", "--location", "."]);
    running.start(command)?;
    running.url = format!("http://127.0.0.1:{port}");
    running.until_reachable().await?;
    Ok(Some(running))
}

/// Swift on one disk, without a container; its login is `URL/auth/v1.0`, user `test:tester`, password `testing`.
pub(crate) async fn swift() -> anyhow::Result<Option<Running>> {
    let Some(bin) = runtimes::python(&source("swift"), "stores/swift").await? else {
        return Ok(None);
    };
    if !shared::runtime("memcached", &["--version"], &[1])? {
        return Ok(None);
    }
    let mut running = Running::new()?;
    let directory = running.directory.path().to_owned();
    let user = runtimes::run(id()).await?.trim().to_owned();
    let common = format!(
        "workers = 0\nuser = {user}\nswift_dir = {}\nbind_ip = 127.0.0.1",
        directory.display()
    );
    std::fs::write(
        directory.join("swift.conf"),
        "[swift-hash]\nswift_hash_path_suffix = x\nswift_hash_path_prefix = y\n",
    )?;
    std::fs::create_dir_all(directory.join("devices/sdb1"))?;

    let tokens = port()?;
    let mut memcached = Command::new("memcached");
    memcached.args(["-u", &user, "-l", "127.0.0.1", "-p", &tokens.to_string()]);
    running.start(memcached)?;
    for kind in ["account", "container", "object"] {
        let port = port()?;
        let device = format!("r1z1-127.0.0.1:{port}/sdb1");
        for step in [
            &["create", "2", "1", "1"] as &[&str],
            &["add", &device, "1"],
            &["rebalance"],
        ] {
            let mut ring = Command::new(bin.join("swift-ring-builder"));
            ring.arg(format!("{kind}.builder"))
                .args(step)
                .current_dir(&directory);
            runtimes::run(ring).await?;
        }
        let settings = format!(
            "[DEFAULT]\n{common}\nbind_port = {port}\nmount_check = false\ndevices = {}/devices\n\
             [pipeline:main]\npipeline = {kind}-server\n[app:{kind}-server]\nuse = egg:swift#{kind}\n",
            directory.display()
        );
        std::fs::write(directory.join(format!("{kind}.conf")), settings)?;
        let mut server = Command::new(bin.join(format!("swift-{kind}-server")));
        server.arg(format!("{kind}.conf"));
        running.start(server)?;
    }
    let port = port()?;
    let settings = format!(
        "[DEFAULT]\n{common}\nbind_port = {port}\n\
         [pipeline:main]\npipeline = catch_errors gatekeeper healthcheck cache bulk tempauth slo proxy-server\n\
         [app:proxy-server]\nuse = egg:swift#proxy\nallow_account_management = true\naccount_autocreate = true\n\
         [filter:catch_errors]\nuse = egg:swift#catch_errors\n[filter:gatekeeper]\nuse = egg:swift#gatekeeper\n\
         [filter:healthcheck]\nuse = egg:swift#healthcheck\n\
         [filter:cache]\nuse = egg:swift#memcache\nmemcache_servers = 127.0.0.1:{tokens}\n\
         [filter:bulk]\nuse = egg:swift#bulk\n[filter:slo]\nuse = egg:swift#slo\n\
         [filter:tempauth]\nuse = egg:swift#tempauth\nuser_test_tester = testing .admin\n"
    );
    std::fs::write(directory.join("proxy.conf"), settings)?;
    let mut proxy = Command::new(bin.join("swift-proxy-server"));
    proxy.arg("proxy.conf");
    running.start(proxy)?;
    running.url = format!("http://127.0.0.1:{port}");
    running.until_reachable().await?;
    Ok(Some(running))
}

/// Makes a container in Azurite.
pub(crate) async fn make_azure_container(
    server: &Running,
    key: &str,
    container: &str,
) -> anyhow::Result<()> {
    let account = "devstoreaccount1";
    let mut request = http::Request::builder()
        .method("PUT")
        .uri(format!(
            "{}/{account}/{container}?restype=container",
            server.url
        ))
        .header("content-length", "0")
        .body(object_store::client::HttpRequestBody::empty())?;
    let credential = AzureCredential::AccessKey(AzureAccessKey::try_new(key)?);
    AzureAuthorizer::new(&credential, account).try_authorize(&mut request)?;
    let (head, _) = request.into_parts();
    let sent = reqwest::Client::new()
        .put(head.uri.to_string())
        .headers(head.headers)
        .send();
    sent.await?.error_for_status()?;
    Ok(())
}

/// Makes a container in Swift.
pub(crate) async fn make_swift_container(server: &Running, container: &str) -> anyhow::Result<()> {
    let client = reqwest::Client::new();
    let login = client
        .get(format!("{}/auth/v1.0", server.url))
        .header("X-Auth-User", "test:tester")
        .header("X-Auth-Key", "testing");
    let session = login.send().await?.error_for_status()?;
    let header = |name: &str| Some(session.headers().get(name)?.to_str().ok()?.to_owned());
    let url = header("x-storage-url").context("URL of the account")?;
    let token = header("x-auth-token").context("token")?;
    let made = client
        .put(format!("{url}/{container}"))
        .header("X-Auth-Token", token);
    made.send().await?.error_for_status()?;
    Ok(())
}

fn id() -> Command {
    let mut id = Command::new("id");
    id.arg("-un");
    id
}
