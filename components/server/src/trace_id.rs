//! The id under which the log knows a request.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;

/// 128 bits, from the caller's `traceparent` or made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceId(u128);

tokio::task_local! {
    /// Set around every request.
    pub(crate) static CURRENT: TraceId;
}

/// The id of the request at hand; a new one outside of requests.
pub(crate) fn current() -> TraceId {
    CURRENT
        .try_with(|id| *id)
        .unwrap_or_else(|_| TraceId::generate())
}

impl TraceId {
    /// The caller's id, if it sends a valid one (W3C trace context), else a new one.
    pub(crate) fn of_request(headers: &HeaderMap) -> Self {
        let parent = headers
            .get("traceparent")
            .and_then(|value| value.to_str().ok());
        parent
            .and_then(Self::from_traceparent)
            .unwrap_or_else(Self::generate)
    }

    fn from_traceparent(text: &str) -> Option<Self> {
        let id = text.split('-').nth(1).filter(|id| id.len() == 32)?;
        let id = u128::from_str_radix(id, 16).ok()?;
        (id != 0).then_some(Self(id))
    }

    fn generate() -> Self {
        static SEEDS: LazyLock<[RandomState; 2]> =
            LazyLock::new(|| [RandomState::new(), RandomState::new()]);
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let [high, low] = SEEDS
            .each_ref()
            .map(|seed| u128::from(seed.hash_one(number)));
        Self(high << 64 | low)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_id_is_kept() {
        let check = |header: &'static str, kept: bool| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", header.parse().unwrap());
            let id = TraceId::of_request(&headers).to_string();
            assert_eq!(header.contains(&id), kept, "{header}");
        };
        check(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            true,
        );
        check(
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            false,
        );
        check("00-xyz-00f067aa0ba902b7-01", false);
        check("garbage", false);
    }

    #[test]
    fn ids_differ() {
        assert_ne!(TraceId::generate(), TraceId::generate());
    }
}
