//! What every bucket does, whatever is behind it.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use phlare_bucket::{Bucket, Error, ErrorKind, Operation, Reads};
use phlare_model::{Clock, SystemClock};

/// Keys with what stores and their clients like to escape.
pub(crate) const ODD_KEYS: [&str; 6] = [
    "odd/a*b%41~c.json",
    "odd/with space+plus&and=equals",
    "odd/été-日本/x",
    "odd/(!'$,;:@)",
    "odd/#hash?question",
    "odd/%2F%00",
];

/// All of it, in a bucket with nothing in it, which is empty again afterwards.
pub(crate) async fn conform(bucket: &Bucket) -> Result<(), Error> {
    objects_come_and_go(bucket).await?;
    ranges_are_what_the_object_has_there(bucket).await?;
    listings_are_sorted_and_whole(bucket).await?;
    keys_are_kept_as_they_are(bucket).await?;
    bad_keys_are_refused(bucket).await;
    files_go_there_and_back(bucket).await?;
    for object in bucket.list("").await? {
        bucket.delete(&object.key).await?;
    }
    assert_eq!(bucket.list("").await?, []);
    Ok(())
}

fn bytes(length: usize) -> Bytes {
    (0..length)
        .map(|i| ((i * 31 + i / 253) % 251) as u8)
        .collect()
}

#[track_caller]
fn failed<T: std::fmt::Debug>(
    outcome: Result<T, Error>,
    operation: Operation,
    kind: ErrorKind,
    key: &str,
) {
    let error = outcome.unwrap_err();
    assert_eq!(
        (error.operation(), error.kind()),
        (operation, kind),
        "{error}"
    );
    assert!(error.to_string().contains(key), "{error}");
    assert!(error.location().contains(key), "{error}");
}

async fn objects_come_and_go(bucket: &Bucket) -> Result<(), Error> {
    let key = "t/phlaredb/x/meta.json";
    failed(
        bucket.get(key).await,
        Operation::Get,
        ErrorKind::NotFound,
        key,
    );
    failed(
        bucket.head(key).await,
        Operation::Head,
        ErrorKind::NotFound,
        key,
    );
    failed(
        bucket.get_range(key, 0..1).await,
        Operation::GetRanges,
        ErrorKind::NotFound,
        key,
    );
    assert!(!bucket.exists(key).await?);
    bucket.delete(key).await?;

    bucket.put(key, bytes(1000)).await?;
    assert_eq!(bucket.get(key).await?, bytes(1000));
    assert!(bucket.exists(key).await?);
    let object = bucket.head(key).await?;
    assert_eq!((object.key.as_str(), object.size), (key, 1000));
    let now_ms = SystemClock.now_ms();
    let hour_ms = 3_600_000;
    assert!(
        (now_ms - hour_ms..now_ms + hour_ms).contains(&object.modified_unix_ms),
        "{object:?}"
    );

    bucket.put(key, Bytes::new()).await?;
    assert_eq!(bucket.get(key).await?, Bytes::new());
    assert_eq!(bucket.head(key).await?.size, 0);

    bucket.delete(key).await?;
    assert!(!bucket.exists(key).await?);
    bucket.delete(key).await
}

async fn ranges_are_what_the_object_has_there(bucket: &Bucket) -> Result<(), Error> {
    let (key, size) = ("ranges/profiles.parquet", 100_000);
    let all = bytes(size);
    bucket.put(key, all.clone()).await?;
    let size = size as u64;
    let ranges = [
        90_000..size,
        0..10,
        12..20,
        5..15,
        7..7,
        50_000..50_001,
        0..size,
    ];
    for gap in [0, 4, 1 << 20] {
        let read = bucket
            .with_reads(Reads {
                gap,
                concurrency: 2,
            })
            .get_ranges(key, &ranges)
            .await?;
        for (range, found) in ranges.iter().zip(&read) {
            let expected = all.slice(range.start as usize..range.end as usize);
            assert!(
                *found == expected,
                "gap {gap}, {range:?}: {} bytes",
                found.len()
            );
        }
    }
    assert_eq!(bucket.get_ranges(key, &[]).await?, Vec::<Bytes>::new());
    for beyond in [size - 1..size + 1, size..size + 8, size + 5..size + 9] {
        let read = bucket.get_range(key, beyond).await;
        failed(read, Operation::GetRanges, ErrorKind::Truncated, key);
    }
    #[expect(clippy::reversed_empty_ranges, reason = "it is refused")]
    let reversed = bucket.get_range(key, 9..3).await;
    failed(reversed, Operation::GetRanges, ErrorKind::Invalid, key);
    bucket.delete(key).await
}

