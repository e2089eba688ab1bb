//! Profiles of one series, encoded: fixed rows for time and total, packed bytes for samples.
//!
//! Sample bytes of a row (all numbers LEB128):
//! `flags, duration, period, default type, doc url, count, divisor, count × (stack trace id − previous id, value ÷ divisor)`,
//! then, if flagged, `count ×` span id (0 or 1 and 8 bytes), then `count ×` trace id (0 or 1 and 16 bytes).
//! Stack trace ids ascend. The divisor is the greatest common one, because profilers count in multiples
//! of their period: values of a CPU profile shrink from 4 bytes to 1.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use uuid::Uuid;

use crate::symbols::{StacktraceId, StringId};
use crate::varint::{self, Reader};

const HAS_SPANS: u8 = 1;
const HAS_TRACES: u8 = 2;

/// One sample of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) stacktrace: StacktraceId,
    pub(crate) value: u64,
    /// 0 without.
    pub(crate) span_id: u64,
    /// All 0 without.
    pub(crate) trace_id: [u8; 16],
}

/// What a profile has besides time and samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) duration_ns: i64,
    pub(crate) period: i64,
    pub(crate) default_sample_type: StringId,
    pub(crate) doc_url: StringId,
}

/// Encodes a profile's samples, sorted by stack trace, into `out`.
pub(crate) fn encode(header: &Header, samples: &[Sample], out: &mut Vec<u8>) {
    debug_assert!(samples.is_sorted_by_key(|sample| sample.stacktrace));
    let spans = samples.iter().any(|sample| sample.span_id != 0);
    let traces = samples.iter().any(|sample| sample.trace_id != [0; 16]);
    out.push(if spans { HAS_SPANS } else { 0 } | if traces { HAS_TRACES } else { 0 });
    varint::put_signed(out, header.duration_ns);
    varint::put_signed(out, header.period);
    varint::put(out, u64::from(header.default_sample_type));
    varint::put(out, u64::from(header.doc_url));
    varint::put(out, samples.len() as u64);
    let divisor = common_divisor(samples);
    varint::put(out, divisor);
    let mut previous = 0;
    for sample in samples {
        varint::put(out, u64::from(sample.stacktrace.wrapping_sub(previous)));
        varint::put(out, sample.value.checked_div(divisor).unwrap_or_default());
        previous = sample.stacktrace;
    }
    if spans {
        for sample in samples {
            put_optional(out, &sample.span_id.to_le_bytes());
        }
    }
    if traces {
        for sample in samples {
            put_optional(out, &sample.trace_id);
        }
    }
}

fn put_optional<const N: usize>(out: &mut Vec<u8>, bytes: &[u8; N]) {
    if *bytes == [0; N] {
        out.push(0);
    } else {
        out.push(1);
        out.extend_from_slice(bytes);
    }
}

fn common_divisor(samples: &[Sample]) -> u64 {
    let mut divisor = 0_u64;
    for sample in samples {
        let (mut a, mut b) = (divisor, sample.value);
        while b != 0 {
            (a, b) = (b, a.checked_rem(b).unwrap_or_default());
        }
        divisor = a;
        if divisor == 1 {
            break;
        }
    }
    divisor.max(1)
}

/// Reads back what [`encode`] wrote. `None` anywhere: the bytes are damaged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Samples<'a> {
    pub(crate) header: Header,
    flags: u8,
    count: usize,
    divisor: u64,
    body: Reader<'a>,
}

impl<'a> Samples<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut body = Reader::new(bytes);
        let flags = body.u8()?;
        let header = Header {
            duration_ns: body.i64()?,
            period: body.i64()?,
            default_sample_type: body.u32()?,
            doc_url: body.u32()?,
        };
        let count = usize::try_from(body.u64()?).ok()?;
        let divisor = body.u64()?;
        // Each sample takes at least two bytes, so a count cannot make anybody allocate more than its bytes.
        (count <= bytes.len()).then_some(Self {
            header,
            flags,
            count,
            divisor,
            body,
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Calls `each` with every (stack trace, value): the hot loop of every merge.
    #[inline]
    pub(crate) fn for_each(&self, mut each: impl FnMut(StacktraceId, u64)) -> Option<()> {
        self.pairs(&mut each).map(|_| ())
    }

    #[inline]
    fn pairs(&self, mut each: impl FnMut(StacktraceId, u64)) -> Option<Reader<'a>> {
        let mut body = self.body;
        let mut stacktrace = 0_u32;
        for _ in 0..self.count {
            stacktrace = stacktrace.checked_add(body.u32()?)?;
            each(stacktrace, body.u64()?.saturating_mul(self.divisor));
        }
        Some(body)
    }

    pub(crate) fn has_traces(&self) -> bool {
        self.flags & HAS_TRACES != 0
    }

    pub(crate) fn has_spans(&self) -> bool {
        self.flags & HAS_SPANS != 0
    }

    /// All samples with their span and trace ids.
    pub(crate) fn to_vec(self) -> Option<Vec<Sample>> {
        let mut samples = Vec::with_capacity(self.count);
        let mut rest = self.pairs(|stacktrace, value| {
            samples.push(Sample {
                stacktrace,
                value,
                span_id: 0,
                trace_id: [0; 16],
            });
        })?;
        if self.has_spans() {
            for sample in &mut samples {
                sample.span_id = u64::from_le_bytes(take_optional(&mut rest)?);
            }
        }
        if self.has_traces() {
            for sample in &mut samples {
                sample.trace_id = take_optional(&mut rest)?;
            }
        }
        Some(samples)
    }
}

