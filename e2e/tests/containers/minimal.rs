//! A manifest of five lines takes profiles and answers.

use phlare_e2e::client::CPU;
use phlare_e2e::{Pprof, now_ns, until};

use crate::bench::{bench, file};

#[tokio::test(flavor = "multi_thread")]
async fn five_lines_take_profiles_and_answer() {
    let Some(bench) = bench("obs").await else {
        return;
    };
    bench
        .apply(&file("charts/examples/minimal.yaml").unwrap())
        .await;
    bench.ready("profiles").await;
    let client = bench.service("profiles");
    let profile = Pprof::cpu()
        .at(now_ns())
        .stack(&["main", "work"], &[10_000_000]);
    let labels = [("__name__", "process_cpu"), ("service_name", "shop")];
    client.push(&labels, profile.bytes()).await.unwrap();
    until("the flame graph is there", async || {
        Ok(client.total(CPU, r#"{service_name="shop"}"#).await? == 10_000_000)
    })
    .await
    .unwrap();
}
