use std::sync::mpsc;

use prometheus_client::registry::Registry;

use super::*;

fn pool(max_waiting: usize) -> (Offload, Metrics) {
    let metrics = Metrics::register(&mut Registry::default());
    (
        Offload::new("test", 1, max_waiting, &metrics).unwrap(),
        metrics,
    )
}

/// Work that occupies its permit until the sender goes away.
fn block(
    offload: &Offload,
) -> (
    mpsc::Sender<()>,
    impl Future<Output = Result<(), OffloadError>> + use<>,
) {
    let (release, wait) = mpsc::channel::<()>();
    let offload = offload.clone();
    (release, async move {
        offload.run(move || assert!(wait.recv().is_err())).await
    })
}

#[tokio::test]
async fn work_runs_on_a_named_thread() {
    let (offload, _) = pool(1);
    let name = offload
        .run(|| std::thread::current().name().map(str::to_owned))
        .await
        .unwrap();
    assert_eq!(name.as_deref(), Some("test-0"));
}

#[tokio::test]
async fn a_panic_is_an_error_and_is_counted() {
    let (offload, metrics) = pool(1);
    let result = offload.run(|| -> u32 { panic!("on purpose") }).await;
    assert!(matches!(result, Err(OffloadError::Panicked)));
    assert_eq!(metrics.panics.get(), 1);
    assert_eq!(offload.run(|| 7).await.unwrap(), 7);
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let (offload, metrics) = pool(1);
    let (release_a, a) = block(&offload);
    let (release_b, b) = block(&offload);
    let (release_c, c) = block(&offload);
    let mut running = tokio::task::JoinSet::new();
    running.spawn(a);
    running.spawn(b);
    running.spawn(c);
    while metrics.offload("test").waiting.get() < 1 {
        tokio::task::yield_now().await;
    }
    let refused = offload.run(|| ()).await.unwrap_err();
    assert!(matches!(refused, OffloadError::Full { waiting: 1 }));
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert_eq!(metrics.offload("test").refused.get(), 1);
    drop((release_a, release_b, release_c));
    while let Some(result) = running.join_next().await {
        result.unwrap().unwrap();
    }
    assert_eq!(offload.run(|| 1).await.unwrap(), 1);
    assert_eq!(metrics.offload("test").waiting.get(), 0);
}

#[tokio::test]
async fn work_of_a_caller_that_left_is_not_begun() {
    let (offload, metrics) = pool(1);
    let (release, first) = block(&offload);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(first);
    while metrics.offload("test").running.get() < 1 {
        tokio::task::yield_now().await;
    }
    let (done, was_run) = mpsc::channel::<()>();
    let queued = offload.clone();
    let abandoned = tasks.spawn(async move { queued.run(move || done.send(()).unwrap()).await });
    while metrics.offload("test").running.get() < 2 {
        tokio::task::yield_now().await;
    }
    abandoned.abort();
    let first_ended = tasks.join_next().await.unwrap();
    assert!(first_ended.is_err_and(|error| error.is_cancelled()));
    drop(release);
    tasks.join_next().await.unwrap().unwrap().unwrap();
    offload.run(|| ()).await.unwrap();
    assert!(
        was_run.try_recv().is_err(),
        "the work ran although nobody waited for it"
    );
}
