//! W3C trace context, both ways.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use super::TraceHeaders;

pub(super) const TRACEPARENT: &str = "traceparent";
pub(super) const TRACESTATE: &str = "tracestate";

/// Longer lists of what other systems say are not passed on; the standard asks for this much.
const MAX_STATE: usize = 512;

/// The caller's span, if the headers name one.
pub(super) fn from_headers(headers: &HeaderMap) -> Option<SpanContext> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    parse(text(TRACEPARENT)?, text(TRACESTATE).unwrap_or_default())
}

/// The span that a `traceparent` names. A `tracestate` that makes no sense is left out.
pub(super) fn parse(parent: &str, state: &str) -> Option<SpanContext> {
    let mut parts = parent.trim().split('-');
    let version = hex(parts.next()?, 2)?;
    let trace = hex(parts.next()?, 32)?;
    let span = u64::try_from(hex(parts.next()?, 16)?).ok()?;
    let flags = u8::try_from(hex(parts.next()?, 2)?).ok()?;
    // Later versions may have more parts; the first has not.
    if version == 0xff || (version == 0 && parts.next().is_some()) {
        return None;
    }
    let state = match state.len() {
        1..=MAX_STATE => state.parse().unwrap_or_default(),
        _ => TraceState::default(),
    };
    let context = SpanContext::new(
        TraceId::from(trace),
        SpanId::from(span),
        TraceFlags::new(flags) & TraceFlags::SAMPLED,
        true,
        state,
    );
    context.is_valid().then_some(context)
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let fits = text.len() == digits && text.bytes().all(lower);
    fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

pub(super) fn to_headers(context: &SpanContext) -> TraceHeaders {
    TraceHeaders {
        traceparent: format!(
            "00-{}-{}-{:02x}",
            context.trace_id(),
            context.span_id(),
            context.trace_flags() & TraceFlags::SAMPLED
        ),
        tracestate: context.trace_state().header(),
    }
}

/// A span that nobody has made, for a request that comes without one: not sampled.
pub(super) fn generate() -> SpanContext {
    static SEEDS: LazyLock<[RandomState; 3]> =
        LazyLock::new(|| [RandomState::new(), RandomState::new(), RandomState::new()]);
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let [high, low, span] = SEEDS.each_ref().map(|seed| seed.hash_one(number));
    let trace = u128::from(high) << 64 | u128::from(low);
    SpanContext::new(
        TraceId::from(trace.max(1)),
        SpanId::from(span.max(1)),
        TraceFlags::default(),
        false,
        TraceState::default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_valid_comes_back() {
        let context = parse(PARENT, "vendor=x,other=y").unwrap();
        assert!(context.is_sampled() && context.is_remote());
        let back = to_headers(&context);
        assert_eq!(back.traceparent, PARENT);
        assert_eq!(back.tracestate, "vendor=x,other=y");
        let made = generate();
        assert!(made.is_valid() && !made.is_sampled());
        let headers = to_headers(&made);
        let back = parse(&headers.traceparent, &headers.tracestate).unwrap();
        assert_eq!(back.trace_id(), made.trace_id());
        assert_ne!(generate().trace_id(), made.trace_id());
    }

    #[test]
    fn what_is_not_is_nobody() {
        for parent in [
            "",
            "garbage",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-xyz-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert_eq!(parse(parent, ""), None, "{parent}");
        }
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
        assert!(parse(later, "").is_some());
        let odd = parse(PARENT, "nonsense").unwrap();
        assert_eq!(odd.trace_state().header(), "");
        let long = format!("a={}", "x".repeat(MAX_STATE));
        assert_eq!(parse(PARENT, &long).unwrap().trace_state().header(), "");
    }

    #[test]
    fn hostile_headers_never_panic() {
        for text in ["é-", "00-é", "----", "00--00-00", "\u{0}"] {
            let _ = parse(text, text);
        }
    }
}
