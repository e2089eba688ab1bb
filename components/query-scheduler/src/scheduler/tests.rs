use std::pin::Pin;

use futures_util::FutureExt;
use phlare_tenancy::Limits;

use super::*;

const WAIT: Duration = Duration::from_secs(10);

fn scheduler_with(config: Config, limits: Limits) -> Scheduler {
    Scheduler::new(config, Overrides::fixed(limits), Metrics::default())
}

fn scheduler() -> Scheduler {
    scheduler_with(Config::default(), Limits::default())
}

fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).unwrap()
}

type Asking<'a> = Pin<Box<dyn Future<Output = Result<Bytes, Status>> + 'a>>;

/// A query that waits.
fn asking<'a>(scheduler: &'a Scheduler, tenant: &'a TenantId, query: &'static str) -> Asking<'a> {
    let mut asking = Box::pin(scheduler.ask(tenant, Bytes::from_static(query.as_bytes()), None));
    assert!((&mut asking).now_or_never().is_none());
    asking
}

fn pulled(pulled: Pulled) -> Task {
    match pulled {
        Pulled::Task(task) => task,
        other => panic!("{other:?}"),
    }
}

/// A query that is there already.
fn take(scheduler: &Scheduler, querier: &str) -> Option<Task> {
    scheduler.pull(querier, WAIT).now_or_never().map(pulled)
}

fn answer(scheduler: &Scheduler, task: &Task, querier: &str) {
    scheduler.finish(querier, task.id, Ok(task.query.clone()));
}

/// Nothing is left of any query.
fn is_empty(scheduler: &Scheduler) -> bool {
    let state = scheduler.state();
    state.wishes.is_empty() && state.queue.waiting() == 0 && state.queue.running() == 0
}

#[tokio::test(start_paused = true)]
async fn a_querier_answers_what_a_frontend_asks() {
    let (scheduler, tenant) = (scheduler(), tenant("a"));
    let querier = async {
        let task = pulled(scheduler.pull("q", WAIT).await);
        assert_eq!((&task.tenant, &task.query[..]), (&tenant, &b"question"[..]));
        assert!(!scheduler.hold("q", task.id, Duration::from_secs(1)).await);
        answer(&scheduler, &task, "q");
        assert!(scheduler.hold("q", task.id, WAIT).await);
    };
    let question = Bytes::from_static(b"question");
    let (found, ()) = tokio::join!(scheduler.ask(&tenant, question.clone(), None), querier);
    assert_eq!(found.unwrap(), question);
    assert!(is_empty(&scheduler));
}

