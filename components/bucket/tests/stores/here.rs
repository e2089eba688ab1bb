//! Stores without a server: memory and directories.

use bytes::Bytes;
use phlare_bucket::{Backend, Bucket, Config, ErrorKind, Metrics};
use tempfile::TempDir;

use crate::conformance::conform;

fn in_directory(dir: &TempDir, prefix: &str) -> Config {
    let mut config = Config {
        backend: Backend::Filesystem,
        prefix: prefix.to_owned(),
        ..Config::default()
    };
    config.filesystem.dir = dir.path().join("bucket");
    config
}

#[tokio::test]
async fn memory_conforms() {
    conform(&Bucket::memory(&Metrics::default())).await.unwrap();
}

#[tokio::test]
async fn a_directory_conforms() {
    let dir = TempDir::new().unwrap();
    for prefix in ["", "some/prefix/"] {
        let bucket = Bucket::open(&in_directory(&dir, prefix), &Metrics::default()).unwrap();
        conform(&bucket).await.unwrap();
    }
    // Nothing stays behind, empty directories included.
    assert_eq!(
        std::fs::read_dir(dir.path().join("bucket"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn keys_are_files_below_the_directory() {
    let dir = TempDir::new().unwrap();
    let bucket = Bucket::open(&in_directory(&dir, "p"), &Metrics::default()).unwrap();
    bucket
        .put("t/phlaredb/meta.json", Bytes::from_static(b"{}"))
        .await
        .unwrap();
    let file = dir.path().join("bucket/p/t/phlaredb/meta.json");
    assert_eq!(std::fs::read(file).unwrap(), b"{}");
    let location = bucket.location("t/x");
    assert!(location.ends_with("bucket`, key `p/t/x`"), "{location}");

    let other = Bucket::filesystem(&dir.path().join("bucket"), &Metrics::default()).unwrap();
    assert!(other.exists("p/t/phlaredb/meta.json").await.unwrap());
    let url = format!("file://{}", dir.path().join("bucket").display());
    assert!(
        Bucket::from_url(&url)
            .unwrap()
            .exists("p/t/phlaredb/meta.json")
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_directory_that_is_gone_is_not_an_empty_bucket() {
    let dir = TempDir::new().unwrap();
    let bucket = Bucket::open(&in_directory(&dir, ""), &Metrics::default()).unwrap();
    std::fs::remove_dir_all(dir.path().join("bucket")).unwrap();
    let gone = |kind: ErrorKind| assert_eq!(kind, ErrorKind::NoBucket);
    gone(bucket.get("t/a").await.unwrap_err().kind());
    gone(bucket.exists("t/a").await.unwrap_err().kind());
    gone(bucket.list("").await.unwrap_err().kind());
    gone(bucket.list_directories("t").await.unwrap_err().kind());
}

#[test]
fn a_directory_that_cannot_be_is_refused_at_once() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("bucket"), b"a file").unwrap();
    let error = Bucket::open(&in_directory(&dir, ""), &Metrics::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`storage.filesystem.dir`") && error.contains("bucket"),
        "{error}"
    );
    let missing = dir.path().join("missing");
    let error = Bucket::from_url(missing.to_str().unwrap())
        .unwrap_err()
        .to_string();
    assert!(error.contains("missing"), "{error}");
}
