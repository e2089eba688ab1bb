//! The profiles of one request, worked on in parallel, durable together.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use phlare_model::{Classify, ErrorKind, LabelsBuilder, SPANS, TenantId, chain};
use phlare_proto::types::v1::LabelPair;
use phlare_server::Status;
use phlare_tenancy::Limits;
use tokio::time::timeout;
use tracing::{info_span, instrument};
use uuid::Uuid;

use crate::distributor::Distributor;
use crate::error::Error;
use crate::pipeline::{BodyBudget, Hints, Outcome};
use crate::replica::Durable;
use crate::{labels, session};

/// Profiles with the same labels.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Vec<LabelPair>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) hints: Hints,
}

/// One pprof.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) raw: Bytes,
    /// As the client names it; may be empty.
    pub(crate) id: String,
}

/// Requests with less raw bytes than this for each further thread stay on one.
const BYTES_PER_THREAD: usize = 256 << 10;

/// Failures that are spelled out; a request may bring thousands.
pub(crate) const SPELLED_OUT: usize = 10;

/// A request on its way.
#[derive(Debug)]
struct Work {
    tenant: TenantId,
    limits: Arc<Limits>,
    body: BodyBudget,
    series: Vec<Series>,
    /// Each profile: its series, and its place there.
    items: Vec<Item>,
}

/// Where a profile stands in its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    series: usize,
    sample: usize,
}

/// The profiles of a request that were not stored; the others were.
#[derive(Debug)]
pub(crate) struct Failures {
    failures: Vec<Failure>,
    profiles: usize,
}

#[derive(Debug)]
struct Failure {
    item: Item,
    id: String,
    error: Error,
}

impl Distributor {
    /// Stores all profiles that can be stored, and says which could not.
    #[instrument(target = SPANS, name = "Distributor.Push", skip_all, fields(%tenant, series = series.len()))]
    pub(crate) async fn push_all(
        &self,
        tenant: &TenantId,
        series: Vec<Series>,
    ) -> Result<(), Failures> {
        let places = |(index, series): (usize, &Series)| {
            let series_index = index;
            (0..series.samples.len()).map(move |sample| Item {
                series: series_index,
                sample,
            })
        };
        let items: Vec<Item> = series.iter().enumerate().flat_map(places).collect();
        let limits = self.limits(tenant);
        let body = BodyBudget::new(&limits);
        if items.is_empty() {
            return Err(Failures::of_request(Error::NoProfiles));
        }
        let raw = || {
            series
                .iter()
                .flat_map(|series| &series.samples)
                .map(|sample| &sample.raw)
        };
        if raw()
            .map(|raw| claimed_size(raw, &limits))
            .fold(0, usize::saturating_add)
            > body.limit()
        {
            let error = body.exceeded();
            for raw in raw() {
                self.metrics()
                    .discarded(tenant, error.reason(), claimed_size(raw, &limits));
            }
            return Err(Failures::of_request(error));
        }
        let parts = self.parts(
            &items,
            raw().map(Bytes::len).fold(0, usize::saturating_add),
            &limits,
        );
        let work = Arc::new(Work {
            tenant: tenant.clone(),
            limits,
            body,
            series,
            items,
        });
        let outcomes = join_all(
            parts
                .into_iter()
                .map(|part| self.work_on(Arc::clone(&work), part)),
        )
        .await;
        self.settle(&work, outcomes.into_iter().flatten().collect())
            .await
    }

    /// Splits the items for several threads, if that pays.
    fn parts(&self, items: &[Item], bytes: usize, limits: &Limits) -> Vec<Range<usize>> {
        let most = match limits.push_max_concurrency {
            0 => self.threads(),
            limit => limit.min(self.threads()),
        };
        let parts = (1 + bytes / BYTES_PER_THREAD)
            .min(most)
            .clamp(1, items.len());
        let size = items.len().div_ceil(parts);
        (0..items.len())
            .step_by(size)
            .map(|start| start..(start + size).min(items.len()))
            .collect()
    }

    async fn work_on(&self, work: Arc<Work>, part: Range<usize>) -> Vec<(Item, Outcome)> {
        let this = self.clone();
        let (shared, range) = (Arc::clone(&work), part.clone());
        let done = self
            .offload()
            .run(move || this.compute(&shared, range))
            .await;
        done.unwrap_or_else(|error| {
            let error = Arc::new(error);
            let lost = work.items.get(part).unwrap_or_default().iter();
            lost.map(|&item| (item, Outcome::from(Error::Offload(Arc::clone(&error)))))
                .collect()
        })
    }

    fn compute(&self, work: &Work, part: Range<usize>) -> Vec<(Item, Outcome)> {
        let _span = info_span!(target: SPANS, "Profile.Normalize", profiles = part.len()).entered();
        let mut workspace = self.workspace();
        let pipeline = self.pipeline(&work.tenant, &work.limits, &work.body);
        let mut labels: Option<(usize, LabelsBuilder)> = None;
        let mut outcomes = Vec::with_capacity(part.len());
        for &item in work.items.get(part).unwrap_or_default() {
            let Some(series) = work.series.get(item.series) else {
                continue;
            };
            let Some(sample) = series.samples.get(item.sample) else {
                continue;
            };
            if labels
                .as_ref()
                .is_none_or(|(index, _)| *index != item.series)
            {
                match labels::read(&series.labels) {
                    Ok(mut read) => {
                        session::reduce(&mut read, work.limits.max_sessions_per_series);
                        labels = Some((item.series, read));
                    }
                    Err(error) => {
                        self.metrics().discarded(
                            &work.tenant,
                            error.reason(),
                            claimed_size(&sample.raw, &work.limits),
                        );
                        outcomes.push((item, Outcome::from(error)));
                        continue;
                    }
                }
            }
            let Some((_, labels)) = &labels else { continue };
            outcomes.push((
                item,
                pipeline.push(&mut workspace, labels, &series.hints, &sample.raw),
            ));
        }
        self.give_back(workspace);
        outcomes
    }

