//! Reading objects, whole or in ranges.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult, GetResultPayload};

use super::{Bucket, Reads};
use crate::error::{Error, ErrorKind, Failure, Operation};
use crate::source::Opened;

/// No more is reserved for an object before it arrives.
const RESERVED: usize = 8 << 20;
/// Ranges are not joined beyond this, so that parts of a large read run at the same time.
const LONGEST_READ: u64 = 16 << 20;

impl Bucket {
    /// A whole object.
    pub(super) async fn whole(&self, opened: &Opened, path: &Path) -> Result<Bytes, Failure> {
        let asked = opened.store.get_opts(path, GetOptions::default());
        let result = self.answered(self.retries.silence, asked).await?;
        self.body(result).await
    }

    /// One range of an object; of this version only, if one is named.
    pub(super) async fn range(
        &self,
        opened: &Opened,
        path: &Path,
        range: &Range<u64>,
        version: Option<String>,
    ) -> Result<Bytes, Failure> {
        let options = GetOptions {
            range: Some(GetRange::Bounded(range.clone())),
            if_match: version,
            ..GetOptions::default()
        };
        let asked = opened.store.get_opts(path, options);
        let result = self.answered(self.retries.silence, asked).await?;
        if result.range != *range {
            return Err(truncated(range, result.meta.size));
        }
        self.body(result).await
    }

    /// The bytes of an answer; an answer that ends early is tried again.
    async fn body(&self, result: GetResult) -> Result<Bytes, Failure> {
        let length = result.range.end.saturating_sub(result.range.start);
        let bytes = match result.payload {
            GetResultPayload::File(..) => {
                let bytes = result.bytes().await;
                bytes.map_err(|error| self.failure(&error))?
            }
            GetResultPayload::Stream(mut stream) => {
                let silence = self.retries.silence;
                let mut parts = Parts::of(length);
                while let Some(part) = self.quiet_at_most(silence, stream.next()).await? {
                    parts.push(part.map_err(|error| self.failure(&error))?);
                }
                parts.joined()
            }
        };
        let read_bytes = &self.source.metrics.read_bytes;
        read_bytes.inc_by(u64::try_from(bytes.len()).unwrap_or_default());
        match u64::try_from(bytes.len()) {
            Ok(read) if read == length => Ok(bytes),
            _ => Err(Failure::silence(format!(
                "{} of {length} bytes arrived",
                bytes.len()
            ))),
        }
    }

