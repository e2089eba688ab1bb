//! A gzipped pprof whose time can be set in a microsecond.
//!
//! Compressing 50 KB anew for every request would cost the generator more than the request costs
//! the server. So a file is compressed once, without its `time_nanos`, up to a byte boundary of
//! the deflate stream; every request appends one stored block with the new field and the checksum.
//! The result is an ordinary gzip file of one member, as small as the original.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::io::Read;

use anyhow::{Context, ensure};
use flate2::{Compress, Compression, Crc, FlushCompress};
use prost::encoding::{DecodeContext, decode_key, encode_varint, skip_field};

/// Number of the field `time_nanos`.
const TIME_NANOS: u32 = 9;
/// Its key as a varint field.
const TIME_NANOS_KEY: u8 = 9 << 3;
/// Deflate, no flags, no time, unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// Most bytes of a profile after decompression.
const LIMIT: u64 = 1 << 30;

/// One profile without its time, compressed, ready to be ended.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// Header and deflate blocks, the last of which is not final.
    head: Vec<u8>,
    /// Checksum of the bytes that `head` stands for.
    crc: u32,
    /// Their number, modulo 2³².
    len: u32,
}

impl Template {
    /// Takes a pprof (not compressed) apart.
    pub(crate) fn new(pprof: &[u8]) -> anyhow::Result<Self> {
        let rest = without_time(pprof)?;
        let mut crc = Crc::new();
        crc.update(&rest);
        let mut head = GZIP_HEADER.to_vec();
        deflate_unfinished(&rest, &mut head)?;
        Ok(Self {
            head,
            crc: crc.sum(),
            len: crc.amount(),
        })
    }

    /// The gzip file of the profile at `time_ns`.
    pub(crate) fn at(&self, time_ns: i64) -> Vec<u8> {
        let mut field = vec![TIME_NANOS_KEY];
        encode_varint(time_ns.cast_unsigned(), &mut field);
        // A varint is at most 10 bytes, so this fits.
        let size = u16::try_from(field.len()).unwrap_or(u16::MAX);

        let mut out = Vec::with_capacity(self.head.len().saturating_add(32));
        out.extend_from_slice(&self.head);
        out.push(1); // a stored block, the last one
        out.extend_from_slice(&size.to_le_bytes());
        out.extend_from_slice(&(!size).to_le_bytes());
        out.extend_from_slice(&field);
        out.extend_from_slice(&crc32_continue(self.crc, &field).to_le_bytes());
        out.extend_from_slice(&self.len.wrapping_add(u32::from(size)).to_le_bytes());
        out
    }

    /// About the size of a request.
    pub(crate) fn gzip_bytes(&self) -> usize {
        self.head.len()
    }
}

/// The bytes of a file, decompressed if they are gzip.
pub(crate) fn gunzip(raw: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    if !raw.starts_with(&[0x1f, 0x8b]) {
        return Ok(raw);
    }
    let mut out = Vec::new();
    flate2::read::MultiGzDecoder::new(raw.as_slice())
        .take(LIMIT)
        .read_to_end(&mut out)
        .context("not a sound gzip file")?;
    Ok(out)
}

/// The message without the field `time_nanos`.
fn without_time(pprof: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut rest = Vec::with_capacity(pprof.len());
    let mut left = pprof;
    while !left.is_empty() {
        let before = left;
        let (tag, wire_type) = decode_key(&mut left).context("not a pprof message")?;
        skip_field(wire_type, tag, &mut left, DecodeContext::default())
            .context("not a pprof message")?;
        let length = before.len().saturating_sub(left.len());
        if tag != TIME_NANOS {
            rest.extend_from_slice(before.get(..length).unwrap_or_default());
        }
    }
    Ok(rest)
}

/// Appends deflate blocks of all `input`, ended by a sync flush.
fn deflate_unfinished(input: &[u8], out: &mut Vec<u8>) -> anyhow::Result<()> {
    let mut deflate = Compress::new(Compression::new(6), false);
    loop {
        out.reserve(input.len().max(4096));
        let consumed = usize::try_from(deflate.total_in()).unwrap_or(usize::MAX);
        let left = input.get(consumed..).unwrap_or_default();
        deflate.compress_vec(left, out, FlushCompress::Sync)?;
        // With room to spare the flush is complete.
        if deflate.total_in() == input.len() as u64 && out.len() < out.capacity() {
            break;
        }
    }
    ensure!(
        out.ends_with(&[0, 0, 0xff, 0xff]),
        "the deflate stream does not end at a byte boundary"
    );
    Ok(())
}

/// The CRC-32 of more bytes after those that gave `crc`. One bit at a time: for a dozen bytes.
fn crc32_continue(crc: u32, bytes: &[u8]) -> u32 {
    let mut state = !crc;
    for byte in bytes {
        state ^= u32::from(*byte);
        for _ in 0..8 {
            state = if state & 1 == 1 {
                (state >> 1) ^ 0xedb8_8320
            } else {
                state >> 1
            };
        }
    }
    !state
}

#[cfg(test)]
mod tests {
    use phlare_proto::google::v1::Profile;
    use prost::Message;

    use super::*;

    fn profile() -> Profile {
        Profile {
            string_table: ["", "cpu", "nanoseconds"].map(String::from).to_vec(),
            time_nanos: 42,
            duration_nanos: 7,
            ..Profile::default()
        }
    }

    #[test]
    fn only_the_time_changes() {
        let mut expected = profile();
        let template = Template::new(&expected.encode_to_vec()).unwrap();
        for time in [1, 1_700_000_000_123_456_789, -5, i64::MAX] {
            expected.time_nanos = time;
            let bytes = gunzip(template.at(time)).unwrap();
            assert_eq!(Profile::decode(bytes.as_slice()).unwrap(), expected);
        }
    }

    #[test]
    fn a_large_profile_that_does_not_compress_is_kept_whole() {
        let mut seed = 1_u64;
        let noise: String = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from_u32(33 + (seed >> 58) as u32).unwrap()
        })
        .take(300_000)
        .collect();
        let mut expected = profile();
        expected.string_table.push(noise);
        let template = Template::new(&expected.encode_to_vec()).unwrap();
        expected.time_nanos = 99;
        let bytes = gunzip(template.at(99)).unwrap();
        assert!(Profile::decode(bytes.as_slice()).unwrap() == expected);
    }

    #[test]
    fn the_result_is_one_gzip_member() {
        let file = Template::new(&profile().encode_to_vec()).unwrap().at(5);
        let mut out = Vec::new();
        let mut decoder = flate2::bufread::GzDecoder::new(file.as_slice());
        decoder.read_to_end(&mut out).unwrap();
        assert!(decoder.into_inner().is_empty());
    }

    #[test]
    fn what_is_no_pprof_is_refused() {
        assert!(Template::new(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff").is_err());
        assert!(gunzip(vec![0x1f, 0x8b, 1, 2, 3]).is_err());
    }
}
