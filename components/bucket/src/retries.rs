//! How often and how long a step is tried.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// How often and how long one step is tried: a request, or one part of a long transfer. Waits double from the first to
/// the longest, each stretched by chance. Directories and memory are asked once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Most tries, the first included.
    pub tries: usize,
    /// Most time for all tries of a step.
    pub within: Duration,
    /// How long a server may be silent before a try is given up.
    pub silence: Duration,
    /// Wait after the first try.
    pub first_wait: Duration,
    /// Longest wait.
    pub longest_wait: Duration,
}

impl Retries {
    /// For what somebody waits for: three tries within 20 seconds.
    #[must_use]
    pub const fn for_queries() -> Self {
        Self {
            tries: 3,
            within: Duration::from_secs(20),
            silence: Duration::from_secs(8),
            first_wait: Duration::from_millis(50),
            longest_wait: Duration::from_secs(1),
        }
    }

    /// For what must arrive some time: ten tries within five minutes.
    #[must_use]
    pub const fn for_uploads() -> Self {
        Self {
            tries: 10,
            within: Duration::from_secs(300),
            silence: Duration::from_secs(60),
            first_wait: Duration::from_millis(200),
            longest_wait: Duration::from_secs(20),
        }
    }

    /// Waits between the tries.
    pub(crate) fn waits(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.longest_wait)
            .with_max_times(self.tries.saturating_sub(1))
            .build()
    }
}

impl Default for Retries {
    fn default() -> Self {
        Self::for_uploads()
    }
}