#[tokio::test(start_paused = true)]
async fn a_querier_that_waits_gets_the_next_query_at_once() {
    let (scheduler, tenant) = (scheduler(), tenant("a"));
    let mut first = Box::pin(scheduler.pull("q1", WAIT));
    assert!((&mut first).now_or_never().is_none());
    let mut second = Box::pin(scheduler.pull("q2", WAIT));
    assert!((&mut second).now_or_never().is_none());
    let _one = asking(&scheduler, &tenant, "1");
    let _two = asking(&scheduler, &tenant, "2");
    assert_eq!(&pulled(first.now_or_never().unwrap()).query[..], b"1");
    assert_eq!(&pulled(second.now_or_never().unwrap()).query[..], b"2");
    assert_eq!(scheduler.pull("q3", WAIT).await, Pulled::Nothing);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_asks_too_much_is_refused_and_others_are_not() {
    let config = Config {
        max_outstanding_requests_per_tenant: 2,
        ..Config::default()
    };
    let scheduler = scheduler_with(config, Limits::default());
    let (noisy, quiet) = (tenant("noisy"), tenant("quiet"));
    let _waiting = [
        asking(&scheduler, &noisy, "1"),
        asking(&scheduler, &noisy, "2"),
    ];
    let refused = scheduler.ask(&noisy, Bytes::new(), None).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::ResourceExhausted);
    assert!(refused.message.contains("too many outstanding requests"));
    let _other = asking(&scheduler, &quiet, "3");
    assert_eq!(scheduler.0.metrics.of_tenant(&noisy), (2, 1, 0));
    assert_eq!(scheduler.0.metrics.of_tenant(&quiet), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_leaves_nothing_and_stops_the_querier() {
    let (scheduler, tenant) = (scheduler(), tenant("a"));
    // One that waits.
    drop(asking(&scheduler, &tenant, "1"));
    assert!(take(&scheduler, "q").is_none() && is_empty(&scheduler));
    // One that is being worked on.
    let asked = asking(&scheduler, &tenant, "2");
    let task = take(&scheduler, "q").unwrap();
    let mut hold = Box::pin(scheduler.hold("q", task.id, WAIT));
    assert!((&mut hold).now_or_never().is_none());
    drop(asked);
    assert!(hold.now_or_never().unwrap());
    assert!(is_empty(&scheduler));
    answer(&scheduler, &task, "q");
    assert_eq!(scheduler.0.metrics.of_tenant(&tenant), (0, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_query_whose_querier_dies_is_given_up_at_once() {
    let (scheduler, tenant) = (scheduler(), tenant("a"));
    let asked = asking(&scheduler, &tenant, "1");
    let task = take(&scheduler, "q").unwrap();
    let mut hold = Box::pin(scheduler.hold("q", task.id, WAIT));
    assert!((&mut hold).now_or_never().is_none());
    // Its connection breaks.
    drop(hold);
    let failed = asked.now_or_never().unwrap().unwrap_err();
    assert_eq!(failed.kind, ErrorKind::Unavailable);
    assert!(failed.message.contains("`q` went away"), "{failed:?}");
    assert!(is_empty(&scheduler));
}

#[tokio::test(start_paused = true)]
async fn a_querier_that_keeps_silent_is_taken_for_gone() {
    let (scheduler, tenant) = (scheduler(), tenant("a"));
    let looking = scheduler.clone().run();
    let asked = asking(&scheduler, &tenant, "1");
    let begun = Instant::now();
    take(&scheduler, "q").unwrap();
    let failed = tokio::select! {
        failed = asked => failed.unwrap_err(),
        () = looking => unreachable!("it runs until it is dropped"),
    };
    assert!(failed.message.contains("`q` went away"), "{failed:?}");
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_querier_that_holds_may_take_its_time() {
    let (scheduler, tenant) = (scheduler(), tenant("a"));
    let asked = asking(&scheduler, &tenant, "1");
    let task = take(&scheduler, "q").unwrap();
    let working = async {
        for _ in 0..20 {
            assert!(!scheduler.hold("q", task.id, WAIT).await);
            // A short time between two calls.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        answer(&scheduler, &task, "q");
        std::future::pending::<()>().await;
    };
    tokio::select! {
        found = asked => assert_eq!(&found.unwrap()[..], b"1"),
        () = working => unreachable!("it never ends"),
        () = scheduler.clone().run() => unreachable!("it runs until it is dropped"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_query_that_nobody_received_is_given_to_somebody_else() {
    let (scheduler, tenant) = (scheduler(), tenant("a"));
    let mut pull = Box::pin(scheduler.pull("q1", WAIT));
    assert!((&mut pull).now_or_never().is_none());
    let asked = asking(&scheduler, &tenant, "1");
    // It has the query, and its connection breaks before it hears of it.
    drop(pull);
    let task = take(&scheduler, "q2").unwrap();
    answer(&scheduler, &task, "q2");
    asked.now_or_never().unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn queries_that_came_too_late_are_not_given_to_queriers() {
    let (scheduler, tenant) = (scheduler(), tenant("a"));
    let soon = Instant::now() + Duration::from_secs(1);
    let late = scheduler.ask(&tenant, Bytes::from_static(b"late"), Some(soon));
    let mut late = Box::pin(late);
    assert!((&mut late).now_or_never().is_none());
    let _next = asking(&scheduler, &tenant, "next");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(&take(&scheduler, "q").unwrap().query[..], b"next");
    let failed = late.now_or_never().unwrap().unwrap_err();
    assert_eq!(failed.kind, ErrorKind::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn a_querier_that_leaves_gets_nothing_and_finishes_what_it_has() {
    let (scheduler, tenant) = (scheduler(), tenant("a"));
    let asked = asking(&scheduler, &tenant, "1");
    let task = take(&scheduler, "q").unwrap();
    let mut waiting = Box::pin(scheduler.pull("q", WAIT));
    assert!((&mut waiting).now_or_never().is_none());
    scheduler.leave("q");
    assert_eq!(waiting.now_or_never(), Some(Pulled::Stopping));
    let _other = asking(&scheduler, &tenant, "2");
    answer(&scheduler, &task, "q");
    asked.now_or_never().unwrap().unwrap();
    assert_eq!(scheduler.state().queue.waiting(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_waits_when_it_stops_is_still_answered() {
    let (scheduler, tenant) = (scheduler(), tenant("a"));
    let asked = asking(&scheduler, &tenant, "1");
    scheduler.stop();
    let refused = scheduler
        .ask(&tenant, Bytes::new(), None)
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Unavailable);
    let task = take(&scheduler, "q").unwrap();
    assert_eq!(scheduler.pull("q", WAIT).await, Pulled::Stopping);
    answer(&scheduler, &task, "q");
    asked.now_or_never().unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_tenant_keeps_to_its_queriers_and_gets_others_when_they_go() {
    let limits = Limits {
        max_queriers_per_tenant: 1,
        ..Limits::default()
    };
    let config = Config {
        querier_forget_delay: Duration::from_secs(60),
        ..Config::default()
    };
    let scheduler = scheduler_with(config, limits);
    let tenant = tenant("a");
    let mut pulls: Vec<_> = ["q1", "q2", "q3"]
        .map(|querier| Some(Box::pin(scheduler.pull(querier, WAIT * 1000))))
        .into();
    for pull in pulls.iter_mut().flatten() {
        assert!(pull.now_or_never().is_none());
    }
    let _first = asking(&scheduler, &tenant, "1");
    let _second = asking(&scheduler, &tenant, "2");
    let mut got = pulls
        .iter_mut()
        .map(|pull| pull.as_mut().unwrap().now_or_never());
    let chosen = got.position(|pulled| pulled.is_some()).unwrap();
    assert!(got.all(|pulled| pulled.is_none()));
    // The one is busy; the second query waits for it, not for the others, until it is forgotten.
    assert_eq!(scheduler.state().queue.waiting(), 1);
    pulls[chosen] = None;
    tokio::time::advance(Duration::from_secs(30)).await;
    scheduler.look();
    assert_eq!(scheduler.state().queue.waiting(), 1);
    tokio::time::advance(Duration::from_secs(31)).await;
    scheduler.look();
    assert_eq!(scheduler.state().queue.waiting(), 0);
}
