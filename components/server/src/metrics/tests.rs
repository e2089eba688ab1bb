use http::HeaderValue;
use http_body_util::BodyExt;

use super::*;

async fn rendered(accept: Option<&'static str>) -> (String, String) {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    metrics.panics.inc();
    let labels = RequestLabels {
        method: "POST",
        route: Arc::from("push_v1"),
        status_code: 200,
        ws: "false",
    };
    metrics
        .request_duration
        .get_or_create(&labels)
        .observe(0.02);
    let mut headers = HeaderMap::new();
    if let Some(accept) = accept {
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
    }
    let response = render(&registry, &headers);
    let kind = response.headers()[CONTENT_TYPE]
        .to_str()
        .unwrap()
        .to_owned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (kind, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn plain_scrapers_get_the_text_format() {
    let (kind, text) = rendered(None).await;
    assert!(kind.starts_with("text/plain"), "{kind}");
    assert!(
        text.contains("# TYPE pyroscope_panic_total counter\npyroscope_panic_total 1\n"),
        "{text}"
    );
    let request = r#"pyroscope_request_duration_seconds_count{method="POST",route="push_v1",status_code="200",ws="false"} 1"#;
    assert!(text.contains(request), "{text}");
    assert!(!text.contains("# EOF"));
}

#[tokio::test]
async fn who_asks_gets_open_metrics() {
    let (kind, text) = rendered(Some(
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3",
    ))
    .await;
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[tokio::test]
async fn the_process_is_measured() {
    let (_, text) = rendered(None).await;
    let value = |name: &str| -> f64 {
        let line = text
            .lines()
            .find(|line| line.split(' ').next() == Some(name))
            .unwrap_or_else(|| panic!("no {name}"));
        line.split(' ').nth(1).unwrap().parse().unwrap()
    };
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_open_fds") >= 3.0);
    assert!(value("process_cpu_seconds_total") >= 0.0);
    assert!(value("process_start_time_seconds") > 1.6e9);
}
