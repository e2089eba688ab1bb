//! The loops, and what one round of merging does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use phlare_block::compact;
use phlare_block::marks::{DeletionMark, NoCompactMark, reasons};
use phlare_block::{BlockId, BlockIds, Meta};
use phlare_bucket::Bucket;
use phlare_model::{Clock, SPANS, TenantId, chain};
use phlare_phlaredb::{TenantBlocks, Uploads};
use phlare_tenancy::{Limits, Overrides};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, instrument, warn};

use crate::config::Config;
use crate::error::Error;
use crate::job::{self, Work};
use crate::metrics::{Metrics, Reason};
use crate::plan::{self, Candidate, Job, Rules, Stage};
use crate::sharding::Sharding;
use crate::tenant::{Listing, Metas};

/// Pause before a tenant is tried again in one run; doubles up to the longest.
const PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Why a block is marked that others contain.
const OUTDATED: &str = "outdated block";

/// What a compactor needs.
#[derive(Clone, Debug)]
pub struct Dependencies {
    /// Where blocks are.
    pub bucket: Bucket,
    /// Shards, retention and the like.
    pub overrides: Overrides,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Names new blocks.
    pub ids: Arc<Mutex<BlockIds>>,
    /// Who hears of new blocks.
    pub uploads: Arc<dyn Uploads>,
    /// Figures.
    pub metrics: Metrics,
    /// Its place among others; alone, it does everything.
    pub sharding: Option<Sharding>,
}

/// Merges and cleans the blocks of all tenants.
#[derive(Debug)]
pub struct Compactor {
    pub(crate) config: Config,
    pub(crate) dependencies: Dependencies,
    /// Blocks whose `meta.json` makes no sense: they are not reported again.
    bad: Mutex<BTreeMap<TenantId, BTreeSet<BlockId>>>,
    /// Why the last round of merging and that of cleaning failed.
    failures: Mutex<[Option<String>; 2]>,
}

/// The loops.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loop {
    Merging,
    Cleaning,
}

