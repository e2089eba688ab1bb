//! What pods say of themselves and of each other: who is in the ring, whether the object store answers them, how many of
//! their requests fail. Asked at each pass: what counts is what is so now.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use parking_lot::Mutex;
use reqwest::Method;
use serde::Deserialize;

use crate::figures::{label, series};
use crate::pods::{Pods, authority};

/// Pods that are asked at a time: each may answer megabytes.
const AT_A_TIME: usize = 8;
/// Where nobody answers, nobody is asked again for so long: a network that swallows requests would make each pass slow.
const SILENCE: Duration = Duration::from_secs(20);
/// How often pods are asked for all their metrics: passes may follow each other within a second.
const METRICS: Duration = Duration::from_secs(15);
/// What is known of pods from before is forgotten after so long without a question.
const FORGET: Duration = Duration::from_secs(1800);
/// Requests by route and status.
const REQUESTS: &str = "pyroscope_request_duration_seconds_count";
/// Routes that are about the process itself, or about nothing. Kubernetes asks some of them all the time.
const OF_THE_PROCESS: [&str; 6] = ["metrics", "ready", "livez", "healthz", "root", "notfound"];

/// A member of the ring, as a pod sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Member {
    /// Its name: that of its pod.
    pub id: String,
    /// `ACTIVE` or another state, as it says itself.
    pub state: String,
    /// Whether it was heard of in time.
    #[serde(default)]
    pub healthy: bool,
}

#[derive(Deserialize)]
struct RingPage {
    instances: Vec<Member>,
}

/// What a pod says on `/ready`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Readiness {
    /// What must hold.
    pub checks: Vec<Check>,
    /// What goes wrong although it serves.
    #[serde(default)]
    pub warnings: Vec<Check>,
}

/// A line of `/ready`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Check {
    /// The component.
    pub name: String,
    /// Whether it holds.
    #[serde(default)]
    pub ready: bool,
    /// Why not.
    #[serde(default)]
    pub reason: String,
}

/// Requests that a pod has answered since its process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// All of them.
    pub requests: u64,
    /// Those with an error that is not the client's.
    pub failures: u64,
}

impl Traffic {
    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            failures: self.failures.saturating_add(other.failures),
        }
    }

    /// What came after an earlier look at the same pod; all of it, if the process is another one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        if self.requests < earlier.requests || self.failures < earlier.failures {
            return self;
        }
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            failures: self.failures.saturating_sub(earlier.failures),
        }
    }
}

/// Requests by the names of pods.
type ByPod = BTreeMap<String, Traffic>;

/// Who is asked what: pods by name and address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    /// Who is in the ring.
    pub ring: Vec<(String, String)>,
    /// Whether the object store answers.
    pub storage: Vec<(String, String)>,
    /// How many requests fail: pods that have a release that is on its way.
    pub traffic: Vec<(String, String)>,
    /// The same: pods that don't have it.
    pub others: Vec<(String, String)>,
}

/// What a pod said, or why it did not.
pub type Answer<T> = (String, Result<T, String>);

/// What pods said.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// The ring of ingesters.
    pub rings: Vec<Answer<Vec<Member>>>,
    /// Of those who use the object store.
    pub storage: Vec<Answer<Readiness>>,
    /// Requests of pods that have a release that is on its way.
    pub traffic: BTreeMap<String, Traffic>,
    /// Requests of pods that don't have it.
    pub others: BTreeMap<String, Traffic>,
    /// The same when they were first asked about this release; None if this is the first time.
    pub before: Option<BTreeMap<String, Traffic>>,
}

impl Heard {
    /// Somebody was asked, and nobody said anything.
    fn is_silent(&self) -> bool {
        let rings = self.rings.iter().map(|(_, answer)| answer.is_ok());
        let storage = self.storage.iter().map(|(_, answer)| answer.is_ok());
        let mut answers = rings.chain(storage).peekable();
        answers.peek().is_some() && !answers.any(|is_one| is_one) && self.traffic.is_empty()
    }
}

/// Asks pods.
#[derive(Debug)]
pub struct Health {
    pods: Pods,
    known: Mutex<HashMap<String, Known>>,
}

/// What is known of a resource's pods from before. It can be lost.
#[derive(Clone, Debug)]
struct Known {
    asked: Instant,
    /// Nobody answered then.
    silence: Option<Heard>,
    /// The release that `first` is about.
    release: String,
    first: BTreeMap<String, Traffic>,
    /// When pods were asked for their metrics, and what they said: with the release, and without it.
    traffic: Option<(Instant, ByPod, ByPod)>,
}

impl Health {
    /// Asks by this client.
    #[must_use]
    pub fn new(pods: Pods) -> Self {
        Self {
            pods,
            known: Mutex::default(),
        }
    }

    /// Asks the pods of a resource, given by its identity, that is to run a release. Takes a few times five seconds at
    /// most, and nothing for a while if nobody answered.
    pub async fn hear(&self, uid: &str, release: &str, questions: &Questions) -> Heard {
        let known = self.known.lock().get(uid).cloned();
        if let Some(Known {
            asked,
            silence: Some(silence),
            ..
        }) = &known
            && asked.elapsed() < SILENCE
        {
            return silence.clone();
        }
        let mut questions = questions.clone();
        let same = known.as_ref().filter(|known| known.release == release);
        let fresh = same.and_then(|known| known.traffic.clone());
        let fresh = fresh.filter(|(asked, ..)| asked.elapsed() < METRICS);
        let fresh = fresh.filter(|_| !questions.traffic.is_empty());
        if fresh.is_some() {
            questions.traffic.clear();
            questions.others.clear();
        }
        let mut heard = self.ask(&questions).await;
        let is_silent = heard.is_silent();
        let traffic = match fresh {
            Some((_, ref traffic, ref others)) => {
                heard.traffic.clone_from(traffic);
                heard.others.clone_from(others);
                fresh
            }
            None if heard.traffic.is_empty() => None,
            None => Some((Instant::now(), heard.traffic.clone(), heard.others.clone())),
        };
        let mut first = BTreeMap::new();
        if let Some(known) = known
            && known.release == release
        {
            heard.before = Some(known.first.clone());
            first = known.first;
        }
        for (pod, traffic) in &heard.others {
            first.entry(pod.clone()).or_insert(*traffic);
        }
        let known = Known {
            asked: Instant::now(),
            silence: is_silent.then(|| heard.clone()),
            release: release.to_owned(),
            first,
            traffic,
        };
        let mut all = self.known.lock();
        all.retain(|_, known| known.asked.elapsed() < FORGET);
        all.insert(uid.to_owned(), known);
        heard
    }

