//! One attempt to answer a query.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, try_join, try_join_all};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use phlare_block::BlockId;
use phlare_model::query::AnalyzeQuery;
use phlare_model::{ErrorKind, SPANS, TenantId};
use phlare_phlaredb::{FoundKeys, Keys};
use phlare_ring::{InstanceId, Tally, Verdict};
use phlare_server::Status;
use tracing::{Instrument, Span, info_span};

use super::Fleet;
use super::plan::{self, Group, Owned, groups};
use super::question::Question;
use super::stores::Asked;
use super::ways::{Failed, first};
use crate::store::{ListedBlock, Reply, Share, Store};

/// Longer than any query takes.
const NEVER: Duration = Duration::from_secs(1 << 20);

/// A query, and who should not be asked first because it failed before.
pub(super) struct Attempt<'a, Q> {
    fleet: &'a Fleet,
    tenant: &'a TenantId,
    question: &'a Q,
    avoided: &'a [InstanceId],
}

/// Who could be asked for which profiles.
#[derive(Clone, Copy)]
struct Round<'r> {
    asked: &'r Asked,
    profiles: &'r AnalyzeQuery,
}

/// Somebody who holds profiles, and which.
#[derive(Clone)]
struct Part {
    /// Those who can answer, the best first: one ingester, or owners of blocks.
    stores: Vec<Arc<dyn Store>>,
    blocks: Option<Vec<BlockId>>,
    keys: Arc<Keys>,
}

impl<'a, Q: Question> Attempt<'a, Q> {
    pub(super) fn new(
        fleet: &'a Fleet,
        tenant: &'a TenantId,
        question: &'a Q,
        avoided: &'a [InstanceId],
    ) -> Self {
        Self {
            fleet,
            tenant,
            question,
            avoided,
        }
    }

    pub(super) async fn run(&self) -> Result<Vec<Q::Part>, Failed> {
        // The bucket first: what is cut and uploaded in between is in both, and not in neither.
        let blocks = self.blocks().instrument(self.span("StoreGateway")).await?;
        let asked = self.fleet.stores.ingesters(self.tenant);
        let asked = asked.map_err(Failed::last)?;
        if let Some(profiles) = self.question.profiles() {
            return self.count(&asked, blocks, &profiles).await;
        }
        let groups = groups(blocks);
        let heads = self.enough(&asked, |store| {
            self.question.ask(store, Share::all(self.tenant))
        });
        let heads = heads.instrument(self.span("Ingesters"));
        let blocks = self.whole(&groups).instrument(self.span("StoreGateway"));
        let (heads, mut parts) = try_join(heads, blocks).await?;
        parts.extend(heads.into_iter().map(|(_, counted)| counted.answer));
        Ok(parts)
    }

    /// What is asked of one kind of stores.
    fn span(&self, of: &'static str) -> Span {
        info_span!(target: SPANS, "stores", otel.name = %format_args!("{} {of}", Q::OPERATION))
    }

    /// The blocks that may have profiles of the query, and who answers from them.
    async fn blocks(&self) -> Result<Vec<Owned>, Failed> {
        let gateways = self.fleet.stores.gateways(self.tenant);
        let mut gateways = gateways.map_err(Failed::last)?;
        if gateways.is_empty() {
            return Ok(Vec::new());
        }
        self.sort(&mut gateways);
        let range = self.question.range();
        let ways = gateways
            .iter()
            .map(|store| self.tried(&**store, store.blocks(self.tenant, range)))
            .collect();
        let mut listed = first(self.fleet.config.store_hedge_after, ways).await?;
        self.drop_newest(&mut listed);
        let owned = |block: ListedBlock| {
            let mut owners = self.fleet.stores.owners(self.tenant, block.id)?;
            self.sort(&mut owners);
            Ok(Owned { block, owners })
        };
        let owned: Result<_, Status> = listed.into_iter().map(owned).collect();
        owned.map_err(Failed::last)
    }

