//! S3, in this process, with signatures that are checked.

use std::path::Path;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use phlare_bucket::{Backend, Bucket, Config, Environment, ErrorKind, Metrics};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::conformance::{conform, long_listings_are_whole};

/// Serves the buckets, which are directories, until the tasks are dropped.
async fn serve(root: &Path, tasks: &mut JoinSet<()>) -> String {
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root).unwrap());
    builder.set_auth(SimpleAuth::from_single("key", "secret"));
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            let service = service.clone();
            connections.spawn(async move {
                let http = auto::Builder::new(TokioExecutor::new());
                let _ = http.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    format!("http://{address}")
}

fn config(endpoint: &str, secret: &str) -> Config {
    let mut config = Config {
        backend: Backend::S3,
        prefix: "some/prefix".to_owned(),
        ..Config::default()
    };
    config.s3.endpoint = endpoint.to_owned();
    config.s3.bucket_name = "profiles".to_owned();
    config.s3.access_key_id = "key".to_owned();
    config.s3.secret_access_key = secret.into();
    config
}

#[tokio::test]
async fn s3_conforms() {
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("profiles")).unwrap();
    let mut tasks = JoinSet::new();
    let endpoint = serve(dir.path(), &mut tasks).await;
    let bucket = Bucket::open(&config(&endpoint, "secret"), &Metrics::default()).unwrap();
    conform(&bucket).await.unwrap();
    long_listings_are_whole(&bucket).await.unwrap();
    assert_eq!(
        bucket.location("t/x"),
        "s3 bucket `profiles`, key `some/prefix/t/x`"
    );
}

#[tokio::test]
async fn a_wrong_secret_says_what_to_correct() {
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("profiles")).unwrap();
    let mut tasks = JoinSet::new();
    let endpoint = serve(dir.path(), &mut tasks).await;
    let bucket = Bucket::open(&config(&endpoint, "wrong"), &Metrics::default()).unwrap();
    let error = bucket.list("t").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(error.tries(), 1);
    assert_eq!(
        error.to_string(),
        format!(
            "list `t` in s3 bucket `profiles` at {endpoint} with static keys of the settings: \
             SignatureDoesNotMatch (403 Forbidden); correct the secret of the access key; a proxy that changes requests has \
             the same effect"
        )
    );
}

#[tokio::test]
async fn keys_may_come_from_the_environment() {
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("profiles")).unwrap();
    let mut tasks = JoinSet::new();
    let endpoint = serve(dir.path(), &mut tasks).await;
    let mut config = config(&endpoint, "");
    config.s3.access_key_id.clear();
    let environment = Environment::of([
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ]);
    let bucket = Bucket::open_in(&config, &environment, &Metrics::default()).unwrap();
    assert_eq!(bucket.list("").await.unwrap(), []);
}
