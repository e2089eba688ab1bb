//! Log lines that come in floods.

use std::time::Duration;

use tokio::time::Instant;

/// Lets one line through in a while, and counts the others.
#[derive(Debug)]
pub(super) struct Limited {
    every: Duration,
    last: Option<Instant>,
    held_back: u64,
}

impl Limited {
    pub(super) fn per_minute() -> Self {
        Self {
            every: Duration::from_secs(60),
            last: None,
            held_back: 0,
        }
    }

    /// Whether to log now, and how many lines were held back before.
    pub(super) fn allow(&mut self) -> Option<u64> {
        let now = Instant::now();
        if self
            .last
            .is_some_and(|last| now.duration_since(last) < self.every)
        {
            self.held_back += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_a_minute() {
        let mut limited = Limited::per_minute();
        assert_eq!(limited.allow(), Some(0));
        assert_eq!((limited.allow(), limited.allow()), (None, None));
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(limited.allow(), Some(2));
    }
}