    /// Waits until everything that was stored is durable.
    async fn settle(&self, work: &Work, outcomes: Vec<(Item, Outcome)>) -> Result<(), Failures> {
        let mut failures: Vec<(Item, Error)> = Vec::new();
        let mut waiting: Vec<(Item, Durable)> = Vec::new();
        for (item, Outcome { durable, errors }) in outcomes {
            failures.extend(errors.into_iter().map(|error| (item, error)));
            waiting.extend(durable.map(|durable| (item, durable)));
        }
        let limit = self.config().push_timeout;
        let all = join_all(
            waiting
                .into_iter()
                .map(|(item, durable)| settled(item, durable, limit)),
        );
        failures.extend(all.await.into_iter().filter_map(Result::err));
        failures.sort_by_key(|(item, _)| *item);
        if failures.is_empty() {
            return Ok(());
        }
        let id = |item: Item| {
            work.series
                .get(item.series)?
                .samples
                .get(item.sample)
                .map(|sample| sample.id.clone())
        };
        let name = |(item, error)| Failure {
            item,
            id: id(item).unwrap_or_default(),
            error,
        };
        Err(Failures {
            failures: failures.into_iter().map(name).collect(),
            profiles: work.items.len(),
        })
    }
}

async fn settled(item: Item, durable: Durable, limit: Duration) -> Result<(), (Item, Error)> {
    match timeout(limit, durable).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(refused)) => Err((item, Error::Refused(refused))),
        Err(_) => Err((item, Error::NotDurable(limit))),
    }
}

/// The uncompressed size as the profile itself claims it, before anything is inflated. A claim that cannot
/// be true, or of more than a profile may have, says nothing: that profile is damaged and refused alone.
fn claimed_size(raw: &[u8], limits: &Limits) -> usize {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    const LARGEST_RATIO: usize = 1032;
    let (Some(&trailer), true) = (raw.last_chunk::<4>(), raw.starts_with(&GZIP)) else {
        return raw.len();
    };
    let claim = u32::from_le_bytes(trailer) as usize;
    let largest = match limits.max_profile_size_bytes {
        0 => usize::MAX,
        limit => limit,
    };
    if claim <= largest && claim <= raw.len().saturating_mul(LARGEST_RATIO) {
        claim
    } else {
        raw.len()
    }
}

impl Failures {
    fn of_request(error: Error) -> Self {
        let item = Item {
            series: 0,
            sample: 0,
        };
        Self {
            failures: vec![Failure {
                item,
                id: String::new(),
                error,
            }],
            profiles: 0,
        }
    }

    /// The errors, in the order of the request.
    pub(crate) fn errors(&self) -> impl Iterator<Item = &Error> {
        self.failures.iter().map(|failure| &failure.error)
    }

    /// Whether it is the request as a whole that was refused.
    pub(crate) fn is_of_request(&self) -> bool {
        self.profiles == 0
    }

    /// Each failure: the place of its series in the request, and why.
    pub(crate) fn by_series(&self) -> impl Iterator<Item = (usize, String)> {
        self.failures
            .iter()
            .map(|failure| (failure.item.series, chain(&failure.error)))
    }

    /// The error that decides the code: the first that is not about the profile itself, for it may pass
    /// when it is sent again; else the first.
    fn decisive(&self) -> Option<&Error> {
        self.errors()
            .find(|error| error.kind() != ErrorKind::InvalidArgument)
            .or_else(|| self.errors().next())
    }

    /// All failures in one text: where they stand in the request, and why.
    fn text(&self) -> String {
        if let ([only], 0 | 1) = (self.failures.as_slice(), self.profiles) {
            return chain(&only.error);
        }
        let mut text = format!(
            "{} of {} profiles were not stored completely",
            self.refused(),
            self.profiles
        );
        for (i, failure) in self.failures.iter().take(SPELLED_OUT).enumerate() {
            let Item { series, sample } = failure.item;
            let id = Uuid::parse_str(&failure.id)
                .map(|id| format!(" ({id})"))
                .unwrap_or_default();
            let separator = if i == 0 { ": " } else { "; " };
            text += &format!(
                "{separator}series {series}, sample {sample}{id}: {}",
                chain(&failure.error)
            );
        }
        match self.failures.len().saturating_sub(SPELLED_OUT) {
            0 => text,
            more => text + &format!("; and {more} more"),
        }
    }

    fn refused(&self) -> usize {
        let mut items: Vec<Item> = self.failures.iter().map(|failure| failure.item).collect();
        items.dedup();
        items.len()
    }

    /// The answer to the client.
    pub(crate) fn into_status(self) -> Status {
        let decisive = self.decisive();
        let kind = decisive.map_or(ErrorKind::Internal, Classify::kind);
        let retry_after = decisive.and_then(Classify::retry_after);
        Status {
            kind,
            message: self.text(),
            retry_after,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_claims_its_size() {
        let claimed = |raw: &[u8]| claimed_size(raw, &Limits::default());
        assert_eq!(claimed(b"\x1f\x8bxxxxxxxx\x00\x01\x00\x00"), 256);
        assert_eq!(claimed(b"plain"), 5);
        assert_eq!(claimed(b"\x1f\x8b"), 2);
        // Cut: the last four bytes are anything.
        assert_eq!(claimed(b"\x1f\x8bxxxxxxxxxxxx"), 14);
        assert_eq!(claimed(b"\x1f\x8b\x00\x00\x10\x00"), 6);
    }
}
