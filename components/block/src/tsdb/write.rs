//! Writes an index, byte for byte as upstream does.

mod pairs;

use std::io::{self, BufWriter, Write};

use crc_fast::crc32_iscsi;

use self::pairs::{Pairs, Postings};
use super::SeriesEntry;
use super::series::ALIGNMENT;
use super::toc::{HEADER, Toc};
use crate::error::Error;

/// The table of fingerprints has each series whose ordinal is a multiple of this.
pub(super) const FINGERPRINT_STEP: u32 = 1024;

/// Writes the index of `series` to `out`; `name` names it in errors. Returns the number of bytes. Label sets ascend, so
/// none comes twice; names are not empty; `min_ns` is not after `max_ns`.
///
/// O(labels of all series + labels with values × log); 8 bytes of memory for each of the former, 100 for each of the latter.
///
/// # Errors
/// [`Error::Unwritable`] if `series` are not as they should be, [`Error::Full`], [`Error::Write`].
pub fn write(series: &[SeriesEntry], name: &str, out: &mut impl Write) -> Result<u64, Error> {
    let pairs = Pairs::collect(series, name)?;
    let mut out = Output {
        out: BufWriter::with_capacity(1 << 16, out),
        at: 0,
        body: Vec::new(),
        name,
    };
    let mut toc = Toc::default();
    out.put(&HEADER)?;
    toc.symbols = out.at;
    out.symbols(&pairs)?;
    toc.series = out.at;
    let (postings, fingerprints) = out.series(series, &pairs)?;
    toc.label_indices = out.at;
    let label_table = out.label_indices(&pairs)?;
    toc.postings = out.at;
    let postings_table = out.postings(&pairs, &postings)?;
    toc.label_table = out.at;
    out.section("label names", &label_table)?;
    toc.postings_table = out.at;
    out.section("labels", &postings_table)?;
    toc.fingerprints = out.at;
    out.section("series", &fingerprints)?;
    (toc.from_ns, toc.through_ns) = bounds(series);
    out.put(&toc.to_bytes())?;
    let written = out.at as u64;
    out.finish()?;
    Ok(written)
}

fn bounds(series: &[SeriesEntry]) -> (i64, i64) {
    let from = series.iter().map(|entry| entry.min_ns).min();
    let through = series.iter().map(|entry| entry.max_ns).max();
    (from.unwrap_or_default(), through.unwrap_or_default())
}

fn full_above(count: usize, limit: usize, table: &'static str) -> Result<(), Error> {
    match count <= limit {
        true => Ok(()),
        false => Err(Error::Full { table }),
    }
}

/// The file so far.
struct Output<'n, W: Write> {
    out: BufWriter<W>,
    at: usize,
    /// Of the section that comes next.
    body: Vec<u8>,
    name: &'n str,
}