    /// Ingesters answer for what is newer than `query_store_after`.
    fn drop_newest(&self, blocks: &mut Vec<ListedBlock>) {
        let after = self.fleet.config.query_store_after;
        if !after.is_zero() {
            let after_ms = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
            let newest_ms = self.fleet.clock.now_ms().saturating_sub(after_ms);
            blocks.retain(|block| block.times.start_ms <= newest_ms);
        }
    }

    /// Two calls to everybody who may have what others have, one to the others.
    async fn count(
        &self,
        asked: &Asked,
        mut blocks: Vec<Owned>,
        profiles: &AnalyzeQuery,
    ) -> Result<Vec<Q::Part>, Failed> {
        let limit = self.fleet.config.max_profile_keys;
        let keys = |store| Store::keys(store, Share::all(self.tenant), profiles, limit);
        let found = self.enough(asked, keys);
        let found = found.instrument(self.span("Ingesters")).await?;
        let times: Vec<_> = found.iter().filter_map(|(_, keys)| keys.times_ns).collect();
        let shared = groups(plan::take_shared(&mut blocks, &times));
        let alone = groups(blocks);
        let of_blocks: Vec<_> = shared
            .into_iter()
            .map(|group| self.keys_of(group, profiles))
            .collect();
        let of_blocks = try_join_all(of_blocks).await?;
        let found = found.into_iter();
        let mut parts: Vec<Part> = found
            .filter_map(|(at, found)| Some(Part::ingester(asked.stores.get(at)?, found)))
            .collect();
        parts.extend(of_blocks);
        let lists = all_keys(&parts);
        let exchanged = lists.iter().map(|keys| keys.len() as u64).sum();
        self.fleet.metrics.exchanged(Q::OPERATION, exchanged);
        let assigned = self.fleet.offload.run(move || plan::assign(&lists)).await;
        let assigned = assigned.map_err(|error| Failed::last(error.into()))?;
        let round = Round { asked, profiles };
        let counted = self.serve(round, &parts, assigned, Vec::new());
        let whole = self.whole(&alone).instrument(self.span("StoreGateway"));
        let (mut counted, whole) = try_join(counted, whole).await?;
        counted.extend(whole);
        Ok(counted)
    }

    /// The keys in some blocks, said by the first of their owners that does.
    async fn keys_of(&self, group: Group, profiles: &AnalyzeQuery) -> Result<Part, Failed> {
        let Group { stores, blocks } = group;
        let limit = self.fleet.config.max_profile_keys;
        let share = Share {
            blocks: Some(&blocks),
            ..Share::all(self.tenant)
        };
        let ways = stores.iter().enumerate().map(|(at, store)| {
            let keys = self.tried(&**store, store.keys(share, profiles, limit));
            async move { Ok((at, keys.await?)) }.boxed()
        });
        let ways = ways.collect();
        let (at, found) = first(self.fleet.config.store_hedge_after, ways).await?;
        let mut stores = stores;
        stores.swap(0, at);
        Ok(Part {
            stores,
            blocks: Some(blocks),
            keys: Arc::new(found.keys),
        })
    }

    /// Answers from all profiles of blocks.
    async fn whole(&self, groups: &[Group]) -> Result<Vec<Q::Part>, Failed> {
        let answers: Vec<_> = groups.iter().map(|group| self.of_group(group)).collect();
        try_join_all(answers).await
    }

    async fn of_group(&self, group: &Group) -> Result<Q::Part, Failed> {
        let share = Share {
            blocks: Some(&group.blocks),
            ..Share::all(self.tenant)
        };
        let stores = group.stores.iter();
        let ways = stores
            .map(|store| self.tried(&**store, self.question.ask(&**store, share)))
            .collect();
        let counted = first(self.fleet.config.store_hedge_after, ways).await?;
        Ok(counted.answer)
    }

