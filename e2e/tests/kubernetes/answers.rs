//! Answers for pods, at an address that they have.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use phlare_e2e::until;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Answers for all pods that have its address, by path.
pub(crate) struct Answers {
    says: watch::Sender<BTreeMap<String, String>>,
    asked: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl Answers {
    /// Says nothing but 404 so far.
    pub(crate) async fn at(address: &str) -> Self {
        let address: SocketAddr = format!("{address}:4040").parse().unwrap();
        let listener = TcpListener::bind(address).await.unwrap();
        let (says, heard) = watch::channel(BTreeMap::<String, String>::new());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let Ok(length) = socket.read(&mut request).await else {
                    continue;
                };
                let request = String::from_utf8_lossy(&request[..length]);
                let path = request.split(' ').nth(1).unwrap_or_default();
                let answer = heard.borrow().get(path).cloned();
                let answer = answer.unwrap_or_else(|| http("404 Not Found", ""));
                count.fetch_add(1, Ordering::Relaxed);
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        Self {
            says,
            asked,
            _serving: serving,
        }
    }

    /// What is answered from now on.
    pub(crate) fn say(&self, path: &str, status: &str, text: &str) {
        let answer = http(status, text);
        self.says.send_modify(|says| {
            says.insert(path.to_owned(), answer);
        });
    }

    /// The ring, by names and states.
    pub(crate) fn ring(&self, members: &[(&str, &str)]) {
        let members: Vec<_> = members
            .iter()
            .map(|(id, state)| json!({"id": id, "state": state, "healthy": true}))
            .collect();
        let page = json!({"ring": "ingester", "instances": members});
        self.say("/ring", "200 OK", &page.to_string());
    }

    /// What store-gateways have trouble with; nothing if it is empty.
    pub(crate) fn trouble(&self, trouble: &str) {
        let check = json!({"name": "store-gateway", "ready": true});
        let mut page = json!({"ready": true, "checks": [check]});
        if !trouble.is_empty() {
            page["warnings"] = json!([{"name": "store-gateway", "reason": trouble}]);
        }
        self.say("/ready", "200 OK", &Value::to_string(&page));
    }

    /// Requests that were answered, and that failed.
    pub(crate) fn requests(&self, answered: u32, failed: u32) {
        let name = "pyroscope_request_duration_seconds_count";
        let series = |code: u32, count: u32| {
            format!(
                "{name}{{method=\"POST\",route=\"push\",status_code=\"{code}\",ws=\"false\"}} {count}\n"
            )
        };
        let text = series(200, answered) + &series(500, failed);
        self.say("/metrics", "200 OK", &text);
    }

    /// Waits until it was asked so often, from now on.
    pub(crate) async fn asked(&self, times: usize) {
        let before = self.asked.load(Ordering::Relaxed);
        until("the operator asks", async || {
            Ok(self.asked.load(Ordering::Relaxed) >= before + times)
        })
        .await
        .unwrap();
    }
}

fn http(status: &str, text: &str) -> String {
    let length = text.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}")
}