impl<W: Write> Output<'_, W> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.at += bytes.len();
        let written = self.out.write_all(bytes);
        written.map_err(|source| self.failed(source))
    }

    fn finish(mut self) -> Result<(), Error> {
        let flushed = self.out.flush();
        flushed.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Write {
            file: self.name.to_owned(),
            source,
        }
    }

    fn align(&mut self, step: usize) -> Result<(), Error> {
        const ZEROS: [u8; ALIGNMENT] = [0; ALIGNMENT];
        self.put(&ZEROS[..self.at.next_multiple_of(step) - self.at])
    }

    fn section(&mut self, table: &'static str, body: &[u8]) -> Result<(), Error> {
        full_above(body.len(), u32::MAX as usize, table)?;
        self.put(&(body.len() as u32).to_be_bytes())?;
        self.put(body)?;
        self.put(&crc32_iscsi(body).to_be_bytes())
    }

    fn finish_section(&mut self, table: &'static str) -> Result<(), Error> {
        let body = std::mem::take(&mut self.body);
        self.section(table, &body)?;
        self.body = body;
        Ok(())
    }

    fn symbols(&mut self, pairs: &Pairs<'_>) -> Result<(), Error> {
        self.body.clear();
        put_u32(&mut self.body, pairs.symbols.len() as u32);
        for symbol in &pairs.symbols {
            put_text(&mut self.body, symbol);
        }
        self.finish_section("label names and values")
    }

    /// Returns the postings and the table of fingerprints.
    fn series(
        &mut self,
        series: &[SeriesEntry],
        pairs: &Pairs<'_>,
    ) -> Result<(Postings, Vec<u8>), Error> {
        let mut postings = Postings::new(series.len(), pairs);
        let mut fingerprints = Vec::new();
        put_u32(
            &mut fingerprints,
            (series.len() as u32).div_ceil(FINGERPRINT_STEP),
        );
        let (mut body, mut length) = (Vec::new(), Vec::new());
        for (ordinal, entry) in series.iter().enumerate() {
            self.align(ALIGNMENT)?;
            let place = self.at / ALIGNMENT;
            full_above(place, u32::MAX as usize, "series")?;
            postings.all.push(place as u32);
            let (fingerprint, pairs_here) = pairs.of(ordinal);
            if (ordinal as u32).is_multiple_of(FINGERPRINT_STEP) {
                fingerprints.extend_from_slice(&(place as u64).to_be_bytes());
                fingerprints.extend_from_slice(&fingerprint.to_be_bytes());
            }
            body.clear();
            body.extend_from_slice(&fingerprint.to_be_bytes());
            put_uvarint(&mut body, pairs_here.len() as u64);
            for &pair in pairs_here {
                let (name, value) = pairs.pairs[pair as usize].symbols;
                put_uvarint(&mut body, u64::from(name));
                put_uvarint(&mut body, u64::from(value));
                postings.add(pair);
            }
            put_uvarint(&mut body, 1);
            put_svarint(&mut body, entry.min_ns);
            put_uvarint(&mut body, entry.max_ns.wrapping_sub(entry.min_ns) as u64);
            put_uvarint(&mut body, 0);
            put_uvarint(&mut body, ordinal as u64);
            put_u32(&mut body, 0);
            length.clear();
            put_uvarint(&mut length, body.len() as u64);
            self.put(&length)?;
            self.put(&body)?;
            self.put(&crc32_iscsi(&body).to_be_bytes())?;
        }
        Ok((postings, fingerprints))
    }

    /// Returns the table of label indices.
    fn label_indices(&mut self, pairs: &Pairs<'_>) -> Result<Vec<u8>, Error> {
        let names = || pairs.pairs.chunk_by(|a, b| a.name == b.name);
        let mut table = Vec::new();
        put_u32(&mut table, names().count() as u32);
        for values in names() {
            self.align(4)?;
            put_uvarint(&mut table, 1);
            put_text(&mut table, values[0].name);
            put_uvarint(&mut table, self.at as u64);
            self.body.clear();
            put_u32(&mut self.body, 1);
            put_u32(&mut self.body, values.len() as u32);
            for value in values {
                put_u32(&mut self.body, value.symbols.1);
            }
            self.finish_section("values of a label")?;
        }
        Ok(table)
    }

    /// Returns the table of postings.
    fn postings(&mut self, pairs: &Pairs<'_>, postings: &Postings) -> Result<Vec<u8>, Error> {
        let mut table = Vec::new();
        put_u32(&mut table, pairs.pairs.len() as u32 + 1);
        self.list(&mut table, "", "", &postings.all)?;
        for (pair, list) in pairs.pairs.iter().zip(postings.lists()) {
            self.list(&mut table, pair.name, pair.value, list)?;
        }
        Ok(table)
    }

    fn list(
        &mut self,
        table: &mut Vec<u8>,
        name: &str,
        value: &str,
        list: &[u32],
    ) -> Result<(), Error> {
        self.align(4)?;
        put_uvarint(table, 2);
        put_text(table, name);
        put_text(table, value);
        put_uvarint(table, self.at as u64);
        self.body.clear();
        put_u32(&mut self.body, list.len() as u32);
        for &reference in list {
            put_u32(&mut self.body, reference);
        }
        self.finish_section("series of a label")
    }
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_uvarint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Appends an unsigned number, seven bits a byte.
pub(super) fn put_uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number, small ones of either sign in few bytes.
pub(super) fn put_svarint(out: &mut Vec<u8>, value: i64) {
    put_uvarint(out, ((value << 1) ^ (value >> 63)) as u64);
}
