use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use phlare_bucket::Metrics;
use phlare_model::{ErrorKind, ManualClock};
use phlare_tenancy::Overrides;
use prost::Message;
use serde_json::Value;

use super::*;
use crate::testing::heap;

const NOW_MS: i64 = 1_795_000_000_000;

struct Setup {
    bucket: Bucket,
    clock: Arc<ManualClock>,
    profiles: AdHocProfiles,
}

fn setup() -> Setup {
    let bucket = Bucket::memory(&Metrics::default());
    let clock = Arc::new(ManualClock::at_ns(NOW_MS * 1_000_000));
    let mut registry = phlare_server::Registry::default();
    let metrics = phlare_server::Metrics::register(&mut registry);
    let profiles = AdHocProfiles::new(Deps {
        bucket: bucket.clone(),
        overrides: Overrides::fixed(Limits {
            max_profile_size_bytes: 20_000,
            ..Limits::default()
        }),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        offload: Offload::new("cpu", 1, 8, &metrics).unwrap(),
    });
    Setup {
        bucket,
        clock,
        profiles,
    }
}

fn tenant(id: &str) -> TenantId {
    TenantId::parse(id).unwrap()
}

fn file(name: &str, bytes: &[u8]) -> (String, String) {
    (name.to_owned(), STANDARD.encode(bytes))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn a_file_is_kept_listed_and_drawn() {
    let setup = setup();
    let (profiles, a) = (&setup.profiles, tenant("a"));
    assert!(profiles.list(&a).await.unwrap().is_empty());
    let heap = file("my heap.pb", &heap().encode_to_vec());
    let first = profiles.upload(&a, heap, 0).await.unwrap();
    assert!(first.id.as_str().ends_with("-my_heap.pb"), "{}", first.id);
    assert_eq!(first.name, "my heap.pb");
    assert_eq!(first.profile_type, "alloc_objects");
    assert_eq!(first.profile_types, ["alloc_objects", "inuse_space"]);
    assert_eq!(json(&first.flamebearer)["flamebearer"]["numTicks"], 3);
    setup.clock.advance(std::time::Duration::from_millis(5));
    let second = profiles.upload(&a, file("", b"main 4\n"), 0).await.unwrap();
    assert_eq!(second.id.time_ms(), NOW_MS + 5);
    let listed = profiles.list(&a).await.unwrap();
    assert_eq!(listed, [second.id.clone(), first.id.clone()]);

    let asked = (Some("inuse_space".to_owned()), 1);
    let shown = profiles.get(&a, first.id.as_str(), asked).await.unwrap();
    assert_eq!(
        (shown.name.as_str(), shown.profile_type.as_str()),
        ("my heap.pb", "inuse_space")
    );
    let drawn = json(&shown.flamebearer);
    assert_eq!(drawn["flamebearer"]["numTicks"], 57);
    assert_eq!(drawn["metadata"]["units"], "bytes");
    assert_eq!(drawn["timeline"], Value::Null);

    let key = format!("a/adhoc/{}", first.id);
    let stored = json(std::str::from_utf8(&setup.bucket.get(&key).await.unwrap()).unwrap());
    assert_eq!(stored["name"], "my heap.pb");
    assert_eq!(stored["uploadedAt"], "2026-11-18T11:06:40Z");
}

#[tokio::test]
async fn tenants_do_not_see_each_others_files() {
    let setup = setup();
    let (profiles, a, b) = (&setup.profiles, tenant("a"), tenant("b"));
    let kept = profiles
        .upload(&a, file("x", b"main 4\n"), 0)
        .await
        .unwrap();
    assert!(profiles.list(&b).await.unwrap().is_empty());
    let id = kept.id.as_str();
    for (tenant, id, kind) in [
        (&b, id, ErrorKind::NotFound),
        (
            &b,
            &format!("../../a/adhoc/{id}"),
            ErrorKind::InvalidArgument,
        ),
        (&a, "..", ErrorKind::InvalidArgument),
        (&a, "01KA-gone", ErrorKind::NotFound),
    ] {
        let error = profiles.get(tenant, id, (None, 0)).await.unwrap_err();
        assert_eq!(error.kind, kind, "{}", error.message);
        let error = profiles
            .diff(tenant, (id, id), (None, 0))
            .await
            .unwrap_err();
        assert_eq!(error.kind, kind, "{}", error.message);
    }
}

#[tokio::test]
async fn what_is_refused_is_not_kept() {
    let setup = setup();
    let (profiles, a) = (&setup.profiles, tenant("a"));
    for (refused, max_nodes, text) in [
        (("x".to_owned(), "no base64!".to_owned()), 0, "base64"),
        (
            file("x", &[b'x'; 20_001]),
            0,
            "max_profile_size_bytes is 20000",
        ),
        (
            file("x", &vec![b'x'; 1 << 20]),
            0,
            "max_profile_size_bytes is 20000",
        ),
        (file("x", b"hello"), 0, "collapsed stacks"),
        (file("x", b"main 4\n"), -1, "max nodes"),
        (file("x", b"main 4\n"), 1 << 40, "max nodes"),
        (file(&"x".repeat(1025), b"main 4\n"), 0, "1025 bytes"),
    ] {
        let error = profiles.upload(&a, refused, max_nodes).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidArgument, "{}", error.message);
        assert!(error.message.contains(text), "{}", error.message);
    }
    assert!(setup.bucket.list("").await.unwrap().is_empty());
}

#[tokio::test]
async fn two_files_are_compared_in_the_types_that_both_have() {
    let setup = setup();
    let (profiles, a) = (&setup.profiles, tenant("a"));
    let mut other = heap();
    other.sample_type.remove(0);
    for sample in &mut other.sample {
        sample.value.remove(0);
        sample.value[0] *= 2;
    }
    let left = profiles
        .upload(&a, file("l", &heap().encode_to_vec()), 0)
        .await
        .unwrap();
    let right = profiles
        .upload(&a, file("r", &other.encode_to_vec()), 0)
        .await
        .unwrap();
    let (left, right) = (left.id.as_str(), right.id.as_str());
    let compared = profiles.diff(&a, (left, right), (None, 0)).await.unwrap();
    assert_eq!(compared.profile_types, ["inuse_space"]);
    let drawn = json(&compared.flamebearer);
    assert_eq!(drawn["metadata"]["format"], "double");
    assert_eq!(
        (&drawn["leftTicks"], &drawn["rightTicks"]),
        (&57.into(), &114.into())
    );
    let asked = (Some("alloc_objects".to_owned()), 0);
    let error = profiles.diff(&a, (left, right), asked).await.unwrap_err();
    assert!(error.message.contains("on both sides"), "{}", error.message);
    let stacks = profiles
        .upload(&a, file("s", b"main 4\n"), 0)
        .await
        .unwrap();
    let error = profiles
        .diff(&a, (left, stacks.id.as_str()), (None, 0))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidArgument);
    assert!(
        error.message.contains("no type in common"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn a_damaged_object_is_said() {
    let setup = setup();
    let a = tenant("a");
    let key = "a/adhoc/01KA-x";
    setup
        .bucket
        .put(key, Bytes::from_static(b"{"))
        .await
        .unwrap();
    let error = setup
        .profiles
        .get(&a, "01KA-x", (None, 0))
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::DataLoss);
    assert!(error.message.contains(key), "{}", error.message);
    // It is listed, as everything is that lies there.
    assert_eq!(setup.profiles.list(&a).await.unwrap().len(), 1);
}
