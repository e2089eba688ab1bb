//! `kubernetes ring`: who is in the rings, as one of the pods sees them.

use std::fmt::Write as _;

use anyhow::{anyhow, bail};
use kube::ResourceExt;
use serde::{Deserialize, Serialize};

use super::access::{Access, PageError};
use super::pods;
use crate::cli::{Output, RingArgs};
use crate::ui;

/// Pages with rings. A process that is alone has the first only.
const PAGES: [&str; 5] = [
    "ring",
    "distributor/ring",
    "store-gateway/ring",
    "compactor/ring",
    "query-scheduler/ring",
];
/// Pods that are asked, one after the other, until one answers.
const TRIES: usize = 3;

/// A ring as its page has it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(super) struct Ring {
    ring: String,
    #[serde(default)]
    replication_factor: u64,
    #[serde(default)]
    instances: Vec<Member>,
}

/// A member of a ring.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
struct Member {
    id: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    zone: String,
    state: String,
    healthy: bool,
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    heartbeat_age_ms: i64,
    #[serde(default)]
    tokens: u64,
    /// Part of all keys, 0 to 1.
    #[serde(default)]
    ownership: f64,
}

impl Member {
    fn state(&self) -> String {
        let state = if self.healthy {
            self.state.as_str()
        } else {
            "UNHEALTHY"
        };
        match self.read_only {
            true => format!("{state}, read-only"),
            false => state.to_owned(),
        }
    }
}

/// Shows the rings of a resource.
pub(super) async fn run(access: &Access, args: &RingArgs) -> anyhow::Result<()> {
    // A name that is wrong is said before pods are looked for.
    access.cluster(&args.name).await?;
    let mut pods = access.pods(&args.name).await?;
    pods.retain(pods::is_running);
    pods.sort_by_key(|pod| !pods::is_ready(pod));
    let mut last = None;
    for pod in pods.iter().take(TRIES) {
        let name = pod.name_any();
        match rings(access, &name).await {
            Ok(rings) => {
                match args.output {
                    Output::Json => ui::json(&rings)?,
                    Output::Table => ui::data(&text(&name, &rings)),
                }
                return Ok(());
            }
            Err(error) => last = Some((name, error)),
        }
    }
    match last {
        Some((pod, error)) => bail!("no pod shows its rings; {pod}: {error}"),
        None => Err(anyhow!(
            "no pod of {0} runs: see `phlarectl kubernetes status {0}`",
            args.name
        )),
    }
}

async fn rings(access: &Access, pod: &str) -> Result<Vec<Ring>, PageError> {
    let mut rings = Vec::new();
    for page in PAGES {
        let body = match access.page(pod, page).await {
            Ok(body) => body,
            Err(PageError::Refused { code: 404, .. }) => continue,
            Err(error) => return Err(error),
        };
        let ring = serde_json::from_slice(&body);
        rings.push(ring.map_err(|error| PageError::Unreadable(format!("/{page}: {error}")))?);
    }
    Ok(rings)
}

fn text(pod: &str, rings: &[Ring]) -> String {
    let (strong, dim) = (ui::STRONG, ui::DIM);
    let mut text = format!("{dim}as {pod} sees them{dim:#}\n");
    for ring in rings {
        let members = &ring.instances;
        let healthy = members.iter().filter(|member| member.healthy).count();
        let _ = write!(
            text,
            "\n{strong}{}{strong:#}  {healthy} of {} members are heard of",
            ring.ring,
            members.len()
        );
        if ring.replication_factor > 1 {
            let _ = write!(text, ", replication factor {}", ring.replication_factor);
        }
        text.push('\n');
        if members.is_empty() {
            continue;
        }
        let header = [
            "member", "state", "zone", "heard of", "tokens", "owns", "address",
        ];
        let mut table = ui::table(&header, &[3, 4, 5]);
        for member in members {
            table.add_row([
                member.id.clone(),
                member.state(),
                member.zone.clone(),
                format!("{:.1} s ago", member.heartbeat_age_ms as f64 / 1000.0),
                member.tokens.to_string(),
                format!("{:.1} %", member.ownership * 100.0),
                member.address.clone(),
            ]);
        }
        let _ = writeln!(text, "{}", table.trim_fmt());
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_shown_with_state_zone_and_age() {
        let ring: Ring = serde_json::from_value(json!({
            "ring": "ingester", "now_ms": 5, "replication_factor": 3, "zone_awareness": true,
            "instances": [
                {"id": "prod-ingester-a-0", "address": "10.0.0.1:4040", "zone": "a", "state": "ACTIVE", "healthy": true,
                 "read_only": false, "heartbeat_age_ms": 1500, "registered_ms": 1, "tokens": 128, "ownership": 0.333},
                {"id": "prod-ingester-b-0", "zone": "b", "state": "ACTIVE", "healthy": false, "heartbeat_age_ms": 90000},
                {"id": "prod-ingester-c-0", "zone": "c", "state": "LEAVING", "healthy": true, "read_only": true},
            ],
        }))
        .unwrap();
        let text = anstream::adapter::strip_str(&text("prod-querier-1", &[ring])).to_string();
        insta::assert_snapshot!(text);
    }
}