    /// Answers from the profiles that were assigned to parts; `dead` ones are not asked.
    fn serve<'p>(
        &'p self,
        round: Round<'p>,
        parts: &'p [Part],
        assigned: Vec<(usize, Arc<Keys>)>,
        dead: Vec<usize>,
    ) -> BoxFuture<'p, Result<Vec<Q::Part>, Failed>> {
        async move {
            let served: Vec<_> = assigned
                .into_iter()
                .map(|(at, keys)| self.serve_one(round, parts, at, keys, &dead))
                .collect();
            let answers = try_join_all(served).await?;
            Ok(answers.into_iter().flatten().collect())
        }
        .boxed()
    }

    /// Answers from these keys of a part: by those who can for the part, or else by others that have the profiles, too.
    async fn serve_one(
        &self,
        round: Round<'_>,
        parts: &[Part],
        at: usize,
        keys: Arc<Keys>,
        dead: &[usize],
    ) -> Result<Vec<Q::Part>, Failed> {
        let Some(part) = parts.get(at) else {
            return Err(Failed::changed("a store is gone".to_owned()));
        };
        let share = Share {
            tenant: self.tenant,
            blocks: part.blocks.as_deref(),
            keys: Some(&keys),
        };
        let mut ways: Vec<BoxFuture<'_, Result<Vec<Q::Part>, Failed>>> = Vec::new();
        for store in &part.stores {
            ways.push(self.exactly(&**store, share).boxed());
        }
        let of_others = async {
            let dead: Vec<usize> = dead.iter().copied().chain([at]).collect();
            let (parts, assigned) = self.others(round, parts, &keys, &dead).await?;
            self.serve(round, &parts, assigned, dead).await
        };
        ways.push(of_others.boxed());
        // Those who are asked instead are not overtaken in turn: a large query would be computed again and again.
        let hedge_after = match dead {
            [] => self.fleet.config.store_hedge_after,
            _ => NEVER,
        };
        first(hedge_after, ways).await
    }

    /// Who else has these profiles: of those who said so, and if that is not enough, of ingesters that were not waited for.
    async fn others(
        &self,
        round: Round<'_>,
        parts: &[Part],
        keys: &Arc<Keys>,
        dead: &[usize],
    ) -> Result<(Vec<Part>, Vec<(usize, Arc<Keys>)>), Failed> {
        let mut parts = parts.to_vec();
        let mut late = FuturesUnordered::new();
        let mut is_begun = false;
        loop {
            let (lists, keys, dead) = (all_keys(&parts), Arc::clone(keys), dead.to_vec());
            let assign = move || plan::reassign(&keys, &lists, &dead);
            let assigned = self.fleet.offload.run(assign).await;
            if let Some(assigned) = assigned.map_err(|error| Failed::last(error.into()))? {
                return Ok((parts, assigned));
            }
            if !is_begun {
                is_begun = true;
                for store in round
                    .asked
                    .stores
                    .iter()
                    .filter(|store| is_late(store, &parts))
                {
                    late.push(self.keys_of_ingester(store, round.profiles));
                }
            }
            // Who fails may not be needed.
            loop {
                match late.next().await {
                    Some(Ok(part)) => break parts.push(part),
                    Some(Err(_)) => {}
                    None => {
                        let text = "some profiles are nowhere else".to_owned();
                        return Err(Failed::changed(text));
                    }
                }
            }
        }
    }

    async fn keys_of_ingester(
        &self,
        store: &Arc<dyn Store>,
        profiles: &AnalyzeQuery,
    ) -> Result<Part, Failed> {
        let limit = self.fleet.config.max_profile_keys;
        let keys = store.keys(Share::all(self.tenant), profiles, limit);
        let found = self.tried(&**store, keys).await?;
        Ok(Part::ingester(store, found))
    }

    /// Answers from all profiles of a share, or not at all.
    async fn exactly(&self, store: &dyn Store, share: Share<'_>) -> Result<Vec<Q::Part>, Failed> {
        let counted = self.tried(store, self.question.ask(store, share)).await?;
        let asked = share.keys.map_or(0, |keys| keys.len() as u64);
        if counted.profiles == asked {
            return Ok(vec![counted.answer]);
        }
        let (instance, found) = (store.instance(), counted.profiles);
        let text = format!("instance {instance} counted {found} profiles of {asked} that it had");
        Err(Failed::changed(text))
    }

    /// Asks ingesters until enough have answered; who is asked is said by place.
    async fn enough<'s, T: Send>(
        &self,
        asked: &'s Asked,
        ask: impl Fn(&'s dyn Store) -> Reply<'s, T>,
    ) -> Result<Vec<(usize, T)>, Failed> {
        let (mut tally, left_out) = self.begin(asked);
        let mut running = FuturesUnordered::new();
        for (at, store) in asked.stores.iter().enumerate() {
            if !left_out.contains(&at) {
                let answer = self.tried(&**store, ask(&**store));
                running.push(async move { (at, answer.await) });
            }
        }
        let mut found = Vec::new();
        let mut failures: Vec<String> = Vec::new();
        let mut verdict = tally.verdict();
        while verdict == Verdict::Open {
            let Some((at, answer)) = running.next().await else {
                break;
            };
            verdict = match answer {
                Ok(answer) => {
                    found.push((at, answer));
                    tally.succeeded(at)
                }
                Err(failed) if failed.is_final => return Err(failed),
                Err(failed) => {
                    failures.push(failed.status.message);
                    tally.failed(at)
                }
            };
        }
        if verdict == Verdict::Enough {
            return Ok(found);
        }
        let message = format!("too few ingesters answer: {}", failures.join("; "));
        let status = Status::new(ErrorKind::Unavailable, message);
        Err(Failed::last(
            status.with_retry_after(Duration::from_secs(1)),
        ))
    }

    /// Leaves out ingesters that failed before, as long as the others can be enough.
    fn begin(&self, asked: &Asked) -> (Tally, Vec<usize>) {
        let mut tally = asked.tally.clone();
        let mut left_out = Vec::new();
        for (at, store) in asked.stores.iter().enumerate() {
            if self.avoided.contains(store.instance()) {
                let mut without = tally.clone();
                if without.failed(at) != Verdict::Failed {
                    tally = without;
                    left_out.push(at);
                }
            }
        }
        (tally, left_out)
    }

    /// Those that failed before come last.
    fn sort(&self, stores: &mut [Arc<dyn Store>]) {
        stores.sort_by_key(|store| self.avoided.contains(store.instance()));
    }

    /// Counts a call and its failure.
    fn tried<'t, T: Send + 't>(
        &'t self,
        store: &'t dyn Store,
        reply: Reply<'t, T>,
    ) -> BoxFuture<'t, Result<T, Failed>> {
        let metrics = &self.fleet.metrics;
        async move {
            metrics.called(Q::OPERATION);
            reply.await.map_err(|status| {
                metrics.call_failed(Q::OPERATION);
                Failed::of(store.instance(), status)
            })
        }
        .boxed()
    }
}

impl Part {
    fn ingester(store: &Arc<dyn Store>, found: FoundKeys) -> Self {
        Self {
            stores: vec![Arc::clone(store)],
            blocks: None,
            keys: Arc::new(found.keys),
        }
    }
}

/// Whether an ingester has not said what it has.
fn is_late(store: &Arc<dyn Store>, parts: &[Part]) -> bool {
    let mut ingesters = parts.iter().filter(|part| part.blocks.is_none());
    !ingesters.any(|part| {
        part.stores
            .iter()
            .any(|known| known.instance() == store.instance())
    })
}

fn all_keys(parts: &[Part]) -> Vec<Arc<Keys>> {
    parts.iter().map(|part| Arc::clone(&part.keys)).collect()
}
