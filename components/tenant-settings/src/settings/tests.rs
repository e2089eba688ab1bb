use phlare_bucket::Metrics;
use phlare_model::{Classify, ErrorKind, ManualClock};

use super::*;

const NOW_MS: i64 = 1_795_000_000_000;

fn memory() -> (Bucket, TenantSettings) {
    let bucket = Bucket::memory(&Metrics::default());
    let settings = over(&bucket);
    (bucket, settings)
}

/// Another process over the same bucket.
fn over(bucket: &Bucket) -> TenantSettings {
    TenantSettings::new(bucket, Arc::new(ManualClock::at_ns(NOW_MS * 1_000_000)))
}

fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

fn setting(name: &str, value: &str, modified_ms: i64) -> Setting {
    Setting {
        name: name.to_owned(),
        value: value.to_owned(),
        modified_ms,
    }
}

#[tokio::test]
async fn settings_are_there_for_every_process_over_the_bucket() {
    let (bucket, first) = memory();
    let (a, b) = (tenant("a"), tenant("b"));
    assert_eq!(first.get(&a).await.unwrap(), []);
    let stored = first.set(&a, setting("y", "2", 0)).await.unwrap();
    assert_eq!(stored, setting("y", "2", NOW_MS));
    let second = over(&bucket);
    second.set(&a, setting("x", "1", 7)).await.unwrap();
    let expected = [setting("x", "1", 7), setting("y", "2", NOW_MS)];
    assert_eq!(first.get(&a).await.unwrap(), expected);
    assert_eq!(first.get(&b).await.unwrap(), []);
    first.delete(&b, "x").await.unwrap();
    first.delete(&a, "y").await.unwrap();
    first.delete(&a, "y").await.unwrap();
    assert_eq!(second.get(&a).await.unwrap(), [setting("x", "1", 7)]);
    let listed = bucket.list("").await.unwrap();
    let keys: Vec<&str> = listed.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(keys, ["a/tenant_settings.json"]);
}

#[tokio::test]
async fn an_older_change_does_not_replace_a_newer_one() {
    let (_bucket, settings) = memory();
    let a = tenant("a");
    settings.set(&a, setting("x", "new", 10)).await.unwrap();
    let error = settings.set(&a, setting("x", "old", 9)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(error.to_string().contains("10, and 9 was sent"), "{error}");
    settings.set(&a, setting("x", "newer", 10)).await.unwrap();
    settings.set(&a, setting("x", "newer", 10)).await.unwrap();
    assert_eq!(settings.get(&a).await.unwrap(), [setting("x", "newer", 10)]);
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_changes_nothing() {
    let (_bucket, settings) = memory();
    let a = tenant("a");
    for (refused, kind) in [
        (setting("", "v", 1), ErrorKind::InvalidArgument),
        (
            setting(&"n".repeat(MAX_NAME + 1), "v", 1),
            ErrorKind::InvalidArgument,
        ),
        (
            setting("n", &"v".repeat(MAX_VALUE + 1), 1),
            ErrorKind::InvalidArgument,
        ),
    ] {
        assert_eq!(settings.set(&a, refused).await.unwrap_err().kind(), kind);
    }
    assert_eq!(settings.get(&a).await.unwrap(), []);
    let value = "v".repeat(MAX_VALUE);
    let fit = MAX_TOTAL / MAX_VALUE - 1;
    for number in 0..fit {
        settings
            .set(&a, setting(&number.to_string(), &value, 1))
            .await
            .unwrap();
    }
    let error = settings
        .set(&a, setting("more", &value, 1))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
    assert!(error.to_string().contains("delete some"), "{error}");
    assert_eq!(settings.get(&a).await.unwrap().len(), fit);
    // Another tenant has its own room.
    settings
        .set(&tenant("b"), setting("more", &value, 1))
        .await
        .unwrap();
}

#[tokio::test]
async fn changes_at_once_are_all_kept() {
    let (_bucket, settings) = memory();
    let a = tenant("a");
    let mut changing = tokio::task::JoinSet::new();
    for number in 0..50 {
        let (settings, a) = (settings.clone(), a.clone());
        changing.spawn(async move { settings.set(&a, setting(&number.to_string(), "v", 1)).await });
    }
    while let Some(changed) = changing.join_next().await {
        changed.unwrap().unwrap();
    }
    assert_eq!(settings.get(&a).await.unwrap().len(), 50);
}

#[tokio::test]
async fn a_change_that_another_process_overwrote_is_written_again() {
    let (bucket, settings) = memory();
    let a = tenant("a");
    // The other process read before ours wrote, and writes after it.
    let mut overwritten = 0;
    let (first, other) = (setting("x", "1", 5), setting("y", "2", 5));
    let outcome = settings
        .change(&a, "x", |stored| {
            if stored.contains_key("x") {
                return Ok(Step::Done(overwritten));
            }
            overwritten += 1;
            stored.insert("x".to_owned(), first.clone());
            if overwritten == 1 {
                // As if only theirs had been written.
                *stored = Settings::from([("y".to_owned(), other.clone())]);
            }
            Ok(Step::Write)
        })
        .await
        .unwrap();
    assert_eq!(outcome, 2);
    assert_eq!(over(&bucket).get(&a).await.unwrap(), [first, other]);
    let error = settings
        .change(&a, "x", |_| Ok(Step::<()>::Write))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Aborted);
}

#[tokio::test]
async fn a_damaged_object_is_said_and_not_overwritten() {
    let (bucket, settings) = memory();
    let a = tenant("a");
    let damaged = Bytes::from_static(b"{\"x\":");
    bucket
        .put("a/tenant_settings.json", damaged.clone())
        .await
        .unwrap();
    for error in [
        settings.get(&a).await.unwrap_err(),
        settings.set(&a, setting("x", "1", 1)).await.unwrap_err(),
        settings.delete(&a, "x").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::DataLoss);
        assert!(
            error.to_string().contains("tenant_settings.json"),
            "{error}"
        );
    }
    assert_eq!(bucket.get("a/tenant_settings.json").await.unwrap(), damaged);
}

#[tokio::test]
async fn a_bucket_that_is_away_is_unavailable() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("bucket");
    std::fs::create_dir(&inner).unwrap();
    let bucket = Bucket::filesystem(&inner, &Metrics::default()).unwrap();
    let settings = over(&bucket);
    settings
        .set(&tenant("a"), setting("x", "1", 1))
        .await
        .unwrap();
    std::fs::remove_dir_all(&inner).unwrap();
    let error = settings.get(&tenant("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}