    async fn ask(&self, questions: &Questions) -> Heard {
        let rings = self.each(&questions.ring, ring);
        let storage = self.each(&questions.storage, readiness);
        let traffic = self.each(&questions.traffic, requests);
        let others = self.each(&questions.others, requests);
        let (rings, storage, traffic, others) =
            futures_util::join!(rings, storage, traffic, others);
        let said = |answers: Vec<Answer<Traffic>>| {
            let answers = answers.into_iter();
            let said = answers.filter_map(|(pod, answer)| Some((pod, answer.ok()?)));
            said.collect()
        };
        Heard {
            rings,
            storage,
            traffic: said(traffic),
            others: said(others),
            before: None,
        }
    }

    /// Asks some pods the same, and has their answers in their order.
    async fn each<T, F>(
        &self,
        pods: &[(String, String)],
        ask: impl Fn(Pods, String) -> F,
    ) -> Vec<Answer<T>>
    where
        F: Future<Output = Result<T, String>>,
    {
        let asked: Vec<_> = pods
            .iter()
            .map(|(pod, address)| {
                let (pod, said) = (pod.clone(), ask(self.pods.clone(), authority(address)));
                async move { (pod, said.await) }
            })
            .collect();
        stream::iter(asked).buffered(AT_A_TIME).collect().await
    }
}

async fn ring(pods: Pods, address: String) -> Result<Vec<Member>, String> {
    let page = pods.page::<RingPage>(&address, "/ring").await?;
    Ok(page.instances)
}

async fn readiness(pods: Pods, address: String) -> Result<Readiness, String> {
    pods.page(&address, "/ready").await
}

async fn requests(pods: Pods, address: String) -> Result<Traffic, String> {
    let body = pods.ask(Method::GET, &address, "/metrics").await?;
    let text = str::from_utf8(&body).map_err(|_| "no text".to_owned())?;
    Ok(traffic(text))
}

/// The requests in a text of metrics. What is no number of requests counts as none.
fn traffic(text: &str) -> Traffic {
    let mut sum = Traffic::default();
    for (labels, value) in series(text, REQUESTS).flatten() {
        let route = label(labels, "route").unwrap_or_default();
        if OF_THE_PROCESS.contains(&route) || !(0.0..=1e15).contains(&value) {
            continue;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is in the range"
        )]
        let requests = value as u64;
        let code = label(labels, "status_code").unwrap_or_default();
        sum = sum.and(Traffic {
            requests,
            failures: if code.starts_with('5') { requests } else { 0 },
        });
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_but_for_those_about_the_process() {
        let text = "\
# TYPE pyroscope_request_duration_seconds histogram
pyroscope_request_duration_seconds_sum{method=\"POST\",route=\"push\",status_code=\"500\",ws=\"false\"} 9
pyroscope_request_duration_seconds_count{method=\"POST\",route=\"push\",status_code=\"200\",ws=\"false\"} 90
pyroscope_request_duration_seconds_count{method=\"POST\",route=\"push\",status_code=\"503\",ws=\"false\"} 10
pyroscope_request_duration_seconds_count{method=\"POST\",route=\"push\",status_code=\"429\",ws=\"false\"} 5
pyroscope_request_duration_seconds_count{method=\"GET\",route=\"ready\",status_code=\"503\",ws=\"false\"} 1000
pyroscope_request_duration_seconds_count{method=\"GET\",route=\"push\",status_code=\"500\"} NaN
";
        let (requests, failures) = (105, 10);
        assert_eq!(traffic(text), Traffic { requests, failures });
        assert_eq!(traffic(""), Traffic::default());
    }

    #[test]
    fn a_process_that_began_anew_has_done_all_that_it_counts() {
        let of = |requests, failures| Traffic { requests, failures };
        assert_eq!(of(10, 2).since(of(4, 1)), of(6, 1));
        assert_eq!(of(10, 2).since(of(40, 1)), of(10, 2));
    }

    #[test]
    fn pages_are_read_as_processes_write_them() {
        let ring = r#"{"ring":"ingester","now_ms":1,"replication_factor":3,"instances":[
            {"id":"p-0","address":"10.0.0.1:4040","state":"ACTIVE","healthy":true,"tokens":128}]}"#;
        let page: RingPage = serde_json::from_str(ring).unwrap();
        let member = page.instances.first().unwrap();
        assert!(member.healthy && member.id == "p-0");
        let ready = r#"{"ready":false,"checks":[{"name":"server","ready":true},{"name":"store-gateway","ready":false,"reason":"not listed"}]}"#;
        let ready: Readiness = serde_json::from_str(ready).unwrap();
        let holds: Vec<_> = ready.checks.iter().map(|check| check.ready).collect();
        assert_eq!(holds, [true, false]);
        assert_eq!(ready.warnings, []);
    }
}
