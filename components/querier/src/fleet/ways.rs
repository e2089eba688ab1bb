//! Several ways to one answer: the next is tried when one fails, and beside one that takes long.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use phlare_model::ErrorKind;
use phlare_ring::InstanceId;
use phlare_server::Status;

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    pub(super) status: Status,
    /// Who is to be asked last if the query is begun anew.
    pub(super) instances: Vec<InstanceId>,
    /// Beginning anew would end alike.
    pub(super) is_final: bool,
}

impl Failed {
    /// An instance did not answer.
    pub(super) fn of(instance: &InstanceId, status: Status) -> Self {
        // No other instance would take the query, either.
        let is_final = matches!(
            status.kind,
            ErrorKind::InvalidArgument
                | ErrorKind::OutOfRange
                | ErrorKind::Unauthenticated
                | ErrorKind::PermissionDenied
        );
        Self {
            status,
            instances: vec![instance.clone()],
            is_final,
        }
    }

    /// What was there before is not there any more, or elsewhere.
    pub(super) fn changed(message: String) -> Self {
        Self {
            status: Status::new(ErrorKind::Unavailable, message),
            instances: Vec::new(),
            is_final: false,
        }
    }

    /// Nobody could answer.
    pub(super) fn last(status: Status) -> Self {
        Self {
            status,
            instances: Vec::new(),
            is_final: true,
        }
    }
}

/// The answer of the first way that has one; what others would say is dropped. The next way is begun when one fails, and
/// when nothing happened for `hedge_after`.
pub(super) async fn first<T>(
    hedge_after: Duration,
    ways: Vec<BoxFuture<'_, Result<T, Failed>>>,
) -> Result<T, Failed> {
    let mut left = ways.into_iter();
    let mut running: FuturesUnordered<_> = left.next().into_iter().collect();
    let mut failed: Option<Failed> = None;
    let mut may_hedge = true;
    loop {
        tokio::select! {
            biased;
            outcome = running.next() => match outcome {
                Some(Ok(answer)) => return Ok(answer),
                Some(Err(failure)) if failure.is_final => return Err(failure),
                Some(Err(failure)) => {
                    match &mut failed {
                        None => failed = Some(failure),
                        Some(failed) => {
                            failed.status.message += "; ";
                            failed.status.message += &failure.status.message;
                            failed.instances.extend(failure.instances);
                        }
                    }
                    running.extend(left.next());
                }
                None => {
                    let nobody = || Failed::changed("there is nobody to ask".to_owned());
                    return Err(failed.unwrap_or_else(nobody));
                }
            },
            () = tokio::time::sleep(hedge_after), if may_hedge => {
                let next = left.next();
                may_hedge = next.is_some();
                running.extend(next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use std::future::{pending, ready};

    use super::*;

    fn failure(instance: &str, kind: ErrorKind) -> Result<u8, Failed> {
        Err(Failed::of(&instance.into(), Status::new(kind, instance)))
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_is_not_waited_for() {
        let ways = vec![pending().boxed(), ready(Ok(2)).boxed()];
        assert_eq!(first(Duration::from_secs(1), ways).await.unwrap(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_overtaken_may_still_win() {
        let slow = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok(1)
        };
        let hangs = pending().boxed();
        let fails = ready(failure("b", ErrorKind::Unavailable)).boxed();
        let ways = vec![slow.boxed(), fails, hangs];
        assert_eq!(first(Duration::from_secs(1), ways).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn all_that_failed_are_named_with_why() {
        let fails = |name| ready(failure(name, ErrorKind::Unavailable)).boxed();
        let ways = vec![fails("a"), fails("b")];
        let failed = first(Duration::from_secs(1), ways).await.unwrap_err();
        assert_eq!(failed.status.message, "a; b");
        assert_eq!(failed.instances, ["a".into(), "b".into()]);
        let nobody: Result<u8, _> = first(Duration::from_secs(1), Vec::new()).await;
        assert!(nobody.unwrap_err().status.message.contains("nobody"));
    }

    #[tokio::test]
    async fn what_nobody_would_take_is_not_tried_again() {
        let refused = ready(failure("a", ErrorKind::InvalidArgument)).boxed();
        let ways = vec![refused, ready(Ok(1)).boxed()];
        let failed = first(Duration::from_secs(1), ways).await.unwrap_err();
        assert_eq!(failed.status.kind, ErrorKind::InvalidArgument);
    }
}
