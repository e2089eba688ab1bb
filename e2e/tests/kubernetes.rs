//! The operator on a Kubernetes whose nodes are records: what it makes, what it keeps, what it leaves alone, and what it
//! says. Pods are ready at once unless something is wrong with them; no profile flows here.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "kubernetes/answers.rs"]
mod answers;
#[path = "kubernetes/autoscale.rs"]
mod autoscale;
#[path = "kubernetes/bench.rs"]
mod bench;
#[path = "kubernetes/command.rs"]
mod command;
#[path = "kubernetes/definition.rs"]
mod definition;
#[path = "kubernetes/health.rs"]
mod health;
#[path = "kubernetes/keeping.rs"]
mod keeping;
#[path = "kubernetes/killed.rs"]
mod killed;
#[path = "kubernetes/leadership.rs"]
mod leadership;
#[path = "kubernetes/mode.rs"]
mod mode;
#[path = "kubernetes/monitoring.rs"]
mod monitoring;
#[path = "kubernetes/packaging.rs"]
mod packaging;
#[path = "kubernetes/report.rs"]
mod report;
#[path = "kubernetes/rollout.rs"]
mod rollout;
#[path = "kubernetes/volumes.rs"]
mod volumes;
