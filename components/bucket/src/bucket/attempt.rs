//! One step of an operation: tried, timed, tried again.

use std::sync::Arc;
use std::time::Duration;

use phlare_model::time::format_duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::debug;

use super::Bucket;
use crate::error::{Error, Failure, Operation};
use crate::source::Opened;

/// A store is opened anew at most so often for one step: once for its region, once for its credentials.
const MENDS: usize = 2;

impl Bucket {
    /// Makes a step succeed, within what [`crate::Retries`] allow.
    pub(super) async fn tried<T, F, R>(
        &self,
        operation: Operation,
        key: &str,
        attempt: F,
    ) -> Result<T, Error>
    where
        F: Fn(Arc<Opened>) -> R,
        R: Future<Output = Result<T, Failure>>,
    {
        let place = &self.source.place;
        let metrics = self.source.metrics.of(operation);
        let deadline = Instant::now() + self.retries.within;
        let mut waits = self.retries.waits();
        let (mut tries, mut mends) = (0, 0);
        loop {
            tries += 1;
            let failure = match self.attempt(deadline, &attempt).await {
                Ok(value) => return Ok(value),
                Err((failure, opened)) => {
                    if mends < MENDS
                        && let Some(opened) = opened
                        && self.source.mend(&opened, &failure).await
                    {
                        mends += 1;
                        metrics.retries.inc();
                        continue;
                    }
                    failure
                }
            };
            let wait = match failure.transient && place.is_remote() {
                true => waits.next(),
                false => None,
            };
            match wait {
                Some(wait) if Instant::now() + wait < deadline => {
                    metrics.retries.inc();
                    debug!(%operation, key, tries, %failure, "tried again");
                    sleep(wait).await;
                }
                _ => return Err(Error::new(place, operation, key, tries, failure)),
            }
        }
    }

    async fn attempt<T, R>(
        &self,
        deadline: Instant,
        attempt: impl Fn(Arc<Opened>) -> R,
    ) -> Result<T, (Failure, Option<Arc<Opened>>)>
    where
        R: Future<Output = Result<T, Failure>>,
    {
        if !self.source.place.is_remote() {
            let opened = self
                .source
                .opened()
                .await
                .map_err(|failure| (failure, None))?;
            return attempt(opened).await.map_err(|failure| (failure, None));
        }
        let late = || {
            Failure::silence(format!(
                "not done after {}",
                format_duration(self.retries.within)
            ))
        };
        let opened = match timeout_at(deadline, self.source.opened()).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(failure)) => return Err((failure, None)),
            Err(_) => return Err((late(), None)),
        };
        match timeout_at(deadline, attempt(Arc::clone(&opened))).await {
            Ok(outcome) => outcome.map_err(|failure| (failure, Some(opened))),
            Err(_) => Err((late(), None)),
        }
    }

    /// What the store answers, unless it is silent for too long.
    pub(super) async fn answered<T>(
        &self,
        silence: Duration,
        asked: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, Failure> {
        let answer = self.quiet_at_most(silence, asked).await?;
        answer.map_err(|error| self.failure(&error))
    }

    /// Gives up waiting for a server; a disk is waited for.
    pub(super) async fn quiet_at_most<T>(
        &self,
        silence: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        if !self.source.place.is_remote() {
            return Ok(work.await);
        }
        timeout(silence, work)
            .await
            .map_err(|_| Failure::silence(format!("no answer within {}", format_duration(silence))))
    }
}
