//! What an ingester does by itself: cuts heads, uploads blocks, deletes them when they may go.

use std::sync::Arc;
use std::time::Duration;

use phlare_block::{BlockId, Meta};
use phlare_model::{TenantId, chain};
use phlare_phlaredb::Database;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::disk::Space;
use crate::error::Error;
use crate::ingester::Ingester;

/// How often heads and the disk are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often uploads are tried without a reason.
const SHIP_INTERVAL: Duration = Duration::from_secs(300);
/// After a failed upload.
const SHIP_RETRY: Duration = Duration::from_secs(60);
/// After a failed cut: the disk will hardly be better a second later.
const CUT_RETRY: Duration = Duration::from_secs(60);

/// Signals between the tasks of an ingester.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// There are new blocks.
    cut: Notify,
}

impl Ingester {
    /// Cuts, uploads and deletes until `shutdown`.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let cutting = self.cut_heads(&shutdown);
        let shipping = self.ship_blocks(&shutdown);
        let cleaning = self.clean(&shutdown);
        tokio::join!(cutting, shipping, cleaning);
    }

    async fn cut_heads(self: &Arc<Self>, shutdown: &CancellationToken) {
        let mut wait = TICK;
        while pause(wait, shutdown).await {
            let ingester = Arc::clone(self);
            // A panic there is a fault of the program; the next head is another try.
            let all_cut = spawn_blocking(move || ingester.cut_due()).await;
            wait = if all_cut.unwrap_or(false) {
                TICK
            } else {
                CUT_RETRY
            };
        }
    }

    /// Cuts the heads that are due, one after another: memory for one flush at a time. Whether none failed.
    pub(crate) fn cut_due(&self) -> bool {
        if self.check_ready().is_err() {
            return true;
        }
        let now_ns = self.dependencies.databases.clock.now_ns();
        let mut databases = self.databases.all();
        let mut due: Vec<_> = databases
            .iter()
            .filter(|database| self.is_due(database, now_ns))
            .map(Arc::clone)
            .collect();
        let budget = &self.dependencies.databases.budget;
        if due.is_empty() && budget.used() > budget.limit() / 2 {
            databases.sort_by_key(|database| database.head_bytes());
            due.extend(databases.pop());
        }
        let mut all_cut = true;
        for database in due {
            if let Err(error) = self.cut(&database) {
                all_cut = false;
                self.dependencies.metrics.cut_failures.inc();
                let error = chain(&error);
                warn!(tenant = %database.tenant(), error, "head not cut, it is kept and tried again");
            }
        }
        all_cut
    }

    fn is_due(&self, database: &Database, now_ns: i64) -> bool {
        if database.has_unwritten_head() {
            return true;
        }
        let Some(since_ns) = database.head_since_ns() else {
            return false;
        };
        if self.is_prepared() {
            return true;
        }
        let target = self.storage.head_target_bytes;
        if target > 0 && database.head_bytes() >= target {
            return true;
        }
        let slot_ns = nanos(self.storage.max_block_duration).max(1);
        now_ns.div_euclid(slot_ns) > since_ns.div_euclid(slot_ns)
    }

    fn cut(&self, database: &Database) -> Result<Vec<Meta>, Error> {
        let metas = database.cut()?;
        if !metas.is_empty() {
            self.signals.cut.notify_one();
        }
        Ok(metas)
    }

    /// Uploads what there is now.
    pub(crate) fn wake_shipper(&self) {
        self.signals.cut.notify_one();
    }

    /// Cuts the heads of all tenants, or of one, and uploads their blocks. Returns what was cut.
    ///
    /// # Errors
    /// The first failure; all are tried.
    pub async fn flush(
        self: &Arc<Self>,
        tenant: Option<&TenantId>,
    ) -> Result<Vec<(TenantId, Meta)>, Error> {
        let databases: Vec<_> = self
            .databases
            .all()
            .into_iter()
            .filter(|database| tenant.is_none_or(|tenant| database.tenant() == tenant))
            .collect();
        let mut first = Ok(());
        let mut flushed = Vec::new();
        for database in databases {
            let ingester = Arc::clone(self);
            let cutting = Arc::clone(&database);
            match spawn_blocking(move || ingester.cut(&cutting)).await {
                Ok(Ok(metas)) => {
                    let tenant = database.tenant();
                    flushed.extend(metas.into_iter().map(|meta| (tenant.clone(), meta)));
                }
                Ok(Err(error)) => first = first.and(Err(error)),
                Err(_) => first = first.and(Err(Error::Stopping)),
            }
            first = first.and(self.ship(&database).await);
        }
        first.map(|()| flushed)
    }

    /// Uploads what is not uploaded yet, for as long as `limit`.
    pub async fn ship_at_exit(&self, limit: Duration) {
        if tokio::time::timeout(limit, self.ship_all()).await.is_err() {
            warn!("blocks not uploaded in time, they are uploaded after the next start");
        }
    }

    async fn ship_blocks(&self, shutdown: &CancellationToken) {
        while self.check_ready().is_err() {
            if !pause(TICK, shutdown).await {
                return;
            }
        }
        loop {
            let failed = tokio::select! {
                // An upload that is given up has no meta.json yet, and is begun again.
                () = shutdown.cancelled() => return,
                shipped = self.ship_all() => !shipped,
            };
            let wait = if failed { SHIP_RETRY } else { SHIP_INTERVAL };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.signals.cut.notified(), if !failed => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Whether all uploads succeeded.
    async fn ship_all(&self) -> bool {
        let metrics = &self.dependencies.metrics;
        metrics.syncs.inc();
        let mut succeeded = true;
        for database in self.databases.all() {
            if let Err(error) = self.ship(&database).await {
                metrics.sync_failures.inc();
                succeeded = false;
                let error = chain(&error);
                warn!(tenant = %database.tenant(), error, "block not uploaded, tried again later");
            }
        }
        succeeded
    }

    async fn ship(&self, database: &Database) -> Result<(), Error> {
        let now_ns = self.dependencies.databases.clock.now_ns();
        let (count, outcome) = self.shipper.ship(database, now_ns).await;
        let metrics = &self.dependencies.metrics;
        metrics.uploads.inc_by(count as u64);
        let tenant = database.tenant();
        match &outcome {
            Ok(()) => drop(self.stuck.lock().remove(tenant)),
            Err(error) => {
                metrics.upload_failures.inc();
                self.stuck.lock().insert(tenant.clone(), chain(error));
            }
        }
        outcome
    }

    /// Why blocks stay on the disk instead of being uploaded, if so: of one tenant, and how many others there are. Nothing is
    /// lost as long as the disk has room.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let stuck = self.stuck.lock();
        let (_, reason) = stuck.first_key_value()?;
        Some(match stuck.len() {
            1 => reason.clone(),
            count => format!("{reason}; and {} more tenants", count - 1),
        })
    }

    async fn clean(self: &Arc<Self>, shutdown: &CancellationToken) {
        let mut looked = tokio::time::Instant::now();
        while pause(TICK, shutdown).await {
            let look = looked.elapsed() >= self.storage.enforcement_interval;
            if look {
                looked = tokio::time::Instant::now();
            }
            let ingester = Arc::clone(self);
            let _ = spawn_blocking(move || {
                ingester.make_room(look);
                ingester.report_preparation();
            })
            .await;
        }
    }

    /// Deletes the oldest uploaded blocks while the disk is too full, those that have been here long enough if `look`, and
    /// what was removed before and is not read any more.
    pub(crate) fn make_room(&self, look: bool) {
        let databases = self.databases.all();
        let mut low = self.is_low();
        if low || look {
            let now_ns = self.dependencies.databases.clock.now_ns();
            let keep_ns = nanos(self.storage.local_block_retention);
            for (id, since_ns, database) in self.uploaded_blocks(&databases) {
                let old = since_ns.saturating_add(keep_ns) <= now_ns;
                if !old && !low {
                    continue;
                }
                if !old {
                    info!(tenant = %database.tenant(), block = %id, "disk is filling, uploaded block deleted early");
                }
                database.remove_block(id);
                self.delete_removed(database);
                low = low && self.is_low();
            }
        }
        for database in &databases {
            self.delete_removed(database);
        }
    }

    /// Uploaded blocks that are here, the oldest first, with the time when their upload became known.
    fn uploaded_blocks<'a>(
        &self,
        databases: &'a [Arc<Database>],
    ) -> Vec<(BlockId, i64, &'a Database)> {
        let mut uploaded = Vec::new();
        let mut local = 0;
        for database in databases {
            for block in database.blocks() {
                local += 1;
                let since_ns = self.shipper.uploaded_ns(database.tenant(), block.id());
                uploaded.extend(since_ns.map(|since_ns| (block.id(), since_ns, &**database)));
            }
        }
        self.dependencies.metrics.local_blocks.set(local);
        uploaded.sort_by_key(|(id, ..)| *id);
        uploaded
    }

    fn is_low(&self) -> bool {
        let space = self.measure_disk();
        !self.storage.disable_enforcement && space.is_some_and(|space| space.is_low(&self.storage))
    }

    fn delete_removed(&self, database: &Database) {
        match database.delete_removed() {
            Ok(count) => {
                let metrics = &self.dependencies.metrics;
                metrics.local_blocks_deleted.inc_by(count as u64);
            }
            Err(error) => {
                let error = chain(&error);
                warn!(tenant = %database.tenant(), error, "local block not deleted");
            }
        }
    }

    /// The space now; `None` if the system does not say.
    pub(crate) fn measure_disk(&self) -> Option<Space> {
        let space = Space::of(&self.storage.data_path).ok()?;
        let metrics = &self.dependencies.metrics;
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        metrics.disk_free_bytes.set(signed(space.free));
        metrics.disk_reserve_bytes.set(signed(space.reserve()));
        self.space.store(Arc::new(space));
        Some(space)
    }

    pub(crate) fn check_disk(&self) -> Result<(), Error> {
        let space = **self.space.load();
        if !space.is_full() {
            return Ok(());
        }
        self.dependencies.metrics.disk_refused.inc();
        Err(Error::DiskFull {
            path: self.storage.data_path.clone(),
            free_bytes: space.free,
            reserve_bytes: space.reserve(),
        })
    }
}

/// False at the shutdown.
async fn pause(time: Duration, shutdown: &CancellationToken) -> bool {
    tokio::select! {
        () = shutdown.cancelled() => false,
        () = tokio::time::sleep(time) => true,
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
