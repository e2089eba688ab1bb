//! Processes under test: signals, and waiting for their end.

use std::process::{Child, ExitStatus};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

/// How long a process may take to start or to stop before the test fails. Several fleets may share two processors.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// How often a process is looked at that is about to do something.
pub(crate) const GLANCE: Duration = Duration::from_millis(20);

/// Waits until something holds.
///
/// # Errors
/// Its own; or it does not hold in time, `what` says what it is.
pub async fn until(
    what: &str,
    holds: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    until_within(PATIENCE, what, holds).await
}

/// Waits until something holds that takes longer than a process does.
///
/// # Errors
/// As [`until`].
pub async fn until_within(
    patience: Duration,
    what: &str,
    mut holds: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + patience;
    while !holds().await.with_context(|| what.to_owned())? {
        if Instant::now() >= deadline {
            bail!("within {patience:?} it did not come to be that {what}");
        }
        sleep(GLANCE).await;
    }
    Ok(())
}

/// Sends a signal.
pub(crate) fn send(child: &Child, signal: Signal) -> anyhow::Result<()> {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(id.context("a process id")?, signal).with_context(|| format!("send {signal:?}"))
}

/// Ends a process as a power cut would, as far as it can see, and waits until it is gone.
pub(crate) fn kill(child: &mut Child) -> anyhow::Result<()> {
    child.kill().context("kill -9")?;
    child.wait().context("wait for the killed process")?;
    Ok(())
}

/// Waits until it has ended.
pub(crate) async fn ended(child: &mut Child) -> anyhow::Result<ExitStatus> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        sleep(GLANCE).await;
    }
    bail!("it did not end within {PATIENCE:?}")
}