fn take_optional<const N: usize>(reader: &mut Reader<'_>) -> Option<[u8; N]> {
    match reader.u8()? {
        0 => Some([0; N]),
        _ => reader.array(),
    }
}

/// Time, identity and total of one profile; 48 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkRow {
    pub(crate) time_ns: i64,
    /// Sum of the samples' values.
    pub(crate) total: u64,
    pub(crate) partition: u64,
    /// Rows equal in series, time and id are replicas of one profile.
    pub(crate) id: Uuid,
    /// Number of samples.
    pub(crate) samples: u32,
    end: u32,
}

/// A profile to be added to a chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewRow<'a> {
    pub(crate) time_ns: i64,
    pub(crate) id: Uuid,
    pub(crate) partition: u64,
    pub(crate) total: u64,
    /// Number of samples.
    pub(crate) samples: u32,
    pub(crate) encoded: &'a [u8],
}

/// Some profiles of one series in order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    rows: Vec<ChunkRow>,
    bytes: Vec<u8>,
}

impl Chunk {
    /// Whether a further profile should go into a new chunk: queries hold the series' lock while
    /// they read the open one.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= 16 << 10
    }

    /// Whether it holds a profile of the same time with the same samples.
    pub(crate) fn has(&self, row: &NewRow<'_>) -> bool {
        let mut start = 0_usize;
        self.rows.iter().any(|known| {
            let end = known.end as usize;
            let bytes = start..end;
            start = end;
            (known.time_ns, known.total, known.partition) == (row.time_ns, row.total, row.partition)
                && self.bytes.get(bytes) == Some(row.encoded)
        })
    }

    pub(crate) fn push(&mut self, row: &NewRow<'_>) {
        self.bytes.extend_from_slice(row.encoded);
        self.rows.push(ChunkRow {
            time_ns: row.time_ns,
            total: row.total,
            partition: row.partition,
            id: row.id,
            samples: row.samples,
            end: u32::try_from(self.bytes.len()).unwrap_or(u32::MAX),
        });
    }

    pub(crate) fn shrink(&mut self) {
        self.rows.shrink_to_fit();
        self.bytes.shrink_to_fit();
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.bytes
            .capacity()
            .saturating_add(self.rows.capacity().saturating_mul(size_of::<ChunkRow>()))
    }

    /// All rows with their encoded samples.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&ChunkRow, &[u8])> {
        let mut start = 0;
        self.rows.iter().map(move |row| {
            let end = row.end as usize;
            let encoded = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            (row, encoded)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn samples() -> impl Strategy<Value = Vec<Sample>> {
        let ids = prop_oneof![Just(0_u64), any::<u64>()];
        let traces = prop_oneof![Just([0_u8; 16]), any::<[u8; 16]>()];
        let sample = (any::<u32>(), any::<u64>(), ids, traces);
        prop::collection::vec(sample, 0..40).prop_map(|tuples| {
            let mut samples: Vec<_> = tuples
                .into_iter()
                .map(|(stacktrace, value, span_id, trace_id)| Sample {
                    stacktrace,
                    value,
                    span_id,
                    trace_id,
                })
                .collect();
            samples.sort_by_key(|sample| sample.stacktrace);
            samples
        })
    }

    proptest! {
        #[test]
        fn samples_come_back(samples in samples(), duration_ns: i64, period: i64, doc_url: u32) {
            let header = Header { duration_ns, period, default_sample_type: 3, doc_url };
            let mut out = Vec::new();
            encode(&header, &samples, &mut out);
            let decoded = Samples::decode(&out).unwrap();
            prop_assert_eq!(decoded.header, header);
            let mut pairs = Vec::new();
            decoded.for_each(|stacktrace, value| pairs.push((stacktrace, value))).unwrap();
            let expected: Vec<_> = samples.iter().map(|sample| (sample.stacktrace, sample.value)).collect();
            prop_assert_eq!(pairs, expected);
            prop_assert_eq!(decoded.to_vec().unwrap(), samples);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(samples) = Samples::decode(&bytes) {
                let _ = samples.to_vec();
            }
        }
    }

    #[test]
    fn multiples_of_the_period_take_one_byte_each() {
        let samples: Vec<_> = (1..=50_u32)
            .map(|i| Sample {
                stacktrace: i,
                value: u64::from(i % 7 + 1) * 10_000_000,
                span_id: 0,
                trace_id: [0; 16],
            })
            .collect();
        let mut out = Vec::new();
        encode(&Header::default(), &samples, &mut out);
        assert!(out.len() < 50 * 2 + 16, "{} bytes", out.len());
    }
}