async fn listings_are_sorted_and_whole(bucket: &Bucket) -> Result<(), Error> {
    assert_eq!(bucket.list("none").await?, []);
    assert_eq!(bucket.list_directories("none").await?, Vec::<String>::new());
    let keys = [
        "b/2", "a/z/1", "a/1", "ab/1", "a/b/c/d", "top", "a/b.x", "a/b/0",
    ];
    for key in keys {
        bucket.put(key, bytes(key.len())).await?;
    }
    let names = async |prefix: &str| -> Result<Vec<String>, Error> {
        let listed = bucket.list(prefix).await?;
        for object in &listed {
            assert_eq!(object.size, object.key.len() as u64, "{object:?}");
        }
        Ok(listed.into_iter().map(|object| object.key).collect())
    };
    let mut all = keys.to_vec();
    all.sort_unstable();
    assert_eq!(names("").await?, all);
    assert_eq!(
        names("a").await?,
        ["a/1", "a/b.x", "a/b/0", "a/b/c/d", "a/z/1"]
    );
    assert_eq!(names("a/b").await?, ["a/b/0", "a/b/c/d"]);
    assert_eq!(bucket.list_directories("").await?, ["a", "ab", "b"]);
    assert_eq!(bucket.list_directories("a").await?, ["b", "z"]);
    assert_eq!(
        bucket.list_directories("a/b/c").await?,
        Vec::<String>::new()
    );
    for key in keys {
        bucket.delete(key).await?;
    }
    assert_eq!(bucket.list_directories("").await?, Vec::<String>::new());
    Ok(())
}

async fn keys_are_kept_as_they_are(bucket: &Bucket) -> Result<(), Error> {
    for (i, key) in ODD_KEYS.iter().enumerate() {
        bucket.put(key, bytes(i)).await?;
    }
    for (i, key) in ODD_KEYS.iter().enumerate() {
        assert_eq!(bucket.get(key).await?, bytes(i), "{key}");
        assert_eq!(bucket.head(key).await?.size, i as u64, "{key}");
    }
    let mut sorted = ODD_KEYS;
    sorted.sort_unstable();
    let listed: Vec<String> = bucket
        .list("odd")
        .await?
        .into_iter()
        .map(|object| object.key)
        .collect();
    assert_eq!(listed, sorted);
    assert_eq!(bucket.list_directories("odd").await?, ["été-日本"]);
    for key in ODD_KEYS {
        bucket.delete(key).await?;
    }
    Ok(())
}

async fn bad_keys_are_refused(bucket: &Bucket) {
    for key in ["", "/a", "a/", "a//b", "../a", "a/./b", "a\u{7}b"] {
        failed(
            bucket.get(key).await,
            Operation::Get,
            ErrorKind::Invalid,
            "",
        );
        failed(
            bucket.put(key, Bytes::new()).await,
            Operation::Put,
            ErrorKind::Invalid,
            "",
        );
        failed(
            bucket.delete(key).await,
            Operation::Delete,
            ErrorKind::Invalid,
            "",
        );
    }
}

async fn files_go_there_and_back(bucket: &Bucket) -> Result<(), Error> {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    // In one request, and in three parts.
    for size in [0, 1, 100_000, (16 << 20) + 1, (24 << 20) - 7] {
        std::fs::write(&from, bytes(size)).unwrap();
        assert_eq!(bucket.upload("files/index.tsdb", &from).await?, size as u64);
        assert_eq!(bucket.head("files/index.tsdb").await?.size, size as u64);
        assert_eq!(bucket.download("files/index.tsdb", &to).await?, size as u64);
        assert!(std::fs::read(&to).unwrap() == bytes(size), "{size} bytes");
    }
    let missing = dir.path().join("missing");
    failed(
        bucket.upload("files/x", &missing).await,
        Operation::Upload,
        ErrorKind::LocalFile,
        "files/x",
    );
    failed(
        bucket.download("files/x", &missing).await,
        Operation::Download,
        ErrorKind::NotFound,
        "files/x",
    );
    let nowhere = dir.path().join("no/where");
    let written = bucket.download("files/index.tsdb", &nowhere).await;
    failed(
        written,
        Operation::Download,
        ErrorKind::LocalFile,
        "files/index.tsdb",
    );
    let mut left: Vec<_> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort_unstable();
    assert_eq!(left, ["from", "to"]);
    bucket.delete("files/index.tsdb").await
}

/// More keys than a store names at once.
pub(crate) async fn long_listings_are_whole(bucket: &Bucket) -> Result<(), Error> {
    const COUNT: usize = 1_050;
    let keys: Vec<String> = (0..COUNT)
        .map(|i| format!("many/{i:05}/meta.json"))
        .collect();
    stream::iter(&keys)
        .map(|key| bucket.put(key, Bytes::from_static(b"{}")))
        .buffer_unordered(32)
        .try_collect::<Vec<()>>()
        .await?;
    let listed: Vec<String> = bucket
        .list("many")
        .await?
        .into_iter()
        .map(|object| object.key)
        .collect();
    assert_eq!(listed, keys);
    assert_eq!(bucket.list_directories("many").await?.len(), COUNT);
    stream::iter(&keys)
        .map(|key| bucket.delete(key))
        .buffer_unordered(32)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}