impl Compactor {
    /// Empties the directory for merging.
    ///
    /// # Errors
    /// [`Error::Directory`] if it cannot be used.
    pub fn new(config: Config, dependencies: Dependencies) -> Result<Self, Error> {
        let compactor = Self {
            config,
            dependencies,
            bad: Mutex::default(),
            failures: Mutex::default(),
        };
        let path = compactor.jobs_directory();
        let failed = |source| Error::Directory {
            path: path.clone(),
            source,
        };
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            _ => {}
        }
        std::fs::create_dir_all(&path).map_err(failed)?;
        Ok(compactor)
    }

    /// Merges and cleans now and at every interval, until `shutdown`. A job that is under way then is given up: nobody
    /// sees what it began.
    pub async fn run(&self, shutdown: CancellationToken) {
        let compacting = async {
            loop {
                let _ = self.compact().await;
                tokio::time::sleep(self.config.compaction_interval).await;
            }
        };
        let cleaning = async {
            loop {
                let _ = self.clean().await;
                tokio::time::sleep(self.config.cleanup_interval).await;
            }
        };
        let both = Box::pin(async { tokio::join!(compacting, cleaning) });
        let _ = shutdown.run_until_cancelled(both).await;
    }

    /// One round over all tenants: merges what can be merged.
    ///
    /// # Errors
    /// If the bucket cannot be listed, or the first of what failed for a tenant; the others are done all the same.
    pub async fn compact(&self) -> Result<(), Error> {
        let metrics = &self.dependencies.metrics;
        metrics.runs_started.inc();
        let outcome = self.compact_all().await;
        self.note(Loop::Merging, outcome.as_ref().err());
        match &outcome {
            Ok(()) => {
                metrics.runs_completed.inc();
                metrics.last_run_s.set(self.now_s());
            }
            Err(error) => {
                metrics.runs_failed.inc();
                warn!(
                    error = chain(error),
                    "blocks not merged; the next run tries again"
                );
            }
        }
        outcome
    }

    /// Why blocks are not merged or deleted, if so.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let failures = self.failures.lock();
        failures.iter().flatten().next().cloned()
    }

    pub(crate) fn note(&self, which: Loop, failure: Option<&Error>) {
        let [merging, cleaning] = &mut *self.failures.lock();
        let slot = match which {
            Loop::Merging => merging,
            Loop::Cleaning => cleaning,
        };
        *slot = failure.map(|error| chain(error));
    }

    #[instrument(target = SPANS, name = "CompactUsers", skip_all)]
    async fn compact_all(&self) -> Result<(), Error> {
        let metrics = &self.dependencies.metrics;
        let tenants = TenantBlocks::tenants(&self.dependencies.bucket).await?;
        metrics.tenants_discovered.set(tenants.len() as i64);
        let (mut skipped, mut succeeded, mut failed) = (0, 0, 0);
        let mut first = Ok(());
        for tenant in &tenants {
            if !self.is_enabled(tenant) || !self.serves(tenant) {
                skipped += 1;
                continue;
            }
            match self.compact_with_retries(tenant).await {
                Ok(()) => succeeded += 1,
                Err(error) => {
                    failed += 1;
                    first = first.and(Err(error));
                }
            }
        }
        metrics.tenants_skipped.set(skipped);
        metrics.tenants_succeeded.set(succeeded);
        metrics.tenants_failed.set(failed);
        self.bad.lock().retain(|tenant, _| tenants.contains(tenant));
        TenantBlocks::retain_tenants(&self.copies(), &tenants).await;
        first
    }

    fn is_enabled(&self, tenant: &TenantId) -> bool {
        let names = |list: &[String]| list.iter().any(|name| name == tenant.as_str());
        let Config {
            enabled_tenants,
            disabled_tenants,
            ..
        } = &self.config;
        (enabled_tenants.is_empty() || names(enabled_tenants)) && !names(disabled_tenants)
    }

    #[instrument(target = SPANS, name = "CompactUser", skip_all, fields(%tenant))]
    async fn compact_with_retries(&self, tenant: &TenantId) -> Result<(), Error> {
        let limit = self.config.max_compaction_time;
        let deadline = (!limit.is_zero()).then(|| Instant::now() + limit);
        let mut pause = PAUSE;
        let mut attempt = 1;
        loop {
            let outcome = self.compact_tenant(tenant, deadline).await;
            let late = deadline.is_some_and(|deadline| Instant::now() + pause >= deadline);
            if outcome.is_ok() || attempt >= self.config.compaction_retries || late {
                return outcome;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            attempt += 1;
        }
    }

    /// Merges blocks of one tenant until there is nothing left to merge, or it took too long.
    async fn compact_tenant(
        &self,
        tenant: &TenantId,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        let blocks = self.tenant_blocks(tenant);
        let listing = Listing::read(&blocks).await?;
        if listing.marks.tenant.is_some() {
            return Ok(());
        }
        let complete = listing.complete().map(|(id, ..)| id);
        let unmarked = complete.filter(|id| !listing.is_marked(*id)).collect();
        let metas = Metas::read(&blocks, unmarked, self.config.block_sync_concurrency).await?;
        self.report_bad(tenant, &metas);
        blocks
            .retain_copies(&metas.read.keys().copied().collect())
            .await;
        let mut round = Round {
            compactor: self,
            limits: self.dependencies.overrides.limits(tenant),
            candidates: listing.candidates(&metas),
            excluded: listing.marks.no_compact,
            failed: BTreeSet::new(),
            jobs: 0,
            first: None,
            blocks,
        };
        round.run(deadline).await
    }

    pub(crate) fn tenant_blocks(&self, tenant: &TenantId) -> TenantBlocks {
        let copies = self.copies().join(tenant.as_str());
        TenantBlocks::new(self.dependencies.bucket.clone(), tenant.clone()).with_copies(copies)
    }

    fn report_bad(&self, tenant: &TenantId, metas: &Metas) {
        let mut bad = self.bad.lock();
        let known = bad.entry(tenant.clone()).or_default();
        for (id, problem) in metas.bad.iter().filter(|(id, _)| !known.contains(*id)) {
            warn!(%tenant, block = %id, problem, "block is left as it is: its meta.json makes no sense");
        }
        *known = metas.bad.keys().copied().collect();
    }

    /// `meta.json` files, by tenant.
    fn copies(&self) -> PathBuf {
        self.config.data_dir.join("metas")
    }

    fn jobs_directory(&self) -> PathBuf {
        self.config.data_dir.join("compact")
    }

    pub(crate) fn now_s(&self) -> i64 {
        self.dependencies.clock.now_ns() / 1_000_000_000
    }
}

