//! Profiles that are pushed to a fleet while something happens to it.

use std::time::Duration;

use phlare_e2e::fleet::{Fleet, Settings};
pub(crate) use phlare_e2e::load::{Pushed, all_acknowledged};
use tempfile::TempDir;

/// Every profile is a series of its own, so that none can be taken for another. How full the disk of the tests is does
/// not matter.
pub(crate) fn settings(directory: &TempDir) -> Settings {
    unlimited(Settings::new(directory.path()))
}

/// How often a fault is repeated: as usual, or as often as `PHLARE_FAULT_ROUNDS` says.
pub(crate) fn rounds(usual: usize) -> usize {
    let asked = std::env::var("PHLARE_FAULT_ROUNDS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// The same [`settings`] for another fleet.
pub(crate) fn unlimited(settings: Settings) -> Settings {
    settings
        .flag("-ingester.max-global-series-per-tenant=0")
        .flag("-pyroscopedb.retention-policy-min-free-disk-gb=0")
}

/// A load on the processes of a fleet.
#[derive(Debug)]
pub(crate) struct Load(phlare_e2e::load::Load);

impl Load {
    /// Through the distributors of a whole fleet.
    pub(crate) fn begin(fleet: &Fleet) -> anyhow::Result<Self> {
        let doors = ["distributor-0", "distributor-1"];
        Self::after(fleet, doors, &Pushed::default())
    }

    /// Goes on after what was pushed before.
    pub(crate) fn after(fleet: &Fleet, doors: [&str; 2], before: &Pushed) -> anyhow::Result<Self> {
        let doors = [fleet.client(doors[0])?, fleet.client(doors[1])?];
        let load = phlare_e2e::load::Load::after(&doors, before, Duration::ZERO);
        Ok(Self(load))
    }

    pub(crate) async fn more(&self, count: u64) {
        self.0.more(count).await;
    }

    pub(crate) async fn ask(&self, fleet: &Fleet, door: &str) -> anyhow::Result<()> {
        self.0.ask(&fleet.client(door)?, door).await
    }

    pub(crate) async fn end(self) -> anyhow::Result<Pushed> {
        self.0.end().await
    }
}

/// Every acknowledged profile is counted once; what was not acknowledged once or not at all.
pub(crate) async fn check(fleet: &Fleet, querier: &str, pushed: &Pushed) -> anyhow::Result<()> {
    phlare_e2e::load::check(&fleet.client(querier)?, querier, pushed).await
}
