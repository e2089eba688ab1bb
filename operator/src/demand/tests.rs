use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

const TEXT: &str = "\
# HELP phlare_query_scheduler_inflight_requests Queries that wait or are being answered now.
# TYPE phlare_query_scheduler_inflight_requests gauge
phlare_query_scheduler_inflight_requests 7
# TYPE pyroscope_query_scheduler_inflight_requests gauge
pyroscope_query_scheduler_inflight_requests{quantile=\"0.5\"} 900
# EOF
";

#[test]
fn the_gauge_is_found_among_others() {
    assert_eq!(queries(TEXT), Some(7));
    assert_eq!(
        queries("phlare_query_scheduler_inflight_requests 0\n"),
        Some(0)
    );
    assert_eq!(
        queries(
            "phlare_query_scheduler_inflight_requests_total 5\nphlare_query_scheduler_inflight_requests 2 1712345678\n"
        ),
        Some(2)
    );
}

#[test]
fn series_of_the_gauge_are_added_up() {
    let text = "phlare_query_scheduler_inflight_requests{shard=\"a}\\\"b\"} 3\nphlare_query_scheduler_inflight_requests{shard=\"c\"} 4.0\n";
    assert_eq!(queries(text), Some(7));
}

#[test]
fn what_is_no_number_of_queries_is_none() {
    for value in ["NaN", "-1", "+Inf", "1e12", "", "seven", "1,5"] {
        let text = format!("phlare_query_scheduler_inflight_requests {value}\n");
        assert_eq!(queries(&text), None, "{value}");
    }
    assert_eq!(queries(""), None);
    assert_eq!(
        queries("phlare_query_scheduler_inflight_requests{a=\"b\" 3"),
        None
    );
    assert_eq!(
        queries("# phlare_query_scheduler_inflight_requests 3"),
        None
    );
    // One good series does not make up for a bad one.
    assert_eq!(
        queries(
            "phlare_query_scheduler_inflight_requests{a=\"b\"} 3\nphlare_query_scheduler_inflight_requests NaN"
        ),
        None
    );
}

/// Serves until it is dropped.
async fn serve(router: Router, serving: &mut JoinSet<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

fn demand() -> Demand {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Demand::new(Pods::new().unwrap())
}

#[tokio::test]
async fn a_query_scheduler_is_asked_and_believed_only_if_it_answers_properly() {
    let mut serving = JoinSet::new();
    let router = Router::new().route("/metrics", get(async || TEXT));
    let good = serve(router, &mut serving).await;
    let broken = Router::new().route(
        "/metrics",
        get(async || (StatusCode::INTERNAL_SERVER_ERROR, TEXT).into_response()),
    );
    let broken = serve(broken, &mut serving).await;
    let elsewhere = format!("http://{good}/metrics");
    let moved = Router::new().route(
        "/metrics",
        get(async move || Redirect::temporary(&elsewhere)),
    );
    let moved = serve(moved, &mut serving).await;
    let endless = Router::new().route(
        "/metrics",
        get(async || format!("{TEXT}{}", "# more\n".repeat(crate::pods::MOST_BYTES / 7))),
    );
    let endless = serve(endless, &mut serving).await;
    let empty = Router::new().route("/metrics", get(async || "# EOF\n"));
    let empty = serve(empty, &mut serving).await;
    let demand = demand();
    assert_eq!(demand.ask(&good).await, Ok(7));
    assert_eq!(demand.ask(&broken).await, Err("status 500".to_owned()));
    assert_eq!(demand.ask(&moved).await, Err("status 307".to_owned()));
    assert_eq!(
        demand.ask(&endless).await,
        Err("more than 4194304 bytes".to_owned())
    );
    assert_eq!(
        demand.ask(&empty).await,
        Err("no number of queries in phlare_query_scheduler_inflight_requests".to_owned())
    );
    // Nobody is there any more.
    serving.shutdown().await;
    let refused = demand.ask(&empty).await.unwrap_err();
    assert!(refused.contains("refused"), "{refused}");
}

#[tokio::test]
async fn those_that_are_not_heard_are_named() {
    let pods = [("prod-query-scheduler-1".to_owned(), "127.0.0.1".to_owned())];
    let reading = demand().read(&pods).await;
    assert_eq!((reading.queries, reading.heard), (0, 0));
    let said = reading.unheard.first().unwrap().to_string();
    assert!(
        said.starts_with("pod prod-query-scheduler-1: GET http://127.0.0.1:4040/metrics: "),
        "{said}"
    );
}