/// Merging the blocks of one tenant.
struct Round<'a> {
    compactor: &'a Compactor,
    blocks: TenantBlocks,
    limits: Arc<Limits>,
    /// What is there, whether it may be merged or not.
    candidates: BTreeMap<BlockId, Candidate>,
    /// What is not to be merged.
    excluded: BTreeSet<BlockId>,
    /// Blocks of jobs that failed: their turn is in the next round.
    failed: BTreeSet<BlockId>,
    jobs: usize,
    first: Option<Error>,
}

impl Round<'_> {
    async fn run(&mut self, deadline: Option<Instant>) -> Result<(), Error> {
        let mut failures = 0;
        loop {
            self.collect_garbage().await?;
            let jobs = self.plan();
            if jobs.is_empty() || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                break;
            }
            self.jobs += jobs.len();
            let this = &*self;
            let done: Vec<_> = stream::iter(jobs)
                .map(|job| async move {
                    let outcome = this.execute(&job).await;
                    (job, outcome)
                })
                .buffer_unordered(this.compactor.config.compaction_concurrency)
                .collect()
                .await;
            for (job, outcome) in done {
                failures += usize::from(!self.settle(&job, outcome).await?);
            }
        }
        match self.first.take() {
            None => Ok(()),
            Some(first) if failures == 1 => Err(first),
            Some(first) => Err(Error::Jobs {
                failed: failures,
                jobs: self.jobs,
                first: chain(&first),
            }),
        }
    }

    /// As many jobs as are done at once; after them, all is planned anew.
    fn plan(&self) -> Vec<Job> {
        let usable = |id: &BlockId| !self.excluded.contains(id) && !self.failed.contains(id);
        let candidates = self.candidates.iter().filter(|(id, _)| usable(id));
        let candidates: Vec<_> = candidates.map(|(_, each)| each).collect();
        let compactor = self.compactor;
        let now_ms = compactor.dependencies.clock.now_ns() / 1_000_000;
        let mut jobs = plan::plan(&candidates, &self.rules(), now_ms);
        let tenant = self.blocks.tenant();
        jobs.retain(|job| compactor.owns(tenant, &format!("{tenant}/{job}")));
        jobs.truncate(compactor.config.compaction_concurrency);
        jobs
    }

    fn rules(&self) -> Rules {
        let config = &self.compactor.config;
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Rules {
            ranges_ms: config.block_ranges.iter().copied().map(ms).collect(),
            shards: self.limits.compactor_split_and_merge_shards,
            split_groups: self.limits.compactor_split_groups,
            wait_ms: ms(config.first_level_compaction_wait_period),
            max_blocks: config.max_blocks_per_job,
            order: config.compaction_jobs_order,
        }
    }

    /// Leaves out blocks that others contain: of an earlier run that was cut off, or uploaded late. The owner of the tenant
    /// marks them; for the others of its compactors they are not there either, or they would merge them again.
    async fn collect_garbage(&mut self) -> Result<(), Error> {
        let tenant = self.blocks.tenant();
        let marks = self.compactor.owns(tenant, tenant.as_str());
        // Nothing gives way to a block that is damaged.
        let sound = self.candidates.iter();
        let sound = sound.filter(|(id, _)| !self.excluded.contains(id));
        let superseded = compact::superseded(sound.map(|(_, each)| &each.meta));
        for id in superseded {
            if marks {
                let mark = DeletionMark::new(id, self.compactor.now_s(), OUTDATED);
                self.blocks.mark_for_deletion(&mark).await?;
                self.count_marked("outdated");
            }
            self.candidates.remove(&id);
        }
        Ok(())
    }

    fn count_marked(&self, reason: &'static str) {
        let marked = &self.compactor.dependencies.metrics.marked;
        marked.get_or_create(&Reason { reason }).inc();
    }

    async fn execute(&self, job: &Job) -> Result<Vec<Meta>, Error> {
        let compactor = self.compactor;
        let metrics = &compactor.dependencies.metrics;
        metrics.jobs_started.inc();
        let start = Instant::now();
        let split = job.stage == Stage::Split;
        let tenant = self.blocks.tenant();
        let work = Work {
            blocks: &self.blocks,
            inputs: job::inputs(&self.candidates, &job.blocks),
            directory: compactor
                .jobs_directory()
                .join(tenant.as_str())
                .join(job.to_string()),
            shards: match split {
                true => self.limits.compactor_split_and_merge_shards,
                false => 0,
            },
            stage_size: self.limits.compactor_split_and_merge_stage_size,
            downsample: compactor.config.downsampler_enabled
                && self.limits.compactor_downsampler_enabled,
            memory_bytes: compactor.config.memory_bytes,
            at_once: compactor.config.block_sync_concurrency,
            ids: &compactor.dependencies.ids,
            now_s: &|| compactor.now_s(),
        };
        let outputs = work.run().await?;
        let bytes: u64 = work.inputs.iter().map(|input| input.bytes).sum();
        metrics.jobs_completed.inc();
        metrics.input_blocks.inc_by(work.inputs.len() as u64);
        metrics.input_bytes.inc_by(bytes);
        metrics.output_blocks.inc_by(outputs.len() as u64);
        metrics.job_seconds.observe(start.elapsed().as_secs_f64());
        info!(
            %tenant,
            %job,
            inputs = work.inputs.len(),
            bytes,
            outputs = outputs.len(),
            output_bytes = outputs.iter().map(Meta::total_bytes).sum::<u64>(),
            seconds = start.elapsed().as_secs_f64(),
            "blocks merged"
        );
        Ok(outputs)
    }

    /// Takes in what a job did. False if it failed and is the next round's.
    async fn settle(
        &mut self,
        job: &Job,
        outcome: Result<Vec<Meta>, Error>,
    ) -> Result<bool, Error> {
        let compactor = self.compactor;
        let error = match outcome {
            Ok(outputs) => {
                for id in &job.blocks {
                    self.candidates.remove(id);
                    self.count_marked("compaction");
                }
                let modified_ms = compactor.dependencies.clock.now_ns() / 1_000_000;
                for meta in outputs {
                    let uploads = &compactor.dependencies.uploads;
                    uploads.uploaded(self.blocks.tenant(), meta.clone());
                    let candidate = Candidate {
                        modified_ms,
                        bytes: meta.total_bytes(),
                        meta,
                    };
                    self.candidates.insert(candidate.meta.id, candidate);
                }
                return Ok(true);
            }
            Err(error) => error,
        };
        match &error {
            Error::Gone(id) => {
                info!(tenant = %self.blocks.tenant(), %job, reason = %error, "job given up");
                self.candidates.remove(id);
                return Ok(true);
            }
            Error::Compact(compact) => {
                if let Some((id, damage)) = compact.damaged() {
                    self.leave_out(id, &damage.to_string()).await?;
                    return Ok(true);
                }
            }
            _ => {}
        }
        compactor.dependencies.metrics.jobs_failed.inc();
        warn!(tenant = %self.blocks.tenant(), %job, error = chain(&error), "job failed");
        self.failed.extend(job.blocks.iter().copied());
        self.first.get_or_insert(error);
        Ok(false)
    }

    /// A damaged block would make every merging of its window fail, now and for ever.
    async fn leave_out(&mut self, id: BlockId, damage: &str) -> Result<(), Error> {
        let compactor = self.compactor;
        warn!(tenant = %self.blocks.tenant(), block = %id, damage, "block is not merged from now on");
        let mark = NoCompactMark::new(id, compactor.now_s(), reasons::DAMAGED, damage);
        self.blocks.mark_no_compact(&mark).await?;
        let reason = Reason {
            reason: reasons::DAMAGED,
        };
        let metrics = &compactor.dependencies.metrics;
        metrics.no_compact.get_or_create(&reason).inc();
        self.excluded.insert(id);
        Ok(())
    }
}