    /// See [`Bucket::get_ranges`].
    pub(super) async fn ranges(
        &self,
        key: &str,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>, Error> {
        let operation = Operation::GetRanges;
        let path = self.path(operation, key)?;
        if let Some(wrong) = ranges.iter().find(|range| range.start > range.end) {
            let failure = Failure::new(
                ErrorKind::Invalid,
                format!("range {wrong:?} ends before it begins"),
            );
            return Err(Error::new(&self.source.place, operation, key, 1, failure));
        }
        let reads = joined(ranges, self.reads);
        let read = |range: Range<u64>| {
            let path = &path;
            async move {
                let bytes = self
                    .tried(operation, key, |opened| {
                        let range = range.clone();
                        async move { self.range(&opened, path, &range, None).await }
                    })
                    .await?;
                Ok::<_, Error>((range, bytes))
            }
        };
        let read: Vec<(Range<u64>, Bytes)> = stream::iter(reads)
            .map(read)
            .buffered(self.reads.concurrency.max(1))
            .try_collect()
            .await?;
        let piece = |range: &Range<u64>| {
            cut(&read, range).ok_or_else(|| {
                let failure = Failure::new(ErrorKind::Truncated, format!("{range:?} is missing"));
                Error::new(&self.source.place, operation, key, 1, failure)
            })
        };
        ranges.iter().map(piece).collect()
    }
}

pub(super) fn truncated(range: &Range<u64>, size: u64) -> Failure {
    let text = format!(
        "it has {size} bytes, and {} to {} were asked for",
        range.start, range.end
    );
    Failure::new(ErrorKind::Truncated, text)
}

/// What to read for these ranges: ascending, without overlaps; close ones joined.
fn joined(ranges: &[Range<u64>], reads: Reads) -> Vec<Range<u64>> {
    let mut sorted: Vec<Range<u64>> = ranges.iter().filter(|r| !r.is_empty()).cloned().collect();
    sorted.sort_unstable_by_key(|range| (range.start, range.end));
    let mut joined = Vec::<Range<u64>>::new();
    for range in sorted {
        match joined.last_mut() {
            // Overlaps always join: a piece must lie within one read.
            Some(last)
                if range.start < last.end
                    || (range.start.saturating_sub(last.end) <= reads.gap
                        && range.end.saturating_sub(last.start) <= LONGEST_READ) =>
            {
                last.end = last.end.max(range.end);
            }
            _ => joined.push(range),
        }
    }
    joined
}

/// A range out of what was read.
fn cut(read: &[(Range<u64>, Bytes)], range: &Range<u64>) -> Option<Bytes> {
    if range.is_empty() {
        return Some(Bytes::new());
    }
    let after = read.partition_point(|(whole, _)| whole.start <= range.start);
    let (whole, bytes) = read.get(after.checked_sub(1)?)?;
    let from = usize::try_from(range.start.checked_sub(whole.start)?).ok()?;
    let to = usize::try_from(range.end.checked_sub(whole.start)?).ok()?;
    let piece = bytes.get(from..to)?;
    // A small piece does not keep a large read in memory.
    Some(match piece.len() < bytes.len() / 2 {
        true => Bytes::copy_from_slice(piece),
        false => bytes.slice(from..to),
    })
}

/// Parts of an answer; one alone is not copied.
struct Parts {
    first: Option<Bytes>,
    all: BytesMut,
    expected: usize,
}

impl Parts {
    fn of(length: u64) -> Self {
        Self {
            first: None,
            all: BytesMut::new(),
            expected: usize::try_from(length).unwrap_or(usize::MAX).min(RESERVED),
        }
    }

    fn push(&mut self, part: Bytes) {
        if self.all.is_empty() && self.first.is_none() {
            self.first = Some(part);
            return;
        }
        if let Some(first) = self.first.take() {
            self.all.reserve(self.expected.max(first.len()));
            self.all.extend_from_slice(&first);
        }
        self.all.extend_from_slice(&part);
    }

    fn joined(self) -> Bytes {
        self.first.unwrap_or_else(|| self.all.freeze())
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "numbers of tests are small")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(gap: u64, ranges: &[Range<u64>], expected: &str) {
        let reads = Reads {
            gap,
            concurrency: 1,
        };
        assert_eq!(format!("{:?}", joined(ranges, reads)), expected);
    }

    #[test]
    fn close_ranges_are_read_at_once() {
        check(0, &[10..20, 0..10], "[0..20]");
        check(0, &[0..10, 11..20], "[0..10, 11..20]");
        check(1, &[0..10, 11..20], "[0..20]");
        check(5, &[0..0, 7..7], "[]");
        check(0, &[0..100, 10..20], "[0..100]");
        // Long reads stay apart, unless they overlap.
        let far = 15_000_000;
        check(
            9,
            &[0..far, far..2 * far],
            "[0..15000000, 15000000..30000000]",
        );
        check(9, &[0..far, far - 1..2 * far], "[0..30000000]");
    }

    proptest! {
        #[test]
        fn every_piece_is_what_the_object_has_there(
            size in 1_u64..4096,
            gap in 0_u64..64,
            ends in prop::collection::vec((any::<u64>(), any::<u64>()), 0..24),
        ) {
            let object: Bytes = (0..size).map(|i| (i % 251) as u8).collect();
            let at = |a: u64| a.checked_rem(size + 1).unwrap() as usize;
            let ranges: Vec<Range<u64>> = ends
                .iter()
                .map(|(a, b)| (at(*a).min(at(*b)) as u64)..(at(*a).max(at(*b)) as u64))
                .collect();
            let slice = |range: &Range<u64>| object.slice(range.start as usize..range.end as usize);
            let read: Vec<_> = joined(&ranges, Reads { gap, concurrency: 1 })
                .into_iter()
                .map(|range| (range.clone(), slice(&range)))
                .collect();
            for range in &ranges {
                prop_assert_eq!(cut(&read, range), Some(slice(range)));
            }
        }
    }
}
