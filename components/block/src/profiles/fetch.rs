//! From row ranges to the bytes of pages, in one read.
//!
//! Pages are checked before anything is decoded: their checksum, and that what their headers say fits the file. So a
//! damaged page is found where there is a checksum (upstream writes one, we do, too), and a page that lies about its
//! size cannot take more memory than pages of its size may.

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use parquet::basic::Compression;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};

use super::footer::{Chunk, Group};
use super::page_header::{self, Kind, PageHeader};
use super::pages::number;
use super::schema::Leaf;
use super::source::Source;
use crate::error::Error;

/// Uncompressed bytes that a page of any size may have, and how many more for each compressed byte. The pages of
/// upstream are buffers of 3 MiB, uncompressed; a column of equal values compresses to a thousandth.
const PAGE_BYTES: u64 = 8 << 20;
const PAGE_RATIO: u64 = 1024;

/// Values that a page of any size may have, and how many more for each byte. Nulls take hardly any bytes.
const PAGE_VALUES: u64 = 4 << 20;
const VALUES_PER_BYTE: u64 = 256;

/// Pages of a file, by their place in it.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    pages: Vec<(u64, Bytes)>,
    size: u64,
}

/// Reads the pages of these leaves that hold these rows, with one read of the file. Leaves that the file does not have
/// are left out.
pub(crate) fn fetch(
    source: &Source,
    group: &Group,
    leaves: &[Leaf],
    rows: &[Range<u32>],
) -> Result<Arc<Fetched>, Error> {
    let mut wanted = Vec::new();
    for chunk in leaves.iter().filter_map(|&leaf| group.chunk(leaf)) {
        let pages = chunk.pages_of(rows);
        if let Some(dictionary) = chunk.dictionary.clone().filter(|_| !pages.is_empty()) {
            wanted.push((dictionary, chunk, None));
        }
        let page = |page| (chunk.page_span(page), chunk, Some(page));
        wanted.extend(pages.into_iter().map(page));
    }
    wanted.sort_unstable_by_key(|(span, ..)| span.start);
    let ranges: Vec<_> = wanted.iter().map(|(span, ..)| span.clone()).collect();
    let mut pages = Vec::with_capacity(wanted.len());
    if !ranges.is_empty() {
        for ((span, chunk, page), bytes) in wanted.into_iter().zip(source.read(&ranges)?) {
            let checked = check(chunk, page, group.rows, &bytes);
            checked.map_err(|problem| {
                let path = chunk.leaf.path();
                source.corrupt(span.start, format!("page of column {path}: {problem}"))
            })?;
            pages.push((span.start, bytes));
        }
    }
    let size = source.size();
    Ok(Arc::new(Fetched { pages, size }))
}

/// Whether a page may be given to the decoder. `page` is `None` for a dictionary.
fn check(chunk: &Chunk, page: Option<usize>, rows: u32, bytes: &[u8]) -> Result<(), &'static str> {
    let (header, length) = PageHeader::read(bytes)?;
    let body = bytes.get(length..).unwrap_or_default();
    if u64::try_from(header.compressed) != Ok(body.len() as u64) {
        return Err("its size is not that of the offset index");
    }
    if header.crc.is_some_and(|crc| crc != page_header::crc(body)) {
        return Err("its checksum is wrong");
    }
    let (Ok(uncompressed), Ok(values)) = (
        u64::try_from(header.uncompressed),
        u64::try_from(header.values),
    ) else {
        return Err("its size is negative");
    };
    let stored = body.len() as u64;
    let is_plain = chunk.meta.compression() == Compression::UNCOMPRESSED;
    let most = stored.saturating_mul(PAGE_RATIO).saturating_add(PAGE_BYTES);
    if (is_plain && uncompressed != stored) || uncompressed > most {
        return Err("its uncompressed size cannot be true");
    }
    let most = stored
        .saturating_mul(VALUES_PER_BYTE)
        .saturating_add(PAGE_VALUES);
    if values > most {
        return Err("its number of values cannot be true");
    }
    let Some(page) = page else {
        return match header.kind {
            Kind::Dictionary { .. } => Ok(()),
            _ => Err("it is not a dictionary"),
        };
    };
    let is_known = |encoding| number(encoding).ok() == Some(header.encoding);
    if !chunk.meta.encodings().any(is_known) {
        return Err("its encoding is not one of the column's");
    }
    if matches!(header.encoding, 2 | 8) && chunk.dictionary.is_none() {
        return Err("its values are in a dictionary that is not there");
    }
    let range = chunk.page_rows(page, rows);
    check_rows(
        chunk,
        &header,
        u64::from(range.end.saturating_sub(range.start)),
        values,
    )
}

fn check_rows(
    chunk: &Chunk,
    header: &PageHeader,
    rows: u64,
    values: u64,
) -> Result<(), &'static str> {
    let has_lists = chunk.meta.column_descr().max_rep_level() > 0;
    let is_right = match has_lists {
        true => values >= rows && values <= chunk.values,
        false => values == rows,
    };
    if !is_right {
        return Err("its number of values does not fit its rows");
    }
    match header.kind {
        Kind::V1 {
            level_encodings: [3, 3],
        } => Ok(()),
        Kind::V1 { .. } if chunk.meta.column_descr().max_def_level() == 0 => Ok(()),
        Kind::V1 { .. } => Err("its levels are encoded as nobody does"),
        Kind::V2 {
            rows: said,
            nulls,
            level_bytes,
            ..
        } => {
            let column = chunk.meta.column_descr();
            let most = [column.max_def_level(), column.max_rep_level()];
            let is_sound = |(&bytes, most)| bytes >= 0 && (bytes == 0 || most > 0);
            let levels = i64::from(level_bytes[0]).saturating_add(i64::from(level_bytes[1]));
            let is_right = level_bytes.iter().zip(most).all(is_sound)
                && levels <= i64::from(header.uncompressed)
                && nulls >= 0
                && u64::try_from(said) == Ok(rows);
            match is_right {
                true => Ok(()),
                false => Err("its rows are not those of the offset index"),
            }
        }
        Kind::Dictionary { .. } => Err("it is a dictionary, where values should be"),
    }
}

impl Length for Fetched {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Fetched {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let page = self.page(start)?;
        Ok(page.clone().reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let page = self.page(start)?;
        match page.len() == length {
            true => Ok(page.clone()),
            false => Err(missing(start)),
        }
    }
}

impl Fetched {
    /// The page that begins at a byte of the file.
    pub(crate) fn page(&self, start: u64) -> ParquetResult<&Bytes> {
        let found = self.pages.binary_search_by_key(&start, |page| page.0);
        let page = found.ok().and_then(|i| self.pages.get(i));
        page.map(|(_, bytes)| bytes).ok_or_else(|| missing(start))
    }

    /// Bytes of all pages.
    pub(crate) fn len_bytes(&self) -> usize {
        self.pages.iter().map(|(_, bytes)| bytes.len()).sum()
    }
}

fn missing(start: u64) -> ParquetError {
    ParquetError::External(Box::new(io::Error::other(format!(
        "no page at byte {start}"
    ))))
}
