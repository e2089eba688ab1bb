//! An object store that is slow, or stalls, when a test says so: S3 over a directory. `phlare-store` is one as a process,
//! for clusters that have none.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Its only bucket.
pub const BUCKET: &str = "profiles";
/// Who may use it.
pub const KEY: &str = "key";
/// And by which word.
pub const SECRET: &str = "secret";

/// How a store feels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It answers.
    Well,
    /// It answers each request so much later.
    Slow(Duration),
    /// It takes requests, and answers none until it feels otherwise.
    Stalled,
}

/// A running store; it ends when this is dropped.
#[derive(Debug)]
pub struct Store {
    address: String,
    bucket: PathBuf,
    mood: watch::Sender<Mood>,
    waiting: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

/// A request that has no answer yet.
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Store {
    /// Keeps its objects below `directory`, at a port of this machine.
    ///
    /// # Errors
    /// If it cannot, or has no port.
    pub async fn start(directory: &Path) -> anyhow::Result<Self> {
        Self::at(directory, "127.0.0.1:0").await
    }

    /// Keeps its objects below `directory`, at an address with a port.
    ///
    /// # Errors
    /// If it cannot, or the port is taken.
    pub async fn at(directory: &Path, address: &str) -> anyhow::Result<Self> {
        let bucket = directory.join(BUCKET);
        std::fs::create_dir_all(&bucket)?;
        let files = s3s_fs::FileSystem::new(directory);
        let files = files
            .ok()
            .context("a file system that can be served as S3")?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let service = builder.build();
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("listen at {address}"))?;
        let address = listener.local_addr()?.to_string();
        let (mood, felt) = watch::channel(Mood::Well);
        let waiting: Arc<AtomicUsize> = Arc::default();
        let count = Arc::clone(&waiting);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (service, felt, count) = (service.clone(), felt.clone(), Arc::clone(&count));
                let answer = move |request: hyper::Request<Incoming>| {
                    let (service, mut felt) = (service.clone(), felt.clone());
                    count.fetch_add(1, Ordering::Relaxed);
                    let waiting = Waiting(Arc::clone(&count));
                    async move {
                        feel(&mut felt).await;
                        drop(waiting);
                        Service::call(&service, request).await
                    }
                };
                connections.spawn(async move {
                    let http = auto::Builder::new(TokioExecutor::new());
                    // Clients that go away are what tests are about.
                    let _ = http
                        .serve_connection(TokioIo::new(socket), service_fn(answer))
                        .await;
                });
            }
        });
        Ok(Self {
            address,
            bucket,
            mood,
            waiting,
            _serving: serving,
        })
    }

    /// From now on, for requests that wait as well.
    pub fn becomes(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Requests that have no answer yet.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// The directory of its bucket.
    #[must_use]
    pub fn bucket(&self) -> &Path {
        &self.bucket
    }

    /// Settings of a server that keeps its blocks here.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let address = &self.address;
        vec![
            "-storage.backend=s3".to_owned(),
            format!("-storage.s3.endpoint={address}"),
            format!("-storage.s3.bucket-name={BUCKET}"),
            "-storage.s3.bucket-lookup-type=path-style".to_owned(),
            "-storage.s3.region=here".to_owned(),
            format!("-storage.s3.access-key-id={KEY}"),
            format!("-storage.s3.secret-access-key={SECRET}"),
            "-storage.s3.insecure=true".to_owned(),
        ]
    }
}

/// Waits as the mood has it; a mood that changes meanwhile counts.
async fn feel(felt: &mut watch::Receiver<Mood>) {
    loop {
        let mood = *felt.borrow_and_update();
        let changed = match mood {
            Mood::Well => return,
            Mood::Slow(by) => tokio::select! {
                () = sleep(by) => return,
                changed = felt.changed() => changed,
            },
            Mood::Stalled => felt.changed().await,
        };
        if changed.is_err() {
            return;
        }
    }
}
