//! When a fleet is ready, and when its processes know of each other.

use anyhow::{bail, ensure};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{Fleet, GLANCE, PATIENCE};

impl Fleet {
    pub(super) async fn ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for number in 0..self.members.len() {
            self.member_ready(number, deadline).await?;
        }
        self.settled().await
    }

    /// Waits until every process that runs knows all ingesters, store-gateways and query-schedulers that run: a process is
    /// ready before others know of it.
    ///
    /// # Errors
    /// If that takes too long; with the end of the log of the one that does not.
    pub async fn settled(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let rings = [
            ("/ring", "ingester"),
            ("/store-gateway/ring", "store-gateway"),
            ("/query-scheduler/ring", "query-scheduler"),
        ];
        let running = self.members.iter().filter(|member| member.child.is_some());
        for name in running.map(|member| &member.process.name) {
            for (page, target) in rings {
                while !self.knows_all(name, page, target).await {
                    ensure!(
                        Instant::now() < deadline,
                        "{name} does not know all of {target}: {}",
                        self.end_of_log(name)
                    );
                    sleep(GLANCE).await;
                }
            }
        }
        Ok(())
    }

    /// Whether all processes of a component that run are active, as one process sees it.
    async fn knows_all(&self, name: &str, page: &str, target: &str) -> bool {
        let Ok(client) = self.client(name) else {
            return false;
        };
        let shown: Value = client.get_json(page).await.unwrap_or_default();
        let active = |id: &str| {
            let instances = shown["instances"].as_array();
            instances.into_iter().flatten().any(|instance| {
                instance["id"] == id && instance["state"] == "ACTIVE" && instance["healthy"] == true
            })
        };
        let mut wanted = self.members.iter();
        wanted.all(|member| {
            member.child.is_none() || !member.runs(target) || active(&member.process.name)
        })
    }

    pub(super) async fn member_ready(
        &mut self,
        number: usize,
        deadline: Instant,
    ) -> anyhow::Result<()> {
        let name = self.members[number].process.name.clone();
        let client = self.client(&name)?;
        while Instant::now() < deadline {
            if let Some(child) = &mut self.members[number].child
                && let Some(status) = child.try_wait()?
            {
                bail!("{name} ended with {status}: {}", self.end_of_log(&name));
            }
            let asked = client.get("/ready").await;
            if asked.is_ok_and(|reply| reply.status == 200) {
                return Ok(());
            }
            sleep(GLANCE).await;
        }
        bail!("{name} was not ready in time: {}", self.end_of_log(&name))
    }
}
